// SPDX-License-Identifier: MIT
//
// Slots kept free for wide jobs: the bounds of wide.h, by examples under virtual time.

#include <tap/tap.hpp>

#include <algorithm>
#include <cstdint>
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
      const std::vector<Client*> crowd = narrow_crowd(host, 14, 10 * kMs);
      const Ns from_ns = host.now_ns;
      host.run(from_ns + 200 * kSecond);
      // Seven slots are for the crowd, in half of the time but for the last stretch.
      BOOST_TEST(part_of(had(crowd), 7 * 200 * kSecond) >
                 0.5 - part_of(AIA_WIDE_MAX_NS, 200 * kSecond));
      BOOST_TEST(part_of(had(crowd), 7 * 200 * kSecond) < 0.6);
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
