// SPDX-License-Identifier: MIT
//
// Free memory as /proc and the cgroup file system tell it; see headroom.h.
#include "user/headroom.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>

namespace aiaccel {
namespace {

constexpr uint64_t kNoEnd = std::numeric_limits<uint64_t>::max();

// The sum of the numbers that follow any of `keys` in a file; false where none was found.
bool sum_of(const std::string& path, std::initializer_list<std::string_view> keys, uint64_t* sum) {
  std::ifstream file(path);
  std::string word;
  bool found = false;
  *sum = 0;
  while (file >> word) {
    if (std::find(keys.begin(), keys.end(), word) == keys.end()) continue;
    uint64_t number;
    if (!(file >> number)) break;
    *sum += number;
    found = true;
  }
  return found;
}

bool read_number(const std::filesystem::path& path, uint64_t* number) {
  std::ifstream file(path);
  return static_cast<bool>(file >> *number);  // "max" is no number
}

}  // namespace

uint64_t memory_headroom(int node) {
  uint64_t kib;
  if (node < 0) return sum_of("/proc/meminfo", {"MemAvailable:"}, &kib) ? kib << 10 : kNoEnd;
  // A node has no MemAvailable: free pages and those of files, which can be dropped.
  const std::string path = "/sys/devices/system/node/node" + std::to_string(node) + "/meminfo";
  return sum_of(path, {"MemFree:", "Active(file):", "Inactive(file):"}, &kib) ? kib << 10 : kNoEnd;
}

uint64_t cgroup_headroom() {
  const std::filesystem::path top = "/sys/fs/cgroup";
  std::ifstream own("/proc/self/cgroup");
  std::string line;
  std::filesystem::path group;
  while (std::getline(own, line))
    if (line.starts_with("0::/")) group = top / line.substr(4);

  uint64_t headroom = kNoEnd;
  for (; group.native().size() > top.native().size(); group = group.parent_path()) {
    uint64_t max, used, files;
    if (!read_number(group / "memory.max", &max) || !read_number(group / "memory.current", &used))
      continue;
    sum_of((group / "memory.stat").native(), {"active_file", "inactive_file"}, &files);
    const uint64_t taken = used - std::min(used, files);
    headroom = std::min(headroom, max - std::min(max, taken));
  }
  return headroom;
}

}  // namespace aiaccel
