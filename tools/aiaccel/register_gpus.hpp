// SPDX-License-Identifier: MIT
//
// GPUs and MIG instances become engines of the module. Threads: one.
#pragma once

#include <aiaccel/device.hpp>

namespace tools {

// Registers those that NVML tells of and that are no engines yet, and unregisters those that this
// made and that are gone. Where there is no NVML nothing is changed: a driver that is being
// replaced comes back. Prints what it did; returns the exit status.
int register_gpus(const aiaccel::Device& device);

}  // namespace tools
