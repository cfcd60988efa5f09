// SPDX-License-Identifier: MIT
//
// A holder that goes on for longer than its budget and the engine's grace loses its slot to who
// waits for it, not before, and gains nothing by it: it pays for what it had. How soon is seen by
// the clock of who has the slot next; the test waits generously, a line tells how long it was.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "greedy.hpp"
#include "kmod/module.hpp"
#include "one_slot.hpp"

using bounds::kMs;
using conformance::Child;
using conformance::Device;
using conformance::job;
using conformance::now_ns;

namespace {

constexpr uint64_t kBudgetNs = 20 * kMs;
constexpr uint64_t kGraceNs = 100 * kMs;  // of an engine that has said nothing of it

uint32_t queue_of(Device& device, uint32_t engine) {
  aiaccel_queue_create create = device.queue_arg();
  create.engine = engine;
  create.budget_ns = kBudgetNs;
  BOOST_REQUIRE_EQUAL(device.call(AIACCEL_IOC_QUEUE_CREATE, create), 0);
  return create.id;
}

aiaccel_engine_info info_of(Device& device, uint32_t engine) {
  aiaccel_engine_info info{};
  info.id = engine;
  BOOST_REQUIRE_EQUAL(device.call(AIACCEL_IOC_ENGINE_INFO, info), 0);
  return info;
}

// The slot of twenty turns that go on for ever. Where their work is not stopped, it is contended.
void must_lose_slots(uint32_t engine, bool is_stopped) {
  Device holder, waiter;
  const uint32_t held = queue_of(holder, engine), waits = queue_of(waiter, engine);
  const uint64_t least_ns = kBudgetNs + info_of(holder, engine).grace_ns;
  std::vector<uint64_t> lost_after_ns;
  for (uint64_t i = 1; i <= 20; ++i) {
    const uint64_t begin_ns = now_ns();
    BOOST_REQUIRE(holder.submit(job(i, held)) == 0);
    const uint32_t generation = holder.must_event(i, AIACCEL_EVENT_GRANTED).generation;
    const uint64_t learned_ns = now_ns();
    BOOST_REQUIRE(waiter.submit(job(i, waits)) == 0);
    const uint32_t next = waiter.must_event(i, AIACCEL_EVENT_GRANTED).generation;
    const uint64_t lost_ns = now_ns();
    BOOST_TEST(lost_ns - begin_ns >= least_ns);
    lost_after_ns.push_back(lost_ns - learned_ns);
    BOOST_TEST(info_of(waiter, engine).contended == (is_stopped ? 0u : 1u));
    BOOST_TEST(holder.complete(i, generation) == -ESTALE);
    BOOST_TEST(waiter.complete(i, next) == 0);
    holder.events();
  }
  std::sort(lost_after_ns.begin(), lost_after_ns.end());
  std::printf("# budget and grace %.1f ms; lost after %.2f to %.2f ms, half of them by %.2f\n",
              static_cast<double>(least_ns) / 1e6, static_cast<double>(lost_after_ns.front()) / 1e6,
              static_cast<double>(lost_after_ns.back()) / 1e6,
              static_cast<double>(lost_after_ns.at(lost_after_ns.size() / 2)) / 1e6);
}

// In a child: takes turns of this length until it is told to stop, however often it loses them, and
// is in line again with the end of each.
int take_turns(int who, uint32_t engine, uint64_t turn_ns, const bounds::TurnsLog& log) {
  Device device;
  const aiaccel_job next = job(1, queue_of(device, engine));
  if (device.submit(next)) return 10;
  while (!log.stopped()) {
    const uint32_t generation = device.must_event(1, AIACCEL_EVENT_GRANTED).generation;
    bounds::Turn turn{who, now_ns(), 0, 0};
    std::this_thread::sleep_for(std::chrono::nanoseconds(turn_ns));
    turn.ended_ns = turn.told_ns = now_ns();
    device.events();
    const aiaccel_completion completion{1, generation, 0};
    aiaccel_enter arg{};
    arg.completions = reinterpret_cast<uintptr_t>(&completion);
    arg.nr_completions = 1;
    arg.jobs = reinterpret_cast<uintptr_t>(&next);
    arg.nr_jobs = 1;
    const int error = device.enter(arg);
    if (error == -ESTALE ? device.submit(next) : error) return 11;
    log.add(turn);
  }
  return 0;
}

// One of another module, whose work can be stopped: test-engine.
class Preemptible {
 public:
  Preemptible() {
    BOOST_REQUIRE_EQUAL(raw::load_module("provider/aiaccel_provider.ko", "preemptible=1 slots=1"),
                        0);
  }
  Preemptible(const Preemptible&) = delete;
  ~Preemptible() { BOOST_TEST(raw::unload_module("aiaccel_provider") == 0); }

  static uint32_t id() {
    Device device;
    std::array<uint32_t, 16> ids{};
    aiaccel_engine_list list{};
    list.count = ids.size();
    list.ids = reinterpret_cast<uintptr_t>(ids.data());
    BOOST_REQUIRE_EQUAL(device.call(AIACCEL_IOC_ENGINE_LIST, list), 0);
    for (uint32_t i = 0; i < list.count; ++i) {
      aiaccel_engine_info info{};
      info.id = ids.at(i);
      BOOST_REQUIRE_EQUAL(device.call(AIACCEL_IOC_ENGINE_INFO, info), 0);
      if (info.enforcement == AIACCEL_PREEMPTIBLE) return info.id;
    }
    throw std::runtime_error("no engine is preemptible");
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(overrun)

BOOST_AUTO_TEST_CASE(its_slot_goes_on_after_budget_and_grace) {
  const bounds::OneSlot engine;
  must_lose_slots(engine.id(), false);
}

// Two queues alike: one whose turns last twice its budget and the grace, and one that keeps within
// them. Were the first charged for its slot alone, it would have twice as much.
BOOST_AUTO_TEST_CASE(what_it_had_beyond_that_is_paid_for) {
  const bounds::OneSlot engine;
  const bounds::TurnsLog log;
  Child overrunning(
      [&](Child&) { return take_turns(0, engine.id(), 2 * (kBudgetNs + kGraceNs), log); });
  Child keeping([&](Child&) { return take_turns(1, engine.id(), kGraceNs / 2, log); });
  std::this_thread::sleep_for(std::chrono::seconds(6));
  log.stop();
  BOOST_TEST(overrunning.wait() == 0);
  BOOST_TEST(keeping.wait() == 0);
  std::array<double, 2> had_ms{};
  for (const bounds::Turn& turn : log.between(0, now_ns()))
    had_ms.at(static_cast<size_t>(turn.who)) +=
        static_cast<double>(turn.ended_ns - turn.learned_ns) / 1e6;
  std::printf("# who overruns had %.0f ms, who does not %.0f ms\n", had_ms[0], had_ms[1]);
  BOOST_TEST(had_ms[0] > 1000);
  BOOST_TEST(had_ms[1] > 0.75 * had_ms[0]);
}

BOOST_AUTO_TEST_CASE(it_does_on_a_preemptible_engine) {
  if (!conformance::on("kernel")) SKIP("only a driver has a preemptible engine");
  const Preemptible engine;
  must_lose_slots(engine.id(), true);
}

BOOST_AUTO_TEST_SUITE_END()
