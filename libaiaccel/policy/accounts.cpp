// SPDX-License-Identifier: MIT
//
// See accounts.h.
#include "policy/accounts.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>

namespace aiaccel::policy {
namespace {

// (uid_t)-1 is nobody's.
std::optional<std::uint32_t> number(const std::string& text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == UINT32_MAX) return {};
  return value;
}

}  // namespace

std::optional<std::uint32_t> find_user(const std::string& name_or_number) {
  if (const auto uid = number(name_or_number)) return uid;
  const passwd* entry = ::getpwnam(name_or_number.c_str());
  if (!entry) return {};
  return entry->pw_uid;
}

std::optional<std::vector<std::uint32_t>> find_members(const std::string& name_or_number) {
  const auto gid = number(name_or_number);
  const group* entry = gid ? ::getgrgid(*gid) : ::getgrnam(name_or_number.c_str());
  if (!entry) return {};
  const gid_t id = entry->gr_gid;
  std::vector<std::string> names;  // copied: looking up users may use the entry's memory again
  for (char** name = entry->gr_mem; *name; name++) names.emplace_back(*name);

  std::vector<std::uint32_t> members;
  for (const std::string& name : names)
    if (const passwd* user = ::getpwnam(name.c_str())) members.push_back(user->pw_uid);
  ::setpwent();
  while (const passwd* user = ::getpwent())
    if (user->pw_gid == id) members.push_back(user->pw_uid);
  ::endpwent();
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  return members;
}

}  // namespace aiaccel::policy
