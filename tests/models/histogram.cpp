// SPDX-License-Identifier: MIT
//
// The latency histogram against sorted samples.

#include <tap/tap.hpp>

#include <random>
#include <vector>

#include <aiaccel/histogram.hpp>

using aiaccel::Histogram;
using std::chrono::nanoseconds;

BOOST_AUTO_TEST_SUITE(histogram)

BOOST_AUTO_TEST_CASE(is_exact_for_small_numbers_and_holds_the_largest) {
  Histogram histogram;
  BOOST_TEST(histogram.percentile(0.5).count() == 0);
  for (int ns = 1; ns <= 20; ns++) histogram.add(nanoseconds(ns));
  BOOST_TEST(histogram.percentile(0.5).count() == 10);
  BOOST_TEST(histogram.percentile(1.0).count() == 20);
  BOOST_TEST(histogram.percentile(0.0).count() == 1);
  histogram.add(nanoseconds::max());
  BOOST_TEST(histogram.percentile(1.0).count() == nanoseconds::max().count());
  histogram.add(nanoseconds(-5));  // a clock that went back counts as nothing
  BOOST_TEST(histogram.percentile(0.0).count() == 0);
  BOOST_TEST(histogram.count() == 22u);
}

BOOST_AUTO_TEST_CASE(percentiles_are_right_to_one_step) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> latency(12, 1.5);
  Histogram histogram;
  std::vector<std::int64_t> samples(20000);
  for (std::int64_t& sample : samples) {
    sample = static_cast<std::int64_t>(latency(random));
    histogram.add(nanoseconds(sample));
  }
  std::sort(samples.begin(), samples.end());
  for (double share : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999}) {
    auto exact = static_cast<double>(
        samples[static_cast<std::size_t>(std::ceil(share * static_cast<double>(samples.size()))) -
                1]);
    auto got = static_cast<double>(histogram.percentile(share).count());
    BOOST_TEST(got >= exact, share << ": " << got << " for " << exact);
    BOOST_TEST(got <= exact * (1 + 1.0 / 32), share << ": " << got << " for " << exact);
  }
}

BOOST_AUTO_TEST_CASE(two_are_as_one_that_all_was_added_to) {
  Histogram first, second, all;
  for (int i = 1; i <= 1000; i++) {
    (i % 3 == 0 ? first : second).add(nanoseconds(i * i));
    all.add(nanoseconds(i * i));
  }
  first.merge(second);
  BOOST_TEST(first.count() == 1000u);
  BOOST_TEST(first.max().count() == 1'000'000);
  BOOST_TEST(first.mean().count() == all.mean().count());
  for (double share : {0.0, 0.1, 0.5, 0.99, 1.0})
    BOOST_TEST(first.percentile(share).count() == all.percentile(share).count(), share);
}

BOOST_AUTO_TEST_SUITE_END()
