// SPDX-License-Identifier: MIT
//
// Jobs after others of the context: when they come into line, and when they fail.
#include <cerrno>

#include "device.hpp"

using namespace conformance;

namespace {

aiaccel_job job_after(uint64_t after, uint64_t cookie, uint32_t queue) {
  aiaccel_job arg = job(cookie, queue);
  arg.flags = AIACCEL_JOB_AFTER;
  arg.after = after;
  return arg;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(after)

BOOST_AUTO_TEST_CASE(each_waits_for_the_one_before_it) {
  Device device;
  const uint32_t queue = device.must_queue();
  const uint32_t high = device.must_queue(AIACCEL_CLASS_HIGH);
  uint32_t generation = device.must_hold(1, queue, 1);
  BOOST_TEST(device.submit(job_after(1, 2, high)) == 0);  // beside a turn on the same engine
  BOOST_TEST(device.submit(job_after(2, 3, queue)) == 0);
  BOOST_TEST(device.complete(2, 0) == -EBUSY);
  BOOST_TEST(device.engine_stats().jobs_waiting == 0u);
  for (uint64_t cookie : {1, 2, 3}) {
    BOOST_TEST(device.complete(cookie, generation) == 0);
    if (cookie < 3) generation = device.must_event(cookie + 1, AIACCEL_EVENT_GRANTED).generation;
  }
  BOOST_TEST(device.events().empty());
}

BOOST_AUTO_TEST_CASE(it_names_a_job_that_can_be_completed) {
  Device device;
  const uint32_t queue = device.must_queue();
  BOOST_TEST(device.submit(job_after(1, 2, queue)) == -ENOENT);
  BOOST_TEST(device.submit(job_after(2, 2, queue)) == -ENOENT);  // itself
  const uint32_t generation = device.must_hold(1, queue, 1);
  BOOST_TEST(device.submit(job_after(1, 1, queue)) == -EEXIST);
  BOOST_TEST(device.complete(1, generation) == 0);
  BOOST_TEST(device.submit(job_after(1, 2, queue)) == -ENOENT);
  aiaccel_job odd = job(3, queue);
  odd.after = 1;
  BOOST_TEST(device.submit(odd) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(it_fails_with_the_one_before_it) {
  Device holder;
  Device device;
  const uint32_t slots = holder.slots();
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots);
  const uint32_t queue = device.must_queue();
  const uint32_t other = device.must_queue();
  BOOST_TEST(device.submit(job(0, queue)) == 0);
  for (uint64_t cookie = 1; cookie < 100; ++cookie)
    BOOST_TEST(device.submit(job_after(cookie - 1, cookie, cookie % 2 ? other : queue)) == 0);
  BOOST_TEST(device.cancel(50) == 0);
  for (uint64_t cookie = 51; cookie < 100; ++cookie)
    device.must_event(cookie, AIACCEL_EVENT_FAILED);
  // Those of the other queue go without a word, and with them those after them.
  BOOST_TEST(device.destroy(other) == 0);
  for (int left = 24; left > 0; --left) {
    const aiaccel_event event = device.must_event();
    BOOST_TEST(event.events == static_cast<uint32_t>(AIACCEL_EVENT_FAILED));
    BOOST_TEST((event.cookie && event.cookie < 50 && event.cookie % 2 == 0));
  }
  BOOST_TEST(holder.complete(1, generation) == 0);
  device.must_event(0, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(device.events().empty());
}

BOOST_AUTO_TEST_SUITE_END()
