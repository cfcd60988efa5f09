// SPDX-License-Identifier: MIT
//
// What aiaccel-top reads, and what follows from two readings.
//
// A Sample is what the arbiter said, unchanged, list by list: not a SNAPSHOT, which is refused
// where there is much, so that the lists would be needed all the same, and keeps turns from going
// on for longer. A Report is a Sample with rates since an earlier one. Whatever cannot be known is
// std::nullopt, never 0: a rate of something that was not there before, a mean of nothing.
#pragma once

#include <aiaccel/device.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/scope.hpp"
#include "observe/users.hpp"

namespace tools {

struct Sample {
  std::uint64_t time_ns = 0;  // CLOCK_MONOTONIC
  std::string transport;      // "" where no arbiter answers
  std::string missing;        // why none does
  Scope scope = Scope::none;
  aiaccel_query query{};
  std::optional<std::uint64_t> host_total_bytes;
  std::optional<std::uint64_t> host_available_bytes;
  std::vector<aiaccel_engine_info> engine_infos;
  std::vector<aiaccel_stats_engine> engines;
  std::vector<aiaccel_stats_tenant> tenants;
  std::vector<aiaccel_stats_queue> queues;
  observe::Observation observed;  // who uses accelerators, with an arbiter or without
};

// `device` is null where no arbiter answers. What is observed is not in it yet.
Sample take_sample(const aiaccel::Device* device);

// What the sample knows of who takes turns; nothing where no arbiter answers.
std::optional<observe::Arbiter> arbiter_of(const Sample& sample);

struct EngineReport {
  aiaccel_engine_info info{};
  aiaccel_stats_engine stats{};
  std::string alias;                    // see engine_aliases()
  std::optional<double> busy_fraction;  // of its slots
  std::optional<double> granted_per_s;
};

// Of the turns that began (wait) or ended (run) between the samples; see quantile_ns().
struct Quantiles {
  std::optional<std::uint64_t> p50_ns, p99_ns;
};

struct TenantReport {
  aiaccel_stats_tenant stats{};
  std::optional<double> granted_per_s;
  std::optional<double> slots_mean;  // slots held on average, of turns that ended
  Quantiles wait, run;
};

struct QueueReport {
  aiaccel_stats_queue stats{};
  std::string engine;  // the alias of its engine
  std::string tenant;  // the name of its tenant, "" where that is not seen
  std::optional<double> granted_per_s;
  std::optional<std::uint64_t> wait_mean_ns;  // of the turns that began
  std::optional<std::uint64_t> run_mean_ns;   // of the turns that ended
  Quantiles wait, run;
};

struct Report {
  Sample now;
  std::optional<std::uint64_t> interval_ns;  // what the rates are over
  std::vector<EngineReport> engines;
  std::vector<TenantReport> tenants;  // by name
  std::vector<QueueReport> queues;    // as sampled
};

// `before` is null for a report without rates.
Report make_report(const Sample* before, Sample now);

}  // namespace tools
