// SPDX-License-Identifier: MIT
//
// The administrator's rules, on the suite's own tenant. Each case leaves none behind.
#include <cerrno>
#include <cstring>
#include <functional>
#include <vector>

#include "device.hpp"
#include "rules.hpp"

using namespace conformance;

BOOST_AUTO_TEST_SUITE(policy)

BOOST_AUTO_TEST_CASE(rules_are_replaced_and_read) {
  Device device;
  NoRules none{device};
  Rules rules(3);
  for (uint32_t i = 0; i < 3; ++i) {
    rules[i].match = AIACCEL_MATCH_NAME;
    rules[i].sets = AIACCEL_SETS_WEIGHT;
    rules[i].weight = i + 1;
    std::strcpy(rules[i].pattern, "nobody-*.service");
  }
  BOOST_REQUIRE(set(device, rules) == 0);
  Rules read(4);
  std::memset(read.data(), 0xaa, sizeof read[0] * read.size());
  const Rules before = read;
  aiaccel_policy arg{};
  arg.rules = reinterpret_cast<uintptr_t>(read.data());
  arg.count = 2;
  arg.rule_size = sizeof read[0];
  BOOST_REQUIRE(device.call(AIACCEL_IOC_POLICY, arg) == 0);
  BOOST_TEST(arg.count == 3u);
  BOOST_TEST(std::memcmp(read.data(), rules.data(), 2 * sizeof read[0]) == 0);
  BOOST_TEST(std::memcmp(&read[2], &before[2], sizeof read[0]) == 0);  // no more than fit
  arg.count = 4;
  BOOST_REQUIRE(device.call(AIACCEL_IOC_POLICY, arg) == 0);
  BOOST_TEST(arg.count == 3u);
  BOOST_TEST(std::memcmp(read.data(), rules.data(), 3 * sizeof read[0]) == 0);
}

BOOST_AUTO_TEST_CASE(a_bad_rule_changes_nothing) {
  Device device;
  NoRules none{device};
  const auto bytes = [&](uint64_t bytes) {
    return own_rule(device, [=](auto& r) {
      r.sets = AIACCEL_SETS_DEVICE_BYTES;
      r.device_bytes = bytes;
    });
  };
  BOOST_REQUIRE(set(device, {bytes(100)}) == 0);
  BOOST_TEST(device.query().max_device_bytes == 100u);
  for (const auto& [error, spoil] :
       std::vector<std::pair<int, std::function<void(aiaccel_policy_rule&)>>>{
           {EOPNOTSUPP, [](auto& r) { r.match = 9; }},
           {EOPNOTSUPP, [](auto& r) { r.sets = 1 << 20; }},
           {EINVAL, [](auto& r) { r.weight = 5; }},  // its bit is not set
           {EINVAL, [](auto& r) { r.sets = AIACCEL_SETS_GRANTS; }},
           {EINVAL, [](auto& r) { r.match = AIACCEL_MATCH_NAME, r.uid = 0, r.pattern[0] = 0; }}}) {
    Rules rules = {bytes(7), bytes(7)};
    spoil(rules[1]);
    BOOST_TEST(set(device, rules) == -error);
  }
  aiaccel_policy arg{};
  arg.flags = AIACCEL_POLICY_REPLACE;
  arg.rule_size = sizeof(aiaccel_policy_rule);
  arg.count = 1;
  BOOST_TEST(device.call(AIACCEL_IOC_POLICY, arg) == -EFAULT);
  arg.count = AIACCEL_POLICY_MAX + 1;
  BOOST_TEST(device.call(AIACCEL_IOC_POLICY, arg) == -EINVAL);
  arg.count = 0;
  arg.rule_size = 8;
  BOOST_TEST(device.call(AIACCEL_IOC_POLICY, arg) == -EOPNOTSUPP);
  arg.rule_size = sizeof(aiaccel_policy_rule);
  arg.flags = 2;
  BOOST_TEST(device.call(AIACCEL_IOC_POLICY, arg) == -EOPNOTSUPP);
  BOOST_TEST(device.query().max_device_bytes == 100u);
}

