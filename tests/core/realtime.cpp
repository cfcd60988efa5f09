// SPDX-License-Identifier: MIT
//
// Promises of time: which sets of queues are admitted, worked out by hand, and that what was
// admitted is kept: random sets up to the limit, beside holders that take every slot for as long as
// they may whenever they get it.

#include <tap/tap.hpp>

#include <cerrno>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "core/core.hpp"

namespace {

constexpr std::uint64_t kMs = 1000000;

// An engine, and contexts with a queue each.
struct Bench {
  struct Place {
    aia_sched_seat seat{};
    aia_sched_queue queue{};
    aia_sched_job job{};
    std::uint64_t turn_ns = 0, period_ns = 0;
    std::uint64_t released_ns = 0, deadline_ns = 0;  // as the rules have them
    bool waits = false;                              // for its turn
  };

  aia_sched_engine engine{};
  aia_sched_node node{};
  std::deque<Place> places;
  std::uint64_t now = 1;

  explicit Bench(std::uint32_t slots) {
    aia_sched_engine_init(&engine, slots);
    aia_sched_node_init(&node, &engine, nullptr, 0);
  }
  int open(Place& p, std::uint32_t class_, std::uint64_t turn_ns, std::uint64_t period_ns = 0,
           std::uint32_t width = 0) {
    aia_sched_seat_init(&p.seat, &engine);
    aia_sched_queue_init(&p.queue, &p.seat, &node, class_, 0);
    p.turn_ns = turn_ns;
    p.period_ns = period_ns;
    const int err = aia_realtime_join(&p.queue, turn_ns, period_ns, width, now);
    if (err) aia_sched_queue_fini(&p.queue);
    return err;
  }
  int promise(std::uint64_t turn_ns, std::uint64_t period_ns, std::uint32_t width = 1) {
    const int err = open(places.emplace_back(), AIACCEL_CLASS_REALTIME, turn_ns, period_ns, width);
    if (err) places.pop_back();
    return err;
  }
  int background(std::uint64_t turn_ns, std::uint32_t class_ = AIACCEL_CLASS_NORMAL) {
    const int err = open(places.emplace_back(), class_, turn_ns);
    if (err) places.pop_back();
    return err;
  }
};

// What happens, in its time.
class Play : public Bench {
 public:
  Play(std::uint32_t slots, std::uint64_t seed) : Bench(slots), random(seed) {}

  std::mt19937_64 random;
  std::uint64_t jobs = 0, missed = 0, background_ns = 0;

  std::uint64_t pick(std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(random);
  }
  void at(std::uint64_t ns, std::function<void()> what) { events_.emplace(ns, std::move(what)); }
  void submit(Place& p) {
    p.job.width = p.period_ns ? p.queue.promise.width : 1 + p.turn_ns % engine.slots;
    BOOST_TEST_REQUIRE(aia_sched_submit(&p.queue, &p.job, now) == 0);
    p.released_ns = std::max(now, p.deadline_ns);
    p.deadline_ns = p.released_ns + p.period_ns;
  }

  void run(std::uint64_t until_ns) {
    while (now < until_ns) {
      const std::uint64_t next =
          std::min(events_.empty() ? until_ns : events_.begin()->first,
                   std::max<std::uint64_t>(now, aia_timers_next_ns(&engine.timers)));
      now = std::min(next, until_ns);
      while (!events_.empty() && events_.begin()->first <= now) {
        auto what = std::move(events_.begin()->second);
        events_.erase(events_.begin());
        what();
      }
      aia_timers_run(&engine.timers, now);
      while (aia_sched_job* job = aia_choice_grant_next(&engine, now)) begin(*job);
    }
  }

