// SPDX-License-Identifier: MIT
//
// Whom a command is about: a unit (a tenant, by the last part of its name or all of it, with those
// below it; also one that only records tell of), a process, or the label of queues.
//
// A plain value, of what was there when it was made.
#pragma once

#include <aiaccel/device.hpp>

#include <cstdint>
#include <set>
#include <string>

#include "aiaccel/source.hpp"

namespace tools {

struct Target {
  enum class Kind { unit, process, label };

  Kind kind = Kind::unit;
  std::string name;  // as it is printed: "unit /system.slice/vllm.service"
  std::int32_t pid = 0;
  std::string unit;                  // its name, not yet printable
  std::uint64_t tenant = 0;          // of a unit; 0: it is only on record
  std::set<std::uint64_t> tenants;   // of a unit: it and those below it, that are there
  std::set<Source> sources;          // of a unit: likewise, with those that are only on record
  std::set<std::uint64_t> contexts;  // of a process: those that are open
  std::string pattern;               // of a label

  bool includes(const aiaccel_stats_turn& turn) const;
};

// Throws Failure where the word names nothing. Without `past`, only what is there now counts, a
// unit or a process with queues: the number of one that is only on record may be somebody else's by
// now.
Target find_target(const aiaccel::Device& device, const std::string& word, bool past);

}  // namespace tools
