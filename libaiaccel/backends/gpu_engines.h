// SPDX-License-Identifier: MIT
//
// GPUs and MIG instances as engines: how they are named, and what is said of them. For the broker,
// and for who registers them with the module.
//
// No state, so no threading rule.
#pragma once

#include <uapi/aiaccel.h>

#include <vector>

#include "backends/nvml.h"

namespace aiaccel::nvml {

// A GPU is named by its PCI address, with its UUID as alias; an instance, or a GPU that tells no
// address, by its UUID. A GPU in MIG mode is none: work runs on its instances alone. Ids are zero:
// whoever makes engines of these numbers them. What has no name that an engine can bear is left
// out.
std::vector<aiaccel_engine_info> engines_of(const std::vector<Device>& devices);

}  // namespace aiaccel::nvml
