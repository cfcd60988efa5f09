// SPDX-License-Identifier: MIT
//
// Each rule of the scheduler by an example: class, deadline, age, width, the seat, yields, the
// state of the engine, the counters. Shares are in sched_shares.cpp.

#include <tap/tap.hpp>

#include <cerrno>
#include <cstdint>

#include "core/core.hpp"

namespace {

// One tenant, and jobs handled one by one.
struct Bench {
  aia_sched_engine engine{};
  aia_sched_node node{};

  explicit Bench(std::uint32_t slots) {
    aia_sched_engine_init(&engine, slots);
    aia_sched_node_init(&node, &engine, nullptr, 0);
  }
  aia_sched_job* grant(std::uint64_t now = 0) { return aia_choice_grant_next(&engine, now); }
  aia_sched_job* yield() { return aia_choice_yield_next(&engine); }
};

struct Seat {
  aia_sched_seat seat{};
  explicit Seat(Bench& b) { aia_sched_seat_init(&seat, &b.engine); }
};

struct Queue {
  aia_sched_queue queue{};
  Queue(Bench& b, Seat& s, std::uint32_t class_ = AIACCEL_CLASS_NORMAL) {
    aia_sched_queue_init(&queue, &s.seat, &b.node, class_, 0);
  }
  int submit(aia_sched_job& job, std::uint32_t width = 1, std::uint64_t deadline_ns = 0,
             std::uint64_t now = 0) {
    job = {};
    job.width = width;
    job.deadline_ns = deadline_ns;
    return aia_sched_submit(&queue, &job, now);
  }
};

// A context with one queue and one job.
struct Single : Seat, Queue {
  aia_sched_job job{};
  Single(Bench& b, std::uint32_t class_, std::uint32_t width = 1)
      : Seat(b), Queue(b, *this, class_) {
    BOOST_TEST_REQUIRE(submit(job, width) == 0);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(sched_rules)

BOOST_AUTO_TEST_CASE(the_highest_class_goes_first) {
  Bench b(1);
  Single idle(b, AIACCEL_CLASS_IDLE), high(b, AIACCEL_CLASS_HIGH), low(b, AIACCEL_CLASS_LOW),
      normal(b, AIACCEL_CLASS_NORMAL);
  for (Single* next : {&high, &normal, &low, &idle}) {
    BOOST_TEST(b.grant() == &next->job);
    BOOST_TEST(b.grant() == nullptr);
    aia_sched_complete(&next->job, 1);
  }
  BOOST_TEST(b.grant() == nullptr);
}

BOOST_AUTO_TEST_CASE(in_a_queue_the_earliest_deadline_then_the_oldest) {
  Bench b(1);
  Seat seat(b);
  Queue queue(b, seat);
  aia_sched_job none1, none2, late, soon, soon2, last;
  BOOST_TEST(queue.submit(none1) == 0);
  BOOST_TEST(queue.submit(late, 1, 200) == 0);
  BOOST_TEST(queue.submit(last, 1, ~0ULL) == 0);
  BOOST_TEST(queue.submit(soon, 1, 100) == 0);
  BOOST_TEST(queue.submit(none2) == 0);
  BOOST_TEST(queue.submit(soon2, 1, 100) == 0);
  BOOST_TEST(aia_sched_queue_first(&queue.queue) == &soon);
  for (aia_sched_job* next : {&soon, &soon2, &late, &last, &none1, &none2}) {
    BOOST_TEST(b.grant(300) == next);  // missed deadlines do not matter
    aia_sched_complete(next, 301);
  }
  BOOST_TEST(aia_sched_queue_first(&queue.queue) == nullptr);
}

BOOST_AUTO_TEST_CASE(what_is_refused) {
  Bench b(4);
  Seat seat(b);
  Queue queue(b, seat);
  aia_sched_job job, second;
  BOOST_TEST(queue.submit(job, 0) == -EINVAL);
  BOOST_TEST(queue.submit(job, 5) == -EINVAL);
  BOOST_TEST(b.engine.waiting == 0u);
  BOOST_TEST(queue.queue.submitted == 0u);
  BOOST_TEST(queue.submit(job, 4) == 0);
  BOOST_TEST(b.grant() == &job);
  BOOST_TEST(queue.submit(second) == -EDEADLK);
  b.engine.state = AIACCEL_ENGINE_DRAINING;
  BOOST_TEST(queue.submit(second) == -ESHUTDOWN);
  BOOST_TEST(queue.submit(second, 5) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(an_engine_that_gives_way_lets_nobody_wait_for_background_turns) {
  Bench b(2);
  b.engine.gives_way = true;
  Single low(b, AIACCEL_CLASS_LOW), idle(b, AIACCEL_CLASS_IDLE);
  BOOST_TEST(b.grant() == &low.job);
  BOOST_TEST(b.grant() == &idle.job);
  Single wide(b, AIACCEL_CLASS_NORMAL, 2);
  BOOST_TEST(b.grant() == &wide.job);
  BOOST_TEST(b.engine.slots_used == 4u);
  BOOST_TEST(b.yield() == nullptr);
  // Another one waits for that, and only that is asked to make room.
  Single high(b, AIACCEL_CLASS_HIGH);
  BOOST_TEST(b.grant() == nullptr);
  BOOST_TEST(b.yield() == &wide.job);
  BOOST_TEST(b.yield() == nullptr);
  // Background work finds room only beside all that runs.
  aia_sched_complete(&low.job, 1);
  aia_sched_complete(&idle.job, 1);
  aia_sched_complete(&wide.job, 1);
  BOOST_TEST(b.grant() == &high.job);
  Single second(b, AIACCEL_CLASS_LOW), third(b, AIACCEL_CLASS_LOW);
  BOOST_TEST(b.grant() == &second.job);
  BOOST_TEST(b.grant() == nullptr);
  aia_sched_complete(&high.job, 2);
  BOOST_TEST(b.grant() == &third.job);
  // Among themselves the classes of background work yield as elsewhere.
  Single fourth(b, AIACCEL_CLASS_IDLE);
  BOOST_TEST(b.yield() == nullptr);
  aia_sched_complete(&second.job, 3);
  BOOST_TEST(b.grant() == &fourth.job);
  Single fifth(b, AIACCEL_CLASS_LOW);
  BOOST_TEST(b.grant() == nullptr);
  BOOST_TEST(b.yield() == &fourth.job);
}

BOOST_AUTO_TEST_CASE(a_draining_engine_grants_what_waits_and_a_faulted_one_nothing) {
  Bench b(1);
  Single a(b, AIACCEL_CLASS_NORMAL), c(b, AIACCEL_CLASS_NORMAL);
  b.engine.state = AIACCEL_ENGINE_DRAINING;
  BOOST_TEST(b.grant() == &a.job);
  aia_sched_complete(&a.job, 1);
  b.engine.state = AIACCEL_ENGINE_FAULTED;
  BOOST_TEST(b.grant() == nullptr);
  BOOST_TEST(b.yield() == nullptr);
  b.engine.state = AIACCEL_ENGINE_ACTIVE;
  BOOST_TEST(b.grant() == &c.job);
}

BOOST_AUTO_TEST_CASE(a_seat_holds_one_turn) {
  Bench b(4);
  Seat seat(b);
  Queue normal(b, seat), high(b, seat, AIACCEL_CLASS_HIGH);
  aia_sched_job first, second, third;
  BOOST_TEST(high.submit(first) == 0);
  BOOST_TEST(high.submit(second) == 0);
  BOOST_TEST(normal.submit(third) == 0);
  BOOST_TEST(b.grant() == &first);
  BOOST_TEST(b.grant() == nullptr);  // three slots are free
  Single other(b, AIACCEL_CLASS_IDLE);
  BOOST_TEST(b.grant() == &other.job);  // jobs that are not eligible block nobody
  aia_sched_complete(&first, 1);
  BOOST_TEST(b.grant() == &second);
  aia_sched_complete(&second, 2);
  BOOST_TEST(b.grant() == &third);
  BOOST_TEST(b.engine.slots_used == 2u);
}

BOOST_AUTO_TEST_CASE(a_job_withdrawn_from_a_seat_with_a_turn_does_not_come_back) {
  Bench b(2);
  Seat seat(b);
  Queue queue(b, seat);
  aia_sched_job first, second;
  BOOST_TEST(queue.submit(first) == 0);
  BOOST_TEST(queue.submit(second) == 0);
  BOOST_TEST(b.grant() == &first);
  aia_sched_withdraw(&second, 0);
  BOOST_TEST(second.state == AIA_SCHED_IDLE);
  aia_sched_complete(&first, 1);
  BOOST_TEST(b.grant() == nullptr);
  BOOST_TEST(b.engine.waiting == 0u);
}

BOOST_AUTO_TEST_CASE(a_wide_job_waits_and_only_a_higher_class_passes_it) {
  Bench b(4);
  Single holder(b, AIACCEL_CLASS_NORMAL, 2);
  BOOST_TEST(b.grant() == &holder.job);
  Single wide(b, AIACCEL_CLASS_NORMAL, 3), narrow(b, AIACCEL_CLASS_NORMAL),
      lower(b, AIACCEL_CLASS_LOW);
  BOOST_TEST(b.grant() == nullptr);  // though two slots are free
  Single high(b, AIACCEL_CLASS_HIGH);
  BOOST_TEST(b.grant() == &high.job);
  BOOST_TEST(b.grant() == nullptr);
  aia_sched_complete(&holder.job, 1);
  BOOST_TEST(b.grant() == &wide.job);
  BOOST_TEST(b.grant() == nullptr);
  aia_sched_complete(&high.job, 2);
  BOOST_TEST(b.grant() == &narrow.job);
}

BOOST_AUTO_TEST_CASE(withdrawing_the_wide_job_lets_the_others_on) {
  Bench b(2);
  Single holder(b, AIACCEL_CLASS_NORMAL);
  BOOST_TEST(b.grant() == &holder.job);
  Single wide(b, AIACCEL_CLASS_NORMAL, 2), narrow(b, AIACCEL_CLASS_NORMAL);
  BOOST_TEST(b.grant() == nullptr);
  aia_sched_withdraw(&wide.job, 0);
  BOOST_TEST(b.grant() == &narrow.job);
}

BOOST_AUTO_TEST_CASE(yield_asks_the_lowest_class_and_the_youngest_turn_first) {
  Bench b(4);
  Single idle(b, AIACCEL_CLASS_IDLE), low1(b, AIACCEL_CLASS_LOW), low2(b, AIACCEL_CLASS_LOW),
      normal(b, AIACCEL_CLASS_NORMAL);
  BOOST_TEST(b.grant() == &normal.job);
  BOOST_TEST(b.grant() == &low1.job);
  BOOST_TEST(b.grant() == &low2.job);
  BOOST_TEST(b.grant() == &idle.job);
  BOOST_TEST(b.yield() == nullptr);  // nobody waits
  Single high(b, AIACCEL_CLASS_HIGH, 3);
  BOOST_TEST(b.grant() == nullptr);
  BOOST_TEST(b.yield() == &idle.job);
  BOOST_TEST(b.yield() == &low2.job);
  BOOST_TEST(b.yield() == &low1.job);
  BOOST_TEST(b.yield() == nullptr);  // three slots are enough
  BOOST_TEST(!normal.job.yield_asked);
  for (Single* s : {&idle, &low2}) {
    aia_sched_complete(&s->job, 1);
    BOOST_TEST(b.grant() == nullptr);
    BOOST_TEST(b.yield() == nullptr);  // the rest has been asked
  }
  aia_sched_complete(&low1.job, 2);
  BOOST_TEST(b.grant() == &high.job);
  BOOST_TEST(b.engine.slots_yielding == 0u);
}

BOOST_AUTO_TEST_CASE(yield_counts_the_slots_that_are_free) {
  Bench b(4);
  Single low1(b, AIACCEL_CLASS_LOW, 2), low2(b, AIACCEL_CLASS_LOW, 1);
  BOOST_TEST(b.grant() == &low1.job);
  BOOST_TEST(b.grant() == &low2.job);
  Single high(b, AIACCEL_CLASS_HIGH, 2);
  BOOST_TEST(b.grant() == nullptr);
  BOOST_TEST(b.yield() == &low2.job);  // one is free, one more will do
  BOOST_TEST(b.yield() == nullptr);
}

BOOST_AUTO_TEST_CASE(nobody_yields_to_an_equal_or_a_lower_class) {
  Bench b(1);
  Single holder(b, AIACCEL_CLASS_NORMAL);
  BOOST_TEST(b.grant() == &holder.job);
  Single equal(b, AIACCEL_CLASS_NORMAL), lower(b, AIACCEL_CLASS_LOW);
  BOOST_TEST(b.grant() == nullptr);
  BOOST_TEST(b.yield() == nullptr);
}

BOOST_AUTO_TEST_CASE(counters_tell_what_was) {
  Bench b(4);
  Seat seat(b);
  Queue queue(b, seat);
  aia_sched_job job, gone;
  BOOST_TEST(queue.submit(job, 3, 0, 100) == 0);
  BOOST_TEST(queue.submit(gone, 1, 0, 100) == 0);
  BOOST_TEST(b.engine.waiting == 2u);
  BOOST_TEST(b.grant(150) == &job);
  aia_sched_withdraw(&gone, 150);
  aia_sched_complete(&job, 350);
  const aia_sched_queue& q = queue.queue;
  BOOST_TEST(q.submitted == 2u);
  BOOST_TEST(q.granted == 1u);
  BOOST_TEST(q.completed == 1u);
  BOOST_TEST(q.wait_ns == 50u);
  BOOST_TEST(q.max_wait_ns == 50u);
  BOOST_TEST(q.run_ns == 200u);
  BOOST_TEST(b.engine.granted == 1u);
  BOOST_TEST(b.engine.busy_ns == 600u);
  BOOST_TEST(b.node.granted == 1u);
  BOOST_TEST(b.node.busy_ns == 600u);
  BOOST_TEST(queue.submit(job, 1, 0, 400) == 0);
  BOOST_TEST(b.grant(410) == &job);
  aia_sched_complete(&job, 400);  // a clock that went back counts as nothing
  BOOST_TEST(q.wait_ns == 60u);
  BOOST_TEST(q.max_wait_ns == 50u);
  BOOST_TEST(q.run_ns == 200u);
}

BOOST_AUTO_TEST_CASE(absurd_times_do_not_upset_the_order) {
  Bench b(AIA_SCHED_SLOTS_MAX);
  Single a(b, AIACCEL_CLASS_NORMAL, AIA_SCHED_SLOTS_MAX);
  BOOST_TEST(b.grant(0) == &a.job);
  aia_sched_complete(&a.job, ~0ULL);
  Single c(b, AIACCEL_CLASS_NORMAL, AIA_SCHED_SLOTS_MAX);
  aia_sched_job again{};
  again.cost_ns = ~0ULL;
  again.width = AIA_SCHED_SLOTS_MAX;
  BOOST_TEST(aia_sched_submit(&a.queue, &again, 0) == 0);
  BOOST_TEST(b.grant(0) == &c.job);
  aia_sched_complete(&c.job, 1);
  BOOST_TEST(c.submit(c.job) == 0);
  BOOST_TEST(b.grant(1) == &c.job);  // the other has had its three days
  BOOST_TEST((b.node.share[AIACCEL_CLASS_NORMAL].vtime.high >= 1u));
}

BOOST_AUTO_TEST_SUITE_END()
