// SPDX-License-Identifier: MIT
//
// The GPUs of this machine, found without becoming dependent on their driver: NVML keeps threads,
// descriptors and memory in the process that asks it, and a driver in trouble does not answer. So a
// short-lived child asks. Render nodes are what sysfs says.
//
// Threads: call it while there is only one.
#ifndef AIACCELD_GPUS_H
#define AIACCELD_GPUS_H

#include <uapi/aiaccel.h>

#include <chrono>
#include <string>
#include <vector>

namespace aiacceld {

// None of NVML's where it is not installed, or says nothing within that time. The ids are zero.
// From then on children are reaped by the kernel (SIGCHLD is ignored). `sys` is where sysfs is
// mounted.
std::vector<aiaccel_engine_info> find_gpus(
    std::chrono::milliseconds patience = std::chrono::seconds(10), const std::string& sys = "/sys");

}  // namespace aiacceld

#endif  // AIACCELD_GPUS_H
