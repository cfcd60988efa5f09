// SPDX-License-Identifier: MIT
//
// Finds the CPU engines of this machine in /sys: the NUMA nodes with CPUs online, each with as many
// slots as CPUs. Where /sys tells nothing, as in some containers, all CPUs are one engine.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "host/host.h"
#include "host/number_list.h"

namespace aiaccel::host {
namespace {

// Empty where the file is not there.
std::vector<int> read_list(const std::string& path) {
  std::ifstream file(path);
  return read_number_list(file);
}

aiaccel_engine_info cpu_engine(uint32_t id, int node, size_t cpus) {
  aiaccel_engine_info info{};
  info.size = sizeof info;
  info.id = id;
  info.kind = AIACCEL_ENGINE_CPU;
  info.enforcement = AIACCEL_ADVISORY;
  info.state = AIACCEL_ENGINE_ACTIVE;
  info.slots = static_cast<uint32_t>(cpus);
  info.numa_node = node;
  std::snprintf(info.name, sizeof info.name, "cpu-node%d", std::max(node, 0));
  std::snprintf(info.provider, sizeof info.provider, "aiaccel");
  return info;
}

}  // namespace

std::vector<aiaccel_engine_info> find_cpu_engines() {
  std::vector<aiaccel_engine_info> engines;
  const std::vector<int> online = read_list("/sys/devices/system/cpu/online");
  for (int node : read_list("/sys/devices/system/node/online")) {
    const std::vector<int> cpus =
        read_list("/sys/devices/system/node/node" + std::to_string(node) + "/cpulist");
    const auto here = std::count_if(cpus.begin(), cpus.end(), [&](int cpu) {
      return std::binary_search(online.begin(), online.end(), cpu);
    });
    if (here > 0)
      engines.push_back(
          cpu_engine(static_cast<uint32_t>(engines.size() + 1), node, static_cast<size_t>(here)));
  }
  if (engines.empty())
    engines.push_back(cpu_engine(1, -1, static_cast<size_t>(sysconf(_SC_NPROCESSORS_ONLN))));
  return engines;
}

}  // namespace aiaccel::host
