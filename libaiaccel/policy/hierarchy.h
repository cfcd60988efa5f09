// SPDX-License-Identifier: MIT
//
// Where cgroups are, and which one a process is in.
//
// Threads: any.
#ifndef AIACCEL_POLICY_HIERARCHY_H
#define AIACCEL_POLICY_HIERARCHY_H

#include <string>

namespace aiaccel::policy {

struct Hierarchy {
  std::string mount;  // "" where it is not mounted
  std::string group;  // the process's in it: "/" for the root, "" where there is none
};

// Of version 2 where `controller` is empty, else of the version 1 hierarchy that has it. `process`
// is a number, or "self".
Hierarchy find_hierarchy(const std::string& controller = {}, const std::string& process = "self");

}  // namespace aiaccel::policy

#endif  // AIACCEL_POLICY_HIERARCHY_H
