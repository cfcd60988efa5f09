// SPDX-License-Identifier: MIT
//
// See signing_keys.h.
#include "registry/signing_keys.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

#include "registry/signing_bundle.h"

namespace aiaccel::registry {
namespace {

using Bio = std::unique_ptr<BIO, FreeBy<BIO_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeBy<EVP_MD_CTX_free>>;
using Store = std::unique_ptr<X509_STORE, FreeBy<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, FreeBy<X509_STORE_CTX_free>>;
// The stack alone: what is on it is another's.
using Stack =
    std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * s) { sk_X509_free(s); })>;

constexpr std::size_t kMaxPemBytes = std::size_t{1} << 20;
constexpr int kStrengthLevel = 2;  // 112 bits: RSA from 2048 bits on, no SHA-1

struct Curve {
  const char* name;
  const char* digest;
};
constexpr Curve kCurves[] = {
    {"prime256v1", "SHA256"}, {"secp384r1", "SHA384"}, {"secp521r1", "SHA512"}};

// First in whatever calls OpenSSL: what that notes is forgotten at the end, and what was noted
// before is for the program that called.
class Errors {
 public:
  Errors() { ERR_set_mark(); }
  Errors(const Errors&) = delete;
  Errors& operator=(const Errors&) = delete;
  ~Errors() { ERR_pop_to_mark(); }
};

std::string openssl_reason() {
  const unsigned long last = ERR_peek_last_error();
  const char* reason = last ? ERR_reason_error_string(last) : nullptr;
  return reason ? reason : "no reason given";
}

template <typename T>
T* required(T* made, const char* what) {
  if (!made) throw Error(ENOMEM, fmt::format("OpenSSL: {}: {}", what, openssl_reason()));
  return made;
}

void required(int result, const char* what) {
  if (result != 1) throw Error(EIO, fmt::format("OpenSSL: {}: {}", what, openssl_reason()));
}

[[noreturn]] void reject(const std::string& what, const std::string& why) {
  throw Error(EKEYREJECTED, what + ": " + why);
}

class File {
 public:
  // O_NONBLOCK: a pipe has no end that would be waited for.
  explicit File(const std::filesystem::path& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
    if (fd_ < 0) throw Error(errno, path.string());
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(fd_); }
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Text that may be a private key does not stay in memory.
struct Secret {
  std::string text;
  ~Secret() { OPENSSL_cleanse(text.data(), text.capacity()); }
};

void read_pem(const std::filesystem::path& path, Secret& into) {
  const File file(path);
  struct stat status;
  if (::fstat(file.fd(), &status) < 0) throw Error(errno, path.string());
  if (!S_ISREG(status.st_mode)) throw Error(EINVAL, path.string() + ": is no regular file");
  if (static_cast<std::size_t>(status.st_size) > kMaxPemBytes)
    throw Error(EFBIG, path.string() + ": is too long for keys or certificates");
  into.text.resize(static_cast<std::size_t>(status.st_size));
  std::size_t got = 0;
  while (got < into.text.size()) {
    const ssize_t bytes = ::read(file.fd(), into.text.data() + got, into.text.size() - got);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) throw Error(errno, path.string());
    if (bytes == 0) break;
    got += static_cast<std::size_t>(bytes);
  }
  into.text.resize(got);
}

Bio bio_of(std::string_view text) {
  return Bio(
      required(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), "BIO_new_mem_buf"));
}

// What OpenSSL's callback is given, and what comes of it.
struct Asking {
  const Signer::Passphrase* passphrase;
  bool asked = false;
  std::exception_ptr thrown;
};

// Always given: without one, OpenSSL would ask on the terminal.
int ask(char* into, int size, int, void* data) {
  auto& asking = *static_cast<Asking*>(data);
  asking.asked = true;
  if (!*asking.passphrase) return -1;
  try {
    Secret answer{(*asking.passphrase)()};
    if (answer.text.size() > static_cast<std::size_t>(size)) return -1;
    std::memcpy(into, answer.text.data(), answer.text.size());
    return static_cast<int>(answer.text.size());
  } catch (...) {
    asking.thrown = std::current_exception();
    return -1;
  }
}

// Nothing where the key is none that signs models.
const Curve* curve_of(EVP_PKEY* key) {
  char name[64];
  std::size_t length = 0;
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
      EVP_PKEY_get_group_name(key, name, sizeof name, &length) != 1)
    return nullptr;
  // Parameters that are those of a known curve but for what an attacker chose are not asked for.
  int spelled_out = 0;
  if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &spelled_out) ==
          1 &&
      spelled_out)
    return nullptr;
  for (const Curve& curve : kCurves)
    if (std::strcmp(name, curve.name) == 0) return &curve;
  return nullptr;
}

