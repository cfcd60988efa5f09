// SPDX-License-Identifier: MIT
//
// From two Samples to a Report; see sample.hpp. Pure: no clock, no machine.
#include <algorithm>
#include <map>
#include <utility>

#include "aiaccel-top/sample.hpp"
#include "common/histogram.hpp"
#include "common/names.hpp"

namespace tools {
namespace {

// How much a counter grew; nothing where it went back, which is another object of the same name.
std::optional<std::uint64_t> growth(std::uint64_t before, std::uint64_t now) {
  if (now < before) return std::nullopt;
  return now - before;
}

std::optional<double> per_second(std::optional<std::uint64_t> count, std::uint64_t interval_ns) {
  if (!count) return std::nullopt;
  return static_cast<double>(*count) * 1e9 / static_cast<double>(interval_ns);
}

std::optional<std::uint64_t> mean(std::optional<std::uint64_t> sum,
                                  std::optional<std::uint64_t> count) {
  if (!sum || !count || *count == 0) return std::nullopt;
  return *sum / *count;
}

// None was longer than `longest_ns`.
Quantiles quantiles(const aiaccel_histogram& before, const aiaccel_histogram& now,
                    std::uint64_t longest_ns = UINT64_MAX) {
  const auto grown = counted_since(before, now);
  if (!grown) return {};
  const auto quantile = [&](unsigned percent) {
    const auto found = quantile_ns(*grown, percent);
    return found ? std::min(*found, longest_ns) : found;
  };
  return {quantile(50), quantile(99)};
}

// Of the engine's slots, as turns that ended tell. A turn counts when it ends, so an interval can
// have more than there was time for; one in which none began tells exactly what the others held.
std::optional<double> busy_fraction(const aiaccel_stats_engine& before,
                                    const aiaccel_stats_engine& now, std::uint64_t interval_ns) {
  const auto grew = growth(before.busy_ns, now.busy_ns);
  if (!grew || now.slots == 0) return std::nullopt;
  const double slots = now.slots;
  const double ended = static_cast<double>(*grew) / (slots * static_cast<double>(interval_ns));
  const double held = before.granted == now.granted ? now.slots_used / slots : 0;
  return std::min(1.0, std::max(ended, held));
}

template <typename Record, typename Key>
std::map<decltype(std::declval<Key>()(std::declval<Record>())), Record> by_key(
    const std::vector<Record>& records, Key key) {
  std::map<decltype(key(records.front())), Record> result;
  for (const Record& record : records) result.emplace(key(record), record);
  return result;
}

}  // namespace

Report make_report(const Sample* before, Sample now) {
  const auto engine_key = [](const aiaccel_stats_engine& e) { return e.id; };
  const auto tenant_key = [](const aiaccel_stats_tenant& t) { return t.tenant; };
  const auto queue_key = [](const aiaccel_stats_queue& q) { return std::pair(q.context, q.id); };

  Report report;
  report.now = std::move(now);
  const Sample empty;
  const Sample& old = before ? *before : empty;
  if (before && report.now.time_ns > old.time_ns)
    report.interval_ns = report.now.time_ns - old.time_ns;
  if (before) observe::add_rates(old.observed, report.now.observed);
  const auto interval = report.interval_ns;

  const auto old_engines = by_key(old.engines, engine_key);
  const auto stats = by_key(report.now.engines, engine_key);
  std::map<std::uint32_t, std::string> aliases;
  const std::vector<std::string> all_aliases = engine_aliases(report.now.engine_infos);
  for (std::size_t i = 0; i < all_aliases.size(); i++) {
    const aiaccel_engine_info& info = report.now.engine_infos[i];
    EngineReport engine;
    engine.info = info;
    engine.alias = all_aliases[i];
    aliases[info.id] = engine.alias;
    const auto found = stats.find(info.id);
    if (found == stats.end()) continue;
    engine.stats = found->second;
    const auto past = old_engines.find(info.id);
    if (interval && past != old_engines.end()) {
      engine.busy_fraction = busy_fraction(past->second, engine.stats, *interval);
      engine.granted_per_s =
          per_second(growth(past->second.granted, engine.stats.granted), *interval);
    }
    report.engines.push_back(std::move(engine));
  }

  const auto old_tenants = by_key(old.tenants, tenant_key);
  std::map<std::uint64_t, std::string> names;
  for (const aiaccel_stats_tenant& record : report.now.tenants) {
    TenantReport tenant;
    tenant.stats = record;
    names[record.tenant] = record.name;
    const auto past = old_tenants.find(record.tenant);
    if (interval && past != old_tenants.end()) {
      tenant.granted_per_s = per_second(growth(past->second.granted, record.granted), *interval);
      if (const auto busy = growth(past->second.busy_ns, record.busy_ns))
        tenant.slots_mean = static_cast<double>(*busy) / static_cast<double>(*interval);
      tenant.wait = quantiles(past->second.wait, record.wait);
      tenant.run = quantiles(past->second.run, record.run);
    }
    report.tenants.push_back(tenant);
  }
  std::stable_sort(report.tenants.begin(), report.tenants.end(),
                   [](const TenantReport& a, const TenantReport& b) {
                     return std::string_view(a.stats.name) < b.stats.name;
                   });

  const auto old_queues = by_key(old.queues, queue_key);
  for (const aiaccel_stats_queue& record : report.now.queues) {
    QueueReport queue;
    queue.stats = record;
    queue.engine = aliases[record.engine];
    queue.tenant = names[record.tenant];
    const auto past = old_queues.find(queue_key(record));
    if (interval && past != old_queues.end()) {
      const aiaccel_stats_queue& was = past->second;
      const auto granted = growth(was.granted, record.granted);
      queue.granted_per_s = per_second(granted, *interval);
      queue.wait_mean_ns = mean(growth(was.wait_ns, record.wait_ns), granted);
      queue.run_mean_ns =
          mean(growth(was.run_ns, record.run_ns), growth(was.completed, record.completed));
      queue.wait = quantiles(was.wait, record.wait, record.max_wait_ns);
      queue.run = quantiles(was.run, record.run);
    }
    report.queues.push_back(std::move(queue));
  }
  return report;
}

}  // namespace tools
