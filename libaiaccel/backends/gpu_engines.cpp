// SPDX-License-Identifier: MIT
//
// See gpu_engines.h.
#include "backends/gpu_engines.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <aiaccel/error.hpp>

namespace aiaccel {
namespace {

aiaccel_engine_info info_of(const aiaccel_engine_register& made) {
  aiaccel_engine_info engine{};
  engine.size = sizeof engine;
  engine.kind = made.kind;
  engine.enforcement = made.enforcement;
  engine.state = AIACCEL_ENGINE_ACTIVE;
  engine.slots = made.slots;
  engine.numa_node = made.numa_node;
  engine.device_bytes = made.device_bytes;
  std::memcpy(engine.name, made.name, sizeof engine.name);
  std::memcpy(engine.alias, made.alias, sizeof engine.alias);
  std::memcpy(engine.provider, made.provider, sizeof engine.provider);
  return engine;
}

// Printable and without spaces, as the UAPI header asks for.
bool put_name(const std::string& name, char (&to)[AIACCEL_NAME_LEN]) {
  const bool good = name.size() < sizeof to && std::all_of(name.begin(), name.end(), [](char c) {
                      return c > ' ' && c <= '~';
                    });
  if (good) std::memcpy(to, name.data(), name.size());
  return good;
}

}  // namespace

std::vector<aiaccel_engine_info> nvml::engines_of(const std::vector<Device>& devices) {
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

std::vector<aiaccel_engine_info> gpu_engines(std::vector<aiaccel_engine_info> of_nvml,
                                             const std::vector<drm::RenderNode>& nodes) {
  std::vector<aiaccel_engine_info> engines = std::move(of_nvml);
  for (const drm::RenderNode& node : nodes) {
    const bool known = std::any_of(engines.begin(), engines.end(),
                                   [&](const auto& engine) { return node.name == engine.name; });
    if (known || !node.gpu || node.driver == "nvidia") continue;
    try {
      engines.push_back(info_of(drm::engine_of(node)));
    } catch (const Error&) {  // its name
    }
  }
  return engines;
}

bool is_of_render_node(const aiaccel_engine_info& engine) {
  return engine.kind == AIACCEL_ENGINE_GPU && engine.enforcement == AIACCEL_ADVISORY &&
         std::string_view(engine.alias).starts_with("renderD");
}

bool is_there(const aiaccel_engine_info& engine, const std::vector<drm::RenderNode>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [&](const drm::RenderNode& node) {
    return node.name == engine.name && node.path.ends_with(std::string("/") + engine.alias);
  });
}

}  // namespace aiaccel
