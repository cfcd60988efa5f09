// SPDX-License-Identifier: MIT
//
// See gpu_engines.h.
#include "backends/gpu_engines.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace aiaccel::nvml {
namespace {

// Printable and without spaces, as the UAPI header asks for.
bool put_name(const std::string& name, char (&to)[AIACCEL_NAME_LEN]) {
  const bool good = name.size() < sizeof to && std::all_of(name.begin(), name.end(), [](char c) {
                      return c > ' ' && c <= '~';
                    });
  if (good) std::memcpy(to, name.data(), name.size());
  return good;
}

}  // namespace

std::vector<aiaccel_engine_info> engines_of(const std::vector<Device>& devices) {
  std::vector<aiaccel_engine_info> engines;
  for (const Device& device : devices) {
    if (device.divided) continue;
    aiaccel_engine_info engine{};
    engine.size = sizeof engine;
    engine.kind = AIACCEL_ENGINE_GPU;
    engine.enforcement = AIACCEL_GATED;
    engine.state = AIACCEL_ENGINE_ACTIVE;
    engine.slots = 1;
    engine.numa_node = device.numa_node.value_or(-1);
    engine.device_bytes = device.total_bytes.value_or(0);
    const bool by_address = device.parent.empty() && !device.pci.empty();
    if (!put_name(by_address ? device.pci : device.uuid, engine.name) || !engine.name[0]) continue;
    if (by_address && !put_name(device.uuid, engine.alias)) continue;
    put_name("nvml", engine.provider);
    engines.push_back(engine);
  }
  return engines;
}

}  // namespace aiaccel::nvml
