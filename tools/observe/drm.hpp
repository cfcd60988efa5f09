// SPDX-License-Identifier: MIT
//
// Accelerators that the kernel's DRM and accel subsystems drive, from sysfs. Nothing is opened, so
// nothing that sleeps is woken; but for its name, see libdrm_name().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "observe/files.hpp"

namespace observe {

struct DrmDevice {
  std::string address;             // "0000:65:00.0"; of what is on no bus its name in sysfs
  std::string driver;              // "amdgpu"; "" where sysfs does not tell
  std::string name;                // as the driver calls it
  std::vector<std::string> nodes;  // "/dev/dri/card0", "/dev/dri/renderD128"
  std::optional<std::uint64_t> total_bytes;
  std::optional<std::uint64_t> used_bytes;
  std::optional<double> busy;  // 0 to 1
  std::optional<int> numa_node;
};

// Those that can compute: with a render node, or accelerators without a screen. `name_of` may be
// null.
std::vector<DrmDevice> read_drm(const Root& root, std::string (*name_of)(const std::string& node));

// What libdrm says of a node, such as "AMD GPU"; "" where it cannot be opened.
std::string libdrm_name(const std::string& node);

}  // namespace observe
