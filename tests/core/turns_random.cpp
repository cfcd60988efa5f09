// SPDX-License-Identifier: MIT
//
// Contexts under random calls; see turns_play.hpp.

#include <tap/tap.hpp>

#include <random>

#include "core/turns_play.hpp"

BOOST_AUTO_TEST_SUITE(turns_random)

BOOST_AUTO_TEST_CASE(answers_events_and_memory) {
  std::uint64_t told = 0;
  for (unsigned seed = 1; seed <= 12; seed++) {
    Play play(std::mt19937_64{seed});
    for (unsigned step = 0; step < 8000; step++)
      BOOST_TEST_CONTEXT("seed " << seed << ", step " << step) play.step();
    BOOST_TEST_CONTEXT("seed " << seed) play.end();
    told += play.told();
  }
  BOOST_TEST_MESSAGE("seeds 1 to 12: " << told << " events");
  BOOST_TEST(told > 3000u);
}

BOOST_AUTO_TEST_SUITE_END()
