// SPDX-License-Identifier: MIT
//
// Workloads of the table about who gets how much: honest tenants by their weights, and others who
// would have more.

#include <tap/tap.hpp>

#include "sim/workloads.hpp"

namespace sim {

namespace {

constexpr double kError = 0.005;
constexpr Ns kLength = 200 * kSecond;

// Plays two saturating streams of tenants of their own; the first one's part of all time.
double part_of_first(Host& host, Stream one, Stream other, std::size_t jobs = 1,
                     std::size_t other_jobs = 1) {
  const Stream& a = host.saturate(std::move(one), jobs);
  const Stream& b = host.saturate(std::move(other), other_jobs);
  const Ns start_ns = host.now_ns;
  host.run(start_ns + kLength);
  // No slot was free: what has not ended yet is less than a turn of each.
  BOOST_TEST(ratio(a.had_ns + b.had_ns, host.engine.slots * kLength) > 0.99);
  return part(a.had_ns, b.had_ns);
}

struct Weights {
  std::uint32_t one, other;
};

void shares_are_by_weight(Ns ns, Ns other_ns) {
  for (const Weights& w : {Weights{75, 25}, Weights{10, 90}, Weights{100, 100}})
    BOOST_TEST_CONTEXT(w.one << " to " << w.other << ", turns of " << ns << " and " << other_ns
                             << " ns") {
      const double expected = part(w.one, w.other);
      for (const bool varying : {false, true}) {
        Host host(1);
        const auto stream = [&](std::uint32_t weight, Ns length_ns) {
          return Stream{.tenant = host.tenant(weight),
                        .service = varying ? exponential(length_ns) : constant(length_ns)};
        };
        BOOST_TEST(std::abs(part_of_first(host, stream(w.one, ns), stream(w.other, other_ns)) -
                            expected) <= kError);
      }
    }
}

}  // namespace

void weights() {
  shares_are_by_weight(kMs, kMs);
}

void lengths() {
  shares_are_by_weight(kMs, 50 * kMs);
  shares_are_by_weight(50 * kMs, kMs);
}

void greedy_user() {
  Host host(1);
  const double of_one =
      part_of_first(host, {.tenant = host.tenant(), .service = exponential(kMs)},
                    {.tenant = host.tenant(), .service = exponential(kMs)}, 1, 1000);
  BOOST_TEST(std::abs(of_one - 0.5) <= kError);
}

void nesting_user() {
  constexpr int kDepth = 12;
  Host host(2);
  aia_sched_node* flat = host.tenant();
  const Stream& plain = host.saturate({.tenant = flat, .service = exponential(kMs)}, 4);
  std::vector<const Stream*> nested;
  aia_sched_node* below = host.tenant();
  for (int i = 0; i < kDepth; i++, below = host.tenant(AIACCEL_WEIGHT_MAX, below))
    nested.push_back(&host.saturate(
        {.tenant = below, .weight = AIACCEL_WEIGHT_MAX, .service = exponential(kMs)}, 4));
  host.run(host.now_ns + kLength);
  Ns of_nested = 0;
  for (const Stream* s : nested) of_nested += s->had_ns;
  BOOST_TEST(std::abs(part(plain.had_ns, of_nested) - 0.5) <= kError);
}

void sleeper() {
  constexpr Ns kTurn = 5 * kMs;
  Host host(1);
  Client& busy = host.client(host.tenant(), {.turn_ns = kTurn});
  Client& asleep = host.client(host.tenant(), {.turn_ns = kTurn});
  host.start(asleep);
  host.start(busy);
  host.run(host.now_ns + 100 * kMs);
  host.stop(asleep);
  host.run(host.now_ns + 60 * kSecond);
  const Ns busy_before = busy.had_ns, asleep_before = asleep.had_ns;
  asleep.longest_wait_ns = 0;
  host.start(asleep);
  for (int i = 0; i < 1000; i++) {
    host.run(host.now_ns + kMs);
    BOOST_TEST_REQUIRE(asleep.had_ns - asleep_before <=
                       busy.had_ns - busy_before + AIA_SHARE_LAG_NS + 2 * kTurn);
  }
  BOOST_TEST(asleep.longest_wait_ns <= kTurn);
  BOOST_TEST(busy.had_ns - busy_before >= 400 * kMs);  // who was awake goes on, too
}

void liar() {
  for (const Ns claim : {Ns{0}, 3600 * kSecond}) BOOST_TEST_CONTEXT("claims " << claim << " ns") {
      Host host(2);
      const double of_liar = part_of_first(
          host, {.tenant = host.tenant(), .claimed_ns = claim, .service = exponential(5 * kMs)},
          {.tenant = host.tenant(), .claimed_ns = 5 * kMs, .service = exponential(5 * kMs)}, 4, 4);
      BOOST_TEST(std::abs(of_liar - 0.5) <= kError);
    }
}

void ten_thousand_tenants() {
  constexpr std::size_t kTenants = 10'000;
  constexpr Ns kLongest = 2 * kMs;
  Host host(1);
  std::vector<const Stream*> all;
  Ns waited_ns = 0;
  for (std::size_t i = 0; i < kTenants; i++)
    all.push_back(&host.saturate({.tenant = host.tenant(),
                                  .service = uniform(kMs, kLongest),
                                  .began = [&](Ns ns) { waited_ns = std::max(waited_ns, ns); }},
                                 1));
  host.run(host.now_ns + 20 * kTenants * kLongest);
  const auto [least, most] = std::minmax_element(
      all.begin(), all.end(), [](auto* a, auto* b) { return a->had_ns < b->had_ns; });
  BOOST_TEST((*most)->had_ns - (*least)->had_ns <= 2 * kLongest);
  BOOST_TEST((*least)->turns >= 20u);
  BOOST_TEST(waited_ns <= 2 * kTenants * kLongest);
}

void switched() {
  constexpr std::size_t kJobs = 500;
  Host host(1);
  const auto stream = [&](std::uint32_t weight, Ns length_ns) -> const Stream& {
    return host.saturate({.tenant = host.tenant(weight), .service = exponential(length_ns)}, kJobs);
  };
  const Stream &one = stream(300, kMs), &other = stream(100, 2 * kMs);
  // By age as many turns for one as for the other, since as many jobs of both wait.
  for (const auto& [order, expected] :
       {std::pair{AIACCEL_ORDER_FAIR, 0.75}, std::pair{AIACCEL_ORDER_FIFO, 1.0 / 3},
        std::pair{AIACCEL_ORDER_STRICT, 0.75}, std::pair{AIACCEL_ORDER_EDF, 1.0 / 3},
        std::pair{AIACCEL_ORDER_FAIR, 0.75}}) {
    aia_sched_set_order(&host.engine, order, host.now_ns);
    const Ns start_ns = host.now_ns, had_ns = one.had_ns, other_had_ns = other.had_ns;
    host.run(start_ns + kLength);
    BOOST_TEST_CONTEXT("order " << order) {
      const Ns got_ns = one.had_ns - had_ns, other_got_ns = other.had_ns - other_had_ns;
      BOOST_TEST(std::abs(part(got_ns, other_got_ns) - expected) <= 0.01);
      BOOST_TEST(ratio(got_ns + other_got_ns, kLength) > 0.999);
    }
  }
}

}  // namespace sim
