// SPDX-License-Identifier: MIT
//
// What lower classes are owed: the bounds of classes.h, by examples under virtual time.

#include <tap/tap.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "sim/host.hpp"

namespace {

using namespace sim;

constexpr double kOwed = 1.0 / AIA_CLASSES_PARTS;

// More clients of a class than there are slots, each with a tenant of its own.
struct Crowd {
  std::vector<Client*> clients;

  Crowd(Host& host, std::uint32_t class_, Ns turn_ns, std::uint32_t width = 1) {
    for (unsigned i = 0; i < host.engine.slots + 2; i++) {
      clients.push_back(
          &host.client(host.tenant(), {.class_ = class_, .turn_ns = turn_ns, .width = width}));
      host.start(*clients.back());
    }
  }
  Ns had() const {
    Ns sum = 0;
    for (const Client* c : clients) sum += c->had_ns;
    return sum;
  }
  Ns longest_wait() const {
    Ns longest = 0;
    for (const Client* c : clients) longest = std::max(longest, c->longest_wait_ns);
    return longest;
  }
};

double part_of(Ns had_ns, const Host& host, Ns time_ns) {
  return static_cast<double>(had_ns) / static_cast<double>(time_ns * host.engine.slots);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sched_classes)

BOOST_AUTO_TEST_CASE(each_lower_class_gets_its_part_beside_saturating_ones) {
  for (const std::uint32_t slots : {1u, 8u, 64u})
    for (const Ns above_ns : {kMs * slots, 50 * kMs, 2 * kSecond})
      for (const Ns below_ns : {kMs * slots, 20 * kMs, 500 * kMs})
        BOOST_TEST_CONTEXT(slots << " slots, turns of " << above_ns << " above, " << below_ns) {
          Host host(slots);
          Crowd realtime(host, AIACCEL_CLASS_REALTIME, above_ns);
          Crowd high(host, AIACCEL_CLASS_HIGH, below_ns);
          Crowd normal(host, AIACCEL_CLASS_NORMAL, below_ns);
          Crowd low(host, AIACCEL_CLASS_LOW, below_ns);
          Crowd idle(host, AIACCEL_CLASS_IDLE, below_ns);
          const Ns time_ns = 100 * kSecond;
          host.run(host.now_ns + time_ns);
          // The bound of classes.h for each boundary, but for the turns that have not ended.
          const Ns lag_ns = AIA_CLASSES_GAP_NS + above_ns;
          const double running = part_of(below_ns * slots, host, time_ns);
          const double slack = kOwed * part_of(lag_ns * slots, host, time_ns) + running;
          const double h = part_of(high.had(), host, time_ns);
          const double n = part_of(normal.had(), host, time_ns);
          const double l = part_of(low.had(), host, time_ns);
          BOOST_TEST(h + n + l >= 3 * (kOwed - slack));
          BOOST_TEST(n + l >= 2 * (kOwed - slack));
          BOOST_TEST(l >= kOwed - slack);
          // Nor does one of them get more at another's cost, or at the cost of the class above.
          for (const double part : {h, n, l}) BOOST_TEST(std::abs(part - kOwed) <= 2 * slack);
          BOOST_TEST(idle.had() == 0u);
        }
}

BOOST_AUTO_TEST_CASE(what_lower_classes_had_by_age_is_no_debt) {
  Host host(1);
  aia_sched_set_order(&host.engine, AIACCEL_ORDER_FIFO, host.now_ns);
  Crowd high(host, AIACCEL_CLASS_HIGH, 10 * kMs);
  Crowd low(host, AIACCEL_CLASS_LOW, 10 * kMs);
  host.run(host.now_ns + 20 * kSecond);
  BOOST_TEST(low.had() > 9 * kSecond);
  aia_sched_set_order(&host.engine, AIACCEL_ORDER_FAIR, host.now_ns);
  const Ns had_ns = low.had(), time_ns = 10 * kSecond;
  host.run(host.now_ns + time_ns);
  BOOST_TEST(low.had() - had_ns + 20 * kMs >= (time_ns - AIA_CLASSES_GAP_NS) / AIA_CLASSES_PARTS);
}

BOOST_AUTO_TEST_CASE(the_first_turn_comes_after_a_window) {
  Host host(1);
  Crowd high(host, AIACCEL_CLASS_HIGH, 10 * kMs);
  host.run(host.now_ns + 10 * kSecond);
  Client& low = host.client(host.tenant(), {.class_ = AIACCEL_CLASS_LOW});
  host.submit(low);
  host.run(host.now_ns + 2 * kSecond);
  BOOST_TEST(low.longest_wait_ns <= AIA_CLASSES_GAP_NS + 10 * kMs);
  BOOST_TEST(low.longest_wait_ns >= AIA_CLASSES_GAP_NS - 10 * kMs);
}

BOOST_AUTO_TEST_CASE(a_long_turn_that_was_owed_is_paid_back) {
  Host host(1);
  Crowd high(host, AIACCEL_CLASS_HIGH, kMs);
  Client& low = host.client(host.tenant(), {.class_ = AIACCEL_CLASS_LOW, .turn_ns = 10 * kSecond});
  host.start(low);
  const Ns time_ns = 400 * kSecond;
  host.run(host.now_ns + time_ns);
  // Two classes' part is what lies below HIGH, and LOW is alone there.
  BOOST_TEST(part_of(low.had_ns, host, time_ns) <= 2 * kOwed + 0.026);
  BOOST_TEST(part_of(low.had_ns, host, time_ns) >= 2 * kOwed - 0.026);
}

// A high client at random, 0.85 of the engine, in strict order or not: no wait differs.
BOOST_AUTO_TEST_CASE(who_leaves_enough_free_meets_no_more_than_in_strict_order) {
  for (const std::uint32_t low_clients : {1u, 4u})
    for (const Ns low_ns : {kMs / 10, kMs, 10 * kMs})
      BOOST_TEST_CONTEXT(low_clients << " low clients, turns of " << low_ns) {
        std::vector<Ns> waits[2];
        for (const bool strict : {false, true}) {
          Host host(1);
          if (strict) aia_sched_set_order(&host.engine, AIACCEL_ORDER_STRICT, host.now_ns);
          for (unsigned i = 0; i < low_clients; i++)
            host.start(host.client(host.tenant(), {.class_ = AIACCEL_CLASS_LOW,
                                                   .turn_ns = low_ns,
                                                   .think_ns = low_clients == 1 ? 50 * kMs : 0}));
          host.open({.class_ = AIACCEL_CLASS_HIGH,
                     .gap = exponential(kMs * 100 / 85),
                     .service = constant(kMs),
                     .began = [&](Ns ns) { waits[strict].push_back(ns); }});
          host.run(host.now_ns + 100 * kSecond);
        }
        BOOST_TEST((waits[0] == waits[1]));
      }
}

BOOST_AUTO_TEST_CASE(a_turn_that_was_owed_is_not_asked_to_yield) {
  Host host(1);
  Crowd high(host, AIACCEL_CLASS_HIGH, kMs);
  Client& low = host.client(host.tenant(), {.class_ = AIACCEL_CLASS_LOW, .turn_ns = 5 * kMs});
  host.submit(low);
  host.run(host.now_ns + 2 * kSecond, [&] { return low.job().state == AIA_SCHED_GRANTED; });
  BOOST_TEST(low.job().owed);
  BOOST_TEST(!low.job().yield_asked);
  // One that found the engine idle is.
  Host other(1);
  Client& gap = other.client(other.tenant(), {.class_ = AIACCEL_CLASS_LOW});
  other.submit(gap);
  Client& comes = other.client(other.tenant(), {.class_ = AIACCEL_CLASS_HIGH});
  other.submit(comes);
  BOOST_TEST(gap.job().yield_asked);
}

BOOST_AUTO_TEST_CASE(no_job_of_a_group_that_was_owed_its_turn_is_asked_to_yield) {
  Host host(2);
  Crowd normal(host, AIACCEL_CLASS_NORMAL, 10 * kMs);
  aia_sched_node* tenant = host.tenant();
  const Gang& gang = host.gang({&host.client(tenant, {.class_ = AIACCEL_CLASS_LOW}),
                                &host.client(tenant, {.class_ = AIACCEL_CLASS_LOW})});
  unsigned asked = 0;
  host.settled = [&] {
    for (const Client* c : gang.members) asked += c->is_engaged() && c->job().yield_asked;
  };
  host.run(host.now_ns + 20 * kSecond);
  BOOST_TEST(gang.members[0]->turns_had > 100u);
  BOOST_TEST(asked == 0u);
}

BOOST_AUTO_TEST_CASE(turns_that_are_owed_hold_no_more_than_the_part) {
  Host host(64);
  Crowd high(host, AIACCEL_CLASS_HIGH, 3 * kSecond);
  Crowd low(host, AIACCEL_CLASS_LOW, 100 * kSecond);
  std::uint32_t most = 0;
  host.granted = [&](Client&) {
    most = std::max(most, host.engine.classes.held[AIACCEL_CLASS_LOW]);
  };
  host.run(host.now_ns + 100 * kSecond);
  BOOST_TEST(most == 7u);  // 2 parts of 20 of 64 are 6.4
}

BOOST_AUTO_TEST_CASE(a_wide_job_is_owed_its_turn_too) {
  Host host(8);
  std::vector<Client*> high;
  for (unsigned i = 0; i < 16; i++) {
    high.push_back(&host.client(
        host.tenant(), {.class_ = AIACCEL_CLASS_HIGH, .turn_ns = 15 * kMs + i * kMs * 2 / 3}));
    host.start(*high.back());
  }
  Client& low =
      host.client(host.tenant(), {.class_ = AIACCEL_CLASS_LOW, .turn_ns = 5 * kMs, .width = 8});
  host.start(low);
  const Ns time_ns = 100 * kSecond;
  host.run(host.now_ns + time_ns);
  BOOST_TEST(low.turns_had > 50u);
  // What was kept free for it counts: the others have all but what lies below them is owed.
  Ns had_ns = 0;
  for (const Client* c : high) had_ns += c->had_ns;
  BOOST_TEST(part_of(had_ns, host, time_ns) >= 1 - 2 * kOwed - 0.01);
}

BOOST_AUTO_TEST_CASE(a_debt_comes_in_by_time_alone) {
  Host host(1);
  Crowd high(host, AIACCEL_CLASS_HIGH, 10 * kMs);
  Client& low = host.client(host.tenant(), {.class_ = AIACCEL_CLASS_LOW, .turn_ns = 10 * kSecond});
  host.submit(low);
  host.run(host.now_ns + 12 * kSecond);
  BOOST_TEST(low.turns_had == 1u);
  for (Client* c : high.clients) host.stop(*c);
  host.run(host.now_ns + 200 * kSecond);
  for (Client* c : high.clients) host.start(*c);
  host.submit(low);
  host.run(host.now_ns + 12 * kSecond);
  BOOST_TEST(low.turns_had == 2u);
}

BOOST_AUTO_TEST_CASE(who_was_not_owed_is_asked_instead) {
  Host host(64);
  Client& gap = host.client(host.tenant(), {.class_ = AIACCEL_CLASS_LOW, .turn_ns = 100 * kSecond});
  host.submit(gap);
  Crowd high(host, AIACCEL_CLASS_HIGH, 10 * kMs);
  Client& owed =
      host.client(host.tenant(), {.class_ = AIACCEL_CLASS_LOW, .turn_ns = 100 * kSecond});
  host.submit(owed);
  host.run(host.now_ns + 2 * kSecond, [&] { return owed.job().state == AIA_SCHED_GRANTED; });
  BOOST_TEST(owed.job().owed);
  BOOST_TEST(gap.job().yield_asked);
  BOOST_TEST(!owed.job().yield_asked);
}

BOOST_AUTO_TEST_CASE(background_that_gives_way_runs_beside) {
  Host host(4);
  host.engine.gives_way = true;
  Crowd high(host, AIACCEL_CLASS_HIGH, 10 * kMs);
  Crowd normal(host, AIACCEL_CLASS_NORMAL, 10 * kMs);
  Crowd low(host, AIACCEL_CLASS_LOW, 10 * kMs);
  const Ns time_ns = 100 * kSecond;
  host.run(host.now_ns + time_ns);
  const double slack = 0.002;
  BOOST_TEST(part_of(high.had() + normal.had(), host, time_ns) >= 1 - slack);
  BOOST_TEST(std::abs(part_of(normal.had(), host, time_ns) - kOwed) <= slack);
  BOOST_TEST(std::abs(part_of(low.had(), host, time_ns) - kOwed) <= slack);
}

BOOST_AUTO_TEST_CASE(strict_order_owes_nothing) {
  Host host(1);
  aia_sched_set_order(&host.engine, AIACCEL_ORDER_STRICT, host.now_ns);
  Crowd high(host, AIACCEL_CLASS_HIGH, kMs);
  Crowd low(host, AIACCEL_CLASS_LOW, kMs);
  host.run(host.now_ns + 30 * kSecond);
  BOOST_TEST(low.had() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
