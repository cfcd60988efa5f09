// SPDX-License-Identifier: MIT
//
// SNAPSHOT: all of one moment. Its counts agree with each other whatever others do meanwhile, it
// says what each waiting job waits for, and it is refused where it would take too long.
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "device.hpp"

using namespace conformance;

BOOST_AUTO_TEST_SUITE(snapshot)

namespace {

struct Snapshot {
  uint64_t time_ns = 0;
  std::vector<aiaccel_stats_engine> engines;
  std::vector<aiaccel_stats_tenant> tenants;
  std::vector<aiaccel_stats_context> contexts;
  std::vector<aiaccel_stats_queue> queues;
  std::vector<aiaccel_stats_turn> turns;
};

// 0 or -errno; count as in the call.
int ask(Device& device, void* to, uint32_t* count, uint64_t* time_ns = nullptr) {
  aiaccel_stats arg{};
  arg.kind = AIACCEL_STATS_SNAPSHOT;
  arg.records = reinterpret_cast<uintptr_t>(to);
  arg.count = *count;
  arg.record_size = 8;
  const int err = device.call(AIACCEL_IOC_STATS, arg);
  *count = arg.count;
  if (time_ns) *time_ns = arg.time_ns;
  return err;
}

template <typename T>
void take(std::vector<T>* list, const char* from, const aiaccel_stats_head& head) {
  BOOST_REQUIRE(head.bytes == sizeof head + sizeof(T));
  memcpy(&list->emplace_back(), from, sizeof(T));
}

Snapshot take_snapshot(Device& device) {
  Snapshot snapshot;
  std::vector<uint64_t> units(1 << 17);
  auto count = static_cast<uint32_t>(units.size());
  BOOST_REQUIRE_EQUAL(ask(device, units.data(), &count, &snapshot.time_ns), 0);
  BOOST_REQUIRE(count <= units.size());
  const auto* data = reinterpret_cast<const char*>(units.data());
  size_t at = 0;
  while (at < count * size_t{8}) {
    aiaccel_stats_head head;
    memcpy(&head, data + at, sizeof head);
    const char* from = data + at + sizeof head;
    BOOST_REQUIRE(head.bytes % 8 == 0u);
    switch (head.kind) {
      case AIACCEL_STATS_ENGINES:
        take(&snapshot.engines, from, head);
        break;
      case AIACCEL_STATS_TENANTS:
        take(&snapshot.tenants, from, head);
        break;
      case AIACCEL_STATS_CONTEXTS:
        take(&snapshot.contexts, from, head);
        break;
      case AIACCEL_STATS_QUEUES:
        take(&snapshot.queues, from, head);
        BOOST_TEST(snapshot.queues.back().context == snapshot.contexts.back().context);
        break;
      case AIACCEL_STATS_TURNS:
        take(&snapshot.turns, from, head);
        BOOST_TEST(snapshot.turns.back().context == snapshot.contexts.back().context);
        break;
      default:
        BOOST_FAIL("a record of kind " << head.kind);
    }
    at += head.bytes;
  }
  BOOST_TEST(at == count * size_t{8});
  return snapshot;
}

uint64_t sum(const aiaccel_histogram& histogram) {
  uint64_t result = 0;
  for (const uint64_t count : histogram.count) result += count;
  return result;
}

// What no list that is taken step by step can promise while others work. The caller sees all.
void expect_consistent(const Snapshot& snapshot) {
  std::map<uint32_t, uint64_t> used, waiting, queues, running;
  std::map<uint64_t, uint32_t> of_context_waiting, of_context_turns, of_context_slots;
  std::map<std::pair<uint64_t, uint32_t>, uint32_t> of_queue_waiting, of_queue_slots;
  for (const aiaccel_stats_turn& turn : snapshot.turns) {
    const auto queue = std::pair(turn.context, turn.queue);
    if (turn.state == AIACCEL_TURN_WAITING &&
        (turn.why == AIACCEL_WAIT_AFTER || turn.why == AIACCEL_WAIT_GROUP))
      continue;
    if (turn.state == AIACCEL_TURN_WAITING) {
      waiting[turn.engine]++, of_context_waiting[turn.context]++, of_queue_waiting[queue]++;
      BOOST_TEST(turn.why != uint32_t{AIACCEL_WAIT_NOT});
    } else {
      BOOST_TEST(turn.state == uint32_t{AIACCEL_TURN_RUNNING});
      BOOST_TEST(turn.why == uint32_t{AIACCEL_WAIT_NOT});
      used[turn.engine] += turn.width, running[turn.engine]++;
      of_context_turns[turn.context]++, of_context_slots[turn.context] += turn.width;
      of_queue_slots[queue] += turn.width;
    }
    BOOST_TEST(turn.submitted_ns <= snapshot.time_ns);
  }
  std::map<uint64_t, uint64_t> of_context_granted, of_tenant_granted;
  std::map<uint64_t, uint32_t> of_context_queues, of_tenant_queues;
  for (const aiaccel_stats_queue& queue : snapshot.queues) {
    queues[queue.engine]++, of_context_queues[queue.context]++, of_tenant_queues[queue.tenant]++;
    of_context_granted[queue.context] += queue.granted;
    of_tenant_granted[queue.tenant] += queue.granted;
    BOOST_TEST(queue.waiting == (of_queue_waiting[{queue.context, queue.id}]));
    BOOST_TEST(queue.slots_held == (of_queue_slots[{queue.context, queue.id}]));
    BOOST_TEST(sum(queue.wait) == queue.granted);
    BOOST_TEST(sum(queue.run) == queue.completed);
  }
  std::set<uint64_t> tenants;
  for (const aiaccel_stats_tenant& tenant : snapshot.tenants) {
    tenants.insert(tenant.tenant);
    BOOST_TEST(tenant.granted >= of_tenant_granted[tenant.tenant]);
    BOOST_TEST(sum(tenant.wait) == tenant.granted);
    BOOST_TEST(tenant.queues == of_tenant_queues[tenant.tenant]);
  }
  for (const aiaccel_stats_context& context : snapshot.contexts) {
    BOOST_TEST(tenants.count(context.tenant) == 1u);
    BOOST_TEST(context.queues == of_context_queues[context.context]);
    BOOST_TEST(context.waiting == of_context_waiting[context.context]);
    BOOST_TEST(context.turns == of_context_turns[context.context]);
    BOOST_TEST(context.slots_held == of_context_slots[context.context]);
    // No queue was destroyed.
    BOOST_TEST(context.granted == of_context_granted[context.context]);
  }
  for (const aiaccel_stats_engine& engine : snapshot.engines) {
    BOOST_TEST(engine.slots_used == used[engine.id]);
    BOOST_TEST(engine.jobs_waiting == waiting[engine.id]);
    BOOST_TEST(engine.queues == queues[engine.id]);
    BOOST_TEST(sum(engine.wait) == engine.granted);
    BOOST_TEST(sum(engine.wait) == sum(engine.run) + running[engine.id]);
  }
}

const aiaccel_stats_turn& turn_of(const Snapshot& snapshot, uint64_t context, uint32_t why) {
  for (const aiaccel_stats_turn& turn : snapshot.turns)
    if (turn.context == context && turn.why == why) return turn;
  BOOST_FAIL("the turn is not listed");
  throw;
}

uint64_t number_of(Device& device, const char* label) {
  for (const aiaccel_stats_queue& record : device.queue_stats())
    if (!strcmp(record.label, label)) return record.context;
  BOOST_FAIL("the queue is not listed");
  return 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(says_who_waits_for_whom) {
  Device holder, next, last;
  const uint32_t queue = holder.must_queue(AIACCEL_CLASS_NORMAL, 0, "holder");
  const uint32_t width = holder.slots();
  aiaccel_job jobs[] = {job(1, queue, {.width = width}), job(2, queue), job(3, queue)};
  jobs[2].flags = AIACCEL_JOB_AFTER;
  jobs[2].after = 1;
  aiaccel_enter enter{};
  enter.jobs = reinterpret_cast<uintptr_t>(jobs);
  enter.nr_jobs = 3;
  BOOST_TEST(holder.enter(enter) == 0);
  holder.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(next.submit(job(1, next.must_queue(AIACCEL_CLASS_HIGH, 0, "next"))) == 0);
  BOOST_TEST(last.submit(job(1, last.must_queue(AIACCEL_CLASS_NORMAL, 0, "last"))) == 0);
  const Snapshot snapshot = take_snapshot(holder);
  expect_consistent(snapshot);
  const uint64_t holds = number_of(holder, "holder"), comes = number_of(holder, "next");

  const aiaccel_stats_turn own = turn_of(snapshot, holds, AIACCEL_WAIT_OWN);
  BOOST_TEST(own.waits_for == holds);
  BOOST_TEST(turn_of(snapshot, holds, AIACCEL_WAIT_AFTER).waits_for == holds);
  BOOST_TEST(turn_of(snapshot, holds, AIACCEL_WAIT_NOT).state == uint32_t{AIACCEL_TURN_RUNNING});
  const aiaccel_stats_turn slots = turn_of(snapshot, comes, AIACCEL_WAIT_SLOTS);
  BOOST_TEST(slots.waits_for == holds);
  BOOST_TEST(slots.pid == getpid());
  BOOST_TEST(std::string(slots.label) == "next");
  const aiaccel_stats_turn order = turn_of(snapshot, number_of(holder, "last"), AIACCEL_WAIT_ORDER);
  BOOST_TEST(order.waits_for == comes);
}

BOOST_AUTO_TEST_CASE(a_revoked_turn_neither_waits_nor_runs) {
  Device late, next;
  aiaccel_queue_create budget = late.queue_arg();
  budget.budget_ns = AIACCEL_BUDGET_MIN_NS;
  strcpy(budget.label, "late");
  BOOST_REQUIRE_EQUAL(late.call(AIACCEL_IOC_QUEUE_CREATE, budget), 0);
  const uint32_t width = late.slots();
  const aiaccel_job jobs[] = {job(1, budget.id, {.width = width}), job(2, budget.id)};
  aiaccel_enter enter{};
  enter.jobs = reinterpret_cast<uintptr_t>(jobs);
  enter.nr_jobs = 2;
  BOOST_TEST(late.enter(enter) == 0);
  late.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(next.submit(job(1, next.must_queue(), {.width = width})) == 0);
  next.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(late.engine().contended == width);
  const Snapshot snapshot = take_snapshot(next);
  expect_consistent(snapshot);
  const uint64_t number = number_of(next, "late");
  BOOST_TEST(turn_of(snapshot, number, AIACCEL_WAIT_CONTENDED).waits_for == number);
}

BOOST_AUTO_TEST_CASE(tells_its_length_and_writes_all_or_nothing) {
  Device device;
  device.must_queue();
  uint32_t needed = 0;
  BOOST_TEST(ask(device, nullptr, &needed) == 0);
  BOOST_TEST(needed > 0u);
  std::vector<uint64_t> units(needed + 1, 0x5a5a5a5a5a5a5a5a);
  uint32_t count = needed - 1;
  BOOST_TEST(ask(device, units.data(), &count) == 0);
  BOOST_TEST(count == needed);
  BOOST_TEST(units[0] == 0x5a5a5a5a5a5a5a5au);
  BOOST_TEST(ask(device, units.data(), &count) == 0);
  BOOST_TEST(units[0] != 0x5a5a5a5a5a5a5a5au);
  BOOST_TEST(units[needed - 1] != 0x5a5a5a5a5a5a5a5au);
  BOOST_TEST(units[needed] == 0x5a5a5a5a5a5a5a5au);
}

BOOST_AUTO_TEST_CASE(is_of_one_moment_while_others_work) {
  Device watcher;
  const uint32_t slots = watcher.slots();
  std::vector<Device> devices(3);
  std::atomic<bool> stop{false};
  std::atomic<unsigned> turns{0}, wrong{0};
  std::vector<std::thread> workers;
  for (Device& device : devices)
    // In here nothing asserts: the checks are not for several threads.
    workers.emplace_back([&, queue = device.must_queue()] {
      for (uint64_t cookie = 1; !stop; cookie++) {
        const aiaccel_job one =
            job(cookie, queue, {.width = 1 + static_cast<uint32_t>(cookie) % slots});
        aiaccel_event event{};
        aiaccel_enter enter{};
        enter.jobs = reinterpret_cast<uintptr_t>(&one);
        enter.nr_jobs = 1;
        enter.min_events = 1;
        enter.timeout_ns = late();
        if (device.enter(enter)) wrong++;
        while (aiaccel_read_events(device.handle(), &event, 1) == 1 &&
               !(event.events & AIACCEL_EVENT_GRANTED)) {
        }
        if (device.complete(cookie, event.generation)) wrong++;
        turns++;
      }
    });
  unsigned taken = 0;
  BOOST_TEST(eventually([&] {
    expect_consistent(take_snapshot(watcher));
    return ++taken >= 100 && turns > 1000;
  }));
  stop = true;
  for (std::thread& worker : workers) worker.join();
  BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_CASE(is_refused_where_it_would_take_too_long) {
  Device watcher;
  uint32_t count = 0;
  std::vector<Device> devices(65);
  for (Device& device : devices)
    for (int i = 0; i < 62; i++) device.must_queue();
  BOOST_TEST(ask(watcher, nullptr, &count) == -EMSGSIZE);
  BOOST_TEST(count == 0u);
  std::vector<uint64_t> units(1 << 16, 0x5a5a5a5a5a5a5a5a);  // room for some of it
  count = static_cast<uint32_t>(units.size());
  BOOST_TEST(ask(watcher, units.data(), &count) == -EMSGSIZE);
  BOOST_TEST(count == units.size());
  BOOST_TEST(units[0] == 0x5a5a5a5a5a5a5a5au);
  devices.resize(60);
  BOOST_TEST(eventually([&] { return ask(watcher, nullptr, &count) == 0; }));
  BOOST_TEST(count * 8 > 60 * 62 * sizeof(aiaccel_stats_queue));
}

BOOST_AUTO_TEST_SUITE_END()
