// SPDX-License-Identifier: MIT
//
// An engine with one slot that gives way to nobody, as a CPU does: one that is registered with the
// module, and a GPU of a stand-in for NVML's with a broker of its own.
#pragma once

#include <optional>

#include "broker/gpus.hpp"
#include "broker/server.hpp"
#include "conformance/device.hpp"
#include "kmod/raw.hpp"

namespace bounds {

class OneSlot {
 public:
  OneSlot() {
    if (conformance::on("kernel")) {
      registrar_.emplace();
      engine_.emplace(*registrar_);
      id_ = engine_->id();
      return;
    }
    gpus_.emplace("gpu GPU-bounds\npci 0000:65:00.0\nmemory 8589934592 0\n");
    server_.emplace();
    conformance::Device device;
    aiaccel_query query = device.query();
    aiaccel_engine_info info{};
    for (info.id = query.nr_engines; info.id > 0; --info.id)
      if (device.call(AIACCEL_IOC_ENGINE_INFO, info) == 0 && info.kind == AIACCEL_ENGINE_GPU) break;
    BOOST_REQUIRE(info.id != 0u);
    BOOST_REQUIRE(info.slots == 1u);
    id_ = info.id;
  }

  uint32_t id() const { return id_; }

 private:
  std::optional<raw::Context> registrar_;
  std::optional<raw::Engine> engine_;
  std::optional<conformance::StandInGpus> gpus_;
  std::optional<conformance::BrokerServer> server_;
  uint32_t id_ = 0;
};

}  // namespace bounds
