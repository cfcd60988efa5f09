// SPDX-License-Identifier: MIT
//
// Workloads by chance under the oracle. What fails is made smaller, as long as it fails, and told
// with its seed: AIACCEL_SIM_PLAN="SEED EVENTS STREAMS" plays that one alone.

#include <tap/tap.hpp>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "sim/plan.hpp"

namespace {

using sim::Outcome;
using sim::Random;
using sim::Size;

constexpr Size kWhole{2000, 12};

Outcome play(std::uint64_t seed, Size size) {
  return sim::play(Random(seed), Random(~seed), size);
}

// The smallest of those tried that fails like the whole: fewer streams, and no event after the one
// at which it shows.
Size shrink(std::uint64_t seed, Size size) {
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (const Size tried :
         {Size{size.events, size.streams - 1}, Size{size.events / 2, size.streams},
          Size{size.events - (size.events + 7) / 8, size.streams}}) {
      if (!tried.streams || !tried.events) continue;
      const Outcome outcome = play(seed, tried);
      if (outcome.broken.empty()) continue;
      size = {std::min(tried.events, outcome.events), tried.streams};
      smaller = true;
      break;
    }
  }
  return size;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(by_chance)

BOOST_AUTO_TEST_CASE(what_must_hold_does) {
  if (const char* plan = std::getenv("AIACCEL_SIM_PLAN")) {
    std::uint64_t seed = 0;
    Size size{};
    std::istringstream(plan) >> seed >> size.events >> size.streams;
    BOOST_TEST(play(seed, size).broken == "");
    return;
  }
  std::uint64_t turns = 0;
  for (std::uint64_t seed = 1; seed <= 100; seed++) {
    const Outcome outcome = play(seed, kWhole);
    turns += outcome.turns;
    if (outcome.broken.empty()) continue;
    const Size size = shrink(seed, kWhole);
    BOOST_TEST_REQUIRE(false, outcome.broken << "; smaller: " << play(seed, size).broken
                                             << ": AIACCEL_SIM_PLAN=\"" << seed << ' '
                                             << size.events << ' ' << size.streams << '"');
  }
  BOOST_TEST_MESSAGE(turns << " turns");
  BOOST_TEST(turns > 50'000u);
}

BOOST_AUTO_TEST_SUITE_END()
