// SPDX-License-Identifier: MIT
//
// Engines that drain and leave, turns that are ended by others, and the records of all that.
#include <algorithm>
#include <cerrno>

#include "arbiter.hpp"

using namespace arbiter;

namespace {

constexpr uint64_t kRoot = 0;

int control(Client& client, uint32_t engine, uint32_t state) {
  aiaccel_control arg{};
  arg.engine = engine;
  arg.state = state;
  return client.call(AIACCEL_IOC_CONTROL, arg);
}

int revoke(Client& client, aiaccel_revoke& arg) {
  return client.call(AIACCEL_IOC_REVOKE, arg);
}

uint32_t state(Client& client, uint32_t engine) {
  aiaccel_engine_info info{};
  info.id = engine;
  BOOST_REQUIRE_EQUAL(client.call(AIACCEL_IOC_ENGINE_INFO, info), 0);
  return info.state;
}

// While it is the only one of its tenant that has queues.
uint64_t context_of(Client& client) {
  const auto queues = client.stats<aiaccel_stats_queue>(AIACCEL_STATS_QUEUES);
  BOOST_REQUIRE(!queues.empty());
  return queues[0].context;
}

std::vector<aiaccel_stats_turn> turns(Client& client) {
  return client.stats<aiaccel_stats_turn>(AIACCEL_STATS_TURNS);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(control_calls)

BOOST_AUTO_TEST_CASE(only_an_administrator_may) {
  Arbiter host;
  Client user(host);
  aiaccel_revoke arg{};
  arg.context = 999;  // whether there is such a one is not for everybody to find out
  BOOST_TEST(control(user, kCpu, AIACCEL_ENGINE_DRAINING) == -EPERM);
  BOOST_TEST(control(user, 999, AIACCEL_ENGINE_DRAINING) == -ENOENT);
  BOOST_TEST(revoke(user, arg) == -EPERM);
  BOOST_TEST(state(user, kCpu) == static_cast<uint32_t>(AIACCEL_ENGINE_ACTIVE));
}

BOOST_AUTO_TEST_CASE(arguments) {
  Arbiter host;
  Client root(host, kRoot, true);
  BOOST_TEST(control(root, 999, AIACCEL_ENGINE_DRAINING) == -ENOENT);
  BOOST_TEST(control(root, kCpu, AIACCEL_ENGINE_FAULTED) == -EOPNOTSUPP);
  BOOST_TEST(control(root, kCpu, 0) == -EOPNOTSUPP);
  BOOST_TEST(control(root, kCpu, AIACCEL_ENGINE_LEAVING) == -EINVAL);
  const uint64_t own = root.query().tenant;
  root.queue(kCpu);
  for (const auto& [context, tenant, engine, error] :
       {std::tuple{uint64_t{0}, uint64_t{0}, 0u, EINVAL},
        {context_of(root), own, 0u, EINVAL},
        {uint64_t{999}, uint64_t{0}, 0u, ENOENT},
        {uint64_t{0}, uint64_t{999}, 0u, ENOENT},
        {uint64_t{0}, own, 999u, ENOENT}}) {
    aiaccel_revoke arg{};
    arg.context = context;
    arg.tenant = tenant;
    arg.engine = engine;
    arg.count = 77;
    BOOST_TEST(revoke(root, arg) == -error);
    BOOST_TEST(arg.count == 77u);
  }
}

BOOST_AUTO_TEST_CASE(a_draining_engine_grants_what_waits_and_takes_nothing_new) {
  Arbiter host;
  Client root(host, kRoot, true);
  Client one(host, 1000);
  Client two(host, 1001);
  const uint32_t first = one.queue(kGpu);
  const uint32_t second = two.queue(kGpu);
  BOOST_REQUIRE(one.submit(1, first) == 0);
  BOOST_REQUIRE(two.submit(2, second) == 0);
  const auto turn = one.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_REQUIRE(control(root, kGpu, AIACCEL_ENGINE_DRAINING) == 0);
  BOOST_TEST(state(one, kGpu) == static_cast<uint32_t>(AIACCEL_ENGINE_DRAINING));
  BOOST_TEST(state(one, kCpu) == static_cast<uint32_t>(AIACCEL_ENGINE_ACTIVE));
  BOOST_TEST(two.submit(3, second) == -ESHUTDOWN);
  aiaccel_queue_create create{};
  create.engine = kGpu;
  BOOST_TEST(one.call(AIACCEL_IOC_QUEUE_CREATE, create) == -ESHUTDOWN);
  BOOST_REQUIRE(one.complete(1, turn.generation) == 0);
  const auto next = two.must_event(2, AIACCEL_EVENT_GRANTED);
  BOOST_REQUIRE(two.complete(2, next.generation) == 0);
  BOOST_REQUIRE(control(root, kGpu, AIACCEL_ENGINE_ACTIVE) == 0);
  BOOST_TEST(two.submit(3, second) == 0);
}

BOOST_AUTO_TEST_CASE(leaving_fails_what_waits_and_lets_turns_end) {
  Arbiter host;
  Client root(host, kRoot, true);
  Client one(host, 1000);
  Client two(host, 1001);
  const uint32_t first = one.queue(kGpu);
  const uint32_t second = two.queue(kGpu);
  BOOST_REQUIRE(one.submit(1, first) == 0);
  BOOST_REQUIRE(two.submit(2, second) == 0);
  const auto turn = one.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_REQUIRE(control(root, 0, AIACCEL_ENGINE_LEAVING) == 0);
  two.must_event(2, AIACCEL_EVENT_FAILED);
  BOOST_TEST(one.events().empty());
  BOOST_TEST(two.submit(3, second) == -ENODEV);
  aiaccel_queue_create create{};
  create.engine = kCpu;
  BOOST_TEST(one.call(AIACCEL_IOC_QUEUE_CREATE, create) == -ENODEV);
  BOOST_TEST(one.complete(1, turn.generation) == 0);
  BOOST_REQUIRE(control(root, 0, AIACCEL_ENGINE_ACTIVE) == 0);
  BOOST_REQUIRE(two.submit(3, second) == 0);
  two.must_event(3, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(turns_are_revoked_by_context_or_tenant) {
  Arbiter host;
  Client root(host, kRoot, true);
  Client one(host, 1000);
  Client same(host, 1000);
  Client two(host, 1001);
  const uint32_t first = one.queue(kGpu);
  const uint64_t context = context_of(one);
  const uint32_t second = same.queue(kGpu);
  const uint32_t third = two.queue(kGpu);
  BOOST_REQUIRE(one.submit(1, first) == 0);
  BOOST_REQUIRE(same.submit(2, second) == 0);
  BOOST_REQUIRE(two.submit(3, third) == 0);
  const auto turn = one.must_event(1, AIACCEL_EVENT_GRANTED);

  // The next in line gets it.
  aiaccel_revoke arg{};
  arg.context = context;
  arg.engine = kCpu;
  BOOST_REQUIRE(revoke(root, arg) == 0);
  BOOST_TEST(arg.count == 0u);
  arg.engine = kGpu;
  BOOST_REQUIRE(revoke(root, arg) == 0);
  BOOST_TEST(arg.count == 1u);
  one.must_event(1, AIACCEL_EVENT_REVOKED);
  BOOST_TEST(one.complete(1, turn.generation) == -ESTALE);
  two.must_event(3, AIACCEL_EVENT_GRANTED);

  // One of another tenant stays; what waits is told.
  arg = {};
  arg.tenant = one.query().tenant;
  arg.flags = AIACCEL_REVOKE_WAITING;
  BOOST_REQUIRE(revoke(root, arg) == 0);
  BOOST_TEST(arg.count == 1u);
  same.must_event(2, AIACCEL_EVENT_FAILED);
  BOOST_TEST(two.events().empty());

  // All, by the tenant above them.
  BOOST_REQUIRE(one.submit(4, first) == 0);
  const auto tenants = root.stats<aiaccel_stats_tenant>(AIACCEL_STATS_TENANTS);
  arg.tenant = tenants[0].tenant;
  BOOST_REQUIRE(revoke(root, arg) == 0);
  BOOST_TEST(arg.count == 2u);
  one.must_event(4, AIACCEL_EVENT_FAILED);
  two.must_event(3, AIACCEL_EVENT_REVOKED);
}

BOOST_AUTO_TEST_CASE(what_became_of_turns_is_told) {
  Arbiter host;
  Client root(host, kRoot, true);
  Client two(host, 1001);
  uint64_t gone = 0;
  {
    Client one(host, 1000);
    const uint32_t queue = one.queue(kGpu, AIACCEL_CLASS_HIGH);
    gone = context_of(one);
    BOOST_REQUIRE(one.submit(1, queue) == 0);
    one.complete(1, one.must_event(1, AIACCEL_EVENT_GRANTED).generation);
    BOOST_REQUIRE(one.submit(2, queue) == 0);
  }
  const uint32_t queue = two.queue(kGpu);
  BOOST_REQUIRE(two.submit(3, queue) == 0);
  BOOST_REQUIRE(two.submit(4, queue) == -EDEADLK);
  Client three(host, 1001);
  BOOST_REQUIRE(three.submit(5, three.queue(kGpu)) == 0);

  const auto all = turns(root);
  BOOST_REQUIRE(all.size() == 4u);
  const uint32_t states[] = {AIACCEL_TURN_COMPLETED, AIACCEL_TURN_COMPLETED};
  for (int i = 0; i < 2; ++i) {  // its own completion, and its end
    BOOST_TEST(all[i].state == states[i]);
    BOOST_TEST(all[i].context == gone);
    BOOST_TEST(all[i].tenant_kind == static_cast<uint32_t>(AIACCEL_TENANT_USER));
    BOOST_TEST(all[i].source_id == 1000u);
    BOOST_TEST(all[i].engine == kGpu);
    BOOST_TEST(all[i].class_ == static_cast<uint32_t>(AIACCEL_CLASS_HIGH));
    BOOST_TEST(all[i].pid == 1);
    BOOST_TEST(std::string(all[i].comm) == "test");
    BOOST_TEST(std::string(all[i].label) == "test@1");
    BOOST_TEST(all[i].submitted_ns <= all[i].granted_ns);
    BOOST_TEST(all[i].granted_ns <= all[i].ended_ns);
  }
  uint32_t running = 0;
  uint32_t waiting = 0;
  for (const auto& turn : turns(two)) {  // of its tenant
    BOOST_TEST(turn.tenant == two.query().tenant);
    running += turn.state == AIACCEL_TURN_RUNNING;
    waiting += turn.state == AIACCEL_TURN_WAITING;
  }
  BOOST_TEST(running == 1u);
  BOOST_TEST(waiting == 1u);
}

// A user who comes again is a tenant of another number: its uid may have been another's.
BOOST_AUTO_TEST_CASE(a_user_sees_nothing_of_who_had_its_uid_before) {
  Arbiter host;
  uint64_t before = 0;
  for (const uint64_t uid : {1000, 1001}) {
    Client client(host, uid);
    BOOST_REQUIRE(client.submit(1, client.queue(kGpu)) == 0);
    if (uid == 1000) before = client.query().tenant;
  }
  Client again(host, 1000);
  BOOST_TEST(again.query().tenant != before);
  BOOST_TEST(turns(again).empty());
  BOOST_REQUIRE(again.submit(1, again.queue(kGpu)) == 0);
  BOOST_TEST(turns(again).size() == 1u);
  Client root(host, 0, true);
  BOOST_TEST(turns(root).size() == 3u);
}

BOOST_AUTO_TEST_CASE(refused_jobs_are_one_record) {
  Arbiter host;
  Client root(host, kRoot, true);
  const uint32_t queue = root.queue(kGpu);
  BOOST_REQUIRE(control(root, kGpu, AIACCEL_ENGINE_DRAINING) == 0);
  for (int i = 0; i < 5; ++i) BOOST_TEST(root.submit(1, queue) == -ESHUTDOWN);
  const auto all = turns(root);
  BOOST_REQUIRE(all.size() == 1u);
  BOOST_TEST(all[0].state == static_cast<uint32_t>(AIACCEL_TURN_REFUSED));
  BOOST_TEST(all[0].count == 5u);
  BOOST_TEST(all[0].granted_ns == 0u);
}

BOOST_AUTO_TEST_CASE(the_oldest_records_make_room) {
  Arbiter host;
  Client client(host);
  const uint32_t queue = client.queue(kGpu);
  for (uint64_t i = 0; i < AIA_HISTORY_RECORDS + 10; ++i) {
    BOOST_REQUIRE(client.submit(i, queue) == 0);
    BOOST_REQUIRE(client.complete(i, client.must_event(i, AIACCEL_EVENT_GRANTED).generation) == 0);
  }
  BOOST_TEST(turns(client).size() == static_cast<size_t>(AIA_HISTORY_RECORDS));
}

// Which others have in the same history.
BOOST_AUTO_TEST_CASE(a_list_of_turns_has_those_that_fit_and_counts_all_of_ones_own) {
  Arbiter host;
  Client root(host, 0, true);
  Client user(host, 1000);
  Client other(host, 1001);
  for (Client* client : {&user, &other}) {
    const uint32_t queue = client->queue(kCpu);
    for (uint64_t cookie = 1; cookie <= 3; ++cookie) {
      BOOST_REQUIRE(client->submit(cookie, queue) == 0);
      const auto turn = client->must_event(cookie, AIACCEL_EVENT_GRANTED);
      if (cookie < 3) BOOST_REQUIRE(client->complete(cookie, turn.generation) == 0);
    }
  }
  const auto list = [](Client& client, uint32_t fit, size_t* listed) {
    aiaccel_stats arg{};
    arg.kind = AIACCEL_STATS_TURNS;
    arg.count = fit;
    arg.record_size = sizeof(aiaccel_stats_turn);
    std::vector<std::byte> bytes;
    BOOST_REQUIRE_EQUAL(client.call(AIACCEL_IOC_STATS, arg, &bytes), 0);
    *listed = bytes.size() / sizeof(aiaccel_stats_turn);
    return arg.count;
  };
  for (uint32_t fit = 0; fit < 8; ++fit) {
    size_t listed = 0;
    BOOST_TEST(list(user, fit, &listed) == 3u);
    BOOST_TEST(listed == std::min(fit, 3u));
    BOOST_TEST(list(root, fit, &listed) == 6u);
    BOOST_TEST(listed == std::min(fit, 6u));
  }
}

BOOST_AUTO_TEST_SUITE_END()
