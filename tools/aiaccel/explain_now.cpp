// SPDX-License-Identifier: MIT
//
// See explain_now.hpp.
#include "aiaccel/explain_now.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "common/names.hpp"
#include "common/scope.hpp"
#include "common/table.hpp"
#include "common/text.hpp"

namespace tools {
namespace {

std::string describe(const WaitsNow& now, const Party& party) {
  std::string text;
  if (party.unit)
    if (const auto unit = now.units.find(*party.unit); unit != now.units.end())
      text += unit->second + " ";
  if (party.pid) text += std::to_string(party.pid) + " ";
  text += printable(party.comm);
  if (!party.label.empty()) text += " " + printable(party.label);
  return text;
}

std::string describe_obstacle(const WaitsNow& now, const Waiting& waiting) {
  if (!waiting.in_way) return waits_for_somebody(waiting.why) && !now.sees_all ? "others" : "-";
  const Obstacle& obstacle = *waiting.in_way;
  std::string text = describe(now, obstacle.who);
  if (!obstacle.class_) return text;
  text += " (" + class_name(*obstacle.class_);
  if (obstacle.ran_ns) text += ", for " + duration_text(*obstacle.ran_ns);
  return text + ")";
}

Json party_json(const WaitsNow& now, const Party& party) {
  Json json{{"tenant", Json()},
            {"pid", party.pid ? Json(party.pid) : Json()},
            {"comm", party.comm},
            {"label", party.label}};
  if (party.unit)
    if (const auto unit = now.units.find(*party.unit); unit != now.units.end())
      json["tenant"] = unit->second;
  return json;
}

std::string not_told(int code) {
  if (code == EMSGSIZE)
    return fmt::format("not told: there is more here than is told at once ({} records)",
                       AIACCEL_SNAPSHOT_MAX);
  return code == EINVAL ? "not told: the arbiter is of an older version" : "";
}

}  // namespace

WaitsNow read_waits(const aiaccel::Device& device, std::uint32_t only,
                    const std::function<bool(const aiaccel_stats_turn&)>& is_target) {
  WaitsNow now;
  now.sees_all = scope_of(device) == Scope::all;
  Snapshot snapshot;
  try {
    snapshot = read_snapshot(device);
  } catch (const aiaccel::Error& error) {
    now.not_told = not_told(error.code().value());
    if (now.not_told.empty()) throw;
  }
  now.waiting = find_waiting(snapshot, [&](const aiaccel_stats_turn& turn) {
    return (!only || turn.engine == only) && is_target(turn);
  });
  for (const auto& [source, name] : name_units(snapshot.tenants, {}))
    now.units[source] = printable(name);
  std::vector<aiaccel_engine_info> infos;
  for (const aiaccel::Engine& engine : device.engines()) infos.push_back(engine.info());
  const std::vector<std::string> aliases = engine_aliases(infos);
  for (std::size_t i = 0; i < infos.size(); i++) now.aliases[infos[i].id] = aliases[i];
  return now;
}

void print(const WaitsNow& now) {
  if (!now.not_told.empty() || now.waiting.empty()) {
    fmt::print("waiting now: {}\n", now.not_told.empty() ? "nothing" : now.not_told);
    return;
  }
  fmt::print("waiting now: {}\n", count_text(now.waiting.size(), "job"));
  Table table({{"WAITED", Align::right},
               {"ENGINE"},
               {"CLASS", Align::left, 1},
               {"SLOTS", Align::right, 2},
               {"WHY"},
               {"WHO", Align::left, 0, 16},
               {"FOR", Align::left, 0, 16}});
  std::set<std::uint32_t> causes;
  for (const Waiting& waiting : now.waiting) {
    const auto alias = now.aliases.find(waiting.engine);
    table.add({duration_text(waiting.wait_ns),
               alias == now.aliases.end() ? std::to_string(waiting.engine) : alias->second,
               class_name(waiting.class_), std::to_string(waiting.width), wait_name(waiting.why),
               describe(now, waiting.who), describe_obstacle(now, waiting)});
    causes.insert(waiting.why);
  }
  for (const std::string& line : table.lines(terminal_columns(STDOUT_FILENO, Table::unlimited)))
    fmt::print("{}\n", line);
  for (const std::uint32_t why : causes) fmt::print("{}: {}\n", wait_name(why), wait_sentence(why));
}

Json to_json(const WaitsNow& now) {
  if (!now.not_told.empty()) return {};
  Json list = Json::array();
  for (const Waiting& waiting : now.waiting) {
    Json json = party_json(now, waiting.who);
    const auto alias = now.aliases.find(waiting.engine);
    json["engine"] = alias == now.aliases.end() ? Json() : Json(alias->second);
    json["class"] = class_name(waiting.class_);
    json["width"] = waiting.width;
    json["wait_ns"] = waiting.wait_ns;
    json["why"] = wait_name(waiting.why);
    json["waits_for"] = Json();
    if (waiting.in_way) {
      Json other = party_json(now, waiting.in_way->who);
      other["class"] = waiting.in_way->class_ ? Json(class_name(*waiting.in_way->class_)) : Json();
      other["run_ns"] = or_null(waiting.in_way->ran_ns);
      json["waits_for"] = other;
    }
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace tools
