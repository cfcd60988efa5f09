// SPDX-License-Identifier: MIT
//
// Who made whom wait, on tables made up for it: each reason alone, several at once, by their slots,
// and that the parts add up to the wait whatever the table says.
#include "aiaccel/analysis.hpp"

#include <cstring>
#include <map>
#include <random>
#include <string>

#include "tap/tap.hpp"

namespace {

using tools::Explanation;
using tools::Part;
using tools::Why;
using Turn = aiaccel_stats_turn;
using Turns = std::vector<Turn>;

struct Given {
  std::uint64_t context = 1;
  const char* label = "me";
  std::uint32_t class_ = AIACCEL_CLASS_NORMAL;
  std::uint64_t submitted_ns = 0, granted_ns = 0, ended_ns = 0, capped_ns = 0;
  std::uint32_t width = 1;
  std::uint32_t state = 0;
  std::uint32_t engine = 1;
  std::uint32_t count = 1;
  std::uint64_t wait_ns = 0, max_wait_ns = 0;  // of several
};

Turn turn(const Given& given) {
  Turn result{};
  result.context = given.context;
  result.tenant_kind = AIACCEL_TENANT_USER;
  result.source_id = given.context * 10;
  result.pid = static_cast<int>(given.context) * 100;
  result.engine = given.engine;
  result.class_ = given.class_;
  result.width = given.width;
  result.submitted_ns = given.submitted_ns;
  result.granted_ns = given.granted_ns;
  result.ended_ns = given.ended_ns;
  result.capped_ns = given.capped_ns;
  result.count = given.count;
  result.wait_ns = given.wait_ns;
  result.max_wait_ns = given.max_wait_ns;
  if (given.state)
    result.state = given.state;
  else if (given.ended_ns)
    result.state = given.granted_ns ? AIACCEL_TURN_COMPLETED : AIACCEL_TURN_WITHDRAWN;
  else
    result.state = given.granted_ns ? AIACCEL_TURN_RUNNING : AIACCEL_TURN_WAITING;
  std::strcpy(result.label, given.label);
  return result;
}

Explanation ask(const Turns& turns, std::uint64_t from = 0, std::uint64_t to = 1000,
                bool gives_way = false) {
  return tools::explain(
      turns, {1, gives_way, from, to, [](const Turn& t) { return !std::strcmp(t.label, "me"); }});
}

// "share a 30, class b 20"
std::string text(const Explanation& explanation) {
  std::string result;
  for (const Part& part : explanation.parts)
    result += (result.empty() ? "" : ", ") + std::string(why_name(part.why)) + " " + part.label +
              (part.label.empty() ? "" : " ") + std::to_string(part.ns);
  return result;
}

constexpr std::uint32_t kLow = AIACCEL_CLASS_LOW, kHigh = AIACCEL_CLASS_HIGH;

}  // namespace

BOOST_AUTO_TEST_SUITE(analysis)

BOOST_AUTO_TEST_CASE(each_reason_by_itself) {
  const Turn me = turn({.submitted_ns = 100, .granted_ns = 150, .ended_ns = 170});
  const auto beside = [&](Given other) {
    other.label = other.context == 1 ? "other" : "you";
    other.granted_ns = 90;
    other.ended_ns = 150;
    return text(ask({turn(other), me}));
  };
  BOOST_TEST(beside({.context = 2, .class_ = kHigh}) == "class you 50");
  BOOST_TEST(beside({.context = 2}) == "share you 50");
  BOOST_TEST(beside({.context = 2, .class_ = kLow}) == "running you 50");
  BOOST_TEST(beside({.context = 1, .class_ = kHigh}) == "own other 50");
  BOOST_TEST(beside({.context = 2, .engine = 2}) == "unseen 50");
  const Explanation alone = ask({me});
  BOOST_TEST(text(alone) == "unseen 50");
  BOOST_TEST(alone.waits == 1u);
  BOOST_TEST(alone.wait_ns == 50u);
  BOOST_TEST(alone.longest_ns == 50u);
  BOOST_TEST(alone.turns == 1u);
  BOOST_TEST(alone.run_ns == 20u);
  BOOST_TEST(alone.oldest_ns == 170u);
}

BOOST_AUTO_TEST_CASE(another_context_of_the_target_is_its_own) {
  const Turn me = turn({.submitted_ns = 100, .granted_ns = 150, .ended_ns = 170});
  const Turn mine =
      turn({.context = 2, .class_ = kHigh, .submitted_ns = 90, .granted_ns = 90, .ended_ns = 150});
  BOOST_TEST(text(ask({mine, me})) == "own me 50");
  // Unlike a turn of the same context, it leaves room for others.
  const Turn other = turn({.context = 3, .label = "a", .granted_ns = 90, .ended_ns = 150});
  BOOST_TEST(text(ask({other, mine, me})) == "share a 25, own me 25");
}

