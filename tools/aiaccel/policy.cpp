// SPDX-License-Identifier: MIT
//
// aiaccel policy: what tenants may have. The files of a folder are the policy; this checks them,
// writes single ones, and hands all of them to the arbiter, which forgets what it had.
#include <fmt/format.h>
#include <policy/expand.h>
#include <policy/folder.h>
#include <uapi/aiaccel.h>
#include <unistd.h>
#include <aiaccel/device.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

#include "aiaccel/arbiter_policy.hpp"
#include "aiaccel/command.hpp"
#include "aiaccel/policy_file.hpp"
#include "common/failure.hpp"
#include "common/json.hpp"
#include "common/stats.hpp"
#include "common/table.hpp"
#include "host/core.h"

namespace tools {
namespace {

using aiaccel::policy::By;
using aiaccel::policy::Key;
using aiaccel::policy::kKeys;
using aiaccel::policy::Policy;
using aiaccel::policy::Problem;
using aiaccel::policy::Section;
using aiaccel::policy::Settings;
using aiaccel::policy::settings_of;

struct Options {
  std::string folder = aiaccel::policy::kFolder;
  std::vector<std::string> files;
  std::string who;
  std::string values[kKeys];  // of --max-class and its like; empty: not given
  bool json = false;
};

// The folder of the system may be missing: then there is no policy. One that was named is a slip.
Policy read_policy(const std::string& folder) {
  if (folder != aiaccel::policy::kFolder && ::access(folder.c_str(), F_OK) < 0)
    throw Failure(fmt::format("cannot read {}: {}", folder, std::strerror(errno)), "", exit_usage);
  return aiaccel::policy::read_folder(folder);
}

// What an arbiter of users loads and never uses.
void warn_of_groups(const aiaccel::Device& device, const Policy& policy) {
  if (std::string_view(device.transport()) == "kernel") return;
  const auto groups =
      std::count_if(policy.sections.begin(), policy.sections.end(),
                    [](const Section& s) { return s.by == By::unit || s.by == By::cgroup; });
  if (groups)
    fmt::print(stderr,
               "aiaccel: policy: {} for units and cgroups: of no effect, since the tenants of the "
               "{} are users\n",
               count_text(static_cast<std::uint64_t>(groups), "section"), device.transport());
}

int check(const Options& options) {
  Policy policy;
  if (options.files.empty())
    policy = read_policy(options.folder);
  else
    for (const std::string& file : options.files) read_file(file, policy);
  const std::size_t rules = expand(policy).size();
  for (const Problem& problem : policy.problems) fmt::print("{}\n", printable(problem.text()));
  if (!policy.problems.empty()) return exit_failed;
  fmt::print("{}, {}: nothing is wrong\n", count_text(policy.sections.size(), "section"),
             count_text(rules, "rule"));
  return exit_ok;
}

// One line for each file of which something is left out: at boot it goes to a log.
int reload(const Options& options, const std::string& transport) {
  const aiaccel::Device device = need_running(transport);
  Policy policy = read_policy(options.folder);
  const Rules rules = expand(policy);
  replace_rules(device, rules);
  fmt::print("{} loaded\n", count_text(rules.size(), "rule"));
  warn_of_groups(device, policy);
  std::map<std::string, std::vector<const Problem*>> by_file;
  for (const Problem& problem : policy.problems) by_file[problem.file].push_back(&problem);
  for (const auto& [file, problems] : by_file) {
    const std::string more =
        problems.size() > 1 ? fmt::format(" (and {} more)", problems.size() - 1) : "";
    const auto whole = std::find_if(problems.begin(), problems.end(),
                                    [](const Problem* problem) { return !problem->of_section; });
    const bool is_whole = whole != problems.end();
    fmt::print(stderr, "aiaccel: policy: {} is loaded: {}{}\n",
               is_whole ? "nothing of this file" : "nothing of this section",
               printable((is_whole ? *whole : problems[0])->text()), more);
  }
  return by_file.empty() ? exit_ok : exit_failed;
}

// After the files have changed. Where nothing runs, they are read when something does.
int reload_what_runs(const Options& options, const std::string& transport) {
  std::string missing;
  if (open_running(transport, missing)) return reload(options, transport);
  fmt::print("{}: it holds from when one starts\n", missing);
  return exit_ok;
}

std::string who_of(const aiaccel_policy_rule& rule) {
  switch (rule.match) {
    case AIACCEL_MATCH_NAME:
      return fmt::format("unit={}", rule.pattern);
    case AIACCEL_MATCH_PATH:
      return fmt::format("cgroup={}", rule.pattern);
    case AIACCEL_MATCH_USER:
      return fmt::format("user={}", rule.uid);
    default:
      return fmt::format("match {}", rule.match);
  }
}

void each_setting(const Settings& settings, const auto& visit) {
  for (unsigned i = 0; i < kKeys; i++) {
    const Key key = static_cast<Key>(i);
    if (settings[key]) visit(info(key).name, write_value(key, *settings[key]));
  }
}

// Names of the tenants that are there now and that the rule is for.
std::vector<std::string> held(const aiaccel_policy_rule& rule,
                              const std::vector<aiaccel_stats_tenant>& tenants) {
  std::vector<std::string> names;
  for (const aiaccel_stats_tenant& tenant : tenants) {
    const bool cgroup = tenant.kind == AIACCEL_TENANT_CGROUP;
    if (tenant.kind != AIACCEL_TENANT_ROOT &&
        aia_rule_matches(&rule, cgroup ? tenant.name : nullptr,
                         static_cast<std::uint32_t>(tenant.source_id)))
      names.push_back(tenant.name);
  }
  return names;
}

int show(const Options& options, const std::string& transport) {
  const aiaccel::Device device = need_running(transport);
  const Rules rules = loaded_rules(device);
  const auto tenants = read_stats<aiaccel_stats_tenant>(device).records;
  Table table({{"FOR"}, {"GIVES"}, {"HOLDS NOW FOR", Align::left, 1}});
  Json json = Json::array();
  for (const aiaccel_policy_rule& rule : rules) {
    const Settings gives = settings_of(rule);
    std::string text;
    Json of_rule{{"for", who_of(rule)}};
    each_setting(gives, [&](const char* name, const std::string& value) {
      text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value);
      of_rule[name] = value;
    });
    const std::vector<std::string> names = held(rule, tenants);
    of_rule["tenants"] = names;
    table.add({who_of(rule), text, names.empty() ? "-" : fmt::format("{}", fmt::join(names, " "))});
    json.push_back(of_rule);
  }
  if (options.json) {
    fmt::print("{}\n", json_text({{"rules", json}}));
  } else if (rules.empty()) {
    fmt::print("no policy is loaded\n");
  } else {
    for (const std::string& line : table.lines()) fmt::print("{}\n", line);
  }
  return exit_ok;
}

int set(const Options& options, const std::string& transport) {
  Section section = parse_who(options.who);
  for (unsigned i = 0; i < kKeys; i++) {
    const Key key = static_cast<Key>(i);
    if (options.values[i].empty()) continue;
    section.gives[key] = read_value(key, options.values[i]);
    if (!section.gives[key])
      throw Failure(fmt::format("{} {}: {} is expected", info(key).option, options.values[i],
                                info(key).expected),
                    "", exit_usage);
  }
  if (section.gives.empty())
    throw Failure("nothing to set", "`aiaccel policy set --help`", exit_usage);
  // Whether there is such a user or group is found out before a file says so.
  Policy policy;
  policy.sections.push_back(section);
  expand(policy);
  if (!policy.problems.empty()) throw Failure(policy.problems[0].what, "");
  set_policy(options.folder, section);
  fmt::print("wrote {}\n", policy_file(options.folder, section));
  return reload_what_runs(options, transport);
}

int unset(const Options& options, const std::string& transport) {
  unset_policy(options.folder, parse_who(options.who));
  return reload_what_runs(options, transport);
}

}  // namespace

