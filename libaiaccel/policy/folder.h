// SPDX-License-Identifier: MIT
//
// Policy files: those of a folder whose names end in .conf, in the order of their names byte by
// byte, as systemd reads drop-ins; so 90-x.conf has the last word over 10-y.conf.
//
// Threads: any.
#ifndef AIACCEL_POLICY_FOLDER_H
#define AIACCEL_POLICY_FOLDER_H

#include <string>

#include "policy/parse.h"

namespace aiaccel::policy {

inline constexpr const char* kFolder = "/etc/aiaccel/policy.d";

// Of no use to people, and more than a helper at boot should read.
inline constexpr std::size_t kMaxFile = 1 << 20;

// A file that cannot be read is a problem.
void read_file(const std::string& path, Policy& policy);

// A folder that is not there holds no files; one that cannot be read is a problem.
Policy read_folder(const std::string& folder);

}  // namespace aiaccel::policy

#endif  // AIACCEL_POLICY_FOLDER_H
