// SPDX-License-Identifier: MIT
//
// See process_findings.hpp. The lines to type are of commands of this program; the class in them is
// the one for background work, and whoever types them knows better.
#include "aiaccel/process_findings.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/text.hpp"
#include "observe/show.hpp"
#include "observe/unit.hpp"

namespace tools {
namespace {

using observe::Engine;
using observe::Observation;
using observe::User;

constexpr const char* kExec = "aiaccel exec --class low --";

std::string under_exec(const std::vector<std::string>& arguments) {
  std::string line = kExec;
  if (arguments.empty()) line += " CMD";
  for (const std::string& word : arguments) line += " " + quoted(word);
  return line;
}

// What has to be started anew, in the way in which it is started.
std::string restart_line(const User& user, const std::vector<std::string>& arguments) {
  const std::string unit = observe::policy_unit_of(user.cgroup);
  const std::string known = observe::unit_of(user.cgroup);
  // Its own words are there, in the syntax of whoever reads them, and may be those of a parent.
  if (known.find(' ') != std::string::npos)
    return fmt::format("# in the specification of {}, put before its command: {}", known, kExec);
  if (unit.ends_with(".service"))
    return fmt::format(
        "sudo systemctl edit --full {}  # put before its command, behind ExecStart=: {}", unit,
        kExec);
  return under_exec(arguments) + "  # after ending the one that runs";
}

Finding judge_identity(const User& user) {
  return {"process",
          Verdict::ok,
          fmt::format("{} ({}) of user {}, {}", user.comm, user.pid, user.uid,
                      user.unit.empty() ? "cgroup unknown" : user.unit),
          {}};
}

Finding judge_memory(const User& user) {
  std::string text = "resident " + bytes_text(user.resident_bytes.value_or(0));
  if (user.pinned_bytes) text += ", pinned " + bytes_text(*user.pinned_bytes);
  if (user.locked_bytes) text += ", locked " + bytes_text(*user.locked_bytes);
  if (user.placement)
    for (const auto& [node, bytes] : *user.placement)
      text += fmt::format(", {} on node {}", bytes_text(bytes), node);
  if (!user.resident_bytes) text = "none: a kernel thread, or it has ended";
  return {"memory", Verdict::ok, text, {}};
}

Finding judge_use(const Engine& engine, const User& user) {
  std::string text = user.device_bytes      ? bytes_text(*user.device_bytes) + " of its memory"
                     : engine.kind == "cpu" ? std::string("runs there")
                                            : std::string("open; the driver tells no memory");
  if (user.busy) text += fmt::format(", keeps it busy {} of the time", percent_text(*user.busy));
  if (const std::string facts = observe::engine_facts(engine); !facts.empty())
    text += "  (" + facts + ")";
  return {engine.alias, Verdict::ok, text, {}};
}

// The most that it has on one engine now, and a quarter for what comes, in whole GiB.
std::string device_ceiling(const std::vector<User>& users) {
  std::uint64_t most = 0;
  for (const User& user : users) most = std::max(most, user.device_bytes.value_or(0));
  constexpr std::uint64_t gib = 1ULL << 30;
  return most ? fmt::format(" --device-bytes {}G", (most + most / 4 + gib - 1) / gib) : "";
}

std::string look_as_root(const User& user) {
  return fmt::format("sudo aiaccel doctor --pid {}", user.pid);
}

// `scheduled` is the class that the scheduler has it in, "" for none.
Finding judge_gate(const Observation& observation, const std::vector<std::string>& arguments,
                   const std::string& scheduled) {
  const User& first = observation.users.front();
  bool unknown = false, on_cpu = true;
  std::string ungated;
  for (const User& user : observation.users) {
    if (!user.engine) continue;
    unknown = unknown || !user.gated;
    if (user.gated.value_or(true)) continue;
    const Engine& engine = observation.engines[*user.engine];
    on_cpu = on_cpu && engine.kind == "cpu";
    ungated += (ungated.empty() ? "" : ", ") + engine.alias;
  }
  if (ungated.empty() && unknown && first.asks_for_turns && !observation.hidden)
    return {"gate",
            Verdict::note,
            "unknown: it has aiaccel loaded, but no arbiter that answers here has its engine or "
            "shows a queue of it; where it found no other one, it waits for nobody",
            {"aiaccel engines"}};
  if (ungated.empty() && unknown)
    return {"gate",
            Verdict::note,
            "unknown: the system does not let this user look into it",
            {look_as_root(first)}};
  if (ungated.empty()) return {"gate", Verdict::ok, "gated: it waits for its turns", {}};
  // On CPUs the scheduler can do for a program that runs what turns do for others.
  if (on_cpu && !scheduled.empty())
    return {
        "gate",
        Verdict::ok,
        fmt::format("ungated on {}: it takes no turns there, but the scheduler has it in class {}",
                    ungated, scheduled),
        {}};
  Finding finding{
      "gate",
      Verdict::note,
      fmt::format("ungated on {}: it takes no turns there, and waits for nobody", ungated),
      {}};
  const std::string attach = fmt::format("sudo aiaccel attach {} --class low", first.pid);
  if (on_cpu) {
    finding.fix.push_back(attach);
    return finding;
  }
  // CUDA is gated from the start of a program alone.
  finding.fix.push_back(restart_line(first, arguments));
  if (scheduled.empty()) finding.fix.push_back(attach + "  # until then: its work on CPUs");
  // No class binds root, who may go above each.
  const std::string ceilings =
      (first.uid == 0 ? "" : " --max-class low") + device_ceiling(observation.users);
  if (const std::string unit = observe::policy_unit_of(first.cgroup);
      !unit.empty() && unit != "cgroup:/" && !ceilings.empty())
    finding.fix.push_back(fmt::format("sudo aiaccel policy set {}{}  # what it may have then",
                                      quoted(unit), ceilings));
  return finding;
}

Finding judge_node(const Observation& observation, const Engine& engine, const User& user) {
  const int node = *observation.nearest(engine);
  const auto share = observe::share_on(*user.placement, node);
  const std::string text = fmt::format("{} of its memory is on node {}, the nearest to {}",
                                       percent_text(share), node, engine.alias);
  if (!*user.wrong_node) return {"node", Verdict::ok, text, {}};
  return {"node",
          Verdict::note,
          "wrong node: only " + text,
          {fmt::format("sudo aiaccel attach {} --engine cpu-node{}", user.pid, node)}};
}

}  // namespace

std::string quoted(const std::string& word) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_-+=:,./";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string text = "'";
  for (char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::vector<Finding> judge_process(const Observation& observation,
                                   const std::vector<std::string>& arguments,
                                   const std::string& scheduled) {
  if (observation.users.empty())
    return {{"process", Verdict::missing, "there is no such process", {}}};
  const User& first = observation.users.front();
  std::vector<Finding> findings{judge_identity(first), judge_memory(first)};
  bool any = false;
  for (const User& user : observation.users) {
    if (!user.engine) continue;
    any = true;
    findings.push_back(judge_use(observation.engines[*user.engine], user));
    if (user.wrong_node)
      findings.push_back(judge_node(observation, observation.engines[*user.engine], user));
  }
  if (observation.hidden)
    findings.push_back({"engines",
                        Verdict::note,
                        any ? "it may use others: the system does not let this user look into it"
                            : "unknown: the system does not let this user look into it",
                        {look_as_root(first)}});
  else if (!any)
    findings.push_back(
        {"engines",
         Verdict::ok,
         "it uses none that is seen here; what computes on CPUs has to be named as such",
         {fmt::format("aiaccel doctor --pid {} --watch '*'", first.pid)}});
  if (any || first.gated.value_or(false))
    findings.push_back(judge_gate(observation, arguments, scheduled));
  return findings;
}

}  // namespace tools
