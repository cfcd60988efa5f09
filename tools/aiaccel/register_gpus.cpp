// SPDX-License-Identifier: MIT
//
// See register_gpus.hpp.
#include "aiaccel/register_gpus.hpp"

#include <backends/gpu_engines.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "common/failure.hpp"

namespace tools {
namespace {

using Engines = std::vector<aiaccel_engine_info>;

bool named_alike(const aiaccel_engine_info& one, const aiaccel_engine_info& other) {
  return std::string_view(one.name) == other.name;
}

// Another card at the same address has another UUID, and a node may have another number by now.
bool same(const aiaccel_engine_info& one, const aiaccel_engine_info& other) {
  return named_alike(one, other) && std::string_view(one.alias) == other.alias;
}

bool holds(const Engines& engines, const aiaccel_engine_info& engine, decltype(same)* alike) {
  return std::any_of(engines.begin(), engines.end(),
                     [&](const auto& other) { return alike(engine, other); });
}

bool of_nvml(const aiaccel_engine_info& engine) {
  return std::string_view(engine.provider) == "nvml";
}

// 0 or the error.
int add(const aiaccel::Device& device, const aiaccel_engine_info& gpu) {
  aiaccel_engine_register arg{};
  arg.size = sizeof arg;
  arg.kind = gpu.kind;
  arg.enforcement = gpu.enforcement;
  arg.slots = gpu.slots;
  arg.numa_node = gpu.numa_node;
  arg.device_bytes = gpu.device_bytes;
  std::memcpy(arg.name, gpu.name, sizeof arg.name);
  std::memcpy(arg.alias, gpu.alias, sizeof arg.alias);
  std::memcpy(arg.provider, gpu.provider, sizeof arg.provider);
  return -aiaccel_call(device.handle(), AIACCEL_IOC_ENGINE_REGISTER, &arg);
}

int remove(const aiaccel::Device& device, const aiaccel_engine_info& gpu) {
  aiaccel_engine_unregister arg{sizeof arg, gpu.id};
  return -aiaccel_call(device.handle(), AIACCEL_IOC_ENGINE_UNREGISTER, &arg);
}

// Whether nothing failed. Another one may do the same at the same time.
bool told(const char* verb, const aiaccel_engine_info& gpu, int error, int expected) {
  if (error == 0)
    fmt::print("{}ed {} {}\n", verb, gpu.name, gpu.alias);
  else if (error != expected)
    fmt::print(stderr, "aiaccel engines: cannot {} {}: {}\n", verb, gpu.name, std::strerror(error));
  return error == 0 || error == expected;
}

}  // namespace

int register_gpus(const aiaccel::Device& device) {
  Engines engines;
  for (const aiaccel::Engine& engine : device.engines()) engines.push_back(engine.info());
  const bool any = std::any_of(engines.begin(), engines.end(), of_nvml);
  std::string reason;
  const auto nvml = aiaccel::nvml::Nvml::open(reason);
  bool whole = true;
  Engines gpus;
  if (nvml) gpus = aiaccel::nvml::engines_of(nvml->devices(&whole));
  // To unregister an engine fails its jobs, and one that tells half may be there by another name.
  if (!whole)
    fmt::print(stderr, "aiaccel engines: NVML does not describe all GPUs{}\n",
               any ? ": those that are registered stay as they are" : "");
  const bool stay = !nvml || (!whole && any);
  if (stay) gpus.clear();
  const auto nodes = aiaccel::drm::render_nodes();
  gpus = aiaccel::gpu_engines(std::move(gpus), nodes);
  if (!nvml && gpus.empty()) fmt::print("no GPUs: {}\n", reason);

  bool good = whole;
  std::erase_if(engines, [&](const aiaccel_engine_info& old) {
    // A node that is there may be an engine by somebody else's will.
    const bool ours = of_nvml(old)
                          ? !stay
                          : aiaccel::is_of_render_node(old) &&
                                (holds(gpus, old, named_alike) || !aiaccel::is_there(old, nodes));
    if (!ours || holds(gpus, old, same)) return false;
    good = told("unregister", old, remove(device, old), ENOENT) && good;
    return true;
  });
  for (const aiaccel_engine_info& gpu : gpus)
    if (!holds(engines, gpu, named_alike))
      good = told("register", gpu, add(device, gpu), EEXIST) && good;
  return good ? exit_ok : exit_failed;
}

}  // namespace tools
