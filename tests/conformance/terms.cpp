// SPDX-License-Identifier: MIT
//
// The end of a turn: budgets, renewal, the grace, what is contended after it, and holders that take
// no notice. Waits are for what must come; nothing here fails for being slow.
#include <cerrno>

#include "device.hpp"

using namespace conformance;

namespace {

constexpr uint64_t kBudget = 20'000'000;

uint32_t queue_of(Device& device, uint64_t budget_ns, uint32_t class_ = AIACCEL_CLASS_NORMAL,
                  uint32_t flags = 0) {
  aiaccel_queue_create arg = device.queue_arg();
  arg.budget_ns = budget_ns;
  arg.class_ = class_;
  arg.flags = flags;
  BOOST_REQUIRE(device.call(AIACCEL_IOC_QUEUE_CREATE, arg) == 0);
  return arg.id;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(terms)

BOOST_AUTO_TEST_CASE(who_overruns_the_budget_is_asked_and_revoked) {
  Device device;
  Device other;
  const uint32_t slots = device.slots();
  const uint64_t start = now_ns();
  const uint32_t queue = queue_of(device, kBudget);
  const uint32_t generation = device.must_hold(1, queue, slots);
  BOOST_REQUIRE(other.submit(job(2, other.must_queue(), {.width = slots})) == 0);
  const uint64_t asked = device.must_event(1, AIACCEL_EVENT_YIELD).time_ns;
  BOOST_TEST(asked >= start + kBudget);
  const uint64_t revoked = device.must_event(1, AIACCEL_EVENT_REVOKED).time_ns;
  BOOST_TEST(revoked >= asked + device.engine().grace_ns);
  const uint32_t next = other.must_event(2, AIACCEL_EVENT_GRANTED).generation;
  // Nothing stops work on these engines: it is said to run on, until the holder says that it ended.
  BOOST_TEST(device.engine().contended == slots);
  BOOST_TEST(device.submit(job(3, queue)) == -EDEADLK);
  BOOST_TEST(device.complete(1, generation) == -ESTALE);
  BOOST_TEST(device.engine().contended == 0u);
  BOOST_TEST(device.submit(job(3, queue)) == 0);
  BOOST_TEST(other.complete(2, next) == 0);
  device.must_event(3, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(what_is_contended_ends_with_its_holder) {
  Device other;
  const uint32_t slots = other.slots();
  {
    Device device;
    device.must_hold(1, queue_of(device, kBudget), slots);
    BOOST_REQUIRE(other.submit(job(2, other.must_queue(), {.width = slots})) == 0);
    other.must_event(2, AIACCEL_EVENT_GRANTED);
    BOOST_TEST(other.engine().contended == slots);
  }
  BOOST_TEST(eventually([&] { return other.engine().contended == 0; }));
}

BOOST_AUTO_TEST_CASE(a_turn_is_renewed_unless_its_like_waits) {
  Device device;
  Device other;
  const uint32_t slots = device.slots();
  const uint32_t generation =
      device.must_hold(1, queue_of(device, AIACCEL_BUDGET_MAX_NS, AIACCEL_CLASS_HIGH), slots);
  const uint32_t renew = AIACCEL_COMPLETE_RENEW;
  BOOST_TEST(device.complete(1, generation, renew) == 0);
  BOOST_TEST(device.complete(1, generation + 1, renew) == -ESTALE);
  BOOST_TEST(device.complete(9, generation, renew) == -ENOENT);
  BOOST_TEST(device.complete(1, generation, renew | AIACCEL_COMPLETE_CANCEL) == -EINVAL);
  BOOST_REQUIRE(other.submit(job(2, other.must_queue(), {.width = slots})) == 0);
  BOOST_TEST(other.complete(2, 0, renew) == -EBUSY);
  BOOST_TEST(device.complete(1, generation, renew) == 0);  // a lower class waits
  Device equal;
  BOOST_REQUIRE(equal.submit(job(3, equal.must_queue(AIACCEL_CLASS_HIGH), {.width = slots})) == 0);
  BOOST_TEST(device.complete(1, generation, renew) == -EAGAIN);
  BOOST_TEST(equal.events().empty());
  BOOST_TEST(device.complete(1, generation) == 0);  // it was still a turn
  equal.must_event(3, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(what_fills_loses_its_turn_to_a_higher_class) {
  Device fill;
  Device low;
  const uint32_t slots = fill.slots();
  fill.must_hold(1, queue_of(fill, 0, AIACCEL_CLASS_IDLE, AIACCEL_QUEUE_FILL), slots);
  BOOST_REQUIRE(low.submit(job(2, low.must_queue(AIACCEL_CLASS_LOW), {.width = slots})) == 0);
  fill.must_event(1, AIACCEL_EVENT_YIELD);
  fill.must_event(1, AIACCEL_EVENT_REVOKED);
  low.must_event(2, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(who_takes_no_notice_of_its_turn_loses_it_and_nothing_is_contended) {
  Device device;
  Device other;
  const uint32_t slots = device.slots();
  BOOST_REQUIRE(device.submit(job(1, device.must_queue(), {.width = slots})) == 0);
  BOOST_REQUIRE(other.submit(job(2, other.must_queue(), {.width = slots})) == 0);
  other.must_event(2, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(device.engine().contended == 0u);
  BOOST_TEST(device.events().back().events & AIACCEL_EVENT_REVOKED);
}

BOOST_AUTO_TEST_SUITE_END()
