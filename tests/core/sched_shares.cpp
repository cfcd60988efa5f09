// SPDX-License-Identifier: MIT
//
// Who gets how much, over played time: weights, trees of tenants, sleepers, liars, newcomers, and
// that no slot stays free for nothing.

#include <tap/tap.hpp>

#include <deque>
#include <memory>

#include "sim/host.hpp"

using sim::Client, sim::Host, sim::kMs;

namespace {

double ratio(const Client& a, const Client& b) {
  return static_cast<double>(a.had_ns) / static_cast<double>(b.had_ns);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sched_shares)

BOOST_AUTO_TEST_CASE(queues_share_by_weight) {
  Host host(1);
  Client& one = host.client(host.root, {.weight = 100});
  Client& three = host.client(host.root, {.weight = 300});
  host.start(one);
  host.start(three);
  host.run(host.now_ns + 4000 * kMs);
  BOOST_TEST(ratio(three, one) == 3.0, boost::test_tools::tolerance(0.02));
  BOOST_TEST(one.had_ns + three.had_ns >= 3999 * kMs);
}

BOOST_AUTO_TEST_CASE(time_counts_and_not_turns) {
  Host host(1);
  Client& fine = host.client(host.root, {.turn_ns = kMs / 10});
  Client& coarse = host.client(host.root, {.turn_ns = 7 * kMs});
  host.start(fine);
  host.start(coarse);
  host.run(host.now_ns + 4000 * kMs);
  BOOST_TEST(ratio(fine, coarse) == 1.0, boost::test_tools::tolerance(0.02));
}

BOOST_AUTO_TEST_CASE(slots_count) {
  Host host(4);
  aia_sched_node *a = host.tenant(), *b = host.tenant();
  Client& wide = host.client(a, {.width = 4});
  Client* narrow[4];
  for (Client*& c : narrow) host.start(*(c = &host.client(b)));
  host.start(wide);
  host.run(host.now_ns + 4000 * kMs);
  std::uint64_t sum = 0;
  for (Client* c : narrow) sum += c->had_ns;
  BOOST_TEST(static_cast<double>(wide.had_ns) / static_cast<double>(sum) == 1.0,
             boost::test_tools::tolerance(0.02));
}

BOOST_AUTO_TEST_CASE(extreme_weights) {
  Host host(1);
  Client& least = host.client(host.root, {.weight = AIACCEL_WEIGHT_MIN, .turn_ns = kMs / 100});
  Client& most = host.client(host.root, {.weight = AIACCEL_WEIGHT_MAX, .turn_ns = kMs / 100});
  host.start(least);
  host.start(most);
  host.run(host.now_ns + 10000 * kMs);
  BOOST_TEST(ratio(most, least) == 10000.0, boost::test_tools::tolerance(0.05));
}

BOOST_AUTO_TEST_CASE(many_queues_or_contexts_gain_a_tenant_nothing) {
  Host host(2);
  aia_sched_node *crowd = host.tenant(), *two = host.tenant();
  std::vector<Client*> many;
  for (int i = 0; i < 40; i++) many.push_back(&host.client(crowd, {.weight = 10000}));
  Client *a = &host.client(two, {.weight = 1}), *b = &host.client(two, {.weight = 1});
  for (Client* c : many) host.start(*c);
  host.start(*a);
  host.start(*b);
  host.run(host.now_ns + 4000 * kMs);
  std::uint64_t sum = 0;
  for (Client* c : many) sum += c->had_ns;
  BOOST_TEST(static_cast<double>(sum) / static_cast<double>(a->had_ns + b->had_ns) == 1.0,
             boost::test_tools::tolerance(0.02));
}

BOOST_AUTO_TEST_CASE(children_divide_what_their_parent_gets) {
  Host host(1);
  aia_sched_node *left = host.tenant(100), *right = host.tenant(300);
  aia_sched_node *rich = host.tenant(400, right), *poor = host.tenant(100, right);
  Client& l = host.client(left);
  Client& r = host.client(rich);
  Client& p1 = host.client(poor);
  Client& p2 = host.client(poor);
  for (Client* c : {&l, &r, &p1, &p2}) host.start(*c);
  host.run(host.now_ns + 20000 * kMs);
  BOOST_TEST(static_cast<double>(l.had_ns) == 5000.0 * kMs, boost::test_tools::tolerance(0.02));
  BOOST_TEST(static_cast<double>(r.had_ns) == 12000.0 * kMs, boost::test_tools::tolerance(0.02));
  BOOST_TEST(static_cast<double>(p1.had_ns) == 1500.0 * kMs, boost::test_tools::tolerance(0.02));
  BOOST_TEST(static_cast<double>(p2.had_ns) == 1500.0 * kMs, boost::test_tools::tolerance(0.02));
}

BOOST_AUTO_TEST_CASE(classes_keep_separate_accounts) {
  Host host(1);
  aia_sched_node *a = host.tenant(), *b = host.tenant();
  Client& urgent = host.client(a, {.class_ = AIACCEL_CLASS_HIGH});
  host.start(urgent);
  host.run(host.now_ns + 1000 * kMs);
  host.stop(urgent);
  Client& left = host.client(a);
  Client& right = host.client(b);
  host.start(left);
  host.start(right);
  host.run(host.now_ns + 1000 * kMs);
  BOOST_TEST(ratio(left, right) == 1.0, boost::test_tools::tolerance(0.02));
}

BOOST_AUTO_TEST_CASE(a_sleeper_is_served_soon_and_cannot_save_up) {
  Host host(1);
  aia_sched_node *a = host.tenant(), *b = host.tenant();
  Client& busy = host.client(a);
  Client& sleeper = host.client(b);
  host.start(sleeper);
  host.start(busy);
  host.run(host.now_ns + 10 * kMs);
  host.stop(sleeper);
  host.run(host.now_ns + 60000 * kMs);  // a minute of sleep
  std::uint64_t busy_before = busy.had_ns, sleeper_before = sleeper.had_ns;
  sleeper.longest_wait_ns = 0;
  host.start(sleeper);
  host.run(host.now_ns + 200 * kMs);
  BOOST_TEST(sleeper.longest_wait_ns <= 2 * kMs);
  std::uint64_t lead = (sleeper.had_ns - sleeper_before) - (busy.had_ns - busy_before);
  BOOST_TEST(lead <= AIA_SHARE_LAG_NS + 2 * kMs);
  BOOST_TEST(lead >= AIA_SHARE_LAG_NS / 2);
}

BOOST_AUTO_TEST_CASE(who_sleeps_a_little_is_served_at_once) {
  Host host(1);
  aia_sched_node *a = host.tenant(), *b = host.tenant();
  Client& flood = host.client(a, {.turn_ns = 5 * kMs});
  Client& server = host.client(b, {.turn_ns = kMs, .think_ns = 9 * kMs});
  host.start(flood);
  host.start(server);
  host.run(host.now_ns + 100 * kMs);
  server.longest_wait_ns = 0;
  host.run(host.now_ns + 4000 * kMs);
  BOOST_TEST(server.longest_wait_ns <= 5 * kMs);  // the turn that runs, no more
  BOOST_TEST(server.turns_had > 250u);
}

BOOST_AUTO_TEST_CASE(work_alone_is_no_debt) {
  Host host(1);
  aia_sched_node *a = host.tenant(), *b = host.tenant();
  Client& first = host.client(a);
  host.start(first);
  host.run(host.now_ns + 3600000 * kMs);  // an hour of an engine that nobody else wanted
  std::uint64_t before = first.had_ns;
  Client& second = host.client(b);
  host.start(second);
  host.run(host.now_ns + 1000 * kMs);
  BOOST_TEST(static_cast<double>(first.had_ns - before) / static_cast<double>(second.had_ns) == 1.0,
             boost::test_tools::tolerance(0.02));
}

BOOST_AUTO_TEST_CASE(a_wide_job_is_not_starved) {
  Host host(8);
  std::vector<Client*> narrow;
  for (unsigned i = 0; i < 16; i++) {
    narrow.push_back(&host.client(host.tenant(), {.turn_ns = kMs + i * kMs / 16}));
    host.start(*narrow.back());
  }
  Client& wide = host.client(host.tenant(), {.turn_ns = kMs, .width = 8});
  host.start(wide);
  host.run(host.now_ns + 2000 * kMs);
  BOOST_TEST(wide.turns_had > 50u);
  // Its fair part is a 17th of the slots: it waits for the others to have as much, and no longer.
  BOOST_TEST(wide.longest_wait_ns < 25 * kMs);
}

// Each of its jobs begins where their tenant stood before the first, not where that one's charge
// brought it.
BOOST_AUTO_TEST_CASE(a_group_pays_for_all_of_its_jobs) {
  Host host(2);
  aia_sched_node *a = host.tenant(), *b = host.tenant();
  host.gang({&host.client(a, {.turn_ns = 500 * kMs}), &host.client(a, {.turn_ns = 500 * kMs})});
  Client *x = &host.client(b, {.turn_ns = 5 * kMs}), *y = &host.client(b, {.turn_ns = 5 * kMs});
  host.start(*x);
  host.start(*y);
  host.run(host.now_ns + 60000 * kMs);
  BOOST_TEST(static_cast<double>(x->had_ns + y->had_ns) == 60000.0 * kMs,
             boost::test_tools::tolerance(0.02));
}

BOOST_AUTO_TEST_CASE(liars_about_cost_gain_nothing) {
  for (std::uint64_t claim : {std::uint64_t{1}, 3600000 * kMs, ~std::uint64_t{0}}) {
    Host host(2);
    aia_sched_node *a = host.tenant(), *b = host.tenant();
    Client* liars[4];
    Client* honest[4];
    for (Client*& c : liars) c = &host.client(a, {.turn_ns = 5 * kMs, .claimed_ns = claim});
    for (Client*& c : honest) c = &host.client(b, {.turn_ns = 5 * kMs, .claimed_ns = 5 * kMs});
    for (int i = 0; i < 4; i++) host.start(*liars[i]), host.start(*honest[i]);
    host.run(host.now_ns + 4000 * kMs);
    std::uint64_t lied = 0, told = 0;
    for (int i = 0; i < 4; i++) lied += liars[i]->had_ns, told += honest[i]->had_ns;
    BOOST_TEST(static_cast<double>(lied) / static_cast<double>(told) == 1.0,
               boost::test_tools::tolerance(0.02));
  }
}

BOOST_AUTO_TEST_CASE(a_false_estimate_held_through_a_long_turn_saves_nothing_up) {
  Host host(2);
  aia_sched_node *a = host.tenant(), *b = host.tenant();
  // The first turn claims an hour: the tenant stands back until it ends after a second, ...
  Client& liar = host.client(a, {.turn_ns = 1000 * kMs, .claimed_ns = 3600000 * kMs});
  Client& accomplice = host.client(a);
  Client *x = &host.client(b), *y = &host.client(b);
  host.start(liar);
  host.stop(liar);
  host.start(*x);
  host.start(*y);
  host.run(host.now_ns + 10 * kMs);
  host.start(accomplice);
  host.run(host.now_ns + 1000 * kMs);
  std::uint64_t before_a = accomplice.had_ns, before_b = x->had_ns + y->had_ns;
  Client& second = host.client(a);
  host.start(second);
  host.run(host.now_ns + 1000 * kMs);
  // ... and then is behind the others by no more than any sleeper.
  std::uint64_t a_had = accomplice.had_ns - before_a + second.had_ns;
  std::uint64_t b_had = x->had_ns + y->had_ns - before_b;
  BOOST_TEST(a_had <= b_had + 2 * AIA_SHARE_LAG_NS + 4 * kMs);
  BOOST_TEST(b_had <= a_had + 2 * AIA_SHARE_LAG_NS + 4 * kMs);
}

BOOST_AUTO_TEST_CASE(in_the_end_a_turn_costs_what_was_measured) {
  Host host(8);
  Client& c = host.client(host.root, {.weight = 50});
  std::uint64_t had = 0;
  for (std::uint64_t i = 1; i <= 50; i++) {
    c.width = 1 + i % 8;
    c.turn_ns = i * i % 17 * kMs;
    c.claimed_ns = 100 * kMs / i;
    had += c.width * c.turn_ns;
    host.submit(c);
    host.run(host.now_ns + 100 * kMs);
  }
  BOOST_TEST(c.had_ns == had);
  aia_vtime start{1, AIA_SHARE_LAG_NS};
  aia_vtime cost = aia_vtime_sub(c.queue.share.vtime, start);
  BOOST_TEST(cost.high == 0u);
  BOOST_TEST(cost.low == 2 * had);  // half the default weight
}

BOOST_AUTO_TEST_CASE(the_estimate_follows_the_turns) {
  Host host(1);
  Client& c = host.client(host.root, {.turn_ns = kMs});
  host.start(c);
  host.run(host.now_ns + 100 * kMs);
  BOOST_TEST(c.queue.estimate_ns == kMs);
  c.turn_ns = 9 * kMs;
  host.run(host.now_ns + 60 * 9 * kMs);
  BOOST_TEST(static_cast<double>(c.queue.estimate_ns) == 9.0 * kMs,
             boost::test_tools::tolerance(0.01));
}

BOOST_AUTO_TEST_CASE(one_tenant_cannot_take_all_free_slots_at_once) {
  Host host(8);
  aia_sched_node *a = host.tenant(), *b = host.tenant();
  std::vector<Client*> as, bs;
  for (int i = 0; i < 8; i++) as.push_back(&host.client(a, {.turn_ns = 100 * kMs}));
  for (int i = 0; i < 8; i++) bs.push_back(&host.client(b, {.turn_ns = 100 * kMs}));
  // All are in line before the first slot is given out.
  host.submit(host.client(host.tenant(), {.turn_ns = kMs / 2, .width = 8}));
  for (Client* c : as) {
    c->claimed_ns = 1;  // a lie, to no avail
    host.submit(*c);
  }
  for (Client* c : bs) {
    host.submit(*c);
  }
  host.run(host.now_ns + kMs);
  auto held = [](const std::vector<Client*>& all) {
    return std::count_if(all.begin(), all.end(),
                         [](Client* c) { return c->job().state == AIA_SCHED_GRANTED; });
  };
  BOOST_TEST(held(as) == 4);
  BOOST_TEST(held(bs) == 4);
}

BOOST_AUTO_TEST_CASE(short_lived_clients_do_not_starve_a_lasting_one) {
  Host host(1);
  Client& lasting = host.client(host.root);
  host.start(lasting);
  std::uint64_t others = 0;
  // There is always a newcomer in line: each opens, takes one turn, and closes.
  Client* current = nullptr;
  for (int i = 0; i < 1000; i++) {
    Client* next = &host.client(host.root);
    host.start(*next);
    host.stop(*next);
    while (current && current->turns_had == 0) host.run(host.now_ns + kMs);
    if (current) others += current->had_ns, host.close(*current);
    current = next;
  }
  // Three are in line at a time.
  BOOST_TEST(static_cast<double>(lasting.had_ns) / static_cast<double>(others) == 0.5,
             boost::test_tools::tolerance(0.02));
}

// The same with a tenant each, which is kept while it owes and looked at again each second, as an
// adapter does.
BOOST_AUTO_TEST_CASE(short_lived_tenants_do_not_starve_a_lasting_one) {
  for (const std::uint64_t turn_ns : {1 * kMs, 100 * kMs}) BOOST_TEST_CONTEXT(turn_ns << " ns") {
      Host host(1);
      Client& lasting = host.client(host.tenant(), {.turn_ns = 1 * kMs});
      host.start(lasting);
      std::uint64_t looked_ns = host.now_ns;
      std::vector<aia_sched_node*> owing;
      Client* current = nullptr;
      aia_sched_node* current_node = nullptr;
      for (int i = 0; i < 1000; i++) {
        aia_sched_node* node = host.tenant();
        Client* next = &host.client(node, {.turn_ns = turn_ns});
        host.start(*next);
        host.stop(*next);
        while (current && current->turns_had == 0) host.run(host.now_ns + kMs / 4);
        if (current) {
          host.close(*current);
          if (aia_sched_node_owes(current_node, host.now_ns))
            owing.push_back(current_node);
          else
            aia_sched_node_fini(current_node);
        }
        if (host.now_ns - looked_ns >= 1000 * kMs) {
          looked_ns = host.now_ns;
          std::erase_if(owing, [&](aia_sched_node* one) {
            if (aia_sched_node_owes(one, host.now_ns)) return false;
            aia_sched_node_fini(one);
            return true;
          });
        }
        current = next;
        current_node = node;
      }
      BOOST_TEST(lasting.turns_had >= 225u);  // of 500
    }
}

// The same with several newcomers in line at a time: it has half of its share at least.
BOOST_AUTO_TEST_CASE(many_short_lived_clients_do_not_starve_a_lasting_one) {
  for (const std::size_t waiting : {2u, 3u, 8u}) BOOST_TEST_CONTEXT(waiting << " wait") {
      Host host(1);
      Client& lasting = host.client(host.root);
      host.start(lasting);
      std::deque<Client*> open;
      for (int i = 0; i < 1000; i++) {
        Client* next = &host.client(host.root);
        host.start(*next);
        host.stop(*next);
        open.push_back(next);
        while (open.size() > waiting) {
          while (open.front()->turns_had == 0) host.run(host.now_ns + kMs / 4);
          host.close(*open.front());
          open.pop_front();
        }
      }
      BOOST_TEST(static_cast<double>(lasting.turns_had) >= 450. / static_cast<double>(waiting + 1));
    }
}

// Of a weight so small that a turn of a second counts as a hundred.
BOOST_AUTO_TEST_CASE(who_goes_in_debt_keeps_newcomers_waiting_for_little) {
  constexpr unsigned kOthers = 4;
  Host host(1);
  for (unsigned i = 0; i < kOthers; i++) host.start(host.client(host.tenant()));
  aia_sched_node* node = host.tenant(AIACCEL_WEIGHT_DEFAULT / 100);
  Client& debtor = host.client(node, {.turn_ns = 1000 * kMs});
  host.start(debtor);
  host.stop(debtor);
  host.run(host.now_ns + 2000 * kMs);
  BOOST_REQUIRE(debtor.turns_had == 1u);
  host.close(debtor);
  BOOST_TEST(aia_sched_node_owes(node, host.now_ns));
  Client& newcomer = host.client(host.tenant());
  host.start(newcomer);
  host.run(host.now_ns + 60'000 * kMs);
  BOOST_TEST(newcomer.turns_had > 10u);
  BOOST_TEST(newcomer.longest_wait_ns > 0u);
  BOOST_TEST(newcomer.longest_wait_ns <= kOthers * AIA_SHARE_ENTRY_NS + kOthers * 2 * kMs);
}

// Its tenant is gone with its last queue, as those of adapters are, but for what it owes.
BOOST_AUTO_TEST_CASE(who_comes_anew_after_each_turn_has_its_share) {
  for (const std::uint32_t others : {1u, 2u, 8u}) BOOST_TEST_CONTEXT(others << " others") {
      const std::uint32_t slots = 1 + others / 3;
      Host host(slots);
      std::vector<Client*> lasting;
      for (std::uint32_t i = 0; i < others; i++) {
        lasting.push_back(&host.client(host.tenant(), {.turn_ns = 10 * kMs}));
        host.start(*lasting.back());
      }
      const std::uint64_t from_ns = host.now_ns;
      aia_sched_node* node = host.tenant();
      std::uint64_t part_ns = 0;
      while (host.now_ns < from_ns + 300000 * kMs) {
        Client& c = host.client(node, {.turn_ns = 1000 * kMs});
        host.submit(c);
        host.run(host.now_ns + 600000 * kMs, [&] { return c.turns_had == 1; });
        part_ns += c.had_ns;
        host.close(c);
        if (aia_sched_node_owes(node, host.now_ns)) continue;
        aia_sched_node_fini(node);
        node = host.tenant();
      }
      const double part =
          static_cast<double>(part_ns) / static_cast<double>(slots * (host.now_ns - from_ns));
      BOOST_TEST_MESSAGE("who comes anew: " << part);
      BOOST_TEST(part < 1.1 / (others + 1));
      BOOST_TEST(part > 0.9 / (others + 1));
    }
}

BOOST_AUTO_TEST_CASE(no_slot_stays_free_while_a_job_fits) {
  Host host(3);
  for (int i = 0; i < 9; i++) {
    Client& c = host.client(
        host.tenant(static_cast<std::uint32_t>(1 + 50 * i)),
        {.class_ = static_cast<std::uint32_t>(i % 4), .turn_ns = kMs / 2 + kMs / 9 * i});
    host.start(c);
  }
  std::uint64_t start = host.now_ns;
  host.run(start + 1000 * kMs);
  // All but the turns that still run has been counted.
  BOOST_TEST(host.engine.slots_used == 3u);
  BOOST_TEST(host.engine.busy_ns >= 3 * 1000 * kMs - 3 * 2 * kMs);
}

BOOST_AUTO_TEST_SUITE_END()
