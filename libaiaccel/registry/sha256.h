// SPDX-License-Identifier: MIT
//
// SHA-256 by OpenSSL, which uses what the processor has for it. One thread at a time.
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace aiaccel::registry {

class Sha256 {
 public:
  Sha256();
  void update(const void* bytes, std::size_t count);
  std::string hex();  // of all that was given; nothing can be added after

  static std::string of(std::string_view text);

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace aiaccel::registry
