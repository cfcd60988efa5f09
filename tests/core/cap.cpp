// SPDX-License-Identifier: MIT
//
// The bucket of engine time against the compiler's own 128-bit integers.

#include <tap/tap.hpp>

#include <algorithm>
#include <random>

#include "core/core.hpp"

namespace {

__extension__ using Wide = __int128;

constexpr __u32 kAll = AIACCEL_ENGINE_TIME_ALL;

}  // namespace

BOOST_AUTO_TEST_SUITE(cap)

BOOST_AUTO_TEST_CASE(products_are_exact) {
  std::mt19937_64 random(31);
  for (int i = 0; i < 20000; i++) {
    const __u64 a = random() >> random() % 64;
    const auto b = static_cast<__u32>(random() >> random() % 32);
    const aia_vtime product = aia_vtime_times(a, b);
    __extension__ using Unsigned = unsigned __int128;
    BOOST_TEST_REQUIRE(((Unsigned{product.high} << 64 | product.low) == Unsigned{a} * b));
  }
}

BOOST_AUTO_TEST_CASE(what_is_missing_is_exact_and_so_is_when_it_is_there_again) {
  std::mt19937_64 random(32);
  for (int round = 0; round < 200; round++) {
    const __u32 slots = random() % 5 ? 1 + random() % 8 : AIA_SCHED_SLOTS_MAX;
    __u32 time = 1 + random() % (kAll - 1);
    __u64 now = random() % (1ULL << 50);
    aia_cap cap{};
    aia_cap_set(&cap, slots, time, now);
    Wide missing = 0;
    __u64 booked = 0;
    for (int step = 0; step < 50; step++) {
      const __u64 past = random() >> (24 + random() % 40);
      now += past;
      if (time < kAll) missing = std::max<Wide>(0, missing - Wide{past} * slots * time);
      if (random() % 3) {
        const __u64 paid = random() >> (16 + random() % 48),
                    begun = random() >> (16 + random() % 48), back = random() % (booked + 1);
        aia_cap_charge(&cap, paid, begun, back, now);
        if (time < kAll)
          missing = std::max<Wide>(0, missing + (Wide{paid} + begun - Wide{back}) * 10000);
        booked += begun - back;
      } else if (random() % 2) {
        const bool none = time == kAll;
        time = random() % 4 ? 1 + random() % (kAll - 1) : kAll;
        if (time == kAll)
          missing = 0;
        else if (none)
          missing = Wide{booked} * 10000;  // it will be returned
        aia_cap_set(&cap, slots, time, now);
      }
      const Wide over = missing - Wide{AIA_CAP_BURST_NS} * slots * time;
      const __u64 clear = aia_cap_clear_ns(&cap, now);
      BOOST_TEST_REQUIRE((clear != 0) == (time < kAll && over >= 0));
      BOOST_TEST_REQUIRE(aia_cap_owes(&cap, now) == (missing > 0));
      if (!clear) continue;
      const Wide end = now + over / (Wide{slots} * time) + 1;
      if (over >> 64) {  // never late; asked again then
        BOOST_TEST_REQUIRE((clear > now && clear <= end));
        continue;
      }
      // Not a nanosecond too early nor too late.
      aia_cap then = cap;
      BOOST_TEST_REQUIRE(aia_cap_clear_ns(&then, clear) == 0u);
      then = cap;
      BOOST_TEST_REQUIRE(aia_cap_clear_ns(&then, clear - 1) == clear);
    }
  }
}

BOOST_AUTO_TEST_CASE(without_a_ceiling_nothing_is_missing) {
  aia_cap cap{};
  aia_cap_charge(&cap, ~0ULL, 0, 0, 5);
  BOOST_TEST(aia_cap_clear_ns(&cap, 5) == 0u);
  aia_cap_set(&cap, 2, 100, 10);
  BOOST_TEST(aia_cap_clear_ns(&cap, 10) == 0u);
  aia_cap_charge(&cap, 1000000000, 0, 0, 10);
  BOOST_TEST(aia_cap_clear_ns(&cap, 10) > 10u);
  aia_cap_set(&cap, 2, kAll, 11);
  BOOST_TEST(aia_cap_clear_ns(&cap, 11) == 0u);
  aia_cap_set(&cap, 2, 100, 12);  // lifted is forgotten
  BOOST_TEST(aia_cap_clear_ns(&cap, 12) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
