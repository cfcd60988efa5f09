// SPDX-License-Identifier: MIT
//
// Two tenants that always want the engine get what their weights say, within 1 % of its time: with
// turns of one 50 times as long as those of the other, and with 1,000 queues against one.
//
// The arbiter may be off by one turn at either end of the time that is looked at: that is 200 of
// the longest turn, unless one took so long that this is more than half a minute.
#include <algorithm>
#include <array>

#include "greedy.hpp"
#include "tenants.hpp"

using bounds::Greedy;
using bounds::kMs;
using conformance::Child;

namespace {

constexpr double kAllowed = 0.01;
constexpr double kUnsure = 0.02;  // where clocks can tell no better than this, the bound stays

// Whether the first of the two had this part of the engine, by the clients' clocks and as far as
// they tell.
void first_must_have(double share, const std::array<uint32_t, 2>& weights,
                     const std::array<Greedy, 2>& greedy) {
  const auto tenants = bounds::tenants(weights);
  const bounds::TurnsLog log;
  std::deque<Child> children;
  for (int who = 0; who < 2; ++who)
    children.emplace_back([&, who](Child& self) {
      tenants->enter(who);
      return bounds::be_greedy(self, who, greedy[static_cast<size_t>(who)], log);
    });
  const bounds::Watched watched = bounds::watch(children, log, 5000 * kMs);
  BOOST_TEST(std::abs(watched.had[0].ms - share * watched.all_ms) <=
             std::max(kAllowed * watched.all_ms, 2 * watched.longest_ms) +
                 std::min(watched.unsure_ms, kUnsure * watched.all_ms));
}

constexpr Greedy kShort{.turn_ns = kMs / 2}, kLong{.turn_ns = 25 * kMs};

}  // namespace

BOOST_AUTO_TEST_SUITE(shares)

BOOST_AUTO_TEST_CASE(three_quarters_by_short_turns) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  first_must_have(0.75, {75, 25}, {kShort, kLong});
}

BOOST_AUTO_TEST_CASE(three_quarters_by_long_turns) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  first_must_have(0.75, {75, 25}, {kLong, kShort});
}

BOOST_AUTO_TEST_CASE(a_tenth_by_short_turns) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  first_must_have(0.10, {10, 90}, {kShort, kLong});
}

BOOST_AUTO_TEST_CASE(a_tenth_by_long_turns) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  first_must_have(0.10, {10, 90}, {kLong, kShort});
}

BOOST_AUTO_TEST_CASE(a_thousand_queues_get_what_one_gets) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  const Greedy one{.turn_ns = 4 * kMs}, thousand{.turn_ns = 4 * kMs, .contexts = 20, .queues = 50};
  first_must_have(0.50, {100, 100}, {thousand, one});
}

BOOST_AUTO_TEST_SUITE_END()
