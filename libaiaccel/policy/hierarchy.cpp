// SPDX-License-Identifier: MIT
//
// See hierarchy.h.
#include "policy/hierarchy.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace aiaccel::policy {
namespace {

bool lists(const std::string& names, const std::string& name) {
  return ("," + names + ",").find("," + name + ",") != std::string::npos;
}

}  // namespace

Hierarchy find_hierarchy(const std::string& controller, const std::string& process) {
  Hierarchy found;
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    // … 5: mount point … " - " type source options
    std::istringstream left(line), right(line.substr(std::min(line.find(" - ") + 3, line.size())));
    std::string field, point, type, source, options;
    for (int i = 0; i < 5 && left >> field; i++) point = field;
    right >> type >> source >> options;
    if (controller.empty() ? type == "cgroup2" : type == "cgroup" && lists(options, controller))
      found.mount = point;
  }
  std::ifstream groups("/proc/" + process + "/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? controllers.empty() : lists(controllers, controller))
      found.group = line.substr(second + 1);
  }
  return found;
}

}  // namespace aiaccel::policy
