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

using Tenants = std::vector<aiaccel_stats_tenant>;

[[noreturn]] void name_several(const std::string& word, const std::string& a,
                               const std::string& b) {
  throw Failure(fmt::format("{} names several: {} and {}", word, printable(a), printable(b)),
                "give the whole name");
}

// One that is there, and those below it that are.
void find_present(const Tenants& tenants, const std::string& word, Target* target) {
  for (const auto& tenant : tenants) {
    const std::string name = text_of(tenant.name, sizeof tenant.name);
    if (!names_unit(name, word)) continue;
    if (target->unit == name) continue;  // the user namespaces of the user, which lie below
    if (target->tenant) name_several(word, target->unit, name);
    target->tenant = tenant.tenant;
    target->unit = name;
  }
  if (!target->tenant) return;
  target->tenants.insert(target->tenant);
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& tenant : tenants)
      if (target->tenants.contains(tenant.parent))
        grew = target->tenants.insert(tenant.tenant).second || grew;
  }
  for (const auto& tenant : tenants)
    if (target->tenants.contains(tenant.tenant)) target->sources.insert(source_of(tenant));
}

// The unit, or the one above it, that the word names; "" where it names neither.
std::string named_part(std::string name, const std::string& word) {
  while (!name.empty() && !names_unit(name, word)) {
    const std::size_t slash = name.rfind('/');
    name.resize(slash == std::string::npos ? 0 : slash);
  }
  return name;
}

bool is_below(const std::string& name, const std::string& unit) {
  return unit == "/" || name == unit || name.starts_with(unit + "/");
}

// Those on record: below the unit that was found, or else one that the word names and those below.
void find_past(const aiaccel::Device& device, const Tenants& tenants, const std::string& word,
               Target* target) {
  const bool present = target->tenant;
  const auto turns = read_stats<aiaccel_stats_turn>(device).records;
  for (const auto& [source, name] : name_units(tenants, turns)) {
    if (present) {
      if (is_below(name, target->unit)) target->sources.insert(source);
      continue;
    }
    const std::string unit = named_part(name, word);
    if (unit.empty()) continue;
    if (!target->unit.empty() && target->unit != unit) name_several(word, target->unit, unit);
    target->unit = unit;
    target->sources.insert(source);
  }
}

bool find_unit(const aiaccel::Device& device, const std::string& word, bool past, Target* target) {
  const Tenants tenants = read_stats<aiaccel_stats_tenant>(device).records;
  find_present(tenants, word, target);
  if (past) find_past(device, tenants, word, target);
  target->name = "unit " + printable(target->unit);
  return !target->unit.empty();
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
      return sources.contains(source_of(turn));
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
  if (find_unit(device, word, past, &target)) return target;
  if (past && find_label(device, word, &target)) return target;
  throw Failure(fmt::format("{} is no unit that uses accelerators now{}", printable(word),
                            past ? " or has a turn on record, no process, and no label of a queue "
                                   "or of a turn on record"
                                 : " and no process"),
                "aiaccel-top, as root, which lists all of them");
}

}  // namespace tools
