// SPDX-License-Identifier: MIT
//
// What `aiaccel doctor` looks at. facts.cpp asks the machine; findings.cpp judges without asking
// anything, so that every verdict can be tested on any machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tools {

// How opening a transport went.
struct Attempt {
  int error = 0;          // errno, 0: it answered
  std::string transport;  // the one that answered
};

struct Facts {
  std::string distribution;    // ID of os-release, such as "debian"
  std::string kernel_release;  // uname -r
  int kernel_major = 0;
  int kernel_minor = 0;
  bool kernel_takes_modules = false;
  bool module_loaded = false;
  bool module_installed = false;  // modprobe would find it
  bool headers_installed = false;
  bool dkms_installed = false;
  bool sources_installed = false;  // those that `make install` gives to DKMS

  bool node_present = false;  // /dev/aiaccel
  bool node_accessible = false;
  std::string node_group;           // the group that may open it
  bool node_group_is_mine = false;  // of this process: counts from the next login on only
  std::string user;

  Attempt kernel;
  Attempt automatic;           // what a program that asks for nothing gets
  Attempt broker;              // asked for only where automatic is another, and it listens
  bool broker_starts = false;  // it does not listen, and programs that need it start it

  bool runtime_present = false;  // ONNX Runtime
  std::string runtime_version;
  std::string runtime_path;
  std::string runtime_reason;
  bool runtime_packaged = false;  // the distribution has a package of it

  std::vector<int> numa_nodes;                 // those with CPUs
  std::optional<std::uint64_t> memlock_bytes;  // RLIMIT_MEMLOCK; nothing: unlimited
  std::string cgroup2;                         // where version 2 is mounted, "" where it is not
  bool cgroup2_cpu = false;                    // with the cpu controller
};

// Asks the machine; `transport` limits what is opened as --transport says. A broker is started only
// where that names it.
Facts collect_facts(const std::string& transport);

}  // namespace tools
