// SPDX-License-Identifier: MIT
//
// The recordings beside this file, and what NVML would say to them. NVML's part and the DRM client
// of amdgpu are written after documentation: nobody recorded them on a device.
//
// No state.
#pragma once

#include <stdexcept>
#include <string>

#include "observe/users.hpp"

namespace observe_test {

inline observe::Root recording(const std::string& name) {
  const std::string folder = "tests/observe/recorded/" + name;
  return {folder + "/proc", folder + "/sys"};
}

// An H100 on node 1, with MIG off: an inference server, a notebook and a process of a container
// whose /proc we do not see.
inline observe::Gpus one_gpu() {
  aiaccel::nvml::Device device;
  device.uuid = "GPU-1";
  device.name = "NVIDIA H100 80GB HBM3";
  device.pci = "0000:65:00.0";
  device.numa_node = 1;
  device.total_bytes = 80ull << 30;
  device.used_bytes = 71ull << 30;
  device.busy = 0.97;
  observe::Gpus gpus;
  gpus.gpus.push_back(
      {device,
       {{812, 62ull << 30, 0.61}, {4410, 9ull << 30, 0.36}, {9999, std::nullopt, std::nullopt}}});
  return gpus;
}

inline const observe::User& user_of(const observe::Observation& observation, int pid,
                                    const std::string& engine) {
  for (const observe::User& user : observation.users)
    if (user.pid == pid &&
        (user.engine ? observation.engines[*user.engine].alias : std::string()) == engine)
      return user;
  throw std::runtime_error("no user " + std::to_string(pid) + " of '" + engine + "'");
}

}  // namespace observe_test
