// SPDX-License-Identifier: MIT
//
// Signatures of models, as OpenSSF Model Signing 1.0 has them: which files a model has and what is
// in them, as an in-toto statement in a DSSE envelope in a Sigstore bundle, signed by an elliptic
// curve key that is trusted itself or by way of a certificate. Other tools of that format read what
// is signed here, and are read (docs/signing.md). (libaiaccel-registry)
//
// All of it works on digests: who has hashed big files need not do so again. A signature holds
// for exactly its files: one more, one less or another content, and it does not.
//
// What verify() is given may come from anybody. Errors say why:
//   EBADMSG       the bundle is malformed, its signature wrong, or the files are others
//   ENOKEY        made by nobody who is trusted
//   EKEYEXPIRED   the certificate is not valid yet, or any more
//   EKEYREJECTED  a key or certificate that may not sign: its use, its strength, its kind
//   EOPNOTSUPP    signed in a way that is not known here: other digests, files in pieces
//   ENODATA       there is no signature
//
// Threads: a Signer and a Trust may be used by several at once while none changes them.
#ifndef AIACCEL_SIGNING_HPP
#define AIACCEL_SIGNING_HPP

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <aiaccel/error.hpp>

namespace aiaccel {

class Registry;  // <aiaccel/registry.hpp>
struct ModelVersion;
struct Ref;

struct SignedFile {
  std::string path;    // relative to the model's folder: `onnx/model.onnx`
  std::string sha256;  // of its contents, hexadecimal

  bool operator==(const SignedFile&) const = default;
};

// All files below `folder`, ordered as they are signed. Throws Error(ELOOP) at a symbolic link,
// EINVAL at anything else that is neither file nor folder: a signature would say nothing of it.
[[gnu::visibility("default")]] std::vector<SignedFile> hash_folder(
    const std::filesystem::path& folder);

// Who signs: a private key on the curve P-256, P-384 or P-521, out of a PEM file.
class [[gnu::visibility("default")]] Signer {
 public:
  // Asked for if the key is encrypted. What it throws comes out of where it was asked.
  using Passphrase = std::function<std::string()>;

  static Signer from_key(const std::filesystem::path& key, const Passphrase& passphrase = {});
  // `certificate`: that of the key first; what follows, and what is in `chain`, leads to the root,
  // which itself need not be there. Throws Error(EKEYREJECTED) for one of another key, or of
  // another use.
  static Signer from_certificate(
      const std::filesystem::path& certificate, const std::filesystem::path& key,
      const Passphrase& passphrase = {}, std::span<const std::filesystem::path> chain = {});

  Signer(Signer &&) noexcept;
  Signer& operator=(Signer&&) noexcept;
  ~Signer();

  // The public key's SHA-256, by which a signature names it.
  const std::string& key_hint() const;

  struct State;
  const State& state() const {
    return *state_;
  }

 private:
  explicit Signer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Whose signatures count. Empty at first: then nobody's do.
class [[gnu::visibility("default")]] Trust {
 public:
  Trust();
  Trust(Trust &&) noexcept;
  Trust& operator=(Trust&&) noexcept;
  ~Trust();

  void add_key(const std::filesystem::path& pem);   // a public key
  void add_root(const std::filesystem::path& pem);  // certificates: what one of them vouches for
  // A certificate vouches for what was signed while it was valid; but nothing proves when that was.
  // So expired ones are refused, unless this is set: then the certificate's first day is what
  // counts.
  void accept_expired(bool accept);
  bool empty() const;

  struct State;
  const State& state() const {
    return *state_;
  }

