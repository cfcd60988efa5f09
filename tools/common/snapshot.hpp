// SPDX-License-Identifier: MIT
//
// A SNAPSHOT of STATS, by kinds: all of one moment, so that its records agree with each other.
//
// An arbiter refuses one where it would take too long (EMSGSIZE), and an older one knows none
// (EINVAL): both throw aiaccel::Error. Threads: as the device.
#pragma once

#include <aiaccel/device.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tools {

struct Snapshot {
  std::uint64_t time_ns = 0;
  std::vector<aiaccel_stats_engine> engines;
  std::vector<aiaccel_stats_tenant> tenants;
  std::vector<aiaccel_stats_context> contexts;
  std::vector<aiaccel_stats_turn> turns;  // that wait or run
};

Snapshot read_snapshot(const aiaccel::Device& device);

// Of `units`, as the call wrote them. What this version does not know is stepped over; what is not
// there is zero, and a list that breaks off ends there.
Snapshot parse_snapshot(const std::uint64_t* units, std::size_t count);

}  // namespace tools