 private:
  void begin(aia_sched_job& job) {
    Place& p = *aia_container_of(&job, Place, job);
    const bool promised = p.period_ns;
    if (promised) BOOST_TEST_REQUIRE(now >= p.released_ns);
    // Mostly as long as it may; a short turn lets others begin earlier, which is no harm either.
    const std::uint64_t turn = promised && !pick(0, 4) ? pick(1, p.turn_ns) : p.turn_ns;
    at(now + turn, [this, &p, promised, turn] {
      aia_sched_complete(&p.job, now);
      if (!promised) {
        background_ns += turn * p.job.width;
        return submit(p);
      }
      jobs++;
      missed += now > p.deadline_ns;
      // The next one comes before its time, in time, or late.
      const std::uint64_t due = std::max(now, p.deadline_ns);
      const std::uint64_t when = pick(0, 2) ? due : pick(now, due + p.period_ns);
      at(when, [this, &p] { submit(p); });
    });
  }

  std::multimap<std::uint64_t, std::function<void()>> events_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(realtime)

BOOST_AUTO_TEST_CASE(one_slot) {
  // sum of C / (T - B) <= 1, of which 17/20 are to be had.
  Bench b(1);
  BOOST_TEST(b.promise(10 * kMs, 60 * kMs) == 0);         // 10 / 50
  BOOST_TEST(b.promise(10 * kMs, 60 * kMs) == 0);         // 20 / 50
  BOOST_TEST(b.promise(30 * kMs, 130 * kMs) == -EDQUOT);  // B is 30: 10/30 + 10/30 + 30/100
  BOOST_TEST(b.promise(10 * kMs, 32 * kMs) == -EDQUOT);   // 20/50 + 10/22: 0.8545
  BOOST_TEST(b.promise(10 * kMs, 33 * kMs) == 0);         // 20/50 + 10/23: 0.8348
  BOOST_TEST(b.promise(kMs / 10, 1000 * kMs) == 0);
  BOOST_TEST(b.promise(15 * kMs, 1000 * kMs) == -EDQUOT);
}

BOOST_AUTO_TEST_CASE(others_block) {
  Bench b(1);
  BOOST_TEST(b.background(40 * kMs) == 0);
  BOOST_TEST(b.promise(10 * kMs, 50 * kMs) == -EDQUOT);  // 10 / 10
  BOOST_TEST(b.promise(10 * kMs, 51 * kMs) == -EDQUOT);
  BOOST_TEST(b.promise(10 * kMs, 52 * kMs) == 0);  // 10 / 12: 0.8333
  BOOST_TEST(b.background(40 * kMs, AIACCEL_CLASS_IDLE) == 0);
  BOOST_TEST(b.background(41 * kMs, AIACCEL_CLASS_IDLE) == -EDQUOT);  // 10 / 11
  BOOST_TEST(b.engine.realtime.nr == 1u);
  while (!b.places.empty()) {
    aia_sched_queue_fini(&b.places.back().queue);
    b.places.pop_back();
  }
  BOOST_TEST(b.engine.realtime.nr == 0u);
  BOOST_TEST(b.background(1000 * kMs) == 0);
}

BOOST_AUTO_TEST_CASE(several_slots) {
  // sum of V <= 4 - 3 max V, and <= 3.4. A set may be full and not at half of it, for one heavy
  // queue.
  Bench heavy(4);
  BOOST_TEST(heavy.promise(51 * kMs, 100 * kMs) == -EDQUOT);  // V is above 1
  BOOST_TEST(heavy.promise(50 * kMs, 100 * kMs) == 0);        // 1
  BOOST_TEST(heavy.promise(kMs, 1000 * kMs) == -EDQUOT);
  Bench b(4);
  for (int i = 0; i < 13; i++) BOOST_TEST(b.promise(10 * kMs, 50 * kMs) == 0);  // 13/4, 4 - 3/4
  BOOST_TEST(b.promise(kMs, 1000 * kMs) == -EDQUOT);
}

BOOST_AUTO_TEST_CASE(gangs) {
  // Eight slots, the widest 3: M is 6. V is 1/4 each: 3/4 a gang, 6 - (6 - 3)/4 = 5.25; 5.1.
  Bench b(8);
  for (int i = 0; i < 6; i++) BOOST_TEST(b.promise(10 * kMs, 50 * kMs, 3) == 0);
  BOOST_TEST(b.promise(10 * kMs, 50 * kMs, 3) == -EDQUOT);  // 5.25
  BOOST_TEST(b.promise(10 * kMs, 50 * kMs, 1) == 0);        // 4.75, and 6 - 5/4
  BOOST_TEST(b.promise(10 * kMs, 50 * kMs, 1) == -EDQUOT);
  BOOST_TEST(b.promise(10 * kMs, 50 * kMs, 9) == -EINVAL);
  Bench whole(8);
  BOOST_TEST(whole.promise(10 * kMs, 50 * kMs, 8) == -EDQUOT);  // M is 1: 8/4
  BOOST_TEST(whole.promise(10 * kMs, 110 * kMs, 8) == 0);       // 8/10
}

BOOST_AUTO_TEST_CASE(where_turns_have_no_end) {
  Bench b(2);
  BOOST_TEST(b.background(0) == 0);
  BOOST_TEST(b.promise(0, 10 * kMs) == -EOPNOTSUPP);
}

BOOST_AUTO_TEST_CASE(so_many_and_no_more) {
  Bench b(64);
  for (unsigned i = 0; i < AIA_REALTIME_MAX; i++) BOOST_TEST(b.promise(kMs, 100 * kMs) == 0);
  BOOST_TEST(b.promise(kMs, 100 * kMs) == -EDQUOT);
  b.places.pop_back();  // in no tree: only to see that a refused one is
  BOOST_TEST(b.engine.realtime.nr == 0u + AIA_REALTIME_MAX);
}

BOOST_AUTO_TEST_CASE(a_job_is_as_promised) {
  Bench b(4);
  BOOST_TEST_REQUIRE(b.promise(kMs, 100 * kMs, 2) == 0);
  auto& p = b.places.back();
  for (std::uint32_t width : {1u, 3u}) {
    p.job.width = width;
    BOOST_TEST(aia_sched_submit(&p.queue, &p.job, b.now) == -EINVAL);
  }
  p.job.width = 2;
  p.job.deadline_ns = 5;
  BOOST_TEST(aia_sched_submit(&p.queue, &p.job, b.now) == -EINVAL);
  p.job.deadline_ns = 0;
  BOOST_TEST(aia_sched_submit(&p.queue, &p.job, b.now) == 0);
}

BOOST_AUTO_TEST_CASE(coming_early_gains_nothing) {
  Bench b(2);
  BOOST_TEST_REQUIRE(b.promise(kMs, 100 * kMs) == 0);
  auto& p = b.places.back();
  p.job.width = 1;
  for (std::uint64_t i = 0; i < 5; i++) {
    BOOST_TEST_REQUIRE(aia_sched_submit(&p.queue, &p.job, b.now) == 0);
    const std::uint64_t from = 1 + i * 100 * kMs;
    if (i) {
      b.now = from - 1;
      aia_timers_run(&b.engine.timers, b.now);
      BOOST_TEST(aia_choice_grant_next(&b.engine, b.now) == nullptr);
    }
    BOOST_TEST((i == 0 || aia_timers_next_ns(&b.engine.timers) == from));
    b.now = from + (i ? 3 * kMs : 0);  // a timer that is late moves nothing on
    aia_timers_run(&b.engine.timers, b.now);
    BOOST_TEST_REQUIRE(aia_choice_grant_next(&b.engine, b.now) == &p.job);
    aia_sched_complete(&p.job, b.now += kMs / 2);
  }
  // Nor does closing, and opening another one.
  const std::uint64_t window = 1 + 5 * 100 * kMs;
  aia_sched_queue_fini(&p.queue);
  BOOST_TEST_REQUIRE(b.promise(kMs, 10 * kMs) == 0);
  auto& next = b.places.back();
  next.job.width = 1;
  BOOST_TEST(aia_sched_submit(&next.queue, &next.job, b.now) == 0);
  BOOST_TEST(aia_choice_grant_next(&b.engine, b.now) == nullptr);
  BOOST_TEST(aia_timers_next_ns(&b.engine.timers) == window);
  aia_sched_withdraw(&next.job, b.now);
  aia_sched_queue_fini(&next.queue);
  BOOST_TEST(aia_timers_next_ns(&b.engine.timers) == AIACCEL_NEVER);
}

// Its tenant's ceilings hold back what is of other classes.
BOOST_AUTO_TEST_CASE(a_ceiling_holds_no_promise_back) {
  Bench b(4);
  BOOST_TEST_REQUIRE(b.promise(kMs, 100 * kMs) == 0);
  BOOST_TEST_REQUIRE(b.background(kMs) == 0);
  BOOST_TEST_REQUIRE(b.background(kMs) == 0);
  aia_sched_node_set_caps(&b.node, AIACCEL_ENGINE_TIME_ALL, 1, b.now);
  for (unsigned i : {1, 2, 0}) {
    b.places[i].job.width = 1;
    BOOST_TEST_REQUIRE(aia_sched_submit(&b.places[i].queue, &b.places[i].job, b.now) == 0);
    BOOST_TEST(aia_choice_grant_next(&b.engine, b.now) == (i == 2 ? nullptr : &b.places[i].job));
  }
}

BOOST_AUTO_TEST_CASE(what_is_admitted_is_kept) {
  std::uint64_t jobs = 0, missed = 0, sets = 0;
  double load = 0, left = 0, owed = 0;
  for (std::uint64_t seed = 1; seed <= 400; seed++) {
    Play play(1u << (seed % 4), seed);
    const std::uint32_t slots = play.engine.slots;
    // Holders of the other classes that want everything, all of the time.
    const std::uint64_t longest = play.pick(1, 12) * kMs;
    for (std::uint32_t i = 0; i < slots + 4; i++)
      BOOST_TEST_REQUIRE(
          play.background(i % 3 ? longest - i : play.pick(kMs / 2, longest), i % 4) == 0);
    const std::size_t others = play.places.size();
    const std::uint32_t widest = seed % 3 ? 1 : seed % 2 ? slots : std::max(1u, slots / 2);
    const bool one_heavy = seed % 5 == 0;  // a few long turns beside many short ones
    for (unsigned tries = 0; tries < 200; tries++) {
      const std::uint64_t period = longest + play.pick(1, longest * (tries % 4 ? 40 : 3));
      const std::uint64_t turn = play.pick(kMs / 10, one_heavy && tries ? kMs : longest);
      play.promise(turn, period, static_cast<std::uint32_t>(play.pick(1, widest)));
    }
    double admitted = 0;
    for (std::size_t i = others; i < play.places.size(); i++) {
      auto& p = play.places[i];
      admitted +=
          static_cast<double>(p.turn_ns) * p.queue.promise.width / static_cast<double>(p.period_ns);
      // Many at once, just when the others have taken what there is.
      play.at(2 + (seed % 2 ? 0 : play.pick(0, p.period_ns)), [&] { play.submit(p); });
    }
    for (std::size_t i = 0; i < others; i++) play.submit(play.places[i]);
    const std::uint64_t time = 3000 * kMs;
    play.run(time);
    BOOST_TEST_CONTEXT("seed " << seed) {
      BOOST_TEST(play.missed == 0u);
    }
    jobs += play.jobs;
    missed += play.missed;
    sets += play.places.size() > others;
    load += admitted / slots;
    const double of_all = static_cast<double>(slots) * static_cast<double>(time);
    if (widest == 1) {
      left += static_cast<double>(play.background_ns) / of_all;
      owed += 1;
    }
  }
  BOOST_TEST_MESSAGE(jobs << " jobs of " << sets << " sets, " << missed << " missed; promised "
                          << 100 * load / static_cast<double>(sets) << " % of all slots; left "
                          << 100 * left / owed << " %");
  BOOST_TEST(sets > 350u);
  BOOST_TEST(jobs > 100000u);
  BOOST_TEST(left / owed >= 0.15);
}

BOOST_AUTO_TEST_SUITE_END()
