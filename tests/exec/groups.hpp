// SPDX-License-Identifier: MIT
//
// What the tests of exec and attach ask of cgroups (v2), and programs that they run.
#pragma once

#include <policy/hierarchy.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "tools/process.hpp"

namespace groups {

inline std::string read(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  std::string all = text.str();
  while (!all.empty() && all.back() == '\n') all.pop_back();
  return all;
}

inline std::string mount() {
  return aiaccel::policy::find_hierarchy().mount;
}

// Why this machine has no groups with CPUs to share out, or "".
inline std::string missing() {
  if (mount().empty()) return "cgroup v2 is not mounted";
  if (geteuid() != 0) return "not root";
  const std::string controllers = " " + read(mount() + "/cgroup.controllers") + " ";
  if (controllers.find(" cpu ") == controllers.npos ||
      controllers.find(" cpuset ") == controllers.npos)
    return "cgroup v2 has no controllers cpu and cpuset here";
  return {};
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// It finds no broker to start, which would stay behind, but where the environment names one.
inline process::Result tool(std::vector<std::string> arguments,
                            std::vector<std::string> environment = {}) {
  environment.push_back("AIACCELD=/nonexistent");  // of two the first one counts
  arguments.insert(arguments.begin(), "aiaccel");
  return process::run(arguments, environment);
}

}  // namespace groups
