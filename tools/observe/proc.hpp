// SPDX-License-Identifier: MIT
//
// One process as /proc tells it to anybody: no rights needed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "observe/files.hpp"

namespace observe {

struct Process {
  int pid = 0;
  std::string comm;
  std::uint32_t uid = 0;  // the effective one
  std::string cpus;       // it may run on these: "0-3,8"
  // Nothing: the kernel does not tell. Kernel threads and zombies have none of these.
  std::optional<std::uint64_t> resident_bytes;
  std::optional<std::uint64_t> locked_bytes;  // VmLck: mlock()
  std::optional<std::uint64_t>
      pinned_bytes;  // VmPin: for devices, by RDMA, VFIO, io_uring, aiaccel
};

// /proc/PID/status. False: not one.
bool parse_status(std::string_view text, Process& process);

// Nothing where it ended meanwhile.
std::optional<Process> read_process(const Root& root, int pid);

// The path of its cgroup, "" where unknown. By itself, because few of those read are asked for it.
std::string cgroup_of(const Root& root, int pid);

// Its command line, empty where it has none.
std::vector<std::string> arguments(const Root& root, int pid);

// The same where it begins with what runs, else empty: a process may write any title there, as
// workers do.
std::vector<std::string> command_of(const Root& root, int pid);

// All of them, lowest first.
std::vector<int> all_pids(const Root& root);

// Whether `library` (the beginning of a file's name, such as "libaiaccel-cuda.so") is mapped;
// nothing where that may not be seen.
std::optional<bool> has_mapped(const Root& root, int pid, std::string_view library);
bool parse_maps(std::string_view text, std::string_view library);

}  // namespace observe
