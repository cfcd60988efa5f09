// SPDX-License-Identifier: MIT
//
// See scope.hpp.
#include "common/scope.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <string_view>

#include "common/stats.hpp"

namespace tools {
namespace {

constexpr int cap_sys_admin = 21;

// Of the first user namespace; capabilities in another one show nothing of others.
bool is_first_user_namespace() {
  char name[32] = {};
  return ::readlink("/proc/self/ns/user", name, sizeof name - 1) > 0 &&
         std::string_view(name) == "user:[4026531837]";
}

// Whether the kernel lets this process see every tenant.
bool has_cap_sys_admin() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("CapEff:"))
      return (std::stoull(line.substr(7), nullptr, 16) >> cap_sys_admin) & 1;
  return false;
}

}  // namespace

Scope scope_of(const aiaccel::Device& device) {
  const std::string_view transport = device.transport();
  if (transport == "embedded") return Scope::process;
  if (transport == "kernel")
    return has_cap_sys_admin() && is_first_user_namespace() ? Scope::all : Scope::tenant;
  // The broker shows the root of all tenants to those who may see all.
  const auto tenants = read_stats<aiaccel_stats_tenant>(device).records;
  const auto is_root = [](const auto& tenant) { return tenant.kind == AIACCEL_TENANT_ROOT; };
  return std::any_of(tenants.begin(), tenants.end(), is_root) ? Scope::all : Scope::tenant;
}

}  // namespace tools
