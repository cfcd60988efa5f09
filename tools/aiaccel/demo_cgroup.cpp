// SPDX-License-Identifier: MIT
//
// Making and removing the demo's control groups, in either version of the hierarchy or both.

#include "aiaccel/demo_cgroup.hpp"

#include <policy/hierarchy.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

namespace tools {
namespace {

using aiaccel::policy::find_hierarchy;
using aiaccel::policy::Hierarchy;

const char* const kGroups[] = {"high", "flood"};

bool write_file(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  out << text << std::flush;
  return out.good();
}

// Groups of demos that were killed.
void remove_stale(const std::string& base) {
  const std::string prefix = "aiaccel-demo-";
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(base, none)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    if (std::filesystem::exists("/proc/" + name.substr(prefix.size()))) continue;
    for (const char* group : kGroups) ::rmdir((entry.path() / group).c_str());
    ::rmdir(entry.path().c_str());
  }
}

// Our own group in `hierarchy`, "" and `why` when it cannot be made.
std::string make_root(const Hierarchy& hierarchy, std::string& why) {
  if (hierarchy.mount.empty()) {
    why = "not mounted";
    return {};
  }
  std::string base = hierarchy.mount + (hierarchy.group == "/" ? "" : hierarchy.group);
  // Inside a container the path may be that of the host; the mount's own root is then ours.
  if (!std::filesystem::exists(base)) base = hierarchy.mount;
  remove_stale(base);
  const std::string root = base + "/aiaccel-demo-" + std::to_string(::getpid());
  write_file(base + "/cgroup.subtree_control", "+cpu");  // only where there is such a thing
  if (::mkdir(root.c_str(), 0755) < 0) {
    why = std::string("cannot make a group: ") + std::strerror(errno);
    return {};
  }
  write_file(root + "/cgroup.subtree_control", "+cpu");
  for (const char* name : kGroups) ::mkdir((root + "/" + name).c_str(), 0755);
  return root;
}

}  // namespace

Cgroups::Cgroups() {
  std::string why;
  const std::string second = make_root(find_hierarchy(), why);
  if (!second.empty()) {
    roots_.push_back(second);
    kind_ = "cgroup v2";
    if (std::filesystem::exists(second + "/flood/cpu.weight")) {
      weight_root_ = second;
      weight_file_ = "cpu.weight";
      kind_ += " with cpu.weight";
      return;
    }
  } else {
    kind_ = "no cgroup v2 (" + why + ")";
  }
  const std::string first = make_root(find_hierarchy("cpu"), why);
  if (first.empty()) {
    kind_ += ", and no cpu controller to weigh with (" + why + ")";
    return;
  }
  roots_.push_back(first);
  weight_root_ = first;
  weight_file_ = "cpu.shares";
  kind_ += ", and cgroup v1 with cpu.shares";
}

Cgroups::~Cgroups() {
  for (const std::string& root : roots_) {
    for (const char* name : kGroups) {
      // A process that was just reaped may be counted for a moment longer.
      for (int tries = 0; ::rmdir((root + "/" + name).c_str()) < 0 && errno == EBUSY && tries < 100;
           tries++)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ::rmdir(root.c_str());
  }
}

std::vector<std::string> Cgroups::procs(const std::string& name) const {
  std::vector<std::string> files;
  for (const std::string& root : roots_) files.push_back(root + "/" + name + "/cgroup.procs");
  return files;
}

void Cgroups::weigh(const std::string& name, bool least) {
  if (weight_file_.empty()) return;
  const bool shares = weight_file_ == "cpu.shares";
  write_file(weight_root_ + "/" + name + "/" + weight_file_,
             least ? (shares ? "2" : "1") : (shares ? "1024" : "100"));
}

}  // namespace tools
