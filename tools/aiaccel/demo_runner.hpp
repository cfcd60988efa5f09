// SPDX-License-Identifier: MIT
//
// Two ways to run inferences that the demo compares: as a program without aiaccel does, on a pool
// of threads of its own, and by a Deployment, whose turns the arbiter gives out. Both have the same
// number of threads and call back on them.
//
// Threads: submit() from any; destroyed by one, after which nothing calls back.
#pragma once

#include <aiaccel/deployment.hpp>

#include <memory>
#include <string>
#include <vector>

#include "common/json.hpp"

namespace tools {

class Runner {
 public:
  virtual ~Runner() = default;
  virtual void submit(std::vector<aiaccel::Tensor> inputs, aiaccel::Deployment::Done done) = 0;
  // What the operating system does for its threads; see Deployment::os_help().
  virtual std::string os_help() const = 0;
};

// What a client is told: which way, and as what.
struct RunnerConfig {
  std::string model;  // the file
  std::string label;
  std::string transport;  // "" for a plain pool of threads
  std::string engine = "cpu0";
  unsigned instances = 1;
  bool os_tools = false;  // of a plain pool; a deployment always takes them
  aiaccel::Class priority = aiaccel::Class::normal;
};

Json to_json(const RunnerConfig& config);
RunnerConfig runner_config(const Json& json);

std::unique_ptr<Runner> make_runner(const RunnerConfig& config);

}  // namespace tools
