// SPDX-License-Identifier: MIT
//
// Who had an engine when, as its holders saw it: each writes down when it learned of its turn, when
// it was about to complete it, and when that had been done, on the host's monotonic clock. All
// turns take the whole engine, so that one ends where the next begins: from one end to the next the
// engine was the latter's. Nothing of it comes from the arbiter.
//
// The log lies in memory that processes share, and may be written by all at once.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <new>
#include <vector>

#include "tap/tap.hpp"

namespace bounds {

struct Turn {
  int who;  // by a number of its own
  uint64_t learned_ns, ended_ns, told_ns;
};

class TurnsLog {
 public:
  TurnsLog() {
    void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    BOOST_REQUIRE(memory != MAP_FAILED);
    shared_ = new (memory) Shared;
  }
  TurnsLog(const TurnsLog&) = delete;
  ~TurnsLog() { munmap(shared_, sizeof(Shared)); }

  void add(const Turn& turn) const {
    const uint64_t at = shared_->count++;
    if (at < kMax) shared_->turns[at] = turn;
    uint64_t longest = shared_->longest_ns;
    while (longest < turn.ended_ns - turn.learned_ns &&
           !shared_->longest_ns.compare_exchange_weak(longest, turn.ended_ns - turn.learned_ns)) {
    }
  }
  uint64_t longest_ns() const { return shared_->longest_ns; }

  void stop() const { shared_->stopped = true; }
  bool stopped() const { return shared_->stopped; }

  // Once nobody writes: those that ended in this time, as they followed each other.
  std::vector<Turn> between(uint64_t from_ns, uint64_t until_ns) const {
    BOOST_REQUIRE(shared_->count <= kMax);
    std::vector<Turn> turns;
    std::copy_if(shared_->turns.begin(),
                 shared_->turns.begin() + static_cast<ptrdiff_t>(shared_->count.load()),
                 std::back_inserter(turns), [&](const Turn& turn) {
                   return turn.ended_ns >= from_ns && turn.ended_ns < until_ns;
                 });
    std::sort(turns.begin(), turns.end(),
              [](const Turn& a, const Turn& b) { return a.ended_ns < b.ended_ns; });
    return turns;
  }

 private:
  static constexpr size_t kMax = 1 << 18;
  struct Shared {
    std::atomic<uint64_t> count{0}, longest_ns{0};
    std::atomic<bool> stopped{false};
    std::array<Turn, kMax> turns;
  };

  Shared* shared_;
};

}  // namespace bounds
