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
std::string tenant_kind_name(std::uint32_t value);  // "cgroup"

// What aiaccel_find_engine() also takes for each of these, the engines of one device in their
// order: its kind and its place among those of that kind, such as "cpu0".
std::vector<std::string> engine_aliases(const std::vector<aiaccel_engine_info>& engines);

}  // namespace tools
