// SPDX-License-Identifier: MIT
//
// See numa.hpp. Distances are read where libnuma reads them; it cannot be pointed at a recording.
#include "observe/numa.hpp"

#include <algorithm>

namespace observe {

std::vector<int> parse_list(std::string_view text) {
  // However often a range is there, it costs the same.
  std::vector<bool> named(65536);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t dash = part.find('-');
    const auto first = number(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number(part.substr(dash + 1));
    if (!first || !last || *last >= named.size()) continue;
    for (std::uint64_t value = *first; value <= *last; value++) named[value] = true;
  }
  std::vector<int> numbers;
  for (std::size_t value = 0; value < named.size(); value++)
    if (named[value]) numbers.push_back(static_cast<int>(value));
  return numbers;
}

Topology read_topology(const Root& root) {
  const std::string folder = root.sys + "/devices/system/node";
  const std::vector<int> with_memory = parse_list(read_line(folder + "/has_memory"));
  Topology topology;
  for (int id : parse_list(read_line(folder + "/online"))) {
    const std::string own = folder + "/node" + std::to_string(id);
    Node node;
    node.id = id;
    node.has_memory = std::binary_search(with_memory.begin(), with_memory.end(), id);
    node.cpus = parse_list(read_line(own + "/cpulist"));
    const std::string line = read_line(own + "/distance");
    std::string_view rest = line;
    for (std::string_view word; !(word = take_word(rest)).empty();)
      node.distances.push_back(
          static_cast<int>(std::min<std::uint64_t>(number(word).value_or(255), 255)));
    topology.nodes.push_back(std::move(node));
  }
  return topology;
}

std::optional<int> Topology::nearest_memory(int node) const {
  const auto own = std::find_if(nodes.begin(), nodes.end(),
                                [node](const Node& other) { return other.id == node; });
  const auto with_memory =
      std::count_if(nodes.begin(), nodes.end(), [](const Node& other) { return other.has_memory; });
  if (own == nodes.end() || with_memory < 2) return std::nullopt;
  if (own->has_memory) return node;
  std::optional<int> best;
  int least = 256;
  for (std::size_t i = 0; i < nodes.size() && i < own->distances.size(); i++)
    if (nodes[i].has_memory && own->distances[i] < least) {
      least = own->distances[i];
      best = nodes[i].id;
    }
  return best;
}

std::optional<int> Topology::node_of_cpus(std::string_view list) const {
  std::optional<int> found;
  for (int cpu : parse_list(list))
    for (const Node& node : nodes) {
      if (!std::binary_search(node.cpus.begin(), node.cpus.end(), cpu)) continue;
      if (found && *found != node.id) return std::nullopt;
      found = node.id;
    }
  return found;
}

Placement parse_numa_maps(std::string_view text) {
  Placement placement;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    take_word(line);  // the address
    take_word(line);  // the policy
    bool of_file = false, own = false;
    std::uint64_t page_bytes = 4096;
    std::vector<std::pair<int, std::uint64_t>> pages;
    for (std::string_view word; !(word = take_word(line)).empty();) {
      const std::size_t equals = word.find('=');
      if (equals == std::string_view::npos) continue;
      const std::string_view key = word.substr(0, equals), value = word.substr(equals + 1);
      if (key == "file")
        of_file = !value.starts_with("/dev/") && !value.starts_with("/memfd:") &&
                  !value.starts_with("/SYSV");
      else if (key == "anon")
        own = true;
      else if (key == "kernelpagesize_kB")
        page_bytes = std::min<std::uint64_t>(number(value).value_or(4), 1 << 21) * 1024;
      else if (key.size() > 1 && key[0] == 'N')
        if (const auto node = number(key.substr(1)), count = number(value);
            node && *node < 65536 && count && *count < 1ull << 32)
          pages.emplace_back(static_cast<int>(*node), *count);
    }
    if (of_file && !own) continue;
    for (const auto& [node, count] : pages) {
      std::uint64_t& bytes = placement[node];
      if (__builtin_add_overflow(bytes, count * page_bytes, &bytes)) bytes = UINT64_MAX;
    }
  }
  return placement;
}

std::optional<Placement> read_placement(const Root& root, int pid) {
  const auto text = read_file(root.proc + "/" + std::to_string(pid) + "/numa_maps");
  if (!text) return std::nullopt;
  return parse_numa_maps(*text);
}

std::optional<Main> main_node(const Placement& placement) {
  const auto most =
      std::max_element(placement.begin(), placement.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == placement.end() || most->second == 0) return std::nullopt;
  return Main{most->first, most->second, share_on(placement, most->first)};
}

double share_on(const Placement& placement, int node) {
  double all = 0;
  for (const auto& [id, bytes] : placement) all += static_cast<double>(bytes);
  const auto found = placement.find(node);
  return found == placement.end() || all <= 0 ? 0 : static_cast<double>(found->second) / all;
}

}  // namespace observe
