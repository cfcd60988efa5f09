// SPDX-License-Identifier: MIT
//
// Workloads of the table about how long who waits.

#include <tap/tap.hpp>

#include "sim/batches.hpp"
#include "sim/workloads.hpp"

namespace sim {

namespace {

// P99 of an interactive client's requests: 1 ms each, so many of them a second at random. Beside it
// work without end in each of the classes.
Ns interactive_p99(unsigned a_second, Ns background_ns, std::vector<std::uint32_t> classes) {
  Host host(1);
  Latencies sojourns;
  host.open({.tenant = host.tenant(),
             .class_ = AIACCEL_CLASS_HIGH,
             .contexts = 1,
             .gap = exponential(kSecond / a_second),
             .service = constant(kMs),
             .ended = [&](Ns ns) { sojourns.add(ns); }});
  std::vector<const Stream*> hogs;
  for (const std::uint32_t c : classes)
    hogs.push_back(&host.saturate(
        {.tenant = host.tenant(), .class_ = c, .service = constant(background_ns)}, 2));
  const Ns start_ns = host.now_ns;
  host.run(start_ns + 300 * kSecond);
  Ns had_ns = 0;
  for (const Stream* hog : hogs) had_ns += hog->had_ns;
  // They have all that is left.
  if (!hogs.empty()) BOOST_TEST(ratio(had_ns, host.now_ns - start_ns) > 0.95 - a_second / 1000.0);
  return sojourns.quantile(0.99);
}

void beside(unsigned a_second, const std::vector<std::uint32_t>& classes) {
  const Ns alone_ns = interactive_p99(a_second, 0, {});
  for (const Ns background_ns : {kMs / 10, kMs / 2, kMs, 3 * kMs, 10 * kMs, 30 * kMs, 100 * kMs})
    BOOST_TEST_CONTEXT("turns of the others: " << background_ns << " ns") {
      const Ns seen_ns = interactive_p99(a_second, background_ns, classes);
      BOOST_TEST(ratio(seen_ns, alone_ns + background_ns) <= 1.10);
    }
}

}  // namespace

void hog_and_interactive() {
  beside(300, {AIACCEL_CLASS_LOW});
}

// As much as the guarantees of normal and low leave, less a little.
void interactive_beside_all() {
  beside(850, {AIACCEL_CLASS_NORMAL, AIACCEL_CLASS_LOW, AIACCEL_CLASS_IDLE});
}

// The mean wait in an M/G/1 line, whatever its order, as long as it looks at no job's length.
void poisson() {
  constexpr Ns kShort = kMs, kLong = 50 * kMs;
  const double mean_s = 1e-9 * (kShort + kLong) / 2;
  const double square_s2 = 1e-18 * (1.0 * kShort * kShort + 1.0 * kLong * kLong) / 2;
  for (const double load : {0.3, 0.6, 0.9}) BOOST_TEST_CONTEXT("load " << load) {
      constexpr std::uint64_t kJobs = 400'000;
      Host host(1);
      Batches waits(kJobs);
      const Ns gap_ns = static_cast<Ns>(1e9 * mean_s / load);
      host.open({.gap = exponential(gap_ns),
                 .service = either(constant(kShort), constant(kLong)),
                 .began = [&](Ns ns) { waits.add(1e-9 * static_cast<double>(ns)); }});
      host.run(AIACCEL_NEVER - 1, [&] { return waits.done(); });
      const double rate = 1e9 / static_cast<double>(gap_ns);
      const double theory = rate * square_s2 / 2 / (1 - rate * mean_s);
      BOOST_TEST(std::abs(waits.mean() - theory) <= 4.6 * waits.standard_error());
      BOOST_TEST(waits.standard_error() <= 0.04 * theory);
    }
}

namespace {

struct Periodic {
  Ns period_ns, length_ns;
};

// Whether periodic jobs without preemption all meet their deadlines by EDF; sorted by period.
// (K. Jeffay, D. F. Stanat, C. U. Martel, On non-preemptive scheduling of periodic and sporadic
// tasks, 1991, theorem 4.1)
bool feasible(const std::vector<Periodic>& tasks) {
  double load = 0;
  for (const Periodic& t : tasks) load += ratio(t.length_ns, t.period_ns);
  if (load > 1) return false;
  for (std::size_t i = 1; i < tasks.size(); i++)
    for (std::size_t k = 0; k < i; k++)
      // Demand grows right after a multiple of a period.
      for (Ns l = tasks[k].period_ns + 1; l < tasks[i].period_ns; l += tasks[k].period_ns) {
        if (l <= tasks[0].period_ns) continue;
        Ns demand_ns = tasks[i].length_ns;
        for (std::size_t j = 0; j < i; j++)
          demand_ns += (l - 1) / tasks[j].period_ns * tasks[j].length_ns;
        if (demand_ns > l) return false;
      }
  return true;
}

std::uint64_t missed(std::uint32_t order, const std::vector<Periodic>& tasks) {
  Host host(1);
  aia_sched_set_order(&host.engine, order, host.now_ns);
  std::uint64_t late = 0;
  for (const Periodic& t : tasks)
    host.open({.tenant = host.tenant(),
               .due_ns = t.period_ns,
               .gap = constant(t.period_ns),
               .service = constant(t.length_ns),
               .ended = [&late, t](Ns sojourn_ns) { late += sojourn_ns > t.period_ns; }});
  host.run(host.now_ns + 600 * kSecond);
  return late;
}

}  // namespace

void deadlines() {
  const std::vector<Periodic> tasks{{20 * kMs, 6 * kMs},   {33 * kMs, 7 * kMs},
                                    {50 * kMs, 10 * kMs},  {90 * kMs, 10 * kMs + kMs / 2},
                                    {170 * kMs, 12 * kMs}, {400 * kMs, 14 * kMs},
                                    {1000 * kMs, 14 * kMs}};
  double load = 0;
  for (const Periodic& t : tasks) load += ratio(t.length_ns, t.period_ns);
  BOOST_TEST(std::abs(load - 0.95) < 0.01);
  BOOST_TEST(feasible(tasks));
  BOOST_TEST(missed(AIACCEL_ORDER_EDF, tasks) == 0u);
  BOOST_TEST(missed(AIACCEL_ORDER_FAIR, tasks) > 0u);
}

// As many promises as the engine gives, of any kind, beside work of all classes without end.
void promises() {
  std::uint64_t jobs = 0, late = 0, refused = 0;
  for (std::uint64_t seed = 1; seed <= 12; seed++) {
    Random random(seed);
    Host host(static_cast<std::uint32_t>(1 + random.below(4)), Random(~seed));
    host.enforce(AIACCEL_PREEMPTIBLE, kMs);
    const Ns others_ns = (1 + random.below(3)) * kMs;
    for (const std::uint32_t c : {AIACCEL_CLASS_HIGH, AIACCEL_CLASS_NORMAL, AIACCEL_CLASS_LOW})
      host.saturate({.tenant = host.tenant(),
                     .class_ = c,
                     .budget_ns = others_ns,
                     .service = constant(others_ns)},
                    4);
    const std::uint32_t widest = host.engine.slots > 2 && random.below(2) ? 2 : 1;
    for (int i = 0; i < 60; i++) {
      const Ns period_ns = (8 + random.below(200)) * kMs;
      const Ns length_ns = period_ns / (5 + random.below(40));
      refused += !host.promise({.tenant = host.tenant(),
                                .width = static_cast<std::uint32_t>(1 + random.below(widest)),
                                .budget_ns = length_ns,
                                .service = constant(length_ns),
                                .ended =
                                    [&jobs, &late, period_ns](Ns sojourn_ns) {
                                      jobs++;
                                      late += sojourn_ns > period_ns;
                                    }},
                               period_ns);
    }
    host.run(host.now_ns + 30 * kSecond);
  }
  BOOST_TEST(late == 0u);
  BOOST_TEST(jobs > 20000u);
  BOOST_TEST(refused > 100u);
}

// Promises up to the limit of realtime.h, kept to the last nanosecond of grace, beside turns of
// every class that end by force alone, once their work was stopped.
void deadline_mix() {
  for (const std::uint32_t slots : {1u, 2u, 4u})
    for (const Ns stop_ns : {Ns{0}, 4 * kMs})
      BOOST_TEST_CONTEXT(slots << " slots, " << stop_ns << " ns to stop work") {
        Random random(slots);
        Host host(slots);
        host.enforce(AIACCEL_PREEMPTIBLE, kMs, stop_ns);
        const Ns stops_ns = (3 * (slots - 1) + 1) * stop_ns;  // as stop.h counts them
        std::vector<const Stream*> overrunning;
        for (std::uint32_t c = AIACCEL_CLASS_IDLE; c < AIACCEL_CLASS_REALTIME; c++)
          overrunning.push_back(&host.saturate({.tenant = host.tenant(),
                                                .class_ = c,
                                                .budget_ns = 10 * kMs,
                                                .service = constant(3600 * kSecond)},
                                               slots));
        std::uint64_t late = 0, jobs = 0;
        std::vector<Periodic> promised;
        Ns longest_ns = 11 * kMs + stops_ns;
        for (Ns i = 0; promised.size() < AIA_REALTIME_MAX && i < 1600; i++) {
          const Periodic p{(100 + random.below(400)) * kMs, 0};
          const Ns budget_ns = p.period_ns / (8 + i / 4);  // ever smaller ones
          const Ns turn_ns = budget_ns + kMs;
          if (!host.promise({.tenant = host.tenant(),
                             .budget_ns = budget_ns,
                             .service = constant(turn_ns - 1),
                             .ended =
                                 [&, p](Ns sojourn_ns) {
                                   jobs++;
                                   late += sojourn_ns > p.period_ns;
                                 }},
                            p.period_ns))
            continue;
          promised.push_back({p.period_ns, turn_ns + stops_ns});
          longest_ns = std::max(longest_ns, turn_ns + stops_ns);
        }
        double sum = 0, most = 0, load = 0;
        for (const Periodic& p : promised) {
          const double v = ratio(p.length_ns, p.period_ns - longest_ns);
          sum += v;
          most = std::max(most, v);
          load += ratio(p.length_ns, p.period_ns);
        }
        const double limit = std::min(slots - (slots - 1) * most, slots * 0.85);
        BOOST_TEST((sum >= 0.95 * limit && sum <= 1.000001 * limit));
        const Ns start_ns = host.now_ns;
        host.run(start_ns + 120 * kSecond);
        BOOST_TEST(late == 0u);
        std::uint64_t expected = 0;
        Ns rest_ns = 0;
        for (const Periodic& p : promised) expected += 120 * kSecond / p.period_ns - 1;
        BOOST_TEST(jobs >= expected);
        for (const Stream* s : overrunning) rest_ns += s->had_ns;
        BOOST_TEST(ratio(rest_ns, 120 * kSecond) >= slots - load - 0.01 * slots);
      }
}

}  // namespace sim
