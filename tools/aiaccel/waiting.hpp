// SPDX-License-Identifier: MIT
//
// What waits at one moment, why, and for whom, from a SNAPSHOT and nothing else.
//
// Pure functions. Threads: any.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "aiaccel/source.hpp"
#include "common/snapshot.hpp"

namespace tools {

// A context, by what its turn, or itself, tells.
struct Party {
  std::optional<Source> unit;
  std::int32_t pid = 0;
  std::string comm, label;
};

// Who is in the way.
struct Obstacle {
  Party who;
  std::optional<std::uint32_t> class_;  // of the turn that is meant, where there is one
  std::optional<std::uint64_t> ran_ns;  // how long it has had its turn, where it has
};

struct Waiting {
  Party who;
  std::uint32_t engine = 0, class_ = 0, width = 0;
  std::uint64_t wait_ns = 0;
  std::uint32_t why = AIACCEL_WAIT_NOT;
  std::optional<Obstacle> in_way;  // nothing where there is none, or it may not be seen
};

// Those that are asked for; who waits longest comes first.
std::vector<Waiting> find_waiting(const Snapshot& snapshot,
                                  const std::function<bool(const aiaccel_stats_turn&)>& is_target);

std::string wait_name(std::uint32_t why);      // "slots"
std::string wait_sentence(std::uint32_t why);  // "it is next, and …"

// Whether that cause has somebody in the way at all.
bool waits_for_somebody(std::uint32_t why);

}  // namespace tools
