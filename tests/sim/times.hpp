// SPDX-License-Identifier: MIT
//
// How long things take in the simulator, by chance. In integers only, so that a seed plays the same
// on every machine, whatever its libm and its compiler make of real numbers.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <utility>

#include "core/choices.hpp"

namespace sim {

using Ns = std::uint64_t;
constexpr Ns kSecond = 1'000'000'000;
constexpr Ns kMs = 1'000'000;

// The numbers of a seed; or those that somebody else chooses, such as a fuzzer.
class Random {
 public:
  explicit Random(std::uint64_t seed) : generator_(seed) {}
  explicit Random(Choices choices) : choices_(std::move(choices)) {}
  std::uint64_t operator()() { return choices_ ? choices_() : generator_(); }
  // What is left of 2^64 favours some by nothing that is ever seen.
  std::uint64_t below(std::uint64_t end) { return (*this)() % end; }

 private:
  std::mt19937_64 generator_{};
  Choices choices_{};
};

// Times of one kind: how long from one job to the next, or how long a job takes.
using Times = std::function<Ns(Random&)>;

inline Times constant(Ns ns) {
  return [ns](Random&) { return ns; };
}

// From `least_ns` to below `end_ns`, all alike.
inline Times uniform(Ns least_ns, Ns end_ns) {
  return [=](Random& random) { return least_ns + random.below(end_ns - least_ns); };
}

// Both alike often.
inline Times either(Times one, Times other) {
  return [=](Random& random) { return random.below(2) ? one(random) : other(random); };
}

// By von Neumann's comparison of uniform numbers: u is taken with probability exp(-u), else one is
// added and all begins again. (J. von Neumann, Various techniques used in connection with random
// digits, 1951) The mean is met to half a nanosecond.
inline Times exponential(Ns mean_ns) {
  return [mean_ns](Random& random) {
    for (Ns whole_ns = 0;; whole_ns += mean_ns) {
      const std::uint64_t u = random();
      std::uint64_t least = u, next = random();
      bool taken = true;
      for (; next < least; next = random()) {
        least = next;
        taken = !taken;
      }
      if (taken)
        return whole_ns + static_cast<Ns>(static_cast<unsigned __int128>(u) * mean_ns >> 64);
    }
  };
}

}  // namespace sim