const Curve& known_curve(EVP_PKEY* key, const std::string& whose) {
  const Errors errors;
  const Curve* curve = curve_of(key);
  if (!curve) reject(whose, "is no key on the curve P-256, P-384 or P-521");
  return *curve;
}

Key checked(Key key, const std::string& whose) {
  const Errors errors;
  known_curve(key.get(), whose);
  // One form for one key, whatever form its file has: hints are made of it.
  required(EVP_PKEY_set_utf8_string_param(key.get(), OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                          "uncompressed"),
           "EVP_PKEY_set_utf8_string_param");
  return key;
}

// Of one that lists its uses.
bool is_for_code(X509* certificate) {
  return (X509_get_extended_key_usage(certificate) & (XKU_CODE_SIGN | XKU_ANYEKU)) != 0;
}

int error_for(int verify_error) {
  switch (verify_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return EKEYEXPIRED;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return ENOKEY;
    default:
      return EKEYREJECTED;
  }
}

}  // namespace

Key read_private_key(const std::filesystem::path& pem, const Signer::Passphrase& passphrase) {
  const Errors errors;
  Secret secret;
  read_pem(pem, secret);
  const Bio bio = bio_of(secret.text);
  Asking asking{&passphrase, false, {}};
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, ask, &asking));
  const std::string reason = openssl_reason();
  if (asking.thrown) std::rethrow_exception(asking.thrown);
  if (!key && asking.asked)
    reject(pem.string(),
           passphrase ? "the passphrase does not fit" : "is encrypted: it needs a passphrase");
  if (!key) reject(pem.string(), fmt::format("is no private key in PEM ({})", reason));
  return checked(std::move(key), pem.string());
}

Key read_public_key(const std::filesystem::path& pem) {
  const Errors errors;
  Secret secret;
  read_pem(pem, secret);
  const Bio bio = bio_of(secret.text);
  Key key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  const std::string reason = openssl_reason();
  if (!key) reject(pem.string(), fmt::format("is no public key in PEM ({})", reason));
  return checked(std::move(key), pem.string());
}

std::vector<Certificate> read_certificates(const std::filesystem::path& pem) {
  const Errors errors;
  Secret secret;
  read_pem(pem, secret);
  const Bio bio = bio_of(secret.text);
  std::vector<Certificate> certificates;
  while (Certificate next{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)})
    certificates.push_back(std::move(next));
  // The end of the text is told by this error; any other is of a certificate that is broken.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string reason = openssl_reason();
  if (!at_end || certificates.empty())
    reject(pem.string(), fmt::format("is no certificate in PEM ({})", reason));
  return certificates;
}

Certificate parse_certificate(std::string_view der) {
  const Errors errors;
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  const std::string reason = openssl_reason();
  if (!certificate || at != reinterpret_cast<const unsigned char*>(der.data() + der.size()))
    throw Error(EBADMSG, fmt::format("signature: a certificate in it is none ({})", reason));
  return certificate;
}

std::string der(const Certificate& certificate) {
  const Errors errors;
  unsigned char* bytes = nullptr;
  const int length = i2d_X509(certificate.get(), &bytes);
  if (length < 0) required(0, "i2d_X509");
  std::string result(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
  OPENSSL_free(bytes);
  return result;
}

std::string subject(const X509* certificate) {
  const Errors errors;
  const Bio bio(required(BIO_new(BIO_s_mem()), "BIO_new"));
  // Control characters and what is no ASCII are escaped.
  X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  const char* text = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &text);
  return length > 0 ? std::string(text, static_cast<std::size_t>(length)) : "(no name)";
}

std::string hint_of(EVP_PKEY* key) {
  const Errors errors;
  const Bio bio(required(BIO_new(BIO_s_mem()), "BIO_new"));
  required(PEM_write_bio_PUBKEY(bio.get(), key), "PEM_write_bio_PUBKEY");
  const char* text = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &text);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  required(EVP_Digest(text, static_cast<std::size_t>(length), digest, &size, EVP_sha256(), nullptr),
           "EVP_Digest");
  return hexadecimal({reinterpret_cast<const char*>(digest), size});
}

std::string sign_bytes(EVP_PKEY* key, std::string_view bytes) {
  const Errors errors;
  const Curve& curve = known_curve(key, "the key to sign with");
  const DigestContext context(required(EVP_MD_CTX_new(), "EVP_MD_CTX_new"));
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t size = 0;
  required(
      EVP_DigestSignInit_ex(context.get(), nullptr, curve.digest, nullptr, nullptr, key, nullptr),
      "EVP_DigestSignInit_ex");
  required(EVP_DigestSign(context.get(), nullptr, &size, data, bytes.size()), "EVP_DigestSign");
  std::string signature(size, '\0');
  required(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                          data, bytes.size()),
           "EVP_DigestSign");
  signature.resize(size);
  return signature;
}

