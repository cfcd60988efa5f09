// SPDX-License-Identifier: MIT
//
// Scheduling class and node of a thread. See cpu_class.hpp.

#include "backends/cpu_class.hpp"

#include <numa.h>
#include <sched.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace aiaccel {
namespace {

// 0 is the calling thread, as everywhere in these calls on Linux.
bool set_policy(int policy) {
  sched_param none{};
  return ::sched_setscheduler(0, policy, &none) == 0;
}

}  // namespace

CpuClass apply_cpu_class(Class priority) {
  CpuClass result;
  switch (priority) {
    case Class::idle:
    case Class::low:
      if (set_policy(SCHED_IDLE))
        result.applied = "SCHED_IDLE";
      else
        result.refused = std::string("SCHED_IDLE: ") + std::strerror(errno);
      break;
    case Class::normal:
      break;
    case Class::high:
    case Class::realtime:
      if (::setpriority(PRIO_PROCESS, 0, -10) == 0)
        result.applied = "nice -10";
      else
        result.refused = std::string("nice -10: ") + std::strerror(errno);
      break;
  }
  return result;
}

bool leave_background() {
  if (::sched_getscheduler(0) != SCHED_IDLE) return true;
  return set_policy(SCHED_OTHER);
}

InBackground::InBackground(bool wanted) : wanted_(wanted) {
  if (wanted_) set_policy(SCHED_IDLE);
}

InBackground::~InBackground() {
  if (wanted_) set_policy(SCHED_OTHER);
}

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

std::string run_on_node(int node) {
  if (node < 0 || numa_available() < 0 || numa_max_node() == 0) return {};
  if (numa_run_on_node(node) == 0) return {};
  return "CPUs of node " + std::to_string(node) + ": " + std::strerror(errno);
}

}  // namespace aiaccel
