// SPDX-License-Identifier: MIT
//
// See proc.hpp.
#include "observe/proc.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "observe/unit.hpp"

namespace observe {
namespace {

std::string folder_of(const Root& root, int pid) {
  return root.proc + "/" + std::to_string(pid);
}

}  // namespace

bool parse_status(std::string_view text, Process& process) {
  bool named = false;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, colon);
    std::string_view value = line.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    if (key == "Name") {
      process.comm = value;
      named = true;
    } else if (key == "Uid") {
      take_word(value);
      process.uid = static_cast<std::uint32_t>(number(take_word(value)).value_or(0));
    } else if (key == "VmRSS") {
      process.resident_bytes = amount(value);
    } else if (key == "VmLck") {
      process.locked_bytes = amount(value);
    } else if (key == "VmPin") {
      process.pinned_bytes = amount(value);
    } else if (key == "Cpus_allowed_list") {
      process.cpus = value;
    }
  }
  return named;
}

std::optional<Process> read_process(const Root& root, int pid) {
  Process process;
  process.pid = pid;
  const auto status = read_file(folder_of(root, pid) + "/status");
  if (!status || !parse_status(*status, process)) return std::nullopt;
  return process;
}

std::string cgroup_of(const Root& root, int pid) {
  const auto cgroup = read_file(folder_of(root, pid) + "/cgroup");
  return cgroup ? cgroup_path(*cgroup) : std::string();
}

std::vector<std::string> arguments(const Root& root, int pid) {
  const std::string text = read_file(folder_of(root, pid) + "/cmdline").value_or("");
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\0', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

std::vector<std::string> command_of(const Root& root, int pid) {
  namespace fs = std::filesystem;
  const std::vector<std::string> words = arguments(root, pid);
  const std::string program = read_link(folder_of(root, pid) + "/exe");
  if (words.empty() || program.empty()) return {};
  const auto is_program = [&](const fs::path& path) {
    std::error_code none;
    return fs::canonical(path, none) == program;
  };
  if (words[0].find('/') != std::string::npos)
    return is_program(fs::path(read_link(folder_of(root, pid) + "/cwd")) / words[0])
               ? words
               : std::vector<std::string>();
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (is_program(fs::path(folder) / words[0])) return words;
  return {};
}

std::vector<int> all_pids(const Root& root) {
  std::vector<int> pids;
  for (const std::string& name : names_in(root.proc).value_or(std::vector<std::string>()))
    if (const auto pid = number(name); pid && *pid > 0 && *pid <= INT32_MAX)
      pids.push_back(static_cast<int>(*pid));
  std::sort(pids.begin(), pids.end());
  return pids;
}

bool parse_maps(std::string_view text, std::string_view library) {
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const std::size_t slash = line.rfind('/');
    if (slash != std::string_view::npos && line.substr(slash + 1).starts_with(library)) return true;
  }
  return false;
}

std::optional<bool> has_mapped(const Root& root, int pid, std::string_view library) {
  const auto maps = read_file(folder_of(root, pid) + "/maps");
  if (!maps) return std::nullopt;
  return parse_maps(*maps, library);
}

}  // namespace observe
