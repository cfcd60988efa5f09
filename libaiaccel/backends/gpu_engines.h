// SPDX-License-Identifier: MIT
//
// The GPUs of a host as engines: how they are named, and what is said of them. For the broker, and
// for who registers them with the module.
//
// No state, so no threading rule.
#pragma once

#include <uapi/aiaccel.h>
#include <aiaccel/drm.hpp>

#include <vector>

#include "backends/nvml.h"

namespace aiaccel {

namespace nvml {

// A GPU is named by its PCI address, with its UUID as alias; an instance, or a GPU that tells no
// address, by its UUID. A GPU in MIG mode is none: work runs on its instances alone. Ids are zero:
// whoever makes engines of these numbers them. What has no name that an engine can bear is left
// out.
std::vector<aiaccel_engine_info> engines_of(const std::vector<Device>& devices);

}  // namespace nvml

// All of a host: those that engines_of() has of NVML, then the render nodes of other GPUs. Of one
// that both tell of NVML's stands, and what NVIDIA's driver drives is left to NVML also where that
// does not answer: it alone knows of memory and instances, and comes back. What renders but is no
// GPU, and what has no name that an engine can bear, is left out.
std::vector<aiaccel_engine_info> gpu_engines(std::vector<aiaccel_engine_info> of_nvml,
                                             const std::vector<drm::RenderNode>& nodes);

// Whether it is as gpu_engines() makes them of render nodes.
bool is_of_render_node(const aiaccel_engine_info& engine);

// Whether it has the name and the number of one of them.
bool is_there(const aiaccel_engine_info& engine, const std::vector<drm::RenderNode>& nodes);

}  // namespace aiaccel
