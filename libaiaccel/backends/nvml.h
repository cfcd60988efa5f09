// SPDX-License-Identifier: MIT
//
// NVIDIA's GPUs, their MIG instances and the processes on them, as libnvidia-ml.so.1 tells where it
// is installed. It is found by dlopen; nothing links it.
//
// Whatever NVML does not tell is std::nullopt or "", never 0. Tested against a stand-in library and
// never on a GPU.
//
// Threads: a Nvml may be used by any of them, as NVML itself.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/nvml_api.h"

namespace aiaccel::nvml {

// A GPU, or a MIG instance of one.
struct Device {
  Handle handle = nullptr;  // NVML's; valid as long as the Nvml that gave it
  unsigned index = 0;       // among GPUs, or among the instances of one; changes over boots
  std::string uuid;         // "GPU-…" or "MIG-…"
  std::string name;         // "NVIDIA H100 80GB HBM3"
  std::string pci;          // "0000:65:00.0", of an instance its GPU's
  std::string parent;       // of an instance the UUID of its GPU, else ""
  bool divided = false;     // this GPU is in MIG mode: work runs on its instances alone
  std::optional<std::uint64_t> total_bytes;
  std::optional<std::uint64_t> used_bytes;
  std::optional<double> busy;    // 0 to 1, over NVML's own last period
  std::optional<int> numa_node;  // nothing: the system tells none
};

struct Process {
  std::uint32_t pid = 0;  // as NVML sees it: in a container perhaps the host's
  std::optional<std::uint64_t> device_bytes;
  std::optional<double>
      busy;  // 0 to 1: the share of the last period in which it had a kernel running
};

class Nvml {
 public:
  // Null where there is no NVML or it has no driver to talk to; `reason` then says why. `sys` is
  // where sysfs is mounted, for the NUMA nodes.
  static std::unique_ptr<const Nvml> open(std::string& reason, std::string sys = "/sys");
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  std::string driver_version() const;

  // All GPUs, each followed by its instances. What NVML does not describe is left out, such as a
  // GPU that fell off the bus; `whole`, where given, says whether nothing was, but for such a GPU.
  std::vector<Device> devices(bool* whole = nullptr) const;

  // Who has memory or work on it, by pid, each once. Of a GPU in MIG mode ask its instances.
  std::vector<Process> processes(const Device& device) const;

 private:
  Nvml(void* library, std::string sys);
  bool describe(Handle handle, Device& device, bool& whole) const;
  std::vector<Device> instances(const Device& gpu, bool& whole) const;

  void* library_;
  std::string sys_;
  Api api_;
  bool started_ = false;
};

}  // namespace aiaccel::nvml
