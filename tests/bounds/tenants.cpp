// SPDX-License-Identifier: MIT
//
// Two tenants; see tenants.hpp.
#include "tenants.hpp"

#include <unistd.h>

#include <cstring>

#include "broker/server.hpp"
#include "conformance/device.hpp"
#include "kmod/cgroup.hpp"

using conformance::on;

namespace bounds {

namespace {

// The administrator's, and the rules with it.
class Rules {
 public:
  explicit Rules(const std::array<aiaccel_policy_rule, 2>& rules) {
    BOOST_REQUIRE(replace(rules.data(), 2) == 0);
  }
  ~Rules() { BOOST_TEST(replace(nullptr, 0) == 0); }

 private:
  int replace(const aiaccel_policy_rule* rules, uint32_t count) {
    aiaccel_policy arg{};
    arg.flags = AIACCEL_POLICY_REPLACE;
    arg.rules = reinterpret_cast<uintptr_t>(rules);
    arg.count = count;
    arg.rule_size = sizeof(aiaccel_policy_rule);
    return device_.call(AIACCEL_IOC_POLICY, arg);
  }

  conformance::Device device_;
};

aiaccel_policy_rule weighs(uint32_t weight) {
  aiaccel_policy_rule rule{};
  rule.sets = AIACCEL_SETS_WEIGHT;
  rule.weight = weight;
  return rule;
}

class Cgroups : public Tenants {
 public:
  explicit Cgroups(const std::array<uint32_t, 2>& weights)
      : rules_({rule(0, weights[0]), rule(1, weights[1])}) {}
  void enter(int tenant) const override { cgroups_[static_cast<size_t>(tenant)].enter(); }

 private:
  static std::string path(int tenant) { return "/bounds-" + std::to_string(tenant); }
  static aiaccel_policy_rule rule(int tenant, uint32_t weight) {
    aiaccel_policy_rule rule = weighs(weight);
    rule.match = AIACCEL_MATCH_PATH;
    std::strcpy(rule.pattern, path(tenant).c_str());
    return rule;
  }

  const std::array<raw::Cgroup, 2> cgroups_{raw::Cgroup(path(0)), raw::Cgroup(path(1))};
  const Rules rules_;
};

class Users : public Tenants {
 public:
  explicit Users(const std::array<uint32_t, 2>& weights)
      : rules_({rule(0, weights[0]), rule(1, weights[1])}) {
    server_.open_to_all();
  }
  void enter(int tenant) const override {
    if (setgid(uid(tenant)) || setuid(uid(tenant))) _exit(103);
  }

 private:
  static uid_t uid(int tenant) { return 65533 + static_cast<uid_t>(tenant); }
  static aiaccel_policy_rule rule(int tenant, uint32_t weight) {
    aiaccel_policy_rule rule = weighs(weight);
    rule.match = AIACCEL_MATCH_USER;
    rule.uid = uid(tenant);
    return rule;
  }

  const conformance::BrokerServer server_;
  const Rules rules_;
};

}  // namespace

std::string Tenants::missing() {
  if (geteuid() != 0) return "needs root, to be two tenants";
  if (on("kernel") && !raw::have_cgroups()) return "no cgroup version 2 at " + raw::kCgroups;
  return {};
}

std::unique_ptr<Tenants> tenants(const std::array<uint32_t, 2>& weights) {
  if (on("kernel")) return std::make_unique<Cgroups>(weights);
  return std::make_unique<Users>(weights);
}

}  // namespace bounds
