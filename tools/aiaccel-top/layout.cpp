// SPDX-License-Identifier: MIT
//
// See layout.hpp.
#include "aiaccel-top/layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "common/names.hpp"
#include "common/table.hpp"
#include "observe/show.hpp"

namespace tools {
namespace {

template <typename T, typename Format>
std::string or_dash(const std::optional<T>& value, Format format) {
  return value ? std::string(format(*value)) : "-";
}

std::string dash_for_zero(std::uint64_t value) {
  return value ? std::to_string(value) : "-";
}

std::string scope_text(Scope scope) {
  switch (scope) {
    case Scope::all:
      return "all tenants";
    case Scope::tenant:
      return "own tenant only";
    case Scope::process:
      return "this process alone, others are not seen";
    case Scope::none:
      return "no turns are taken";
  }
  return "?";
}

std::string summary(const Report& report) {
  const Sample& now = report.now;
  if (now.scope == Scope::none) return "aiaccel-top  no arbiter: " + printable(now.missing);
  return fmt::format("aiaccel-top  {}: {}  {}  {}  {}", now.transport, scope_text(now.scope),
                     count_text(report.engines.size(), "engine"),
                     count_text(report.tenants.size(), "tenant"),
                     count_text(report.queues.size(), "queue"));
}

std::string memory_text(const Report& report) {
  const Sample& now = report.now;
  std::string text = "memory";
  if (now.scope != Scope::none) text += "  own tenant " + bytes_text(now.query.pinned_bytes);
  if (now.scope != Scope::none && now.query.max_pinned_bytes != AIACCEL_UNLIMITED)
    text += " of " + bytes_text(now.query.max_pinned_bytes);
  if (now.host_total_bytes && now.host_available_bytes)
    text += fmt::format("  host {} free of {}", bytes_text(*now.host_available_bytes),
                        bytes_text(*now.host_total_bytes));
  return text;
}

// What of its memory is reserved.
std::string device_text(const aiaccel_stats_engine& stats) {
  if (stats.device_bytes == 0) return "-";
  return bytes_text(stats.reserved_bytes) + " of " + bytes_text(stats.device_bytes);
}

// The ceilings that the administrator set, "-" where there is none.
std::string limits_text(const aiaccel_stats_tenant& stats) {
  if (stats.engine_time == 0) return "-";  // an older arbiter does not tell
  std::string text;
  const auto add = [&text](const std::string& limit) {
    text += (text.empty() ? "" : ", ") + limit;
  };
  if (stats.max_class < AIACCEL_CLASS_HIGH) add(class_name(stats.max_class));
  if (stats.max_bytes != AIACCEL_UNLIMITED) add("memory " + bytes_text(stats.max_bytes));
  if (stats.max_device_bytes != AIACCEL_UNLIMITED)
    add("device " + bytes_text(stats.max_device_bytes));
  if (stats.engine_time < AIACCEL_ENGINE_TIME_ALL)
    add("time " + percent_text(stats.engine_time / double{AIACCEL_ENGINE_TIME_ALL}));
  if (stats.grants) add(count_text(stats.grants, "turn"));
  return text.empty() ? "-" : text;
}

Table engine_table(const Report& report) {
  Table table({{"ENGINE"},
               {"NAME", Align::left, 3, 8},
               {"NODE", Align::right, 5},
               {"USED", Align::right},
               {"SLOTS", Align::right},
               {"BUSY", Align::right},
               {"WAITING", Align::right, 1},
               {"TURNS/s", Align::right, 2},
               {"CONTENDED", Align::right, 8},
               {"DEVICE", Align::right, 6},
               {"ORDER", Align::left, 7},
               {"STATE", Align::left, 4}});
  for (const EngineReport& engine : report.engines)
    table.add({engine.alias, name_beside(engine.alias, engine.info),
               engine.info.numa_node < 0 ? "-" : std::to_string(engine.info.numa_node),
               std::to_string(engine.stats.slots_used), std::to_string(engine.stats.slots),
               or_dash(engine.busy_fraction, percent_text),
               std::to_string(engine.stats.jobs_waiting), or_dash(engine.granted_per_s, rate_text),
               dash_for_zero(engine.info.contended), device_text(engine.stats),
               order_name(engine.info.order), state_name(engine.stats.state)});
  return table;
}

Table tenant_table(const Report& report) {
  Table table({{"TENANT", Align::left, 0, 12},
               {"WEIGHT", Align::right, 6},
               {"CONTEXTS", Align::right, 4},
               {"QUEUES", Align::right, 5},
               {"PINNED", Align::right, 1},
               {"ALLOCATED", Align::right, 2},
               {"DEVICE", Align::right, 7},
               {"TURNS/s", Align::right},
               {"SLOTS", Align::right, 3},
               {"WAIT P50", Align::right, 11},
               {"WAIT P99", Align::right, 9},
               {"RUN P50", Align::right, 12},
               {"RUN P99", Align::right, 10},
               {"CEILINGS", Align::left, 8, 8}});
  for (const TenantReport& tenant : report.tenants)
    table.add({tenant.stats.name, std::to_string(tenant.stats.weight),
               std::to_string(tenant.stats.contexts), std::to_string(tenant.stats.queues),
               bytes_text(tenant.stats.pinned_bytes), bytes_text(tenant.stats.allocated_bytes),
               tenant.stats.reserved_bytes ? bytes_text(tenant.stats.reserved_bytes) : "-",
               or_dash(tenant.granted_per_s, rate_text), or_dash(tenant.slots_mean, rate_text),
               or_dash(tenant.wait.p50_ns, duration_text),
               or_dash(tenant.wait.p99_ns, duration_text),
               or_dash(tenant.run.p50_ns, duration_text), or_dash(tenant.run.p99_ns, duration_text),
               limits_text(tenant.stats)});
  return table;
}

Table queue_table(const std::vector<const QueueReport*>& queues) {
  Table table({{"QUEUE", Align::left, 0, 12},
               {"CLASS", Align::left, 1},
               {"WEIGHT", Align::right, 9},
               {"ENGINE", Align::left, 8},
               {"WAITING", Align::right, 4},
               {"HELD", Align::right, 7},
               {"TURNS/s", Align::right},
               {"WAIT", Align::right},
               {"WAIT P50", Align::right, 13},
               {"WAIT P99", Align::right, 11},
               {"MAX WAIT", Align::right, 3},
               {"RUN", Align::right, 5},
               {"RUN P50", Align::right, 14},
               {"RUN P99", Align::right, 12},
               {"PID", Align::right, 2},
               {"COMMAND", Align::left, 6, 6},
               {"TENANT", Align::left, 10, 8}});
  for (const QueueReport* queue : queues) {
    const aiaccel_stats_queue& stats = queue->stats;
    table.add(
        {*stats.label ? stats.label : "-", class_name(stats.class_), std::to_string(stats.weight),
         queue->engine, std::to_string(stats.waiting), std::to_string(stats.slots_held),
         or_dash(queue->granted_per_s, rate_text), or_dash(queue->wait_mean_ns, duration_text),
         or_dash(queue->wait.p50_ns, duration_text), or_dash(queue->wait.p99_ns, duration_text),
         stats.granted ? duration_text(stats.max_wait_ns) : "-",
         or_dash(queue->run_mean_ns, duration_text), or_dash(queue->run.p50_ns, duration_text),
         or_dash(queue->run.p99_ns, duration_text),
         dash_for_zero(static_cast<std::uint64_t>(std::max(0, stats.pid))), stats.comm,
         queue->tenant});
  }
  return table;
}

std::vector<const QueueReport*> sorted_queues(const Report& report, Sort sort) {
  std::vector<const QueueReport*> queues;
  for (const QueueReport& queue : report.queues) queues.push_back(&queue);
  const auto key = [sort](const QueueReport* queue) -> double {
    switch (sort) {
      case Sort::rate:
        return queue->granted_per_s.value_or(-1);
      case Sort::wait:
        return queue->wait_mean_ns ? static_cast<double>(*queue->wait_mean_ns) : -1;
      case Sort::waiting:
        return queue->stats.waiting;
      case Sort::priority:
        return queue->stats.class_;
      case Sort::pid:
        return -static_cast<double>(queue->stats.pid);
    }
    return 0;
  };
  std::stable_sort(queues.begin(), queues.end(),
                   [&](const QueueReport* a, const QueueReport* b) { return key(a) > key(b); });
  return queues;
}

Style engine_style(const EngineReport& engine) {
  if (engine.stats.state != AIACCEL_ENGINE_ACTIVE || engine.info.contended) return Style::alarm;
  return engine.stats.slots_used ? Style::strong : Style::plain;
}

Style queue_style(const QueueReport* queue) {
  if (queue->stats.slots_held) return Style::strong;
  return queue->stats.waiting ? Style::plain : Style::faint;
}

// One table on its way to the screen: its lines and the style of each row.
struct Block {
  std::vector<std::string> lines;  // the heading first
  std::function<Style(std::size_t row)> style;

