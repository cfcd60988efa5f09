// SPDX-License-Identifier: MIT
//
// Whose a process is: from its cgroup to the unit, container or pod that people know. Pure.
#pragma once

#include <string>
#include <string_view>

namespace observe {

// The path in /proc/PID/cgroup that names it best: that of version 2, else of systemd, else the
// first that is not the root. "" where there is none.
std::string cgroup_path(std::string_view text);

// "vllm.service", "pod 3f1c…", "docker 4c01ab…", "user@1001"; the path itself where it is none of
// these, and "/" for the root.
std::string unit_of(std::string_view cgroup);

// What `aiaccel policy set` would name for it: the service, the slice of the user, or cgroup:PATH.
std::string policy_unit_of(std::string_view cgroup);

}  // namespace observe
