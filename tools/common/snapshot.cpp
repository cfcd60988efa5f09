// SPDX-License-Identifier: MIT
//
// See snapshot.hpp.
#include "common/snapshot.hpp"

#include <algorithm>
#include <cstring>

namespace tools {
namespace {

template <typename Record>
void add(std::vector<Record>& list, const std::uint64_t* from, std::size_t bytes) {
  std::memcpy(&list.emplace_back(), from, std::min(bytes, sizeof(Record)));
}

}  // namespace

Snapshot parse_snapshot(const std::uint64_t* units, std::size_t count) {
  Snapshot snapshot;
  while (count) {
    aiaccel_stats_head head;
    std::memcpy(&head, units, sizeof head);
    const std::size_t length = head.bytes / sizeof *units;
    if (!length || length > count) break;
    const std::size_t bytes = (length - 1) * sizeof *units;
    if (head.kind == AIACCEL_STATS_ENGINES) add(snapshot.engines, units + 1, bytes);
    if (head.kind == AIACCEL_STATS_TENANTS) add(snapshot.tenants, units + 1, bytes);
    if (head.kind == AIACCEL_STATS_CONTEXTS) add(snapshot.contexts, units + 1, bytes);
    if (head.kind == AIACCEL_STATS_TURNS) add(snapshot.turns, units + 1, bytes);
    units += length;
    count -= length;
  }
  return snapshot;
}

Snapshot read_snapshot(const aiaccel::Device& device) {
  std::vector<std::uint64_t> units(std::size_t{1} << 13);
  for (;;) {
    aiaccel_stats stats{};
    stats.size = sizeof stats;
    stats.kind = AIACCEL_STATS_SNAPSHOT;
    stats.records = reinterpret_cast<std::uintptr_t>(units.data());
    stats.count = static_cast<std::uint32_t>(units.size());
    stats.record_size = sizeof units[0];
    aiaccel::detail::check(aiaccel_call(device.handle(), AIACCEL_IOC_STATS, &stats),
                           "cannot read a snapshot");
    if (stats.count <= units.size()) {
      Snapshot snapshot = parse_snapshot(units.data(), stats.count);
      snapshot.time_ns = stats.time_ns;
      return snapshot;
    }
    units.resize(std::size_t{stats.count} + stats.count / 4);  // more may come until the next try
  }
}

}  // namespace tools
