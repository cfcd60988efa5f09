// SPDX-License-Identifier: MIT
//
// What the environment says, as `aiaccel exec` sets it:
//
//   AIACCEL_CLASS         idle, low, normal or high; normal where it is not set
//   AIACCEL_ENGINE        the engine for all CUDA devices, instead of each device's own
//   AIACCEL_DEVICE_BYTES  the most device memory that each device gives: 10G, 512M, unlimited
//   AIACCEL_ON_MISSING    open or closed; else as the arbiter last said; else open
//   AIACCEL_TRANSPORT, AIACCEL_BROKER, XDG_RUNTIME_DIR  where the arbiter is; as for all programs
//   AIACCEL_SHIM_LOG      a file for what the shim has to say
//
// It is read once, by a thread of the program: setenv() may free what getenv() reads meanwhile in a
// thread of ours.
//
// What cannot be read is said and counts as not set.
#ifndef AIACCEL_SHIM_SETTINGS_H
#define AIACCEL_SHIM_SETTINGS_H

#include <cstdint>
#include <optional>
#include <string>

#include "broker/address.h"

namespace aiaccel::shim {

struct Settings {
  uint32_t class_;
  std::string engine;  // empty: the device's own
  uint64_t device_bytes;
  std::optional<bool> fail_open;
  std::string transport;  // empty: auto
  BrokerPlace broker;

  static Settings from_environment();
};

const char* class_name(uint32_t class_);

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_SETTINGS_H
