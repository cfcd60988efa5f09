// SPDX-License-Identifier: MIT
//
// GPUs for brokers; see gpus.hpp.
#include "broker/gpus.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "broker/server.hpp"
#include "tap/tap.hpp"

namespace conformance {

namespace fs = std::filesystem;

StandInGpus::StandInGpus(const std::string& text) {
  char name[] = "/tmp/aiaccel-test-XXXXXX";
  BOOST_REQUIRE(mkdtemp(name));
  folder_ = name;
  std::ofstream(folder_ + "/nvml") << text;
  setenv("LD_LIBRARY_PATH", standin_of(BrokerServer::program()).c_str(), 1);
  setenv("AIACCEL_STANDIN", folder_.c_str(), 1);
}

StandInGpus::~StandInGpus() {
  unsetenv("LD_LIBRARY_PATH");
  unsetenv("AIACCEL_STANDIN");
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

}  // namespace conformance
