// SPDX-License-Identifier: MIT
//
// The rules that an arbiter holds: read, replaced, and added to for groups of programs that
// `aiaccel exec` started. Those stay when the files are loaded again, until their group is gone,
// and give way to a rule of the files that names the group itself.
//
// Threads: one. Processes that change the rules wait for each other.
#pragma once

#include <uapi/aiaccel.h>
#include <aiaccel/device.hpp>

#include <optional>
#include <string>
#include <vector>

namespace tools {

using Rules = std::vector<aiaccel_policy_rule>;

Rules loaded_rules(const aiaccel::Device& device);

// All of them in place of those that are loaded, but for those of groups.
void replace_rules(const aiaccel::Device& device, Rules rules);

// The arbiter that takes rules for cgroups: the module. A broker is not started for this, and has
// users for tenants. Nothing and `why` where there is none.
std::optional<aiaccel::Device> open_module(const std::string& transport, std::string& why);

// What the group may have, by its path below the mount of cgroups.
void set_group_rule(const aiaccel::Device& device, const std::string& path,
                    aiaccel_policy_rule rule);

// What an earlier group of this path might have.
void drop_group_rule(const aiaccel::Device& device, const std::string& path);

}  // namespace tools
