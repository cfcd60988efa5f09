// SPDX-License-Identifier: MIT
//
// See show.hpp.
#include "observe/show.hpp"

#include <fmt/format.h>

#include "common/table.hpp"
#include "common/text.hpp"

namespace observe {
namespace {

using tools::Json;
using tools::or_null;

std::string bytes_or_dash(const std::optional<std::uint64_t>& bytes) {
  return bytes ? tools::bytes_text(*bytes) : "-";
}

// Most processes have none of it, which is a fact, but one not worth reading.
std::string bytes_if_any(const std::optional<std::uint64_t>& bytes) {
  return bytes.value_or(0) ? tools::bytes_text(*bytes) : "-";
}

std::string node_text(const User& user) {
  if (!user.placement) return "-";
  const auto main = main_node(*user.placement);
  return main ? fmt::format("n{} {}", main->node, tools::percent_text(main->share)) : "-";
}

std::vector<std::string> cells(const User& user) {
  return {std::to_string(user.pid),
          user.unit.empty() ? "-" : user.unit,
          user.comm.empty() ? "(not in this /proc)" : user.comm,
          bytes_or_dash(user.device_bytes),
          user.busy ? tools::percent_text(*user.busy) : "-",
          bytes_if_any(user.pinned_bytes),
          bytes_if_any(user.locked_bytes),
          bytes_or_dash(user.resident_bytes),
          node_text(user),
          marks(user)};
}

Json engine_json(const Engine& engine) {
  const auto text = [](const std::string& value) { return value.empty() ? Json() : Json(value); };
  return {{"alias", engine.alias},
          {"kind", engine.kind},
          {"name", text(engine.name)},
          {"address", text(engine.address)},
          {"uuid", text(engine.uuid)},
          {"source", engine.source},
          {"driver", text(engine.driver)},
          {"divided", engine.divided},
          {"engine_id", or_null(engine.engine_id)},
          {"numa_node", or_null(engine.numa_node)},
          {"total_bytes", or_null(engine.total_bytes)},
          {"used_bytes", or_null(engine.used_bytes)},
          {"busy_fraction", or_null(engine.busy)}};
}

Json user_json(const Observation& observation, const User& user) {
  Json placement;
  if (user.placement) {
    placement = Json::object();
    for (const auto& [node, bytes] : *user.placement) placement[std::to_string(node)] = bytes;
  }
  return {{"pid", user.pid},
          {"command", user.comm.empty() ? Json() : Json(user.comm)},
          {"unit", user.unit.empty() ? Json() : Json(user.unit)},
          {"cgroup", user.cgroup.empty() ? Json() : Json(user.cgroup)},
          {"uid", user.comm.empty() ? Json() : Json(user.uid)},
          {"engine_alias", user.engine ? Json(observation.engines[*user.engine].alias) : Json()},
          {"device_bytes", or_null(user.device_bytes)},
          {"busy_fraction", or_null(user.busy)},
          {"pinned_bytes", or_null(user.pinned_bytes)},
          {"locked_bytes", or_null(user.locked_bytes)},
          {"resident_bytes", or_null(user.resident_bytes)},
          {"node_bytes", std::move(placement)},
          {"gated", or_null(user.gated)},
          {"wrong_node", or_null(user.wrong_node)}};
}

}  // namespace

std::string marks(const User& user) {
  std::string text;
  if (user.gated) text = *user.gated ? "gated" : "ungated";
  if (user.wrong_node.value_or(false)) text += text.empty() ? "wrong node" : "  wrong node";
  return text;
}

std::string engine_facts(const Engine& engine) {
  std::string text;
  const auto add = [&text](const std::string& fact) { text += (text.empty() ? "" : "  ") + fact; };
  if (!engine.name.empty()) add(engine.name);
  if (!engine.address.empty()) add(engine.address);
  if (engine.numa_node) add(fmt::format("node {}", *engine.numa_node));
  if (engine.total_bytes && engine.used_bytes)
    add(tools::bytes_text(*engine.used_bytes) + " of " + tools::bytes_text(*engine.total_bytes));
  if (engine.busy) add(tools::percent_text(*engine.busy));
  if (engine.divided) add("divided into MIG instances");
  return text;
}

std::vector<Line> to_lines(const Observation& observation, std::size_t width) {
  using tools::Align;
  tools::Table table({{"PID", Align::right},
                      {"UNIT", Align::left, 0, 12},
                      {"COMMAND", Align::left, 2, 6},
                      {"DEVICE", Align::right},
                      {"BUSY", Align::right, 3},
                      {"PINNED", Align::right, 1},
                      {"LOCKED", Align::right, 4},
                      {"MEMORY", Align::right, 5},
                      {"NODE", Align::left, 1},
                      {"MARKS", Align::left}});
  for (const User& user : observation.users) table.add(cells(user));
  const std::vector<std::string> rows = table.lines(width);

  std::vector<Line> lines;
  std::size_t next = 0;
  const auto add_users = [&](std::optional<std::size_t> engine) {
    for (; next < observation.users.size() && observation.users[next].engine == engine; next++) {
      const User& user = observation.users[next];
      const bool alarm = user.wrong_node.value_or(false);
      lines.push_back({rows[next + 1], alarm ? Line::Kind::alarm : Line::Kind::user});
    }
  };
  for (std::size_t i = 0; i < observation.engines.size(); i++) {
    const Engine& engine = observation.engines[i];
    lines.push_back(
        {tools::printable(engine.alias + "  " + engine_facts(engine)), Line::Kind::engine});
    while (lines.back().text.ends_with(' ')) lines.back().text.pop_back();
    add_users(i);
  }
  if (next < observation.users.size()) {
    lines.push_back({"no engine known", Line::Kind::engine});
    add_users(std::nullopt);
  }
  if (!observation.users.empty()) lines.insert(lines.begin(), {rows[0], Line::Kind::heading});
  if (observation.hidden)
    lines.push_back({observation.hidden == 1
                         ? "1 process not readable; run as root to see it"
                         : fmt::format("{} processes not readable; run as root to see them",
                                       observation.hidden),
                     Line::Kind::note});
  return lines;
}

Json to_json(const Observation& observation) {
  Json engines = Json::array();
  for (const Engine& engine : observation.engines) engines.push_back(engine_json(engine));
  Json users = Json::array();
  for (const User& user : observation.users) users.push_back(user_json(observation, user));
  return {
      {"engines", std::move(engines)},
      {"users", std::move(users)},
      {"hidden_processes", observation.hidden},
      {"nvml_missing", observation.nvml_missing.empty() ? Json() : Json(observation.nvml_missing)}};
}

}  // namespace observe