void add_policy(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* policy = app.add_subcommand("policy", "Say what units and users may have");
  policy->fallthrough();
  policy->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, const auto& body) {
    CLI::App* command = policy->add_subcommand(name, what);
    command->add_option("--dir", options->folder, "The policy's folder [/etc/aiaccel/policy.d]")
        ->type_name("FOLDER");
    command->callback([&globals, options, body] { globals.status = body(*options, globals); });
    return command;
  };
  add("check", "Look for mistakes in the files", [](const Options& o, const Globals&) {
    return check(o);
  })->add_option("FILE", options->files, "Other files than those of the folder");
  add("reload", "Load all files, in place of what is loaded",
      [](const Options& o, const Globals& g) { return reload(o, g.transport); });
  add("show", "Print what is loaded", [](const Options& o, const Globals& g) {
    return show(o, g.transport);
  })->add_flag("--json", options->json, "Print JSON");
  const char* who = "A unit or pod, cgroup:GLOB, user:NAME or group:NAME";
  CLI::App* set_command =
      add("set", "Write one file, and reload",
          [](const Options& o, const Globals& g) { return set(o, g.transport); });
  set_command->add_option("WHO", options->who, who)->required();
  for (unsigned i = 0; i < kKeys; i++)
    set_command
        ->add_option(info(static_cast<Key>(i)).option, options->values[i],
                     info(static_cast<Key>(i)).expected)
        ->type_name("X");
  add("unset", "Remove such a file, and reload",
      [](const Options& o, const Globals& g) { return unset(o, g.transport); })
      ->add_option("WHO", options->who, who)
      ->required();
}

}  // namespace tools
