// SPDX-License-Identifier: MIT
//
// What the operating system's own scheduler can do for a class of work on a CPU engine.
//
// On a CPU the kernel enforces and a gate cannot, so that every thread that computes for a class
// takes the kernel's help as well: low and idle work gives way at once (SCHED_IDLE), high work
// comes first (nice -10, where the user may). Threads stay on the CPUs of their engine's node.
//
// Everything here acts on the calling thread, and on the threads that it makes later.
#pragma once

#include <string>

#include <aiaccel/queue.hpp>

namespace aiaccel {

struct CpuClass {
  std::string applied;  // "SCHED_IDLE", "nice -10", "" where the class needs nothing
  std::string refused;  // what the kernel would not do, and why; "" when all was done
};

CpuClass apply_cpu_class(Class priority);

// Whether the calling thread, in the class that it has, may leave SCHED_IDLE again; then it has
// left it, and a thread of another policy keeps that. An unprivileged one may not, unless
// RLIMIT_NICE allows it.
bool leave_background();

// In the background for the life of the object: for a thread that may leave it and that should only
// compute there. Stopped elsewhere, with a lock or a message half sent, it would hold up others.
class InBackground {
 public:
  explicit InBackground(bool wanted);
  InBackground(const InBackground&) = delete;
  ~InBackground();

 private:
  const bool wanted_;
};

// Signals are for the program's own threads.
void block_signals();

// Does nothing for a node below zero or on a host that has one node. Returns why it failed, or "".
std::string run_on_node(int node);

}  // namespace aiaccel
