// SPDX-License-Identifier: MIT
//
// What tenants stand for, by which a unit is known when it is no tenant any more, and by what name:
// of those that are there, and of those that only records tell of.
//
// Plain values, of what was there when they were read.
#pragma once

#include <uapi/aiaccel.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace tools {

// What a tenant stands for, also after it went and when it comes again: enum aiaccel_tenant_kind
// and source_id.
using Source = std::pair<std::uint32_t, std::uint64_t>;

inline Source source_of(const aiaccel_stats_turn& turn) {
  return {turn.tenant_kind, turn.source_id};
}
inline Source source_of(const aiaccel_stats_tenant& tenant) {
  return {tenant.kind, tenant.source_id};
}

// The cgroup's path, or uid:N; cgroup:N for one that was removed. As they are: not yet printable.
std::map<Source, std::string> name_units(const std::vector<aiaccel_stats_tenant>& tenants,
                                         const std::vector<aiaccel_stats_turn>& turns);

}  // namespace tools
