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

namespace fs = std::filesystem;
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

bool is_own(const std::string& group) {
  return fs::path(group).filename().native().starts_with(kGroupPrefix);
}

// A service, a scope of somebody's or a container bounds what is in it, and its manager would lose
// what leaves.
bool may_leave(const std::string& group) {
  const std::string name = fs::path(group).filename();
  return group == "/" || is_own(group) ||
         (name.starts_with("session-") && name.ends_with(".scope"));
}

// "" and `why` where it cannot be made.
std::string root_slice(const std::string& mount, std::string& why) {
  const std::string slice = mount + "/aiaccel.slice";
  if (::mkdir(slice.c_str(), 0755) < 0 && errno != EEXIST) {
    why = fmt::format("cannot make {}: {}", slice, std::strerror(errno));
    return {};
  }
  enable_controllers(mount);
  return slice;
}

void remove_empty(const std::string& base) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(base, none))
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
  if (!root)
    why = fmt::format(
        "{} is not this user's; `systemd-run --user --scope -p Delegate=yes aiaccel exec …` gets "
        "one",
        own);
  else if (may_leave(hierarchy.group))
    return root_slice(hierarchy.mount, why);
  else
    why =
        fmt::format("it stays in {}, with what that may have; Delegate=yes in the unit allows one",
                    hierarchy.group);
  return {};
}

Group own_group(pid_t process) {
  const Hierarchy hierarchy = find_hierarchy({}, std::to_string(process));
  if (hierarchy.mount.empty() || !is_own(hierarchy.group)) return {};
  return {hierarchy.mount + hierarchy.group, false};
}

std::string sibling_base(pid_t process) {
  const Hierarchy hierarchy = find_hierarchy({}, std::to_string(process));
  if (hierarchy.mount.empty() || !may_leave(hierarchy.group)) return {};
  std::string why;
  if (hierarchy.group == "/") return ::geteuid() == 0 ? root_slice(hierarchy.mount, why) : "";
  return hierarchy.mount + fs::path(hierarchy.group).parent_path().native();
}

Group enter_group(const std::string& base, const std::string& name, pid_t process,
                  std::string& why) {
  remove_empty(base);
  Group group{base + "/" + name, false};
  // Between making it and being in it, another one may remove it as empty.
  for (int tries = 0; tries < 10; tries++) {
    group.fresh = ::mkdir(group.folder.c_str(), 0755) == 0;
    if (!group.fresh && errno != EEXIST) {
      why = fmt::format("cannot make {}: {}", group.folder, std::strerror(errno));
      return {};
    }
    why = set_in_group(group.folder, "cgroup.procs", std::to_string(process));
    if (why.empty()) {
      enable_controllers(base);  // now that the caller is not in its way any more
      return group;
    }
    if (::access(group.folder.c_str(), F_OK) == 0) break;
  }
  why = fmt::format("cannot enter {}: {}", group.folder, why);
  ::rmdir(group.folder.c_str());
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
