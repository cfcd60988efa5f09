// SPDX-License-Identifier: MIT
//
// STATS as a vector. Threads: as the device.
#pragma once

#include <aiaccel/device.hpp>

#include <cstdint>
#include <vector>

namespace tools {

template <typename Record>
constexpr std::uint32_t stats_kind();
template <>
constexpr std::uint32_t stats_kind<aiaccel_stats_engine>() {
  return AIACCEL_STATS_ENGINES;
}
template <>
constexpr std::uint32_t stats_kind<aiaccel_stats_tenant>() {
  return AIACCEL_STATS_TENANTS;
}
template <>
constexpr std::uint32_t stats_kind<aiaccel_stats_queue>() {
  return AIACCEL_STATS_QUEUES;
}

template <>
constexpr std::uint32_t stats_kind<aiaccel_stats_turn>() {
  return AIACCEL_STATS_TURNS;
}

template <typename Record>
struct Stats {
  std::uint64_t time_ns = 0;
  std::vector<Record> records;
};

template <typename Record>
Stats<Record> read_stats(const aiaccel::Device& device) {
  Stats<Record> result;
  result.records.resize(64);
  for (;;) {
    aiaccel_stats stats{};
    stats.size = sizeof stats;
    stats.kind = stats_kind<Record>();
    stats.records = reinterpret_cast<std::uintptr_t>(result.records.data());
    stats.count = static_cast<std::uint32_t>(result.records.size());
    stats.record_size = sizeof(Record);
    aiaccel::detail::check(aiaccel_call(device.handle(), AIACCEL_IOC_STATS, &stats),
                           "cannot read statistics");
    const bool all = stats.count <= result.records.size();
    // More may come until the next try.
    result.records.resize(all ? stats.count : stats.count + stats.count / 4);
    result.time_ns = stats.time_ns;
    if (all) return result;
  }
}

}  // namespace tools
