// SPDX-License-Identifier: MIT
//
// How often each call of the device was made and with what result, over all processes: counters in
// memory that is shared by fork, so that nothing is lost when a process is killed.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace fuzz {

inline constexpr int kMaxCalls = 32;
inline constexpr int kMaxErrno = 134;
inline constexpr int kMaxActs = 64;

class Tally {
 public:
  static Tally& create();

  // 0 or an errno
  void count(int call, int error) {
    results_[call][error < kMaxErrno ? error : kMaxErrno - 1].fetch_add(1,
                                                                        std::memory_order_relaxed);
  }
  void count_act(int act) { acts_[act].fetch_add(1, std::memory_order_relaxed); }

  uint64_t acts(int act) const { return acts_[act]; }
  uint64_t all_acts() const;
  uint64_t all_calls() const;
  uint64_t made(int call) const;
  uint64_t succeeded(int call) const { return results_[call][0]; }
  // "EINVAL 12, ENOENT 3", the most frequent first
  std::string errors(int call) const;

 private:
  std::atomic<uint64_t> results_[kMaxCalls][kMaxErrno];
  std::atomic<uint64_t> acts_[kMaxActs];
};

}  // namespace fuzz
