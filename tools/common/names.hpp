// SPDX-License-Identifier: MIT
//
// The enumerators of <uapi/aiaccel.h> in words, as tables and JSON show them. A number that this
// version does not know shows as that number.
#pragma once

#include <uapi/aiaccel.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tools {

std::string class_name(std::uint32_t value);        // "high"
std::string engine_kind_name(std::uint32_t value);  // "cpu"
std::string enforcement_name(std::uint32_t value);  // "advisory"
std::string state_name(std::uint32_t value);        // "active"
std::string order_name(std::uint32_t value);        // "fair"
std::string tenant_kind_name(std::uint32_t value);  // "cgroup"

// What people are shown and may type for each of these, the engines of one device in their order:
// of CPUs the name, which tells the node, such as "cpu-node0"; of others the kind and the place
// among those of that kind, such as "gpu0".
std::vector<std::string> engine_aliases(const std::vector<aiaccel_engine_info>& engines);

// The name to stand beside that alias: "-" where it is the same.
std::string name_beside(const std::string& alias, const aiaccel_engine_info& engine);

}  // namespace tools
