// SPDX-License-Identifier: MIT
//
// The table of workloads: who is there, and what is promised to whom. A row is a test case.

#include <tap/tap.hpp>

#include <fstream>
#include <iterator>
#include <string>

#include "sim/workloads.hpp"

namespace {

struct Row {
  const char* name;
  const char* who;
  const char* bound;
  void (*play)();
};

constexpr Row kTable[] = {
    {"weights", "two tenants, 75 to 25 and 10 to 90, more work than there is time",
     "shares by weight to half a percent", sim::weights},
    {"lengths", "the same, one with turns 50 times as long as the other's",
     "shares by weight to half a percent", sim::lengths},
    {"greedy_user", "a user with 1,000 queues against one with one", "half each, to half a percent",
     sim::greedy_user},
    {"nesting_user",
     "a user who nests tenants, queues of weight 10,000 in each, against a flat one",
     "half each, to half a percent", sim::nesting_user},
    {"sleeper", "a tenant that slept for a minute beside one that did not",
     "runs after one turn of the other; is never ahead by more than the lag and two turns",
     sim::sleeper},
    {"liar", "a user who claims that turns take no time, or an hour, against an honest one",
     "half each, to half a percent", sim::liar},
    {"ten_thousand_tenants", "10,000 tenants with a job each at all times",
     "no two differ by more than two turns; none waits for more than two turns of each other",
     sim::ten_thousand_tenants},
    {"switched",
     "1,000 queues of two tenants, 3 to 1, under fair, fifo, strict, edf and fair again",
     "under each order what it says, to 1 %; no slot is free meanwhile", sim::switched},
    {"hog_and_interactive",
     "low work without end, turns 0.1 to 100 times as long as those of an interactive client",
     "P99 of the client at most 1.10 times (alone and one turn of the hog)",
     sim::hog_and_interactive},
    {"interactive_beside_all",
     "the same beside normal, low and idle work, the client using 85 % of the engine",
     "P99 of the client at most 1.10 times (alone and one turn of the others)",
     sim::interactive_beside_all},
    {"guarantees", "high, normal and low work without end",
     "low has a 20th of the engine, normal and low a 10th; under strict nothing", sim::guarantees},
    {"wide_against_narrow", "a job as wide as the engine against 16 narrow ones of other tenants",
     "95 % of its share; waits 100 ms at most; 10 % of the slots are lost at most",
     sim::wide_against_narrow},
    {"wide_in_vain", "the same where one slot is never given back",
     "narrow work has half of the rest", sim::wide_in_vain},
    {"group_against_singles",
     "a group of 8 at one, two and eight engines, each saturated by singles of other tenants",
     "all or none; 95 % of its share; waits 100 ms at most; no slot is kept free for longer than a "
     "turn",
     sim::group_against_singles},
    {"poisson", "jobs at random, lengths 1 to 50, at several loads",
     "the mean wait is that of Pollaczek and Khinchine", sim::poisson},
    {"deadlines", "periodic clients, 95 % of an engine, each job due when the next one comes",
     "under edf no deadline is missed, as Jeffay, Stanat and Martel say; under fair some are",
     sim::deadlines},
    {"promises", "as many realtime queues as the engine admits, beside all classes without end",
     "no promised deadline is missed", sim::promises},
    {"deadline_mix",
     "promises up to the limit, used to the last nanosecond of grace, beside turns of all classes "
     "that are ended by force, where stopping work takes no time and where it does",
     "95 % of what realtime.h and stop.h allow is promised, and no more; no deadline is missed",
     sim::deadline_mix},
    {"overruns_preemptible",
     "a tenant whose work never ends against one that keeps to its budget, on a preemptible engine",
     "no turn is longer than budget and grace; half each, to half a percent",
     sim::overruns_preemptible},
    {"overruns_gated", "the same where work is not stopped, and goes on beside others",
     "its slots go on after budget and grace; it pays for all of its work: half each",
     sim::overruns_gated},
    {"fills",
     "low work that fills two slots, turns of 0.2 s, beside normal work that needs a tenth of them",
     "normal work waits for no longer than the grace, a turn of its own and two stops", sim::fills},
    {"leaves", "processes end as soon as they have a turn, against work without end",
     "they pay for what stopping their work takes: half each", sim::leaves},
    {"renews", "work that renews its turns when it is asked to yield, against work without end",
     "half each, to half a percent", sim::renews},
    {"stopped", "a process is stopped in its turn, and goes on after ten seconds",
     "its slot goes on after budget and grace; it pays until it goes on, and is owed nothing",
     sim::stopped},
    {"frozen", "all eight processes of a tenant are frozen while they wait",
     "each loses its turn after a second; others have their share all the while", sim::frozen},
    {"killed", "processes are killed while they wait, in their turns, and when these are over",
     "what they had is granted on in the same moment", sim::killed},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(workloads)

const bool kRegistered = [] {
  for (const Row& row : kTable)
    boost::unit_test::ut_detail::auto_test_unit_registrar(
        boost::unit_test::make_test_case(
            [&row] {
              BOOST_TEST_CONTEXT(row.who << ": " << row.bound)
              row.play();
            },
            row.name, __FILE__, __LINE__),
        boost::unit_test::decorator::collector_t::instance());
  return true;
}();

BOOST_AUTO_TEST_CASE(the_docs_have_the_table) {
  std::ifstream in("docs/simulator.md");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  for (const Row& row : kTable) {
    const std::string line =
        std::string("| ") + row.name + " | " + row.who + " | " + row.bound + " |\n";
    BOOST_TEST((text.find(line) != text.npos), "docs/simulator.md lacks: " << line);
  }
}

BOOST_AUTO_TEST_SUITE_END()
