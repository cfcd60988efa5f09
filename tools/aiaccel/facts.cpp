// SPDX-License-Identifier: MIT
//
// See facts.hpp. Nothing here judges; what cannot be found out stays as Facts has it by default.
#include "aiaccel/facts.hpp"

#include <aiaccel.h>
#include <fmt/format.h>
#include <grp.h>
#include <mntent.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <aiaccel/model.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "broker/address.h"

namespace tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* device_node = "/dev/aiaccel";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

bool in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  // Where administrators' programs lie, which ordinary users do not search.
  std::istringstream folders(std::string(path ? path : "") + ":/usr/sbin:/sbin");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (!folder.empty() && ::access((folder + "/" + program).c_str(), X_OK) == 0) return true;
  return false;
}

std::string os_release_id() {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("ID=")) {
      std::string id = line.substr(3);
      std::erase(id, '"');
      return id;
    }
  return {};
}

void ask_kernel(Facts& facts) {
  utsname name{};
  ::uname(&name);
  facts.kernel_release = name.release;
  if (std::sscanf(name.release, "%d.%d", &facts.kernel_major, &facts.kernel_minor) != 2)
    facts.kernel_major = facts.kernel_minor = 0;

  const fs::path modules = fs::path("/lib/modules") / facts.kernel_release;
  facts.kernel_takes_modules = is_there("/proc/modules");
  facts.module_loaded = is_there("/sys/module/aiaccel");
  facts.headers_installed = is_there(modules / "build");
  facts.dkms_installed = in_path("dkms");
  facts.sources_installed = is_there(fmt::format("/usr/src/aiaccel-{}", aiaccel_version()));
  std::ifstream index(modules / "modules.dep");
  for (std::string line; !facts.module_installed && std::getline(index, line);)
    facts.module_installed = line.find("/aiaccel.ko") != std::string::npos;
}

std::string group_name(gid_t gid) {
  const group* found = ::getgrgid(gid);
  return found ? found->gr_name : std::to_string(gid);
}

bool in_group(gid_t gid) {
  if (::getegid() == gid) return true;
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(0, ::getgroups(0, nullptr))));
  const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  if (count < 0) return false;
  groups.resize(static_cast<std::size_t>(count));
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

void ask_node(Facts& facts) {
  const passwd* user = ::getpwuid(::getuid());
  facts.user = user ? user->pw_name : std::to_string(::getuid());
  struct stat status {};
  facts.node_present = ::stat(device_node, &status) == 0;
  if (!facts.node_present) return;
  facts.node_accessible = ::access(device_node, R_OK | W_OK) == 0;
  facts.node_group = group_name(status.st_gid);
  facts.node_group_is_mine = in_group(status.st_gid);
}

Attempt attempt(const char* transport) {
  aiaccel_device* device = nullptr;
  const int result = aiaccel_open(transport, &device);
  if (result < 0) return {-result, {}};
  Attempt answered{0, aiaccel_transport(device)};
  aiaccel_close(device);
  return answered;
}

// Where libaiaccel looks for it.
bool broker_installed() {
  std::error_code none;
  const fs::path here = fs::read_symlink("/proc/self/exe", none).parent_path();
  const char* named = std::getenv("AIACCELD");
  return named ? ::access(named, X_OK) == 0 : is_there(here / "aiacceld") || in_path("aiacceld");
}

// What was not asked for by name is not started: programs would get it all the same.
void ask_transports(Facts& facts, const std::string& asked) {
  const char* environment = std::getenv("AIACCEL_TRANSPORT");
  const std::string name = !asked.empty() ? asked : environment ? environment : "auto";
  facts.kernel = attempt("kernel");
  const bool module_decides = facts.kernel.error != ENOENT && facts.kernel.error != ENODEV;
  const bool listens = aiaccel::broker_listens();
  facts.broker_starts = !listens && broker_installed();
  if (!name.empty() && name != "auto")
    facts.automatic = attempt(name.c_str());
  else if (module_decides)
    facts.automatic = facts.kernel;
  else if (listens)
    facts.automatic = attempt("broker");
  else
    facts.automatic = {0, facts.broker_starts ? "broker" : "embedded"};
  if (facts.automatic.transport == "broker") return;
  if (listens)
    facts.broker = attempt("broker");
  else
    facts.broker.error = ENOENT;
}

void ask_runtime(Facts& facts) {
  const aiaccel::OnnxRuntime runtime = aiaccel::OnnxRuntime::find();
  facts.runtime_present = runtime.present;
  facts.runtime_version = runtime.version;
  facts.runtime_path = runtime.path;
  facts.runtime_reason = runtime.reason;
  // Debian 13 is the first that packages it.
  if (facts.distribution == "debian") {
    const std::string version = first_line("/etc/debian_version");
    facts.runtime_packaged =
        std::atoi(version.c_str()) >= 13 || version.find("sid") != std::string::npos;
  }
}

void ask_numa(Facts& facts) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/sys/devices/system/node", error)) {
    const std::string name = entry.path().filename();
    int node = -1;
    if (std::sscanf(name.c_str(), "node%d", &node) == 1 &&
        !first_line(entry.path() / "cpulist").empty())
      facts.numa_nodes.push_back(node);
  }
  std::sort(facts.numa_nodes.begin(), facts.numa_nodes.end());
}

void ask_limits(Facts& facts) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    facts.memlock_bytes = limit.rlim_cur;

  FILE* mounts = ::setmntent("/proc/self/mounts", "r");
  if (!mounts) return;
  while (const mntent* mount = ::getmntent(mounts)) {
    if (std::string_view(mount->mnt_type) != "cgroup2") continue;
    facts.cgroup2 = mount->mnt_dir;
    std::istringstream controllers(first_line(facts.cgroup2 + "/cgroup.controllers"));
    for (std::string controller; controllers >> controller;)
      facts.cgroup2_cpu = facts.cgroup2_cpu || controller == "cpu";
    break;
  }
  ::endmntent(mounts);
}

}  // namespace

Facts collect_facts(const std::string& transport) {
  Facts facts;
  facts.distribution = os_release_id();
  ask_kernel(facts);
  ask_node(facts);
  ask_transports(facts, transport);
  ask_runtime(facts);
  ask_numa(facts);
  ask_limits(facts);
  return facts;
}

}  // namespace tools