bool verify_bytes(EVP_PKEY* key, std::string_view bytes, std::string_view signature) {
  const Errors errors;
  const Curve& curve = known_curve(key, "the key to verify with");
  const DigestContext context(required(EVP_MD_CTX_new(), "EVP_MD_CTX_new"));
  required(
      EVP_DigestVerifyInit_ex(context.get(), nullptr, curve.digest, nullptr, nullptr, key, nullptr),
      "EVP_DigestVerifyInit_ex");
  const int result = EVP_DigestVerify(
      context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
      reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return result == 1;
}

Key signing_key(const Certificate& certificate) {
  const Errors errors;
  const std::string whose = "the certificate of " + subject(certificate.get());
  Key key(X509_get_pubkey(certificate.get()));
  if (!key) reject(whose, "has a key that cannot be read");
  key = checked(std::move(key), whose);
  // The format asks for one of the two uses. Where a certificate lists what it is for, that has to
  // be among it: else whoever has one for a web server, from the same root, could sign models.
  const std::uint32_t flags = X509_get_extension_flags(certificate.get());
  const bool may_sign =
      flags & EXFLAG_KUSAGE && X509_get_key_usage(certificate.get()) & KU_DIGITAL_SIGNATURE;
  const bool for_code = flags & EXFLAG_XKUSAGE && is_for_code(certificate.get());
  if (flags & EXFLAG_INVALID) reject(whose, "has extensions that cannot be read");
  if (!may_sign && !for_code)
    reject(whose, "is not one for signatures: its key usage does not say so");
  if (flags & EXFLAG_XKUSAGE && !for_code)
    reject(whose, "is for other uses: its extended key usage lacks code signing");
  return key;
}

namespace {

// Where an authority lists what it is for, that bounds those below it: one that may vouch for web
// servers makes no signers of models, whatever it writes into their certificates.
void check_uses_above(X509_STORE_CTX* verified, const Certificate& first) {
  const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(verified);
  for (int i = 1; i < sk_X509_num(chain); ++i) {
    X509* const above = sk_X509_value(chain, i);
    if (!(X509_get_extension_flags(above) & EXFLAG_XKUSAGE) || is_for_code(above)) continue;
    reject("signed with the certificate of " + subject(first.get()),
           "by way of " + subject(above) +
               ", which is for other uses: its extended key usage lacks code signing");
  }
}

}  // namespace

void check_chain(const std::vector<Certificate>& chain, const std::vector<Certificate>& roots,
                 std::time_t when) {
  const Errors errors;
  if (roots.empty())
    throw Error(ENOKEY, "signed with the certificate of " + subject(chain.front().get()) +
                            ", while no certificate is trusted");
  const Store store(required(X509_STORE_new(), "X509_STORE_new"));
  for (const Certificate& root : roots)
    required(X509_STORE_add_cert(store.get(), root.get()), "X509_STORE_add_cert");
  const Stack others(required(sk_X509_new_null(), "sk_X509_new_null"));
  for (std::size_t i = 1; i < chain.size(); ++i)
    if (sk_X509_push(others.get(), chain[i].get()) <= 0) required(0, "sk_X509_push");

  const StoreContext context(required(X509_STORE_CTX_new(), "X509_STORE_CTX_new"));
  required(X509_STORE_CTX_init(context.get(), store.get(), chain.front().get(), others.get()),
           "X509_STORE_CTX_init");
  X509_VERIFY_PARAM* how = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(how, when);
  X509_VERIFY_PARAM_set_auth_level(how, kStrengthLevel);
  X509_VERIFY_PARAM_set_depth(how, static_cast<int>(kMaxCertificates));
  // Whoever names a certificate that others signed trusts that one, and not all of theirs.
  required(X509_VERIFY_PARAM_set_flags(how, X509_V_FLAG_PARTIAL_CHAIN),
           "X509_VERIFY_PARAM_set_flags");
  const int result = X509_verify_cert(context.get());
  const int error = X509_STORE_CTX_get_error(context.get());
  if (result == 1 && error == X509_V_OK) return check_uses_above(context.get(), chain.front());
  throw Error(error_for(error),
              fmt::format("signed with the certificate of {}, which does not count: {}",
                          subject(chain.front().get()), X509_verify_cert_error_string(error)));
}

std::time_t first_day(const Certificate& certificate) {
  const Errors errors;
  std::tm time{};
  required(ASN1_TIME_to_tm(X509_get0_notBefore(certificate.get()), &time), "ASN1_TIME_to_tm");
  return ::timegm(&time);
}

}  // namespace aiaccel::registry
