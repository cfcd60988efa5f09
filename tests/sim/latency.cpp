// SPDX-License-Identifier: MIT
//
// Workloads of the table about how long who waits.

#include <tap/tap.hpp>

#include "sim/batches.hpp"
#include "sim/workloads.hpp"

namespace sim {

namespace {

// P99 of an interactive client's requests: 1 ms each, 300 of them a second at random.
Ns interactive_p99(Ns background_ns) {
  Host host(1);
  Latencies sojourns;
  host.open({.tenant = host.tenant(),
             .class_ = AIACCEL_CLASS_HIGH,
             .contexts = 1,
             .gap = exponential(kSecond / 300),
             .service = constant(kMs),
             .ended = [&](Ns ns) { sojourns.add(ns); }});
  const Stream* hog = nullptr;
  if (background_ns)
    hog = &host.saturate(
        {.tenant = host.tenant(), .class_ = AIACCEL_CLASS_LOW, .service = constant(background_ns)},
        2);
  const Ns start_ns = host.now_ns;
  host.run(start_ns + 300 * kSecond);
  if (hog) BOOST_TEST(ratio(hog->had_ns, host.now_ns - start_ns) > 0.65);  // all that is left
  return sojourns.quantile(0.99);
}

}  // namespace

void hog_and_interactive() {
  const Ns alone_ns = interactive_p99(0);
  for (const Ns background_ns : {kMs / 10, kMs / 2, kMs, 3 * kMs, 10 * kMs, 30 * kMs, 100 * kMs})
    BOOST_TEST_CONTEXT("turns of the hog: " << background_ns << " ns")
  BOOST_TEST(ratio(interactive_p99(background_ns), alone_ns + background_ns) <= 1.10);
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

}  // namespace sim
