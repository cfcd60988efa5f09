// SPDX-License-Identifier: MIT
//
// What the operating system's scheduler can do for a program that was not written for aiaccel: for
// its class, and for the node of its engine.
//
// Low work keeps a small part of the CPUs (SCHED_BATCH, nice), and only idle work none
// (SCHED_IDLE): a program that holds a turn of a GPU needs a CPU to come to its end, and whoever
// waits for that turn waits for that CPU. What computes on a CPU engine's turns is told by
// libaiaccel itself, thread by thread (backends/cpu_class.hpp).
//
// Threads: one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tools {

struct Scheduling {
  int policy;       // SCHED_…
  int nice;         //
  unsigned weight;  // cpu.weight of a cgroup: as much as nice gives a thread
  const char* text;
};

// Of AIACCEL_CLASS_IDLE to AIACCEL_CLASS_HIGH.
const Scheduling& scheduling_of(std::uint32_t priority);

// Accepts idle, low, normal and high; throws Failure (usage) else.
std::uint32_t read_class(const std::string& name);

// The class whose scheduling the thread has; nothing where it has another one, or that of every
// program (normal).
std::optional<std::uint32_t> scheduled_class(pid_t thread);

// Acts on one thread, 0 being the caller. Returns why it failed, or "".
std::string schedule(pid_t thread, const Scheduling& wanted);

// A node with CPUs, found by the name of its engine or by its place, such as cpu0.
struct CpuNode {
  int node;          // -1 where this machine tells of none
  std::string cpus;  // as the kernel lists them: "0-3,8"
};

// Nothing for engines that are no CPUs. Throws Failure (usage) for a CPU engine that is not there.
std::optional<CpuNode> find_cpu_node(const std::string& engine);

// The node's CPUs, online.
CpuNode cpu_node(int node);

// Puts one thread on the CPUs, 0 being the caller. Returns why it failed, or "".
std::string put_on_cpus(pid_t thread, const std::string& cpus);

// The CPUs that the thread may use.
std::string cpus_of(pid_t thread);

// The caller, and what it executes, takes memory from the node while there is some, then from
// others: a strict policy would have the program killed for what the next node has free.
std::string prefer_memory(int node);

}  // namespace tools
