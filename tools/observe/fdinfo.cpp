// SPDX-License-Identifier: MIT
//
// See fdinfo.hpp.
#include "observe/fdinfo.hpp"

#include <algorithm>
#include <array>

namespace observe {
namespace {

// Regions of memory that lie on the device, by the names that drivers give them: amdgpu vram, xe
// vram0, i915 local0, and memory where a driver knows one kind alone. The others (gtt, cpu, system,
// stolen) are the host's.
bool on_device(std::string_view region) {
  return region.starts_with("vram") || region.starts_with("local") || region == "memory";
}

// How a region is told: what is there now, as older amdgpu says it; that under its present name;
// all of it, also what is swapped out. The earlier counts.
constexpr std::array<std::string_view, 3> memory_keys = {"drm-resident-", "drm-memory-",
                                                         "drm-total-"};

bool is_accelerator(std::string_view path) {
  static constexpr std::array<std::string_view, 6> prefixes = {
      "/dev/dri/", "/dev/accel/", "/dev/nvidia", "/dev/aiaccel", "/dev/xclmgmt", "/dev/xfpga/"};
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [path](std::string_view prefix) { return path.starts_with(prefix); });
}

}  // namespace

DrmClient parse_fdinfo(std::string_view text) {
  DrmClient client;
  std::map<std::string, std::array<std::optional<std::uint64_t>, memory_keys.size()>> regions;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !line.starts_with("drm-")) continue;
    const std::string_view key = line.substr(0, colon);
    std::string_view value = line.substr(colon + 1);
    std::string_view rest = value;
    const std::string_view word = take_word(rest);
    if (key == "drm-driver") {
      client.driver = word;
    } else if (key == "drm-pdev") {
      client.address = word;
    } else if (key == "drm-client-id") {
      client.id = number(word);
    } else if (key.starts_with("drm-engine-") && !key.starts_with("drm-engine-capacity-")) {
      if (const auto ns = number(word); ns && take_word(rest) == "ns")
        client.engine_ns[std::string(key.substr(11))] = *ns;
    } else {
      for (std::size_t i = 0; i < memory_keys.size(); i++)
        if (key.starts_with(memory_keys[i]))
          regions[std::string(key.substr(memory_keys[i].size()))][i] = amount(value);
    }
  }
  for (const auto& [region, told] : regions) {
    if (!on_device(region)) continue;
    const auto first =
        std::find_if(told.begin(), told.end(), [](const auto& bytes) { return bytes.has_value(); });
    if (first == told.end()) continue;
    std::uint64_t sum = client.device_bytes.value_or(0);
    if (__builtin_add_overflow(sum, **first, &sum)) sum = UINT64_MAX;
    client.device_bytes = sum;
  }
  return client;
}

std::optional<std::vector<OpenDevice>> open_devices(const Root& root, int pid) {
  const std::string folder = root.proc + "/" + std::to_string(pid) + "/fd";
  auto links = links_in(folder);
  if (!links) return std::nullopt;
  std::vector<OpenDevice> devices;
  for (auto& [name, target] : *links)
    if (const auto fd = number(name); fd && *fd <= INT32_MAX && is_accelerator(target))
      devices.push_back({static_cast<int>(*fd), std::move(target)});
  std::sort(devices.begin(), devices.end(),
            [](const OpenDevice& a, const OpenDevice& b) { return a.fd < b.fd; });
  return devices;
}

DrmClient read_fdinfo(const Root& root, int pid, int fd) {
  const auto text =
      read_file(root.proc + "/" + std::to_string(pid) + "/fdinfo/" + std::to_string(fd));
  return text ? parse_fdinfo(*text) : DrmClient();
}

}  // namespace observe
