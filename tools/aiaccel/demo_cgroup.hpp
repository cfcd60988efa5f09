// SPDX-License-Identifier: MIT
//
// Control groups for the demo's clients, where this user may make them: below the demo's own group
// in the version 2 hierarchy and, where the cpu controller is still in version 1, there as well.
// They are removed at the end.
//
// Threads: one.
#pragma once

#include <string>
#include <vector>

namespace tools {

class Cgroups {
 public:
  Cgroups();
  Cgroups(const Cgroups&) = delete;
  ~Cgroups();

  // The files to write "0" to for being in group `name` ("high", "flood"); none where there is
  // none.
  std::vector<std::string> procs(const std::string& name) const;

  // Gives `name` the least weight there is, or the usual one again.
  void weigh(const std::string& name, bool least);

  // For people: "cgroup v2, cpu.weight", or why not.
  const std::string& kind() const { return kind_; }
  bool weighs() const { return !weight_file_.empty(); }

 private:
  std::vector<std::string> roots_;  // of our own groups
  std::string weight_root_;         // the one of them that has the cpu controller
  std::string weight_file_;         // "cpu.weight" or "cpu.shares"
  std::string kind_;
};

}  // namespace tools
