// SPDX-License-Identifier: MIT
//
// The life of a turn by example: every error of ENTER that the core answers, cancel and revoke in
// each state, and who is woken.

#include <tap/tap.hpp>

#include <cerrno>

#include "core/turns_stage.hpp"

namespace {

constexpr std::uint32_t kGranted = AIACCEL_EVENT_GRANTED, kYield = AIACCEL_EVENT_YIELD,
                        kRevoked = AIACCEL_EVENT_REVOKED, kFailed = AIACCEL_EVENT_FAILED;

// The only unread event of the context.
aiaccel_event only_event(Context& context) {
  auto events = context.read();
  BOOST_TEST_REQUIRE(events.size() == 1u);
  return events[0];
}

// Fills the ring with events that nobody reads, one turn after the other.
void fill_ring(Stage& stage, Context& context) {
  for (std::uint64_t i = 0; i < AIA_TURNS_MAX; i++) {
    BOOST_TEST_REQUIRE(context.submit(1000 + i) == 0);
    stage.dispatch();
    BOOST_TEST_REQUIRE(context.cancel(1000 + i) == 0);
  }
  BOOST_TEST_REQUIRE(aia_ring_unread(&context.turns.ring) == 1u * AIA_TURNS_MAX);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(turns)

BOOST_AUTO_TEST_CASE(a_whole_life) {
  Stage stage(1);
  Context c(stage);
  BOOST_TEST(aia_turns_empty(&c.turns));
  BOOST_TEST(c.submit(0) == 0);  // any number is a name
  BOOST_TEST(!aia_turns_empty(&c.turns));
  BOOST_TEST(c.complete(0, 0) == -EBUSY);
  stage.now = 77;
  BOOST_TEST((stage.dispatch() == std::multiset<aia_turns*>{&c.turns}));
  aiaccel_event e = only_event(c);
  BOOST_TEST(e.cookie == 0u);
  BOOST_TEST(e.events == kGranted);
  BOOST_TEST(e.generation != 0u);
  BOOST_TEST(e.slot < 1u * AIA_TURNS_MAX);
  BOOST_TEST(e.time_ns == 77u);
  BOOST_TEST(c.complete(0, e.generation) == 0);
  BOOST_TEST(c.wants_dispatch);
  BOOST_TEST(c.complete(0, e.generation) == -ENOENT);
  BOOST_TEST(!c.wants_dispatch);
  BOOST_TEST(aia_turns_empty(&c.turns));
  BOOST_TEST(stage.live.empty());
  BOOST_TEST(stage.dispatch().empty());
}

BOOST_AUTO_TEST_CASE(a_name_is_taken_until_the_job_ends) {
  Stage stage(1);
  Context c(stage), other(stage);
  BOOST_TEST(c.submit(5) == 0);
  BOOST_TEST(c.submit(5) == -EEXIST);
  BOOST_TEST(other.submit(5) == 0);  // names are a context's own
  stage.dispatch();
  BOOST_TEST(c.submit(5) == -EEXIST);  // before EDEADLK
  BOOST_TEST(c.complete(5, only_event(c).generation) == 0);
  BOOST_TEST(c.submit(5) == 0);
  BOOST_TEST(c.cancel(5) == 0);
  BOOST_TEST(c.submit(5) == 0);
}

BOOST_AUTO_TEST_CASE(a_context_has_so_many_jobs) {
  Stage stage(1);
  Context c(stage);
  for (std::uint64_t i = 0; i < AIA_TURNS_MAX; i++) BOOST_TEST_REQUIRE(c.submit(i * 256) == 0);
  BOOST_TEST(c.submit(1) == -EAGAIN);
  BOOST_TEST(c.submit(0) == -EAGAIN);
  BOOST_TEST(c.cancel(256) == 0);
  BOOST_TEST(c.submit(1) == 0);
  BOOST_TEST(c.submit(2) == -EAGAIN);
  std::set<std::uint32_t> slots;
  for (const aia_turn* turn : stage.live) slots.insert(turn->note.slot);
  BOOST_TEST(slots.size() == 1u * AIA_TURNS_MAX);  // one each
  BOOST_TEST(*slots.rbegin() == AIA_TURNS_MAX - 1u);
}

BOOST_AUTO_TEST_CASE(what_the_scheduler_refuses_leaves_nothing_behind) {
  Stage stage(2);
  Context c(stage);
  BOOST_TEST(c.submit(1, 3) == -EINVAL);
  stage.engine.state = AIACCEL_ENGINE_DRAINING;
  BOOST_TEST(c.submit(1) == -ESHUTDOWN);
  stage.engine.state = AIACCEL_ENGINE_FAULTED;
  BOOST_TEST(c.submit(1) == -ESHUTDOWN);
  stage.engine.state = AIACCEL_ENGINE_LEAVING;
  BOOST_TEST(c.submit(1, 3) == -EINVAL);
  BOOST_TEST(c.submit(1) == -ENODEV);
  stage.engine.state = AIACCEL_ENGINE_ACTIVE;
  BOOST_TEST(aia_turns_empty(&c.turns));
  BOOST_TEST(c.complete(1, 0) == -ENOENT);
  BOOST_TEST(c.submit(1) == 0);
  stage.dispatch();
  BOOST_TEST(c.submit(2) == -EDEADLK);
  BOOST_TEST(c.complete(2, 0) == -ENOENT);
}

BOOST_AUTO_TEST_CASE(an_old_generation_is_stale_and_changes_nothing) {
  Stage stage(1);
  Context c(stage);
  BOOST_TEST(c.submit(1) == 0);
  stage.dispatch();
  aiaccel_event first = only_event(c);
  BOOST_TEST(c.complete(1, first.generation) == 0);
  BOOST_TEST(c.submit(1) == 0);
  stage.dispatch();
  aiaccel_event second = only_event(c);
  BOOST_TEST(second.generation != first.generation);
  BOOST_TEST(c.complete(1, first.generation) == -ESTALE);
  BOOST_TEST(stage.engine.slots_used == 1u);
  BOOST_TEST(c.complete(1, second.generation) == 0);
  BOOST_TEST(stage.engine.slots_used == 0u);
}

BOOST_AUTO_TEST_CASE(generations_wrap_past_zero) {
  Stage stage(1);
  Context c(stage);
  c.turns.generation = ~0U - 1;
  for (std::uint32_t expected : {~0U, 1U, 2U}) {
    BOOST_TEST(c.submit(1) == 0);
    stage.dispatch();
    BOOST_TEST(only_event(c).generation == expected);
    BOOST_TEST(c.complete(1, expected) == 0);
  }
}

BOOST_AUTO_TEST_CASE(cancel_withdraws_a_job_that_waits) {
  Stage stage(2);
  Context holder(stage), wide(stage), narrow(stage);
  BOOST_TEST(holder.submit(1) == 0);
  stage.dispatch();
  BOOST_TEST(wide.submit(1, 2) == 0);
  BOOST_TEST(narrow.submit(1) == 0);
  BOOST_TEST(stage.dispatch().empty());
  BOOST_TEST(wide.cancel(1) == 0);
  BOOST_TEST(wide.wants_dispatch);  // it held up another
  BOOST_TEST((stage.dispatch() == std::multiset<aia_turns*>{&narrow.turns}));
  BOOST_TEST(wide.read().empty());
  BOOST_TEST(wide.cancel(1) == -ENOENT);
}

BOOST_AUTO_TEST_CASE(cancel_completes_a_job_that_has_its_turn_by_now) {
  Stage stage(1);
  Context c(stage);
  BOOST_TEST(c.submit(1) == 0);
  stage.dispatch();
  BOOST_TEST(c.complete(1, 12345, AIACCEL_COMPLETE_CANCEL) == 0);  // its generation is ignored
  BOOST_TEST(stage.engine.slots_used == 0u);
  BOOST_TEST(c.queue.completed == 1u);
  BOOST_TEST(c.read().size() == 1u);  // the event was on its way
}

BOOST_AUTO_TEST_CASE(an_event_not_yet_told_goes_with_its_job) {
  Stage stage(1);
  Context c(stage);
  fill_ring(stage, c);
  BOOST_TEST(c.submit(1) == 0);
  stage.dispatch();
  BOOST_TEST(c.cancel(1) == 0);
  BOOST_TEST(c.submit(2) == 0);
  stage.dispatch();
  for (const aiaccel_event& e : c.read()) BOOST_TEST(e.cookie >= 1000u);
  BOOST_TEST(c.flush());
  BOOST_TEST(only_event(c).cookie == 2u);
  BOOST_TEST(!c.flush());
}

BOOST_AUTO_TEST_CASE(a_yield_is_told_once_in_the_ring_and_in_the_word) {
  Stage stage(1);
  Context low(stage, AIACCEL_CLASS_LOW), high(stage, AIACCEL_CLASS_HIGH);
  BOOST_TEST(low.submit(1) == 0);
  stage.dispatch();
  aiaccel_event granted = only_event(low);
  BOOST_TEST(low.yield_word(granted.slot) != granted.generation);
  BOOST_TEST(high.submit(1) == 0);
  stage.now = 9;
  BOOST_TEST((stage.dispatch() == std::multiset<aia_turns*>{&low.turns}));
  aiaccel_event asked = only_event(low);
  BOOST_TEST(asked.events == kYield);
  BOOST_TEST(asked.generation == granted.generation);
  BOOST_TEST(asked.slot == granted.slot);
  BOOST_TEST(asked.time_ns == 9u);
  BOOST_TEST(low.yield_word(granted.slot) == granted.generation);
  BOOST_TEST(stage.dispatch().empty());
  BOOST_TEST(low.complete(1, granted.generation) == 0);
  BOOST_TEST((stage.dispatch() == std::multiset<aia_turns*>{&high.turns}));
  BOOST_TEST(only_event(high).events == kGranted);
}

BOOST_AUTO_TEST_CASE(dispatch_wakes_each_context_once) {
  Stage stage(4);
  Context a(stage), b(stage), low(stage, AIACCEL_CLASS_LOW);
  Context high(stage, AIACCEL_CLASS_HIGH);
  BOOST_TEST(low.submit(1, 2) == 0);
  BOOST_TEST(a.submit(1) == 0);
  BOOST_TEST(b.submit(1) == 0);
  BOOST_TEST((stage.dispatch() == std::multiset<aia_turns*>{&a.turns, &b.turns, &low.turns}));
  // The low one is asked to yield, then a gets its second turn: the chain grows, by each once.
  BOOST_TEST(high.submit(1, 2) == 0);
  aia_news news{};
  aia_turns_dispatch(&stage.engine, 2, &news);
  BOOST_TEST(high.cancel(1) == 0);
  BOOST_TEST(a.complete(1, only_event(a).generation) == 0);
  BOOST_TEST(a.submit(2) == 0);
  aia_turns_dispatch(&stage.engine, 3, &news);
  BOOST_TEST((Stage::unchain(news) == std::multiset<aia_turns*>{&a.turns, &low.turns}));
}

BOOST_AUTO_TEST_CASE(a_failing_engine_revokes_turns_and_fails_jobs) {
  Stage stage(1);
  Context c(stage);
  BOOST_TEST(c.submit(1) == 0);
  BOOST_TEST(c.submit(2) == 0);
  BOOST_TEST(c.submit(3) == 0);
  stage.dispatch();
  std::uint32_t generation = only_event(c).generation;
  BOOST_TEST((c.fail_queue() == std::multiset<aia_turns*>{&c.turns}));
  std::set<std::uint64_t> failed;
  for (const aiaccel_event& e : c.read()) {
    if (e.cookie == 1) {
      BOOST_TEST(e.events == kRevoked);
      BOOST_TEST(e.generation == generation);
    } else {
      BOOST_TEST(e.events == kFailed);
      BOOST_TEST(e.generation == 0u);
      failed.insert(e.cookie);
    }
  }
  BOOST_TEST((failed == std::set<std::uint64_t>{2, 3}));
  BOOST_TEST(stage.engine.slots_used == 0u);
  BOOST_TEST(stage.engine.waiting == 0u);
  BOOST_TEST(c.complete(2, 0) == -ENOENT);
  BOOST_TEST(c.complete(1, generation + 1) == -ESTALE);  // somebody else's: not forgotten yet
  BOOST_TEST(c.complete(1, generation, 0, false) == -ESTALE);  // not told: nor this time
  BOOST_TEST(c.complete(1, generation) == -ESTALE);
  BOOST_TEST(!c.wants_dispatch);
  BOOST_TEST(c.complete(1, generation) == -ENOENT);
  BOOST_TEST(stage.live.empty());
}

BOOST_AUTO_TEST_CASE(a_draining_engine_grants_what_waits_and_a_leaving_one_does_not) {
  Stage stage(1);
  Context holder(stage), next(stage);
  BOOST_TEST(holder.submit(1) == 0);
  stage.dispatch();
  const std::uint32_t generation = only_event(holder).generation;
  BOOST_TEST(next.submit(1) == 0);
  BOOST_TEST(holder.submit(2) == -EDEADLK);
  stage.engine.state = AIACCEL_ENGINE_DRAINING;
  BOOST_TEST(holder.complete(1, generation) == 0);
  BOOST_TEST(holder.submit(2) == -ESHUTDOWN);
  stage.dispatch();
  BOOST_TEST(only_event(next).events == kGranted);
  stage.engine.state = AIACCEL_ENGINE_ACTIVE;
  BOOST_TEST(holder.submit(3) == 0);
  stage.engine.state = AIACCEL_ENGINE_LEAVING;
  BOOST_TEST(next.cancel(1) == 0);
  BOOST_TEST(stage.dispatch().empty());
}

BOOST_AUTO_TEST_CASE(revoking_ends_the_turn_alone_and_failing_those_that_wait_alone) {
  Stage stage(1);
  Context c(stage), other(stage);
  aia_news news{};
  BOOST_TEST(aia_turns_revoke(&c.queue, 5, &news) == 0u);
  BOOST_TEST(aia_turns_fail_waiting(&c.turns, &c.queue, 5, &news) == 0u);
  BOOST_TEST(news.woken == nullptr);
  for (std::uint64_t cookie : {1, 2, 3}) BOOST_TEST(c.submit(cookie) == 0);
  stage.dispatch();
  const std::uint32_t generation = only_event(c).generation;
  BOOST_TEST(other.submit(1) == 0);
  // A queue of the same seat that does not hold the turn has none to lose.
  aia_sched_queue second;
  aia_sched_queue_init(&second, &c.seat, &stage.node, AIACCEL_CLASS_LOW, 0);
  BOOST_TEST(aia_turns_revoke(&second, 5, &news) == 0u);
  aia_sched_queue_fini(&second);

  BOOST_TEST(aia_turns_revoke(&c.queue, 5, &news) == 1u);
  BOOST_TEST((Stage::unchain(news) == std::multiset<aia_turns*>{&c.turns}));
  BOOST_TEST(only_event(c).events == kRevoked);
  BOOST_TEST(c.queue.waiting == 2u);
  stage.dispatch();
  BOOST_TEST(only_event(other).events == kGranted);  // its slots went to who was next

  BOOST_TEST(aia_turns_fail_waiting(&c.turns, &c.queue, 6, &news) == 2u);
  stage.free_all(news);
  BOOST_TEST((Stage::unchain(news) == std::multiset<aia_turns*>{&c.turns}));
  for (const aiaccel_event& e : c.read()) BOOST_TEST(e.events == kFailed);
  BOOST_TEST(c.queue.waiting == 0u);
  BOOST_TEST(c.complete(1, generation) == -ESTALE);
}

BOOST_AUTO_TEST_CASE(cancel_forgets_a_revoked_turn) {
  Stage stage(1);
  Context c(stage);
  BOOST_TEST(c.submit(1) == 0);
  stage.dispatch();
  c.fail_queue();
  BOOST_TEST(c.submit(1) == -EEXIST);
  BOOST_TEST(c.cancel(1) == -ESTALE);
  BOOST_TEST(c.submit(1) == 0);
}

BOOST_AUTO_TEST_CASE(failures_wait_for_room_and_are_freed_when_told) {
  Stage stage(1);
  Context c(stage);
  fill_ring(stage, c);
  BOOST_TEST(c.submit(1) == 0);
  BOOST_TEST(c.submit(2) == 0);
  stage.dispatch();
  c.fail_queue();
  BOOST_TEST(stage.live.size() == 2u);
  BOOST_TEST(c.cancel(2) == -ENOENT);  // forgotten, although not told
  BOOST_TEST(c.submit(2) == 0);        // so the name is free
  BOOST_TEST(c.cancel(2) == 0);
  c.read();
  BOOST_TEST(c.flush());
  auto events = c.read();
  BOOST_TEST_REQUIRE(events.size() == 2u);
  BOOST_TEST(events[0].events == (kGranted | kRevoked));
  BOOST_TEST(events[1].cookie == 2u);
  BOOST_TEST(events[1].events == kFailed);
  BOOST_TEST(stage.live.size() == 1u);
  BOOST_TEST(c.complete(1, events[0].generation) == -ESTALE);
  BOOST_TEST(aia_turns_empty(&c.turns));
}

BOOST_AUTO_TEST_CASE(ending_a_queue_says_nothing_and_frees_all) {
  Stage stage(1);
  Context c(stage), next(stage);
  fill_ring(stage, c);
  aia_sched_queue second;
  aia_sched_queue_init(&second, &c.seat, &stage.node, AIACCEL_CLASS_LOW, 0);
  for (std::uint64_t i = 0; i < 4; i++) BOOST_TEST(c.submit(i) == 0);
  stage.dispatch();
  c.fail_queue();  // one revoked, three failed, none told
  BOOST_TEST(c.submit(10) == 0);
  BOOST_TEST(c.submit(11) == 0);
  stage.dispatch();  // and one granted, one waiting
  aiaccel_job arg{};
  arg.cookie = 20;
  arg.width = 1;
  auto kept = std::make_unique<aia_turn>();
  BOOST_TEST(c.cancel(10) == 0);  // the seat takes no job beside a turn
  aia_news news{};
  BOOST_TEST(aia_turns_submit(&c.turns, &second, kept.get(), &arg, 1, &news) == 0);
  BOOST_TEST(Stage::stirred(news));
  stage.live.insert(kept.release());
  stage.dispatch();
  BOOST_TEST(c.seat.turn != nullptr);
  BOOST_TEST(next.submit(1) == 0);
  c.end_queue();
  BOOST_TEST(stage.live.size() == 2u);  // the second queue's and the next context's
  BOOST_TEST((stage.dispatch() == std::multiset<aia_turns*>{&next.turns}));
  for (const aiaccel_event& e : c.read()) BOOST_TEST(e.cookie >= 1000u);
  BOOST_TEST(!c.flush());
  aia_sched_queue_fini(&c.queue);
  BOOST_TEST(c.cancel(20) == 0);
  BOOST_TEST(aia_turns_empty(&c.turns));
}

BOOST_AUTO_TEST_SUITE_END()
