// SPDX-License-Identifier: MIT
//
// aiaccel engines: what work can run on, and how full it is.
#include <fmt/format.h>
#include <unistd.h>
#include <aiaccel/device.hpp>

#include <map>

#include "aiaccel/command.hpp"
#include "aiaccel/register_gpus.hpp"
#include "common/failure.hpp"
#include "common/json.hpp"
#include "common/names.hpp"
#include "common/stats.hpp"
#include "common/table.hpp"

namespace tools {
namespace {

struct Row {
  std::string alias;  // see engine_aliases()
  aiaccel_engine_info info;
  aiaccel_stats_engine stats;
};

std::vector<Row> read_rows(const aiaccel::Device& device) {
  std::map<std::uint32_t, aiaccel_stats_engine> stats;
  for (const auto& record : read_stats<aiaccel_stats_engine>(device).records)
    stats[record.id] = record;
  std::vector<aiaccel_engine_info> infos;
  for (const aiaccel::Engine& engine : device.engines()) infos.push_back(engine.info());
  const std::vector<std::string> aliases = engine_aliases(infos);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < infos.size(); i++) {
    const auto found = stats.find(infos[i].id);
    if (found == stats.end()) continue;  // it came after the statistics
    rows.push_back({aliases[i], infos[i], found->second});
  }
  return rows;
}

void print_table(const std::vector<Row>& rows, std::string_view transport) {
  Table table({{"ENGINE"},
               {"NAME", Align::left, 0, 8},
               {"NODE", Align::right, 3},
               {"SLOTS", Align::right},
               {"USED", Align::right},
               {"WAITING", Align::right},
               {"MEMORY", Align::right, 4},
               {"STATE", Align::left, 1},
               {"ORDER", Align::left, 6},
               {"ENFORCEMENT", Align::left, 2},
               {"PROVIDER", Align::left, 5, 8}});
  for (const Row& row : rows)
    table.add({row.alias, name_beside(row.alias, row.info),
               row.info.numa_node < 0 ? "-" : std::to_string(row.info.numa_node),
               std::to_string(row.info.slots), std::to_string(row.stats.slots_used),
               std::to_string(row.stats.jobs_waiting),
               row.info.device_bytes ? bytes_text(row.info.device_bytes) : "-",
               state_name(row.info.state), order_name(row.info.order),
               enforcement_name(row.info.enforcement), row.info.provider});
  for (const std::string& line : table.lines(terminal_columns(STDOUT_FILENO, Table::unlimited)))
    fmt::print("{}\n", line);
  fmt::print("\ntransport: {}\n", transport);
}

Json to_json(const std::vector<Row>& rows, std::string_view transport) {
  Json engines = Json::array();
  for (const Row& row : rows) {
    const Json node = row.info.numa_node < 0 ? Json() : Json(row.info.numa_node);
    engines.push_back({{"id", row.info.id},
                       {"alias", row.alias},
                       {"name", row.info.name},
                       {"kind", engine_kind_name(row.info.kind)},
                       {"numa_node", node},
                       {"slots", row.info.slots},
                       {"slots_used", row.stats.slots_used},
                       {"jobs_waiting", row.stats.jobs_waiting},
                       {"device_bytes", row.info.device_bytes},
                       {"state", state_name(row.info.state)},
                       {"order", order_name(row.info.order)},
                       {"enforcement", enforcement_name(row.info.enforcement)},
                       {"provider", row.info.provider}});
  }
  return {{"transport", transport}, {"engines", engines}};
}

}  // namespace

void add_engines(CLI::App& app, Globals& globals) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("engines", "List what work can run on");
  auto wants_gpus = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "Print JSON");
  command->add_flag("--register", *wants_gpus, "Make engines of the GPUs here");
  command->callback([&globals, json, wants_gpus] {
    const aiaccel::Device device = open_device(globals.transport);
    if (*wants_gpus) {
      globals.status = register_gpus(device);
      return;
    }
    const std::vector<Row> rows = read_rows(device);
    if (*json)
      fmt::print("{}\n", json_text(to_json(rows, device.transport())));
    else
      print_table(rows, device.transport());
    globals.status = exit_ok;
  });
}

}  // namespace tools
