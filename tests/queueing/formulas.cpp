// SPDX-License-Identifier: MIT
//
// The formulas against published values, against each other where they meet, and against sums over
// the stationary probabilities, which are computed here in another way.

#include <tap/tap.hpp>

#include <array>
#include <cerrno>
#include <cmath>
#include <limits>
#include <vector>

#include <aiaccel/error.hpp>
#include <aiaccel/queueing.hpp>

using namespace aiaccel::queueing;

namespace {

// Relative to the larger, in percent as Boost.Test has it: 1e-4 is one in a million.
constexpr double kPublished = 1e-4;
constexpr double kExact = 1e-10;

#define CHECK_NEAR(value, expected, percent) \
  BOOST_TEST((value) == (expected), boost::test_tools::tolerance((percent) / 100.0))

bool is_einval(const aiaccel::Error& error) {
  return error.code().value() == EINVAL;
}

// Stationary probabilities of a birth and death chain up to `capacity`, by logarithms.
std::vector<double> probabilities(const Station& station, std::uint32_t capacity) {
  std::vector<double> logs(capacity + 1);
  for (std::uint32_t n = 1; n <= capacity; n++)
    logs[n] =
        logs[n - 1] + std::log(station.offered_load()) - std::log(std::min(n, station.servers));
  double most = *std::max_element(logs.begin(), logs.end());
  double sum = 0;
  for (double& value : logs) sum += value = std::exp(value - most);
  for (double& value : logs) value /= sum;
  return logs;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(formulas)

BOOST_AUTO_TEST_CASE(mmc_gives_the_published_values) {
  struct Row {
    Station station;
    double wait_probability, waiting, wait_s;
  };
  const std::array<Row, 7> rows{{
      {{24, 30, 1}, 0.8, 3.2, 2.0 / 15},
      {{300, 182.5, 3}, 0.29075138, 0.35242592, 0.0011747531},
      {{2, 3, 2}, 1.0 / 6, 1.0 / 12, 1.0 / 24},
      {{2, 1, 3}, 4.0 / 9, 8.0 / 9, 4.0 / 9},
      {{4, 1, 5}, 128.0 / 231, 512.0 / 231, 128.0 / 231},
      {{8, 1, 10}, 0.40918015, 1.6367206, 0.20459008},
      {{90, 1, 100}, 0.21694048, 1.9524643, 0.021694048},
  }};
  for (const Row& row : rows) {
    const Measures m = mmc(row.station);
    CHECK_NEAR(m.wait_probability, row.wait_probability, kPublished);
    CHECK_NEAR(m.waiting, row.waiting, kPublished);
    CHECK_NEAR(m.wait_s, row.wait_s, kPublished);
    CHECK_NEAR(m.sojourn_s, m.wait_s + 1 / row.station.service_rate, kExact);
    CHECK_NEAR(m.present, row.station.arrival_rate * m.sojourn_s, kExact);  // Little
  }
}

BOOST_AUTO_TEST_CASE(erlang_b_and_c_agree_with_the_sums_that_define_them) {
  for (std::uint32_t servers : {1u, 2u, 8u, 64u})
    for (double utilization : {0.01, 0.5, 0.9, 0.999}) {
      const double load = servers * utilization;
      const Station station{load, 1, servers};
      const double lost = probabilities(station, servers).back();
      CHECK_NEAR(erlang_b(servers, load), lost, 1e-8);
      // The line's weights are a geometric series that starts with those of all servers busy.
      const double busy = lost / (1 - utilization);
      CHECK_NEAR(erlang_c(servers, load), busy / (1 - lost + busy), 1e-8);
    }
  BOOST_TEST(erlang_b(0, 5) == 1.0);
  BOOST_TEST(erlang_b(5, 0) == 0.0);
  // Far beyond where factorials and powers fit a double.
  CHECK_NEAR(erlang_b(1000000, 1e6), std::sqrt(2 / (M_PI * 1e6)), 0.1);
}

BOOST_AUTO_TEST_CASE(a_quantile_of_the_wait_inverts_its_distribution) {
  const Station station{8, 1, 10};
  const double c = erlang_c(10, 8);
  BOOST_TEST(wait_quantile_s(station, 0.0) == 0.0);
  BOOST_TEST(wait_quantile_s(station, 1 - c - 1e-9) == 0.0);
  for (double quantile : {0.7, 0.9, 0.99, 0.999}) {
    const double wait_s = wait_quantile_s(station, quantile);
    CHECK_NEAR(c * std::exp(-2 * wait_s), 1 - quantile, 1e-8);
  }
  // Its integral over all quantiles is the mean wait.
  double sum = 0;
  constexpr int kSteps = 1000000;
  for (int i = 0; i < kSteps; i++) sum += wait_quantile_s(station, (i + 0.5) / kSteps);
  CHECK_NEAR(sum / kSteps, mmc(station).wait_s, 0.01);
}

BOOST_AUTO_TEST_CASE(what_is_asked_too_much_waits_for_ever) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const Station& station : {Station{10, 1, 10}, Station{11, 1, 10}}) {
    const Measures m = mmc(station);
    BOOST_TEST(m.wait_probability == 1.0);
    BOOST_TEST(m.waiting == kInfinity);
    BOOST_TEST(m.wait_s == kInfinity);
    BOOST_TEST(m.present == kInfinity);
    BOOST_TEST(wait_quantile_s(station, 0.5) == kInfinity);
    BOOST_TEST(allen_cunneen(station, 0, 0).wait_s == kInfinity);
  }
  const Measures idle = mmc({0, 1, 3});
  BOOST_TEST(idle.wait_probability == 0.0);
  BOOST_TEST(idle.present == 0.0);
  BOOST_TEST(idle.sojourn_s == 1.0);
}

