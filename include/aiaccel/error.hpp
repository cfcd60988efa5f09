// SPDX-License-Identifier: MIT
//
// What the library throws. code() is the errno in std::generic_category(), what() says what failed
// and, where a limit refused, which one.
#ifndef AIACCEL_ERROR_HPP
#define AIACCEL_ERROR_HPP

#include <aiaccel.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>

namespace aiaccel {

class Error : public std::system_error {
 public:
  // `error` is a positive errno; `refused_by` one of enum aiaccel_refusal.
  Error(int error, const std::string& what, std::uint32_t refused_by = AIACCEL_REFUSED_NOT)
      : std::system_error(error, std::generic_category(), describe(what, refused_by)),
        refused_by_(refused_by) {}

  // The limit that refused, AIACCEL_REFUSED_NOT where none did.
  std::uint32_t refused_by() const noexcept { return refused_by_; }

 private:
  static std::string describe(const std::string& what, std::uint32_t refused_by) {
    if (refused_by == AIACCEL_REFUSED_NOT) return what;
    return what + " (refused by " + aiaccel_refusal_name(refused_by) + ")";
  }

  std::uint32_t refused_by_;
};

// A turn was revoked (ESTALE): others may have had its slots since, beside work that went on. The
// turn is over; what it computed is as good as what the program knows of those others.
class Revoked : public Error {
 public:
  explicit Revoked(const std::string& what) : Error(ESTALE, what) {}
};

namespace detail {

// Turns the C interface's negative errno into an exception.
inline void check(int result, const char* what, std::uint32_t refused_by = AIACCEL_REFUSED_NOT) {
  if (result == -ESTALE) throw Revoked(what);
  if (result < 0) throw Error(-result, what, refused_by);
}

}  // namespace detail
}  // namespace aiaccel

#endif  // AIACCEL_ERROR_HPP
