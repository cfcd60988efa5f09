// SPDX-License-Identifier: MIT
//
// What the environment says, as `aiaccel exec` sets it:
//
//   AIACCEL_CLASS         idle, low, normal or high; normal where it is not set
//   AIACCEL_ENGINE        the engine for all CUDA devices, instead of each device's own
//   AIACCEL_DEVICE_BYTES  the most device memory that each device gives: 10G, 512M, unlimited
//   AIACCEL_ON_MISSING    open or closed; else as the arbiter last said; else open
//
// What cannot be read is said and counts as not set.
#ifndef AIACCEL_SHIM_SETTINGS_H
#define AIACCEL_SHIM_SETTINGS_H

#include <cstdint>
#include <optional>
#include <string>

namespace aiaccel::shim {

struct Settings {
  uint32_t class_;
  std::string engine;  // empty: the device's own
  uint64_t device_bytes;
  std::optional<bool> fail_open;

  static Settings from_environment();
};

const char* class_name(uint32_t class_);

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_SETTINGS_H
