// SPDX-License-Identifier: MIT
//
// The administrator's rules on the arbiter in user space, whose tenants are users: who may set
// them, that they hold at once for who is there, and what each of them bounds.
#include <algorithm>
#include <cerrno>
#include <functional>

#include "arbiter.hpp"

using namespace arbiter;

namespace {

constexpr uint32_t kUser = 1000;
constexpr uint32_t kOther = 1001;

using Rules = std::vector<aiaccel_policy_rule>;

aiaccel_policy_rule rule(uint32_t uid, const std::function<void(aiaccel_policy_rule&)>& give) {
  aiaccel_policy_rule rule{};
  rule.match = AIACCEL_MATCH_USER;
  rule.uid = uid;
  give(rule);
  return rule;
}

aiaccel_policy_rule max_class(uint32_t uid, uint32_t class_) {
  return rule(uid, [=](auto& r) { r.sets = AIACCEL_SETS_MAX_CLASS, r.max_class = class_; });
}

aiaccel_policy_rule device_bytes(uint32_t uid, uint64_t bytes) {
  return rule(uid, [=](auto& r) { r.sets = AIACCEL_SETS_DEVICE_BYTES, r.device_bytes = bytes; });
}

int set(Client& client, const Rules& rules, uint32_t count) {
  aiaccel_policy arg{};
  arg.flags = AIACCEL_POLICY_REPLACE;
  arg.rules = reinterpret_cast<uintptr_t>(rules.data());
  arg.count = count;
  arg.rule_size = sizeof(aiaccel_policy_rule);
  return client.call(AIACCEL_IOC_POLICY, arg);
}

int set(Client& client, const Rules& rules) {
  return set(client, rules, static_cast<uint32_t>(rules.size()));
}

// How many there are; `rules`: as many as `fit`.
uint32_t get(Client& client, Rules* rules, uint32_t fit) {
  aiaccel_policy arg{};
  arg.count = fit;
  arg.rule_size = sizeof(aiaccel_policy_rule);
  std::vector<std::byte> bytes;
  BOOST_REQUIRE_EQUAL(client.call(AIACCEL_IOC_POLICY, arg, &bytes), 0);
  rules->resize(bytes.size() / sizeof(aiaccel_policy_rule));
  if (!bytes.empty()) std::memcpy(rules->data(), bytes.data(), bytes.size());
  return arg.count;
}

int reserve(Client& client, aiaccel_reserve& arg, uint64_t bytes, uint32_t id = 0) {
  arg = {};
  arg.engine = id ? 0 : kGpu;
  arg.id = id;
  arg.bytes = bytes;
  return client.call(AIACCEL_IOC_RESERVE, arg);
}

int create_queue(Client& client, uint32_t class_) {
  aiaccel_queue_create arg{};
  arg.engine = kCpu;
  arg.class_ = class_;
  const int result = client.call(AIACCEL_IOC_QUEUE_CREATE, arg);
  if (result == -EPERM) BOOST_TEST(arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_CLASS));
  return result;
}

aiaccel_stats_tenant tenant(Client& client) {
  return client.stats<aiaccel_stats_tenant>(AIACCEL_STATS_TENANTS)[0];
}

constexpr uint64_t kSecond = 1'000'000'000;

}  // namespace

BOOST_AUTO_TEST_SUITE(policy)

BOOST_AUTO_TEST_CASE(rules_are_replaced_and_read) {
  Arbiter host;
  Client root(host, 0, true);
  Client user(host, kUser);
  const Rules rules = {max_class(kUser, AIACCEL_CLASS_LOW), device_bytes(kUser, 100),
                       device_bytes(kOther, 50)};
  BOOST_TEST(set(user, rules) == -EPERM);
  aiaccel_policy look{};
  look.rule_size = sizeof(aiaccel_policy_rule);
  BOOST_TEST(user.call(AIACCEL_IOC_POLICY, look) == -EPERM);
  BOOST_REQUIRE(set(root, rules) == 0);
  Rules read;
  BOOST_TEST(get(root, &read, 2) == 3u);
  BOOST_REQUIRE(read.size() == 2u);
  BOOST_TEST(std::memcmp(read.data(), rules.data(), 2 * sizeof rules[0]) == 0);
  BOOST_TEST(get(root, &read, 100) == 3u);
  BOOST_TEST(read.size() == 3u);
  BOOST_REQUIRE(set(root, {}) == 0);
  BOOST_TEST(get(root, &read, 100) == 0u);
}

