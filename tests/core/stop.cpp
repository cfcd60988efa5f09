// SPDX-License-Identifier: MIT
//
// Turns whose work a provider stops: their slots are taken until it has, whoever goes meanwhile;
// who pays; that no more is stopped than makes room. And engines that are faulted.

#include <tap/tap.hpp>

#include <array>
#include <cerrno>
#include <memory>
#include <utility>

#include "core/turns_stage.hpp"

namespace {

constexpr std::uint64_t kMs = 1000000, kBudget = 50 * kMs, kEnd = kBudget + 10 * kMs, kStop = 7 * kMs;
constexpr std::uint32_t kGranted = AIACCEL_EVENT_GRANTED, kYield = AIACCEL_EVENT_YIELD,
                        kRevoked = AIACCEL_EVENT_REVOKED;

struct Preemptible : Stage {
  explicit Preemptible(std::uint32_t slots) : Stage(slots) {
    aia_terms_set_engine(&engine, AIACCEL_PREEMPTIBLE, 0);
    aia_stops_init(&engine, entries.data(), kStop);
  }
  // What is to be stopped next, or NULL.
  aia_stop* next() { return aia_stop_next(&engine); }
  void stopped(aia_stop* stop) {
    aia_news news{};
    aia_turns_stopped(stop, now, &news);
    free_all(news);
    BOOST_TEST(stirred(news));
    dispatch();
  }
  // How many turns were revoked, each in a step of its own.
  int fault(bool runs_on) {
    int count = 0;
    engine.state = AIACCEL_ENGINE_FAULTED;
    for (aia_news news{}; aia_turns_fault_next(&engine, runs_on, now, &news); ++count) {
      free_all(news);
      BOOST_TEST(stirred(news));
      unchain(news);
      dispatch();
    }
    return count;
  }
  // Goes on until then as an adapter's timer does.
  void pass(std::uint64_t until) {
    dispatch();
    while (aia_turns_next_ns(&engine) <= until) {
      now = std::max<std::uint64_t>(now, aia_turns_next_ns(&engine));
      dispatch();
    }
    now = until;
    dispatch();
  }
  std::array<aia_stop, 8> entries{};
};

struct Holder : Context {
  explicit Holder(Preemptible& stage) : Context(stage), stage(stage) {
    aia_terms_set_queue(&queue, 0, kBudget);
    who.context = 100;
    who.pid = 200;
  }
  // All that was told since, in one.
  std::uint32_t told() {
    std::uint32_t bits = 0;
    for (const aiaccel_event& e : read()) {
      bits |= e.events;
      generation = e.generation;
    }
    return bits;
  }
  void begin(std::uint64_t cookie, std::uint32_t width = 1) {
    BOOST_TEST(submit(cookie, width) == 0);
    stage.dispatch();
    BOOST_TEST(told() == kGranted);
  }
  void end_all() {
    aia_news news{};
    aia_turns_end_all(&turns, stage.now, &news);
    stage.free_all(news);
    stage.stirred(news);
    stage.dispatch();
  }
  Preemptible& stage;
  std::uint32_t generation = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stop)

BOOST_AUTO_TEST_CASE(slots_are_taken_until_the_work_is_stopped) {
  Preemptible p(2);
  Holder holder(p), other(p);
  holder.begin(1, 2);
  BOOST_TEST(other.submit(1, 2) == 0);
  p.pass(kEnd);
  BOOST_TEST(p.next() == nullptr);
  BOOST_TEST(holder.told() == kYield);
  p.pass(1 + kEnd);
  BOOST_TEST(holder.told() == kRevoked);
  BOOST_TEST(other.told() == 0u);
  BOOST_TEST(p.engine.slots_used == 2u);
  BOOST_TEST(p.engine.contended == 0u);
  BOOST_TEST(aia_turns_next_ns(&p.engine) == AIACCEL_NEVER);
  aia_stop* stop = p.next();
  BOOST_REQUIRE(stop);
  BOOST_TEST(p.next() == nullptr);
  BOOST_TEST(stop->context == 100u);
  BOOST_TEST(stop->pid == 200);
  BOOST_TEST(stop->cookie == 1u);
  BOOST_TEST(stop->generation == holder.generation);
  BOOST_TEST(stop->width == 2u);
  p.now += 7 * kMs;
  p.dispatch();
  BOOST_TEST(other.told() == 0u);
  // Its seat is taken, so that no later turn of it is stopped instead.
  BOOST_TEST(holder.submit(2) == -EDEADLK);
  p.stopped(stop);
  BOOST_TEST(other.told() == kGranted);
  BOOST_TEST(p.engine.busy_ns == 2 * (kEnd + 7 * kMs));  // paid, too
  BOOST_TEST(p.engine.contended == 0u);
  BOOST_TEST(p.engine.slots_yielding == 0u);
  BOOST_TEST(holder.complete(1, holder.generation) == -ESTALE);
  BOOST_TEST(holder.complete(1, holder.generation) == -ENOENT);
  BOOST_TEST(holder.submit(2) == 0);
  BOOST_TEST(other.complete(1, other.generation) == 0);
  BOOST_TEST(p.engine.slots_used == 0u);
}

BOOST_AUTO_TEST_CASE(its_holder_may_complete_meanwhile) {
  Preemptible p(1);
  Holder holder(p), other(p);
  holder.begin(1);
  BOOST_TEST(other.submit(1) == 0);
  p.pass(1 + kEnd);
  aia_stop* stop = p.next();
  BOOST_REQUIRE(stop);
  // Where something was taken before in the same call, asking again is to give the same answer.
  BOOST_TEST(holder.complete(1, holder.generation, 0, false) == -ESTALE);
  BOOST_TEST(holder.complete(1, holder.generation, 0, true) == -ESTALE);
  BOOST_TEST(holder.complete(1, holder.generation) == -ENOENT);
  BOOST_TEST(holder.submit(1) == -EDEADLK);  // the cookie is free, the seat is not
  BOOST_TEST(p.engine.slots_used == 1u);
  BOOST_TEST(p.live.size() == 2u);
  p.stopped(stop);
  BOOST_TEST(p.live.size() == 1u);
  BOOST_TEST(other.told() == kGranted);
  BOOST_TEST((holder.told() & kRevoked) == 0u + kRevoked);  // was in the ring before it asked
  BOOST_TEST(holder.submit(1) == 0);
}

BOOST_AUTO_TEST_CASE(who_ends_meanwhile_leaves_its_slots_taken) {
  for (bool all : {false, true}) {
    Preemptible p(2);
    auto holder = std::make_unique<Holder>(p);
    Holder other(p);
    holder->begin(1, 2);
    BOOST_TEST(other.submit(1) == 0);
    p.pass(1 + kEnd);
    aia_stop* stop = p.next();
    BOOST_REQUIRE(stop);
    all ? holder->end_all() : holder->end_queue();
    aia_sched_queue_fini(&holder->queue);
    holder.reset();
    BOOST_TEST(p.live.size() == 1u);
    p.dispatch();
    BOOST_TEST(other.told() == 0u);
    BOOST_TEST(p.engine.slots_used == 2u);
    p.stopped(stop);
    BOOST_TEST(other.told() == kGranted);
    BOOST_TEST(p.engine.slots_used == 1u);
    BOOST_TEST(p.engine.slots_yielding == 0u);
    BOOST_TEST(p.engine.stops.slots == 0u);
  }
}

BOOST_AUTO_TEST_CASE(the_work_of_who_ends_is_stopped) {
  Preemptible p(1);
  Holder holder(p), other(p);
  holder.begin(1);
  BOOST_TEST(other.submit(1) == 0);
  holder.end_all();
  BOOST_TEST(other.told() == 0u);
  aia_stop* stop = p.next();
  BOOST_REQUIRE(stop);
  BOOST_TEST(stop->generation == holder.generation);
  p.stopped(stop);
  BOOST_TEST(other.told() == kGranted);
  // Who destroys its queue says so that its turn is over.
  other.end_queue();
  BOOST_TEST(p.next() == nullptr);
  BOOST_TEST(p.engine.slots_used == 0u);
}

BOOST_AUTO_TEST_CASE(no_more_is_stopped_than_makes_room) {
  Preemptible p(4);
  std::array<std::unique_ptr<Holder>, 4> holders;
  for (auto& holder : holders) {
    holder = std::make_unique<Holder>(p);
    holder->begin(1);
  }
  Holder two(p), one(p);
  BOOST_TEST(two.submit(1, 2) == 0);
  p.pass(1 + kEnd);
  std::array<aia_stop*, 3> stops{p.next(), p.next(), p.next()};
  BOOST_TEST((stops[0] && stops[1]));
  BOOST_TEST(!stops[2]);
  BOOST_TEST(aia_turns_next_ns(&p.engine) == AIACCEL_NEVER);
  p.pass(2 * kEnd);
  BOOST_TEST(p.next() == nullptr);
  p.stopped(stops[0]);
  BOOST_TEST(p.next() == nullptr);
  BOOST_TEST(two.told() == 0u);
  p.stopped(stops[1]);
  BOOST_TEST(two.told() == kGranted);
  BOOST_TEST(p.next() == nullptr);
  // The next one is in the way of the others again.
  BOOST_TEST(one.submit(1) == 0);
  p.pass(p.now + 10 * kMs);
  BOOST_TEST(p.next() != nullptr);
  BOOST_TEST(p.next() == nullptr);
}

// Who closes its context as soon as its turn begins has had no time but what stopping takes.
BOOST_AUTO_TEST_CASE(who_is_gone_pays_for_what_stopping_took) {
  Preemptible p(2);
  aia_sched_node nodes[2]{};
  std::uint64_t ran[2]{};
  for (aia_sched_node& node : nodes) aia_sched_node_init(&node, &p.engine, nullptr, 0);
  const auto holder_of = [&](aia_sched_node& node) {
    auto holder = std::make_unique<Holder>(p);
    aia_sched_queue_fini(&holder->queue);
    aia_sched_queue_init(&holder->queue, &holder->seat, &node, AIACCEL_CLASS_NORMAL, 0);
    holder->queue.who = &holder->who;
    BOOST_TEST(holder->submit(1, 2) == 0);
    return holder;
  };
  auto honest = holder_of(nodes[0]), closes = holder_of(nodes[1]);
  for (int turn = 0; turn < 100; ++turn) {
    p.dispatch();
    const std::uint64_t since = p.now;
    p.now += 10 * kMs;
    if (honest->told() & kGranted) {
      BOOST_TEST(honest->complete(1, honest->generation) == 0);
      BOOST_TEST(honest->submit(1, 2) == 0);
      ran[0] += p.now - since;
      continue;
    }
    BOOST_TEST(closes->told() == kGranted);
    p.now = since;
    closes->end_all();
    aia_sched_queue_fini(&closes->queue);
    closes.reset();
    BOOST_TEST(nodes[1].turns == 1u);                // as its ceiling has it
    BOOST_TEST(aia_sched_node_owes(&nodes[1], p.now));  // it is to stay
    aia_stop* stop = p.next();
    BOOST_REQUIRE(stop);
    closes = holder_of(nodes[1]);
    p.now += 10 * kMs;
    p.stopped(stop);
    BOOST_TEST(!aia_sched_node_owes(&nodes[1], p.now));
    ran[1] += p.now - since;
  }
  BOOST_TEST(ran[0] >= ran[1] - 20 * kMs);
  BOOST_TEST(ran[1] >= ran[0] - 20 * kMs);
  BOOST_TEST(nodes[1].busy_ns == 2 * ran[1]);
  BOOST_TEST(p.engine.busy_ns == 2 * (ran[0] + ran[1]));
}

BOOST_AUTO_TEST_CASE(each_slot_may_be_stopped_at_once) {
  Preemptible p(8);
  std::array<std::unique_ptr<Holder>, 8> holders;
  for (int round = 0; round < 3; ++round) {
    for (auto& holder : holders) {
      holder = std::make_unique<Holder>(p);
      holder->begin(1);
    }
    for (auto& holder : holders) {
      holder->end_all();
      aia_sched_queue_fini(&holder->queue);
    }
    BOOST_TEST(p.engine.slots_used == 8u);
    BOOST_TEST(p.engine.stops.slots == 8u);
    while (aia_stop* stop = p.next()) p.stopped(stop);
    BOOST_TEST(p.engine.slots_used == 0u);
    BOOST_TEST(p.engine.stops.slots == 0u);
  }
}

BOOST_AUTO_TEST_CASE(a_fault_revokes_what_runs_and_what_waits_goes_on_waiting) {
  for (bool runs_on : {false, true}) {
    Preemptible p(2);
    Holder a(p), b(p), waits(p);
    a.begin(1);
    b.begin(1);
    BOOST_TEST(waits.submit(1) == 0);
    BOOST_TEST(p.fault(runs_on) == 2);
    BOOST_TEST(a.told() == kRevoked);
    BOOST_TEST(b.told() == kRevoked);
    BOOST_TEST(waits.told() == 0u);
    BOOST_TEST(p.engine.slots_used == (runs_on ? 2u : 0u));
    BOOST_TEST(waits.submit(2) == -ESHUTDOWN);
    BOOST_TEST(p.fault(runs_on) == 0);  // again: nothing runs
    BOOST_TEST(a.told() == 0u);
    p.engine.state = AIACCEL_ENGINE_ACTIVE;
    p.dispatch();
    BOOST_TEST(waits.told() == (runs_on ? 0u : kGranted));
    while (aia_stop* stop = p.next()) p.stopped(stop);
    BOOST_TEST((p.engine.waiting == 0u));
    BOOST_TEST(p.engine.slots_used == 1u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
