// SPDX-License-Identifier: MIT
//
// ENTER: completing, submitting, waiting, and every error of a job's life.
#include <sys/time.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>
#include <vector>

#include "device.hpp"

using namespace conformance;

namespace {

// Completes `completions`, then submits `jobs`.
int enter(Device& device, const std::vector<aiaccel_completion>& completions,
          const std::vector<aiaccel_job>& jobs, aiaccel_enter* out) {
  *out = {};
  out->completions = reinterpret_cast<uintptr_t>(completions.data());
  out->nr_completions = static_cast<uint32_t>(completions.size());
  out->jobs = reinterpret_cast<uintptr_t>(jobs.data());
  out->nr_jobs = static_cast<uint32_t>(jobs.size());
  return device.enter(*out);
}

int wait(Device& device, uint32_t min_events, uint64_t timeout_ns, uint32_t* events = nullptr) {
  aiaccel_enter arg{};
  arg.min_events = min_events;
  arg.timeout_ns = timeout_ns;
  const int result = device.enter(arg);
  if (events) *events = arg.nr_events;
  return result;
}

std::atomic<int> g_signals{0};

}  // namespace

BOOST_AUTO_TEST_SUITE(turns)

BOOST_AUTO_TEST_CASE(a_job_gets_its_turn_and_ends_it) {
  Device device;
  const uint32_t queue = device.must_queue();
  const uint64_t before = now_ns();
  BOOST_REQUIRE(device.submit(job(77, queue)) == 0);
  const aiaccel_event event = device.must_event();
  BOOST_TEST(event.cookie == 77u);
  BOOST_TEST(event.events == static_cast<uint32_t>(AIACCEL_EVENT_GRANTED));
  BOOST_TEST(event.generation != 0u);
  BOOST_TEST(event.slot < device.query().max_jobs);
  BOOST_TEST(event.time_ns >= before);
  BOOST_TEST(event.time_ns <= now_ns());
  BOOST_TEST(device.complete(77, event.generation) == 0);
  BOOST_TEST(device.complete(77, event.generation) == -ENOENT);
  BOOST_TEST(device.events().empty());
}

BOOST_AUTO_TEST_CASE(counts_tell_what_was_taken) {
  Device device;
  const uint32_t queue = device.must_queue();
  aiaccel_enter arg;
  BOOST_REQUIRE(enter(device, {}, {job(1, queue), job(2, queue), job(3, queue)}, &arg) == 0);
  BOOST_TEST(arg.nr_jobs == 3u);
  BOOST_TEST(arg.nr_completions == 0u);
  const uint32_t generation = device.must_event(1, AIACCEL_EVENT_GRANTED).generation;
  BOOST_REQUIRE(enter(device, {{1, generation, 0}, {2, 0, AIACCEL_COMPLETE_CANCEL}}, {}, &arg) ==
                0);
  BOOST_TEST(arg.nr_completions == 2u);
}

BOOST_AUTO_TEST_CASE(the_first_bad_entry_stops_it) {
  Device device;
  const uint32_t queue = device.must_queue();
  aiaccel_job bad = job(2, queue);
  bad.width = 0;
  aiaccel_enter arg;
  BOOST_REQUIRE(enter(device, {}, {job(1, queue), bad, job(3, queue)}, &arg) == 0);
  BOOST_TEST(arg.nr_jobs == 1u);
  const uint32_t generation = device.must_event(1, AIACCEL_EVENT_GRANTED).generation;
  // From there on: the refused entry's error, and nothing was taken.
  BOOST_TEST(enter(device, {}, {bad, job(3, queue)}, &arg) == -EINVAL);
  BOOST_TEST(device.cancel(3) == -ENOENT);
  // A bad completion stops the jobs too, and there is no wait.
  aiaccel_enter both{};
  const aiaccel_completion completions[] = {{1, generation, 0}, {9, 9, 0}};
  const aiaccel_job third = job(3, queue);
  both.completions = reinterpret_cast<uintptr_t>(completions);
  both.nr_completions = 2;
  both.jobs = reinterpret_cast<uintptr_t>(&third);
  both.nr_jobs = 1;
  both.min_events = 1;
  both.timeout_ns = AIACCEL_NEVER;
  BOOST_TEST(device.enter(both) == 0);
  BOOST_TEST(both.nr_completions == 1u);
  BOOST_TEST(both.nr_jobs == 0u);
  BOOST_TEST(device.cancel(3) == -ENOENT);
}

