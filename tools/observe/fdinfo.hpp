// SPDX-License-Identifier: MIT
//
// What a process has open of accelerators, and what the kernel tells of a DRM client
// (Documentation/gpu/ drm-usage-stats.rst in the kernel's tree). Needs the right to trace the
// process.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "observe/files.hpp"

namespace observe {

// /proc/PID/fdinfo/FD of a DRM device. Drivers tell more or less of it, older ones nothing.
struct DrmClient {
  std::string driver;
  std::string address;                             // "0000:65:00.0", "" for what is on no PCI bus
  std::optional<std::uint64_t> id;                 // the same for all descriptors of one open file
  std::optional<std::uint64_t> device_bytes;       // on the device, not in the host's memory
  std::map<std::string, std::uint64_t> engine_ns;  // busy since it was opened, by part of the GPU
};
DrmClient parse_fdinfo(std::string_view text);

struct OpenDevice {
  int fd = -1;
  std::string path;  // "/dev/dri/renderD128"
};

// The descriptors that are devices for accelerators; nothing where they may not be seen.
std::optional<std::vector<OpenDevice>> open_devices(const Root& root, int pid);

DrmClient read_fdinfo(const Root& root, int pid, int fd);

}  // namespace observe
