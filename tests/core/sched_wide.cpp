// SPDX-License-Identifier: MIT
//
// Slots kept free for wide jobs: the bounds of wide.h, by examples under virtual time.

#include <tap/tap.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "sim/host.hpp"

namespace {

using namespace sim;

double part_of(Ns some, Ns all) {
  return static_cast<double>(some) / static_cast<double>(all);
}

// Saturating narrow clients of unequal turns up to `longest_ns`, one tenant each.
std::vector<Client*> narrow_crowd(Host& host, unsigned n, Ns longest_ns,
                                  std::uint32_t class_ = AIACCEL_CLASS_NORMAL) {
  std::vector<Client*> crowd;
  for (unsigned i = 1; i <= n; i++) {
    crowd.push_back(&host.client(
        host.tenant(), {.class_ = class_, .turn_ns = std::max<Ns>(longest_ns * i / n, 1)}));
    host.start(*crowd.back());
  }
  return crowd;
}

Ns had(const std::vector<Client*>& clients) {
  Ns sum = 0;
  for (const Client* c : clients) sum += c->had_ns;
  return sum;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sched_wide)

BOOST_AUTO_TEST_CASE(a_wide_job_waits_five_turns_at_most) {
  for (const Ns longest_ns : {kMs, 30 * kMs, 100 * kMs, 300 * kMs, kSecond, 10 * kSecond})
    for (const std::uint32_t width : {2u, 5u, 8u})
      BOOST_TEST_CONTEXT("turns up to " << longest_ns << " ns, width " << width) {
        Host host(8);
        narrow_crowd(host, 8, longest_ns);
        host.run(host.now_ns + 2 * longest_ns);
        // One job, of a tenant that has had nothing: it is next.
        Client& wide = host.client(host.tenant(), {.turn_ns = kMs, .width = width});
        host.submit(wide);
        host.run(host.now_ns + std::max<Ns>(AIA_WIDE_FIRST_NS, 5 * longest_ns));
        BOOST_TEST(wide.turns_had + (wide.job().state == AIA_SCHED_GRANTED) == 1u);
      }
}

BOOST_AUTO_TEST_CASE(half_of_the_time_is_left_where_a_turn_never_ends) {
  for (const unsigned wide_ones : {1u, 3u, 200u}) BOOST_TEST_CONTEXT(wide_ones << " wide jobs") {
      Host host(8);
      Client& endless = host.client(host.tenant(), {.turn_ns = 1000000 * kSecond});
      host.start(endless);
      for (unsigned i = 0; i < wide_ones; i++) host.start(host.client(host.tenant(), {.width = 8}));
      constexpr Ns kLength = 600 * kSecond;
      const std::vector<Client*> crowd = narrow_crowd(host, 14, 40 * kMs);
      const Ns from_ns = host.now_ns;
      host.run(from_ns + kLength);
      // Seven slots are for the crowd, in half of the time but for the last stretch.
      BOOST_TEST(had(crowd) > 7 * (kLength - AIA_WIDE_MAX_NS) / 2);
      // Of the wide ones each loses its share of them, and once what it pays for later.
      const Ns once_ns = wide_ones * 2 * AIA_WIDE_MAX_NS + 100 * kMs;
      BOOST_TEST(had(crowd) + 7 * once_ns > 7 * kLength * 14 / (14 + wide_ones));
      BOOST_TEST(had(crowd) < 7 * kLength * 95 / 100);  // slots were kept for them
      for (const Client* c : crowd) BOOST_TEST(c->longest_wait_ns <= AIA_WIDE_MAX_NS + 100 * kMs);
    }
}

BOOST_AUTO_TEST_CASE(the_first_stretch_is_short) {
  Host host(2);
  Client& endless = host.client(host.tenant(), {.turn_ns = 1000000 * kSecond});
  host.start(endless);
  host.submit(host.client(host.tenant(), {.width = 2}));
  const Ns from_ns = host.now_ns;
  Client& narrow = host.client(host.tenant());
  host.submit(narrow);
  host.run(from_ns + AIA_WIDE_FIRST_NS - 1);
  BOOST_TEST(narrow.turns_had == 0u);
  host.run(from_ns + AIA_WIDE_FIRST_NS + kMs);
  BOOST_TEST(narrow.turns_had == 1u);
}

BOOST_AUTO_TEST_CASE(small_wide_jobs_take_no_more_than_half) {
  // The drain before each costs more than the job; it is told from how many turns the rest gets.
  Host host(8);
  Client& wide = host.client(host.tenant(), {.turn_ns = kMs / 100, .width = 8});
  host.start(wide);
  Client& slow = host.client(host.tenant(), {.turn_ns = 90 * kMs});
  host.start(slow);
  const std::vector<Client*> crowd = narrow_crowd(host, 20, kMs);
  host.run(host.now_ns + 60 * kSecond);
  BOOST_TEST(part_of(had(crowd), 7 * 60 * kSecond) > 0.45);
  BOOST_TEST(wide.turns_had > 100u);
}

BOOST_AUTO_TEST_CASE(in_a_pause_a_wide_job_begins_when_it_fits) {
  Host host(2);
  Client& endless = host.client(host.tenant(), {.turn_ns = 150 * kMs});
  host.submit(endless);
  Client& wide = host.client(host.tenant(), {.width = 2});
  host.submit(wide);
  const Ns from_ns = host.now_ns;
  host.run(from_ns + 151 * kMs);
  BOOST_TEST(host.engine.wide[AIACCEL_CLASS_NORMAL].paused);
  BOOST_TEST(wide.turns_had == 1u);
  BOOST_TEST(wide.longest_wait_ns == 150 * kMs);
}

BOOST_AUTO_TEST_CASE(a_higher_class_passes) {
  Host host(8);
  narrow_crowd(host, 8, 40 * kMs);
  host.run(host.now_ns + 100 * kMs);
  Client& wide = host.client(host.tenant(), {.turn_ns = kMs, .width = 8});
  host.submit(wide);
  Client& high = host.client(host.tenant(), {.class_ = AIACCEL_CLASS_HIGH});
  host.start(high);
  host.run(host.now_ns + kSecond);
  // It finds a slot after one of the turns of 5 ms and more, and gives it to nobody.
  BOOST_TEST(high.longest_wait_ns <= 5 * kMs);
}

namespace {

// Two tenants with eight clients each.
std::vector<Client*> victims(Host& host) {
  std::vector<Client*> result;
  for (aia_sched_node* node : {host.tenant(), host.tenant()})
    for (Ns i = 0; i < 8; i++) {
      result.push_back(&host.client(node, {.turn_ns = (5 + i) * kMs}));
      host.start(*result.back());
    }
  return result;
}

}  // namespace

// The wide ones wait for a turn of their own tenant, which never ends.
BOOST_AUTO_TEST_CASE(who_waits_for_its_own_turn_for_ever_has_its_share) {
  for (const unsigned wide_ones : {1u, 5u}) BOOST_TEST_CONTEXT(wide_ones << " wide jobs") {
      constexpr Ns kLength = 600 * kSecond;
      Host host(8);
      aia_sched_node* tenant = host.tenant();
      host.start(host.client(tenant, {.turn_ns = 1000000 * kSecond}));
      const std::vector<Client*> crowd = victims(host);
      for (unsigned i = 0; i < wide_ones; i++) host.start(host.client(tenant, {.width = 8}));
      host.run(host.now_ns + kLength);
      BOOST_TEST_MESSAGE("beside who waits for itself: " << part_of(had(crowd), 7 * kLength));
      BOOST_TEST(had(crowd) >= 7 * (kLength * 2 / 3 - 2 * AIA_WIDE_MAX_NS - 100 * kMs));
    }
}

// Wide jobs of one tenant that leave just before they could begin, when a long turn of somebody
// else ends, time and again; or after a stretch, where they could not.
BOOST_AUTO_TEST_CASE(who_leaves_in_vain_has_its_share) {
  for (const bool endless : {false, true}) BOOST_TEST_CONTEXT("endless " << endless) {
      constexpr Ns kLength = 300 * kSecond;
      Host host(8);
      aia_sched_node* leaver = host.tenant();
      Client& holder = host.client(endless ? leaver : host.tenant(),
                                   {.turn_ns = endless ? 1000000 * kSecond : kSecond});
      host.start(holder);
      const std::vector<Client*> crowd = victims(host);
      const Ns from_ns = host.now_ns, waits_ns = endless ? 10 * kSecond : kSecond;
      while (host.now_ns < from_ns + kLength) {
        const Ns until_ns = host.now_ns + waits_ns;
        Client& wide = host.client(leaver, {.width = 8});
        host.submit(wide);
        do host.run(host.now_ns + 2 * kMs);
        while (host.now_ns < until_ns &&
               host.now_ns + 5 * kMs < holder.job().granted_ns + holder.turn_ns);
        BOOST_TEST_REQUIRE(wide.turns_had == 0u);
        host.kill(wide);
        do host.run(host.now_ns + 5 * kMs);
        while (!holder.is_engaged());
      }
      // Seven slots are for the crowd and for who leaves.
      BOOST_TEST_MESSAGE("beside who leaves: " << part_of(had(crowd), 7 * kLength));
      BOOST_TEST(had(crowd) >= 7 * (kLength * 2 / 3 - waits_ns - 100 * kMs));
      BOOST_TEST(had(crowd) < 7 * kLength * 95 / 100);  // slots were kept
    }
}

namespace {

Ns had_in_vtime(const aia_sched_node* node) {
  return node->share[AIACCEL_CLASS_NORMAL].vtime.low;
}

}  // namespace

BOOST_AUTO_TEST_CASE(who_is_passed_by_others_owes_and_who_begins_does_not) {
  Host host(4);
  aia_sched_node *rich = host.tenant(), *poor = host.tenant(), *poorest = host.tenant();
  host.submit(host.client(rich, {.turn_ns = 40 * kMs, .width = 4}));
  host.run(host.now_ns + 41 * kMs);
  Client& passing = host.client(poorest, {.turn_ns = kMs, .width = 4});
  host.submit(passing);
  host.run(host.now_ns + 2 * kMs);
  Client& passed = host.client(poor, {.turn_ns = 30 * kMs, .width = 4});
  host.submit(passed);
  host.run(host.now_ns + 31 * kMs);
  host.submit(host.client(host.tenant(), {.turn_ns = 60 * kMs}));
  host.submit(passed);
  host.submit(host.client(rich, {.turn_ns = kMs}));  // who would have them
  host.run(host.now_ns + 10 * kMs);

  // Another tenant's job passes: it stays a debt.
  const Ns poor_had = had_in_vtime(poor);
  host.submit(passing);
  BOOST_TEST(host.engine.wanting == &passing.job());
  host.run(host.now_ns + 10 * kMs);
  host.look();
  BOOST_TEST(poor->debt.job == &passed.job());
  BOOST_TEST(poor->debt.slot_ns == 3 * 10 * kMs);
  BOOST_TEST(poorest->debt.slot_ns == 3 * 10 * kMs);

  // So it does where slots are kept for REALTIME, by promise.
  const Ns poorest_had = had_in_vtime(poorest);
  Client& promised =
      host.client(poorest, {.class_ = AIACCEL_CLASS_REALTIME, .turn_ns = kMs, .width = 4});
  host.submit(promised);
  BOOST_TEST(host.engine.wanting == &promised.job());
  BOOST_TEST(poorest->debt.job == &passing.job());
  host.kill(promised);

  // One of its own does: it is paid.
  host.submit(host.client(poorest, {.class_ = AIACCEL_CLASS_HIGH, .turn_ns = kMs, .width = 4}));
  BOOST_TEST(had_in_vtime(poorest) == poorest_had + 3 * 10 * kMs);

  // All begin in the end, and pay for their turns alone.
  host.run(host.now_ns + kSecond);
  BOOST_TEST(passing.turns_had == 2u);
  BOOST_TEST(passed.turns_had == 2u);
  BOOST_TEST(had_in_vtime(poorest) == poorest_had + 3 * 10 * kMs + 4 * kMs);
  BOOST_TEST(had_in_vtime(poor) == poor_had + 4 * 30 * kMs);
  for (const aia_sched_node* node : {poor, poorest}) BOOST_TEST(node->debt.job == nullptr);
}

// Nobody else is there, for long; then somebody is, and a newcomer has no more than its share.
BOOST_AUTO_TEST_CASE(what_nobody_else_wanted_costs_nothing) {
  Host host(2);
  aia_sched_node* tenant = host.tenant();
  host.start(host.client(tenant, {.turn_ns = 1000000 * kSecond}));
  Client& wide = host.client(tenant, {.width = 2});
  host.submit(wide);
  host.run(host.now_ns + 300 * kSecond);
  host.kill(wide);
  Client& narrow = host.client(tenant, {.turn_ns = 10 * kMs});
  host.start(host.client(host.tenant(), {.turn_ns = 10 * kMs}));
  host.start(narrow);
  host.run(host.now_ns + 10 * kSecond);
  BOOST_TEST(part_of(narrow.had_ns, 10 * kSecond) > 0.45);
}

// Wide ones of one tenant keep slots from each other alone, for long. That counts, but it is not
// saved up: a newcomer finds one debt at most.
BOOST_AUTO_TEST_CASE(what_nobody_gets_by_it_is_not_paid_for_long) {
  for (const std::uint32_t order : {AIACCEL_ORDER_FAIR, AIACCEL_ORDER_FIFO})
    BOOST_TEST_CONTEXT("order " << order) {
      constexpr Ns kLength = 2 * (2 * AIA_WIDE_MAX_NS + 5 * kSecond);
      Host host(2);
      aia_sched_set_order(&host.engine, order, host.now_ns);
      aia_sched_node* tenant = host.tenant();
      host.start(host.client(tenant, {.turn_ns = 1000000 * kSecond}));
      Client* const wide[] = {&host.client(tenant, {.width = 2}),
                              &host.client(tenant, {.width = 2})};
      for (Client* c : wide) host.submit(*c);
      host.run(host.now_ns + 1000 * kSecond);
      for (Client* c : wide) host.kill(*c);
      aia_sched_set_order(&host.engine, AIACCEL_ORDER_FAIR, host.now_ns);
      Client& narrow = host.client(tenant, {.turn_ns = 10 * kMs});
      host.start(host.client(host.tenant(), {.turn_ns = 10 * kMs}));
      host.start(narrow);
      host.run(host.now_ns + kLength);
      BOOST_TEST(narrow.had_ns >= (kLength - 2 * AIA_WIDE_MAX_NS) / 2 - 100 * kMs);
    }
}

// Many tenants owe for one job, and another of theirs is next of all: one pays after the other, and
// no more of them in one choice than it may let.
BOOST_AUTO_TEST_CASE(one_choice_lets_no_more_pay_than_it_may) {
  constexpr unsigned kTenants = 200;
  struct Seat {
    aia_sched_seat seat;
    aia_sched_queue queue;
    aia_sched_job job{};
    Seat(aia_sched_engine& engine, aia_sched_node& node) {
      aia_sched_seat_init(&seat, &engine);
      aia_sched_queue_init(&queue, &seat, &node, AIACCEL_CLASS_NORMAL, 0);
    }
    void submit(std::uint32_t width, Ns now_ns) {
      job.width = width;
      BOOST_TEST_REQUIRE(aia_sched_submit(&queue, &job, now_ns) == 0);
    }
  };
  struct Tenant {
    aia_sched_node node;
    std::deque<Seat> seats;
    explicit Tenant(aia_sched_engine& engine) {
      aia_sched_node_init(&node, &engine, nullptr, 0);
      for (int i = 0; i < 2; i++) seats.emplace_back(engine, node);
    }
  };
  aia_sched_engine engine;
  aia_sched_engine_init(&engine, 1000);
  Ns now_ns = kSecond;
  std::deque<Tenant> tenants;
  for (unsigned i = 0; i < kTenants; i++) tenants.emplace_back(engine);
  const auto grant = [&] {
    aia_timers_run(&engine.timers, now_ns);
    while (aia_choice_grant_next(&engine, now_ns)) {
    }
  };
  const auto owing = [&] {
    return std::count_if(tenants.begin(), tenants.end(), [](const Tenant& t) {
      return t.node.debt.job == &t.seats[0].job && t.node.debt.slot_ns;
    });
  };
  // Each had a little less than the one before, most of it in its first seat.
  for (const unsigned seat : {0u, 1u}) {
    for (Tenant& t : tenants) t.seats[seat].submit(1, now_ns);
    grant();
    for (unsigned i = kTenants; i-- > 0;) {
      now_ns += seat ? 0 : 10'000;
      aia_sched_complete(&tenants[i].seats[seat].job, now_ns);
    }
  }
  Tenant holder(engine);
  holder.seats[0].submit(1, now_ns);
  grant();
  // So slots are kept for each in turn.
  for (Tenant& t : tenants) {
    t.seats[0].submit(1000, now_ns);
    grant();
    BOOST_TEST_REQUIRE(engine.wanting == &t.seats[0].job);
    now_ns += 100'000;
  }
  BOOST_TEST_REQUIRE(owing() >= kTenants - 2);

  for (Tenant& t : tenants) t.seats[1].submit(1000, now_ns);
  for (auto left = owing(); left; left = owing()) {
    grant();
    BOOST_TEST_REQUIRE(owing() < left);
    BOOST_TEST(owing() + AIA_WIDE_STEP + 1 >= left);
    // The rest comes at once.
    if (owing()) BOOST_TEST(aia_timers_next_ns(&engine.timers) <= now_ns);
  }
}

BOOST_AUTO_TEST_CASE(slots_are_held_for_one_no_matter_who_had_less) {
  Host host(4);
  Client& rich = host.client(host.tenant(), {.turn_ns = kSecond, .width = 4});
  host.submit(rich);
  host.run(host.now_ns + kSecond);
  Client& holder = host.client(host.tenant(), {.turn_ns = 50 * kMs});
  host.submit(holder);
  host.submit(rich);
  BOOST_TEST(aia_wide_hold(&rich.turn->job));
  Client& poor = host.client(host.tenant());
  host.submit(poor);
  BOOST_TEST(poor.job().state == AIA_SCHED_WAITING);
  aia_wide_release(&rich.turn->job);
  host.run(host.now_ns + 1);
  BOOST_TEST(poor.job().state == AIA_SCHED_GRANTED);
  host.run(host.now_ns + 49 * kMs);
  // Held until it begins, or the class pauses.
  BOOST_TEST(aia_wide_hold(&rich.turn->job));
  host.run(host.now_ns + 2 * kMs);
  BOOST_TEST(rich.job().state == AIA_SCHED_GRANTED);
  BOOST_TEST(aia_wide_held(&host.engine, AIACCEL_CLASS_NORMAL) == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
