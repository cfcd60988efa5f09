// SPDX-License-Identifier: MIT
//
// Random numbers that a seed gives again (splitmix64). Each step of a thread has a seed of its own,
// so that what a step does depends on its seed and on what lives, not on what steps before it drew.
// One for each thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fuzz {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint32_t below(uint64_t n) { return static_cast<uint32_t>(next() % n); }
  bool percent(uint32_t n) { return below(100) < n; }

  template <typename T, size_t N>
  T one_of(const T (&values)[N]) {
    return values[below(N)];
  }

 private:
  uint64_t state_;
};

}  // namespace fuzz
