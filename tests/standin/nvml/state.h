// SPDX-License-Identifier: MIT
//
// What the stand-in for libnvidia-ml.so.1 answers, read from the file that tests write:
// $AIACCEL_STANDIN/nvml. Without one there is one GPU: the device of the stand-in for libcuda.so.1,
// with the processes that use it.
//
//   driver 580.65.06                    the version of the driver
//   gpu GPU-…                           a GPU, and what follows is of it:
//   name NVIDIA H100 80GB HBM3
//   pci 0000:65:00.0
//   memory TOTAL USED                   bytes
//   busy PERCENT
//   mig 0|1                             it can be in MIG mode, and is not, or is
//   compute PID BYTES|-                 a process, its bytes, - where they are not told
//   graphics PID BYTES|-
//   sample PID TIME_US PERCENT          of nvmlDeviceGetProcessUtilization
//   instance INDEX MIG-…                a MIG instance of it, and what follows is of that
//   fail FUNCTION NUMBER                this function returns that error: of the GPU or instance
//                                       above, or at the top of all
//
// What has no line is not supported (3). Lines that mean nothing end the process with their number:
// a test is wrong.
//
// No threads here: nvml.cpp has the lock.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backends/nvml_api.h"

namespace standin::nvml {

struct Device {
  std::string uuid;
  std::optional<std::string> name, pci;
  std::optional<aiaccel::nvml::Memory> memory;
  std::optional<unsigned> busy, mig;
  std::vector<aiaccel::nvml::ProcessInfo> compute, graphics;
  std::vector<aiaccel::nvml::ProcessSample> samples;
  std::map<std::string, int> fails;
};

struct Gpu : Device {
  std::map<unsigned, Device> instances;  // by index, which may have holes
};

struct State {
  std::string driver = "580.65.06";
  std::vector<Gpu> gpus;
  std::map<std::string, int> fails;
};

State read_state();

}  // namespace standin::nvml
