// SPDX-License-Identifier: MIT
//
// See drm.hpp.
#include "observe/drm.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <map>

namespace observe {
namespace {

std::string last_part(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// Whether opening a node of it would have to wake it first.
bool sleeps(const std::string& device) {
  const std::string status = read_line(device + "/power/runtime_status");
  return status == "suspended" || status == "suspending";
}

void add_node(const std::string& folder, const std::string& node,
              std::map<std::string, DrmDevice>& found) {
  const std::string link = read_link(folder + "/device");
  if (link.empty()) return;
  DrmDevice& device = found[last_part(link)];
  device.nodes.push_back(node);
  if (device.nodes.size() > 1) return;
  const std::string own = folder + "/device";
  device.address = last_part(link);
  device.driver = last_part(read_link(own + "/driver"));
  device.total_bytes = read_number(own + "/mem_info_vram_total");
  device.used_bytes = read_number(own + "/mem_info_vram_used");
  if (const auto percent = read_number(own + "/gpu_busy_percent"); percent && *percent <= 100)
    device.busy = static_cast<double>(*percent) / 100;
  // -1: none.
  if (const auto node_number = read_number(own + "/numa_node"); node_number && *node_number < 65536)
    device.numa_node = static_cast<int>(*node_number);
}

}  // namespace

std::vector<DrmDevice> read_drm(const Root& root, std::string (*name_of)(const std::string& node)) {
  std::map<std::string, DrmDevice> found;
  for (const auto& [subsystem, nodes] : {std::pair("drm", "/dev/dri/"), {"accel", "/dev/accel/"}}) {
    const std::string folder = root.sys + "/class/" + subsystem;
    auto names = names_in(folder).value_or(std::vector<std::string>());
    std::sort(names.begin(), names.end());
    for (const std::string& name : names)
      // Connectors, such as card0-DP-1, are no devices of their own.
      if (name.find('-') == std::string::npos && name != "version")
        add_node(folder + "/" + name, nodes + name, found);
  }
  std::vector<DrmDevice> devices;
  for (auto& [address, device] : found) {
    const auto computes =
        std::find_if(device.nodes.begin(), device.nodes.end(), [](const std::string& node) {
          return node.starts_with("/dev/dri/render") || node.starts_with("/dev/accel/");
        });
    if (computes == device.nodes.end()) continue;
    const std::string folder = root.sys + "/class/" +
                               (computes->starts_with("/dev/dri/") ? "drm/" : "accel/") +
                               last_part(*computes) + "/device";
    if (name_of && !sleeps(folder)) device.name = name_of(*computes);
    devices.push_back(std::move(device));
  }
  return devices;
}

namespace {

// libdrm's drmVersion, which has not changed since there is one.
struct DrmVersion {
  int major, minor, patch;
  int name_length;
  char* name;
  int date_length;
  char* date;
  int description_length;
  char* description;
};

}  // namespace

std::string libdrm_name(const std::string& node) {
  // Not linked: a server without a screen need not have it.
  static void* const library = ::dlopen("libdrm.so.2", RTLD_NOW | RTLD_LOCAL);
  if (!library) return {};
  const auto get = reinterpret_cast<DrmVersion* (*)(int)>(::dlsym(library, "drmGetVersion"));
  const auto free = reinterpret_cast<void (*)(DrmVersion*)>(::dlsym(library, "drmFreeVersion"));
  if (!get || !free) return {};
  const int fd = ::open(node.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return {};
  std::string name;
  if (DrmVersion* version = get(fd)) {
    if (version->description && version->description_length > 0)
      name.assign(version->description, static_cast<std::size_t>(version->description_length));
    free(version);
  }
  ::close(fd);
  return name;
}

}  // namespace observe
