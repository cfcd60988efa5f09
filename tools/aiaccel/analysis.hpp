// SPDX-License-Identifier: MIT
//
// Who made whom wait, from a table of turns and nothing else.
//
// While a job waits, each moment of its wait is put down to the turns that were in its way then, by
// their slots; what a ceiling of its own tenant held it back for is taken from all of them alike.
// So the parts of a wait add up to it exactly, and what nobody on record accounts for is a part
// too.
//
// Pure functions. Threads: any.
#pragma once

#include <uapi/aiaccel.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "aiaccel/source.hpp"

namespace tools {

enum class Why {
  class_,   // a higher class ran
  share,    // others of its class had their turns
  running,  // a lower class had the engine already, and could not be stopped at once
  own,      // the target itself had other turns on the engine, in this context or another
  cap,      // a ceiling of its tenant, of turns or of engine time
  unseen,   // nobody on record ran
};

const char* why_name(Why why);      // "class"
const char* why_sentence(Why why);  // "a higher class ran"

// What one process and queue label, or nobody in particular, made the target wait.
struct Part {
  Why why;
  Source unit{};
  std::int32_t pid = 0;
  std::uint32_t class_ = 0;
  std::string comm, label;
  std::uint64_t ns = 0;
};

struct Explanation {
  std::uint64_t waits = 0, wait_ns = 0, longest_ns = 0;  // inside the window
  std::uint64_t turns = 0, run_ns = 0;
  std::uint64_t refused = 0, refused_ns = 0;  // jobs not taken, and from the first to the last
  std::uint64_t revoked = 0, failed = 0;
  std::uint64_t oldest_ns = 0;  // when the oldest turn on record ended; 0: none did
  std::vector<Part> parts;      // the largest first; their sum is wait_ns
};

// What is asked about: one engine, from one time to another.
struct Question {
  std::uint32_t engine = 0;
  bool gives_way = false;  // a CPU: background turns are in nobody's way but that of their like
  std::uint64_t from_ns = 0, to_ns = 0;
  std::function<bool(const aiaccel_stats_turn&)> is_target;
};

Explanation explain(const std::vector<aiaccel_stats_turn>& turns, const Question& question);

// A turn that ended while STATS listed it may be there as it was and as it ended: without the
// former. `time_ns`: the list's.
std::vector<aiaccel_stats_turn> without_doubles(std::vector<aiaccel_stats_turn> turns,
                                                std::uint64_t time_ns);

}  // namespace tools
