// SPDX-License-Identifier: MIT
//
// The pictures of docs/simulator.md are what the scheduler does: they are drawn again and compared.
// `make plots` (AIACCEL_SIM_DRAW) puts them there.

#include <tap/tap.hpp>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "sim/plot.hpp"
#include "sim/workloads.hpp"

namespace {

using namespace sim;

constexpr Ns kLength = 60 * kSecond;

std::string contents(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

void compare(const std::string& name, const Plot& plot) {
  const std::string path = "docs/" + name, drawn = svg(plot);
  if (std::getenv("AIACCEL_SIM_DRAW")) std::ofstream(path) << drawn;
  BOOST_TEST((contents(path) == drawn), path << " is not what the scheduler does: make plots");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(plots)

// Two slots. A client in each class; from 20 s to 40 s the client of `high` asks for three times as
// much.
BOOST_AUTO_TEST_CASE(latency_by_class) {
  Host host(2);
  const struct {
    const char* name;
    std::uint32_t class_;
    Ns gap_ns, length_ns;
  } kClasses[] = {{"high", AIACCEL_CLASS_HIGH, 10 * kMs, 4 * kMs},
                  {"normal", AIACCEL_CLASS_NORMAL, 20 * kMs, 5 * kMs},
                  {"low", AIACCEL_CLASS_LOW, 25 * kMs, 10 * kMs}};
  constexpr Ns kStep = kSecond;
  std::vector<std::vector<Latencies>> seen(std::size(kClasses),
                                           std::vector<Latencies>(kLength / kStep + 1));
  const Ns start_ns = host.now_ns;
  for (std::size_t i = 0; i < std::size(kClasses); i++)
    host.open({.tenant = host.tenant(),
               .class_ = kClasses[i].class_,
               .gap = exponential(kClasses[i].gap_ns),
               .service = exponential(kClasses[i].length_ns),
               .ended = [&host, &of = seen[i], start_ns](Ns sojourn_ns) {
                 of[(host.now_ns - start_ns) / kStep].add(sojourn_ns);
               }});
  host.run(start_ns + kLength / 3);
  Stream& more = host.open(
      {.tenant = host.tenant(),
       .class_ = AIACCEL_CLASS_HIGH,
       .gap = exponential(kClasses[0].gap_ns / 2),
       .service = exponential(kClasses[0].length_ns),
       .ended = [&](Ns sojourn_ns) { seen[0][(host.now_ns - start_ns) / kStep].add(sojourn_ns); }});
  host.run(start_ns + kLength / 3 * 2);
  host.stop(more);
  host.run(start_ns + kLength);

  Plot plot{.title =
                "P95 of the time from request to end, by class; high asks for 3 times as much "
                "from 20 s to 40 s",
            .marks = {{kMs, "1 ms"},
                      {10 * kMs, "10 ms"},
                      {100 * kMs, "100 ms"},
                      {kSecond, "1 s"},
                      {10 * kSecond, "10 s"}},
            .by_ratio = true};
  for (std::size_t i = 0; i < std::size(kClasses); i++) {
    plot.curves.push_back({kClasses[i].name, {}});
    for (Latencies& l : seen[i])
      plot.curves.back().values.push_back(l.count() ? l.quantile(0.95) : 0);
  }
  compare("latency-by-class.svg", plot);
}

// Weights 3, 2 and 1. The first sleeps from 20 s to 40 s.
BOOST_AUTO_TEST_CASE(share_by_tenant) {
  Host host(2);
  constexpr Ns kStep = kSecond / 2;
  Plot plot{.title =
                "Part of the engine of tenants with weights 3, 2 and 1; the first has no work "
                "from 20 s to 40 s",
            .marks = {{0, "0 %"}, {25, "25 %"}, {50, "50 %"}, {75, "75 %"}, {100, "100 %"}},
            .steps_a_second = 2};
  std::vector<Client*> clients;
  for (const std::uint32_t weight : {300u, 200u, 100u}) {
    aia_sched_node* tenant = host.tenant(weight);
    plot.curves.push_back({"weight " + std::to_string(weight), {}});
    for (std::size_t i = 0; i < 4; i++) {
      clients.push_back(&host.client(tenant, {.turn_ns = (1 + 7 * i) * kMs}));
      host.start(*clients.back());
    }
  }
  const auto play = [&](Ns length_ns) {
    for (Ns until_ns = host.now_ns + length_ns; host.now_ns < until_ns;) {
      std::vector<Ns> before;
      for (const Client* c : clients) before.push_back(c->had_ns);
      host.run(host.now_ns + kStep);
      for (std::size_t t = 0; t < plot.curves.size(); t++) {
        Ns had_ns = 0;
        for (std::size_t i = 4 * t; i < 4 * t + 4; i++) had_ns += clients[i]->had_ns - before[i];
        plot.curves[t].values.push_back(had_ns * 100 / (host.engine.slots * kStep));
      }
    }
  };
  play(kLength / 3);
  for (std::size_t i = 0; i < 4; i++) host.stop(*clients[i]);
  play(kLength / 3);
  for (std::size_t i = 0; i < 4; i++) host.start(*clients[i]);
  play(kLength / 3);
  compare("share-by-tenant.svg", plot);
}

BOOST_AUTO_TEST_SUITE_END()
