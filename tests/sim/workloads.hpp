// SPDX-License-Identifier: MIT
//
// What the workloads of the table (workloads.cpp) share: how they are played and measured. All that
// is compared is counted by the clients themselves.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "sim/host.hpp"

namespace sim {

// The part of `one` in what both had.
inline double part(Ns one, Ns other) {
  return static_cast<double>(one) / static_cast<double>(one + other);
}

inline double ratio(Ns a, Ns b) {
  return static_cast<double>(a) / static_cast<double>(b);
}

class Latencies {
 public:
  void add(Ns ns) { all_.push_back(ns); }
  std::size_t count() const { return all_.size(); }

  // 0 to 1, of those seen.
  Ns quantile(double q) {
    const auto n = static_cast<std::size_t>(q * static_cast<double>(all_.size() - 1));
    std::nth_element(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(n), all_.end());
    return all_[n];
  }

 private:
  std::vector<Ns> all_;
};

// One workload: asserts its bound. Each is in the file of its kind: fair.cpp, latency.cpp,
// classes.cpp, terms.cpp.
void weights();
void lengths();
void greedy_user();
void nesting_user();
void sleeper();
void liar();
void ten_thousand_tenants();
void switched();
void hog_and_interactive();
void interactive_beside_all();
void guarantees();
void wide_against_narrow();
void wide_in_vain();
void group_against_singles();
void poisson();
void deadlines();
void promises();
void deadline_mix();
void overruns_preemptible();
void overruns_gated();
void fills();
void leaves();
void renews();
void stopped();
void frozen();
void killed();

}  // namespace sim
