// SPDX-License-Identifier: MIT
//
// GPUs for the brokers that a test starts, by the stand-in for NVML (tests/standin).
#pragma once

#include <filesystem>
#include <string>

namespace conformance {

// Where the stand-in lies for a program that lies there, in build/bin or in that of a sanitizer,
// which has no stand-in of its own.
inline std::filesystem::path standin_of(const std::filesystem::path& program) {
  const std::filesystem::path build = program.parent_path().parent_path();
  const std::filesystem::path own = build / "standin";
  return std::filesystem::exists(own) ? own : build.parent_path() / "standin";
}

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
