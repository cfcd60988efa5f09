// SPDX-License-Identifier: MIT
//
// Queues: what they are made of, how many, and what goes with them.
#include <cerrno>
#include <cstring>

#include "device.hpp"

using namespace conformance;

BOOST_AUTO_TEST_SUITE(queues)

BOOST_AUTO_TEST_CASE(every_class_and_weight_that_is_promised) {
  Device device;
  for (uint32_t class_ = AIACCEL_CLASS_IDLE; class_ <= AIACCEL_CLASS_HIGH; ++class_)
    for (uint32_t weight : {0, AIACCEL_WEIGHT_MIN, AIACCEL_WEIGHT_DEFAULT, AIACCEL_WEIGHT_MAX}) {
      const uint32_t id = device.must_queue(class_, weight);
      BOOST_TEST(device.destroy(id) == 0);
    }
  device.must_queue(AIACCEL_CLASS_NORMAL, 0, "");
}

BOOST_AUTO_TEST_CASE(too_many_are_refused_by_the_context) {
  Device device;
  const uint32_t max = device.query().max_queues;
  for (uint32_t i = 0; i < max; ++i) device.must_queue();
  aiaccel_queue_create arg = device.queue_arg();
  BOOST_TEST(device.call(AIACCEL_IOC_QUEUE_CREATE, arg) == -EDQUOT);
  BOOST_TEST(arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_CONTEXT));
}

BOOST_AUTO_TEST_CASE(destroying_ends_the_turn_without_a_word) {
  Device device;
  Device other;
  const uint32_t slots = device.slots();
  const uint32_t queue = device.must_queue();
  device.must_hold(1, queue, slots);
  BOOST_REQUIRE(other.submit(job(1, other.must_queue(), {.width = slots})) == 0);
  BOOST_TEST(other.events().empty());
  BOOST_TEST(device.destroy(queue) == 0);
  other.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(device.complete(1, 1) == -ENOENT);
  BOOST_TEST(device.events().empty());
}

BOOST_AUTO_TEST_CASE(destroying_cancels_what_waits) {
  Device holder;
  Device device;
  const uint32_t slots = holder.slots();
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots);
  const uint32_t queue = device.must_queue();
  for (uint64_t cookie = 1; cookie <= 5; ++cookie)
    BOOST_REQUIRE(device.submit(job(cookie, queue, {.width = slots})) == 0);
  BOOST_TEST(device.destroy(queue) == 0);
  BOOST_TEST(holder.complete(1, generation) == 0);
  BOOST_TEST(device.events().empty());
  BOOST_TEST(device.engine_stats().jobs_waiting == 0u);
  // Their cookies are free.
  const uint32_t again = device.must_queue();
  device.must_hold(1, again, slots);
}

BOOST_AUTO_TEST_SUITE_END()
