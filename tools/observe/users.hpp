// SPDX-License-Identifier: MIT
//
// Who uses accelerators now, whether or not they know of aiaccel: what NVML, DRM, XRT, the arbiter
// and /proc tell, joined. Needs neither module nor root: what the system does not show is left out,
// and counted.
//
// A metric that nobody told is std::nullopt, never 0. Everything comes from below Root and from the
// arguments, so that recordings can be observed like a machine.
//
// Threads: any.
#pragma once

#include <uapi/aiaccel.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backends/nvml.h"
#include "observe/files.hpp"
#include "observe/numa.hpp"

namespace observe {

// What NVML tells.
struct Gpus {
  struct Gpu {
    aiaccel::nvml::Device device;
    std::vector<aiaccel::nvml::Process> processes;
  };
  std::string missing;  // why there is none of it, "" where there is
  std::vector<Gpu> gpus;
};
Gpus read_gpus(const aiaccel::nvml::Nvml& nvml);

// What the arbiter tells, where one answers.
struct Arbiter {
  std::vector<aiaccel_engine_info> engines;
  std::vector<aiaccel_stats_queue> queues;
  bool sees_all = false;  // those of all tenants
};

struct Engine {
  std::string alias;    // "gpu0", "gpu0.1" for the second instance of it, "cpu-node1"
  std::string kind;     // "gpu", "fpga", "cpu", "other"
  std::string name;     // "NVIDIA H100 80GB HBM3"; "" where unknown
  std::string address;  // "0000:65:00.0"; "" for CPUs
  std::string uuid;     // where NVML knows it
  std::string source;   // who told: "nvml", "drm", "cpu"
  std::string driver;
  bool divided = false;                    // into MIG instances, which come behind it
  std::optional<std::uint32_t> engine_id;  // at the arbiter
  std::optional<int> numa_node;
  std::optional<std::uint64_t> total_bytes;
  std::optional<std::uint64_t> used_bytes;
  std::optional<double> busy;  // 0 to 1
};

// A process on one engine; on several it is there several times.
struct User {
  int pid = 0;
  std::string comm;  // "" where /proc has no such process: it lives in another PID namespace
  std::string unit;  // see unit.hpp
  std::string cgroup;
  std::uint32_t uid = 0;
  std::optional<std::size_t> engine;  // its place in Observation::engines; nothing: none is known
  std::optional<std::uint64_t> device_bytes;
  std::optional<double> busy;  // 0 to 1, of the engine
  // Of the whole process, on the host.
  std::optional<std::uint64_t> resident_bytes;
  std::optional<std::uint64_t> pinned_bytes;
  std::optional<std::uint64_t> locked_bytes;
  std::optional<Placement> placement;  // where the machine has several nodes to choose from
  std::uint64_t placement_ns = 0;      // when it was read, as Observation::time_ns
  // It waits for its turns on this engine: it has a queue there, or CUDA with the shim where the
  // arbiter has the engine. Nothing: not known, as of who may have found another arbiter.
  std::optional<bool> gated;
  bool asks_for_turns = false;  // it has the shim or libaiaccel loaded
  std::optional<bool> wrong_node;  // most of its memory is not on the node nearest to the engine
  std::map<std::string, std::uint64_t> engine_ns;  // of a DRM client, see fdinfo.hpp
};

struct Observation {
  std::uint64_t time_ns = 0;  // CLOCK_MONOTONIC
  std::vector<Engine> engines;
  std::vector<User> users;   // by engine, then the most device memory first, then by pid
  std::uint64_t hidden = 0;  // processes into which this one may not look
  std::string nvml_missing;  // why NVML tells nothing, "" where it does
  std::optional<int> nearest(const Engine& engine) const {
    return topology.nearest_memory(engine.numa_node.value_or(-1));
  }
  Topology topology;
};

// To tell a placement the kernel walks all pages, and who maps memory meanwhile waits: it is read
// anew no more often than this.
inline constexpr std::uint64_t placement_lasts_ns = 30'000'000'000;

struct Question {
  Root root;
  // Globs: a process whose name or command line matches one of them counts as using the CPU.
  std::vector<std::string> watched;
  // As libdrm_name(), or null.
  std::string (*drm_name)(const std::string& node) = nullptr;
  // These alone, or all where it is empty.
  std::vector<int> pids;
  const Observation* last = nullptr;  // the one before, for placements that still hold; may be null
  int self = 0;  // the process that asks: it has a context to look, not to work
};

Observation observe(const Question& question, const Gpus& gpus, const Arbiter* arbiter);

// Fills in how busy DRM clients kept their engine since `before`: the busiest part of the GPU
// counts.
void add_rates(const Observation& before, Observation& now);

}  // namespace observe
