// SPDX-License-Identifier: MIT
//
// Two tenants that always want the engine get what their weights say, within 1 % of its time: with
// turns of one 50 times as long as those of the other, and with 1,000 queues against one.
//
// A turn's work is to sleep, so that it holds on a machine that has other things to do; it is
// counted as long as it was, not as long as it should have been. The arbiter may be off by one turn
// at either end of the time that is looked at; so that is at least 200 of the longest turn that was
// seen.
#include <ctime>
#include <thread>
#include <vector>

#include "conformance/child.hpp"
#include "conformance/device.hpp"
#include "tenants.hpp"
#include "turns_log.hpp"

using namespace conformance;

namespace {

constexpr uint64_t kMs = 1'000'000;

struct Load {
  uint32_t weight;
  uint64_t turn_ns;
  int contexts = 1;
  int queues = 1;  // of each context
};

void sleep_ns(uint64_t ns) {
  const timespec pause{static_cast<time_t>(ns / 1'000'000'000),
                       static_cast<long>(ns % 1'000'000'000)};
  nanosleep(&pause, nullptr);
}

// A context whose queues each have a job at all times, the same again as soon as it is done. Ends
// the child when something fails.
void want_always(Device& device, const std::vector<uint32_t>& queues, int tenant, uint64_t turn_ns,
                 const bounds::TurnsLog& log) {
  const uint32_t width = device.slots();
  while (!log.stopped()) {
    aiaccel_event event = device.must_event();
    if (event.events != AIACCEL_EVENT_GRANTED) _exit(20);
    bounds::Turn turn{tenant, now_ns(), 0};
    sleep_ns(turn_ns);
    turn.ended_ns = now_ns();
    log.add(turn);
    const aiaccel_completion completion{event.cookie, event.generation, 0};
    const aiaccel_job again = job(event.cookie, queues[event.cookie], {.width = width});
    aiaccel_enter arg{};
    arg.completions = reinterpret_cast<uintptr_t>(&completion);
    arg.nr_completions = 1;
    arg.jobs = reinterpret_cast<uintptr_t>(&again);
    arg.nr_jobs = 1;
    if (device.enter(arg) || arg.nr_jobs != 1) _exit(21);
  }
}

// In a child: tells when all its jobs wait.
int be_greedy(Child& child, int tenant, const Load& load, const bounds::TurnsLog& log) {
  std::vector<Device> devices(static_cast<size_t>(load.contexts));
  std::vector<std::vector<uint32_t>> queues(devices.size());
  for (size_t i = 0; i < devices.size(); ++i)
    for (int q = 0; q < load.queues; ++q) queues[i].push_back(devices[i].must_queue());
  for (size_t i = 0; i < devices.size(); ++i) {
    std::vector<aiaccel_job> jobs;
    for (size_t q = 0; q < queues[i].size(); ++q)
      jobs.push_back(job(q, queues[i][q], {.width = devices[i].slots()}));
    aiaccel_enter arg{};
    arg.jobs = reinterpret_cast<uintptr_t>(jobs.data());
    arg.nr_jobs = static_cast<uint32_t>(jobs.size());
    if (devices[i].enter(arg) || arg.nr_jobs != jobs.size()) return 10;
  }
  child.tell(1);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < devices.size(); ++i)
    threads.emplace_back([&, i] { want_always(devices[i], queues[i], tenant, load.turn_ns, log); });
  child.sleep();
  _exit(0);  // with turns and jobs, and threads that wait for them
}

// The part of the engine's time that the first of the two had.
double share_of_first(const std::array<Load, 2>& loads, uint64_t least_ns) {
  const auto tenants = bounds::tenants({loads[0].weight, loads[1].weight});
  const bounds::TurnsLog log;
  const auto run = [&](int tenant) {
    return [&, tenant](Child& self) {
      tenants->enter(tenant);
      return be_greedy(self, tenant, loads[static_cast<size_t>(tenant)], log);
    };
  };
  uint64_t from_ns, until_ns;
  {
    Child first(run(0)), second(run(1));
    BOOST_REQUIRE(first.must_hear() == 1u);
    BOOST_REQUIRE(second.must_hear() == 1u);
    sleep_ns(500 * kMs);  // who came first had more at first
    from_ns = now_ns();
    do {
      sleep_ns(100 * kMs);
      until_ns = now_ns();
    } while (until_ns < from_ns + std::max(least_ns, 200 * log.longest_ns()));
    log.stop();
    first.go_on();
    second.go_on();
    BOOST_REQUIRE(first.wait() == 0);
    BOOST_REQUIRE(second.wait() == 0);
  }
  const std::vector<bounds::Turn> turns = log.between(from_ns, until_ns);
  BOOST_REQUIRE(turns.size() > 100);
  uint64_t had_ns[2] = {0, 0}, count[2] = {0, 0};
  for (size_t i = 1; i < turns.size(); ++i) {
    BOOST_REQUIRE(turns[i].learned_ns > turns[i - 1].ended_ns);  // one at a time
    had_ns[turns[i].tenant] += turns[i].ended_ns - turns[i - 1].ended_ns;
    ++count[turns[i].tenant];
  }
  const double all_ns = static_cast<double>(had_ns[0] + had_ns[1]);
  const double share = static_cast<double>(had_ns[0]) / all_ns;
  std::printf(
      "# %.2f %% of %.1f s: %llu turns of %.2f ms against %llu of %.2f ms; the longest %.1f ms\n",
      100 * share, all_ns / 1e9, static_cast<unsigned long long>(count[0]),
      static_cast<double>(had_ns[0]) / 1e6 / static_cast<double>(std::max<uint64_t>(count[0], 1)),
      static_cast<unsigned long long>(count[1]),
      static_cast<double>(had_ns[1]) / 1e6 / static_cast<double>(std::max<uint64_t>(count[1], 1)),
      static_cast<double>(log.longest_ns()) / 1e6);
  return share;
}

constexpr double kAllowed = 0.01;

}  // namespace

BOOST_AUTO_TEST_SUITE(shares)

BOOST_AUTO_TEST_CASE(three_quarters_by_short_turns) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  BOOST_TEST(std::abs(share_of_first({Load{75, kMs / 2}, Load{25, 25 * kMs}}, 5000 * kMs) - 0.75) <=
             kAllowed);
}

BOOST_AUTO_TEST_CASE(three_quarters_by_long_turns) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  BOOST_TEST(std::abs(share_of_first({Load{75, 25 * kMs}, Load{25, kMs / 2}}, 5000 * kMs) - 0.75) <=
             kAllowed);
}

BOOST_AUTO_TEST_CASE(a_tenth_by_short_turns) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  BOOST_TEST(std::abs(share_of_first({Load{10, kMs / 2}, Load{90, 25 * kMs}}, 5000 * kMs) - 0.10) <=
             kAllowed);
}

BOOST_AUTO_TEST_CASE(a_tenth_by_long_turns) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  BOOST_TEST(std::abs(share_of_first({Load{10, 25 * kMs}, Load{90, kMs / 2}}, 5000 * kMs) - 0.10) <=
             kAllowed);
}

BOOST_AUTO_TEST_CASE(a_thousand_queues_get_what_one_gets) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  const Load one{100, 2 * kMs}, thousand{100, 2 * kMs, 20, 50};
  BOOST_TEST(std::abs(share_of_first({thousand, one}, 4000 * kMs) - 0.50) <= kAllowed);
}

BOOST_AUTO_TEST_SUITE_END()
