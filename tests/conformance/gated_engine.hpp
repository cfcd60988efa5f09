// SPDX-License-Identifier: MIT
//
// A gated engine of one slot, on which turns have a budget although nobody asked for one: with the
// module the test registers it, on the broker it is the stand-in's GPU. A process alone has none.
#pragma once

#include <aiaccel/device.hpp>

#include <cstring>
#include <optional>
#include <string>

#include "device.hpp"

namespace conformance {

class GatedEngine {
 public:
  GatedEngine() {
    if (device_.query().capabilities & AIACCEL_CAP_REGISTER) {
      aiaccel_engine_register arg{};
      arg.kind = AIACCEL_ENGINE_GPU;
      arg.enforcement = AIACCEL_GATED;
      arg.slots = 1;
      arg.numa_node = -1;
      std::strcpy(arg.name, "conformance-gated");
      std::strcpy(arg.provider, "conformance");
      BOOST_REQUIRE_EQUAL(device_.call(AIACCEL_IOC_ENGINE_REGISTER, arg), 0);
      registered_ = arg.id;
    }
    aiaccel_engine_info info;
    const int error =
        aiaccel_find_engine(device_.handle(), registered_ ? "conformance-gated" : "gpu0", &info);
    if (error) return;
    name_ = info.name;
    id_ = info.id;
  }
  GatedEngine(const GatedEngine&) = delete;
  GatedEngine& operator=(const GatedEngine&) = delete;
  ~GatedEngine() {
    if (!registered_) return;
    aiaccel_engine_unregister arg{};
    arg.id = registered_;
    BOOST_TEST(device_.call(AIACCEL_IOC_ENGINE_UNREGISTER, arg) == 0);
  }

  // Whether there is one; SKIP(kNoGatedEngine) where not.
  explicit operator bool() const { return name_.has_value(); }
  const std::string& name() const { return *name_; }
  uint32_t id() const { return id_; }

 private:
  Device device_;
  uint32_t registered_ = 0;
  uint32_t id_ = 0;
  std::optional<std::string> name_;
};

constexpr const char* kNoGatedEngine = "no engine here is gated";

}  // namespace conformance
