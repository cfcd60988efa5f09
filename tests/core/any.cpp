// SPDX-License-Identifier: MIT
//
// Jobs of sets of queues: they begin once, at the first engine that could begin a plain job in
// their place, near their buffer first; what goes takes its places along. The bounds are those of
// any.h.

#include <tap/tap.hpp>

#include <algorithm>
#include <cerrno>
#include <random>

#include "core/floor.hpp"

extern "C" {
#include "core/explain.h"
}

namespace {

constexpr std::uint64_t kMs = 1'000'000;

aiaccel_job plain(std::uint64_t cookie, std::uint32_t width = 1) {
  aiaccel_job arg{};
  arg.cookie = cookie;
  arg.width = width;
  return arg;
}

// `node`: of its buffer; -1: it has none.
aiaccel_job any(std::uint64_t cookie, std::uint32_t width = 1, int node = -1) {
  aiaccel_job arg = plain(cookie, width);
  arg.flags = AIACCEL_JOB_ANY;
  arg.buffer = static_cast<std::uint32_t>(node + 1);
  return arg;
}

aiaccel_job after(aiaccel_job arg, std::uint64_t other) {
  arg.flags |= AIACCEL_JOB_AFTER;
  arg.after = other;
  return arg;
}

// A context whose queues are one set.
class Anywhere : public Party {
 public:
  Anywhere(Floor& floor, unsigned tenant, std::uint32_t class_ = AIACCEL_CLASS_NORMAL)
      : Party(floor, tenant, class_) {
    join_all();
    failed = [this](std::uint64_t cookie) { failures.push_back(cookie); };
  }
  std::vector<std::uint64_t> failures;
};

// Whoever holds turns at all engines, by cookie 100 and so on.
void occupy(Floor& floor, Party& party, std::uint32_t width) {
  for (unsigned e = 0; e < floor.engines.size(); e++)
    BOOST_TEST_REQUIRE(party.submit(e, plain(100 + e, width), AIACCEL_NEVER) == 0);
}

// Ends turns at several engines in one call.
void end_together(Floor& floor, Party& party, const std::vector<std::uint64_t>& cookies) {
  aia_news news{};
  for (const std::uint64_t cookie : cookies) {
    const aiaccel_completion arg{cookie, 0, AIACCEL_COMPLETE_CANCEL};
    BOOST_TEST_REQUIRE(aia_turns_complete(&party.turns, &arg, true, floor.now, &news) == 0);
  }
  floor.act(news);
}

std::uint32_t waiting(const Floor& floor) {
  std::uint32_t sum = 0;
  for (const auto& engine : floor.engines) sum += engine->waiting;
  return sum;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(any_of_a_set)

BOOST_AUTO_TEST_CASE(it_begins_once_where_there_is_room) {
  Floor floor(3, 1);
  Anywhere a(floor, 0);
  Party other(floor, 1);
  occupy(floor, other, 1);
  BOOST_TEST(a.submit(1, any(1), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.submit(1, any(2), AIACCEL_NEVER) == 0);
  BOOST_TEST(waiting(floor) == 6u);
  BOOST_TEST(a.queues[1]->submitted == 2u);
  BOOST_TEST(other.end(102) == 0);
  BOOST_TEST(a.held(2) == 1u);
  BOOST_TEST(waiting(floor) == 3u);
  BOOST_TEST(other.end(100) == 0);
  BOOST_TEST(a.held(0) == 2u);
  BOOST_TEST(waiting(floor) == 0u);
  BOOST_TEST(other.end(101) == 0);
  BOOST_TEST(a.held(1) == 0u);
  BOOST_TEST(a.queues[2]->granted == 1u);
  BOOST_TEST(a.end(1) == 0);
  BOOST_TEST(a.queues[2]->completed == 1u);
}

BOOST_AUTO_TEST_CASE(the_event_tells_where) {
  Floor floor(2, 1);
  Anywhere a(floor, 0);
  aia_history_who who{};
  who.queue = 77;
  a.queues[1]->who = &who;
  BOOST_TEST(a.submit(0, any(1, 1, 1), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.turns.ring.events[0].queue == 77u);
}

BOOST_AUTO_TEST_CASE(near_its_buffer_first_then_by_number) {
  Floor floor(4, 1);
  Party other(floor, 1);
  for (int node = -1; node < 6; node++) {
    const unsigned wanted = node >= 0 && node < 4 ? static_cast<unsigned>(node) : 0;
    Anywhere a(floor, 0);
    BOOST_TEST(a.submit(2, any(1, 1, node), AIACCEL_NEVER) == 0);
    BOOST_TEST(a.held(wanted) == 1u);
    BOOST_TEST(a.end(1) == 0);
    // Likewise where they come to have room together, whichever did so first.
    for (const bool backwards : {false, true}) {
      occupy(floor, other, 1);
      BOOST_TEST(a.submit(3, any(1, 1, node), AIACCEL_NEVER) == 0);
      std::vector<std::uint64_t> all{100, 101, 102, 103};
      if (backwards) std::reverse(all.begin(), all.end());
      end_together(floor, other, all);
      BOOST_TEST(a.held(wanted) == 1u);
      BOOST_TEST(a.end(1) == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(several_jobs_have_the_engines_between_them) {
  Floor floor(3, 1);
  Anywhere a(floor, 0);
  for (std::uint64_t cookie : {1, 2, 3}) BOOST_TEST(a.submit(0, any(cookie), AIACCEL_NEVER) == 0);
  for (unsigned e = 0; e < 3; e++) BOOST_TEST(a.held(e) == e + 1);
  // Nothing but what it holds is in its way, and it has to end that first.
  BOOST_TEST(a.submit(0, any(4), AIACCEL_NEVER) == -EDEADLK);
  BOOST_TEST(a.submit(0, after(any(4), 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(waiting(floor) == 0u);
  BOOST_TEST(a.end(2) == 0);
  BOOST_TEST(a.held(1) == 4u);
  BOOST_TEST(a.submit(0, after(any(5), 4), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.submit(0, after(any(6), 5), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.end(5) == 0);
  BOOST_TEST(a.failures == std::vector<std::uint64_t>{6}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(engines_that_do_not_take_it_are_left_out) {
  Floor floor(3, 4);
  floor.engines[1]->slots = 8;
  Anywhere a(floor, 0);
  Party other(floor, 1);
  BOOST_TEST(a.submit(0, any(1, 9), AIACCEL_NEVER) == -EINVAL);
  BOOST_TEST(a.submit(0, any(1, 8), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.held(1) == 1u);
  BOOST_TEST(a.submit(0, any(2, 5), AIACCEL_NEVER) == -EDEADLK);
  floor.engines[0]->state = AIACCEL_ENGINE_DRAINING;
  BOOST_TEST(a.submit(0, any(2), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.held(2) == 2u);
  BOOST_TEST(a.end(1) == 0);
  floor.engines[1]->state = AIACCEL_ENGINE_FAULTED;
  floor.engines[2]->state = AIACCEL_ENGINE_LEAVING;
  BOOST_TEST(a.submit(0, any(3), AIACCEL_NEVER) == -ESHUTDOWN);
  BOOST_TEST(a.submit(2, any(3), AIACCEL_NEVER) == -ENODEV);
}

BOOST_AUTO_TEST_CASE(a_faulted_engine_does_not_keep_it) {
  Floor floor(2, 1);
  Anywhere a(floor, 0);
  Party other(floor, 1);
  occupy(floor, other, 1);
  BOOST_TEST(a.submit(0, any(1), AIACCEL_NEVER) == 0);
  floor.engines[0]->state = AIACCEL_ENGINE_FAULTED;
  BOOST_TEST(other.end(100) == 0);
  BOOST_TEST(waiting(floor) == 2u);
  BOOST_TEST(other.end(101) == 0);
  BOOST_TEST(a.held(1) == 1u);
  BOOST_TEST(waiting(floor) == 0u);
}

BOOST_AUTO_TEST_CASE(it_outlives_queues_until_the_last) {
  Floor floor(3, 1);
  Anywhere a(floor, 0), b(floor, 0), c(floor, 0);
  Party other(floor, 1);
  occupy(floor, other, 1);
  BOOST_TEST(a.submit(0, any(1), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.submit(0, after(any(2), 1), AIACCEL_NEVER) == 0);
  BOOST_TEST(b.submit(0, any(1), AIACCEL_NEVER) == 0);
  BOOST_TEST(c.submit(0, any(1), AIACCEL_NEVER) == 0);
  BOOST_TEST(waiting(floor) == 9u);
  a.end_queue(0);
  b.fail(0);
  b.fail(2);
  BOOST_TEST(waiting(floor) == 6u);
  b.fail(1);
  BOOST_TEST(b.failures == std::vector<std::uint64_t>{1}, boost::test_tools::per_element());
  b.failures.clear();
  BOOST_TEST(other.end(102) == 0);
  BOOST_TEST(a.held(2) == 1u);
  a.end_queue(1);
  BOOST_TEST(a.end(1) == 0);
  BOOST_TEST(c.held(2) == 1u);  // it came before
  BOOST_TEST(a.turns.live == 1u);
  a.end_queue(2);
  BOOST_TEST(a.turns.live == 0u);  // without a word
  BOOST_TEST(a.failures.empty());
  BOOST_TEST(waiting(floor) == 0u);
}

BOOST_AUTO_TEST_CASE(a_job_whose_own_queue_was_left_out) {
  Floor floor(2, 1);
  Anywhere a(floor, 0);
  Party other(floor, 1);
  occupy(floor, other, 1);
  floor.engines[0]->state = AIACCEL_ENGINE_DRAINING;
  BOOST_TEST(a.submit(0, any(1), AIACCEL_NEVER) == 0);
  BOOST_TEST(waiting(floor) == 1u);
  a.end_queue(0);
  BOOST_TEST(other.end(101) == 0);
  BOOST_TEST(a.held(1) == 1u);
}

BOOST_AUTO_TEST_CASE(cancelled_and_cut_off) {
  Floor floor(3, 1);
  Party other(floor, 1);
  occupy(floor, other, 1);
  {
    Anywhere a(floor, 0);
    BOOST_TEST(a.submit(0, any(1), AIACCEL_NEVER) == 0);
    BOOST_TEST(a.submit(0, any(2), AIACCEL_NEVER) == 0);
    BOOST_TEST(a.submit(0, after(any(3), 1), AIACCEL_NEVER) == 0);
    BOOST_TEST(a.end(1) == 0);
    BOOST_TEST(waiting(floor) == 3u);
    BOOST_TEST(a.failures == std::vector<std::uint64_t>{3}, boost::test_tools::per_element());
  }
  BOOST_TEST(waiting(floor) == 0u);
  BOOST_TEST(floor.live.size() == 3u);
}

BOOST_AUTO_TEST_CASE(slots_kept_for_it_are_free_when_it_has_others) {
  Floor floor(2, 2);
  Anywhere a(floor, 0);
  Party other(floor, 1), narrow(floor, 1);
  occupy(floor, other, 1);
  BOOST_TEST(a.submit(0, any(1, 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(narrow.submit(0, plain(5), AIACCEL_NEVER) == 0);
  BOOST_TEST(narrow.held(0) == 0u);
  BOOST_TEST(other.end(101) == 0);
  BOOST_TEST(a.held(1) == 1u);
  BOOST_TEST(narrow.held(0) == 5u);
}

BOOST_AUTO_TEST_CASE(what_it_waits_for) {
  Floor floor(2, 1);
  Anywhere a(floor, 0);
  Party other(floor, 1);
  occupy(floor, other, 1);
  BOOST_TEST(a.submit(1, any(1), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.submit(1, after(any(2), 1), AIACCEL_NEVER) == 0);
  std::map<std::uint64_t, aia_explanation> found;
  for (const aia_turn* turn = nullptr; (turn = aia_turns_next(&a.turns, turn));) {
    BOOST_TEST(aia_turns_state(turn) == 1u * AIACCEL_TURN_WAITING);
    found[turn->note.cookie] = aia_explain(&turn->job);
  }
  BOOST_TEST(found[1].why == 1u * AIACCEL_WAIT_SLOTS);
  BOOST_TEST(found[1].waits_for == other.seats[1]->turn);
  BOOST_TEST(found[2].why == 1u * AIACCEL_WAIT_AFTER);
  aia_history_record records[AIA_TURNS_MAX];
  BOOST_TEST(aia_turns_list(&a.turns, a.queues[0].get(), records, floor.now) == 0u);
  BOOST_TEST(aia_turns_list(&a.turns, a.queues[1].get(), records, floor.now) == 2u);
}

BOOST_AUTO_TEST_CASE(sets) {
  Floor floor(AIACCEL_ANY_MAX + 1, 1);
  Party a(floor, 0);
  for (unsigned e = 1; e < AIACCEL_ANY_MAX; e++) {
    BOOST_TEST(aia_any_takes(a.queues[e - 1].get(), floor.engines[e].get()) == 0);
    aia_any_join(a.queues[e].get(), a.queues[e - 1].get());
  }
  const aia_sched_queue* const other = a.queues[3].get();
  const aia_sched_engine* const last = floor.engines[AIACCEL_ANY_MAX].get();
  BOOST_TEST(aia_any_takes(other, last) == -EINVAL);  // too many
  a.end_queue(4);
  BOOST_TEST(aia_any_takes(other, last) == 0);
  BOOST_TEST(aia_any_takes(other, floor.engines[4].get()) == 0);
  for (unsigned e : {0, 3, 7})
    BOOST_TEST(aia_any_takes(other, floor.engines[e].get()) == -EINVAL);  // has one there
  Party b(floor, 0);
  b.queues[0]->promise.period_ns = 1;
  BOOST_TEST(aia_any_takes(b.queues[0].get(), last) == -EINVAL);
  BOOST_TEST(b.submit(0, any(1), AIACCEL_NEVER) == -EINVAL);
  b.queues[0]->promise.period_ns = 0;
}

namespace {

// When and where a job begins beside others, which are drawn from `seed` alone.
struct Beginning {
  std::uint64_t at_ns = AIACCEL_NEVER;
  unsigned engine = 0;
};

// `wanted`: the one engine that it is for; else any.
Beginning play(unsigned seed, unsigned engines, int wanted) {
  std::mt19937 draw(seed);
  auto pick = [&](unsigned below) { return static_cast<unsigned>(draw() % below); };
  Floor floor(engines, 1 + pick(4));
  std::vector<std::unique_ptr<Party>> others;
  for (unsigned i = 0; i < 6; i++)
    others.push_back(std::make_unique<Party>(floor, 1 + pick(2), pick(AIACCEL_CLASS_REALTIME)));
  Anywhere a(floor, 0, pick(AIACCEL_CLASS_REALTIME));
  Beginning result;
  a.begun = [&](std::uint64_t) { result.at_ns = floor.now; };
  for (std::uint64_t cookie = 1; cookie < 100; cookie++) {
    Party& other = *others[pick(6)];
    const unsigned engine = pick(engines);
    const auto other_width = 1 + pick(floor.engines[0]->slots);
    other.submit(engine, plain(cookie, other_width), 1 + pick(50) * kMs);
  }
  const std::uint32_t width = 1 + pick(floor.engines[0]->slots);
  BOOST_TEST_REQUIRE(a.submit(wanted < 0 ? 0 : static_cast<unsigned>(wanted),
                              wanted < 0 ? any(1, width) : plain(1, width), AIACCEL_NEVER) == 0);
  while (result.at_ns == AIACCEL_NEVER && floor.step())
    ;
  for (unsigned e = 0; e < engines; e++)
    if (a.held(e)) result.engine = e;
  return result;
}

}  // namespace

// Until it begins, nothing is different at any engine from a plain job that waits there.
BOOST_AUTO_TEST_CASE(it_begins_when_the_first_plain_job_would) {
  unsigned waited = 0;
  for (unsigned seed = 1; seed <= 400; seed++) {
    const unsigned engines = 2 + seed % 3;
    const Beginning got = play(seed, engines, -1);
    std::vector<std::uint64_t> at_ns;
    for (unsigned e = 0; e < engines; e++)
      at_ns.push_back(play(seed, engines, static_cast<int>(e)).at_ns);
    BOOST_TEST_REQUIRE(got.at_ns == *std::min_element(at_ns.begin(), at_ns.end()), "seed " << seed);
    BOOST_TEST_REQUIRE(got.at_ns == at_ns[got.engine], "seed " << seed);
    BOOST_TEST_REQUIRE(got.at_ns != AIACCEL_NEVER);
    waited += got.at_ns > 1;
  }
  BOOST_TEST(waited > 100u);
}

// Sets and plain jobs under any calls: each begins once or waits everywhere, and nobody waits for
// nothing.
BOOST_AUTO_TEST_CASE(any_calls_in_any_order) {
  constexpr unsigned kEngines = 4, kParties = 5, kCookies = 6;
  std::mt19937_64 draw(5);
  auto pick = [&](unsigned below) { return static_cast<unsigned>(draw() % below); };
  unsigned begun = 0, elsewhere = 0, waited = 0;
  for (unsigned round = 0; round < 40; round++) {
    Floor floor(kEngines, 1 + pick(3));
    std::vector<std::unique_ptr<Anywhere>> parties;
    for (unsigned i = 0; i < kParties; i++)
      parties.push_back(std::make_unique<Anywhere>(floor, i % 3, pick(AIACCEL_CLASS_REALTIME)));
    for (unsigned step = 0; step < 400; step++) {
      Anywhere& party = *parties[pick(kParties)];
      const std::uint32_t width = 1 + pick(floor.engines[0]->slots);
      const std::uint64_t cookie = 1 + pick(kCookies);
      aiaccel_job arg =
          pick(3) ? any(cookie, width, static_cast<int>(pick(6)) - 1) : plain(cookie, width);
      if (!pick(4)) arg = after(arg, 1 + pick(kCookies));
      if (!pick(3)) arg.deadline_ns = 1 + pick(5);
      floor.now += pick(1000);
      switch (pick(8)) {
        case 0:
        case 1:
        case 2:
          party.end(cookie);
          break;
        case 3:
          if (!pick(8)) party.fail(pick(kEngines));
          break;
        default:
          party.submit(pick(kEngines), arg, AIACCEL_NEVER);
      }
      std::uint32_t places[kEngines] = {};
      for (const aia_turn* turn : floor.live) {
        const aia_any* set = turn->job.any;
        if (turn->job.state == AIA_SCHED_WAITING)
          places[turn->job.queue->seat->engine->number - 1]++;
        if (!set) continue;
        std::uint32_t in_line = 0;
        for (std::uint32_t i = 0; i < set->count; i++) {
          const aia_sched_job& place = set->places[i];
          if (place.state != AIA_SCHED_WAITING) continue;
          in_line++;
          const aia_sched_engine& engine = *place.queue->seat->engine;
          places[engine.number - 1]++;
          if (place.queue->seat->turn || place.width > engine.slots - engine.slots_used) continue;
          // Room is kept for who comes before it and does not fit, or it was just passed in turn.
          waited++;
          BOOST_TEST_REQUIRE(engine.wanting);
          BOOST_TEST_REQUIRE(engine.wanting != &place);
          BOOST_TEST_REQUIRE(engine.wanting->width > engine.slots - engine.slots_used);
        }
        const bool held = turn->job.state == AIA_SCHED_HELD;
        BOOST_TEST_REQUIRE((held || !in_line));
        if (held && !turn->of_followed.next) BOOST_TEST_REQUIRE(in_line > 0u);
        begun += turn->job.state == AIA_SCHED_GRANTED;
        elsewhere +=
            turn->job.state == AIA_SCHED_GRANTED && turn->job.queue->seat->engine->number > 1;
      }
      for (unsigned e = 0; e < kEngines; e++)
        BOOST_TEST_REQUIRE(floor.engines[e]->waiting == places[e]);
    }
    parties.clear();
    BOOST_TEST_REQUIRE(floor.live.empty());
    BOOST_TEST_REQUIRE(waiting(floor) == 0u);
    for (const auto& engine : floor.engines) BOOST_TEST_REQUIRE(engine->slots_used == 0u);
  }
  BOOST_TEST(begun > 1000u);
  BOOST_TEST(elsewhere > 1000u);
  BOOST_TEST(waited > 10u);
}

// A wide job that keeps slots free at engines where it does not begin, beside two tenants that want
// them: one that waits for its own turns everywhere for ever, and one that begins at the first
// engine, time and again. The others have their shares, but for what wide.h says.
BOOST_AUTO_TEST_CASE(where_it_does_not_begin_it_takes_its_share_at_most) {
  for (const bool begins : {false, true}) BOOST_TEST_CONTEXT("begins " << begins) {
      constexpr std::uint32_t kSlots = 4;
      constexpr unsigned kEngines = 4;
      constexpr std::uint64_t kLength = 300'000 * kMs;
      Floor floor(kEngines, kSlots);
      Anywhere wide(floor, 0);
      Party holder(floor, 0);
      for (unsigned e = 0; e < kEngines; e++)
        BOOST_TEST_REQUIRE(
            holder.submit(e, plain(100 + e), begins && e == 0 ? 90 * kMs : AIACCEL_NEVER) == 0);
      std::vector<std::unique_ptr<Party>> victims;
      std::uint64_t had_ns = 0, turns = 0;
      const auto lasts_ns = [](unsigned i) { return (40 + 3 * i) * kMs; };
      for (unsigned i = 0; i < 2 * kSlots; i++) {
        victims.push_back(std::make_unique<Party>(floor, 1 + i % 2));
        victims.back()->begun = [&, i](std::uint64_t) { had_ns += lasts_ns(i); };
        for (unsigned e = begins; e < kEngines; e++)
          BOOST_TEST_REQUIRE(victims.back()->submit(e, plain(1 + e), lasts_ns(i)) == 0);
      }
      wide.begun = [&](std::uint64_t) { turns++; };
      BOOST_TEST_REQUIRE(wide.submit(0, any(1, kSlots), kMs) == 0);
      while (floor.now < kLength && floor.step()) {
        for (unsigned i = 0; i < victims.size(); i++)
          for (unsigned e = begins; e < kEngines; e++)
            if (!victims[i]->held(e)) victims[i]->submit(e, plain(1 + e), lasts_ns(i));
        if (!begins) continue;
        if (!holder.held(0)) holder.submit(0, plain(100), 90 * kMs);
        if (std::none_of(floor.live.begin(), floor.live.end(),
                         [](const aia_turn* turn) { return turn->job.any; }))
          wide.submit(0, any(1, kSlots), kMs);
      }
      if (begins)
        BOOST_TEST(turns > 1000u);
      else
        BOOST_TEST(turns == 0u);
      const std::uint64_t slots = (kSlots - 1) * (kEngines - begins);
      BOOST_TEST_MESSAGE("beside a wide job of a set: " << had_ns / (slots * kLength / 10000)
                                                        << " of 10000");
      const std::uint64_t once_ns = (begins ? 0 : 2 * AIA_WIDE_MAX_NS) + 100 * kMs;
      BOOST_TEST(had_ns >= slots * (kLength * 2 / 3 - once_ns));
    }
}

BOOST_AUTO_TEST_SUITE_END()