BOOST_AUTO_TEST_CASE(a_bounded_line_agrees_with_its_probabilities) {
  for (std::uint32_t servers : {1u, 2u, 8u, 64u})
    for (std::uint32_t capacity : {servers, servers + 1, 2 * servers, servers + 500})
      for (double utilization : {0.3, 1.0, 4.0}) {
        const Station station{3 * servers * utilization, 3, servers};
        const std::vector<double> p = probabilities(station, capacity);
        double present = 0, waiting = 0, busy = 0;
        for (std::uint32_t n = 0; n <= capacity; n++) {
          present += n * p[n];
          waiting += n > servers ? (n - servers) * p[n] : 0;
          busy += n >= servers && n < capacity ? p[n] : 0;
        }
        const BoundedMeasures m = mmck(station, capacity);
        CHECK_NEAR(m.refused, p[capacity], 1e-7);
        CHECK_NEAR(m.of_those_admitted.present, present, 1e-7);
        CHECK_NEAR(m.of_those_admitted.waiting, waiting, 1e-7);
        CHECK_NEAR(m.of_those_admitted.wait_probability, busy / (1 - p[capacity]), 1e-7);
        CHECK_NEAR(m.throughput * m.of_those_admitted.sojourn_s, present, 1e-7);  // Little
      }
}

BOOST_AUTO_TEST_CASE(a_bounded_line_meets_the_formulas_at_its_ends) {
  // No line: Erlang's B. A line that is never full: M/M/c.
  CHECK_NEAR(mmck({8, 1, 10}, 10).refused, erlang_b(10, 8), kExact);
  const Measures m = mmck({8, 1, 10}, 2000).of_those_admitted;
  CHECK_NEAR(m.wait_s, mmc({8, 1, 10}).wait_s, kExact);
  CHECK_NEAR(m.wait_probability, mmc({8, 1, 10}).wait_probability, kExact);
  // Offered 1,000 times what it does, it is full nearly always; no number overflows.
  const BoundedMeasures full = mmck({1000, 1, 1}, 100000);
  CHECK_NEAR(full.throughput, 1.0, 1e-7);
  CHECK_NEAR(full.of_those_admitted.present, 100000.0, 1e-3);
  BOOST_TEST(mmck({0, 1, 2}, 5).of_those_admitted.wait_probability == 0.0);
}

BOOST_AUTO_TEST_CASE(classes_keep_the_work_and_the_order) {
  // By hand, one server: C = 0.8, waits 0.8 / (1 * 0.7) and 0.8 / (0.7 * 0.2).
  const std::array<double, 2> rates{0.3, 0.5};
  const std::vector<Measures> two = mmc_by_priority({0, 1, 1}, rates);
  BOOST_REQUIRE_EQUAL(two.size(), 2u);
  CHECK_NEAR(two[0].wait_s, 0.8 / 0.7, kExact);
  CHECK_NEAR(two[1].wait_s, 0.8 / (0.7 * 0.2), kExact);
  // Order does not change how much waits (all have the same rate of service).
  for (std::uint32_t servers : {1u, 2u, 8u, 64u}) {
    const std::array<double, 3> shares{0.2 * servers, 0.3 * servers, 0.45 * servers};
    const std::vector<Measures> classes = mmc_by_priority({0, 1, servers}, shares);
    double waiting = 0;
    for (const Measures& m : classes) waiting += m.waiting;
    CHECK_NEAR(waiting, mmc({0.95 * servers, 1, servers}).waiting, 1e-7);
    BOOST_TEST(classes[0].wait_s < classes[1].wait_s);
    BOOST_TEST(classes[1].wait_s < classes[2].wait_s);
  }
  // One class is a plain line.
  const std::array<double, 1> one{8};
  CHECK_NEAR(mmc_by_priority({0, 1, 10}, one)[0].wait_s, mmc({8, 1, 10}).wait_s, kExact);
}

