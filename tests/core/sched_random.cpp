// SPDX-License-Identifier: MIT
//
// The scheduler under random operations; see sched_world.hpp.

#include <tap/tap.hpp>

#include <random>

#include "core/sched_world.hpp"

BOOST_AUTO_TEST_SUITE(sched_random)

BOOST_AUTO_TEST_CASE(invariants_and_choice) {
  std::uint64_t granted = 0, asked = 0, held_back = 0, owed = 0, in_pauses = 0, paid = 0;
  for (unsigned seed = 1; seed <= 20; seed++) {
    World world(std::mt19937_64{seed});
    for (unsigned step = 0; step < 4000; step++)
      BOOST_TEST_CONTEXT("seed " << seed << ", step " << step) world.step();
    granted += world.granted();
    asked += world.asked();
    held_back += world.held_back();
    owed += world.owed();
    in_pauses += world.in_pauses();
    paid += world.paid();
    BOOST_TEST_CONTEXT("seed " << seed) world.end();
  }
  BOOST_TEST_MESSAGE("seeds 1 to 20: " << granted << " turns, " << asked << " yields, " << held_back
                                       << " times held back, " << owed << " turns owed, "
                                       << in_pauses << " in pauses, " << paid
                                       << " times paid for another");
  BOOST_TEST(granted > 5000u);  // the walk does get about
  BOOST_TEST(asked > 300u);
  BOOST_TEST(held_back > 1000u);
  BOOST_TEST(owed > 100u);
  BOOST_TEST(in_pauses > 200u);
  BOOST_TEST(paid > 20u);
}

BOOST_AUTO_TEST_SUITE_END()
