// SPDX-License-Identifier: MIT
//
// The plain pool and the deployment behind one interface.

#include "aiaccel/demo_runner.hpp"

#include <condition_variable>
#include <deque>
#include <thread>

#include "backends/cpu_class.hpp"
#include "mutex.h"

namespace tools {
namespace {

using aiaccel::Answer;
using aiaccel::Deployment;
using aiaccel::Tensor;

class Plain : public Runner {
 public:
  explicit Plain(const RunnerConfig& config)
      : model_(aiaccel::Model::open(config.model, config.label)) {
    for (unsigned i = 0; i < config.instances; i++)
      threads_.emplace_back([this, config](std::stop_token stop) {
        if (config.os_tools) {
          aiaccel::CpuClass help = aiaccel::apply_cpu_class(config.priority);
          aiaccel::Lock guard(lock_);
          help_ = help.refused.empty() ? help.applied : "refused: " + help.refused;
        }
        serve(stop);
      });
  }

  ~Plain() override {
    for (std::jthread& thread : threads_) thread.request_stop();
    threads_.clear();
  }

  void submit(std::vector<Tensor> inputs, Deployment::Done done) override {
    {
      aiaccel::Lock guard(lock_);
      waiting_.push_back({std::move(inputs), std::move(done)});
    }
    work_.notify_one();
  }

  std::string os_help() const override {
    aiaccel::Lock guard(lock_);
    return help_;
  }

 private:
  struct Request {
    std::vector<Tensor> inputs;
    Deployment::Done done;
  };

  void serve(std::stop_token stop) {
    for (;;) {
      aiaccel::Lock guard(lock_);
      if (!work_.wait(guard, stop, [&]() REQUIRES(lock_) { return !waiting_.empty(); })) return;
      if (stop.stop_requested()) return;
      Request request = std::move(waiting_.front());
      waiting_.pop_front();
      guard.unlock();
      Answer answer;
      std::exception_ptr error;
      try {
        answer.outputs = model_.run(request.inputs);
      } catch (...) {
        error = std::current_exception();
      }
      request.done(std::move(answer), error);
    }
  }

  const aiaccel::Model model_;
  mutable aiaccel::Mutex lock_;
  std::condition_variable_any work_;
  std::deque<Request> waiting_ GUARDED_BY(lock_);
  std::string help_ GUARDED_BY(lock_);
  std::vector<std::jthread> threads_;
};

class Gated : public Runner {
 public:
  explicit Gated(const RunnerConfig& config)
      : deployment_(aiaccel::Model::open(config.model, config.label), options(config)) {}

  void submit(std::vector<Tensor> inputs, Deployment::Done done) override {
    deployment_.infer_async(std::move(inputs), std::move(done));
  }
  std::string os_help() const override { return deployment_.os_help(); }

 private:
  static aiaccel::DeploymentOptions options(const RunnerConfig& config) {
    aiaccel::DeploymentOptions options;
    options.transport = config.transport;
    options.engine = config.engine;
    options.instances = config.instances;
    options.priority = config.priority;
    return options;
  }

  Deployment deployment_;
};

}  // namespace

Json to_json(const RunnerConfig& config) {
  return {{"model", config.model},
          {"label", config.label},
          {"transport", config.transport},
          {"engine", config.engine},
          {"instances", config.instances},
          {"os_tools", config.os_tools},
          {"class", static_cast<unsigned>(config.priority)}};
}

RunnerConfig runner_config(const Json& json) {
  return {json.at("model"),
          json.at("label"),
          json.at("transport"),
          json.at("engine"),
          json.at("instances"),
          json.at("os_tools"),
          static_cast<aiaccel::Class>(json.at("class").get<unsigned>())};
}

std::unique_ptr<Runner> make_runner(const RunnerConfig& config) {
  if (config.transport.empty()) return std::make_unique<Plain>(config);
  return std::make_unique<Gated>(config);
}

}  // namespace tools
