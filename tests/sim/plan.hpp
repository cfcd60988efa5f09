// SPDX-License-Identifier: MIT
//
// A workload by chance: an engine of any enforcement, often a second one beside it, tenants in a
// tree, some of them with ceilings, streams of jobs of any class, width and length, some longer than
// their budgets, some for any of both engines, a group, at one or both, and promises. Processes are
// frozen and killed meanwhile. Played for so many events under the oracle, then to its end.
#pragma once

#include <cstdint>
#include <string>

#include "sim/times.hpp"

namespace sim {

// How much of a workload to play. Fewer streams are the first of those that would be there else.
struct Size {
  std::uint64_t events;
  unsigned streams;
};

struct Outcome {
  std::string broken;  // what did not hold, or empty
  std::uint64_t turns = 0;
  std::uint64_t events = 0;  // played, of those that were to be
};

// `who` chooses who is there, `what` all that happens.
Outcome play(Random who, Random what, Size size);

}  // namespace sim
