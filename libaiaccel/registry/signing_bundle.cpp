// SPDX-License-Identifier: MIT
//
// See signing_bundle.h.
#include "registry/signing_bundle.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

namespace aiaccel::registry {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json";
constexpr const char* kPayloadType = "application/vnd.in-toto+json";
constexpr const char* kStatementType = "https://in-toto.io/Statement/v1";
constexpr const char* kPredicateType = "https://model_signing/signature/v1.0";

constexpr std::size_t kMaxDepth = 16;
constexpr std::size_t kDigestBytes = SHA256_DIGEST_LENGTH;

[[noreturn]] void refuse(const std::string& why) {
  throw Error(EBADMSG, "signature: " + why);
}

// A key that is there twice means one thing to this reader and another to the next.
json parse_json(std::string_view text, const char* what) {
  std::vector<std::set<std::string>> keys;
  std::size_t depth = 0;
  const auto watch = [&](int, json::parse_event_t event, const json& value) {
    switch (event) {
      case json::parse_event_t::object_start:
        keys.emplace_back();
        [[fallthrough]];
      case json::parse_event_t::array_start:
        if (++depth > kMaxDepth) refuse(fmt::format("{} is nested too deeply", what));
        break;
      case json::parse_event_t::object_end:
        keys.pop_back();
        [[fallthrough]];
      case json::parse_event_t::array_end:
        --depth;
        break;
      case json::parse_event_t::key: {
        const auto& key = value.get_ref<const std::string&>();
        if (!keys.back().insert(key).second)
          refuse(fmt::format("{} says {} twice", what, shown(key)));
        break;
      }
      case json::parse_event_t::value:
        break;
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), watch);
  } catch (const json::exception& error) {
    refuse(fmt::format("{} is no JSON: {}", what, shown(error.what())));
  }
}

// A member that is null is as good as none: so protocol buffers have it.
const json* find(const json& in, const char* name) {
  const auto found = in.find(name);
  return found == in.end() || found->is_null() ? nullptr : &*found;
}

const json& member(const json& in, const char* name, json::value_t type) {
  const json* found = find(in, name);
  if (!found) refuse(fmt::format("'{}' is missing", name));
  if (found->type() != type) refuse(fmt::format("'{}' is of the wrong type", name));
  return *found;
}

const json& object(const json& in, const char* name) {
  return member(in, name, json::value_t::object);
}

const json& array(const json& in, const char* name) {
  return member(in, name, json::value_t::array);
}

const std::string& text(const json& in, const char* name) {
  return member(in, name, json::value_t::string).get_ref<const std::string&>();
}

void must_be(const json& in, const char* name, const char* expected) {
  const std::string& found = text(in, name);
  if (found != expected) refuse(fmt::format("'{}' is {}, not '{}'", name, shown(found), expected));
}

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string base64(std::string_view bytes) {
  std::string result;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j)
      bits = bits << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0);
    for (std::size_t j = 0; j < 4; ++j)
      result += i + j <= bytes.size() ? kBase64[bits >> (18 - 6 * j) & 63] : '=';
  }
  return result;
}

// Both alphabets, with padding or without, as protocol buffers' JSON has it; one text for one
// value.
std::string from_base64(std::string_view digits, const char* name) {
  std::size_t padding = 0;
  while (padding < 2 && digits.ends_with('=')) {
    digits.remove_suffix(1);
    ++padding;
  }
  std::string result;
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char c : digits) {
    const char standard = c == '-' ? '+' : c == '_' ? '/' : c;
    const std::size_t value = kBase64.find(standard);
    if (value == kBase64.npos) refuse(fmt::format("'{}' is no base64", name));
    bits = (bits << 6 | static_cast<std::uint32_t>(value)) & 0xffff;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    result += static_cast<char>(bits >> held & 0xff);
  }
  if (digits.size() % 4 == 1 || (padding && (digits.size() + padding) % 4) ||
      (bits & ((1U << held) - 1)))
    refuse(fmt::format("'{}' is base64 that ends wrongly", name));
  return result;
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// A SHA-256 out of its 64 digits; "" if they are no such thing.
std::string from_hexadecimal(std::string_view digits) {
  std::string result;
  if (digits.size() != 2 * kDigestBytes) return result;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    const int high = digit(digits[i]), low = digit(digits[i + 1]);
    if (high < 0 || low < 0) return {};
    result += static_cast<char>(high << 4 | low);
  }
  return result;
}

