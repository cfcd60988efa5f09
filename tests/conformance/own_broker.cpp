// SPDX-License-Identifier: MIT
//
// On the broker, the suite has a server of its own: tests look at what is used in all, which other
// clients of the user's broker would change.
#include <optional>

#include "broker/server.hpp"
#include "device.hpp"

namespace {

class OwnBroker {
 public:
  OwnBroker() {
    if (conformance::on("broker")) server_.emplace();
  }

 private:
  std::optional<conformance::BrokerServer> server_;
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(OwnBroker);
