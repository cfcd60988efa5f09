// SPDX-License-Identifier: MIT
//
// Users and groups of this system, by name or number.
//
// Threads: one at a time (getpwent).
#ifndef AIACCEL_POLICY_ACCOUNTS_H
#define AIACCEL_POLICY_ACCOUNTS_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace aiaccel::policy {

// A number needs no entry: it may be a container's.
std::optional<std::uint32_t> find_user(const std::string& name_or_number);

// Its members, ascending; nothing where there is no such group.
std::optional<std::vector<std::uint32_t>> find_members(const std::string& name_or_number);

}  // namespace aiaccel::policy

#endif  // AIACCEL_POLICY_ACCOUNTS_H