std::string digest_of_digests(const std::vector<SignedFile>& files) {
  std::string all;
  for (const SignedFile& file : files) all += from_hexadecimal(file.sha256);
  unsigned char digest[kDigestBytes];
  ::SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(), digest);
  return hexadecimal({reinterpret_cast<const char*>(digest), sizeof digest});
}

std::vector<std::string> parse_certificates(const json& material) {
  std::vector<std::string> certificates;
  if (find(material, "certificate")) {
    certificates.push_back(
        from_base64(text(object(material, "certificate"), "rawBytes"), "certificate"));
    return certificates;
  }
  const json& chain = array(object(material, "x509CertificateChain"), "certificates");
  if (chain.empty()) refuse("it has no certificate");
  if (chain.size() > kMaxCertificates)
    refuse(fmt::format("it has more than {} certificates", kMaxCertificates));
  for (const json& certificate : chain) {
    if (!certificate.is_object()) refuse("a certificate is of the wrong type");
    certificates.push_back(from_base64(text(certificate, "rawBytes"), "certificate"));
  }
  return certificates;
}

// What else there is, and how it was made of files. One that is not known may mean anything.
void check_serialization(const json& how) {
  const std::string& method = text(how, "method");
  if (method != "files")
    throw Error(EOPNOTSUPP,
                fmt::format("signature: made of {}, not of whole files", shown(method)));
  const std::string& hash = text(how, "hash_type");
  if (hash != "sha256")
    throw Error(EOPNOTSUPP, fmt::format("signature: made with {}, not with sha256", shown(hash)));
}

SignedFile parse_resource(const json& resource) {
  if (!resource.is_object()) refuse("a resource is of the wrong type");
  SignedFile file{text(resource, "name"), text(resource, "digest")};
  if (const std::string why = why_no_path(file.path); !why.empty())
    refuse(fmt::format("the path {} {}", shown(file.path), why));
  if (text(resource, "algorithm") != "sha256")
    refuse(fmt::format("{} is not hashed with sha256", shown(file.path)));
  const std::string digest = from_hexadecimal(file.sha256);
  if (digest.empty()) refuse(fmt::format("the digest of {} is none", shown(file.path)));
  file.sha256 = hexadecimal(digest);
  return file;
}

}  // namespace

std::string hexadecimal(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string result;
  result.reserve(2 * bytes.size());
  for (const char c : bytes) {
    result += digits[static_cast<unsigned char>(c) >> 4];
    result += digits[static_cast<unsigned char>(c) & 15];
  }
  return result;
}

std::string shown(std::string_view text) {
  std::string result = "'";
  for (const char c : text.substr(0, 100)) result += c >= ' ' && c < 127 ? c : '?';
  return result + (text.size() > 100 ? "…'" : "'");
}

std::string why_no_path(std::string_view path) {
  if (path.empty()) return "is empty";
  if (path.size() > PATH_MAX) return "is too long";
  if (path.front() == '/') return "does not lie in the model's folder";
  for (const char c : path)
    if (static_cast<unsigned char>(c) < ' ' || c == 127) return "has a control character";
  for (;;) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    if (part == "..") return "leaves the model's folder";
    if (part.empty() || part == ".") return "is not in its shortest form";
    if (end == path.size()) return {};
    path.remove_prefix(end + 1);
  }
}

void put_in_order(std::vector<SignedFile>& files) {
  const auto rank = [](char c) {
    return c == '/' ? 0 : static_cast<int>(static_cast<unsigned char>(c));
  };
  std::sort(files.begin(), files.end(), [&](const SignedFile& a, const SignedFile& b) {
    return std::lexicographical_compare(a.path.begin(), a.path.end(), b.path.begin(), b.path.end(),
                                        [&](char x, char y) { return rank(x) < rank(y); });
  });
}

