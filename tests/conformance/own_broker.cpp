// SPDX-License-Identifier: MIT
//
// On the broker, the suite has a server of its own: tests look at what is used in all, which other
// clients of the user's broker would change. It has a GPU of the stand-in for NVML.
#include <optional>

#include "broker/gpus.hpp"
#include "broker/server.hpp"
#include "device.hpp"

namespace {

class OwnBroker {
 public:
  OwnBroker() {
    if (!conformance::on("broker")) return;
    gpus_.emplace("gpu GPU-conformance\npci 0000:65:00.0\nmemory 8589934592 0\n");
    server_.emplace();
  }

 private:
  std::optional<conformance::StandInGpus> gpus_;
  std::optional<conformance::BrokerServer> server_;
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(OwnBroker);