BOOST_AUTO_TEST_CASE(what_a_rule_gives_is_told_and_goes_with_it) {
  Device device;
  const aiaccel_query before = device.query();
  const aiaccel_stats_tenant without = device.own_tenant();
  {
    NoRules none{device};
    BOOST_REQUIRE(set(device, {own_rule(device, [](auto& r) {
                        r.sets = AIACCEL_SETS_WEIGHT | AIACCEL_SETS_DEVICE_BYTES |
                                 AIACCEL_SETS_MAX_CLASS | AIACCEL_SETS_ON_MISSING |
                                 AIACCEL_SETS_GRANTS | AIACCEL_SETS_ENGINE_TIME;
                        r.weight = 50;
                        r.device_bytes = 300;
                        r.max_class = AIACCEL_CLASS_LOW;
                        r.on_missing = AIACCEL_ON_MISSING_CLOSED;
                        r.grants = 2;
                        r.engine_time = 500;
                      })}) == 0);
    const aiaccel_query query = device.query();
    BOOST_TEST(query.max_device_bytes == 300u);
    BOOST_TEST(query.highest_class == static_cast<uint32_t>(AIACCEL_CLASS_LOW));
    BOOST_TEST(query.on_missing == static_cast<uint32_t>(AIACCEL_ON_MISSING_CLOSED));
    const aiaccel_stats_tenant tenant = device.own_tenant();
    BOOST_TEST(tenant.weight == 50u);
    BOOST_TEST(tenant.max_device_bytes == 300u);
    BOOST_TEST(tenant.max_class == static_cast<uint32_t>(AIACCEL_CLASS_LOW));
    BOOST_TEST(tenant.on_missing == static_cast<uint32_t>(AIACCEL_ON_MISSING_CLOSED));
    BOOST_TEST(tenant.grants == 2u);
    BOOST_TEST(tenant.engine_time == 500u);
  }
  BOOST_TEST(device.query().max_device_bytes == before.max_device_bytes);
  BOOST_TEST(device.query().highest_class == before.highest_class);
  BOOST_TEST(device.query().on_missing == before.on_missing);
  BOOST_TEST(device.own_tenant().weight == without.weight);
  BOOST_TEST(device.own_tenant().engine_time == static_cast<uint32_t>(AIACCEL_ENGINE_TIME_ALL));
}

BOOST_AUTO_TEST_CASE(turns_held_at_once_are_bounded) {
  Device device;
  Device other;
  if (device.slots() < 2) SKIP("there is one slot");
  NoRules none{device};
  BOOST_REQUIRE(set(device, {own_rule(device, [](auto& r) {
                      r.sets = AIACCEL_SETS_GRANTS;
                      r.grants = 1;
                    })}) == 0);
  const uint32_t generation = device.must_hold(1, device.must_queue(), 1);
  const uint32_t queue = other.must_queue();
  BOOST_REQUIRE(other.submit(job(2, queue)) == 0);
  BOOST_TEST(other.events().empty());
  BOOST_TEST(device.engine_stats().jobs_waiting == 1u);
  BOOST_REQUIRE(device.complete(1, generation) == 0);
  const auto event = other.must_event(2, AIACCEL_EVENT_GRANTED);
  BOOST_REQUIRE(other.complete(2, event.generation) == 0);

  // A ceiling that goes lets go at once.
  device.must_hold(3, device.must_queue(), 1);
  BOOST_REQUIRE(other.submit(job(4, queue)) == 0);
  BOOST_TEST(other.events().empty());
  BOOST_REQUIRE(set(device, {}) == 0);
  other.must_event(4, AIACCEL_EVENT_GRANTED);
}

// Held back for a while, and then granted although nobody calls.
BOOST_AUTO_TEST_CASE(engine_time_comes_back_by_itself) {
  Device device;
  NoRules none{device};
  const uint32_t queue = device.must_queue(AIACCEL_CLASS_NORMAL, 0, "capped@1");
  const uint32_t slots = device.slots();
  BOOST_REQUIRE(set(device, {own_rule(device, [](auto& r) {
                      r.sets = AIACCEL_SETS_ENGINE_TIME;
                      r.engine_time = 1000;  // a tenth
                    })}) == 0);
  bool held_back = false;
  for (uint64_t cookie = 1; cookie < 1000 && !held_back; ++cookie) {
    BOOST_REQUIRE(device.submit(job(cookie, queue, {.width = slots})) == 0);
    held_back = device.engine_stats().jobs_waiting == 1;
    const auto event = device.must_event(cookie, AIACCEL_EVENT_GRANTED);
    const timespec work{0, 5'000'000};
    nanosleep(&work, nullptr);
    BOOST_REQUIRE(device.complete(cookie, event.generation) == 0);
  }
  BOOST_TEST(held_back);
  uint64_t capped_ns = 0;
  for (const aiaccel_stats_turn& turn : device.turn_stats())
    if (std::string(turn.label) == "capped@1") capped_ns += turn.capped_ns;
  BOOST_TEST(capped_ns > 0u);
}

BOOST_AUTO_TEST_SUITE_END()