BOOST_AUTO_TEST_CASE(a_high_class_is_served_though_the_low_one_is_too_much) {
  const std::array<double, 2> rates{4, 100};
  const std::vector<Measures> classes = mmc_by_priority({0, 1, 8}, rates);
  // All servers are always busy: one comes free 8 times a second, for whoever is first of the high.
  CHECK_NEAR(classes[0].wait_s, 1.0 / (8 * 0.5), kExact);
  BOOST_TEST(std::isinf(classes[1].wait_s));
}

BOOST_AUTO_TEST_CASE(allen_cunneen_gives_the_published_values) {
  CHECK_NEAR(allen_cunneen({24, 30, 1}, 1, 0).wait_s, 1.0 / 15, kPublished);
  CHECK_NEAR(allen_cunneen({10, 3, 4}, 1, 0.25).wait_s, 0.2055380, kPublished);
  // Pollaczek and Khinchine's M/G/1.
  CHECK_NEAR(allen_cunneen({0.5, 1, 1}, 1, 7).wait_s, 0.5 * (1 + 7) / 2 / 0.5, kExact);
  const Measures m = allen_cunneen({8, 1, 10}, 1, 1);
  CHECK_NEAR(m.wait_s, mmc({8, 1, 10}).wait_s, kExact);
}

BOOST_AUTO_TEST_CASE(the_least_servers_keep_the_promise_and_one_fewer_does_not) {
  for (double rate : {0.1, 3.0, 90.0, 5000.0})
    for (double wait_s : {0.0, 0.001, 0.1, 10.0})
      for (double quantile : {0.5, 0.99, 0.9999}) {
        const Station station{rate, 1, 1};
        const auto servers = least_servers(station, {wait_s, quantile}, 10000);
        BOOST_REQUIRE(servers);
        BOOST_TEST(wait_quantile_s({rate, 1, *servers}, quantile) <= wait_s);
        if (*servers > 1) BOOST_TEST(wait_quantile_s({rate, 1, *servers - 1}, quantile) > wait_s);
      }
  // The published station of 100 servers waits 0.0217 s on the average.
  BOOST_TEST(least_servers_for_mean({90, 1, 0}, 0.0217, 1000).value() == 100u);
  BOOST_TEST(least_servers_for_mean({90, 1, 0}, 0.0216, 1000).value() == 101u);
  BOOST_TEST(!least_servers_for_mean({90, 1, 0}, 0.0216, 100));
  BOOST_TEST(!least_servers({90, 1, 0}, {1, 0.5}, 0));
}

BOOST_AUTO_TEST_CASE(numbers_that_make_no_sense_are_einval) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (const Station& bad : {Station{-1, 1, 1}, Station{kNan, 1, 1}, Station{1, 0, 1},
                             Station{1, -1, 1}, Station{1, kNan, 1}, Station{1, 1, 0}}) {
    BOOST_CHECK_EXCEPTION(mmc(bad), aiaccel::Error, is_einval);
    BOOST_CHECK_EXCEPTION(wait_quantile_s(bad, 0.5), aiaccel::Error, is_einval);
    BOOST_CHECK_EXCEPTION(mmck(bad, 10), aiaccel::Error, is_einval);
    BOOST_CHECK_EXCEPTION(allen_cunneen(bad, 1, 1), aiaccel::Error, is_einval);
  }
  const Station good{1, 2, 1};
  const std::array<double, 2> rates{1, -1};
  BOOST_CHECK_EXCEPTION(mmc_by_priority(good, rates), aiaccel::Error, is_einval);
  BOOST_CHECK_EXCEPTION(mmck({1, 1, 5}, 4), aiaccel::Error, is_einval);
  BOOST_CHECK_EXCEPTION(wait_quantile_s(good, 1), aiaccel::Error, is_einval);
  BOOST_CHECK_EXCEPTION(wait_quantile_s(good, kNan), aiaccel::Error, is_einval);
  BOOST_CHECK_EXCEPTION(allen_cunneen(good, -1, 1), aiaccel::Error, is_einval);
  BOOST_CHECK_EXCEPTION(least_servers(good, {-1, 0.5}, 10), aiaccel::Error, is_einval);
  BOOST_CHECK_EXCEPTION(least_servers_for_mean(good, kNan, 10), aiaccel::Error, is_einval);
  BOOST_CHECK_EXCEPTION(erlang_c(0, 1), aiaccel::Error, is_einval);
  BOOST_CHECK_EXCEPTION(erlang_b(1, kNan), aiaccel::Error, is_einval);
}

BOOST_AUTO_TEST_SUITE_END()