Bundle parse_bundle(std::string_view input) {
  if (input.size() > kMaxBundleBytes)
    refuse(fmt::format("it has more than {} bytes", kMaxBundleBytes));
  const json root = parse_json(input, "the bundle");
  if (!root.is_object()) refuse("the bundle is no object");
  must_be(root, "mediaType", kMediaType);

  Bundle bundle;
  const json& material = object(root, "verificationMaterial");
  const bool by_key = find(material, "publicKey");
  if (by_key + !!find(material, "certificate") + !!find(material, "x509CertificateChain") != 1)
    refuse("it needs either a key or certificates");
  if (!by_key)
    bundle.certificates = parse_certificates(material);
  else if (const json& key = object(material, "publicKey"); find(key, "hint"))
    bundle.key_hint = text(key, "hint");

  if (find(root, "messageSignature")) refuse("it is one of a message, not of a model");
  const json& envelope = object(root, "dsseEnvelope");
  must_be(envelope, "payloadType", kPayloadType);
  bundle.payload = from_base64(text(envelope, "payload"), "payload");
  const json& signatures = array(envelope, "signatures");
  if (signatures.size() != 1 || !signatures[0].is_object())
    refuse(fmt::format("the envelope has {} signatures, not one", signatures.size()));
  bundle.signature = from_base64(text(signatures[0], "sig"), "sig");
  return bundle;
}

std::string print(const Bundle& bundle) {
  ordered_json material;
  if (bundle.certificates.empty()) {
    material["publicKey"]["hint"] = bundle.key_hint;
  } else {
    ordered_json& chain = material["x509CertificateChain"]["certificates"] = ordered_json::array();
    for (const std::string& certificate : bundle.certificates)
      chain.push_back({{"rawBytes", base64(certificate)}});
  }
  material["tlogEntries"] = ordered_json::array();
  ordered_json root;
  root["mediaType"] = kMediaType;
  root["verificationMaterial"] = std::move(material);
  ordered_json& envelope = root["dsseEnvelope"];
  envelope["payload"] = base64(bundle.payload);
  envelope["payloadType"] = kPayloadType;
  envelope["signatures"] = ordered_json::array();
  envelope["signatures"].push_back({{"sig", base64(bundle.signature)}, {"keyid", ""}});
  return root.dump() + "\n";
}

std::string pre_authentication(std::string_view payload) {
  const std::string_view type = kPayloadType;
  return fmt::format("DSSEv1 {} {} {} {}", type.size(), type, payload.size(), payload);
}

Statement parse_statement(std::string_view payload) {
  const json root = parse_json(payload, "the statement");
  if (!root.is_object()) refuse("the statement is no object");
  must_be(root, "_type", kStatementType);
  must_be(root, "predicateType", kPredicateType);
  const json& subjects = array(root, "subject");
  if (subjects.size() != 1 || !subjects[0].is_object())
    refuse(fmt::format("the statement is of {} subjects, not of one", subjects.size()));

  Statement statement;
  statement.model_name = text(subjects[0], "name");
  const json& predicate = object(root, "predicate");
  check_serialization(object(predicate, "serialization"));
  std::set<std::string_view> paths;
  const json& resources = array(predicate, "resources");
  statement.files.reserve(resources.size());
  for (const json& resource : resources) {
    statement.files.push_back(parse_resource(resource));
    if (!paths.insert(text(resource, "name")).second)
      refuse(fmt::format("{} is listed twice", shown(statement.files.back().path)));
  }
  const std::string digest = from_hexadecimal(text(object(subjects[0], "digest"), "sha256"));
  if (digest.empty() || hexadecimal(digest) != digest_of_digests(statement.files))
    refuse("the statement's digest is not that of its files' digests");
  return statement;
}

std::string print(const Statement& statement) {
  ordered_json subject, predicate;
  subject["name"] = statement.model_name;
  subject["digest"]["sha256"] = digest_of_digests(statement.files);
  predicate["serialization"] = {{"method", "files"},
                                {"hash_type", "sha256"},
                                {"allow_symlinks", false},
                                {"ignore_paths", ordered_json::array()}};
  predicate["resources"] = ordered_json::array();
  for (const SignedFile& file : statement.files)
    predicate["resources"].push_back(
        {{"name", file.path}, {"algorithm", "sha256"}, {"digest", file.sha256}});
  ordered_json root;
  root["_type"] = kStatementType;
  root["subject"] = ordered_json::array();
  root["subject"].push_back(std::move(subject));
  root["predicateType"] = kPredicateType;
  root["predicate"] = std::move(predicate);
  try {
    return root.dump();
  } catch (const ordered_json::exception&) {
    throw Error(EINVAL, "signature: a path that is no UTF-8 cannot be signed");
  }
}

}  // namespace aiaccel::registry
