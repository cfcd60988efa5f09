// SPDX-License-Identifier: MIT
//
// Histograms of durations: what the UAPI header says of the buckets, and of quantiles read from
// them.
#include <algorithm>
#include <random>
#include <vector>

#include "tap/tap.hpp"

extern "C" {
#include "core/histogram.h"
}

BOOST_AUTO_TEST_SUITE(histogram)

namespace {

// As the header has it.
__u64 lower_end(__u32 bucket) {
  return bucket ? 512ULL << bucket : 0;
}
__u64 upper_end(__u32 bucket) {
  return 1024ULL << bucket;
}

constexpr __u32 kLast = AIACCEL_HISTOGRAM_LEN - 1;

}  // namespace

BOOST_AUTO_TEST_CASE(buckets_are_as_the_header_says) {
  BOOST_TEST(aia_histogram_bucket(0) == 0u);
  BOOST_TEST(aia_histogram_bucket(1023) == 0u);
  for (__u32 i = 1; i <= kLast; i++) {
    BOOST_TEST(aia_histogram_bucket(lower_end(i)) == i);
    BOOST_TEST(aia_histogram_bucket(lower_end(i) - 1) == i - 1);
  }
  BOOST_TEST(aia_histogram_bucket(~0ULL) == kLast);
  BOOST_TEST(lower_end(kLast) / 60'000'000'000 == 18u);  // minutes
}

BOOST_AUTO_TEST_CASE(quantiles_are_known_within_a_factor_of_two) {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> length(12, 3);
  aiaccel_histogram histogram{};
  std::vector<__u64> all(20000);
  for (__u64& ns : all) {
    ns = static_cast<__u64>(length(random));
    aia_histogram_add(&histogram, ns);
  }
  std::sort(all.begin(), all.end());
  for (const double q : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const auto rank = static_cast<__u64>(q * static_cast<double>(all.size()));
    __u32 bucket = 0;
    for (__u64 before = 0; (before += histogram.count[bucket]) <= rank;) bucket++;
    BOOST_TEST(upper_end(bucket) > all[rank]);
    if (all[rank] >= 1024) BOOST_TEST(upper_end(bucket) <= 2 * all[rank]);
  }
}

BOOST_AUTO_TEST_CASE(a_sum_is_that_of_all) {
  aiaccel_histogram one{}, two{}, both{};
  for (const __u64 ns : {0ULL, 5000ULL, ~0ULL}) aia_histogram_add(&one, ns);
  for (const __u64 ns : {5001ULL, 100'000ULL}) aia_histogram_add(&two, ns);
  aia_histogram_sum(&both, &one);
  aia_histogram_sum(&both, &two);
  BOOST_TEST(both.count[0] == 1u);
  BOOST_TEST(both.count[aia_histogram_bucket(5000)] == 2u);
  BOOST_TEST(both.count[aia_histogram_bucket(100'000)] == 1u);
  BOOST_TEST(both.count[kLast] == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
