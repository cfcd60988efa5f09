// SPDX-License-Identifier: MIT
//
// Jobs after others: held until the one before is completed, failed when it ends otherwise, in
// each state of both.

#include <tap/tap.hpp>

#include <cerrno>

#include "core/turns_stage.hpp"

namespace {

std::uint32_t only_event(Context& context, std::uint64_t cookie, std::uint32_t bits) {
  const auto events = context.read();
  BOOST_TEST_REQUIRE(events.size() == 1u);
  BOOST_TEST(events[0].cookie == cookie);
  BOOST_TEST(events[0].events == bits);
  return events[0].generation;
}

std::uint32_t granted(Stage& stage, Context& context, std::uint64_t cookie) {
  stage.dispatch();
  return only_event(context, cookie, AIACCEL_EVENT_GRANTED);
}

// A second queue of a context.
struct Second {
  Second(Stage& stage, Context& c) : context(c) {
    aia_sched_queue_init(&queue, &c.seat, &stage.node, AIACCEL_CLASS_LOW, 0);
    queue.who = &c.who;
  }
  Second(const Second&) = delete;
  ~Second() { aia_sched_queue_fini(&queue); }
  int submit(std::uint64_t cookie, std::uint32_t flags = 0, std::uint64_t after = 0) {
    aiaccel_job arg{};
    arg.cookie = cookie;
    arg.width = 1;
    arg.flags = flags;
    arg.after = after;
    return context.submit(arg, queue);
  }
  Context& context;
  aia_sched_queue queue{};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(after)

BOOST_AUTO_TEST_CASE(a_job_waits_for_the_one_before_it) {
  Stage stage(2);
  Context c(stage);
  BOOST_TEST(c.submit(1) == 0);
  BOOST_TEST(c.submit_after(1, 2) == 0);
  BOOST_TEST(c.submit_after(2, 3) == 0);
  BOOST_TEST(c.complete(2, 0) == -EBUSY);
  BOOST_TEST(c.queue.waiting == 1u);  // those that are held are in no line
  const std::uint32_t first = granted(stage, c, 1);
  stage.now = 100;
  BOOST_TEST(c.complete(1, first) == 0);
  BOOST_TEST(c.wants_dispatch);
  BOOST_TEST(c.queue.waiting == 1u);
  stage.now = 110;
  const std::uint32_t second = granted(stage, c, 2);
  BOOST_TEST(c.queue.max_wait_ns == 10u);  // since it was in line
  BOOST_TEST(c.complete(2, second) == 0);
  BOOST_TEST(c.complete(3, granted(stage, c, 3)) == 0);
  BOOST_TEST(stage.live.empty());
}

BOOST_AUTO_TEST_CASE(it_is_refused_after_what_cannot_be_completed) {
  Stage stage(1);
  Context c(stage);
  BOOST_TEST(c.submit_after(1, 2) == -ENOENT);
  BOOST_TEST(c.submit_after(2, 2) == -ENOENT);  // itself
  BOOST_TEST(c.submit(1) == 0);
  BOOST_TEST(c.submit_after(1, 1) == -EEXIST);
  BOOST_TEST(c.submit_after(1, 2, 2) == -EINVAL);
  const std::uint32_t generation = granted(stage, c, 1);
  BOOST_TEST(c.submit(2) == -EDEADLK);
  BOOST_TEST(c.submit_after(1, 2) == 0);  // it is in nobody's way
  c.fail_queue();
  BOOST_TEST(c.submit_after(1, 3) == -ENOENT);  // it was revoked
  BOOST_TEST(c.submit_after(2, 3) == -ENOENT);  // it failed
  BOOST_TEST(c.complete(1, generation) == -ESTALE);
  stage.engine.state = AIACCEL_ENGINE_DRAINING;
  BOOST_TEST(c.submit_after(1, 3) == -ENOENT);
}

BOOST_AUTO_TEST_CASE(a_chain_as_long_as_there_can_be_fails_with_its_first) {
  Stage stage(1);
  Context holder(stage), c(stage);
  BOOST_TEST(holder.submit(1) == 0);
  granted(stage, holder, 1);
  BOOST_TEST(c.submit(0) == 0);
  for (std::uint64_t i = 1; i < AIA_TURNS_MAX; i++) BOOST_TEST(c.submit_after(i - 1, i) == 0);
  BOOST_TEST(c.submit_after(0, 1000) == -EAGAIN);
  BOOST_TEST(c.cancel(0) == 0);
  const auto events = c.read();
  BOOST_TEST(events.size() == AIA_TURNS_MAX - 1u);
  for (const aiaccel_event& e : events) BOOST_TEST(e.events == 1u * AIACCEL_EVENT_FAILED);
  BOOST_TEST(aia_turns_empty(&c.turns));
}

BOOST_AUTO_TEST_CASE(a_tree_goes_on_with_its_root) {
  Stage stage(1);
  Context c(stage);
  BOOST_TEST(c.submit(0) == 0);
  for (std::uint64_t i = 1; i < 100; i++) BOOST_TEST(c.submit_after(0, i) == 0);
  for (std::uint64_t i = 0; i < 100; i++)  // in the order in which they came
    BOOST_TEST(c.complete(i, granted(stage, c, i)) == 0);
  BOOST_TEST(stage.live.empty());
}

BOOST_AUTO_TEST_CASE(cancelling_one_that_is_held_fails_those_after_it_alone) {
  Stage stage(1);
  Context c(stage);
  for (std::uint64_t cookie : {1, 2, 3}) {
    BOOST_TEST((cookie == 1 ? c.submit(1) : c.submit_after(cookie - 1, cookie)) == 0);
  }
  BOOST_TEST(c.cancel(2) == 0);
  only_event(c, 3, AIACCEL_EVENT_FAILED);
  BOOST_TEST(c.complete(1, granted(stage, c, 1)) == 0);
  BOOST_TEST(stage.live.empty());
}

BOOST_AUTO_TEST_CASE(cancelling_a_turn_completes_it) {
  Stage stage(1);
  Context c(stage);
  BOOST_TEST(c.submit(1) == 0);
  BOOST_TEST(c.submit_after(1, 2) == 0);
  granted(stage, c, 1);
  BOOST_TEST(c.cancel(1) == 0);
  granted(stage, c, 2);
}

BOOST_AUTO_TEST_CASE(a_revoked_turn_fails_those_after_it) {
  Stage stage(1);
  Context c(stage);
  BOOST_TEST(c.submit(1) == 0);
  BOOST_TEST(c.submit_after(1, 2) == 0);
  const std::uint32_t generation = granted(stage, c, 1);
  aia_news news{};
  BOOST_TEST(aia_turns_revoke(&c.queue, 5, &news) == 1u);
  stage.free_all(news);
  Stage::stirred(news);
  Stage::unchain(news);
  const auto events = c.read();
  BOOST_TEST_REQUIRE(events.size() == 2u);
  BOOST_TEST(events[1].cookie == 2u);
  BOOST_TEST(events[1].events == 1u * AIACCEL_EVENT_FAILED);
  BOOST_TEST(c.complete(1, generation) == -ESTALE);
}

BOOST_AUTO_TEST_CASE(a_queue_that_goes_completes_its_turn_and_cancels_what_waits) {
  Stage stage(1);
  Context c(stage);
  {
    Second second(stage, c);
    BOOST_TEST(second.submit(1) == 0);
    BOOST_TEST(second.submit(2) == 0);
    BOOST_TEST(c.submit_after(1, 3) == 0);
    BOOST_TEST(c.submit_after(2, 4) == 0);
    BOOST_TEST(second.submit(5, AIACCEL_JOB_AFTER, 3) == 0);
    granted(stage, c, 1);
    aia_news news{};
    aia_turns_end_queue(&c.turns, &second.queue, stage.now, &news);
    BOOST_TEST((Stage::unchain(news) == std::multiset<aia_turns*>{&c.turns}));
    stage.free_all(news);
    Stage::stirred(news);
  }
  only_event(c, 4, AIACCEL_EVENT_FAILED);
  granted(stage, c, 3);
  BOOST_TEST(stage.live.size() == 1u);
}

BOOST_AUTO_TEST_CASE(it_waits_for_the_seat_like_others) {
  Stage stage(1);
  Context c(stage), other(stage);
  Second second(stage, c);
  BOOST_TEST(c.submit(1) == 0);
  BOOST_TEST(second.submit(2) == 0);
  BOOST_TEST(c.submit_after(1, 3) == 0);
  const std::uint32_t first = granted(stage, c, 1);
  BOOST_TEST(second.submit(4, AIACCEL_JOB_AFTER, 2) == 0);
  BOOST_TEST(c.complete(1, first) == 0);
  const std::uint32_t third = granted(stage, c, 3);
  BOOST_TEST(c.cancel(2) == 0);
  only_event(c, 4, AIACCEL_EVENT_FAILED);
  BOOST_TEST(second.submit(5, AIACCEL_JOB_AFTER, 3) == 0);
  BOOST_TEST(c.submit_after(3, 6) == 0);
  BOOST_TEST(c.complete(3, third) == 0);
  const std::uint32_t sixth = granted(stage, c, 6);  // its class is above
  BOOST_TEST(other.submit(1) == 0);
  BOOST_TEST(c.submit_after(6, 7) == 0);
  BOOST_TEST(c.complete(6, sixth) == 0);
  stage.dispatch();
  c.end_queue();
}

BOOST_AUTO_TEST_CASE(draining_lets_it_go_on_and_failing_takes_it) {
  Stage stage(1);
  Context c(stage);
  BOOST_TEST(c.submit(1) == 0);
  BOOST_TEST(c.submit_after(1, 2) == 0);
  BOOST_TEST(c.submit_after(1, 3) == 0);
  const std::uint32_t first = granted(stage, c, 1);
  stage.engine.state = AIACCEL_ENGINE_DRAINING;
  BOOST_TEST(c.submit_after(1, 4) == -ESHUTDOWN);
  BOOST_TEST(c.complete(1, first) == 0);
  BOOST_TEST(c.submit_after(3, 4) == -ESHUTDOWN);
  granted(stage, c, 2);
  aia_news news{};
  BOOST_TEST(aia_turns_fail_waiting(&c.turns, &c.queue, 6, &news) == 1u);
  Stage::unchain(news);
  Stage::stirred(news);
  stage.free_all(news);
  only_event(c, 3, AIACCEL_EVENT_FAILED);
}

BOOST_AUTO_TEST_CASE(a_context_that_ends_takes_all_without_a_word) {
  Stage stage(1);
  Context c(stage), next(stage);
  Second second(stage, c);
  BOOST_TEST(second.submit(1) == 0);
  for (std::uint64_t i = 2; i < 60; i++)
    BOOST_TEST((i % 2 ? second.submit(i, AIACCEL_JOB_AFTER, i / 2) : c.submit_after(i / 2, i)) ==
               0);
  granted(stage, c, 1);
  BOOST_TEST(next.submit(1) == 0);
  aia_news news{};
  aia_turns_end_all(&c.turns, stage.now, &news);
  BOOST_TEST(Stage::stirred(news));
  BOOST_TEST(news.woken == nullptr);
  stage.free_all(news);
  BOOST_TEST(stage.live.size() == 1u);
  BOOST_TEST(c.read().empty());
  granted(stage, next, 1);
}

BOOST_AUTO_TEST_SUITE_END()
