// SPDX-License-Identifier: MIT
//
// Mapping and placing anonymous memory; see aiaccel/memory.hpp. Touching it is prefault.cpp's.
#include <aiaccel/memory.hpp>

#include <numaif.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <vector>

#include <aiaccel/error.hpp>
#include <aiaccel/numa.hpp>

#include "host/pages.h"
#include "memory/cpus.h"
#include "user/headroom.h"

namespace aiaccel {
namespace {

constexpr std::size_t kHugePage = 2 << 20;
constexpr std::uint64_t kMostBytes = std::numeric_limits<std::ptrdiff_t>::max() / 2;

struct Policy {
  int mode;
  std::vector<int> nodes;
};

Policy policy_of(const Placement& placement) {
  switch (placement.policy) {
    case AIACCEL_PLACE_LOCAL:
      // By name, since the threads that touch it may run elsewhere.
      return {MPOL_PREFERRED, {numa::current_node()}};
    case AIACCEL_PLACE_PREFER:
    case AIACCEL_PLACE_STRICT: {
      const std::vector<int> allowed = numa::allowed_nodes();
      if (std::find(allowed.begin(), allowed.end(), placement.node) == allowed.end())
        throw Error(EINVAL, "memory cannot be taken from node " + std::to_string(placement.node));
      const bool strict = placement.policy == AIACCEL_PLACE_STRICT;
      return {strict ? MPOL_BIND : MPOL_PREFERRED, {placement.node}};
    }
    case AIACCEL_PLACE_INTERLEAVE:
      return {MPOL_INTERLEAVE, numa::allowed_nodes()};
  }
  throw Error(EINVAL, "no placement of anonymous memory");
}

// From a multiple of `align`, a power of two and of pages, on.
std::byte* map_aligned(std::size_t bytes, std::size_t align) {
  const std::size_t slack = align > host::page_size() ? align : 0;
  void* const all =
      mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) throw Error(errno, "cannot map memory");
  auto* const first = static_cast<std::byte*>(all);
  if (!slack) return first;
  const std::size_t before = -reinterpret_cast<std::uintptr_t>(first) & (align - 1);
  if (before) munmap(first, before);
  if (slack > before) munmap(first + before + bytes, slack - before);
  return first + before;
}

[[noreturn]] void refuse(std::uint32_t by) {
  throw Error(ENOMEM, "memory is short", by);
}

void check_room(std::uint64_t bytes, const Placement& placement) {
  const bool strict = placement.policy == AIACCEL_PLACE_STRICT;
  if (bytes > memory_headroom(strict ? placement.node : -1)) refuse(AIACCEL_REFUSED_MEMORY);
  if (bytes > cgroup_headroom()) refuse(AIACCEL_REFUSED_MEMCG);
}

Memory map_placed(std::uint64_t bytes, const Policy& policy) {
  if (bytes > kMostBytes) throw Error(ENOMEM, "cannot map memory");
  const std::size_t whole = host::whole_pages(bytes);
  Memory made(map_aligned(whole, whole >= kHugePage ? kHugePage : host::page_size()), bytes);
  if (numa::available()) {
    const numa::Mask mask = numa::mask_of(policy.nodes);
    const long bound =
        mbind(made.bytes().data(), whole, policy.mode, mask->maskp, numa::bits_of(*mask), 0);
    // Without the right to place (some containers), only STRICT promises something.
    if (bound < 0 && policy.mode == MPOL_BIND) throw Error(errno, "cannot place memory");
  }
  return made;
}

}  // namespace

Memory::Memory(std::uint64_t bytes, Placement placement) {
  if (bytes == 0) throw Error(EINVAL, "memory of no bytes");
  *this = map_placed(bytes, policy_of(placement));
}

Memory Memory::ready(std::uint64_t bytes, Placement placement, const PrefaultOptions& options) {
  if (bytes == 0) throw Error(EINVAL, "memory of no bytes");
  const Policy policy = policy_of(placement);
  Memory memory = map_placed(bytes, policy);
  check_room(bytes, placement);
  PrefaultOptions there = options;
  // The caller's own node is asked for once: it may run on another by now.
  if (!there.node) there.node = policy.mode == MPOL_INTERLEAVE ? -1 : policy.nodes.front();
  prefault(memory.bytes(), there);
  return memory;
}

}  // namespace aiaccel
