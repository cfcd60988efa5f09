// SPDX-License-Identifier: MIT
//
// Reads rows of benchmarks (row.hpp), a line each; writes them as one list to the file named, and
// prints a table. What is printed is computed from the samples here, so that the file has nothing
// in it but what was measured.
//
// A row's value is the median of ours, or the ratio of the medians of ours and the peer's. Its
// interval is the 95 % percentile interval of 10,000 bootstrap resamples (B. Efron, R. Tibshirani,
// An Introduction to the Bootstrap, 1993, chapter 13), ours and the peer's drawn apart. A goal is
// met when the interval's nearer end meets it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <random>
#include <stdexcept>

#include "common/json.hpp"
#include "common/table.hpp"

namespace {

using tools::Json;
using Samples = std::vector<double>;

constexpr int kResamples = 10000;
constexpr size_t kFewest = 10;  // samples from which an interval says anything

double median(Samples samples) {
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  if (samples.size() % 2) return *middle;
  return (*middle + *std::max_element(samples.begin(), middle)) / 2;
}

struct Result {
  double value;
  double low, high;
};

class Bootstrap {
 public:
  Result operator()(const Samples& ours, const Samples& peer) {
    Samples values(kResamples);
    for (double& value : values) value = ratio(resample(ours), resample(peer));
    std::sort(values.begin(), values.end());
    return {ratio(ours, peer), values[kResamples * 25 / 1000], values[kResamples * 975 / 1000]};
  }

 private:
  static double ratio(const Samples& ours, const Samples& peer) {
    return peer.empty() ? median(ours) : median(ours) / median(peer);
  }

  Samples resample(const Samples& from) {
    Samples drawn(from.size());
    if (from.empty()) return drawn;
    std::uniform_int_distribution<size_t> any(0, from.size() - 1);
    for (double& value : drawn) value = from[any(random_)];
    return drawn;
  }

  std::mt19937_64 random_{1};  // the same samples give the same interval
};

Samples samples_of(const Json& row, const char* field) {
  const Samples samples = row.at(field).get<Samples>();
  if (samples.size() < kFewest)
    throw std::runtime_error(
        fmt::format("{} has {} samples; {} are the fewest", field, samples.size(), kFewest));
  for (double value : samples)
    if (!std::isfinite(value)) throw std::runtime_error(fmt::format("{} is not finite", field));
  return samples;
}

void add_line(const Json& row, Bootstrap& bootstrap, tools::Table* table) {
  const Samples ours = samples_of(row, "ours");
  const Samples peer = row.contains("peer") ? samples_of(row, "peer") : Samples();
  if (!peer.empty() && median(peer) <= 0)
    throw std::runtime_error("the peer's median is not above 0");
  const std::string better = row.at("better");
  if (better != "lower" && better != "higher")
    throw std::runtime_error("better is neither lower nor higher");
  const std::string unit = row.at("unit");
  const double goal = row.at("goal");
  const Result result = bootstrap(ours, peer);
  const bool met = better == "lower" ? result.high <= goal : result.low >= goal;
  const std::string sign = better == "lower" ? "<=" : ">=";
  const std::string of = peer.empty() ? " " + unit : "";
  table->add({row.at("name"), fmt::format("{:.4g} {}", median(ours), unit),
              peer.empty() ? "" : fmt::format("{:.4g} {}", median(peer), unit),
              peer.empty() ? "" : row.at("peer_name").get<std::string>(),
              fmt::format("{:.4g}{}", result.value, of),
              fmt::format("{:.4g} to {:.4g}", result.low, result.high),
              fmt::format("{} {:.4g}", sign, goal), met ? "met" : "missed"});
}

int report(const std::string& path) {
  using tools::Align;
  tools::Table table({{"ROW"},
                      {"OURS", Align::right},
                      {"PEER", Align::right},
                      {"WHICH IS"},
                      {"VALUE", Align::right},
                      {"95 % INTERVAL", Align::right},
                      {"GOAL", Align::right},
                      {""}});
  Bootstrap bootstrap;
  Json rows = Json::array();
  std::string line;
  while (std::getline(std::cin, line)) {
    const Json row = Json::parse(line);
    try {
      add_line(row, bootstrap, &table);
    } catch (const std::exception& error) {
      throw std::runtime_error(row.value("name", "a row without a name") + ": " + error.what());
    }
    rows.push_back(row);
  }
  std::ofstream file(path);
  if (!(file << tools::json_text(rows, -1) << std::endl))
    throw std::runtime_error(path + " cannot be written");
  for (const std::string& text : table.lines()) fmt::print("{}\n", text);
  return rows.empty() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    fmt::print(stderr, "usage: report FILE.json < rows\n");
    return 2;
  }
  return report(argv[1]);
} catch (const std::exception& error) {
  fmt::print(stderr, "bench: {}\n", error.what());
  return 1;
}