// A table as long as the module's, in which each waited for all that came before it: a walk over
// all of it for each moment of each wait would not end.
BOOST_AUTO_TEST_CASE(a_long_queue_is_explained_in_time) {
  Turns turns;
  constexpr std::uint64_t count = 4096;
  for (std::uint64_t i = 0; i < count; i++)
    turns.push_back(turn({.context = 1 + i,
                          .label = i == 0 ? "you" : "me",
                          .submitted_ns = 1,
                          .granted_ns = 10 + i * 10,
                          .ended_ns = 20 + i * 10}));
  const Explanation explanation = ask(turns, 0, 1'000'000);
  BOOST_TEST(explanation.waits == count - 1);
  std::uint64_t sum = 0, of_you = 0;
  for (const Part& part : explanation.parts) {
    sum += part.ns;
    if (part.label == "you") of_you += part.ns;
  }
  BOOST_TEST(sum == explanation.wait_ns);
  BOOST_TEST(of_you == 10 * (count - 1));
}

BOOST_AUTO_TEST_CASE(who_follows_each_other_shares_the_wait_by_time_and_who_runs_beside_by_slots) {
  const Turn me = turn({.submitted_ns = 100, .granted_ns = 200, .ended_ns = 201, .width = 4});
  const auto other = [](std::uint64_t context, const char* label, std::uint64_t begin,
                        std::uint64_t end, std::uint32_t width) {
    return turn(
        {.context = context, .label = label, .granted_ns = begin, .ended_ns = end, .width = width});
  };
  BOOST_TEST(text(ask({other(2, "a", 50, 160, 4), other(3, "b", 160, 200, 4), me})) ==
             "share a 60, share b 40");
  BOOST_TEST(text(ask({other(2, "a", 50, 200, 3), other(3, "b", 50, 200, 1), me})) ==
             "share a 75, share b 25");
  BOOST_TEST(text(ask({other(2, "a", 50, 200, 2), other(3, "b", 150, 300, 2), me})) ==
             "share a 75, share b 25");
  // what does not divide goes to somebody
  BOOST_TEST(text(ask({other(2, "a", 50, 200, 1), other(3, "b", 50, 200, 1),
                       other(4, "c", 50, 200, 1), me})) == "share c 34, share a 33, share b 33");
  // turns of one queue are one part
  BOOST_TEST(text(ask({other(2, "a", 50, 150, 4), other(2, "a", 150, 200, 4), me})) ==
             "share a 100");
}

BOOST_AUTO_TEST_CASE(a_ceiling_takes_its_part_of_the_wait) {
  const Turn me = turn({.submitted_ns = 100, .granted_ns = 200, .ended_ns = 300, .capped_ns = 40});
  const Turn other = turn({.context = 2, .label = "a", .granted_ns = 100, .ended_ns = 200});
  BOOST_TEST(text(ask({other, me})) == "share a 60, cap 40");
  // of half of the wait, half of it
  BOOST_TEST(text(ask({other, me}, 150)) == "share a 30, cap 20");
  // more than it waited is all that it waited
  Turn all = me;
  all.capped_ns = 5000;
  BOOST_TEST(text(ask({other, all})) == "cap 100");
}

BOOST_AUTO_TEST_CASE(background_is_in_nobodys_way_on_a_cpu) {
  const Turn low =
      turn({.context = 2, .label = "low", .class_ = kLow, .granted_ns = 50, .ended_ns = 250});
  const Turn same = turn({.context = 3, .label = "same", .granted_ns = 50, .ended_ns = 250});
  const Turn me = turn({.submitted_ns = 100, .granted_ns = 200, .ended_ns = 201});
  BOOST_TEST(text(ask({low, same, me}, 0, 1000, true)) == "share same 100");
  BOOST_TEST(text(ask({low, same, me})) == "share same 50, running low 50");
  Turn background = me;
  background.class_ = AIACCEL_CLASS_IDLE;
  BOOST_TEST(text(ask({low, same, background}, 0, 1000, true)) == "class low 50, class same 50");
}

BOOST_AUTO_TEST_CASE(the_window_cuts_and_what_waits_and_runs_still_counts_up_to_its_end) {
  const Turns turns = {turn({.context = 2, .label = "a", .granted_ns = 10}),
                       turn({.submitted_ns = 100})};
  const Explanation explanation = ask(turns, 300, 1000);
  BOOST_TEST(text(explanation) == "share a 700");
  BOOST_TEST(explanation.longest_ns == 700u);
  BOOST_TEST(explanation.turns == 0u);
  BOOST_TEST(explanation.oldest_ns == 0u);
  const Explanation before =
      ask({turn({.submitted_ns = 100, .granted_ns = 200, .ended_ns = 250})}, 300, 1000);
  BOOST_TEST(before.waits == 0u);
  BOOST_TEST(before.turns == 0u);
  BOOST_TEST(before.parts.empty());
}

