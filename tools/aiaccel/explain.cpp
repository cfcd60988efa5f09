// SPDX-License-Identifier: MIT
//
// aiaccel explain: who made a unit, a process or a label wait, for how long, and why; and what
// waits now.
#include <fmt/format.h>
#include <unistd.h>
#include <aiaccel/device.hpp>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "aiaccel/analysis.hpp"
#include "aiaccel/command.hpp"
#include "aiaccel/explain_now.hpp"
#include "aiaccel/target.hpp"
#include "common/failure.hpp"
#include "common/find_engine.hpp"
#include "common/json.hpp"
#include "common/names.hpp"
#include "common/scope.hpp"
#include "common/stats.hpp"
#include "common/table.hpp"
#include "common/text.hpp"

namespace tools {
namespace {

struct Options {
  std::string word;
  std::string last = "10s";
  std::string engine;
  bool json = false;
};

struct Answer {
  std::string alias, name, state;
  Explanation explanation;
};

struct Report {
  Target target;
  std::uint64_t from_ns = 0, to_ns = 0;
  bool sees_all = false;
  std::map<Source, std::string> units;  // printable
  std::vector<Answer> answers;          // of engines that it had to do with
};

// "500ms", "10s" or "2m" in nanoseconds.
std::uint64_t parse_last(const std::string& text) {
  const std::map<std::string, std::uint64_t> units{
      {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}};
  constexpr std::uint64_t day_ns = 86'400'000'000'000;
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const auto unit = units.find(std::string(rest, end));
  const auto refuse = [&](const char* why) {
    throw Failure(fmt::format("--last {}: {}", printable(text), why), "`aiaccel explain --help`",
                  exit_usage);
  };
  if (error == std::errc::invalid_argument || unit == units.end())
    refuse("not a whole number of ms, s or m, such as 10s");
  if (error == std::errc::result_out_of_range || number > day_ns / unit->second)
    refuse("longer than a day");
  if (!number) refuse("no time at all");
  return number * unit->second;
}

Report make_report(const aiaccel::Device& device, Target target, std::uint32_t only,
                   std::uint64_t last_ns) {
  Report report;
  report.target = std::move(target);
  report.sees_all = scope_of(device) == Scope::all;
  const auto read = read_stats<aiaccel_stats_turn>(device);
  const auto turns = without_doubles(read.records, read.time_ns);
  const auto tenants = read_stats<aiaccel_stats_tenant>(device).records;
  for (const auto& [source, name] : name_units(tenants, turns))
    report.units[source] = printable(name);
  report.to_ns = read.time_ns;
  report.from_ns = read.time_ns - std::min(read.time_ns, last_ns);

  std::vector<aiaccel_engine_info> infos;
  for (const aiaccel::Engine& engine : device.engines()) infos.push_back(engine.info());
  const std::vector<std::string> aliases = engine_aliases(infos);
  for (std::size_t i = 0; i < infos.size(); i++) {
    const aiaccel_engine_info& info = infos[i];
    if (only && info.id != only) continue;
    Answer answer{aliases[i], info.name, state_name(info.state),
                  explain(turns, {info.id, info.kind == AIACCEL_ENGINE_CPU, report.from_ns,
                                  report.to_ns, [&](const aiaccel_stats_turn& turn) {
                                    return report.target.includes(turn);
                                  }})};
    const Explanation& e = answer.explanation;
    if (only || e.waits || e.turns || e.refused || e.failed || e.revoked)
      report.answers.push_back(std::move(answer));
  }
  return report;
}

std::string who(const Report& report, const Part& part) {
  if (part.why == Why::cap) return "-";
  if (part.why == Why::unseen) return report.sees_all ? "-" : "others";
  const auto unit = report.units.find(part.unit);
  std::string text = unit == report.units.end() ? "" : unit->second + " ";
  if (part.pid) text += std::to_string(part.pid) + " ";
  text += printable(part.comm);
  if (!part.label.empty()) text += " " + printable(part.label);
  return text + " (" + class_name(part.class_) + ")";
}

std::string sentence(const Report& report, Why why) {
  if (why == Why::unseen && !report.sees_all)
    return "others, whose turns only root may see, or nobody's turn on record";
  return why_sentence(why);
}

std::uint64_t seconds_back(const Report& report, const Answer& answer) {
  return report.to_ns - std::min(report.to_ns, answer.explanation.oldest_ns);
}

void print_answer(const Report& report, const Answer& answer) {
  const Explanation& e = answer.explanation;
  const std::string other = answer.name == answer.alias ? "" : " " + answer.name;
  fmt::print("\n{}{} ({}): {}, ran {}; {}, {} in all, {} the longest\n", answer.alias, other,
             answer.state, count_text(e.turns, "turn"), duration_text(e.run_ns),
             count_text(e.waits, "wait"), duration_text(e.wait_ns), duration_text(e.longest_ns));
  if (e.refused)
    fmt::print("drain: {} refused over {}: the engine took no new work\n",
               count_text(e.refused, "request"), duration_text(e.refused_ns));
  if (e.revoked) fmt::print("{} ended by others\n", count_text(e.revoked, "turn"));
  if (e.failed)
    fmt::print("{} failed: the engine went, or an administrator ended them\n",
               count_text(e.failed, "job"));
  if (!e.parts.empty()) {
    Table table(
        {{"WAITED", Align::right}, {"OF ALL", Align::right}, {"WHY"}, {"WHO", Align::left, 0, 16}});
    std::set<Why> whys;
    for (const Part& part : e.parts) {
      table.add({duration_text(part.ns),
                 percent_text(static_cast<double>(part.ns) / static_cast<double>(e.wait_ns)),
                 why_name(part.why), who(report, part)});
      whys.insert(part.why);
    }
    for (const std::string& line : table.lines(terminal_columns(STDOUT_FILENO, Table::unlimited)))
      fmt::print("{}\n", line);
    for (const Why why : whys) fmt::print("{}: {}\n", why_name(why), sentence(report, why));
  }
}

// How far back the records of each engine go, where that is less than what was asked for.
std::string on_record(const Report& report) {
  std::string text;
  for (const Answer& answer : report.answers)
    if (answer.explanation.oldest_ns > report.from_ns)
      text += fmt::format("{} the last {} of {}", text.empty() ? "; on record are" : ",",
                          duration_text(seconds_back(report, answer)), answer.alias);
  return text;
}

void print(const Report& report) {
  fmt::print("{}: the last {}{}\n", report.target.name,
             duration_text(report.to_ns - report.from_ns), on_record(report));
  for (const Answer& answer : report.answers) print_answer(report, answer);
  if (report.answers.empty()) fmt::print("It had no turn in that time, and waited for none.\n");
}

Json to_json(const Report& report) {
  Json engines = Json::array();
  for (const Answer& answer : report.answers) {
    const Explanation& e = answer.explanation;
    Json parts = Json::array();
    for (const Part& part : e.parts) {
      const auto unit = report.units.find(part.unit);
      const bool nobody = part.why == Why::cap || part.why == Why::unseen;
      parts.push_back(
          {{"why", why_name(part.why)},
           {"wait_ns", part.ns},
           {"tenant", nobody || unit == report.units.end() ? Json() : Json(unit->second)},
           {"pid", part.pid ? Json(part.pid) : Json()},
           {"comm", nobody ? Json() : Json(part.comm)},
           {"label", nobody ? Json() : Json(part.label)},
           {"class", nobody ? Json() : Json(class_name(part.class_))}});
    }
    engines.push_back({{"alias", answer.alias},
                       {"name", answer.name},
                       {"state", answer.state},
                       {"turns", e.turns},
                       {"run_ns", e.run_ns},
                       {"waits", e.waits},
                       {"wait_ns", e.wait_ns},
                       {"longest_wait_ns", e.longest_ns},
                       {"refused", e.refused},
                       {"refused_ns", e.refused_ns},
                       {"revoked", e.revoked},
                       {"failed", e.failed},
                       {"record_ns", e.oldest_ns ? Json(seconds_back(report, answer)) : Json()},
                       {"parts", parts}});
  }
  return {{"target", report.target.name},
          {"last_ns", report.to_ns - report.from_ns},
          {"sees_all", report.sees_all},
          {"engines", engines}};
}

void print_scope(bool sees_all) {
  if (!sees_all)
    fmt::print("\nThe turns of other tenants are shown to root alone: here they are \"others\".\n");
}

// Whatever waits, of everybody.
void explain_all(const aiaccel::Device& device, const Options& options, std::uint32_t only) {
  const WaitsNow now = read_waits(device, only, [](const aiaccel_stats_turn&) { return true; });
  if (options.json)
    fmt::print("{}\n", json_text({{"sees_all", now.sees_all}, {"waiting", to_json(now)}}));
  else
    print(now), print_scope(now.sees_all);
}

void explain_target(const aiaccel::Device& device, const Options& options, std::uint32_t only,
                    std::uint64_t last_ns) {
  // First, since it goes soonest.
  Target target = find_target(device, options.word, true);
  const WaitsNow now = read_waits(
      device, only, [&](const aiaccel_stats_turn& turn) { return target.includes(turn); });
  const Report report = make_report(device, std::move(target), only, last_ns);
  if (options.json) {
    Json json = to_json(report);
    json["waiting"] = to_json(now);
    fmt::print("{}\n", json_text(json));
    return;
  }
  print(report);
  fmt::print("\n");
  print(now);
  print_scope(report.sees_all);
}

}  // namespace

void add_explain(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("explain", "Say who made whom wait, how long, and why");
  auto* target = command->add_option(
      "TARGET", options->word,
      "A unit, a process or thread, or a queue's label; without: all that waits now");
  command->add_option("--last", options->last, "How far back, such as 500ms, 10s or 2m")
      ->type_name("TIME")
      ->needs(target);
  command->add_option("--engine", options->engine, "This engine only")->type_name("NAME");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([&globals, options] {
    const std::uint64_t last_ns = parse_last(options->last);
    const aiaccel::Device device = need_running(globals.transport);
    const std::uint32_t only =
        options->engine.empty() ? 0 : find_engine(device, options->engine).info().id;
    if (options->word.empty())
      explain_all(device, *options, only);
    else
      explain_target(device, *options, only, last_ns);
    globals.status = exit_ok;
  });
}

}  // namespace tools
