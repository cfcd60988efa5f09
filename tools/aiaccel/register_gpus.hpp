// SPDX-License-Identifier: MIT
//
// GPUs, by NVML and by their render nodes, become engines of the module. Threads: one.
#pragma once

#include <aiaccel/device.hpp>

namespace tools {

// Registers the GPUs of this host that are no engines yet, and unregisters those that this made and
// that are gone, or are told otherwise now. Where there is no NVML, nothing is changed of what it
// told: a driver that is being replaced comes back. Prints what it did; returns the exit status.
int register_gpus(const aiaccel::Device& device);

}  // namespace tools
