// SPDX-License-Identifier: MIT
//
// One turn at a time by aiaccel_acquire() and aiaccel_complete(): what becomes of the events of
// other jobs that it meets.
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "device.hpp"

using namespace conformance;

BOOST_AUTO_TEST_SUITE(acquire)

BOOST_AUTO_TEST_CASE(events_of_other_jobs_are_kept_until_their_turn_ends) {
  Device holder;
  Device device;
  Device rival;
  const uint32_t slots = holder.slots();
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots);
  const uint32_t queue = device.must_queue();
  BOOST_REQUIRE(device.submit(job(1, queue, {.width = slots})) == 0);
  const int cancel = eventfd(0, EFD_CLOEXEC);
  BOOST_REQUIRE(cancel >= 0);
  int result = 1;
  std::thread acquirer([&] {
    const aiaccel_job second = job(2, queue, {.width = slots});
    aiaccel_grant grant;
    result = aiaccel_acquire(device.handle(), &second, AIACCEL_NEVER, cancel, &grant);
  });
  BOOST_TEST(eventually([&] { return holder.engine_stats().jobs_waiting == 2; }));
  // The first job gets its turn, and is asked for it.
  BOOST_TEST(holder.complete(1, generation) == 0);
  BOOST_TEST(
      rival.submit(job(3, rival.must_queue(AIACCEL_CLASS_HIGH), {.width = slots})) == 0);
  const uint64_t one = 1;
  BOOST_TEST(write(cancel, &one, sizeof one) == static_cast<ssize_t>(sizeof one));
  acquirer.join();
  close(cancel);
  BOOST_TEST(result == -ECANCELED);

  aiaccel_grant grant{};
  grant.cookie = 1;
  grant.generation = device.must_event(1, AIACCEL_EVENT_GRANTED).generation;
  BOOST_TEST(aiaccel_complete(device.handle(), &grant) == 0);
  BOOST_TEST(device.events().empty());  // that it was wanted is of no use any more
  rival.must_event(3, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_SUITE_END()
