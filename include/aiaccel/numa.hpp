// SPDX-License-Identifier: MIT
//
// Nodes of memory: which there are, how far apart, where pages lie, and running on one. What
// placements (<aiaccel/memory.hpp>) are chosen by. A host without NUMA has one node, 0.
//
// Nodes are numbered as the kernel does, which may leave numbers out.
//
// Threads: any; nothing is kept, but a RunOn belongs to the thread that made it.
#ifndef AIACCEL_NUMA_HPP
#define AIACCEL_NUMA_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace aiaccel::numa {

// Those with memory that the caller may take it from (its cpuset), in order.
[[gnu::visibility("default")]] std::vector<int> allowed_nodes();

// The one whose CPU the caller runs on at this moment.
[[gnu::visibility("default")]] int current_node();

// As the firmware tells it: 10 is a node to itself, 20 is twice as far; nothing where it is not
// known.
[[gnu::visibility("default")]] std::optional<int> distance(int from, int to);

// The CPUs of a node, of those that the calling thread may use.
[[gnu::visibility("default")]] std::vector<int> cpus(int node);

// Bytes of the range on each node, in whole pages, of those that are there: index is the node.
// Untouched pages, and zeros that were only read, are nowhere. Throws Error: EPERM or ENOSYS where
// the kernel does not tell (some containers).
[[gnu::visibility("default")]] std::vector<std::uint64_t> bytes_by_node(
    std::span<const std::byte> range);

// The node of all pages of the range that are there; nothing where they are on several, or none is.
// Throws as bytes_by_node() does.
[[gnu::visibility("default")]] std::optional<int> node_of(std::span<const std::byte> range);

// While it lives, the thread that made it runs on the CPUs of the node that it may use; then where
// it might before. That thread destroys it, the last one made first. Threads begun meanwhile run
// there as well, and stay. Throws Error: EINVAL where the thread may use none of them.
class [[gnu::visibility("default")]] RunOn {
 public:
  explicit RunOn(int node);
  RunOn(const RunOn&) = delete;
  RunOn& operator=(const RunOn&) = delete;
  ~RunOn();

 private:
  std::vector<int> before_;
};

}  // namespace aiaccel::numa

#endif  // AIACCEL_NUMA_HPP
