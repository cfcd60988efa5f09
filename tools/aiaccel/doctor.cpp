// SPDX-License-Identifier: MIT
//
// aiaccel doctor: what is here, what is missing, and the line to type. facts.cpp looks,
// findings.cpp judges, this file prints.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "aiaccel/command.hpp"
#include "aiaccel/findings.hpp"
#include "common/failure.hpp"
#include "common/json.hpp"
#include "common/text.hpp"

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

}  // namespace

void add_doctor(CLI::App& app, Globals& globals) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command =
      app.add_subcommand("doctor", "Say what is here, what is missing, and what to type");
  command->add_flag("--json", *json, "Print JSON");
  command->callback([&globals, json] {
    const Facts facts = collect_facts(globals.transport);
    const std::vector<Finding> findings = judge(facts);
    const auto missing =
        std::count_if(findings.begin(), findings.end(),
                      [](const Finding& finding) { return finding.verdict == Verdict::missing; });
    if (*json) {
      fmt::print("{}\n", json_text({{"transport", facts.automatic.transport},
                                    {"missing", missing},
                                    {"findings", to_json(findings)}}));
    } else {
      print_text(findings);
      if (missing == 0)
        fmt::print("\nnothing is missing\n");
      else
        fmt::print("\n{} missing; type the lines above\n", missing);
    }
    globals.status = missing ? exit_failed : exit_ok;
  });
}

}  // namespace tools
