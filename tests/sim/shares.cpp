// SPDX-License-Identifier: MIT
//
// Two tenants with more work than the engine can do get time by their weights: however long their
// jobs are, however many queues they open, to half a percent.

#include <tap/tap.hpp>

#include "sim/host.hpp"

namespace {

constexpr double kError = 0.005;

// The part of all time that was `one`'s.
double part_of(const sim::Stream& one, const sim::Stream& other) {
  return static_cast<double>(one.had_ns) / static_cast<double>(one.had_ns + other.had_ns);
}

double part(sim::Host& host, std::uint32_t weight, std::uint32_t other_weight, sim::Times service,
            sim::Times other_service, std::size_t queues = 1, std::size_t other_queues = 1) {
  sim::Stream& one =
      host.saturate({.tenant = host.tenant(weight), .service = std::move(service)}, queues);
  sim::Stream& other = host.saturate(
      {.tenant = host.tenant(other_weight), .service = std::move(other_service)}, other_queues);
  const sim::Ns start_ns = host.now_ns;
  host.run(start_ns + 200 * sim::kSecond);
  // No slot was free: what has not ended yet is less than a turn of each.
  BOOST_TEST(static_cast<double>(one.had_ns + other.had_ns) ==
                 static_cast<double>(host.engine.slots * (host.now_ns - start_ns)),
             boost::test_tools::tolerance(0.01));
  return part_of(one, other);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(shares)

BOOST_AUTO_TEST_CASE(weights_hold_whatever_the_lengths) {
  struct Row {
    std::uint32_t weight, other;
    double expected;
  };
  for (const Row& row : {Row{75, 25, 0.75}, Row{10, 90, 0.1}, Row{100, 100, 0.5}})
    for (const auto& [ns, other_ns] :
         {std::pair{sim::kMs, 50 * sim::kMs}, std::pair{50 * sim::kMs, sim::kMs},
          std::pair{sim::kMs, sim::kMs}})
      BOOST_TEST_CONTEXT(row.weight << ":" << row.other << ", turns of " << ns << " and "
                                    << other_ns << " ns") {
        sim::Host constant(1, 1);
        BOOST_TEST(std::abs(part(constant, row.weight, row.other, sim::constant(ns),
                                 sim::constant(other_ns)) -
                            row.expected) <= kError);
        sim::Host varying(1, 2);
        BOOST_TEST(
            std::abs(part(varying, row.weight, row.other, sim::exponential(static_cast<double>(ns)),
                          sim::exponential(static_cast<double>(other_ns))) -
                     row.expected) <= kError);
      }
}

BOOST_AUTO_TEST_CASE(a_thousand_queues_get_no_more_than_one) {
  sim::Host host(1, 3);
  const double of_one =
      part(host, 0, 0, sim::exponential(sim::kMs), sim::exponential(sim::kMs), 1, 1000);
  BOOST_TEST(std::abs(of_one - 0.5) <= kError);
}

BOOST_AUTO_TEST_SUITE_END()
