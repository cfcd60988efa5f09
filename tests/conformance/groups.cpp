// SPDX-License-Identifier: MIT
//
// Groups of jobs of several contexts: together or not at all. What happens at several engines is
// in core/groups.cpp.
#include <cerrno>
#include <optional>

#include "device.hpp"
#include "gated_engine.hpp"

using namespace conformance;

namespace {

aiaccel_job one_of(uint64_t group, uint32_t size, uint64_t cookie, uint32_t queue,
                   uint32_t width = 1) {
  aiaccel_job arg = job(cookie, queue, {.width = width});
  arg.group = group;
  arg.group_size = size;
  return arg;
}

#define NEED_TWO_SLOTS(device) \
  if ((device).slots() < 2) SKIP("one slot: two jobs cannot run together")

}  // namespace

BOOST_AUTO_TEST_SUITE(groups)

BOOST_AUTO_TEST_CASE(they_begin_together_and_end_each_by_itself) {
  Device a;
  Device b;
  NEED_TWO_SLOTS(a);
  const uint32_t queue = a.must_queue();
  const uint32_t other = b.must_queue();
  BOOST_REQUIRE(a.submit(one_of(7, 2, 1, queue)) == 0);
  BOOST_TEST(a.complete(1, 0) == -EBUSY);
  BOOST_TEST(a.events().empty());  // slots are free, and the other is not there
  BOOST_REQUIRE(b.submit(one_of(7, 2, 1, other)) == 0);
  const aiaccel_event first = a.must_event(1, AIACCEL_EVENT_GRANTED);
  const aiaccel_event second = b.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(first.time_ns == second.time_ns);
  BOOST_TEST(a.complete(1, first.generation) == 0);
  BOOST_TEST(b.complete(1, second.generation) == 0);
  BOOST_TEST(a.events().empty());
  BOOST_TEST(b.events().empty());
  // The number is free.
  BOOST_REQUIRE(b.submit(one_of(7, 1, 2, other)) == 0);
  b.must_event(2, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(none_has_its_turn_while_one_of_them_cannot) {
  Device holder;
  Device a;
  Device b;
  NEED_TWO_SLOTS(a);
  const uint32_t slots = a.slots();
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots - 1);
  BOOST_REQUIRE(a.submit(one_of(7, 2, 1, a.must_queue())) == 0);
  BOOST_REQUIRE(b.submit(one_of(7, 2, 1, b.must_queue())) == 0);
  BOOST_TEST(a.events().empty());
  BOOST_TEST(b.events().empty());
  BOOST_TEST(holder.complete(1, generation) == 0);
  a.must_event(1, AIACCEL_EVENT_GRANTED);
  b.must_event(1, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(what_a_group_refuses) {
  Device holder;
  Device a;
  Device b;
  NEED_TWO_SLOTS(a);
  const uint32_t slots = a.slots();
  const uint32_t queue = a.must_queue();
  const uint32_t other = b.must_queue();
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots);
  BOOST_REQUIRE(a.submit(one_of(7, 2, 1, queue)) == 0);
  BOOST_TEST(a.submit(one_of(7, 2, 2, queue)) == -EDEADLK);
  BOOST_TEST(b.submit(one_of(7, 3, 1, other)) == -EINVAL);
  BOOST_TEST(b.submit(one_of(7, 2, 1, other, slots)) == -EINVAL);
  BOOST_TEST(b.submit(one_of(7, 2, 1, b.must_queue(AIACCEL_CLASS_LOW))) == -EINVAL);
  BOOST_REQUIRE(b.submit(one_of(7, 2, 1, other)) == 0);
  Device late;
  BOOST_TEST(late.submit(one_of(7, 2, 1, late.must_queue())) == -EBUSY);
  BOOST_TEST(holder.complete(1, generation) == 0);
  a.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(late.submit(one_of(7, 2, 1, late.must_queue())) == 0);
  BOOST_TEST(late.events().empty());
}

BOOST_AUTO_TEST_CASE(who_leaves_is_waited_for_again) {
  Device holder;
  Device a;
  NEED_TWO_SLOTS(a);
  const uint32_t slots = a.slots();
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots);
  std::optional<Device> b;
  b.emplace();
  BOOST_REQUIRE(b->submit(one_of(7, 2, 1, b->must_queue())) == 0);
  BOOST_REQUIRE(a.submit(one_of(7, 2, 1, a.must_queue())) == 0);
  BOOST_TEST(a.cancel(1) == 0);
  BOOST_REQUIRE(a.submit(one_of(7, 2, 2, a.must_queue())) == 0);
  b.reset();  // a context that goes, and had founded it
  BOOST_TEST(holder.complete(1, generation) == 0);
  BOOST_TEST(a.events().empty());
  Device c;
  const uint32_t queue = c.must_queue();
  BOOST_REQUIRE(c.submit(one_of(7, 2, 1, queue)) == 0);
  a.must_event(2, AIACCEL_EVENT_GRANTED);
  c.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(c.destroy(queue) == 0);
  BOOST_TEST(a.events().empty());
}

// On an engine of its own each: where it has a seat there is only one reason to refuse it.
BOOST_AUTO_TEST_CASE(after_one_of_its_own_group_is_refused) {
  const GatedEngine gated;
  if (!gated) SKIP(kNoGatedEngine);
  Device a;
  aiaccel_queue_create create = a.queue_arg();
  create.engine = gated.id();
  BOOST_REQUIRE_EQUAL(a.call(AIACCEL_IOC_QUEUE_CREATE, create), 0);
  const auto after = [](uint64_t before, aiaccel_job arg) {
    arg.flags = AIACCEL_JOB_AFTER;
    arg.after = before;
    return arg;
  };
  BOOST_REQUIRE(a.submit(one_of(7, 2, 1, a.must_queue())) == 0);
  BOOST_TEST(a.submit(after(1, one_of(7, 2, 2, create.id))) == -EDEADLK);
  BOOST_REQUIRE(a.submit(after(1, job(2, create.id))) == 0);
  BOOST_TEST(a.submit(after(2, one_of(7, 2, 3, create.id))) == -EDEADLK);
  BOOST_TEST(a.events().empty());
  BOOST_REQUIRE(a.submit(one_of(7, 2, 3, create.id)) == 0);
  const aiaccel_event first = a.must_event();
  const aiaccel_event second = a.must_event();
  BOOST_TEST(first.time_ns == second.time_ns);
  BOOST_TEST(first.cookie + second.cookie == 4u);
}

BOOST_AUTO_TEST_SUITE_END()
