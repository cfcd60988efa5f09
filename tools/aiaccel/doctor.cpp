// SPDX-License-Identifier: MIT
//
// aiaccel doctor: what is here, what is missing, and the line to type; who uses accelerators; and
// of one process what would mend it. facts.cpp and tools/observe look, findings.cpp and
// process_findings.cpp judge, this file prints.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "aiaccel/command.hpp"
#include "aiaccel/findings.hpp"
#include "aiaccel/process_findings.hpp"
#include "aiaccel/scheduling.hpp"
#include "common/command_line.hpp"
#include "common/failure.hpp"
#include "common/json.hpp"
#include "common/names.hpp"
#include "common/scope.hpp"
#include "common/stats.hpp"
#include "common/table.hpp"
#include "common/text.hpp"
#include "observe/drm.hpp"
#include "observe/proc.hpp"
#include "observe/show.hpp"

namespace tools {
namespace {

const char* colour_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "\033[32m";
    case Verdict::note:
      return "\033[33m";
    case Verdict::missing:
      return "\033[31m";
  }
  return "";
}

void print_text(const std::vector<Finding>& findings) {
  const bool colour = wants_colour(STDOUT_FILENO);
  std::size_t width = 0;
  for (const Finding& finding : findings) width = std::max(width, columns(finding.subject));
  for (const Finding& finding : findings) {
    fmt::print("{}{:7}{}  {}  {}\n", colour ? colour_of(finding.verdict) : "",
               verdict_name(finding.verdict), colour ? "\033[0m" : "", fit(finding.subject, width),
               printable(finding.found));
    for (const std::string& line : finding.fix)
      fmt::print("{:{}}type: {}\n", "", width + 11, printable(line));
  }
}

Json to_json(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings)
    list.push_back({{"subject", finding.subject},
                    {"verdict", verdict_name(finding.verdict)},
                    {"found", finding.found},
                    {"fix", finding.fix}});
  return list;
}

struct Options {
  bool json = false;
  int pid = 0;  // 0: the whole machine
  std::vector<std::string> watched;
};

// Asks what runs, and starts nothing for it.
observe::Observation look(const Options& options, const std::string& transport) {
  observe::Question question;
  question.watched = options.watched;
  question.drm_name = observe::libdrm_name;
  question.self = ::getpid();
  if (options.pid) question.pids = {options.pid};
  observe::Gpus gpus;
  if (const auto nvml = aiaccel::nvml::Nvml::open(gpus.missing)) gpus = observe::read_gpus(*nvml);
  std::string ignored;
  std::optional<observe::Arbiter> arbiter;
  if (const auto device = open_running(transport, ignored)) {
    arbiter.emplace();
    for (const aiaccel::Engine& engine : device->engines())
      arbiter->engines.push_back(engine.info());
    arbiter->queues = read_stats<aiaccel_stats_queue>(*device).records;
    arbiter->sees_all = scope_of(*device) == Scope::all;
  }
  return observe::observe(question, gpus, arbiter ? &*arbiter : nullptr);
}

std::ptrdiff_t count_missing(const std::vector<Finding>& findings) {
  return std::count_if(findings.begin(), findings.end(),
                       [](const Finding& finding) { return finding.verdict == Verdict::missing; });
}

// Without sudo in lines for who is root, on whose system there may be none.
std::vector<Finding> as_typed(std::vector<Finding> findings) {
  if (::geteuid() != 0) return findings;
  constexpr std::string_view sudo = "sudo ";
  for (Finding& finding : findings)
    for (std::string& line : finding.fix)
      if (line.starts_with(sudo)) line.erase(0, sudo.size());
  return findings;
}

Exit doctor_machine(const Options& options, const std::string& transport) {
  const Facts facts = collect_facts(transport);
  const observe::Observation observation = look(options, transport);
  std::vector<Finding> findings = as_typed(judge(facts));
  findings.push_back(judge_nvml(observation.nvml_missing));
  const auto missing = count_missing(findings);
  if (options.json) {
    fmt::print("{}\n", json_text({{"transport", facts.automatic.transport},
                                  {"missing", missing},
                                  {"findings", to_json(findings)},
                                  {"observed", observe::to_json(observation)}}));
  } else {
    print_text(findings);
    if (missing == 0)
      fmt::print("\nnothing is missing\n");
    else
      fmt::print("\n{} missing; type the lines above\n", missing);
    const auto lines = observe::to_lines(observation, Table::unlimited);
    fmt::print("\nwho uses accelerators{}\n",
               observation.users.empty() ? ": nobody that is seen" : "");
    for (const observe::Line& line : lines) fmt::print("{}\n", line.text);
  }
  return missing ? exit_failed : exit_ok;
}

Exit doctor_process(const Options& options, const std::string& transport) {
  const observe::Observation observation = look(options, transport);
  const auto scheduled = scheduled_class(options.pid);
  const std::vector<Finding> findings =
      as_typed(judge_process(observation, observe::command_of({}, options.pid),
                             scheduled ? class_name(*scheduled) : std::string()));
  if (options.json)
    fmt::print("{}\n", json_text({{"missing", count_missing(findings)},
                                  {"findings", to_json(findings)},
                                  {"observed", observe::to_json(observation)}}));
  else
    print_text(findings);
  return count_missing(findings) ? exit_failed : exit_ok;
}

}  // namespace

void add_doctor(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("doctor", "Say what is here, what is missing, and what to type");
  command->add_flag("--json", options->json, "Print JSON");
  command->add_option("--pid", options->pid, "Say of this process what it uses and what mends it")
      ->type_name("PID")
      ->check(between(1, 1 << 22));
  command
      ->add_option("--watch", options->watched,
                   "Count as users what has this name or command line; may be repeated")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  command->callback([&globals, options] {
    globals.status = options->pid ? doctor_process(*options, globals.transport)
                                  : doctor_machine(*options, globals.transport);
  });
}

}  // namespace tools