 private:
  std::unique_ptr<State> state_;
};

// What a signature that holds says.
struct Verified {
  std::string signer;      // "key 0123abcd…", or the certificate's subject
  std::string key_hint;    // of the key that made it
  std::string model_name;  // as who signed called it; only check_version() compares it
};

// A bundle: the text to keep in a file. Throws Error(EINVAL) for paths that no model's file can
// have.
[[gnu::visibility("default")]] std::string sign(std::string_view model_name,
                                                std::span<const SignedFile> files,
                                                const Signer& signer);
[[gnu::visibility("default")]] Verified verify(std::string_view bundle,
                                               std::span<const SignedFile> files,
                                               const Trust& trust);

// What a registry demands before weights of its are loaded. It stands in Git's configuration: the
// registry's own
// (`git -C REGISTRY config aiaccel.signatures require`), the user's, the system's.
//   aiaccel.signatures     off, warn or require; off if it is not there
//   aiaccel.trustedKey     files with a public key; any number
//   aiaccel.trustedRoot    files with certificates; any number
//   aiaccel.acceptExpired  true: Trust::accept_expired()
// Paths are relative to the registry's folder; `~/` is the home directory. None may lead into its
// working tree, where a pull could change the file; its `.git/` is no part of that.
enum class SignatureDemand { off, warn, require };

struct SignaturePolicy {
  SignatureDemand demand = SignatureDemand::off;
  Trust trust;
  std::string problem;  // why `trust` lacks something that the configuration names, "" as a rule
};

// Throws Error: EINVAL for a value that is none.
[[gnu::visibility("default")]] SignaturePolicy read_signature_policy(
    const std::filesystem::path& registry);

struct SignatureCheck {
  std::optional<Verified> verified;
  std::string warning;  // why there is nothing verified, for people; "" if nothing was demanded
};

// By the policy, of the files of one version and all signatures that there are of it; one that
// holds is enough. Throws verify()'s Error where the policy requires one: that of the last, ENODATA
// if there is none.
[[gnu::visibility("default")]] SignatureCheck check_signature(const SignaturePolicy& policy,
                                                              std::span<const SignedFile> files,
                                                              std::span<const std::string> bundles);

// Of a version in a registry. Signatures lie beside the models, as `.signatures/NAME/VERSION.sig`
// on branch dev, COMMIT.sig for what is no version; they are looked for on all branches, those of
// remotes too, so that a clone finds them: of 100 different ones and 64 MiB at most, dev's first.
// Signs what the reference means now, and commits that on branch dev; says under which path. One
// version has one signature there: a later one takes its place.
//
// One counts if what is signed is also of this name and version: aiaccel.json says so, or the
// statement, whose name is NAME@VERSION where the version came by a tag alone. Throws EBADMSG for
// others. A ModelVersion is what Registry::resolve() gave, and means that commit as that version.
[[gnu::visibility("default")]] std::string sign_version(Registry& registry, const Ref& ref,
                                                        const Signer& signer);
[[gnu::visibility("default")]] std::string sign_version(Registry& registry,
                                                        const ModelVersion& version,
                                                        const Signer& signer);
[[gnu::visibility("default")]] std::vector<std::string> find_signatures(const Registry& registry,
                                                                        const Ref& ref);
// By the registry's policy. Of what Git says that the weights are: Registry::verify_contents()
// tells whether they still are.
[[gnu::visibility("default")]] SignatureCheck check_version(const Registry& registry,
                                                            const Ref& ref);
[[gnu::visibility("default")]] SignatureCheck check_version(const Registry& registry,
                                                            const ModelVersion& version);

// What is to be loaded. Unless the policy is `off`, all files of the folder are hashed, each time,
// and it is those digests that the signature is held against; with `require`, this throws as
// check_signature() does.
struct VerifiedCheckout {
  std::filesystem::path folder;
  SignatureCheck check;
};
[[gnu::visibility("default")]] VerifiedCheckout checkout_verified(const Registry& registry,
                                                                  const Ref& ref);
[[gnu::visibility("default")]] VerifiedCheckout checkout_verified(const Registry& registry,
                                                                  const ModelVersion& version);

}  // namespace aiaccel

#endif  // AIACCEL_SIGNING_HPP
