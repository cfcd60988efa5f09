// SPDX-License-Identifier: MIT
//
// See expand.h.
#include "policy/expand.h"

#include <fmt/format.h>

#include "policy/accounts.h"

namespace aiaccel::policy {
namespace {

using Rules = std::vector<aiaccel_policy_rule>;

aiaccel_policy_rule with_pattern(aiaccel_policy_rule rule, std::uint32_t match,
                                 const std::string& pattern) {
  rule.match = match;
  pattern.copy(rule.pattern, sizeof rule.pattern - 1);
  return rule;
}

void add_user(const aiaccel_policy_rule& what, std::uint32_t uid, Rules& rules) {
  rules.push_back(what);
  rules.back().match = AIACCEL_MATCH_USER;
  rules.back().uid = uid;
  rules.push_back(
      with_pattern(what, AIACCEL_MATCH_PATH, fmt::format("/user.slice/user-{}.slice", uid)));
}

// Why there are none, or "".
std::string expand_section(const Section& section, Rules& rules) {
  const aiaccel_policy_rule what = rule_with(section.gives);
  switch (section.by) {
    case By::unit:
      rules.push_back(with_pattern(what, AIACCEL_MATCH_NAME, section.who));
      break;
    case By::cgroup:
      rules.push_back(with_pattern(what, AIACCEL_MATCH_PATH, section.who));
      break;
    case By::user: {
      const auto uid = find_user(section.who);
      if (!uid) return fmt::format("there is no user '{}'", section.who);
      add_user(what, *uid, rules);
      break;
    }
    case By::group: {
      const auto members = find_members(section.who);
      if (!members) return fmt::format("there is no group '{}'", section.who);
      for (const std::uint32_t uid : *members) add_user(what, uid, rules);
      break;
    }
  }
  return {};
}

}  // namespace

Rules expand(Policy& policy) {
  Rules rules;
  for (auto section = policy.sections.begin(); section != policy.sections.end();) {
    const std::string file = section->file;
    Rules of_file;
    for (; section != policy.sections.end() && section->file == file; ++section) {
      if (std::string why = expand_section(*section, of_file); !why.empty())
        policy.problems.push_back({file, section->line, std::move(why), true});
    }
    if (rules.size() + of_file.size() > AIACCEL_POLICY_MAX)
      policy.problems.push_back({file, 0,
                                 fmt::format("makes it {} rules; {} at most are loaded",
                                             rules.size() + of_file.size(), AIACCEL_POLICY_MAX)});
    else
      rules.insert(rules.end(), of_file.begin(), of_file.end());
  }
  return rules;
}

aiaccel_policy_rule rule_with(const Settings& gives) {
  aiaccel_policy_rule rule{};
  const auto take = [&](Key key, std::uint32_t bit, auto& field) {
    const auto& value = gives[key];
    if (!value) return;
    rule.sets |= bit;
    field = static_cast<std::remove_reference_t<decltype(field)>>(*value);
  };
  take(Key::max_class, AIACCEL_SETS_MAX_CLASS, rule.max_class);
  take(Key::weight, AIACCEL_SETS_WEIGHT, rule.weight);
  take(Key::pinned_bytes, AIACCEL_SETS_PINNED_BYTES, rule.pinned_bytes);
  take(Key::device_bytes, AIACCEL_SETS_DEVICE_BYTES, rule.device_bytes);
  take(Key::engine_time, AIACCEL_SETS_ENGINE_TIME, rule.engine_time);
  take(Key::grants, AIACCEL_SETS_GRANTS, rule.grants);
  take(Key::on_missing, AIACCEL_SETS_ON_MISSING, rule.on_missing);
  return rule;
}

Settings settings_of(const aiaccel_policy_rule& rule) {
  Settings settings;
  const auto give = [&](Key key, std::uint32_t bit, std::uint64_t value) {
    if (rule.sets & bit) settings[key] = value;
  };
  give(Key::max_class, AIACCEL_SETS_MAX_CLASS, rule.max_class);
  give(Key::weight, AIACCEL_SETS_WEIGHT, rule.weight);
  give(Key::pinned_bytes, AIACCEL_SETS_PINNED_BYTES, rule.pinned_bytes);
  give(Key::device_bytes, AIACCEL_SETS_DEVICE_BYTES, rule.device_bytes);
  give(Key::engine_time, AIACCEL_SETS_ENGINE_TIME, rule.engine_time);
  give(Key::grants, AIACCEL_SETS_GRANTS, rule.grants);
  give(Key::on_missing, AIACCEL_SETS_ON_MISSING, rule.on_missing);
  return settings;
}

}  // namespace aiaccel::policy