BOOST_AUTO_TEST_CASE(refusals_revocations_and_failures_are_counted) {
  const Turns turns = {
      turn({.submitted_ns = 100, .ended_ns = 180, .state = AIACCEL_TURN_REFUSED, .count = 7}),
      turn(
          {.submitted_ns = 100, .granted_ns = 100, .ended_ns = 180, .state = AIACCEL_TURN_REVOKED}),
      turn({.submitted_ns = 100, .ended_ns = 150, .state = AIACCEL_TURN_FAILED})};
  const Explanation explanation = ask(turns);
  BOOST_TEST(explanation.refused == 7u);
  BOOST_TEST(explanation.refused_ns == 80u);
  BOOST_TEST(explanation.revoked == 1u);
  BOOST_TEST(explanation.failed == 1u);
  BOOST_TEST(text(explanation) == "own me 50");
  BOOST_TEST(ask(turns, 500).refused == 0u);
}

BOOST_AUTO_TEST_CASE(jobs_withdrawn_in_one_record_are_as_many_waits) {
  const Explanation explanation = ask(
      {turn({.context = 2, .label = "a", .granted_ns = 50, .ended_ns = 300}),
       turn({.submitted_ns = 100, .ended_ns = 190, .count = 9, .wait_ns = 90, .max_wait_ns = 11}),
       turn({.submitted_ns = 190, .ended_ns = 202})});
  BOOST_TEST(text(explanation) == "share a 102");
  BOOST_TEST(explanation.waits == 10u);
  BOOST_TEST(explanation.wait_ns == 102u);
  BOOST_TEST(explanation.longest_ns == 12u);
}

BOOST_AUTO_TEST_CASE(of_jobs_in_one_record_it_counts_how_long_they_waited) {
  const Turn other = turn({.context = 2, .label = "a", .granted_ns = 50, .ended_ns = 250});
  const auto beside = [&](Given given, std::uint64_t from = 0) {
    given.submitted_ns = 100;
    given.ended_ns = 300;
    given.count = 3;
    return ask({other, turn(given)}, from);
  };
  // who looks in now and then
  const Explanation seldom = beside({.wait_ns = 20, .max_wait_ns = 9});
  BOOST_TEST(text(seldom) == "share a 15, unseen 5");
  BOOST_TEST(seldom.wait_ns == 20u);
  BOOST_TEST(seldom.longest_ns == 9u);
  // who waits with many jobs at once
  const Explanation together = beside({.wait_ns = 600, .max_wait_ns = 200});
  BOOST_TEST(text(together) == "share a 450, unseen 150");
  BOOST_TEST(together.wait_ns == 600u);
  BOOST_TEST(together.longest_ns == 200u);
  BOOST_TEST(text(beside({.capped_ns = 300, .wait_ns = 600})) == "cap 300, share a 225, unseen 75");
  const Explanation late = beside({.wait_ns = 600, .max_wait_ns = 200}, 200);
  BOOST_TEST(text(late) == "share a 150, unseen 150");
  BOOST_TEST(late.longest_ns == 100u);
  // who never waited
  BOOST_TEST(beside({}).waits == 0u);
  BOOST_TEST(beside({}).parts.empty());
}

BOOST_AUTO_TEST_CASE(the_parts_add_up_whatever_the_table_says) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; round++) {
    Turns turns;
    for (int i = 0; i < 60; i++) {
      Given given;
      given.context = 1 + random() % 6;
      given.label = given.context <= 2 ? "me" : "you";
      given.class_ = random() % 4;
      given.submitted_ns = random() % 900;
      given.granted_ns = random() % 3 ? given.submitted_ns + random() % 200 : 0;
      given.ended_ns =
          random() % 4 ? std::max(given.granted_ns, given.submitted_ns) + random() % 99 : 0;
      given.capped_ns = random() % 3 ? 0 : random() % 300;
      given.width = 1 + random() % 5;
      given.count = 1 + random() % 3;
      given.wait_ns = random() % 700;
      turns.push_back(turn(given));
    }
    const Explanation explanation = ask(turns, random() % 500, 500 + random() % 500, random() % 2);
    std::uint64_t sum = 0;
    for (const Part& part : explanation.parts) sum += part.ns;
    BOOST_REQUIRE_EQUAL(sum, explanation.wait_ns);
  }
}

BOOST_AUTO_TEST_CASE(a_turn_that_ended_while_it_was_listed_is_there_once) {
  const Turn ran = turn({.submitted_ns = 100, .granted_ns = 110});
  Turn ended = ran;
  ended.state = AIACCEL_TURN_COMPLETED;
  ended.ended_ns = 600;
  const Turn earlier = turn({.submitted_ns = 100, .granted_ns = 110, .ended_ns = 400});
  BOOST_TEST(tools::without_doubles({ran, ended}, 500).size() == 1u);
  BOOST_TEST(tools::without_doubles({ran, ended}, 500)[0].ended_ns == 600u);
  BOOST_TEST(tools::without_doubles({ran, ran, ended}, 500).size() == 2u);  // another of the batch
  BOOST_TEST(tools::without_doubles({ran, earlier}, 500).size() == 2u);
  BOOST_TEST(tools::without_doubles({}, 500).empty());
}

BOOST_AUTO_TEST_SUITE_END()
