// SPDX-License-Identifier: MIT
//
// Sizes as one writes them: 20_GiB.
#ifndef AIACCEL_UNITS_HPP
#define AIACCEL_UNITS_HPP

#include <cstdint>

namespace aiaccel {
inline namespace literals {

constexpr std::uint64_t operator""_KiB(unsigned long long n) { return n << 10; }
constexpr std::uint64_t operator""_MiB(unsigned long long n) { return n << 20; }
constexpr std::uint64_t operator""_GiB(unsigned long long n) { return n << 30; }

}  // namespace literals
}  // namespace aiaccel

#endif  // AIACCEL_UNITS_HPP
