// SPDX-License-Identifier: MIT
//
// Groups: all or none, at several engines; their names; leaving in each state; no deadlock; beside
// singles for ever. The bounds are those of group.h.

#include <tap/tap.hpp>

#include <algorithm>
#include <cerrno>
#include <random>

#include "core/floor.hpp"

namespace {

constexpr std::uint64_t kMs = 1'000'000;

aiaccel_job job(std::uint64_t cookie, std::uint64_t group = 0, std::uint32_t size = 0,
                std::uint32_t width = 1) {
  aiaccel_job arg{};
  arg.cookie = cookie;
  arg.width = width;
  arg.group = group;
  arg.group_size = size;
  return arg;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(groups)

BOOST_AUTO_TEST_CASE(it_begins_when_all_are_there) {
  Floor floor(3, 1);
  Party a(floor, 0), b(floor, 0), c(floor, 0);
  BOOST_TEST(a.submit(0, job(1, 7, 3), AIACCEL_NEVER) == 0);
  BOOST_TEST(b.submit(1, job(1, 7, 3), AIACCEL_NEVER) == 0);
  BOOST_TEST(floor.engines[0]->waiting == 0u);
  BOOST_TEST(a.held(0) == 0u);
  BOOST_TEST(c.submit(2, job(1, 7, 3), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.held(0) == 1u);
  BOOST_TEST(b.held(1) == 1u);
  BOOST_TEST(c.held(2) == 1u);
  // Each turn ends by itself, and the number is free.
  BOOST_TEST(a.end(1) == 0);
  BOOST_TEST(b.held(1) == 1u);
  BOOST_TEST(a.submit(0, job(1, 7, 1), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.held(0) == 1u);
}

BOOST_AUTO_TEST_CASE(none_begins_while_one_cannot) {
  Floor floor(2, 2);
  Party a(floor, 0), b(floor, 0), single(floor, 1), late(floor, 1);
  BOOST_TEST(single.submit(1, job(5, 0, 0, 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.submit(0, job(1, 7, 2, 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(b.submit(1, job(1, 7, 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.held(0) == 0u);
  BOOST_TEST(late.submit(0, job(2), AIACCEL_NEVER) == 0);
  BOOST_TEST(late.held(0) == 0u);  // slots are kept for the group
  BOOST_TEST(single.end(5) == 0);
  BOOST_TEST(a.held(0) == 1u);
  BOOST_TEST(b.held(1) == 1u);
}

// As a job that is as wide as its jobs at an engine together.
BOOST_AUTO_TEST_CASE(who_is_in_its_way_is_asked_and_nobody_else) {
  Floor floor(2, 2);
  for (auto& engine : floor.engines) aia_terms_set_engine(engine.get(), AIACCEL_GATED, 0);
  Party low(floor, 1, AIACCEL_CLASS_LOW);
  Party a(floor, 0), b(floor, 0), c(floor, 0);
  for (unsigned e = 0; e < 2; e++)
    aia_terms_set_queue(low.queues[e].get(), AIACCEL_QUEUE_FILL, 10 * kMs);
  BOOST_TEST(low.submit(0, job(1), AIACCEL_NEVER) == 0);
  BOOST_TEST(low.submit(1, job(2), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.submit(0, job(1, 7, 3), AIACCEL_NEVER) == 0);
  BOOST_TEST(b.submit(0, job(1, 7, 3), AIACCEL_NEVER) == 0);
  BOOST_TEST(c.submit(1, job(1, 7, 3), AIACCEL_NEVER) == 0);
  BOOST_TEST(floor.engines[0]->slots_yielding == 1u);
  BOOST_TEST(floor.engines[1]->slots_yielding == 0u);
  BOOST_TEST(aia_terms_next_ns(floor.engines[0].get()) == floor.now + AIA_TERMS_GRACE_NS);
  BOOST_TEST(aia_terms_next_ns(floor.engines[1].get()) == AIACCEL_NEVER);
}

BOOST_AUTO_TEST_CASE(slots_are_not_kept_for_ever) {
  Floor floor(2, 1);
  Party a(floor, 0), b(floor, 0), single(floor, 1), late(floor, 1);
  BOOST_TEST(single.submit(1, job(5), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.submit(0, job(1, 7, 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(b.submit(1, job(1, 7, 2), AIACCEL_NEVER) == 0);
  std::uint64_t had_ns = 0;
  late.begun = [&](std::uint64_t) { had_ns += 10 * kMs; };
  BOOST_TEST(late.submit(0, job(2), 10 * kMs) == 0);
  while (floor.now < 60'000 * kMs && floor.step())
    if (!late.held(0)) late.submit(0, job(2), 10 * kMs);
  BOOST_TEST(a.held(0) == 0u);
  BOOST_TEST(had_ns >= (floor.now - AIA_WIDE_MAX_NS) / 2);
}

BOOST_AUTO_TEST_CASE(names_and_what_is_refused) {
  Floor floor(2, 2);
  Party a(floor, 0), b(floor, 0), high(floor, 0, AIACCEL_CLASS_HIGH), stranger(floor, 1);
  BOOST_TEST(a.submit(0, job(1, 7, 3), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.submit(0, job(2, 7, 3), AIACCEL_NEVER) == -EDEADLK);  // a seat holds one turn
  BOOST_TEST(b.submit(0, job(1, 7, 2), AIACCEL_NEVER) == -EINVAL);
  BOOST_TEST(high.submit(1, job(1, 7, 3), AIACCEL_NEVER) == -EINVAL);
  BOOST_TEST(b.submit(0, job(1, 7, 3, 2), AIACCEL_NEVER) == -EINVAL);  // wider than the engine
  BOOST_TEST(stranger.submit(0, job(1, 7, 2), AIACCEL_NEVER) == 0);    // another one's number
  BOOST_TEST(stranger.submit(1, job(2, 7, 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(stranger.held(0) == 1u);
  BOOST_TEST(a.submit(1, job(2, 7, 3), AIACCEL_NEVER) == 0);
  BOOST_TEST(b.submit(1, job(1, 7, 3), AIACCEL_NEVER) == 0);  // beside the stranger's turns
  BOOST_TEST(a.held(0) == 0u);
  BOOST_TEST(b.submit(0, job(2, 7, 3), AIACCEL_NEVER) == -EBUSY);
  BOOST_TEST(stranger.end(2) == 0);
  BOOST_TEST(a.held(1) == 2u);
  BOOST_TEST(a.held(0) == 1u);
  BOOST_TEST(b.held(1) == 1u);
  BOOST_TEST(a.submit(0, job(3, 8, 2), AIACCEL_NEVER) == -EDEADLK);
}

// Its wait would depend on what the others wait for.
BOOST_AUTO_TEST_CASE(no_promised_job_is_of_a_group) {
  Floor floor(1, 4);
  Party a(floor, 0, AIACCEL_CLASS_REALTIME), b(floor, 0, AIACCEL_CLASS_REALTIME);
  for (Party* party : {&a, &b})
    BOOST_TEST_REQUIRE(
        aia_realtime_join(party->queues[0].get(), 10 * kMs, 100 * kMs, 1, floor.now) == 0);
  BOOST_TEST(a.submit(0, job(1, 7, 2), AIACCEL_NEVER) == -EINVAL);
  BOOST_TEST(a.submit(0, job(1, 7, 1), AIACCEL_NEVER) == -EINVAL);
  // Nor one that counts as of a lower class, since its tenant's ceiling fell.
  aia_sched_queue_set_class(b.queues[0].get(), AIACCEL_CLASS_HIGH, floor.now);
  BOOST_TEST(b.submit(0, job(1, 7, 1), AIACCEL_NEVER) == -EINVAL);
  BOOST_TEST(a.submit(0, job(1), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.held(0) == 1u);
}

BOOST_AUTO_TEST_CASE(who_leaves_takes_the_others_out_of_line) {
  Floor floor(2, 1);
  Party a(floor, 0), c(floor, 0), single(floor, 1);
  {
    Party b(floor, 0);
    BOOST_TEST(single.submit(0, job(5), AIACCEL_NEVER) == 0);
    BOOST_TEST(a.submit(0, job(1, 7, 2), AIACCEL_NEVER) == 0);
    BOOST_TEST(b.submit(1, job(1, 7, 2), AIACCEL_NEVER) == 0);
    BOOST_TEST(floor.engines[0]->waiting == 1u);
    BOOST_TEST(b.end(1) == 0);
    BOOST_TEST(floor.engines[0]->waiting == 0u);
    BOOST_TEST(b.submit(1, job(1, 7, 2), AIACCEL_NEVER) == 0);
    BOOST_TEST(floor.engines[0]->waiting == 1u);
    BOOST_TEST(a.end(1) == 0);  // who founded it
    BOOST_TEST(floor.engines[1]->waiting == 0u);
    BOOST_TEST(a.submit(0, job(1, 7, 2), AIACCEL_NEVER) == 0);
    BOOST_TEST(floor.engines[1]->waiting == 1u);
  }  // a context that ends
  BOOST_TEST(floor.engines[0]->waiting == 0u);
  BOOST_TEST(c.submit(1, job(1, 7, 2), AIACCEL_NEVER) == 0);
  std::uint64_t failed = 0;
  c.failed = [&](std::uint64_t cookie) { failed = cookie; };
  c.fail(1);  // its engine goes
  BOOST_TEST(failed == 1u);
  BOOST_TEST(floor.engines[0]->waiting == 0u);
  BOOST_TEST(single.end(5) == 0);
  BOOST_TEST(a.held(0) == 0u);
  BOOST_TEST(c.submit(1, job(1, 7, 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.held(0) == 1u);
}

BOOST_AUTO_TEST_CASE(after_and_a_group) {
  Floor floor(2, 1);
  Party a(floor, 0), b(floor, 0);
  BOOST_TEST(a.submit(0, job(1), AIACCEL_NEVER) == 0);
  aiaccel_job arg = job(2, 7, 2);
  arg.flags = AIACCEL_JOB_AFTER;
  arg.after = 1;
  BOOST_TEST(a.submit(0, arg, AIACCEL_NEVER) == 0);
  BOOST_TEST(b.submit(1, job(1, 7, 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(floor.engines[1]->waiting == 0u);
  BOOST_TEST(a.end(1) == 0);
  BOOST_TEST(a.held(0) == 2u);
  BOOST_TEST(b.held(1) == 1u);
}

aiaccel_job after(std::uint64_t before, aiaccel_job arg) {
  arg.flags = AIACCEL_JOB_AFTER;
  arg.after = before;
  return arg;
}

BOOST_AUTO_TEST_CASE(after_one_of_its_own_group_is_refused) {
  for (const bool founded : {false, true}) BOOST_TEST_CONTEXT("founded by another " << founded) {
      Floor floor(4, 1);
      Party a(floor, 0), b(floor, 0);
      if (founded) BOOST_TEST(b.submit(3, job(1, 7, 3), AIACCEL_NEVER) == 0);
      BOOST_TEST(a.submit(0, job(1, 7, 3), AIACCEL_NEVER) == 0);
      BOOST_TEST(a.submit(1, after(1, job(2, 7, 3)), AIACCEL_NEVER) == -EDEADLK);
      BOOST_TEST(a.submit(1, after(1, job(2)), AIACCEL_NEVER) == 0);
      BOOST_TEST(a.submit(1, after(2, job(3, 8, 2)), AIACCEL_NEVER) == 0);
      BOOST_TEST(a.submit(2, after(3, job(4, 7, 3)), AIACCEL_NEVER) == -EDEADLK);
      BOOST_TEST(a.submit(2, after(2, job(4, 8, 2)), AIACCEL_NEVER) == 0);  // beside one of it
      BOOST_TEST(a.submit(2, job(5, 7, 3), AIACCEL_NEVER) == 0);
      if (!founded) BOOST_TEST(b.submit(3, job(1, 7, 3), AIACCEL_NEVER) == 0);
      BOOST_TEST(a.held(0) == 1u);
      // It has begun, and is a group no more.
      BOOST_TEST(a.submit(1, after(1, job(6, 7, 1)), AIACCEL_NEVER) == 0);
      BOOST_TEST(a.end(1) == 0);
      BOOST_TEST(a.held(1) == 2u);
    }
}

// Two groups, each with a job after one of the other: nobody sees it, and nothing is held.
BOOST_AUTO_TEST_CASE(groups_after_each_other_wait_until_one_is_cancelled) {
  Floor floor(4, 1);
  Party a(floor, 0), b(floor, 0), single(floor, 1);
  BOOST_TEST(a.submit(0, job(1, 7, 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(b.submit(1, job(1, 8, 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.submit(2, after(1, job(2, 8, 2)), AIACCEL_NEVER) == 0);
  BOOST_TEST(b.submit(3, after(1, job(2, 7, 2)), AIACCEL_NEVER) == 0);
  for (unsigned e = 0; e < 4; e++) {
    BOOST_TEST(floor.engines[e]->waiting == 0u);
    BOOST_TEST(single.submit(e, job(10 + e), AIACCEL_NEVER) == 0);
    BOOST_TEST(single.held(e) == 10 + e);
    BOOST_TEST(single.end(10 + e) == 0);
  }
  BOOST_TEST(b.end(2) == 0);
  BOOST_TEST(b.submit(3, job(3, 7, 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.held(0) == 1u);
  BOOST_TEST(b.held(3) == 3u);
  BOOST_TEST(a.end(1) == 0);
  BOOST_TEST(a.held(2) == 2u);
  BOOST_TEST(b.held(1) == 1u);
}

// A turn at each of many engines ends in one hold of the lock, and for each a group of 64 may
// begin.
BOOST_AUTO_TEST_CASE(one_hold_lets_no_more_begin_than_it_may) {
  constexpr unsigned kEngines = 16, kRanks = AIACCEL_GROUP_MAX;
  Floor floor(kEngines, kRanks);
  Party hog(floor, 1);
  std::vector<std::unique_ptr<Party>> ranks;
  for (unsigned i = 0; i < kRanks; i++) ranks.push_back(std::make_unique<Party>(floor, 0));
  for (unsigned e = 0; e < kEngines; e++) {
    BOOST_TEST(hog.submit(e, job(1 + e, 0, 0, kRanks), AIACCEL_NEVER) == 0);
    for (auto& rank : ranks)
      BOOST_TEST(rank->submit(e, job(1 + e, 1 + e, kRanks), AIACCEL_NEVER) == 0);
  }
  std::uint64_t before = kEngines, most = 0, begun = 0;
  floor.after_each = [&] {
    begun = 0;
    for (auto& engine : floor.engines) begun += engine->granted;
    most = std::max(most, begun - before);
    before = begun;
  };
  const std::uint64_t now = floor.now;
  aia_news news{};
  for (unsigned e = 0; e < kEngines; e++) {
    const aiaccel_completion arg{1 + e, 0, AIACCEL_COMPLETE_CANCEL};
    BOOST_TEST(aia_turns_complete(&hog.turns, &arg, !e, floor.now, &news) == 0);
  }
  floor.act(news);
  BOOST_TEST(begun > kEngines);
  while (begun < kEngines + kEngines * kRanks) BOOST_TEST_REQUIRE(floor.step());
  BOOST_TEST(floor.now == now);  // the rest comes at once
  BOOST_TEST(most < AIA_TURNS_STEPS + kRanks);
  BOOST_TEST(most > AIA_TURNS_STEPS / 2);
}

// The same of singles, where a turn as wide as the engine ends.
BOOST_AUTO_TEST_CASE(one_hold_lets_no_more_singles_begin_than_it_may) {
  constexpr unsigned kSingles = AIA_TURNS_STEPS + 100;
  Floor floor(1, kSingles);
  Party hog(floor, 1);
  BOOST_TEST(hog.submit(0, job(1, 0, 0, kSingles), AIACCEL_NEVER) == 0);
  std::vector<std::unique_ptr<Party>> singles;
  for (unsigned i = 0; i < kSingles; i++) {
    singles.push_back(std::make_unique<Party>(floor, 0));
    BOOST_TEST(singles[i]->submit(0, job(1), AIACCEL_NEVER) == 0);
  }
  BOOST_TEST(hog.end(1) == 0);
  BOOST_TEST(floor.engines[0]->granted > kSingles / 2);
  BOOST_TEST(floor.engines[0]->granted <= 1u + AIA_TURNS_STEPS);
  BOOST_TEST(floor.step());
  BOOST_TEST(floor.engines[0]->granted == 1u + kSingles);
}

// Two groups that are next at one engine each, and want each other's; either of them the older.
BOOST_AUTO_TEST_CASE(the_older_of_two_goes_first) {
  for (const bool swapped : {false, true}) BOOST_TEST_CONTEXT("swapped " << swapped) {
      Floor floor(2, 1);
      Party a(floor, 0), b(floor, 0), c(floor, 1), d(floor, 1), s(floor, 2), t(floor, 2);
      // Tenant 0 has had much of engine 0, and tenant 1 of engine 1.
      BOOST_TEST(a.submit(0, job(1), 100 * kMs) == 0);
      BOOST_TEST(c.submit(1, job(1), 100 * kMs) == 0);
      floor.step();
      BOOST_TEST(s.submit(0, job(1), 50 * kMs) == 0);
      BOOST_TEST(t.submit(1, job(1), 50 * kMs) == 0);
      Party* const older[] = {swapped ? &c : &a, swapped ? &d : &b};
      Party* const younger[] = {swapped ? &a : &c, swapped ? &b : &d};
      for (Party* const* group : {older, younger})
        for (const unsigned e : {0u, 1u})
          BOOST_TEST(group[e]->submit(e, job(1, 7, 2), 10 * kMs) == 0);
      floor.step();
      BOOST_TEST(older[0]->held(0) == 1u);
      BOOST_TEST(older[1]->held(1) == 1u);
      while (floor.step() && !younger[0]->held(0)) BOOST_TEST_REQUIRE(floor.now < 400 * kMs);
      BOOST_TEST(younger[1]->held(1) == 1u);
    }
}

// There is room, but another one is next, and its tenant is ahead by too much to go before.
BOOST_AUTO_TEST_CASE(who_is_ahead_goes_before_nobody) {
  Floor floor(2, 2);
  Party a(floor, 0), b(floor, 0), wide(floor, 1), holder(floor, 2);
  BOOST_TEST(b.submit(1, job(1, 0, 0, 2), 1000 * kMs) == 0);
  floor.step();
  BOOST_TEST(holder.submit(1, job(1), AIACCEL_NEVER) == 0);
  BOOST_TEST(wide.submit(1, job(1, 0, 0, 2), 10 * kMs) == 0);
  BOOST_TEST(a.submit(0, job(1, 7, 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(b.submit(1, job(1, 7, 2), AIACCEL_NEVER) == 0);
  BOOST_TEST(a.held(0) == 0u);
  BOOST_TEST(holder.end(1) == 0);
  BOOST_TEST(wide.held(1) == 1u);
  floor.step();
  BOOST_TEST(a.held(0) == 1u);
  BOOST_TEST(b.held(1) == 1u);
}

// Whatever groups there are: all end, and each has all of its turns from the same instant on.
BOOST_AUTO_TEST_CASE(random_groups_all_have_their_turns) {
  for (unsigned seed = 1; seed <= 30; seed++) {
    std::mt19937_64 random(seed);
    const auto pick = [&](unsigned below) { return static_cast<unsigned>(random() % below); };
    const unsigned nr_engines = 1 + pick(5);
    Floor floor(nr_engines, 1 + pick(3));
    const std::uint32_t classes[] = {pick(AIACCEL_CLASS_REALTIME), AIACCEL_CLASS_NORMAL,
                                     pick(2) ? 2u : pick(AIACCEL_CLASS_REALTIME)};
    std::vector<std::unique_ptr<Party>> parties;
    for (unsigned i = 0; i < 9; i++)  // those of one tenant are of one class
      parties.push_back(
          std::make_unique<Party>(floor, i % Floor::kTenants, classes[i % Floor::kTenants]));
    std::map<std::uint64_t, unsigned> begun;  // by group
    unsigned expected = 0;
    for (auto& party : parties) party->begun = [&](std::uint64_t cookie) { begun[cookie / 100]++; };
    std::map<std::uint64_t, unsigned> sizes;
    floor.after_each = [&] {
      // A turn that began is told before anything else happens: all of a group, or none.
      std::map<std::uint64_t, std::set<std::uint64_t>> since;
      for (const aia_turn* turn : floor.live)
        if (turn->job.state == AIA_SCHED_GRANTED)
          since[turn->note.cookie / 100].insert(turn->job.granted_ns);
      for (const auto& [group, times] : since)
        if (sizes[group]) BOOST_TEST_REQUIRE(times.size() == 1u);
    };
    for (std::uint64_t group = 1; group <= 60; group++) {
      // Parties of one tenant, each at another engine.
      const unsigned tenant = pick(Floor::kTenants);
      const unsigned size = 1 + pick(std::min(3u, nr_engines));
      const unsigned first = pick(nr_engines);
      unsigned taken = 0;
      for (unsigned i = 0; i < size; i++) {
        Party& party = *parties[tenant + Floor::kTenants * i];
        const std::uint64_t lasts = (1 + pick(50)) * kMs;
        const int err =
            party.submit((first + i) % nr_engines, job(group * 100 + i, group, size), lasts);
        BOOST_TEST_REQUIRE((err == 0 || err == -EDEADLK));
        taken += err == 0;
        if (err) break;
      }
      if (taken == size) {
        sizes[group] = size;
        expected += size;
      } else {  // it would wait for ever
        for (unsigned i = 0; i < taken; i++)
          parties[tenant + Floor::kTenants * i]->end(group * 100 + i);
      }
      if (pick(3) == 0) {
        Party& single = *parties[pick(9)];
        if (!single.submit(pick(nr_engines), job(1000000 + group * 100), pick(30) * kMs))
          expected++;
      }
      for (unsigned steps = pick(4); steps > 0; steps--) floor.step();
    }
    while (floor.step()) BOOST_TEST_REQUIRE(floor.now < 600'000 * kMs);
    unsigned sum = 0;
    for (const auto& [group, count] : begun) sum += count;
    BOOST_TEST_CONTEXT("seed " << seed) {
      BOOST_TEST(floor.live.empty());
      BOOST_TEST(sum == expected);
    }
    BOOST_TEST(floor.groups.by_name.top == nullptr);
  }
}

// Eight engines full of singles, whose turns end at different times, and a group over all of them.
BOOST_AUTO_TEST_CASE(eight_beside_singles_are_not_starved) {
  constexpr unsigned kEngines = 8;
  Floor floor(kEngines, 1);
  std::vector<std::unique_ptr<Party>> ranks, singles;
  std::mt19937_64 random(1);
  const auto lasts = [&] { return (10 + random() % 40) * kMs; };
  for (unsigned e = 0; e < kEngines; e++) {
    ranks.push_back(std::make_unique<Party>(floor, 0));
    for (unsigned i = 0; i < 2; i++) {
      singles.push_back(std::make_unique<Party>(floor, 1 + i));
      singles.back()->submit(e, job(1), lasts());
    }
  }
  unsigned together = 0;
  std::uint64_t since = 0, longest = 0, had = 0;
  for (unsigned round = 0; round < 50; round++) {
    since = floor.now;
    for (unsigned e = 0; e < kEngines; e++)
      BOOST_TEST_REQUIRE(ranks[e]->submit(e, job(2, 7, kEngines), 20 * kMs) == 0);
    while (!ranks[0]->held(0)) {
      BOOST_TEST_REQUIRE(floor.step());
      for (unsigned i = 0; i < singles.size(); i++)
        if (!singles[i]->held(i / 2)) singles[i]->submit(i / 2, job(1), lasts());
    }
    longest = std::max(longest, floor.now - since);
    for (unsigned e = 0; e < kEngines; e++) together += ranks[e]->held(e) == 2;
    had += 20 * kMs;
    while (ranks[0]->held(0)) {
      BOOST_TEST_REQUIRE(floor.step());
      for (unsigned i = 0; i < singles.size(); i++)
        if (!singles[i]->held(i / 2)) singles[i]->submit(i / 2, job(1), lasts());
    }
  }
  BOOST_TEST(together == 50 * kEngines);
  BOOST_TEST_MESSAGE("longest wait of a group of 8 beside singles of 10 to 50 ms: "
                     << longest / kMs << " ms, " << had * 100 / floor.now << " % of the time");
  BOOST_TEST(longest < 200 * kMs);
}

// One that can never begin, and two victims who always want one of its engines. They have their
// shares, but for what group.h says: by an endless turn at the other engine, by a ceiling there, by
// one's own turn; with several groups, and with jobs that come and go.
BOOST_AUTO_TEST_CASE(in_vain_it_takes_its_share_at_most) {
  enum class How { kEndless, kCeiling, kSeat, kThree, kComesAndGoes };
  for (const How how : {How::kEndless, How::kCeiling, How::kSeat, How::kThree, How::kComesAndGoes})
    BOOST_TEST_CONTEXT("how " << static_cast<int>(how)) {
      constexpr std::uint32_t kSlots = 4;
      Floor floor(2, kSlots);
      std::mt19937_64 random(1);
      std::vector<std::unique_ptr<Party>> ranks, victims;
      for (unsigned i = 0; i < 6; i++) ranks.push_back(std::make_unique<Party>(floor, 0));
      Party endless(floor, 0);
      if (how == How::kSeat) {  // of one that is there already
        BOOST_TEST(ranks[1]->submit(1, job(1, 7, 2), AIACCEL_NEVER) == 0);
        BOOST_TEST(ranks[1]->submit(1, job(5), AIACCEL_NEVER) == 0);
        BOOST_TEST(ranks[1]->held(1) == 5u);
      } else {
        BOOST_TEST(endless.submit(1, job(5, 0, 0, kSlots), AIACCEL_NEVER) == 0);
      }
      if (how == How::kCeiling)
        aia_sched_node_set_caps(floor.node(0, 1), AIACCEL_ENGINE_TIME_ALL, 1, floor.now);
      const auto join = [&](unsigned group) {
        BOOST_TEST(ranks[2 * group]->submit(0, job(1, 7 + group, 2), AIACCEL_NEVER) == 0);
        if (how != How::kSeat)
          BOOST_TEST(ranks[2 * group + 1]->submit(1, job(1, 7 + group, 2), AIACCEL_NEVER) == 0);
      };
      std::uint64_t had_ns = 0;
      for (unsigned i = 0; i < 2 * kSlots; i++) {
        victims.push_back(std::make_unique<Party>(floor, 1 + i % 2));
        victims.back()->begun = [&](std::uint64_t) { had_ns += 50 * kMs; };
        BOOST_TEST(victims.back()->submit(0, job(2), 50 * kMs) == 0);
      }
      for (unsigned group = 0; group < (how == How::kThree ? 3u : 1u); group++) join(group);
      constexpr std::uint64_t kLength = 600'000 * kMs;
      while (floor.now < kLength && floor.step()) {
        if (how == How::kComesAndGoes && random() % 16 == 0) {
          ranks[0]->end(1);
          ranks[0]->submit(0, job(1, 7, 2), AIACCEL_NEVER);
        }
        for (auto& victim : victims)
          if (!victim->held(0)) victim->submit(0, job(2), 50 * kMs);
      }
      BOOST_TEST(ranks[0]->held(0) == 0u);
      const std::uint64_t lost_ns = 2 * AIA_WIDE_MAX_NS + AIA_GROUP_AHEAD_NS + 100 * kMs;
      BOOST_TEST_MESSAGE("victims of a group in vain had " << had_ns / (kSlots * kLength / 10000)
                                                           << " of 10000");
      BOOST_TEST(had_ns >= kSlots * (kLength * 2 / 3 - lost_ns));
      BOOST_TEST(had_ns < kSlots * kLength * 95 / 100);  // slots were kept for it
    }
}

// Engines of four slots, full of turns of `singles_ns` that began at any time, and more of them in
// line. How long a group waits that is next at once.
std::uint64_t waits_beside(std::uint64_t singles_ns, unsigned seed) {
  constexpr unsigned kEngines = 5;
  constexpr std::uint32_t kSlots = 4;
  Floor floor(kEngines, kSlots);
  std::vector<std::unique_ptr<Party>> ranks, singles;
  std::mt19937_64 random(seed);
  const auto refill = [&] {
    for (unsigned i = 0; i < singles.size(); i++)
      if (!singles[i]->held(i % kEngines)) singles[i]->submit(i % kEngines, job(1), singles_ns);
  };
  for (unsigned i = 0; i < 2 * kSlots * kEngines; i++) {
    singles.push_back(std::make_unique<Party>(floor, 1 + i % 2));
    singles[i]->submit(i % kEngines, job(1), 1 + random() % singles_ns);
  }
  const std::uint64_t since = floor.now;
  for (unsigned e = 0; e < kEngines; e++) {
    ranks.push_back(std::make_unique<Party>(floor, 0));
    BOOST_TEST(ranks[e]->submit(e, job(2, 7, kEngines, 1 + random() % kSlots), kMs) == 0);
  }
  while (!ranks[0]->held(0)) {
    BOOST_TEST_REQUIRE(floor.now < since + 100 * singles_ns);
    BOOST_TEST_REQUIRE(floor.step());
    refill();
  }
  return floor.now - since;
}

// The edge of what group.h says: turns as long as the first stretch, and longer ones.
BOOST_AUTO_TEST_CASE(beside_short_turns_it_begins_in_the_first_stretch) {
  double longest = 0;
  for (unsigned seed = 1; seed <= 30; seed++) {
    BOOST_TEST(waits_beside(AIA_WIDE_FIRST_NS, seed) <= AIA_WIDE_FIRST_NS);
    for (const std::uint64_t ns :
         {2 * AIA_WIDE_FIRST_NS, 10 * AIA_WIDE_FIRST_NS, AIA_WIDE_MAX_NS / 4})
      longest =
          std::max(longest, static_cast<double>(waits_beside(ns, seed)) / static_cast<double>(ns));
  }
  BOOST_TEST_MESSAGE("beside longer ones a group waited " << longest << " of them at most");
  BOOST_TEST(longest > 1);
  BOOST_TEST(longest < 20);
}

BOOST_AUTO_TEST_SUITE_END()
