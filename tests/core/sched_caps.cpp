// SPDX-License-Identifier: MIT
//
// Ceilings of tenants, and what else an administrator changes while jobs wait and run, over played
// time: who gets how much, that no slot is lost but to a ceiling, and what waits are put down to.

#include <tap/tap.hpp>

#include <algorithm>
#include <deque>
#include <random>

#include "sim/host.hpp"

using sim::Client, sim::Host, sim::kMs;

namespace {

constexpr std::uint32_t kAll = AIACCEL_ENGINE_TIME_ALL;

double part(std::uint64_t a, std::uint64_t b) {
  return static_cast<double>(a) / static_cast<double>(b);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sched_caps)

BOOST_AUTO_TEST_CASE(a_ceiling_of_time_leaves_the_rest_to_others) {
  Host host(2);
  aia_sched_node *capped = host.tenant(10000), *free = host.tenant(1);
  aia_sched_node_set_caps(capped, kAll / 5, 0, host.now_ns);
  std::vector<Client*> a, b;
  for (int i = 0; i < 3; i++) a.push_back(&host.client(capped)), host.start(*a.back());
  for (int i = 0; i < 3; i++) b.push_back(&host.client(free)), host.start(*b.back());
  host.run(host.now_ns + 10000 * kMs);
  std::uint64_t had = 0;
  for (Client* c : a) had += c->had_ns;
  BOOST_TEST(part(had, 20000 * kMs) == 0.2, boost::test_tools::tolerance(0.02));
  BOOST_TEST(host.engine.busy_ns >= 20000 * kMs - 4 * kMs);  // no slot was lost
}

BOOST_AUTO_TEST_CASE(alone_it_leaves_slots_free_and_gets_what_it_may) {
  for (std::uint32_t time : {1U, 100U, 5000U, kAll - 1}) {
    Host host(2);
    aia_sched_node* tenant = host.tenant();
    aia_sched_node_set_caps(tenant, time, 0, host.now_ns);
    Client& client = host.client(tenant, {.width = 2});
    host.start(client);
    const std::uint64_t length = 100000 * kMs, allowed = 2 * length / kAll * time;
    host.run(host.now_ns + length);
    BOOST_TEST(client.had_ns <= allowed + 2 * AIA_CAP_BURST_NS / kAll * time + 2 * kMs);
    BOOST_TEST(client.had_ns + 2 * kMs >= allowed);
  }
}

BOOST_AUTO_TEST_CASE(ceilings_above_count) {
  Host host(1);
  aia_sched_node *slice = host.tenant(), *one = host.tenant(0, slice), *two = host.tenant(0, slice);
  aia_sched_node_set_caps(slice, kAll / 2, 0, host.now_ns);
  aia_sched_node_set_caps(one, kAll / 10, 0, host.now_ns);
  aia_sched_node_set_caps(two, kAll / 10 * 9, 0, host.now_ns);
  Client &a = host.client(one), &b = host.client(two);
  host.start(a);
  host.start(b);
  host.run(host.now_ns + 20000 * kMs);
  BOOST_TEST(part(a.had_ns, 20000 * kMs) == 0.1, boost::test_tools::tolerance(0.02));
  BOOST_TEST(part(b.had_ns, 20000 * kMs) == 0.4, boost::test_tools::tolerance(0.02));
}

BOOST_AUTO_TEST_CASE(a_ceiling_of_turns_counts_those_below) {
  Host host(4);
  aia_sched_node *slice = host.tenant(), *other = host.tenant();
  aia_sched_node_set_caps(slice, kAll, 2, host.now_ns);
  std::vector<Client*> clients;
  for (int i = 0; i < 6; i++) {
    // of several classes, in several tenants below
    clients.push_back(&host.client(host.tenant(0, slice), {.class_ = i % 4U}));
    host.start(*clients.back());
  }
  for (int i = 0; i < 4; i++) host.start(host.client(other, {.class_ = AIACCEL_CLASS_IDLE}));
  std::uint32_t most = 0;
  host.granted = [&](Client&) { most = std::max<std::uint32_t>(most, slice->turns); };
  host.run(host.now_ns + 1000 * kMs);
  BOOST_TEST(most == 2u);
  std::uint64_t had = 0;
  for (Client* c : clients) had += c->had_ns;
  BOOST_TEST(part(had, 2000 * kMs) == 1.0, boost::test_tools::tolerance(0.02));
  BOOST_TEST(host.engine.busy_ns >= 4000 * kMs - 8 * kMs);
}

BOOST_AUTO_TEST_CASE(the_bound_holds_over_any_time) {
  std::mt19937_64 random(41);
  for (int round = 0; round < 30; round++) {
    const std::uint32_t slots = 1 + random() % 4, time = 1 + random() % (kAll - 1);
    const std::uint64_t longest = (50 + random() % 300) * kMs;
    Host host(slots);
    aia_sched_node* tenant = host.tenant();
    aia_sched_node_set_caps(tenant, time, 0, host.now_ns);
    struct Turn {
      std::uint64_t begin, end;
    };
    std::vector<Turn> turns;
    host.granted = [&](Client& c) {
      if (c.queue.node != tenant) return;
      turns.push_back({host.now_ns, host.now_ns + c.turn_ns});
      c.turn_ns = 1 + random() % longest;  // the next one's
    };
    for (int i = 0; i < 6; i++) {
      const std::uint64_t claimed = random() % (2 * longest), think = random() % 3 * longest;
      Client& c = host.client(
          tenant, {.turn_ns = 1 + random() % longest, .think_ns = think, .claimed_ns = claimed});
      host.start(c);
    }
    host.start(host.client(host.tenant(), {.turn_ns = longest / 3 + 1}));
    host.run(host.now_ns + 20000 * kMs);
    for (const Turn& first : turns) {
      if (random() % 8) continue;
      for (const Turn& last : turns) {
        if (last.end <= first.begin) continue;
        std::uint64_t had = 0;
        for (const Turn& t : turns)
          if (t.begin < last.end && t.end > first.begin)
            had += std::min(t.end, last.end) - std::max(t.begin, first.begin);
        const std::uint64_t length = last.end - first.begin + AIA_CAP_BURST_NS;
        BOOST_TEST_REQUIRE(part(had, 1) <=
                           part(length * slots, kAll) * time + part(2 * slots * longest, 1));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_ceiling_holds_and_is_lifted_at_once) {
  Host host(2);
  aia_sched_node* tenant = host.tenant();
  Client *a = &host.client(tenant, {.turn_ns = 10 * kMs}), *b = &host.client(tenant);
  b->turn_ns = 10 * kMs;
  host.start(*a);
  host.start(*b);
  host.run(host.now_ns + 5 * kMs);
  BOOST_TEST(tenant->turns == 2u);
  aia_sched_node_set_caps(tenant, kAll, 1, host.now_ns);  // what is held stays held
  BOOST_TEST(host.engine.slots_used == 2u);
  host.run(host.now_ns + 100 * kMs);
  BOOST_TEST(host.engine.slots_used == 1u);
  aia_sched_node_set_caps(tenant, kAll, 0, host.now_ns);
  host.run(host.now_ns + 1);
  BOOST_TEST(host.engine.slots_used == 2u);
  aia_sched_node_set_caps(tenant, 1, 0, host.now_ns);
  host.run(host.now_ns + 1000 * kMs);
  BOOST_TEST(host.engine.slots_used == 0u);
  BOOST_TEST(aia_timers_next_ns(&host.engine.timers) > host.now_ns);
  aia_sched_node_set_caps(tenant, kAll, 0, host.now_ns);
  BOOST_TEST(aia_timers_next_ns(&host.engine.timers) == AIACCEL_NEVER);
  host.run(host.now_ns + 1);
  BOOST_TEST(host.engine.slots_used == 2u);
}

BOOST_AUTO_TEST_CASE(a_ceiling_set_while_turns_run_returns_no_more_than_was_booked) {
  for (const bool lifted : {false, true}) {
    Host host(1);
    aia_sched_node* tenant = host.tenant();
    Client& client = host.client(tenant, {.turn_ns = 2000 * kMs});
    host.start(client);
    host.run(host.now_ns + 3000 * kMs);  // one was measured, the next one runs
    if (lifted) {
      aia_sched_node_set_caps(tenant, kAll / 2, 0, host.now_ns);
      aia_sched_node_set_caps(tenant, kAll, 0, host.now_ns);
    }
    client.turn_ns = 10 * kMs;
    aia_sched_node_set_caps(tenant, kAll / 10, 0, host.now_ns);
    Client& other = host.client(tenant, {.turn_ns = 10 * kMs});
    host.start(other);
    host.run(host.now_ns + 1001 * kMs);  // the turn has ended, and cost 2 s
    const std::uint64_t before = client.had_ns + other.had_ns;
    host.run(host.now_ns + 10000 * kMs);
    BOOST_TEST(client.had_ns + other.had_ns - before < 110 * kMs);
    BOOST_TEST(aia_timers_next_ns(&host.engine.timers) > host.now_ns);
    host.run(host.now_ns + 40000 * kMs);
    BOOST_TEST(part(client.had_ns + other.had_ns - before, 50000 * kMs) == 0.064,
               boost::test_tools::tolerance(0.1));
  }
}

BOOST_AUTO_TEST_CASE(many_rests_end_in_many_calls) {
  constexpr int kMany = 3 * AIA_TIMERS_RUN + 1;
  Host host(1);
  std::vector<aia_sched_node*> nodes;
  for (int i = 0; i < kMany; i++) {
    nodes.push_back(host.tenant());
    Client& client = host.client(nodes.back(), {.turn_ns = 1 * kMs});
    host.start(client);
    host.stop(client);
  }
  host.run(host.now_ns + 1000 * kMs);
  for (aia_sched_node* node : nodes) {
    aia_sched_node_set_caps(node, 1, 0, host.now_ns);
    aia_cap_charge(&node->cap, 1000 * kMs, 0, 0, host.now_ns);
    aia_sched_node_set_caps(node, 1, 0, host.now_ns);
  }
  const auto resting = [&] {
    return std::count_if(nodes.begin(), nodes.end(), [](auto* n) { return n->rested.at_ns != 0; });
  };
  BOOST_TEST(resting() == kMany);
  const std::uint64_t end = AIACCEL_NEVER;  // and none is left to be looked at then
  for (int left = kMany; left > 0; left -= AIA_TIMERS_RUN) {
    BOOST_TEST(resting() == left);
    BOOST_TEST(aia_timers_next_ns(&host.engine.timers) < end);
    aia_timers_run(&host.engine.timers, end);
  }
  BOOST_TEST(resting() == 0);
  aia_timers_run(&host.engine.timers, end);
}

// Each takes one turn as a tenant that nobody saw before, and is kept for as long as it owes.
BOOST_AUTO_TEST_CASE(tenants_that_owe_are_no_more_than_the_engine_had_time_for) {
  constexpr std::uint32_t kPart = 20;  // of kAll, to each
  for (const std::uint64_t turn_ns : {std::uint64_t{1000}, kMs, 200 * kMs}) {
    aia_sched_engine engine;
    aia_sched_engine_init(&engine, 1);
    aia_sched_node root;
    aia_sched_node_init(&root, &engine, nullptr, 0);
    std::deque<aia_sched_node> owing;
    std::uint64_t now = kMs;
    std::size_t most = 0;
    for (int i = 0; i < 5000; i++) {
      aia_sched_node* node = &owing.emplace_back();
      aia_sched_node_init(node, &engine, &root, 0);
      aia_sched_node_set_caps(node, kPart, 0, now);
      aia_sched_seat seat;
      aia_sched_seat_init(&seat, &engine);
      aia_sched_queue queue;
      aia_sched_queue_init(&queue, &seat, node, AIACCEL_CLASS_NORMAL, 0);
      aia_sched_job job{};
      job.width = 1;
      BOOST_REQUIRE_EQUAL(aia_sched_submit(&queue, &job, now), 0);
      BOOST_REQUIRE(aia_choice_grant_next(&engine, now) == &job);
      now += turn_ns;
      aia_sched_complete(&job, now);
      aia_sched_queue_fini(&queue);
      while (!owing.empty() && !aia_sched_node_owes(&owing.front(), now)) {
        aia_sched_node_fini(&owing.front());
        owing.pop_front();
      }
      most = std::max(most, owing.size());
    }
    BOOST_TEST(most <= kAll / kPart);
    BOOST_TEST(most + 2 > kAll / kPart);
    now += turn_ns * kAll / kPart + 1;
    for (aia_sched_node& node : owing) {
      BOOST_TEST(!aia_sched_node_owes(&node, now));
      aia_sched_node_fini(&node);
    }
    BOOST_TEST(aia_timers_next_ns(&engine.timers) ==
               AIACCEL_NEVER);  // nobody is left to be looked at
    aia_sched_node_fini(&root);
  }
}

BOOST_AUTO_TEST_CASE(a_false_claim_holds_nobody_back) {
  Host host(2);
  aia_sched_node* slice = host.tenant();
  aia_sched_node_set_caps(slice, kAll / 2, 0, host.now_ns);
  Client& liar = host.client(host.tenant(0, slice), {.turn_ns = 50 * kMs, .claimed_ns = ~0ULL});
  Client& honest = host.client(host.tenant(0, slice));
  host.start(liar);
  host.stop(liar);
  host.start(honest);
  host.run(host.now_ns + 40 * kMs);
  BOOST_TEST(honest.turns_had >= 30u);
}

BOOST_AUTO_TEST_CASE(weights_change_while_turns_run) {
  Host host(1);
  aia_sched_node *left = host.tenant(100), *right = host.tenant(100);
  Client &l = host.client(left), &r = host.client(right);
  host.start(l);
  host.start(r);
  host.run(host.now_ns + 1000 * kMs);
  aia_sched_node_set_weight(left, 300);
  const std::uint64_t l_before = l.had_ns, r_before = r.had_ns;
  host.run(host.now_ns + 4000 * kMs);
  BOOST_TEST(part(l.had_ns - l_before, r.had_ns - r_before) == 3.0,
             boost::test_tools::tolerance(0.03));
}

BOOST_AUTO_TEST_CASE(what_was_booked_before_a_change_of_weight_is_returned_whole) {
  for (const std::uint32_t weight : {1U, 10000U}) {
    Host host(1);
    aia_sched_node *claims = host.tenant(), *other = host.tenant();
    Client& liar = host.client(claims, {.claimed_ns = ~0ULL});
    Client& honest = host.client(other);
    host.start(liar);
    host.stop(liar);
    aia_sched_node_set_weight(claims, weight);
    host.run(host.now_ns + 10 * kMs);
    aia_sched_node_set_weight(claims, 100);
    // Both are as others again: neither starved for what the liar claimed, nor first for as long.
    host.start(honest);
    host.start(liar);
    host.run(host.now_ns + 2000 * kMs);
    BOOST_TEST(part(liar.had_ns, honest.had_ns) == 1.0, boost::test_tools::tolerance(0.2));
  }
}

BOOST_AUTO_TEST_CASE(the_class_changes_while_jobs_wait_and_run) {
  Host host(1);
  Client& holder = host.client(host.tenant(), {.class_ = AIACCEL_CLASS_HIGH, .claimed_ns = ~0ULL});
  Client& urgent = host.client(host.tenant(), {.class_ = AIACCEL_CLASS_HIGH});
  Client& plain = host.client(host.tenant());
  host.start(holder);
  host.start(urgent);
  host.start(plain);
  host.run(host.now_ns + kMs / 2);
  aia_sched_queue_set_class(&holder.queue, AIACCEL_CLASS_LOW, host.now_ns);
  aia_sched_queue_set_class(&urgent.queue, AIACCEL_CLASS_LOW, host.now_ns);
  host.run(host.now_ns + 100 * kMs);
  BOOST_TEST(plain.turns_had >= 99u);
  BOOST_TEST(holder.turns_had == 1u);
  BOOST_TEST(urgent.turns_had == 0u);
  host.stop(plain);
  host.run(host.now_ns + 100 * kMs);
  // The lie that was booked is returned where the turn ended: they are equal.
  BOOST_TEST(std::abs(static_cast<int>(holder.turns_had - urgent.turns_had)) <= 25);
  BOOST_TEST(holder.turns_had + urgent.turns_had >= 98u);
  aia_sched_queue_set_class(&urgent.queue, AIACCEL_CLASS_HIGH, host.now_ns);
  const std::uint64_t before = holder.turns_had;
  host.run(host.now_ns + 100 * kMs);
  BOOST_TEST(holder.turns_had <= before + 1);
}

BOOST_AUTO_TEST_CASE(waits_are_put_down_to_ceilings) {
  Host host(2);
  aia_sched_node *slice = host.tenant(), *unit = host.tenant(0, slice);
  Client &a = host.client(unit, {.turn_ns = 10 * kMs}), &b = host.client(unit);
  const auto capped = [&](const Client& c) { return aia_sched_capped_ns(&c.job(), host.now_ns); };
  aia_sched_node_set_caps(unit, kAll, 1, host.now_ns);
  host.start(a);
  host.stop(a);
  host.run(host.now_ns + kMs);
  host.start(b);  // waits for a's turn because of unit's ceiling
  host.stop(b);
  host.run(host.now_ns + 2 * kMs);
  BOOST_TEST(capped(b) == 2 * kMs);
  aia_sched_node_set_caps(slice, kAll, 1, host.now_ns);  // of slice's as well: counts once
  host.run(host.now_ns + 2 * kMs);
  BOOST_TEST(capped(b) == 4 * kMs);
  aia_sched_node_set_caps(unit, kAll, 0, host.now_ns);
  host.run(host.now_ns + 1 * kMs);
  BOOST_TEST(capped(b) == 5 * kMs);
  aia_sched_node_set_caps(unit, kAll, 1, host.now_ns);
  aia_sched_node_set_caps(slice, kAll, 0, host.now_ns);
  host.run(host.now_ns + 1 * kMs);
  BOOST_TEST(capped(b) == 6 * kMs);
  host.run(host.now_ns + 3 * kMs);  // a has ended
  BOOST_TEST(capped(b) == 9 * kMs);
  BOOST_TEST(capped(a) == 0u);

  // A context that waits for its own turn waits for no ceiling.
  Client& c = host.client(unit, {.turn_ns = 10 * kMs});
  aia_sched_job second{};
  second.width = 1;
  host.run(host.now_ns + 5 * kMs);
  host.submit(c);
  BOOST_TEST(aia_sched_hold(&c.queue, &second, host.now_ns) == 0);
  aia_sched_put_in_line(&second, host.now_ns);
  host.run(host.now_ns + 7 * kMs);
  BOOST_TEST(c.job().state == unsigned{AIA_SCHED_GRANTED});
  BOOST_TEST(aia_sched_capped_ns(&second, host.now_ns) == 0u);
  aia_sched_withdraw(&second, host.now_ns);
  host.run(host.now_ns + 10 * kMs);
  BOOST_TEST(aia_sched_capped_ns(&second, host.now_ns) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
