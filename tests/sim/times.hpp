// SPDX-License-Identifier: MIT
//
// How long things take in the simulator, by chance.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <random>

namespace sim {

using Ns = std::uint64_t;
constexpr Ns kSecond = 1'000'000'000;
constexpr Ns kMs = 1'000'000;

// Times of one kind: how long from one job to the next, or how long a job takes.
using Times = std::function<Ns(std::mt19937_64&)>;

inline Times constant(Ns ns) {
  return [ns](std::mt19937_64&) { return ns; };
}

// Not std::exponential_distribution, whose numbers are its implementation's affair.
inline Times exponential(double mean_ns) {
  return [mean_ns](std::mt19937_64& random) {
    const double uniform = (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53;
    return static_cast<Ns>(-std::log(uniform) * mean_ns);
  };
}

}  // namespace sim
