// SPDX-License-Identifier: MIT
//
// See scheduling.hpp.
#include "aiaccel/scheduling.hpp"

#include <fmt/format.h>
#include <host/host.h>
#include <host/number_list.h>
#include <numa.h>
#include <sched.h>
#include <sys/resource.h>
#include <uapi/aiaccel.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>

#include "common/failure.hpp"
#include "common/names.hpp"

namespace tools {
namespace {

constexpr Scheduling kScheduling[] = {
    {SCHED_IDLE, 19, 1, "SCHED_IDLE"},
    {SCHED_BATCH, 10, 11, "SCHED_BATCH, nice 10"},
    {SCHED_OTHER, 0, 100, "SCHED_OTHER, nice 0"},
    {SCHED_OTHER, -10, 930, "SCHED_OTHER, nice -10"},
};
static_assert(std::size(kScheduling) == AIACCEL_CLASS_HIGH + 1);

// As many CPUs as a kernel can have.
constexpr int kMaxCpus = 65536;

struct FreeSet {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};
using CpuSet = std::unique_ptr<cpu_set_t, FreeSet>;

CpuSet make_set() {
  CpuSet set(CPU_ALLOC(kMaxCpus));
  if (!set) throw std::bad_alloc();
  CPU_ZERO_S(CPU_ALLOC_SIZE(kMaxCpus), set.get());
  return set;
}

}  // namespace

const Scheduling& scheduling_of(std::uint32_t priority) {
  return kScheduling[priority];
}

std::uint32_t read_class(const std::string& name) {
  for (std::uint32_t value = 0; value <= AIACCEL_CLASS_HIGH; value++)
    if (class_name(value) == name) return value;
  throw Failure(name == class_name(AIACCEL_CLASS_REALTIME)
                    ? "realtime is for programs that know deadlines and ask for it themselves"
                    : fmt::format("there is no class '{}'", name),
                "idle, low, normal or high", exit_usage);
}

std::string schedule(pid_t thread, const Scheduling& wanted) {
  const sched_param none{};
  if (::sched_setscheduler(thread, wanted.policy, &none) < 0 ||
      // To a thread in SCHED_IDLE nice means nothing.
      (wanted.policy != SCHED_IDLE &&
       ::setpriority(PRIO_PROCESS, static_cast<id_t>(thread), wanted.nice) < 0))
    return std::strerror(errno);
  return {};
}

std::optional<std::uint32_t> scheduled_class(pid_t thread) {
  const int policy = ::sched_getscheduler(thread) & ~SCHED_RESET_ON_FORK;
  const int nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(thread));
  for (std::uint32_t value = 0; value <= AIACCEL_CLASS_HIGH; value++)
    if (value != AIACCEL_CLASS_NORMAL && policy == kScheduling[value].policy &&
        (policy == SCHED_IDLE || nice == kScheduling[value].nice))
      return value;
  return {};
}

CpuNode cpu_node(int node) {
  const std::string file = node < 0 ? "/sys/devices/system/cpu/online"
                                    : fmt::format("/sys/devices/system/node/node{}/cpulist", node);
  CpuNode found{node, {}};
  std::ifstream(file) >> found.cpus;
  return found;
}

std::optional<CpuNode> find_cpu_node(const std::string& engine) {
  if (!engine.starts_with("cpu")) return {};
  const std::vector<aiaccel_engine_info> engines = aiaccel::host::find_cpu_engines();
  std::string names;
  for (std::size_t i = 0; i < engines.size(); i++) {
    if (engine == engines[i].name || engine == fmt::format("cpu{}", i))
      return cpu_node(engines[i].numa_node);
    names += fmt::format("{}{}", i ? ", " : "", engines[i].name);
  }
  throw Failure(fmt::format("there is no engine '{}'", engine), "the CPUs here are " + names,
                exit_usage);
}

std::string put_on_cpus(pid_t thread, const std::string& cpus) {
  const CpuSet set = make_set();
  std::istringstream list(cpus);
  for (const int cpu : aiaccel::host::read_number_list(list))
    CPU_SET_S(static_cast<std::size_t>(cpu), CPU_ALLOC_SIZE(kMaxCpus), set.get());
  if (::sched_setaffinity(thread, CPU_ALLOC_SIZE(kMaxCpus), set.get()) < 0)
    return std::strerror(errno);
  return {};
}

std::string cpus_of(pid_t thread) {
  std::ifstream status(fmt::format("/proc/{}/status", thread));
  for (std::string line; std::getline(status, line);)
    if (const std::string key = "Cpus_allowed_list:\t"; line.starts_with(key))
      return line.substr(key.size());
  return {};
}

std::string prefer_memory(int node) {
  if (node < 0 || numa_available() < 0 || numa_max_node() == 0) return {};
  errno = 0;
  numa_set_preferred(node);
  return errno ? std::strerror(errno) : "";
}

}  // namespace tools
