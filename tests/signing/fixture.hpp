// SPDX-License-Identifier: MIT
//
// What the tests of signatures share: keys by the `openssl` command, certificates of any kind and
// age, statements and bundles put together by hand, so that each of their parts can be wrong while
// the rest is right. Test cases run one after the other.
#pragma once

#include <tap/tap.hpp>

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <aiaccel/signing.hpp>

#include "registry/signing_bundle.h"
#include "registry/signing_keys.h"

namespace fixture {

using aiaccel::SignedFile;
using aiaccel::Signer;
using aiaccel::Trust;
using aiaccel::registry::Bundle;
using nlohmann::json;

// A folder that goes with the test case.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/aiaccel-signing-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name));
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  BOOST_REQUIRE(in.good());
  return {std::istreambuf_iterator<char>(in), {}};
}

// What a command prints, which is to succeed.
inline std::string run(const std::string& command, int expected = 0) {
  std::string output;
  FILE* pipe = ::popen(("( " + command + " ) 2>&1").c_str(), "r");
  BOOST_REQUIRE(pipe);
  char block[4096];
  while (const std::size_t got = std::fread(block, 1, sizeof block, pipe))
    output.append(block, got);
  const int status = ::pclose(pipe);
  BOOST_REQUIRE_MESSAGE(WIFEXITED(status) && WEXITSTATUS(status) == expected,
                        command << ": " << output);
  return output;
}

// NAME.pem and NAME.pub.
struct KeyFiles {
  std::filesystem::path key, pub;
};

inline KeyFiles make_key(const Folder& folder, const std::string& name,
                         const std::string& curve = "P-256") {
  const KeyFiles files{folder / (name + ".pem"), folder / (name + ".pub")};
  run("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:" + curve + " -out " +
      files.key.string());
  run("openssl pkey -in " + files.key.string() + " -pubout -out " + files.pub.string());
  return files;
}

constexpr long kDay = 24 * 3600;

struct Wanted {
  std::string name;
  bool ca = false;
  std::string usage = "digitalSignature";  // "": none is said
  std::string extended = "codeSigning";
  long from = -kDay, until = 365 * kDay;  // from now
  const EVP_MD* digest = EVP_sha256();
};

// A certificate of `key`, by `issuer` with its key, or by itself.
inline std::filesystem::path certify(const Folder& folder, const Wanted& wanted,
                                     const KeyFiles& key, const std::filesystem::path& issuer = {},
                                     const std::filesystem::path& issuer_key = {}) {
  using namespace aiaccel::registry;
  static long serial = 0;
  const Key own = read_private_key(key.key, {});
  const Key by = read_private_key(issuer_key.empty() ? key.key : issuer_key, {});
  const Certificate made(X509_new());
  X509_set_version(made.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), wanted.from);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), wanted.until);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(wanted.name.c_str()), -1, -1,
                             0);
  X509_set_pubkey(made.get(), own.get());
  std::vector<Certificate> by_certificate;
  if (!issuer.empty()) by_certificate = read_certificates(issuer);
  X509* const from = issuer.empty() ? made.get() : by_certificate.front().get();
  X509_set_issuer_name(made.get(), X509_get_subject_name(from));
  const auto extend = [&](int nid, const std::string& value) {
    if (value.empty()) return;
    X509V3_CTX context;
    X509V3_set_ctx(&context, from, made.get(), nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    BOOST_REQUIRE(extension);
    X509_add_ext(made.get(), extension, -1);
    X509_EXTENSION_free(extension);
  };
  extend(NID_basic_constraints, wanted.ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  extend(NID_key_usage, wanted.usage);
  extend(NID_ext_key_usage, wanted.extended);
  extend(NID_subject_key_identifier, "hash");
  extend(NID_authority_key_identifier, issuer.empty() ? "" : "keyid");
  BOOST_REQUIRE(X509_sign(made.get(), by.get(), wanted.digest));
  const std::filesystem::path path = folder / (wanted.name + ".crt");
  FILE* out = std::fopen(path.c_str(), "w");
  BOOST_REQUIRE(out);
  PEM_write_X509(out, made.get());
  std::fclose(out);
  return path;
}

inline Wanted authority(const std::string& name) {
  return {.name = name, .ca = true, .usage = "keyCertSign,cRLSign", .extended = ""};
}

inline const std::string kA(64, 'a'), kB(64, 'b'), kC(64, 'c');
// In the format's order, which is not that of the bytes.
inline const std::vector<SignedFile> kFiles = {
    {"aiaccel.json", kA}, {"onnx/model.onnx", kB}, {"onnx.txt", kC}};

// Sorted, hashed and told as the specification says, without the library's help.
inline json statement(const std::vector<SignedFile>& files = kFiles) {
  std::string digests;
  json resources = json::array();
  for (const SignedFile& file : files) {
    for (std::size_t i = 0; i < file.sha256.size(); i += 2)
      digests += static_cast<char>(std::stoi(file.sha256.substr(i, 2), nullptr, 16));
    resources.push_back({{"name", file.path}, {"algorithm", "sha256"}, {"digest", file.sha256}});
  }
  unsigned char digest[32];
  unsigned size = 0;
  EVP_Digest(digests.data(), digests.size(), digest, &size, EVP_sha256(), nullptr);
  std::string text;
  for (const unsigned char byte : digest) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", byte);
    text += hex;
  }
  return {{"_type", "https://in-toto.io/Statement/v1"},
          {"subject", {{{"name", "speech"}, {"digest", {{"sha256", text}}}}}},
          {"predicateType", "https://model_signing/signature/v1.0"},
          {"predicate",
           {{"serialization",
             {{"method", "files"}, {"hash_type", "sha256"}, {"allow_symlinks", false}}},
            {"resources", resources}}}};
}

// A bundle whose signature is right for its payload, whatever that is.
inline std::string bundle_of(const std::string& payload, const KeyFiles& key) {
  const aiaccel::registry::Key opened = aiaccel::registry::read_private_key(key.key, {});
  Bundle bundle;
  bundle.key_hint = aiaccel::registry::hint_of(opened.get());
  bundle.payload = payload;
  bundle.signature =
      aiaccel::registry::sign_bytes(opened.get(), aiaccel::registry::pre_authentication(payload));
  return aiaccel::registry::print(bundle);
}

inline Trust trusting(const KeyFiles& key) {
  Trust trust;
  trust.add_key(key.pub);
  return trust;
}

// Asserts that it is refused with this errno, for a reason with `why` in it.
template <typename Call>
void refused(int error, const std::string& why, Call call) {
  try {
    call();
  } catch (const aiaccel::Error& thrown) {
    BOOST_TEST(thrown.code().value() == error, thrown.what());
    BOOST_TEST(std::string(thrown.what()).find(why) != std::string::npos, thrown.what());
    return;
  }
  BOOST_TEST(false, "nothing was refused: expected " << why);
}

}  // namespace fixture
