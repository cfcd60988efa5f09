// SPDX-License-Identifier: MIT
//
// What was promised is kept beside work that has to be stopped: holders that never give back what
// they have, a provider that stops one turn after the other and takes as long for each as it said.

#include <tap/tap.hpp>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "core/turns_stage.hpp"

namespace {

constexpr std::uint64_t kMs = 1000000, kGrace = kMs, kStop = 7 * kMs, kBudget = 3 * kMs;

struct Sharer : Context {
  Sharer(Stage& stage, std::uint32_t class_, std::uint64_t budget_ns, std::uint64_t period_ns)
      : Context(stage, class_), period_ns(period_ns) {
    aia_terms_set_queue(&queue, 0, budget_ns);
    refusal = aia_realtime_join(&queue, aia_terms_longest_ns(&queue), period_ns, period_ns ? 1 : 0,
                                stage.now);
  }
  std::uint64_t period_ns;
  int refusal;
  std::uint64_t submits_ns = 1;           // when it wants its next turn
  std::uint64_t ends_ns = AIACCEL_NEVER;  // when it completes the one that it has
  std::uint64_t deadline_ns = 0;
  std::uint64_t cookie = 1;
  std::uint32_t generation = 0;
};

// `counted_ns`: what the engine was told that a stop takes.
class Play : public Stage {
 public:
  Play(std::uint32_t slots, std::uint64_t counted_ns, std::uint64_t seed)
      : Stage(slots), entries_(slots), random_(seed) {
    aia_terms_set_engine(&engine, AIACCEL_PREEMPTIBLE, kGrace);
    aia_stops_init(&engine, entries_.data(), counted_ns);
    for (std::uint32_t i = 0; i < slots + 2; i++)
      sharers_.push_back(std::make_unique<Sharer>(*this, i % 3, kBudget, 0));
    for (int tries = 0; tries < 60; tries++) {
      auto s = std::make_unique<Sharer>(*this, AIACCEL_CLASS_REALTIME, pick(kMs / 2, 2 * kMs),
                                        kBudget + pick(kMs, 100 * kMs) * slots);
      if (s->refusal) {
        aia_sched_queue_fini(&s->queue);
        continue;
      }
      s->submits_ns = pick(1, s->period_ns);
      sharers_.push_back(std::move(s));
      promised++;
    }
  }

  void run(std::uint64_t until_ns) {
    while (now < until_ns) {
      std::uint64_t next = std::min<std::uint64_t>(aia_turns_next_ns(&engine), stopped_ns_);
      for (auto& s : sharers_) next = std::min({next, s->submits_ns, s->ends_ns});
      now = std::max(now, next);
      if (stopped_ns_ <= now) end_stop();
      for (auto& s : sharers_) act(*s);
      dispatch();
      for (auto& s : sharers_) hear(*s);
      if (!stopping_ && (stopping_ = aia_stop_next(&engine))) stopped_ns_ = now + kStop;
    }
  }

  std::uint64_t promised = 0, jobs = 0, missed = 0, stops = 0;

 private:
  std::uint64_t pick(std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(random_);
  }

  void end_stop() {
    aia_news news{};
    aia_turns_stopped(stopping_, now, &news);
    free_all(news);
    stirred(news);
    stopping_ = nullptr;
    stopped_ns_ = AIACCEL_NEVER;
    stops++;
  }

  void act(Sharer& s) {
    if (s.ends_ns <= now) {
      s.ends_ns = AIACCEL_NEVER;
      if (s.complete(s.cookie++, s.generation)) throw std::logic_error("a turn was lost");
      jobs++;
      missed += now > s.deadline_ns;
      s.submits_ns = std::max(now, s.deadline_ns) + (pick(0, 2) ? 0 : pick(0, s.period_ns));
    }
    if (s.submits_ns > now) return;
    // While its last turn is being stopped it has its seat, and tries again.
    s.submits_ns = s.submit(s.cookie) ? now + kMs : AIACCEL_NEVER;
    if (s.submits_ns == AIACCEL_NEVER) s.deadline_ns = std::max(now, s.deadline_ns) + s.period_ns;
  }

  void hear(Sharer& s) {
    for (const aiaccel_event& event : s.read()) {
      s.generation = event.generation;
      // Some of those that were promised time overrun, too; what becomes of these is their matter.
      if (event.events & AIACCEL_EVENT_GRANTED && s.period_ns && pick(0, 3))
        s.ends_ns = now + s.queue.budget_ns;
      if (!(event.events & AIACCEL_EVENT_REVOKED)) continue;
      s.complete(s.cookie++, s.generation);
      s.submits_ns = now + 1;
    }
  }

  std::vector<aia_stop> entries_;
  std::vector<std::unique_ptr<Sharer>> sharers_;
  aia_stop* stopping_ = nullptr;
  std::uint64_t stopped_ns_ = AIACCEL_NEVER;
  std::mt19937_64 random_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(realtime_stops)

BOOST_AUTO_TEST_CASE(the_longest_turn_has_its_stop_in_it) {
  for (const std::uint32_t slots : {1u, 4u}) {
    Stage stage(slots);
    std::vector<aia_stop> entries(slots);
    aia_terms_set_engine(&stage.engine, AIACCEL_PREEMPTIBLE, kGrace);
    aia_stops_init(&stage.engine, entries.data(), kStop);
    Sharer sharer(stage, AIACCEL_CLASS_NORMAL, kBudget, 0);
    BOOST_TEST(aia_terms_longest_ns(&sharer.queue) ==
               kBudget + kGrace + (slots == 1 ? 1 : 10) * kStop);
  }
}

BOOST_AUTO_TEST_CASE(what_is_admitted_is_kept) {
  for (const std::uint32_t slots : {1u, 2u, 4u}) {
    std::uint64_t promised = 0, jobs = 0, stops = 0, kept = 0;
    for (std::uint64_t seed = 1; seed <= 10; seed++) {
      Play play(slots, kStop, seed);
      play.run(10000 * kMs);
      BOOST_TEST(play.missed == 0u, "seed " << seed << ", " << slots << " slots: " << play.missed);
      promised += play.promised;
      jobs += play.jobs;
      stops += play.stops;
      // And would not be, if it were not counted.
      Play blind(slots, 0, seed);
      blind.run(10000 * kMs);
      kept += blind.missed == 0;
    }
    BOOST_TEST(promised >= 10u);
    BOOST_TEST(jobs > 300u);
    BOOST_TEST(stops > 1000u);
    BOOST_TEST(kept < 10u);
    BOOST_TEST_MESSAGE(slots << " slots: " << promised << " promised, " << jobs << " jobs, "
                             << stops << " stops; not counted, kept in " << kept << " of 10");
  }
}

BOOST_AUTO_TEST_SUITE_END()