BOOST_AUTO_TEST_CASE(a_turn_ends_and_the_next_job_is_submitted_in_one_call) {
  Device device;
  const uint32_t queue = device.must_queue();
  const uint32_t slots = device.slots();
  uint32_t generation = device.must_hold(1, queue, slots);
  for (uint64_t cookie = 2; cookie < 50; ++cookie) {
    const aiaccel_completion done{cookie - 1, generation, 0};
    const aiaccel_job next = job(cookie, queue, {.width = slots});
    aiaccel_enter arg{};
    arg.completions = reinterpret_cast<uintptr_t>(&done);
    arg.nr_completions = 1;
    arg.jobs = reinterpret_cast<uintptr_t>(&next);
    arg.nr_jobs = 1;
    arg.min_events = 1;
    arg.timeout_ns = late();
    BOOST_REQUIRE(device.enter(arg) == 0);
    BOOST_REQUIRE(arg.nr_events == 1u);
    const uint32_t fresh = device.must_event(cookie, AIACCEL_EVENT_GRANTED).generation;
    BOOST_REQUIRE(fresh != generation);
    generation = fresh;
  }
}

// The turn that ends is given on once all entries were taken: until then the context holds none.
BOOST_AUTO_TEST_CASE(a_job_is_taken_with_the_end_of_a_turn_although_another_waits) {
  Device device;
  const uint32_t queue = device.must_queue();
  aiaccel_enter arg;
  BOOST_REQUIRE(enter(device, {}, {job(1, queue), job(2, queue)}, &arg) == 0);
  const uint32_t first = device.must_event(1, AIACCEL_EVENT_GRANTED).generation;
  BOOST_REQUIRE(enter(device, {{1, first, 0}}, {job(3, queue)}, &arg) == 0);
  BOOST_TEST(arg.nr_completions == 1u);
  BOOST_TEST(arg.nr_jobs == 1u);
  const uint32_t second = device.must_event(2, AIACCEL_EVENT_GRANTED).generation;
  BOOST_REQUIRE(device.complete(2, second) == 0);
  device.must_event(3, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(as_many_jobs_as_a_context_can_have_in_one_call) {
  Device device;
  const uint32_t queue = device.must_queue();
  const uint32_t max = device.query().max_jobs;
  std::vector<aiaccel_job> jobs;
  for (uint64_t cookie = 1; cookie <= max; ++cookie) jobs.push_back(job(cookie, queue));
  aiaccel_enter arg;
  BOOST_REQUIRE(enter(device, {}, jobs, &arg) == 0);
  BOOST_TEST(arg.nr_jobs == max);
  for (uint64_t cookie = 1; cookie <= max; ++cookie) {
    const uint32_t generation = device.must_event(cookie, AIACCEL_EVENT_GRANTED).generation;
    BOOST_REQUIRE(device.complete(cookie, generation) == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_cookie_in_use_is_eexist) {
  Device device;
  Device other;
  const uint32_t queue = device.must_queue();
  const uint32_t generation = device.must_hold(5, queue, 1);
  const aiaccel_job again = job(5, queue);
  BOOST_TEST(device.submit(again) == -EEXIST);
  BOOST_TEST(other.submit(job(5, other.must_queue())) == 0);
  BOOST_TEST(device.complete(5, generation) == 0);
  BOOST_TEST(device.submit(again) == 0);
}

BOOST_AUTO_TEST_CASE(a_second_turn_on_an_engine_is_edeadlk) {
  Device device;
  const uint32_t first = device.must_queue();
  const uint32_t second = device.must_queue(AIACCEL_CLASS_HIGH);
  const uint32_t generation = device.must_hold(1, first, 1);
  BOOST_TEST(device.submit(job(2, first)) == -EDEADLK);
  BOOST_TEST(device.submit(job(2, second)) == -EDEADLK);
  BOOST_TEST(device.complete(1, generation) == 0);
  BOOST_TEST(device.submit(job(2, second)) == 0);
}

BOOST_AUTO_TEST_CASE(jobs_that_wait_already_get_one_turn_at_a_time) {
  Device device;
  const uint32_t queue = device.must_queue();
  aiaccel_enter arg;
  BOOST_REQUIRE(enter(device, {}, {job(1, queue), job(2, queue)}, &arg) == 0);
  const uint32_t first = device.must_event(1, AIACCEL_EVENT_GRANTED).generation;
  BOOST_TEST(device.events().empty());
  BOOST_TEST(device.complete(1, first) == 0);
  const uint32_t second = device.must_event(2, AIACCEL_EVENT_GRANTED).generation;
  BOOST_TEST(device.complete(2, second) == 0);
}

BOOST_AUTO_TEST_CASE(too_many_jobs_are_eagain) {
  Device holder;
  Device device;
  const uint32_t slots = holder.slots();
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots);
  const uint32_t queue = device.must_queue();
  const uint32_t max = device.query().max_jobs;
  for (uint64_t cookie = 1; cookie <= max; ++cookie)
    BOOST_REQUIRE(device.submit(job(cookie, queue)) == 0);
  BOOST_TEST(device.submit(job(max + 1, queue)) == -EAGAIN);
  BOOST_TEST(device.cancel(1) == 0);
  BOOST_TEST(device.submit(job(max + 1, queue)) == 0);
  BOOST_TEST(device.engine_stats().jobs_waiting == max);
  BOOST_TEST(holder.complete(1, generation) == 0);
  device.must_event(2, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(completing_what_waits_is_ebusy_and_another_generation_estale) {
  Device holder;
  Device device;
  const uint32_t slots = holder.slots();
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots);
  BOOST_REQUIRE(device.submit(job(2, device.must_queue())) == 0);
  BOOST_TEST(device.complete(2, 1) == -EBUSY);
  BOOST_TEST(holder.complete(1, generation + 1) == -ESTALE);
  BOOST_TEST(holder.complete(1, 0) == -ESTALE);
  BOOST_TEST(holder.complete(1, generation) == 0);
  const uint32_t mine = device.must_event(2, AIACCEL_EVENT_GRANTED).generation;
  BOOST_TEST(device.complete(2, mine) == 0);
}

BOOST_AUTO_TEST_CASE(cancelling_withdraws_or_completes) {
  Device holder;
  Device device;
  const uint32_t slots = holder.slots();
  holder.must_hold(1, holder.must_queue(), slots);
  BOOST_REQUIRE(device.submit(job(2, device.must_queue(), {.width = slots})) == 0);
  BOOST_TEST(device.cancel(2) == 0);
  BOOST_TEST(device.cancel(2) == -ENOENT);
  BOOST_TEST(holder.cancel(1) == 0);
  BOOST_TEST(device.engine_stats().slots_used == 0u);
  BOOST_TEST(device.events().empty());
}

BOOST_AUTO_TEST_CASE(waiting_ends_in_time) {
  Device device;
  uint32_t events = 9;
  BOOST_TEST(wait(device, 1, 0) == -ETIMEDOUT);
  BOOST_TEST(wait(device, 1, now_ns() + 5'000'000) == -ETIMEDOUT);
  BOOST_TEST(wait(device, 0, 0, &events) == 0);
  BOOST_TEST(events == 0u);
  // With an entry taken it is a success that says how many events there are.
  Device holder;
  holder.must_hold(1, holder.must_queue(), holder.slots());
  const aiaccel_job waits = job(1, device.must_queue());
  aiaccel_enter arg{};
  arg.jobs = reinterpret_cast<uintptr_t>(&waits);
  arg.nr_jobs = 1;
  arg.min_events = 1;
  arg.timeout_ns = now_ns() + 5'000'000;
  BOOST_TEST(device.enter(arg) == 0);
  BOOST_TEST(arg.nr_jobs == 1u);
  BOOST_TEST(arg.nr_events == 0u);
}

BOOST_AUTO_TEST_CASE(a_thread_that_waits_is_woken_by_another_context) {
  Device holder;
  Device device;
  const uint32_t slots = holder.slots();
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots);
  BOOST_REQUIRE(device.submit(job(2, device.must_queue())) == 0);
  int result = 1;
  std::thread waiter([&] { result = wait(device, 1, AIACCEL_NEVER); });
  BOOST_TEST(holder.complete(1, generation) == 0);
  waiter.join();
  BOOST_TEST(result == 0);
  device.must_event(2, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(several_threads_wait_on_one_context) {
  Device holder;
  Device device;
  const uint32_t slots = holder.slots();
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots);
  BOOST_REQUIRE(device.submit(job(2, device.must_queue())) == 0);
  int results[3] = {1, 1, 1};
  std::vector<std::thread> waiters;
  for (int& result : results) waiters.emplace_back([&] { result = wait(device, 1, late()); });
  BOOST_TEST(holder.complete(1, generation) == 0);
  for (std::thread& waiter : waiters) waiter.join();
  for (int result : results) BOOST_TEST(result == 0);
}

BOOST_AUTO_TEST_CASE(a_signal_ends_the_wait) {
  Device device;
  struct sigaction action {};
  struct sigaction old;
  action.sa_handler = [](int) { ++g_signals; };
  action.sa_flags = SA_RESTART;
  BOOST_REQUIRE(sigaction(SIGALRM, &action, &old) == 0);
  g_signals = 0;
  // Again and again, as the first may come before the wait.
  const itimerval often{{0, 20'000}, {0, 20'000}};
  setitimer(ITIMER_REAL, &often, nullptr);
  const int result = wait(device, 1, late());
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &old, nullptr);
  BOOST_TEST(result == -EINTR);
  BOOST_TEST(g_signals >= 1);
}

BOOST_AUTO_TEST_SUITE_END()
