// SPDX-License-Identifier: MIT
//
// The scheduler as a queue with c servers: Poisson arrivals, exponential service. Whatever order it
// chooses, as long as it leaves no slot free for nothing and looks at no job's length, mean waits
// are those of theory (aiaccel/queueing.hpp).

#include <tap/tap.hpp>

#include <array>
#include <cstdlib>
#include <string>

#include <aiaccel/queueing.hpp>

#include "sim/batches.hpp"
#include "sim/host.hpp"

namespace queueing = aiaccel::queueing;

namespace {

constexpr double kServiceNs = 1e6;
constexpr int kBatches = 40;

// Of many servers a wait is rarer, and lasts for more jobs. AIACCEL_SIM_SCALE=100 plays a hundred
// times as long.
std::uint64_t jobs(std::uint32_t servers) {
  const char* scale = std::getenv("AIACCEL_SIM_SCALE");
  return 300'000 * (servers > 16 ? 12 : 1) * (scale ? std::strtoull(scale, nullptr, 10) : 1);
}

struct Watched {
  explicit Watched(std::uint64_t batch) : waited(batch), wait_s(batch) {}
  void operator()(sim::Ns wait_ns) {
    waited.add(wait_ns != 0);
    wait_s.add(static_cast<double>(wait_ns) / 1e9);
  }
  sim::Batches waited, wait_s;
};

// Four standard errors are 40 batches' 99.97 % interval: of the hundred compared here none should
// miss.
void agrees(const sim::Batches& seen, double expected) {
  BOOST_TEST(std::abs(seen.mean() - expected) <= 4 * seen.standard_error());
  // An interval that holds anything shows nothing.
  BOOST_TEST(seen.standard_error() <= 0.05 * expected);
}

void play(std::uint32_t servers, double utilization) {
  BOOST_TEST_CONTEXT(servers << " servers at " << utilization) {
    const double rate = servers * utilization / kServiceNs;  // by ns
    sim::Host host(servers, servers * 1000 + static_cast<std::uint64_t>(utilization * 100));
    Watched watched(jobs(servers) / kBatches);
    sim::Stream& stream =
        host.open({.gap = sim::exponential(1 / rate), .service = sim::exponential(kServiceNs)});
    // From empty to a state like any other.
    const std::uint64_t warm = jobs(servers) / 20;
    host.run(AIACCEL_NEVER - 1, [&] { return stream.turns >= warm; });
    stream.began = [&](sim::Ns wait_ns) { watched(wait_ns); };
    host.run(AIACCEL_NEVER - 1, [&] { return watched.waited.batches() >= kBatches; });
    const queueing::Measures theory = queueing::mmc({rate * 1e9, 1e9 / kServiceNs, servers});
    agrees(watched.waited, theory.wait_probability);
    agrees(watched.wait_s, theory.wait_s);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mmc)

BOOST_AUTO_TEST_CASE(waits_are_those_of_theory) {
  for (double utilization : {0.3, 0.5, 0.7, 0.9}) play(1, utilization);
  for (double utilization : {0.3, 0.5, 0.7, 0.9}) play(2, utilization);
  for (double utilization : {0.5, 0.7, 0.9}) play(8, utilization);
  for (double utilization : {0.8, 0.9, 0.95}) play(64, utilization);
}

BOOST_AUTO_TEST_CASE(two_classes_wait_as_theory_has_it) {
  for (std::uint32_t servers : {1u, 4u, 16u}) {
    BOOST_TEST_CONTEXT(servers << " servers") {
      const double high_rate = servers * 0.3 / kServiceNs;
      const double low_rate = servers * 0.5 / kServiceNs;
      sim::Host host(servers, servers);
      Watched high(jobs(servers) / kBatches / 2), low(jobs(servers) / kBatches / 2);
      sim::Stream options{.class_ = AIACCEL_CLASS_HIGH,
                          .gap = sim::exponential(1 / high_rate),
                          .service = sim::exponential(kServiceNs)};
      sim::Stream& above = host.open(options);
      options.class_ = AIACCEL_CLASS_NORMAL;
      options.gap = sim::exponential(1 / low_rate);
      sim::Stream& below = host.open(options);
      host.run(AIACCEL_NEVER - 1, [&] { return below.turns >= jobs(servers) / 20; });
      above.began = [&](sim::Ns wait_ns) { high(wait_ns); };
      below.began = [&](sim::Ns wait_ns) { low(wait_ns); };
      host.run(AIACCEL_NEVER - 1, [&] {
        return high.waited.batches() >= kBatches && low.waited.batches() >= kBatches;
      });
      const std::array<double, 2> rates{high_rate * 1e9, low_rate * 1e9};
      const auto theory = queueing::mmc_by_priority({0, 1e9 / kServiceNs, servers}, rates);
      agrees(high.wait_s, theory[0].wait_s);
      agrees(low.wait_s, theory[1].wait_s);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
