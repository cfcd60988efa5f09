// SPDX-License-Identifier: MIT
//
// Cgroups (v2) that `aiaccel exec` and `attach` make for programs, so that each is a tenant of its
// own and the CPUs can be shared out to it.
//
// A group outlives the command that made it, since exec leaves no process behind to wait. Groups
// bear a prefix of ours; whoever makes the next one beside them removes those that are empty.
//
// Threads: one.
#pragma once

#include <sys/types.h>

#include <string>

namespace tools {

inline constexpr const char* kGroupPrefix = "aiaccel-exec-";

// The folder in which the caller's programs get their groups: its own group where it was delegated
// to it (systemd's Delegate=) or belongs to its user, else, for root, aiaccel.slice below the
// mount. "" and `why` where there is neither, or where root must stay: see sibling_base().
std::string group_base(std::string& why);

struct Group {
  std::string folder;  // "" where there is none
  bool fresh = false;  // made now: what an older one of this name had is not its own
};

// Such a group that `process` is in already, with its shares and ceilings.
Group own_group(pid_t process);

// The folder of the group that holds the one of `process`, where its unit is one that a process can
// leave: a login session, or none. "" where it must stay, as in a service, whose limits would be
// lost and whose manager would lose it.
std::string sibling_base(pid_t process);

// Makes `base`/`name` unless it is there, moves `process` (0: the caller) into it, and lets it have
// the controllers for CPUs where the system allows. No folder and `why` when that failed.
Group enter_group(const std::string& base, const std::string& name, pid_t process,
                  std::string& why);

// Writes a file of the group. Returns why it failed, or "".
std::string set_in_group(const std::string& folder, const char* file, const std::string& value);

// cpu.weight, or cpu.idle instead of the least weight.
std::string weigh_group(const std::string& folder, unsigned weight, bool idle);

// The path of a group's folder below the mount.
std::string group_path(const std::string& folder);

}  // namespace tools
