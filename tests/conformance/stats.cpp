// SPDX-License-Identifier: MIT
//
// What STATS counts of waits, turns and contexts. Who sees what of others is in order.cpp and
// processes.cpp, and in the tests of each transport.
#include <cerrno>
#include <cstring>
#include <ctime>
#include <numeric>

#include "device.hpp"

using namespace conformance;

BOOST_AUTO_TEST_SUITE(stats)

namespace {

uint64_t sum(const aiaccel_histogram& histogram) {
  return std::accumulate(std::begin(histogram.count), std::end(histogram.count), uint64_t{0});
}

// The only bucket that has something.
uint32_t bucket_of(const aiaccel_histogram& histogram) {
  BOOST_TEST(sum(histogram) == 1u);
  uint32_t i = 0;
  while (i < AIACCEL_HISTOGRAM_LEN - 1 && !histogram.count[i]) i++;
  return i;
}

// As the UAPI header has it.
bool holds(uint32_t bucket, uint64_t ns) {
  return (!bucket || ns >= uint64_t{512} << bucket) &&
         (bucket == AIACCEL_HISTOGRAM_LEN - 1 || ns < uint64_t{1024} << bucket);
}

aiaccel_stats_queue queue_of(Device& device, const char* label) {
  for (const aiaccel_stats_queue& record : device.queue_stats())
    if (!strcmp(record.label, label)) return record;
  BOOST_ERROR("the queue is not listed");
  return {};
}

aiaccel_stats_context context(Device& device, uint64_t number) {
  for (const aiaccel_stats_context& record : device.context_stats())
    if (record.context == number) return record;
  BOOST_ERROR("the context is not listed");
  return {};
}

void pause_ms(long ms) {
  const timespec time{0, ms * 1'000'000};
  nanosleep(&time, nullptr);
}

}  // namespace

BOOST_AUTO_TEST_CASE(histograms_count_each_wait_and_each_turn) {
  Device device, other;
  const aiaccel_stats_engine engine = device.engine_stats();
  const aiaccel_stats_tenant tenant = device.own_tenant();
  const uint32_t queue = device.must_queue(AIACCEL_CLASS_NORMAL, 0, "counted");
  const uint32_t all = device.slots();
  const uint32_t before = other.must_hold(1, other.must_queue(), all);
  BOOST_TEST(device.submit(job(1, queue, {.width = all})) == 0);
  BOOST_TEST(sum(queue_of(device, "counted").wait) == 0u);
  pause_ms(5);
  BOOST_TEST(other.complete(1, before) == 0);
  const aiaccel_event event = device.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(sum(queue_of(device, "counted").run) == 0u);
  pause_ms(3);
  BOOST_TEST(device.complete(1, event.generation) == 0);

  const aiaccel_stats_queue counted = queue_of(device, "counted");
  BOOST_TEST(counted.wait_ns >= 5'000'000u);
  BOOST_TEST(holds(bucket_of(counted.wait), counted.wait_ns));
  BOOST_TEST(counted.run_ns >= 3'000'000u);
  BOOST_TEST(holds(bucket_of(counted.run), counted.run_ns));

  // Both turns, where others may have had theirs.
  const aiaccel_stats_engine engine_now = device.engine_stats();
  const aiaccel_stats_tenant tenant_now = device.own_tenant();
  BOOST_TEST(sum(engine_now.wait) == engine_now.granted);
  BOOST_TEST(sum(tenant_now.wait) == tenant_now.granted);
  const uint32_t wait = bucket_of(counted.wait), run = bucket_of(counted.run);
  BOOST_TEST(engine_now.wait.count[wait] > engine.wait.count[wait]);
  BOOST_TEST(engine_now.run.count[run] > engine.run.count[run]);
  BOOST_TEST(tenant_now.wait.count[wait] > tenant.wait.count[wait]);
  BOOST_TEST(sum(tenant_now.run) == sum(tenant.run) + 2);
}

BOOST_AUTO_TEST_CASE(contexts_tell_what_they_have) {
  Device device, other;
  const uint32_t first = device.must_queue(AIACCEL_CLASS_NORMAL, 0, "first");
  const uint64_t number = queue_of(device, "first").context;
  const aiaccel_stats_context fresh = context(other, number);
  BOOST_TEST(fresh.tenant == device.query().tenant);
  BOOST_TEST(fresh.pid == getpid());
  BOOST_TEST(fresh.queues == 1u);
  BOOST_TEST(fresh.granted == 0u);
  BOOST_TEST(fresh.allocated_bytes == 0u);
  BOOST_TEST(std::string(fresh.comm) == std::string(queue_of(device, "first").comm));

  const uint32_t width = device.slots();
  const aiaccel_alloc memory = device.must_alloc(3 << 20);
  BOOST_TEST(other.submit(job(1, other.must_queue(), {.width = width})) == 0);
  const uint32_t generation = other.must_event(1, AIACCEL_EVENT_GRANTED).generation;
  for (const uint64_t cookie : {1, 2})
    BOOST_TEST(device.submit(job(cookie, first, {.width = width})) == 0);
  aiaccel_stats_context busy = context(other, number);
  BOOST_TEST(busy.waiting == 2u);
  BOOST_TEST(busy.turns == 0u);
  BOOST_TEST(busy.events_unread == 0u);
  BOOST_TEST(busy.allocated_bytes == 3u << 20);

  BOOST_TEST(other.complete(1, generation) == 0);
  busy = context(other, number);
  BOOST_TEST(busy.waiting == 1u);
  BOOST_TEST(busy.turns == 1u);
  BOOST_TEST(busy.slots_held == width);
  BOOST_TEST(busy.events_unread == 1u);
  BOOST_TEST(busy.granted == 1u);
  BOOST_TEST(busy.busy_ns == 0u);
  pause_ms(2);
  const aiaccel_event event = device.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(device.complete(1, event.generation) == 0);
  BOOST_TEST(device.complete(2, device.must_event(2, AIACCEL_EVENT_GRANTED).generation) == 0);

  // What it had stays, also when the queue goes; what it has does not.
  BOOST_TEST(device.destroy(first) == 0);
  BOOST_TEST(device.destroy(memory.id) == 0);
  const aiaccel_stats_context rest = context(other, number);
  BOOST_TEST(rest.queues == 0u);
  BOOST_TEST(rest.waiting == 0u);
  BOOST_TEST(rest.turns == 0u);
  BOOST_TEST(rest.slots_held == 0u);
  BOOST_TEST(rest.granted == 2u);
  BOOST_TEST(rest.busy_ns >= 2'000'000u * width);
  BOOST_TEST(rest.allocated_bytes == 0u);
}

BOOST_AUTO_TEST_CASE(contexts_go_when_they_are_closed) {
  Device watcher;
  const size_t before = watcher.context_stats().size();
  {
    Device device;
    BOOST_TEST(watcher.context_stats().size() == before + 1);
  }
  BOOST_TEST(eventually([&] { return watcher.context_stats().size() == before; }));
}

BOOST_AUTO_TEST_SUITE_END()
