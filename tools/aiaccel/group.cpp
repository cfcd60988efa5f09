// SPDX-License-Identifier: MIT
//
// See group.hpp.
#include "aiaccel/group.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <policy/hierarchy.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace tools {
namespace {

using aiaccel::policy::find_hierarchy;
using aiaccel::policy::Hierarchy;

// Inside a container the path may be that of the host; the mount's own root is then ours.
std::string folder_of(const Hierarchy& hierarchy) {
  const std::string folder =
      hierarchy.mount + (hierarchy.group == "/" ? std::string() : hierarchy.group);
  return ::access(folder.c_str(), F_OK) == 0 ? folder : hierarchy.mount;
}

// systemd marks what it gave away; version 251 and later in the second way as well.
bool delegated(const std::string& folder) {
  char value = 0;
  for (const char* name : {"trusted.delegate", "user.delegate"})
    if (::getxattr(folder.c_str(), name, &value, 1) == 1 && value == '1') return true;
  return false;
}

bool may_fill(const std::string& folder) {
  return ::access(folder.c_str(), W_OK) == 0 &&
         ::access((folder + "/cgroup.procs").c_str(), W_OK) == 0;
}

// Each by itself: one that is not there would refuse the others too.
void enable_controllers(const std::string& folder) {
  for (const char* controller : {"+cpu", "+cpuset"})
    set_in_group(folder, "cgroup.subtree_control", controller);
}

void remove_empty(const std::string& base) {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(base, none))
    if (entry.path().filename().native().starts_with(kGroupPrefix))
      ::rmdir(entry.path().c_str());  // refused while it has processes
}

}  // namespace

std::string set_in_group(const std::string& folder, const char* file, const std::string& value) {
  const int fd = ::open((folder + "/" + file).c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? "the controller is not enabled here" : std::strerror(errno);
  const bool written =
      ::write(fd, value.data(), value.size()) == static_cast<ssize_t>(value.size());
  const int error = errno;
  ::close(fd);
  return written ? "" : std::strerror(error);
}

std::string group_base(std::string& why) {
  const Hierarchy hierarchy = find_hierarchy();
  if (hierarchy.mount.empty()) {
    why = "cgroup v2 is not mounted";
    return {};
  }
  const std::string own = folder_of(hierarchy);
  const bool root = ::geteuid() == 0;
  if (may_fill(own) && (!root || delegated(own))) return own;
  if (root) {
    const std::string slice = hierarchy.mount + "/aiaccel.slice";
    if (::mkdir(slice.c_str(), 0755) == 0 || errno == EEXIST) {
      enable_controllers(hierarchy.mount);
      return slice;
    }
    why = fmt::format("cannot make {}: {}", slice, std::strerror(errno));
    return {};
  }
  why = fmt::format(
      "{} is not this user's; `systemd-run --user --scope -p Delegate=yes aiaccel exec …` gets one",
      own);
  return {};
}

std::string sibling_base(pid_t process) {
  const Hierarchy hierarchy = find_hierarchy({}, std::to_string(process));
  if (hierarchy.mount.empty() || hierarchy.group.empty()) return {};
  if (hierarchy.group == "/") {
    std::string why;
    return ::geteuid() == 0 ? group_base(why) : "";
  }
  const std::filesystem::path path(hierarchy.group);
  const std::string name = path.filename();
  if (name.starts_with(kGroupPrefix) || (name.starts_with("session-") && name.ends_with(".scope")))
    return hierarchy.mount + path.parent_path().native();
  return {};
}

std::string enter_group(const std::string& base, const std::string& name, pid_t process,
                        std::string& why) {
  remove_empty(base);
  const std::string folder = base + "/" + name;
  // Between making it and being in it, another one may remove it as empty.
  for (int tries = 0; tries < 10; tries++) {
    if (::mkdir(folder.c_str(), 0755) < 0 && errno != EEXIST) {
      why = fmt::format("cannot make {}: {}", folder, std::strerror(errno));
      return {};
    }
    why = set_in_group(folder, "cgroup.procs", std::to_string(process));
    if (why.empty()) {
      enable_controllers(base);  // now that the caller is not in its way any more
      return folder;
    }
    if (::access(folder.c_str(), F_OK) == 0) break;
  }
  why = fmt::format("cannot enter {}: {}", folder, why);
  ::rmdir(folder.c_str());
  return {};
}

std::string weigh_group(const std::string& folder, unsigned weight, bool idle) {
  // Kernels before 5.15 have no cpu.idle.
  if (set_in_group(folder, "cpu.idle", idle ? "1" : "0").empty() && idle) return {};
  return set_in_group(folder, "cpu.weight", std::to_string(weight));
}

std::string group_path(const std::string& folder) {
  return folder.substr(find_hierarchy().mount.size());
}

}  // namespace tools
