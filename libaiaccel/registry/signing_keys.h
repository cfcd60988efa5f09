// SPDX-License-Identifier: MIT
//
// Keys and certificates by OpenSSL: reading them out of PEM files, what they sign, and whether a
// chain of certificates leads to one that is trusted. A key here is always one on a curve of the
// format, named by its curve, never by its parameters; each curve has the digest of its size.
//
// No state of its own; OpenSSL's objects may be read by several threads. What OpenSSL noted of
// a failure is taken into the Error and not left to the program, whose own errors stay.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <aiaccel/signing.hpp>

#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace aiaccel::registry {

template <auto free>
struct FreeBy {
  template <typename T>
  void operator()(T* what) const {
    free(what);
  }
};

using Key = std::unique_ptr<EVP_PKEY, FreeBy<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, FreeBy<X509_free>>;

Key read_private_key(const std::filesystem::path& pem, const Signer::Passphrase& passphrase);
Key read_public_key(const std::filesystem::path& pem);
std::vector<Certificate> read_certificates(const std::filesystem::path& pem);  // at least one

Certificate parse_certificate(std::string_view der);  // throws Error(EBADMSG)
std::string der(const Certificate& certificate);
std::string subject(const X509* certificate);

// SHA-256 of the public key as PEM, by which bundles name it.
std::string hint_of(EVP_PKEY* key);

std::string sign_bytes(EVP_PKEY* key, std::string_view bytes);
bool verify_bytes(EVP_PKEY* key, std::string_view bytes, std::string_view signature);

// The key of a certificate that may sign models; throws Error(EKEYREJECTED) with the reason.
Key signing_key(const Certificate& certificate);

// Throws Error(ENOKEY, EKEYEXPIRED or EKEYREJECTED) unless one of `roots` vouches for chain[0] at
// that time.
void check_chain(const std::vector<Certificate>& chain, const std::vector<Certificate>& roots,
                 std::time_t when);
std::time_t first_day(const Certificate& certificate);

}  // namespace aiaccel::registry
