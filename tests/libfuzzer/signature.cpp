// SPDX-License-Identifier: MIT
//
// A bundle, or the statement in one, from anybody: it is refused with a reason, or it is what it
// seems to be. What was parsed prints as something that is parsed as the same, and every path in it
// stays in its folder. Certificates go through the check of their chain, the last of them trusted.
#include "registry/signing_bundle.h"

#include "libfuzzer/fuzz.hpp"
#include "registry/signing_keys.h"

#include <cerrno>

namespace {

using namespace aiaccel::registry;

void check_error(const aiaccel::Error& error) {
  const int code = error.code().value();
  MUST(code == EBADMSG || code == EOPNOTSUPP || code == ENOKEY || code == EKEYEXPIRED ||
       code == EKEYREJECTED);
  for (const char* c = error.what(); *c; ++c) MUST(static_cast<unsigned char>(*c) >= ' ');
}

void take_statement(const std::string& text) {
  const Statement statement = parse_statement(text);
  for (const aiaccel::SignedFile& file : statement.files) {
    MUST(file.sha256.size() == 64);
    MUST(why_no_path(file.path).empty());
    MUST(("/" + file.path + "/").find("/../") == std::string::npos);
  }
  const Statement again = parse_statement(print(statement));
  MUST(again.model_name == statement.model_name && again.files == statement.files);
}

void take_certificates(const Bundle& bundle) {
  std::vector<Certificate> chain, roots;
  for (const std::string& bytes : bundle.certificates) chain.push_back(parse_certificate(bytes));
  roots.push_back(parse_certificate(bundle.certificates.back()));
  check_chain(chain, roots, 1800000000);
  const Key key = signing_key(chain.front());
  verify_bytes(key.get(), pre_authentication(bundle.payload), bundle.signature);
}

void take_bundle(const std::string& text) {
  const Bundle bundle = parse_bundle(text);
  const Bundle again = parse_bundle(print(bundle));
  MUST(again.payload == bundle.payload && again.signature == bundle.signature);
  MUST(again.certificates == bundle.certificates && again.key_hint == bundle.key_hint);
  take_statement(bundle.payload);
  if (!bundle.certificates.empty()) take_certificates(bundle);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = fuzz::Input(data, size).rest();
  for (const auto take : {take_bundle, take_statement}) try {
      take(text);
    } catch (const aiaccel::Error& error) {
      check_error(error);
    }
  return 0;
}
