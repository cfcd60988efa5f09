// SPDX-License-Identifier: MIT
//
// The layers of a model's signature, as text: the Sigstore bundle, in it the DSSE envelope, in that
// the in-toto statement. Parsing takes anything, from anybody: what is too long, too deep, said
// twice or not what it should be is refused with Error(EBADMSG), and nothing here trusts a key.
//
// Pure functions: safe from everywhere.
#pragma once

#include <aiaccel/signing.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace aiaccel::registry {

// A model of so many files that its bundle were longer could not be loaded in any useful time
// either.
inline constexpr std::size_t kMaxBundleBytes = std::size_t{16} << 20;
inline constexpr std::size_t kMaxCertificates = 10;

struct Bundle {
  std::string key_hint;                   // of a public key; may be "" in one of others
  std::vector<std::string> certificates;  // DER, the signer's first; none: a key signed
  std::string payload;                    // the statement, to the byte
  std::string signature;                  // DER
};

Bundle parse_bundle(std::string_view text);
std::string print(const Bundle& bundle);

// What is signed of a payload: DSSE's encoding of it and of its type.
std::string pre_authentication(std::string_view payload);

struct Statement {
  std::string model_name;
  std::vector<SignedFile> files;
};

// Compares the digest over all digests that is in it, too.
Statement parse_statement(std::string_view payload);
std::string print(const Statement& statement);

// What is wrong with a file's path, "" if nothing.
std::string why_no_path(std::string_view path);

// Puts files in the order of the format, which goes by the parts of their paths: "a/b" is before
// "a.b".
void put_in_order(std::vector<SignedFile>& files);

std::string hexadecimal(std::string_view bytes);

// What others wrote, as a message can show it.
std::string shown(std::string_view text);

}  // namespace aiaccel::registry
