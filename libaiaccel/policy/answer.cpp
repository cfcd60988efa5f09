// SPDX-License-Identifier: MIT
//
// See answer.h.
#include "policy/answer.h"

#include <unistd.h>

#include "policy/expand.h"
#include "policy/folder.h"
#include "policy/hierarchy.h"

namespace aiaccel::policy {

aia_settings answer(const std::vector<aiaccel_policy_rule>& rules, const std::string& group,
                    std::uint32_t uid) {
  const auto level = [&](const char* path, const aia_settings& above) {
    aia_settings settings = aia_settings_none;
    for (const aiaccel_policy_rule& rule : rules) aia_rule_apply(&rule, path, uid, &settings);
    aia_settings_below(&settings, &above);
    return settings;
  };
  if (group.size() < 2) return level(nullptr, aia_settings_none);
  aia_settings settings = aia_settings_none;
  for (std::size_t end = 1; end != group.npos;) {
    end = group.find('/', end + 1);
    settings = level(group.substr(0, end).c_str(), settings);
  }
  return settings;
}

aia_settings answer_for_self(const std::string& folder) {
  Policy policy = read_folder(folder);
  return answer(expand(policy), find_hierarchy().group, ::geteuid());
}

}  // namespace aiaccel::policy
