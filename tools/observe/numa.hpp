// SPDX-License-Identifier: MIT
//
// Where memory lies: the nodes of the machine, and the pages of a process on each of them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "observe/files.hpp"

namespace observe {

struct Node {
  int id = 0;
  bool has_memory = false;
  std::vector<int> cpus;
  std::vector<int> distances;  // to each node of the machine, in the order of their numbers
};

struct Topology {
  std::vector<Node> nodes;  // by number

  // The node with memory that is nearest to `node`: itself, where it has any. Nothing where `node`
  // is not one of this machine, or there are not two nodes with memory to choose from.
  std::optional<int> nearest_memory(int node) const;

  // The one node on which all of these CPUs are; nothing where there are several.
  std::optional<int> node_of_cpus(std::string_view list) const;
};

Topology read_topology(const Root& root);

// "0-3,8": in order, each once. Numbers above 65535 and ends before their beginnings are left out.
std::vector<int> parse_list(std::string_view text);

// Bytes by node, of what is the process's own: its private pages and shared memory, but not the
// pages of files that it only reads (libraries, models in the page cache).
using Placement = std::map<int, std::uint64_t>;
Placement parse_numa_maps(std::string_view text);

// Nothing where it may not be seen or the kernel does not tell.
std::optional<Placement> read_placement(const Root& root, int pid);

// The node that has most, and its share; nothing where there is nothing.
struct Main {
  int node = 0;
  std::uint64_t bytes = 0;
  double share = 0;  // 0 to 1
};
std::optional<Main> main_node(const Placement& placement);

// The share on this node.
double share_on(const Placement& placement, int node);

}  // namespace observe
