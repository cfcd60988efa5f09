// SPDX-License-Identifier: MIT
//
// The administrator's rules, for tests of what they bring.
#pragma once

#include <cstring>
#include <functional>
#include <vector>

#include "device.hpp"

namespace conformance {

using Rules = std::vector<aiaccel_policy_rule>;

inline int set(Device& device, const Rules& rules) {
  aiaccel_policy arg{};
  arg.flags = AIACCEL_POLICY_REPLACE;
  arg.rules = reinterpret_cast<uintptr_t>(rules.data());
  arg.count = static_cast<uint32_t>(rules.size());
  arg.rule_size = sizeof(aiaccel_policy_rule);
  return device.call(AIACCEL_IOC_POLICY, arg);
}

// Ends what a case did, however it ends.
struct NoRules {
  Device& device;
  ~NoRules() { BOOST_TEST(set(device, {}) == 0); }
};

// One for the caller's tenant, whatever that is here.
inline aiaccel_policy_rule own_rule(Device& device,
                                    const std::function<void(aiaccel_policy_rule&)>& give) {
  const aiaccel_stats_tenant tenant = device.own_tenant();
  aiaccel_policy_rule rule{};
  if (tenant.kind == AIACCEL_TENANT_CGROUP) {
    rule.match = AIACCEL_MATCH_PATH;
    std::strcpy(rule.pattern, tenant.name);
  } else {
    rule.match = AIACCEL_MATCH_USER;
    rule.uid = static_cast<uint32_t>(tenant.source_id);
  }
  give(rule);
  return rule;
}

}  // namespace conformance
