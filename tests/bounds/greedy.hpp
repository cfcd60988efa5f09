// SPDX-License-Identifier: MIT
//
// Clients that always want the whole of an engine, in processes of their own, and what each of them
// had.
//
// A turn's work is to sleep, so that it holds on a machine that has other things to do; it is
// counted as long as it was, not as long as it should have been.
#pragma once

#include <aiaccel.h>

#include <cstdint>
#include <deque>
#include <vector>

#include "conformance/child.hpp"
#include "turns_log.hpp"

namespace bounds {

constexpr uint64_t kMs = 1'000'000;

struct Greedy {
  uint64_t turn_ns;
  uint32_t class_ = AIACCEL_CLASS_NORMAL;
  int contexts = 1;
  int queues = 1;       // of each context; each has a job at all times
  uint32_t engine = 0;  // the first one
};

// In a child, for good: client `who` of the log.
int be_greedy(conformance::Child& child, int who, const Greedy& greedy, const TurnsLog& log);

struct Had {
  double ms = 0;
  uint64_t turns = 0;
};

struct Watched {
  std::vector<Had> had;  // by their numbers
  double all_ms;
  double unsure_ms;   // of it, what the clocks of two may tell wrongly
  double longest_ms;  // turn
};

// Lets them run for `least_ns`, and for 200 of the longest turn that is seen or half a minute, from
// when each has had some turns; ends them. What each had of that time, by its number, and asserts
// that nobody had it at once with another.
Watched watch(std::deque<conformance::Child>& children, const TurnsLog& log, uint64_t least_ns);

}  // namespace bounds
