// SPDX-License-Identifier: MIT
//
// See source.hpp. The number of a cgroup is the inode number of its folder.
#include "aiaccel/source.hpp"

#include <fmt/format.h>
#include <policy/hierarchy.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>

namespace tools {
namespace {

namespace fs = std::filesystem;

// Gives the folders below `folder` their names, of those that are in `names`. What ends or is
// hidden meanwhile is left out.
void name_cgroups(const fs::path& folder, const std::string& name,
                  std::map<Source, std::string>& names) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    struct stat info;
    if (!entry->is_directory(error) || lstat(entry->path().c_str(), &info)) continue;
    const std::string path = name + "/" + entry->path().filename().string();
    const auto found = names.find({AIACCEL_TENANT_CGROUP, info.st_ino});
    if (found != names.end()) found->second = path;
    name_cgroups(entry->path(), path, names);
  }
}

}  // namespace

std::map<Source, std::string> name_units(const std::vector<aiaccel_stats_tenant>& tenants,
                                         const std::vector<aiaccel_stats_turn>& turns) {
  std::map<Source, std::string> now, gone;
  for (const aiaccel_stats_tenant& tenant : tenants)
    now[source_of(tenant)] = std::string(tenant.name, strnlen(tenant.name, sizeof tenant.name));
  bool cgroups = false;
  for (const aiaccel_stats_turn& turn : turns) {
    if (now.contains(source_of(turn))) continue;
    const bool cgroup = turn.tenant_kind == AIACCEL_TENANT_CGROUP;
    gone[source_of(turn)] = fmt::format("{}:{}", cgroup ? "cgroup" : "uid", turn.source_id);
    cgroups = cgroups || cgroup;
  }
  const std::string mount = cgroups ? aiaccel::policy::find_hierarchy().mount : "";
  if (!mount.empty()) name_cgroups(mount, "", gone);
  now.merge(gone);
  return now;
}

}  // namespace tools
