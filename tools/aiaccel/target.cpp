// SPDX-License-Identifier: MIT
//
// Which unit, process or label a word on the command line means; see target.hpp. A number is a
// process or a thread of it, then a name is a unit that uses accelerators now, then perhaps a
// label. A unit means those below it too. What is found is as of the call: it may have ended since.
#include "aiaccel/target.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "common/failure.hpp"
#include "common/stats.hpp"
#include "common/text.hpp"

namespace tools {
namespace {

std::string text_of(const char* text, std::size_t bytes) {
  return std::string(text, strnlen(text, bytes));
}

bool is_number(const std::string& word) {
  return !word.empty() && word.size() < 10 &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The process of a thread; the number itself where there is no such thread.
std::int32_t process_of(std::int32_t thread) {
  std::ifstream status("/proc/" + std::to_string(thread) + "/status");
  for (std::string key; status >> key; std::getline(status, key)) {
    std::int32_t pid = 0;
    if (key == "Tgid:" && status >> pid) return pid;
  }
  return thread;
}

Target process_target(const aiaccel::Device& device, const std::string& word, bool past) {
  Target target;
  target.kind = Target::Kind::process;
  target.pid = process_of(std::atoi(word.c_str()));
  target.name = "process " + std::to_string(target.pid);
  for (const auto& queue : read_stats<aiaccel_stats_queue>(device).records)
    if (queue.pid == target.pid) target.contexts.insert(queue.context);
  bool found = !target.contexts.empty();
  if (!found && past)
    for (const auto& turn : read_stats<aiaccel_stats_turn>(device).records)
      found = found || turn.pid == target.pid;
  if (!found)
    throw Failure(fmt::format("process {} has no queue here{}", word,
                              past ? ", and no turn of it is on record" : ""),
                  "as root, where it is another user's");
  return target;
}

bool names_unit(const std::string& name, const std::string& word) {
  if (name == word) return true;
  const std::size_t slash = name.rfind('/');
  return slash != std::string::npos && name.size() > slash + 1 && name.substr(slash + 1) == word;
}

bool find_unit(const aiaccel::Device& device, const std::string& word, Target* target) {
  const auto tenants = read_stats<aiaccel_stats_tenant>(device).records;
  for (const auto& tenant : tenants) {
    const std::string name = text_of(tenant.name, sizeof tenant.name);
    if (!names_unit(name, word)) continue;
    if (target->tenant)
      throw Failure(fmt::format("{} names several: {} and {}", word, target->name, printable(name)),
                    "give the whole name");
    target->tenant = tenant.tenant;
    target->name = "unit " + printable(name);
  }
  if (!target->tenant) return false;
  target->tenants.insert(target->tenant);
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& tenant : tenants)
      if (target->tenants.contains(tenant.parent))
        grew = target->tenants.insert(tenant.tenant).second || grew;
  }
  return true;
}

bool find_label(const aiaccel::Device& device, const std::string& word, Target* target) {
  target->kind = Target::Kind::label;
  target->pattern = word;
  target->name = "label " + word;
  const auto matches = [&](const auto& record) {
    return fnmatch(word.c_str(), text_of(record.label, sizeof record.label).c_str(), 0) == 0;
  };
  for (const auto& queue : read_stats<aiaccel_stats_queue>(device).records)
    if (matches(queue)) return true;
  for (const auto& turn : read_stats<aiaccel_stats_turn>(device).records)
    if (matches(turn)) return true;
  return false;
}

}  // namespace

bool Target::includes(const aiaccel_stats_turn& turn) const {
  switch (kind) {
    case Kind::unit:
      return tenants.contains(turn.tenant);
    case Kind::process:
      return turn.pid == pid || contexts.contains(turn.context);
    case Kind::label:
      return fnmatch(pattern.c_str(), text_of(turn.label, sizeof turn.label).c_str(), 0) == 0;
  }
  return false;
}

Target find_target(const aiaccel::Device& device, const std::string& word, bool past) {
  if (is_number(word)) return process_target(device, word, past);
  Target target;
  if (find_unit(device, word, &target)) return target;
  if (past && find_label(device, word, &target)) return target;
  throw Failure(fmt::format("{} is no unit that uses accelerators now{}", printable(word),
                            past ? ", no process, and no label of a queue or of a turn on "
                                   "record"
                                 : " and no process"),
                "aiaccel-top, as root, which lists all of them");
}

std::map<std::uint64_t, std::string> tenant_names(const aiaccel::Device& device) {
  std::map<std::uint64_t, std::string> names;
  for (const auto& tenant : read_stats<aiaccel_stats_tenant>(device).records)
    names[tenant.tenant] = printable(text_of(tenant.name, sizeof tenant.name));
  return names;
}

}  // namespace tools
