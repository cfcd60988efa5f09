// SPDX-License-Identifier: MIT
//
// Virtual time against the compiler's own 128-bit integers.

#include <tap/tap.hpp>

#include <random>

#include "core/core.hpp"

namespace {

__extension__ using Wide = unsigned __int128;

Wide wide(aia_vtime v) {
  return Wide{v.high} << 64 | v.low;
}
aia_vtime narrow(Wide w) {
  return {static_cast<__u64>(w >> 64), static_cast<__u64>(w)};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(vtime)

BOOST_AUTO_TEST_CASE(sums_and_order_as_of_wide_integers) {
  std::mt19937_64 random(11);
  const __u64 edges[] = {0, 1, 2, ~0ULL, ~0ULL - 1, 1ULL << 63, (1ULL << 63) - 1};
  auto any = [&] { return random() % 3 ? edges[random() % 7] : random(); };
  for (int i = 0; i < 20000; i++) {
    Wide a = Wide{any()} << 64 | any(), b = Wide{any()} << 64 | any();
    BOOST_TEST_REQUIRE((wide(aia_vtime_add(narrow(a), narrow(b))) == a + b));
    BOOST_TEST_REQUIRE((wide(aia_vtime_sub(narrow(a), narrow(b))) == a - b));
    BOOST_TEST_REQUIRE((aia_vtime_before(narrow(a), narrow(b)) == (a < b)));
    BOOST_TEST_REQUIRE((wide(aia_vtime_later(narrow(a), narrow(b))) == (a < b ? b : a)));
  }
}

BOOST_AUTO_TEST_CASE(cost_is_exact_for_its_slowness) {
  std::mt19937_64 random(12);
  for (int i = 0; i < 20000; i++) {
    __u32 weight = AIACCEL_WEIGHT_MIN + static_cast<__u32>(random() % AIACCEL_WEIGHT_MAX);
    __u64 slot_ns = i % 2 ? random() : random() % 1000000;
    __u32 slowness = aia_vtime_slowness(weight);
    BOOST_TEST_REQUIRE((wide(aia_vtime_cost(slot_ns, slowness)) == Wide{slot_ns} * slowness >> 24));
  }
  BOOST_TEST((wide(aia_vtime_cost(~0ULL, aia_vtime_slowness(AIACCEL_WEIGHT_DEFAULT))) == ~0ULL));
  BOOST_TEST((wide(aia_vtime_cost(~0ULL, aia_vtime_slowness(1))) == Wide{~0ULL} * 100));
}

BOOST_AUTO_TEST_CASE(cost_is_inverse_to_weight) {
  for (__u32 weight = AIACCEL_WEIGHT_MIN; weight <= AIACCEL_WEIGHT_MAX; weight++) {
    auto cost = static_cast<double>(aia_vtime_cost(1ULL << 50, aia_vtime_slowness(weight)).low);
    double exact = 100.0 * static_cast<double>(1ULL << 50) / weight;
    BOOST_TEST_REQUIRE(cost <= exact);
    BOOST_TEST_REQUIRE(cost > exact * (1 - 1e-5));
  }
}

BOOST_AUTO_TEST_SUITE_END()