  std::size_t rows() const { return lines.size() - 1; }
};

// The heading and as many rows as `room` has lines for, from row `first` on.
void put(const Block& block, std::size_t first, std::size_t room, std::vector<Line>& lines) {
  if (room == 0) return;
  lines.push_back({block.lines[0], Style::heading});
  const std::size_t rows = block.rows() - std::min(first, block.rows());
  std::size_t shown = std::min(rows, room - 1);
  if (shown < rows && shown > 0) shown--;  // for the line that says so
  for (std::size_t row = first; row < first + shown; row++)
    lines.push_back({block.lines[row + 1], block.style(row)});
  if (shown < rows && room > 1)
    lines.push_back({fmt::format("({} more)", rows - shown), Style::faint});
}

Style style_of(observe::Line::Kind kind) {
  switch (kind) {
    case observe::Line::Kind::heading:
      return Style::heading;
    case observe::Line::Kind::engine:
      return Style::strong;
    case observe::Line::Kind::user:
      return Style::plain;
    case observe::Line::Kind::alarm:
      return Style::alarm;
    case observe::Line::Kind::note:
      return Style::faint;
  }
  return Style::plain;
}

// Without lines where there is nothing to show.
Block observed_block(const Report& report, std::size_t width) {
  Block block;
  std::vector<Style> styles;
  for (observe::Line& line : observe::to_lines(report.now.observed, width)) {
    block.lines.push_back(std::move(line.text));
    styles.push_back(style_of(line.kind));
  }
  block.style = [styles](std::size_t row) { return styles[row + 1]; };
  return block;
}

struct Blocks {
  Block observed, engines, tenants, queues;
};

Blocks make_blocks(const Report& report, Sort sort, std::size_t width) {
  const auto queues = sorted_queues(report, sort);
  return {observed_block(report, width),
          {engine_table(report).lines(width),
           [&report](std::size_t row) { return engine_style(report.engines[row]); }},
          {tenant_table(report).lines(width), [](std::size_t) { return Style::plain; }},
          {queue_table(queues).lines(width),
           [queues](std::size_t row) { return queue_style(queues[row]); }}};
}

std::vector<Line> help_lines(Sort sort) {
  return {{"keys", Style::heading},
          {"q         quit"},
          {"s         sort the queues by the next of rate, wait, waiting, class, pid; now by " +
           sort_name(sort)},
          {"up, down  scroll the queues; also page up, page down, home"},
          {"?         this help, and back"}};
}

}  // namespace

std::string sort_name(Sort sort) {
  switch (sort) {
    case Sort::rate:
      return "rate";
    case Sort::wait:
      return "wait";
    case Sort::waiting:
      return "waiting";
    case Sort::priority:
      return "class";
    case Sort::pid:
      return "pid";
  }
  return "?";
}

Sort next_sort(Sort sort) {
  return sort == Sort::pid ? Sort::rate : static_cast<Sort>(static_cast<int>(sort) + 1);
}

std::vector<Line> layout_all(const Report& report, Sort sort) {
  const Blocks blocks = make_blocks(report, sort, Table::unlimited);
  std::vector<Line> lines{{summary(report), Style::strong}, {memory_text(report)}};
  for (const Block* block : {&blocks.observed, &blocks.engines, &blocks.tenants, &blocks.queues}) {
    // Without an arbiter there is none of the other three.
    if (block->lines.empty() || (block != &blocks.observed && report.now.scope == Scope::none))
      continue;
    lines.push_back({""});
    put(*block, 0, Table::unlimited, lines);
  }
  return lines;
}

std::vector<Line> layout_screen(const Report& report, const View& view) {
  const Blocks blocks = make_blocks(report, view.sort, view.width);
  std::vector<Line> lines{{summary(report), Style::strong}, {memory_text(report)}, {""}};

  // Users, engines and tenants get what they need, up to a quarter of the screen each; queues the
  // rest. Without an arbiter there are users alone.
  const bool alone = report.now.scope == Scope::none;
  const std::size_t quarter = alone ? view.height : std::max<std::size_t>(3, view.height / 4);
  for (const Block* block : {&blocks.observed, &blocks.engines, &blocks.tenants}) {
    if (block->lines.empty() || (block != &blocks.observed && alone)) continue;
    put(*block, 0, std::min(block->lines.size(), quarter), lines);
    lines.push_back({""});
  }
  if (view.help) {
    for (Line& line : help_lines(view.sort)) lines.push_back(std::move(line));
  } else if (!alone && view.height > lines.size() + 1) {
    put(blocks.queues, view.first_queue, view.height - lines.size() - 1, lines);
  }

  const std::string foot = "q quit  s sort: " + sort_name(view.sort) + "  ? help";
  if (view.height > 0) {
    lines.resize(view.height - 1);
    lines.push_back({foot, Style::faint});
  }
  for (Line& line : lines)
    if (columns(line.text) > view.width) line.text = fit(line.text, view.width);
  return lines;
}

}  // namespace tools
