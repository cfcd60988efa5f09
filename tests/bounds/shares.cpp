// SPDX-License-Identifier: MIT
//
// Two tenants that always want the engine get what their weights say, within 1 % of its time: with
// turns of one 50 times as long as those of the other, and with 1,000 queues against one.
//
// The arbiter may be off by one turn at either end of the time that is looked at: that is at least
// 200 of the longest turn.
#include <array>

#include "greedy.hpp"
#include "tenants.hpp"

using bounds::Greedy;
using bounds::kMs;
using conformance::Child;

namespace {

// The part of the engine's time that the first of the two had.
double share_of_first(const std::array<uint32_t, 2>& weights, const std::array<Greedy, 2>& greedy) {
  const auto tenants = bounds::tenants(weights);
  const bounds::TurnsLog log;
  std::deque<Child> children;
  for (int who = 0; who < 2; ++who)
    children.emplace_back([&, who](Child& self) {
      tenants->enter(who);
      return bounds::be_greedy(self, who, greedy[static_cast<size_t>(who)], log);
    });
  return bounds::share(bounds::watch(children, log, 5000 * kMs), 0);
}

constexpr double kAllowed = 0.01;
constexpr Greedy kShort{.turn_ns = kMs / 2}, kLong{.turn_ns = 25 * kMs};

}  // namespace

BOOST_AUTO_TEST_SUITE(shares)

BOOST_AUTO_TEST_CASE(three_quarters_by_short_turns) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  BOOST_TEST(std::abs(share_of_first({75, 25}, {kShort, kLong}) - 0.75) <= kAllowed);
}

BOOST_AUTO_TEST_CASE(three_quarters_by_long_turns) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  BOOST_TEST(std::abs(share_of_first({75, 25}, {kLong, kShort}) - 0.75) <= kAllowed);
}

BOOST_AUTO_TEST_CASE(a_tenth_by_short_turns) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  BOOST_TEST(std::abs(share_of_first({10, 90}, {kShort, kLong}) - 0.10) <= kAllowed);
}

BOOST_AUTO_TEST_CASE(a_tenth_by_long_turns) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  BOOST_TEST(std::abs(share_of_first({10, 90}, {kLong, kShort}) - 0.10) <= kAllowed);
}

BOOST_AUTO_TEST_CASE(a_thousand_queues_get_what_one_gets) {
  if (const auto why = bounds::Tenants::missing(); !why.empty()) SKIP(why);
  const Greedy one{.turn_ns = 2 * kMs}, thousand{.turn_ns = 2 * kMs, .contexts = 20, .queues = 50};
  BOOST_TEST(std::abs(share_of_first({100, 100}, {thousand, one}) - 0.50) <= kAllowed);
}

BOOST_AUTO_TEST_SUITE_END()
