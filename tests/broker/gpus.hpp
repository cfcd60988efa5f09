// SPDX-License-Identifier: MIT
//
// GPUs for the brokers that a test starts, by the stand-in for NVML (tests/standin).
#pragma once

#include <string>

namespace conformance {

class StandInGpus {
 public:
  // While it lives, brokers started here find what `text` says (tests/standin/nvml/state.h).
  explicit StandInGpus(const std::string& text);
  StandInGpus(const StandInGpus&) = delete;
  StandInGpus& operator=(const StandInGpus&) = delete;
  ~StandInGpus();

 private:
  std::string folder_;
};

}  // namespace conformance