BOOST_AUTO_TEST_CASE(a_bad_rule_changes_nothing) {
  Arbiter host;
  Client root(host, 0, true);
  Client user(host, kUser);
  BOOST_REQUIRE(set(root, {device_bytes(kUser, 100)}) == 0);
  Rules rules = {device_bytes(kUser, 7), max_class(kUser, AIACCEL_NR_CLASSES)};
  BOOST_TEST(set(root, rules) == -EINVAL);
  rules[1].match = 9;
  BOOST_TEST(set(root, rules) == -EOPNOTSUPP);
  BOOST_TEST(user.query().max_device_bytes == 100u);
  const Rules many(AIACCEL_POLICY_MAX + 1, device_bytes(kUser, 7));
  BOOST_TEST(set(root, many) == -EINVAL);
  BOOST_TEST(set(root, many, AIACCEL_POLICY_MAX) == 0);
  BOOST_TEST(user.query().max_device_bytes == 7u);
}

BOOST_AUTO_TEST_CASE(rules_hold_for_who_is_there_and_who_comes) {
  Arbiter host;
  Client root(host, 0, true);
  Client user(host, kUser);
  BOOST_TEST(user.query().max_device_bytes == AIACCEL_UNLIMITED);
  BOOST_REQUIRE(set(root, {rule(kUser, [](auto& r) {
                      r.sets = AIACCEL_SETS_WEIGHT | AIACCEL_SETS_DEVICE_BYTES |
                               AIACCEL_SETS_PINNED_BYTES | AIACCEL_SETS_MAX_CLASS |
                               AIACCEL_SETS_ON_MISSING | AIACCEL_SETS_GRANTS |
                               AIACCEL_SETS_ENGINE_TIME;
                      r.weight = 50;
                      r.device_bytes = 300;
                      r.pinned_bytes = 1 << 20;
                      r.max_class = AIACCEL_CLASS_LOW;
                      r.on_missing = AIACCEL_ON_MISSING_CLOSED;
                      r.grants = 2;
                      r.engine_time = 500;
                    })}) == 0);
  Client late(host, kUser);
  Client other(host, kOther);
  for (Client* client : {&user, &late}) {
    const aiaccel_query query = client->query();
    BOOST_TEST(query.max_device_bytes == 300u);
    BOOST_TEST(query.max_pinned_bytes == 1u << 20);
    BOOST_TEST(query.highest_class == static_cast<uint32_t>(AIACCEL_CLASS_LOW));
    BOOST_TEST(query.on_missing == static_cast<uint32_t>(AIACCEL_ON_MISSING_CLOSED));
  }
  const aiaccel_stats_tenant record = tenant(user);
  BOOST_TEST(record.weight == 50u);
  BOOST_TEST(record.grants == 2u);
  BOOST_TEST(record.engine_time == 500u);
  BOOST_TEST(record.max_bytes == 1u << 20);
  BOOST_TEST(record.max_device_bytes == 300u);
  BOOST_TEST(record.max_class == static_cast<uint32_t>(AIACCEL_CLASS_LOW));
  BOOST_TEST(record.on_missing == static_cast<uint32_t>(AIACCEL_ON_MISSING_CLOSED));
  BOOST_TEST(other.query().highest_class == static_cast<uint32_t>(AIACCEL_CLASS_HIGH));
  BOOST_TEST(other.query().max_device_bytes == AIACCEL_UNLIMITED);

  BOOST_REQUIRE(set(root, {}) == 0);
  BOOST_TEST(user.query().max_device_bytes == AIACCEL_UNLIMITED);
  BOOST_TEST(user.query().highest_class == static_cast<uint32_t>(AIACCEL_CLASS_HIGH));
  BOOST_TEST(tenant(user).weight == static_cast<uint32_t>(AIACCEL_WEIGHT_DEFAULT));
}

BOOST_AUTO_TEST_CASE(device_bytes_of_one_user_are_bounded_together) {
  Arbiter host;
  Client root(host, 0, true);
  Client one(host, kUser);
  Client same(host, kUser);
  Client other(host, kOther);
  BOOST_REQUIRE(set(root, {device_bytes(kUser, 300)}) == 0);
  aiaccel_reserve arg{};
  BOOST_REQUIRE(reserve(one, arg, 200) == 0);
  BOOST_TEST(arg.max_bytes == 300u);
  BOOST_TEST(arg.free_bytes == 100u);
  const uint32_t id = arg.id;
  BOOST_TEST(reserve(same, arg, 101) == -EDQUOT);
  BOOST_TEST(arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_TENANT));
  BOOST_REQUIRE(reserve(other, arg, 700) == 0);

  // What is held above a lowered ceiling stays held, and nothing is added to it.
  BOOST_REQUIRE(set(root, {device_bytes(kUser, 150)}) == 0);
  BOOST_TEST(reserve(one, arg, 201, id) == -EDQUOT);
  BOOST_TEST(arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_TENANT));
  BOOST_TEST(reserve(one, arg, 190, id) == 0);
  BOOST_TEST(arg.free_bytes == 0u);
  BOOST_TEST(reserve(same, arg, 1) == -EDQUOT);
}

