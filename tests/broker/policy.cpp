// SPDX-License-Identifier: MIT
//
// The administrator's rules on a broker: read as it starts, changed by a call, and whose call. Each
// case has a server of its own.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "conformance/child.hpp"
#include "conformance/device.hpp"
#include "rules.hpp"
#include "server.hpp"

using namespace conformance;

namespace {

constexpr uid_t kUser = 65534;

}  // namespace

BOOST_AUTO_TEST_SUITE(policy)

BOOST_AUTO_TEST_CASE(the_folder_is_read_as_it_starts) {
  Folder folder;
  folder.put("10-users.conf", "[match]\nuser=65534\nmax_class=low\ndevice_bytes=1M\n");
  folder.put("20-slip.conf", "[match]\nuser=65534\nmax_class=lowest\n");
  BrokerServer server({"--policy", folder.path()});
  Device device;
  std::vector<aiaccel_policy_rule> rules(8);
  aiaccel_policy arg{};
  arg.rules = reinterpret_cast<uintptr_t>(rules.data());
  arg.count = 8;
  arg.rule_size = sizeof rules[0];
  BOOST_REQUIRE(device.call(AIACCEL_IOC_POLICY, arg) == 0);
  BOOST_TEST(arg.rules == reinterpret_cast<uintptr_t>(rules.data()));
  BOOST_REQUIRE(arg.count == 2u);  // one of them for the cgroup that systemd gives the user
  bool found = false;
  for (uint32_t i = 0; i < arg.count; ++i) {
    BOOST_TEST(rules[i].max_class == static_cast<uint32_t>(AIACCEL_CLASS_LOW));
    BOOST_TEST(rules[i].device_bytes == 1u << 20);
    if (rules[i].match == AIACCEL_MATCH_USER) found = rules[i].uid == kUser;
  }
  BOOST_TEST(found);
}

// It would be a broker that bounds nobody.
BOOST_AUTO_TEST_CASE(a_folder_that_is_named_must_be_there) {
  BrokerServer server;  // for its place
  const std::string socket = server.path() + "2";
  const std::string missing = server.path() + ".d";
  Child starts([&](Child&) {
    execl(BrokerServer::program().c_str(), "aiacceld", "--socket", socket.c_str(), "--policy",
          missing.c_str(), nullptr);
    return 127;
  });
  BOOST_TEST(starts.wait() == 1);
  BOOST_TEST(access(socket.c_str(), F_OK) == -1);
}

BOOST_AUTO_TEST_CASE(all_the_rules_there_can_be_go_both_ways) {
  BrokerServer server;
  Device device;
  std::vector<aiaccel_policy_rule> rules;
  for (uint32_t uid = 0; uid < AIACCEL_POLICY_MAX; ++uid) {
    rules.push_back(rule(uid));
    rules.back().sets = AIACCEL_SETS_WEIGHT;
    rules.back().weight = uid + 1;
  }
  BOOST_REQUIRE(replace_rules(device, rules) == 0);
  std::vector<aiaccel_policy_rule> read(rules.size());
  aiaccel_policy arg{};
  arg.rules = reinterpret_cast<uintptr_t>(read.data());
  arg.count = AIACCEL_POLICY_MAX;
  arg.rule_size = sizeof rules[0];
  BOOST_REQUIRE(device.call(AIACCEL_IOC_POLICY, arg) == 0);
  BOOST_TEST(arg.count == static_cast<uint32_t>(AIACCEL_POLICY_MAX));
  BOOST_TEST(std::memcmp(read.data(), rules.data(), sizeof rules[0] * rules.size()) == 0);
  BOOST_TEST(device.own_tenant().weight == geteuid() + 1);
}

BOOST_AUTO_TEST_CASE(who_is_no_administrator_is_bound_and_may_not_change_it) {
  if (geteuid() != 0) SKIP("needs root, to be several users");
  BrokerServer server;
  server.open_to_all();
  Device root;
  Child user([](Child& self) {
    if (setgid(kUser) || setuid(kUser)) return 10;
    Device device;
    self.tell(1);
    self.sleep();
    const aiaccel_query query = device.query();
    if (query.highest_class != AIACCEL_CLASS_LOW) return 11;
    if (query.on_missing != AIACCEL_ON_MISSING_CLOSED) return 12;
    aiaccel_queue_create queue = device.queue_arg();
    if (device.call(AIACCEL_IOC_QUEUE_CREATE, queue) != -EPERM) return 13;
    if (queue.refused_by != AIACCEL_REFUSED_CLASS) return 14;
    aiaccel_policy look{};
    look.rule_size = sizeof(aiaccel_policy_rule);
    if (device.call(AIACCEL_IOC_POLICY, look) != -EPERM) return 15;
    // More than the server lets anybody else send.
    if (replace_rules(device, std::vector<aiaccel_policy_rule>(1000, rule(kUser))) != -EPERM)
      return 16;
    aiaccel_control control{};
    control.state = AIACCEL_ENGINE_DRAINING;
    if (device.call(AIACCEL_IOC_CONTROL, control) != -EPERM) return 17;
    aiaccel_revoke revoke{};
    revoke.context = 1;
    if (device.call(AIACCEL_IOC_REVOKE, revoke) != -EPERM) return 18;
    return device.query().abi == AIACCEL_ABI ? 0 : 19;  // none of it was the end
  });
  BOOST_REQUIRE(user.must_hear() == 1u);
  aiaccel_policy_rule bound = rule(kUser);
  bound.sets = AIACCEL_SETS_MAX_CLASS | AIACCEL_SETS_ON_MISSING;
  bound.max_class = AIACCEL_CLASS_LOW;
  bound.on_missing = AIACCEL_ON_MISSING_CLOSED;
  BOOST_REQUIRE(replace_rules(root, {bound}) == 0);
  user.go_on();
  BOOST_TEST(user.wait() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
