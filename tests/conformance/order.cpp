// SPDX-License-Identifier: MIT
//
// Who gets the next turn: class, deadline, age, weight and width, between contexts.
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "device.hpp"

using namespace conformance;

namespace {

// A context that holds the whole engine until it lets go.
class Holder {
 public:
  Holder() {
    queue_ = device.must_queue();
    generation_ = device.must_hold(1, queue_, device.slots());
  }
  void let_go() { BOOST_REQUIRE(device.complete(1, generation_) == 0); }
  uint32_t generation() const { return generation_; }

  Device device;

 private:
  uint32_t queue_;
  uint32_t generation_;
};

// How long narrow jobs let slots be kept free for a wide one at first.
constexpr uint64_t kKeptFreeNs = 100'000'000;

uint32_t yield_word(Device& device, uint32_t slot) {
  const uint32_t bytes = device.query().ring_bytes;
  void* mapped = nullptr;
  BOOST_REQUIRE(aiaccel_map(device.handle(), AIACCEL_RING_OFFSET, bytes, PROT_READ, &mapped) == 0);
  const auto* ring = static_cast<const aiaccel_ring*>(mapped);
  const auto* words =
      reinterpret_cast<const uint32_t*>(static_cast<const char*>(mapped) + ring->yield_offset);
  const uint32_t word = __atomic_load_n(&words[slot], __ATOMIC_ACQUIRE);
  munmap(mapped, bytes);
  return word;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(order)

BOOST_AUTO_TEST_CASE(classes_go_from_high_to_idle) {
  Holder holder;
  const uint32_t slots = holder.device.slots();
  const uint32_t submitted[] = {AIACCEL_CLASS_IDLE, AIACCEL_CLASS_NORMAL, AIACCEL_CLASS_LOW,
                                AIACCEL_CLASS_HIGH};
  std::vector<Device> devices(4);
  for (size_t i = 0; i < 4; ++i)
    BOOST_REQUIRE(devices[i].submit(job(submitted[i], devices[i].must_queue(submitted[i]),
                                        {.width = slots})) == 0);
  holder.let_go();
  for (size_t next : {3, 1, 2, 0}) {
    const aiaccel_event event = devices[next].must_event();
    BOOST_TEST(event.cookie == submitted[next]);
    for (size_t other = 0; other < 4; ++other) BOOST_TEST(devices[other].events().empty());
    BOOST_REQUIRE(devices[next].complete(event.cookie, event.generation) == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_queue_goes_by_deadline_then_by_age) {
  Holder holder;
  Device device;
  const uint32_t slots = device.slots();
  const uint32_t queue = device.must_queue();
  const uint64_t soon = late();
  const uint64_t deadlines[] = {0, soon + 2000, soon + 1000, 0, soon + 2000};
  for (uint64_t i = 0; i < 5; ++i)
    BOOST_REQUIRE(device.submit(job(i, queue, {.width = slots, .deadline_ns = deadlines[i]})) == 0);
  holder.let_go();
  for (uint64_t next : {2, 1, 4, 0, 3}) {
    const aiaccel_event event = device.must_event(next, AIACCEL_EVENT_GRANTED);
    BOOST_REQUIRE(device.complete(next, event.generation) == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_missed_deadline_leaves_the_job_in_line) {
  Holder holder;
  Device device;
  BOOST_REQUIRE(device.submit(job(1, device.must_queue(), {.deadline_ns = 1})) == 0);
  holder.let_go();
  device.must_event(1, AIACCEL_EVENT_GRANTED);
}

// Two contexts that always want the whole engine: what each had is in proportion to its weight, by
// what the arbiter measured.
BOOST_AUTO_TEST_CASE(two_queues_share_by_weight) {
  Holder holder;
  std::vector<Device> devices(2);
  const uint32_t slots = holder.device.slots();
  const uint32_t weights[] = {100, 300};
  for (uint32_t i = 0; i < 2; ++i) {
    const uint32_t queue =
        devices[i].must_queue(AIACCEL_CLASS_NORMAL, weights[i], i ? "heavy@1" : "light@1");
    for (uint64_t cookie = 1; cookie <= 80; ++cookie)
      BOOST_REQUIRE(devices[i].submit(job(cookie, queue, {.width = slots})) == 0);
  }
  holder.let_go();
  for (int turns = 0; turns < 80; ++turns) {
    aiaccel_event event{};
    Device* who = nullptr;
    BOOST_REQUIRE(eventually([&] {
      for (Device& device : devices)
        if (aiaccel_read_events(device.handle(), &event, 1) == 1) who = &device;
      return who != nullptr;
    }));
    const timespec work{0, 2'000'000};
    nanosleep(&work, nullptr);
    BOOST_REQUIRE(who->complete(event.cookie, event.generation) == 0);
  }
  uint64_t had[2] = {};
  for (const aiaccel_stats_queue& record : holder.device.queue_stats()) {
    if (std::string(record.label) == "light@1") had[0] = record.run_ns;
    if (std::string(record.label) == "heavy@1") had[1] = record.run_ns;
  }
  const double share = static_cast<double>(had[1]) / static_cast<double>(had[0] + had[1]);
  BOOST_TEST_CONTEXT("light " << had[0] << " ns, heavy " << had[1] << " ns") {
    BOOST_TEST(share > 0.6);
    BOOST_TEST(share < 0.9);
  }
}

BOOST_AUTO_TEST_CASE(a_higher_class_asks_the_holder_to_yield) {
  Holder holder;
  Device device;
  BOOST_TEST(holder.device.events().empty());
  BOOST_REQUIRE(device.submit(job(9, device.must_queue(AIACCEL_CLASS_HIGH))) == 0);
  const aiaccel_event event = holder.device.must_event(1, AIACCEL_EVENT_YIELD);
  BOOST_TEST(event.generation == holder.generation());
  BOOST_TEST(yield_word(holder.device, event.slot) == holder.generation());
  BOOST_TEST(device.events().empty());  // nothing forces it
  holder.let_go();
  device.must_event(9, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(background_on_a_cpu_is_in_nobody_elses_way) {
  Device low;
  if (low.engine().kind != AIACCEL_ENGINE_CPU) SKIP("the first engine is no CPU");
  const uint32_t slots = low.slots();
  low.must_hold(1, low.must_queue(AIACCEL_CLASS_LOW), slots);
  Device normal;
  const uint32_t generation = normal.must_hold(1, normal.must_queue(), slots);
  BOOST_TEST(low.events().empty());
  BOOST_TEST(low.engine_stats().slots_used == 2 * slots);
  // But in that of its like, and behind all others.
  Device idle;
  BOOST_REQUIRE(idle.submit(job(1, idle.must_queue(AIACCEL_CLASS_IDLE))) == 0);
  BOOST_REQUIRE(low.cancel(1) == 0);
  BOOST_TEST(idle.events().empty());
  BOOST_REQUIRE(normal.complete(1, generation) == 0);
  idle.must_event(1, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(an_equal_class_asks_nobody) {
  Holder holder;
  Device device;
  BOOST_REQUIRE(device.submit(job(9, device.must_queue(AIACCEL_CLASS_NORMAL))) == 0);
  BOOST_REQUIRE(device.submit(job(10, device.must_queue(AIACCEL_CLASS_LOW))) == 0);
  BOOST_TEST(holder.device.events().empty());
}

BOOST_AUTO_TEST_CASE(slots_are_shared_by_width) {
  Device first;
  const uint32_t slots = first.slots();
  if (slots < 2) SKIP("the engine has one slot");
  Device second;
  Device third;
  first.must_hold(1, first.must_queue(), 1);
  second.must_hold(1, second.must_queue(), slots - 1);
  BOOST_TEST(first.engine_stats().slots_used == slots);
  BOOST_REQUIRE(third.submit(job(1, third.must_queue())) == 0);
  BOOST_TEST(third.events().empty());
  BOOST_REQUIRE(first.cancel(1) == 0);
  third.must_event(1, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(narrow_jobs_do_not_pass_a_wide_one) {
  Device holder;
  const uint32_t slots = holder.slots();
  if (slots < 2) SKIP("the engine has one slot");
  Device wide;
  Device narrow;
  holder.must_hold(1, holder.must_queue(), 1);
  const uint64_t began_ns = now_ns();
  BOOST_REQUIRE(wide.submit(job(1, wide.must_queue(), {.width = slots})) == 0);
  BOOST_REQUIRE(narrow.submit(job(1, narrow.must_queue())) == 0);
  BOOST_TEST((narrow.events().empty() || now_ns() - began_ns >= kKeptFreeNs));
  // A higher class may.
  Device high;
  high.must_hold(1, high.must_queue(AIACCEL_CLASS_HIGH), 1);
  BOOST_REQUIRE(high.cancel(1) == 0);
  BOOST_TEST((narrow.events().empty() || now_ns() - began_ns >= kKeptFreeNs));

  // Where the turn in its way does not end, they pass after a while, and it keeps its place.
  narrow.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(now_ns() - began_ns >= kKeptFreeNs);
  BOOST_TEST(wide.events().empty());
  BOOST_REQUIRE(narrow.cancel(1) == 0);
  BOOST_REQUIRE(holder.cancel(1) == 0);
  wide.must_event(1, AIACCEL_EVENT_GRANTED);
}

// Two jobs of `above` want the whole engine at all times; one of `below` has its turn all the same.
void check_part_of(uint32_t below, uint32_t above) {
  struct Client {
    Device device;
    uint32_t queue;
    explicit Client(uint32_t class_) : queue(device.must_queue(class_)) {}
  };
  std::vector<Client> clients;
  for (int i = 0; i < 2; ++i) clients.emplace_back(above);
  Device low;
  const JobOptions whole{.width = low.slots()};
  for (Client& c : clients) BOOST_REQUIRE(c.device.submit(job(1, c.queue, whole)) == 0);
  BOOST_REQUIRE(low.submit(job(7, low.must_queue(below))) == 0);
  std::vector<aiaccel_event> got;
  BOOST_REQUIRE(eventually([&] {
    for (Client& c : clients)
      for (const aiaccel_event& event : c.device.events()) {
        if (!(event.events & AIACCEL_EVENT_GRANTED)) continue;
        BOOST_REQUIRE(c.device.complete(1, event.generation) == 0);
        BOOST_REQUIRE(c.device.submit(job(1, c.queue, whole)) == 0);
      }
    got = low.events();
    return !got.empty();
  }));
  BOOST_TEST(got.size() == 1u);
  BOOST_TEST(got[0].events == AIACCEL_EVENT_GRANTED);  // and is not asked to yield at once
}

BOOST_AUTO_TEST_CASE(a_lower_class_has_its_part_beside_one_that_wants_all) {
  check_part_of(AIACCEL_CLASS_LOW, AIACCEL_CLASS_NORMAL);
  check_part_of(AIACCEL_CLASS_LOW, AIACCEL_CLASS_HIGH);
  check_part_of(AIACCEL_CLASS_NORMAL, AIACCEL_CLASS_HIGH);
}

BOOST_AUTO_TEST_CASE(closing_a_context_lets_others_go_on) {
  Device device;
  {
    Holder holder;
    BOOST_REQUIRE(device.submit(job(1, device.must_queue(), {.width = device.slots()})) == 0);
    BOOST_TEST(device.events().empty());
  }
  device.must_event(1, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(a_context_may_be_closed_while_its_turn_comes) {
  Device other;
  const aiaccel_job whole = job(0, other.must_queue(), {.width = other.slots()});
  std::atomic<bool> over{false};
  std::atomic<int> failed{0};
  std::thread turns([&] {
    while (!over) {
      aiaccel_grant grant;
      if (aiaccel_acquire(other.handle(), &whole, late(), -1, &grant)) ++failed;
      if (aiaccel_complete(other.handle(), &grant)) ++failed;
    }
  });
  for (int i = 0; i < 200; ++i) {
    Device device;
    BOOST_TEST(device.submit(job(1, device.must_queue())) == 0);
  }
  over = true;
  turns.join();
  BOOST_TEST(failed == 0);
}

// Several threads, each with a context of its own, and slots that are never given twice.
BOOST_AUTO_TEST_CASE(many_contexts_at_once) {
  Device device;
  const uint32_t slots = device.slots();
  // Background turns on a CPU are counted by themselves: they are in nobody else's way.
  const bool apart = device.engine().kind == AIACCEL_ENGINE_CPU;
  std::atomic<uint32_t> held[2] = {};
  std::atomic<uint32_t> most[2] = {};
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  std::vector<Device> devices(4);
  std::vector<uint32_t> queues;
  for (uint32_t i = 0; i < 4; ++i) queues.push_back(devices[i].must_queue(i % 4));
  for (uint32_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int turn = 0; turn < 100; ++turn) {
        const uint32_t width = (turn + i) % slots + 1;
        const aiaccel_job wanted = job(0, queues[i], {.width = width});
        aiaccel_grant grant;
        if (aiaccel_acquire(devices[i].handle(), &wanted, late(), -1, &grant)) ++failed;
        const bool background = apart && i < AIACCEL_CLASS_NORMAL;
        const uint32_t now = held[background] += width;
        uint32_t seen = most[background];
        while (seen < now && !most[background].compare_exchange_weak(seen, now)) {
        }
        held[background] -= width;
        if (aiaccel_complete(devices[i].handle(), &grant)) ++failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(failed == 0);
  BOOST_TEST(most[0] <= slots);
  BOOST_TEST(most[1] <= slots);
  BOOST_TEST(device.engine_stats().slots_used == 0u);
  BOOST_TEST(device.engine_stats().jobs_waiting == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