BOOST_AUTO_TEST_CASE(pinned_bytes_are_bounded) {
  Arbiter host;
  Client root(host, 0, true);
  Client user(host, kUser);
  BOOST_REQUIRE(set(root, {rule(kUser, [](auto& r) {
                      r.sets = AIACCEL_SETS_PINNED_BYTES;
                      r.pinned_bytes = 1 << 20;
                    })}) == 0);
  aiaccel_alloc alloc{};
  alloc.length = (1 << 20) + 1;
  BOOST_TEST(user.call(AIACCEL_IOC_ALLOC, alloc) == -EDQUOT);
  BOOST_TEST(alloc.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_TENANT));
  alloc.length = 1 << 20;
  BOOST_TEST(user.call(AIACCEL_IOC_ALLOC, alloc) == 0);
}

BOOST_AUTO_TEST_CASE(classes_above_the_ceiling_are_refused_and_counted_down) {
  Arbiter host;
  Client root(host, 0, true);
  Client user(host, kUser);
  Client other(host, kOther);
  const uint32_t high = user.queue(kGpu, AIACCEL_CLASS_HIGH);
  const uint32_t normal = other.queue(kGpu, AIACCEL_CLASS_NORMAL);
  const uint32_t holds = root.queue(kGpu);
  BOOST_REQUIRE(set(root, {max_class(kUser, AIACCEL_CLASS_LOW), max_class(0, AIACCEL_CLASS_LOW)}) ==
                0);
  BOOST_TEST(create_queue(user, AIACCEL_CLASS_NORMAL) == -EPERM);
  BOOST_TEST(create_queue(user, AIACCEL_CLASS_LOW) == 0);
  BOOST_TEST(create_queue(root, AIACCEL_CLASS_HIGH) == 0);  // may exceed its ceiling
  BOOST_TEST(create_queue(user, AIACCEL_CLASS_REALTIME) == -EINVAL);

  // The queue that is there counts as low: it waits for the other's normal one.
  BOOST_REQUIRE(root.submit(1, holds) == 0);
  const auto turn = root.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_REQUIRE(user.submit(2, high) == 0);
  BOOST_REQUIRE(other.submit(3, normal) == 0);
  BOOST_REQUIRE(root.complete(1, turn.generation) == 0);
  const auto second = other.must_event(3, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(user.events().empty());

  // And as high again once it may.
  BOOST_REQUIRE(root.submit(4, holds) == 0);
  BOOST_REQUIRE(set(root, {}) == 0);
  BOOST_REQUIRE(other.complete(3, second.generation) == 0);
  user.must_event(2, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(turns_held_at_once_are_bounded) {
  Arbiter host;
  Client root(host, 0, true);
  Client one(host, kUser);
  Client two(host, kUser);
  Client three(host, kUser);
  Client other(host, kOther);
  BOOST_REQUIRE(set(root, {rule(kUser, [](auto& r) {
                      r.sets = AIACCEL_SETS_GRANTS;
                      r.grants = 2;
                    })}) == 0);
  BOOST_REQUIRE(one.submit(1, one.queue(kCpu)) == 0);
  BOOST_REQUIRE(two.submit(2, two.queue(kCpu)) == 0);
  BOOST_REQUIRE(three.submit(3, three.queue(kCpu)) == 0);
  BOOST_REQUIRE(other.submit(4, other.queue(kCpu)) == 0);  // of 4 slots
  const auto turn = one.must_event(1, AIACCEL_EVENT_GRANTED);
  two.must_event(2, AIACCEL_EVENT_GRANTED);
  other.must_event(4, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(three.events().empty());
  BOOST_REQUIRE(one.complete(1, turn.generation) == 0);
  three.must_event(3, AIACCEL_EVENT_GRANTED);

  // A ceiling that goes lets go at once.
  BOOST_REQUIRE(one.submit(5, one.queue(kCpu)) == 0);
  BOOST_TEST(one.events().empty());
  BOOST_REQUIRE(set(root, {}) == 0);
  one.must_event(5, AIACCEL_EVENT_GRANTED);
}

// Held back until the time that the arbiter asks to be woken at, and no longer.
BOOST_AUTO_TEST_CASE(engine_time_is_bounded) {
  Arbiter host;
  uint64_t wake_ns = AIACCEL_NEVER;
  host.wake_at = [&](uint64_t ns) { wake_ns = ns; };
  Client root(host, 0, true);
  Client user(host, kUser);
  Client other(host, kOther);
  const uint32_t queue = user.queue(kGpu);
  BOOST_REQUIRE(set(root, {rule(kUser, [](auto& r) {
                      r.sets = AIACCEL_SETS_ENGINE_TIME;
                      r.engine_time = 100;  // of 10000
                    })}) == 0);
  // A burst is there at first; it is spent in turns of some milliseconds.
  uint64_t cookie = 1;
  for (;; ++cookie) {
    BOOST_REQUIRE(cookie < 1000u);
    BOOST_REQUIRE(user.submit(cookie, queue) == 0);
    const auto events = user.events();
    if (events.empty()) break;
    const timespec pause{0, 2'000'000};
    nanosleep(&pause, nullptr);
    BOOST_REQUIRE(user.complete(cookie, events[0].generation) == 0);
  }
  BOOST_TEST(wake_ns != AIACCEL_NEVER);
  BOOST_TEST(wake_ns < aiaccel::host::monotonic_ns() + 10 * kSecond);

  // Nobody else is held back.
  const uint32_t free = other.queue(kGpu);
  BOOST_REQUIRE(other.submit(1, free) == 0);
  const auto turn = other.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_REQUIRE(other.complete(1, turn.generation) == 0);
  BOOST_TEST(user.events().empty());

  // The clock moved by hand, so that nothing waits for it.
  int rounds = 0;
  std::vector<aiaccel_event> events;
  while (events.empty() && ++rounds < 10) {
    const uint64_t now = wake_ns;
    wake_ns = AIACCEL_NEVER;
    host.tick(now);
    events = user.events();
  }
  BOOST_REQUIRE(events.size() == 1u);
  BOOST_TEST(events[0].cookie == cookie);
  BOOST_TEST(events[0].events == static_cast<uint32_t>(AIACCEL_EVENT_GRANTED));
  uint64_t capped_ns = 0;
  for (const auto& record : user.stats<aiaccel_stats_turn>(AIACCEL_STATS_TURNS))
    if (record.state == AIACCEL_TURN_RUNNING) capped_ns = record.capped_ns;
  BOOST_TEST(capped_ns > 0u);
}

BOOST_AUTO_TEST_CASE(engine_time_is_owed_by_who_reconnects) {
  Arbiter host;
  Client root(host, 0, true);
  const auto is_known = [&] {
    const auto tenants = root.stats<aiaccel_stats_tenant>(AIACCEL_STATS_TENANTS);
    return std::any_of(tenants.begin(), tenants.end(),
                       [](const auto& record) { return record.source_id == kUser; });
  };
  const auto cap = [](uint32_t uid) {
    return rule(uid, [](auto& r) { r.sets = AIACCEL_SETS_ENGINE_TIME, r.engine_time = 1; });
  };
  BOOST_REQUIRE(set(root, {cap(kUser)}) == 0);
  {
    Client user(host, kUser);
    BOOST_REQUIRE(user.submit(1, user.queue(kGpu)) == 0);
    const auto turn = user.must_event(1, AIACCEL_EVENT_GRANTED);
    const timespec pause{0, 5'000'000};  // paid off after 50 s
    nanosleep(&pause, nullptr);
    BOOST_REQUIRE(user.complete(1, turn.generation) == 0);
  }
  BOOST_TEST(is_known());
  {
    Client again(host, kUser);
    BOOST_REQUIRE(again.submit(1, again.queue(kGpu)) == 0);
    BOOST_TEST(again.events().empty());
  }
  BOOST_TEST(is_known());
  host.tick(aiaccel::host::monotonic_ns() + 1000 * kSecond);
  BOOST_TEST(!is_known());

  // Nor is anything owed once there is no ceiling.
  BOOST_REQUIRE(set(root, {cap(kOther)}) == 0);
  auto other = std::make_unique<Client>(host, kOther);
  BOOST_REQUIRE(other->submit(1, other->queue(kCpu)) == 0);
  const timespec pause{0, 5'000'000};
  nanosleep(&pause, nullptr);
  other.reset();
  BOOST_TEST(root.stats<aiaccel_stats_tenant>(AIACCEL_STATS_TENANTS).size() == 3u);
  BOOST_REQUIRE(set(root, {}) == 0);
  BOOST_TEST(root.stats<aiaccel_stats_tenant>(AIACCEL_STATS_TENANTS).size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
