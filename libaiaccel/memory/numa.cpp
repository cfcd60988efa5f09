// SPDX-License-Identifier: MIT
//
// Nodes, asked through libnuma; see aiaccel/numa.hpp and cpus.h.
#include <aiaccel/numa.hpp>

#include <numaif.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include <aiaccel/error.hpp>

#include "host/pages.h"
#include "memory/cpus.h"

namespace aiaccel::numa {
namespace {

// Pages that one call asks about: its arrays stay small.
constexpr std::size_t kBatch = 4096;

// More than any machine has CPUs.
constexpr int kMostCpus = 1 << 16;

struct FreeSet {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};
using CpuSet = std::unique_ptr<cpu_set_t, FreeSet>;

}  // namespace

bool available() {
  static const bool have = numa_available() >= 0;
  return have;
}

std::vector<int> own_cpus() {
  // The kernel takes no set that is shorter than its own, which nothing tells.
  for (int room = 1024; room <= kMostCpus; room *= 2) {
    const CpuSet set(CPU_ALLOC(static_cast<std::size_t>(room)));
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(room));
    if (!set) throw std::bad_alloc();
    CPU_ZERO_S(bytes, set.get());
    if (sched_getaffinity(0, bytes, set.get()) < 0) continue;
    std::vector<int> cpus;
    for (int cpu = 0; cpu < room; ++cpu)
      if (CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes, set.get())) cpus.push_back(cpu);
    return cpus;
  }
  return {0};
}

int set_own_cpus(const std::vector<int>& cpus) {
  const int last = cpus.empty() ? 0 : *std::max_element(cpus.begin(), cpus.end());
  const std::size_t room = static_cast<std::size_t>(last) + 1;
  const CpuSet set(CPU_ALLOC(room));
  const std::size_t bytes = CPU_ALLOC_SIZE(room);
  if (!set) return ENOMEM;
  CPU_ZERO_S(bytes, set.get());
  for (const int cpu : cpus) CPU_SET_S(static_cast<std::size_t>(cpu), bytes, set.get());
  return sched_setaffinity(0, bytes, set.get()) < 0 ? errno : 0;
}

Mask mask_of(const std::vector<int>& nodes) {
  Mask mask(numa_allocate_nodemask());
  for (const int node : nodes) numa_bitmask_setbit(mask.get(), static_cast<unsigned>(node));
  return mask;
}

Mask allowed_mask() {
  Mask mask(numa_get_mems_allowed());
  for (int node = 0; node <= numa_max_node(); ++node)
    if (numa_node_size64(node, nullptr) <= 0)
      numa_bitmask_clearbit(mask.get(), static_cast<unsigned>(node));
  return mask;
}

std::vector<int> allowed_nodes() {
  if (!available()) return {0};
  const Mask mask = allowed_mask();
  std::vector<int> nodes;
  for (int node = 0; node <= numa_max_node(); ++node)
    if (numa_bitmask_isbitset(mask.get(), static_cast<unsigned>(node))) nodes.push_back(node);
  return nodes;
}

int current_node() {
  unsigned cpu = 0, node = 0;
  if (!available() || getcpu(&cpu, &node) < 0) return 0;
  return static_cast<int>(node);
}

std::optional<int> distance(int from, int to) {
  if (!available()) return from == 0 && to == 0 ? std::optional(10) : std::nullopt;
  if (std::min(from, to) < 0 || std::max(from, to) > numa_max_node()) return std::nullopt;
  const int told = numa_distance(from, to);
  return told > 0 ? std::optional(told) : std::nullopt;
}

std::vector<int> cpus(int node) {
  std::vector<int> own = own_cpus();
  if (!available()) return node == 0 ? own : std::vector<int>();
  std::erase_if(own, [&](int cpu) { return numa_node_of_cpu(cpu) != node; });
  return own;
}

std::vector<std::uint64_t> bytes_by_node(std::span<const std::byte> range) {
  std::vector<std::uint64_t> found(1);
  if (available()) found.resize(static_cast<std::size_t>(numa_max_node()) + 1);
  const std::uintptr_t page = host::page_size();
  const auto start = reinterpret_cast<std::uintptr_t>(range.data()) & ~(page - 1);
  const auto end = reinterpret_cast<std::uintptr_t>(range.data()) + range.size();
  std::array<void*, kBatch> pages;
  std::array<int, kBatch> where;
  for (std::uintptr_t at = start; at < end;) {
    std::size_t count = 0;
    for (; count < kBatch && at < end; at += page) pages[count++] = reinterpret_cast<void*>(at);
    if (move_pages(0, count, pages.data(), nullptr, where.data(), 0) < 0)
      throw Error(errno, "the kernel does not tell where pages are");
    for (std::size_t i = 0; i < count; ++i) {
      const int node = where[i];  // or -errno: it is not there
      if (node >= 0 && static_cast<std::size_t>(node) < found.size())
        found[static_cast<std::size_t>(node)] += page;
    }
  }
  return found;
}

std::optional<int> node_of(std::span<const std::byte> range) {
  std::optional<int> only;
  const std::vector<std::uint64_t> bytes = bytes_by_node(range);
  for (std::size_t node = 0; node < bytes.size(); ++node) {
    if (!bytes[node]) continue;
    if (only) return std::nullopt;
    only = static_cast<int>(node);
  }
  return only;
}

RunOn::RunOn(int node) : before_(own_cpus()) {
  const std::vector<int> there = cpus(node);
  if (there.empty()) throw Error(EINVAL, "no CPU of node " + std::to_string(node) + " may be used");
  if (const int error = set_own_cpus(there))
    throw Error(error, "cannot run on node " + std::to_string(node));
}

RunOn::~RunOn() {
  set_own_cpus(before_);
}

}  // namespace aiaccel::numa
