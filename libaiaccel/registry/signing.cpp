// SPDX-License-Identifier: MIT
//
// See aiaccel/signing.hpp. The order of verify(): parse the bundle, find a trusted key, check the
// signature over the statement's bytes, and only then read the statement.
#include <aiaccel/signing.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <map>
#include <utility>

#include "registry/signing_bundle.h"
#include "registry/signing_keys.h"

namespace aiaccel {

using registry::Bundle;
using registry::Certificate;
using registry::Key;
using registry::shown;
using registry::Statement;

struct Signer::State {
  Key key;
  std::string key_hint;
  std::vector<std::string> certificates;  // DER
};

struct Trust::State {
  std::map<std::string, Key> keys;  // by hint
  std::vector<Certificate> roots;
  bool accept_expired = false;
};

namespace {

// Throws unless one who is trusted signed the payload.
Verified check_key(const Bundle& bundle, const Trust::State& trust) {
  const std::string bytes = registry::pre_authentication(bundle.payload);
  if (!bundle.key_hint.empty() && !trust.keys.contains(bundle.key_hint))
    throw Error(ENOKEY, fmt::format("signed with the key {}, which is not trusted",
                                    shown(bundle.key_hint)));
  if (trust.keys.empty()) throw Error(ENOKEY, "signed with a key, while no key is trusted");
  for (const auto& [hint, key] : trust.keys) {
    if (!bundle.key_hint.empty() && hint != bundle.key_hint) continue;
    if (registry::verify_bytes(key.get(), bytes, bundle.signature))
      return {"key " + hint, hint, {}};
  }
  // Without a hint it may be the right signature of somebody else.
  if (bundle.key_hint.empty()) throw Error(ENOKEY, "signed with none of the keys that are trusted");
  throw Error(EBADMSG, "the signature is not one of what it stands beside");
}

Verified check_certificates(const Bundle& bundle, const Trust::State& trust) {
  std::vector<Certificate> chain;
  for (const std::string& der : bundle.certificates)
    chain.push_back(registry::parse_certificate(der));
  std::time_t when = std::time(nullptr);
  // A first day that is still to come is none on which anything was signed.
  if (trust.accept_expired) when = std::min(when, registry::first_day(chain.front()));
  registry::check_chain(chain, trust.roots, when);
  const Key key = registry::signing_key(chain.front());
  if (!registry::verify_bytes(key.get(), registry::pre_authentication(bundle.payload),
                              bundle.signature))
    throw Error(EBADMSG, "the signature is not one of what it stands beside");
  return {registry::subject(chain.front().get()), registry::hint_of(key.get()), {}};
}

// One of each path, in the format's order.
std::vector<SignedFile> ordered(std::span<const SignedFile> files) {
  std::vector<SignedFile> result(files.begin(), files.end());
  registry::put_in_order(result);
  const auto same = [](const SignedFile& a, const SignedFile& b) { return a.path == b.path; };
  const auto twice = std::adjacent_find(result.begin(), result.end(), same);
  if (twice != result.end())
    throw Error(EINVAL, fmt::format("signature: {} is there twice", shown(twice->path)));
  return result;
}

void compare(std::vector<SignedFile> listed, const std::vector<SignedFile>& there) {
  registry::put_in_order(listed);
  auto file = there.begin();
  for (const SignedFile& signed_file : listed) {
    // Both are ordered alike, so the first that differ tell which one lacks the other.
    if (file != there.end() && file->path == signed_file.path) {
      if (file->sha256 != signed_file.sha256)
        throw Error(EBADMSG,
                    fmt::format("{} is not what was signed: it was changed", shown(file->path)));
      ++file;
      continue;
    }
    const bool missing = std::none_of(
        file, there.end(), [&](const SignedFile& other) { return other.path == signed_file.path; });
    if (missing)
      throw Error(EBADMSG, fmt::format("{} was signed and is missing", shown(signed_file.path)));
    break;
  }
  if (file != there.end())
    throw Error(EBADMSG, fmt::format("{} was not signed: the signature does not list it",
                                     shown(file->path)));
}

std::string hash_file(int fd, const std::filesystem::path& path) {
  const std::unique_ptr<EVP_MD_CTX, registry::FreeBy<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  std::vector<char> block(std::size_t{1} << 20);
  bool sound = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  for (;;) {
    const ssize_t got = ::read(fd, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(errno, path.string());
    if (got == 0) break;
    sound =
        sound && EVP_DigestUpdate(context.get(), block.data(), static_cast<std::size_t>(got)) == 1;
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (!sound || EVP_DigestFinal_ex(context.get(), digest, &size) != 1)
    throw Error(EIO, path.string() + ": cannot be hashed");
  return registry::hexadecimal({reinterpret_cast<const char*>(digest), size});
}

SignedFile hash_entry(const std::filesystem::directory_entry& entry,
                      const std::filesystem::path& folder) {
  const std::filesystem::path& path = entry.path();
  // Not followed here either, should one be put in the file's place meanwhile.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) throw Error(errno, path.string());
  const auto close = [](const int* open) { ::close(*open); };
  const std::unique_ptr<const int, decltype(close)> closes(&fd, close);
  struct stat status;
  if (::fstat(fd, &status) < 0) throw Error(errno, path.string());
  if (!S_ISREG(status.st_mode)) throw Error(EINVAL, path.string() + ": is neither file nor folder");
  return {path.lexically_relative(folder).generic_string(), hash_file(fd, path)};
}

}  // namespace

std::vector<SignedFile> hash_folder(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::vector<SignedFile> files;
  try {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
      const fs::file_status status = entry.symlink_status();
      if (fs::is_symlink(status))
        throw Error(ELOOP, entry.path().string() + ": is a symbolic link");
      if (!fs::is_directory(status)) files.push_back(hash_entry(entry, folder));
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(error.code().value(), error.path1().string());
  }
  registry::put_in_order(files);
  return files;
}

Signer::Signer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Signer::Signer(Signer&&) noexcept = default;
Signer& Signer::operator=(Signer&&) noexcept = default;
Signer::~Signer() = default;

const std::string& Signer::key_hint() const {
  return state_->key_hint;
}

Signer Signer::from_key(const std::filesystem::path& key, const Passphrase& passphrase) {
  auto state = std::make_unique<State>();
  state->key = registry::read_private_key(key, passphrase);
  state->key_hint = registry::hint_of(state->key.get());
  return Signer(std::move(state));
}

Signer Signer::from_certificate(const std::filesystem::path& certificate,
                                const std::filesystem::path& key, const Passphrase& passphrase,
                                std::span<const std::filesystem::path> chain) {
  Signer signer = from_key(key, passphrase);
  std::vector<Certificate> certificates = registry::read_certificates(certificate);
  const Key public_key = registry::signing_key(certificates.front());
  if (EVP_PKEY_eq(public_key.get(), signer.state_->key.get()) != 1)
    throw Error(EKEYREJECTED, certificate.string() + ": is the certificate of another key");
  for (const std::filesystem::path& path : chain)
    for (Certificate& next : registry::read_certificates(path))
      certificates.push_back(std::move(next));
  if (certificates.size() > registry::kMaxCertificates)
    throw Error(EINVAL, fmt::format("a signature holds {} certificates at most",
                                    registry::kMaxCertificates));
  for (const Certificate& each : certificates)
    signer.state_->certificates.push_back(registry::der(each));
  return signer;
}

Trust::Trust() : state_(std::make_unique<State>()) {}
Trust::Trust(Trust&&) noexcept = default;
Trust& Trust::operator=(Trust&&) noexcept = default;
Trust::~Trust() = default;

void Trust::add_key(const std::filesystem::path& pem) {
  Key key = registry::read_public_key(pem);
  std::string hint = registry::hint_of(key.get());
  state_->keys.insert_or_assign(std::move(hint), std::move(key));
}

void Trust::add_root(const std::filesystem::path& pem) {
  for (Certificate& root : registry::read_certificates(pem))
    state_->roots.push_back(std::move(root));
}

void Trust::accept_expired(bool accept) {
  state_->accept_expired = accept;
}
bool Trust::empty() const {
  return state_->keys.empty() && state_->roots.empty();
}

std::string sign(std::string_view model_name, std::span<const SignedFile> files,
                 const Signer& signer) {
  Statement statement{std::string(model_name), ordered(files)};
  for (const SignedFile& file : statement.files)
    if (const std::string why = registry::why_no_path(file.path); !why.empty())
      throw Error(EINVAL, fmt::format("signature: the path {} {}", shown(file.path), why));
  Bundle bundle;
  bundle.payload = registry::print(statement);
  bundle.signature =
      registry::sign_bytes(signer.state().key.get(), registry::pre_authentication(bundle.payload));
  bundle.certificates = signer.state().certificates;
  if (bundle.certificates.empty()) bundle.key_hint = signer.state().key_hint;
  std::string text = registry::print(bundle);
  // What was made here can be read here: bad digests, or too many files, are told now.
  registry::parse_statement(registry::parse_bundle(text).payload);
  return text;
}

Verified verify(std::string_view bundle_text, std::span<const SignedFile> files,
                const Trust& trust) {
  const std::vector<SignedFile> there = ordered(files);
  const Bundle bundle = registry::parse_bundle(bundle_text);
  Verified verified = bundle.certificates.empty() ? check_key(bundle, trust.state())
                                                  : check_certificates(bundle, trust.state());
  Statement statement = registry::parse_statement(bundle.payload);
  verified.model_name = std::move(statement.model_name);
  compare(std::move(statement.files), there);
  return verified;
}

}  // namespace aiaccel
