// SPDX-License-Identifier: MIT
//
// What the administrator does to engines and to the turns of others, and what STATS tells of it
// after. Each case leaves the engines active.
#include <cerrno>
#include <cstring>

#include "device.hpp"

using namespace conformance;

namespace {

int control(Device& device, uint32_t engine, uint32_t state) {
  aiaccel_control arg{};
  arg.engine = engine;
  arg.state = state;
  return device.call(AIACCEL_IOC_CONTROL, arg);
}

// Ends what a case did, however it ends.
struct Active {
  Device& device;
  ~Active() { BOOST_TEST(control(device, 0, AIACCEL_ENGINE_ACTIVE) == 0); }
};

// Of a context with one queue, which bears this label.
uint64_t context_of(Device& device, const char* label) {
  for (const aiaccel_stats_queue& record : device.queue_stats())
    if (std::strcmp(record.label, label) == 0) return record.context;
  BOOST_FAIL("STATS does not list the queue " << label);
  return 0;
}

// The newest of a context.
uint32_t state_of(Device& device, uint64_t context) {
  uint64_t submitted_ns = 0;
  uint32_t state = 0;
  for (const aiaccel_stats_turn& turn : device.turn_stats()) {
    if (turn.context != context || turn.submitted_ns < submitted_ns) continue;
    submitted_ns = turn.submitted_ns;
    state = turn.state;
  }
  return state;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(administrator)

BOOST_AUTO_TEST_CASE(a_draining_engine_grants_what_waits_and_takes_nothing_new) {
  Device device;
  Device other;
  Active active{device};
  const uint32_t engine = device.engine().id;
  const uint32_t slots = device.slots();
  const uint32_t queue = other.must_queue();
  const uint32_t generation = device.must_hold(1, device.must_queue(), slots);
  BOOST_REQUIRE(other.submit(job(2, queue, {.width = slots})) == 0);
  BOOST_REQUIRE(control(device, engine, AIACCEL_ENGINE_DRAINING) == 0);
  BOOST_TEST(device.engine().state == static_cast<uint32_t>(AIACCEL_ENGINE_DRAINING));
  BOOST_TEST(other.submit(job(3, queue)) == -ESHUTDOWN);
  aiaccel_queue_create create = other.queue_arg();
  BOOST_TEST(other.call(AIACCEL_IOC_QUEUE_CREATE, create) == -ESHUTDOWN);
  BOOST_REQUIRE(device.complete(1, generation) == 0);
  const auto event = other.must_event(2, AIACCEL_EVENT_GRANTED);
  BOOST_REQUIRE(other.complete(2, event.generation) == 0);
  BOOST_REQUIRE(control(device, engine, AIACCEL_ENGINE_ACTIVE) == 0);
  BOOST_TEST(other.submit(job(3, queue)) == 0);
}

BOOST_AUTO_TEST_CASE(leaving_fails_what_waits_and_lets_turns_end) {
  Device device;
  Device other;
  Active active{device};
  const uint32_t slots = device.slots();
  const uint32_t queue = other.must_queue();
  const uint32_t generation = device.must_hold(1, device.must_queue(), slots);
  BOOST_REQUIRE(other.submit(job(2, queue, {.width = slots})) == 0);
  BOOST_REQUIRE(control(device, 0, AIACCEL_ENGINE_LEAVING) == 0);
  other.must_event(2, AIACCEL_EVENT_FAILED);
  BOOST_TEST(other.submit(job(3, queue)) == -ENODEV);
  BOOST_TEST(device.events().empty());
  BOOST_TEST(device.complete(1, generation) == 0);
}

BOOST_AUTO_TEST_CASE(a_turn_is_revoked_and_the_next_one_begins) {
  Device device;
  Device other;
  const uint32_t slots = device.slots();
  const uint32_t generation =
      device.must_hold(1, device.must_queue(AIACCEL_CLASS_NORMAL, 0, "revoked@1"), slots);
  BOOST_REQUIRE(other.submit(job(2, other.must_queue(), {.width = slots})) == 0);
  aiaccel_revoke arg{};
  arg.context = context_of(device, "revoked@1");
  BOOST_REQUIRE(other.call(AIACCEL_IOC_REVOKE, arg) == 0);
  BOOST_TEST(arg.count == 1u);
  device.must_event(1, AIACCEL_EVENT_REVOKED);
  other.must_event(2, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(device.complete(1, generation) == -ESTALE);
  BOOST_TEST(state_of(device, arg.context) == static_cast<uint32_t>(AIACCEL_TURN_REVOKED));
  BOOST_REQUIRE(other.call(AIACCEL_IOC_REVOKE, arg) == 0);
  BOOST_TEST(arg.count == 0u);
}

BOOST_AUTO_TEST_CASE(all_of_a_tenant_ends_with_what_waits) {
  Device device;
  Device other;
  const uint32_t slots = device.slots();
  device.must_hold(1, device.must_queue(), slots);
  const uint32_t queue = other.must_queue(AIACCEL_CLASS_NORMAL, 0, "failed@1");
  BOOST_REQUIRE(other.submit(job(2, queue, {.width = slots})) == 0);
  const uint64_t context = context_of(other, "failed@1");
  BOOST_TEST(state_of(other, context) == static_cast<uint32_t>(AIACCEL_TURN_WAITING));
  aiaccel_revoke arg{};
  arg.tenant = device.query().tenant;
  arg.flags = AIACCEL_REVOKE_WAITING;
  BOOST_REQUIRE(device.call(AIACCEL_IOC_REVOKE, arg) == 0);
  BOOST_TEST(arg.count == 2u);
  device.must_event(1, AIACCEL_EVENT_REVOKED);
  other.must_event(2, AIACCEL_EVENT_FAILED);
  BOOST_TEST(state_of(other, context) == static_cast<uint32_t>(AIACCEL_TURN_FAILED));
}

BOOST_AUTO_TEST_CASE(what_became_of_a_turn_is_told) {
  Device device;
  const uint32_t queue = device.must_queue(AIACCEL_CLASS_HIGH, 0, "told@1");
  const uint64_t context = context_of(device, "told@1");
  BOOST_TEST(state_of(device, context) == 0u);
  const uint32_t generation = device.must_hold(1, queue, 1);
  BOOST_TEST(state_of(device, context) == static_cast<uint32_t>(AIACCEL_TURN_RUNNING));
  BOOST_REQUIRE(device.complete(1, generation) == 0);
  bool found = false;
  for (const aiaccel_stats_turn& turn : device.turn_stats()) {
    if (turn.context != context) continue;
    found = true;
    BOOST_TEST(turn.state == static_cast<uint32_t>(AIACCEL_TURN_COMPLETED));
    BOOST_TEST(turn.engine == device.engine().id);
    BOOST_TEST(turn.queue == queue);
    BOOST_TEST(turn.tenant == device.query().tenant);
    BOOST_TEST(turn.class_ == static_cast<uint32_t>(AIACCEL_CLASS_HIGH));
    BOOST_TEST(turn.width == 1u);
    BOOST_TEST(turn.pid == getpid());
    BOOST_TEST(turn.submitted_ns > 0u);
    BOOST_TEST(turn.granted_ns >= turn.submitted_ns);
    BOOST_TEST(turn.ended_ns >= turn.granted_ns);
    BOOST_TEST(std::string(turn.label) == "told@1");
    BOOST_TEST(turn.count == 1u);
    BOOST_TEST(turn.tenant_kind == device.own_tenant().kind);
    BOOST_TEST(turn.source_id == device.own_tenant().source_id);
  }
  BOOST_TEST(found);
}

BOOST_AUTO_TEST_CASE(jobs_that_got_nothing_are_counted_in_one_record) {
  Device device;
  Device other;
  Active active{device};
  const uint32_t slots = device.slots();
  const uint32_t queue = other.must_queue(AIACCEL_CLASS_NORMAL, 0, "row@1");
  const uint64_t context = context_of(other, "row@1");
  const uint32_t generation = device.must_hold(1, device.must_queue(), slots);
  std::vector<aiaccel_job> jobs;
  std::vector<aiaccel_completion> cancels;
  for (uint64_t cookie = 1; cookie <= 20; ++cookie) {
    jobs.push_back(job(cookie, queue, {.width = slots}));
    cancels.push_back({cookie, 0, AIACCEL_COMPLETE_CANCEL});
  }
  aiaccel_enter enter{};
  enter.jobs = reinterpret_cast<uintptr_t>(jobs.data());
  enter.nr_jobs = static_cast<uint32_t>(jobs.size());
  BOOST_REQUIRE(other.call(AIACCEL_IOC_ENTER, enter) == 0);
  enter = {};
  enter.completions = reinterpret_cast<uintptr_t>(cancels.data());
  enter.nr_completions = static_cast<uint32_t>(cancels.size());
  BOOST_REQUIRE(other.call(AIACCEL_IOC_ENTER, enter) == 0);
  BOOST_REQUIRE(enter.nr_completions == 20u);
  BOOST_REQUIRE(control(device, device.engine().id, AIACCEL_ENGINE_DRAINING) == 0);
  for (uint64_t cookie = 1; cookie <= 5; ++cookie)
    BOOST_TEST(other.submit(job(cookie, queue)) == -ESHUTDOWN);
  for (int i = 0; i < 4; ++i) {
    aiaccel_queue_create create = other.queue_arg();
    create.class_ = AIACCEL_CLASS_LOW;
    std::strcpy(create.label, "row@1");
    BOOST_TEST(other.call(AIACCEL_IOC_QUEUE_CREATE, create) == -ESHUTDOWN);
  }
  BOOST_REQUIRE(device.complete(1, generation) == 0);

  std::vector<aiaccel_stats_turn> told;
  for (const aiaccel_stats_turn& turn : device.turn_stats())
    if (turn.context == context) told.push_back(turn);
  BOOST_REQUIRE(told.size() == 3u);
  BOOST_TEST(told[0].state == static_cast<uint32_t>(AIACCEL_TURN_WITHDRAWN));
  BOOST_TEST(told[0].count == 20u);
  BOOST_TEST(told[0].granted_ns == 0u);
  BOOST_TEST(told[0].ended_ns >= told[0].submitted_ns);
  BOOST_TEST(told[1].state == static_cast<uint32_t>(AIACCEL_TURN_REFUSED));
  BOOST_TEST(told[1].count == 5u);
  BOOST_TEST(told[1].queue == queue);
  BOOST_TEST(told[1].capped_ns == 0u);
  BOOST_TEST(told[2].state == static_cast<uint32_t>(AIACCEL_TURN_REFUSED));
  BOOST_TEST(told[2].count == 4u);
  BOOST_TEST(told[2].queue == 0u);
  BOOST_TEST(told[2].width == 0u);
  BOOST_TEST(told[2].class_ == static_cast<uint32_t>(AIACCEL_CLASS_LOW));
  BOOST_TEST(told[2].tenant == device.query().tenant);
  BOOST_TEST(std::string(told[2].label) == "row@1");
}

BOOST_AUTO_TEST_SUITE_END()
