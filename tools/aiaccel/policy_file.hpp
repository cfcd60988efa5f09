// SPDX-License-Identifier: MIT
//
// The files of `aiaccel policy set`: one for each unit, cgroup, user or group, with one section.
// Files are replaced as a whole, so that no reader sees half of one.
//
// Threads: one.
#pragma once

#include <policy/parse.h>

#include <string>

namespace tools {

// Whom a command line means: UNIT, cgroup:GLOB, user:NAME or group:NAME. Only by and who of the
// section are set. Throws Failure (usage).
aiaccel::policy::Section parse_who(const std::string& text);

// The file for it in `folder`. No two names share one.
std::string policy_file(const std::string& folder, const aiaccel::policy::Section& section);

// Adds what `section` gives to what the file says already. Throws Failure where the file was
// changed by hand beyond recognition or cannot be written.
void set_policy(const std::string& folder, const aiaccel::policy::Section& section);

// Throws Failure where there is none.
void unset_policy(const std::string& folder, const aiaccel::policy::Section& section);

}  // namespace tools
