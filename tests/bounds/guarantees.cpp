// SPDX-License-Identifier: MIT
//
// Under a higher class that always wants the engine, LOW and NORMAL get the twentieth that each is
// owed, and no more: the rest is the higher class's, whose turns are as short or as long as theirs.
#include <algorithm>

#include "greedy.hpp"
#include "one_slot.hpp"

using bounds::Greedy;
using bounds::kMs;
using conformance::Child;

namespace {

constexpr double kOwed = 0.05;
constexpr double kUnsure = 0.005;
constexpr double kLateMs = 1000;  // what the arbiter may owe (core/classes.h)

bounds::Watched shares_of(uint32_t engine, uint64_t low_ns, uint64_t normal_ns, uint64_t high_ns) {
  const bounds::TurnsLog log;
  const Greedy greedy[] = {{.turn_ns = low_ns, .class_ = AIACCEL_CLASS_LOW, .engine = engine},
                           {.turn_ns = normal_ns, .class_ = AIACCEL_CLASS_NORMAL, .engine = engine},
                           {.turn_ns = high_ns, .class_ = AIACCEL_CLASS_HIGH, .engine = engine}};
  std::deque<Child> children;
  for (int who = 0; who < 3; ++who)
    children.emplace_back(
        [&, who](Child& self) { return bounds::be_greedy(self, who, greedy[who], log); });
  return bounds::watch(children, log, 8000 * kMs);
}

void must_be_owed_parts(const bounds::Watched& watched) {
  const double all_ms = watched.all_ms - kLateMs;
  // A turn at either end may count for less than it was.
  const double off_ms = watched.longest_ms + std::min(watched.unsure_ms, kUnsure * all_ms);
  const double low_ms = watched.had[0].ms, normal_ms = watched.had[1].ms;
  BOOST_TEST(low_ms >= kOwed * all_ms - off_ms);
  BOOST_TEST(normal_ms >= kOwed * all_ms - off_ms);
  BOOST_TEST(watched.had[2].ms >= (1 - 2 * kOwed) * all_ms - off_ms);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(guarantees)

BOOST_AUTO_TEST_CASE(lower_classes_have_theirs_by_short_turns) {
  const bounds::OneSlot engine;
  must_be_owed_parts(shares_of(engine.id(), kMs, kMs, 10 * kMs));
}

BOOST_AUTO_TEST_CASE(lower_classes_have_theirs_by_long_turns) {
  const bounds::OneSlot engine;
  must_be_owed_parts(shares_of(engine.id(), 30 * kMs, 20 * kMs, kMs));
}

BOOST_AUTO_TEST_SUITE_END()
