// SPDX-License-Identifier: MIT
//
// The scheduler as a queue with c servers: Poisson arrivals, exponential service. Whatever order it
// chooses, as long as it leaves no slot free for nothing and looks at no job's length, mean waits
// are those of theory (aiaccel/queueing.hpp).
//
// `make sim` plays in full: then the 99 % intervals are within 1 % of theory (two classes: 2 %) and
// hold it. Else a hundredth of the jobs is played, and what is seen has to be within so many
// standard errors that of all that is compared here one in a hundred such programs would miss.
// The figures of a full run are in docs/simulator.md.

#include <tap/tap.hpp>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <aiaccel/queueing.hpp>

#include "sim/batches.hpp"
#include "sim/host.hpp"

namespace queueing = aiaccel::queueing;
using sim::Batches;

namespace {

constexpr sim::Ns kServiceNs = 100 * sim::kMs;
constexpr double kPerSecond = 1e9 / kServiceNs;

bool in_full() {
  static const bool wanted = std::getenv("AIACCEL_SIM_FULL") != nullptr;
  return wanted;
}

std::uint64_t jobs(double millions) {
  return static_cast<std::uint64_t>(millions * (in_full() ? 1e6 : 1e4));
}

struct Watched {
  explicit Watched(std::uint64_t jobs) : waited(jobs), wait_s(jobs) {}
  void operator()(sim::Ns wait_ns) {
    waited.add(wait_ns != 0);
    wait_s.add(static_cast<double>(wait_ns) / 1e9);
  }
  Batches waited, wait_s;
};

std::string figure(double value) {
  char text[16];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

void note(const std::string& row) {
  BOOST_TEST_MESSAGE("| " << row << " |");
}

std::string percent(double part) {
  char text[16];
  std::snprintf(text, sizeof text, "%+.2f %%", 100 * part);
  return text;
}

// What is seen, for a table: how far from theory, and half the interval.
std::string agree(const std::string& what, const Batches& seen, double theory, double within,
                  double unit = 1) {
  const double off = seen.mean() - theory;
  const double half = Batches::kQuantile99 * seen.standard_error();
  BOOST_TEST_CONTEXT(what) {
    if (in_full()) {
      BOOST_TEST(half <= within * theory);
      BOOST_TEST(std::abs(off) <= half);
    } else {
      BOOST_TEST(std::abs(off) <= 4.6 * seen.standard_error());
      BOOST_TEST(half <= 15 * within * theory);  // an interval that holds anything shows nothing
    }
  }
  return figure(theory * unit) + " | " + percent(off / theory) + " | " +
         percent(half / theory).substr(1);
}

void play(std::uint32_t servers, double load, double millions) {
  const sim::Ns gap_ns = static_cast<sim::Ns>(std::llround(kServiceNs / (servers * load)));
  sim::Host host(servers, sim::Random(servers * 1000 + std::llround(load * 100)));
  Watched watched(jobs(millions));
  sim::Stream& stream =
      host.open({.gap = sim::exponential(gap_ns), .service = sim::exponential(kServiceNs)});
  // From empty to a state like any other.
  host.run(AIACCEL_NEVER - 1, [&] { return stream.turns >= jobs(millions) / 20; });
  stream.began = [&](sim::Ns wait_ns) { watched(wait_ns); };
  host.run(AIACCEL_NEVER - 1, [&] { return watched.waited.done(); });
  const auto theory = queueing::mmc({1e9 / static_cast<double>(gap_ns), kPerSecond, servers});
  const std::string station = std::to_string(servers) + " | " + figure(load);
  note(station + " | " + figure(millions) + " | " +
       agree(station + ": waited", watched.waited, theory.wait_probability, 0.01) + " | " +
       agree(station + ": wait", watched.wait_s, theory.wait_s, 0.02, kPerSecond));
}

// A load, and how many millions of jobs are enough for it: the busier, the longer one wait depends
// on another, and the rarer a wait, the more jobs for one of them.
struct Point {
  double load, millions;
};
using Points = std::array<Point, 10>;

constexpr Points kFew{{{0.1, 20},
                       {0.2, 20},
                       {0.3, 20},
                       {0.4, 20},
                       {0.5, 20},
                       {0.6, 20},
                       {0.7, 30},
                       {0.8, 40},
                       {0.85, 40},
                       {0.9, 60}}};
constexpr Points kEight{{{0.35, 40},
                         {0.4, 40},
                         {0.45, 40},
                         {0.5, 40},
                         {0.55, 40},
                         {0.6, 40},
                         {0.7, 40},
                         {0.8, 40},
                         {0.85, 40},
                         {0.9, 40}}};
constexpr Points kSixtyFour{{{0.8, 160},
                             {0.82, 140},
                             {0.84, 120},
                             {0.86, 100},
                             {0.88, 80},
                             {0.9, 80},
                             {0.92, 80},
                             {0.93, 80},
                             {0.94, 80},
                             {0.95, 100}}};

void play(std::uint32_t servers, const Points& points) {
  for (const Point& point : points) play(servers, point.load, point.millions);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mmc)

BOOST_AUTO_TEST_CASE(one_server) {
  play(1, kFew);
}

BOOST_AUTO_TEST_CASE(two_servers) {
  play(2, kFew);
}

BOOST_AUTO_TEST_CASE(eight_servers) {
  play(8, kEight);
}

BOOST_AUTO_TEST_CASE(sixty_four_servers) {
  play(64, kSixtyFour);
}

BOOST_AUTO_TEST_CASE(two_classes) {
  for (std::uint32_t servers : {1u, 4u, 16u}) {
    const auto gap = [&](double load) {
      return static_cast<sim::Ns>(std::llround(kServiceNs / (servers * load)));
    };
    const sim::Ns high_gap = gap(0.3), low_gap = gap(0.5);
    sim::Host host(servers, sim::Random(servers));
    Watched high(jobs(15)), low(jobs(25));
    sim::Stream& above = host.open({.class_ = AIACCEL_CLASS_HIGH,
                                    .gap = sim::exponential(high_gap),
                                    .service = sim::exponential(kServiceNs)});
    sim::Stream& below =
        host.open({.gap = sim::exponential(low_gap), .service = sim::exponential(kServiceNs)});
    host.run(AIACCEL_NEVER - 1, [&] { return below.turns >= jobs(1); });
    above.began = [&](sim::Ns wait_ns) { high(wait_ns); };
    below.began = [&](sim::Ns wait_ns) { low(wait_ns); };
    host.run(AIACCEL_NEVER - 1, [&] { return high.waited.done() && low.waited.done(); });
    const std::array<double, 2> rates{1e9 / static_cast<double>(high_gap),
                                      1e9 / static_cast<double>(low_gap)};
    const auto theory = queueing::mmc_by_priority({0, kPerSecond, servers}, rates);
    const std::string station = std::to_string(servers);
    note(station + " | " +
         agree(station + ": high", high.wait_s, theory[0].wait_s, 0.02, kPerSecond) + " | " +
         agree(station + ": normal", low.wait_s, theory[1].wait_s, 0.02, kPerSecond));
  }
}

BOOST_AUTO_TEST_SUITE_END()
