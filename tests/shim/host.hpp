// SPDX-License-Identifier: MIT
//
// A host of the test's own: a stand-in GPU with a log of what ran on it, an arbiter that knows it as
// an engine (a broker, or the module of the virtual machine), and programs in front of which the shim
// is.
//
// For the main thread.
#pragma once

#include <aiaccel.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/server.hpp"
#include "tap/tap.hpp"

namespace shim_test {

constexpr uint64_t kMs = 1'000'000;

uint64_t now_ns();
uint64_t late();  // a time that only a hang reaches

// What ran on the GPU.
struct Ran {
  uint64_t tag, start_ns, end_ns;
  int pid;
};

// An operator's own context: holds the GPU, or drains it.
class Operator {
 public:
  explicit Operator(const char* engine = "gpu0", const char* transport = "broker");
  ~Operator() { aiaccel_close(device_); }
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  void hold(uint32_t class_ = AIACCEL_CLASS_HIGH);
  void let_go();
  void set_state(uint32_t state);
  void evict(pid_t pid);
  void limit_memory(uint64_t bytes);  // the ceiling of this user's reservations
  aiaccel_stats_engine stats();
  aiaccel_engine_info info();
  void wait_until_free();                               // nobody has a turn
  std::vector<aiaccel_stats_turn> turns_of(pid_t pid);  // ended ones and not, in no order
  uint64_t others();                                    // open contexts, but its own
  uint64_t reserved();

 private:
  aiaccel_device* device_ = nullptr;
  uint32_t engine_ = 0;
  aiaccel_grant grant_{};
};

using Environment = std::map<std::string, std::string>;

// A program under the shim.
class Program {
 public:
  // WAY and steps, as client/main.cpp has them; or a program of tests/standin/programs, cuda-NAME,
  // and its options. `under`: the command before it that puts the shim there; none: LD_PRELOAD does.
  Program(const std::string& way, const std::string& steps, const Environment& more = {},
          const std::vector<std::string>& under = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // The next line that it prints; fails the test when none comes. "" at its end.
  std::string line();
  // Reads until that line; fails the test when it does not come. What came before is kept.
  void expect(const std::string& wanted);
  void go_on();  // from a `wait`
  int end();     // its exit status, negative for a signal
  void kill();
  pid_t pid() const { return pid_; }
  const std::string& output() const { return output_; }  // as far as it was read
  std::string complaints();                              // its stderr so far

 private:
  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;
  std::string unread_;
  std::string output_;
  std::string errors_;  // a file
};

// build/
std::string build_folder();

// Waits until so many jobs do, at the operator's engine; fails the test where they do not come.
void wait_until_waiting(Operator& operator_, uint32_t jobs);

// The stand-in GPU.
class Gpu {
 public:
  Gpu();
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  std::vector<Ran> log() const;
  std::vector<Ran> log_of(pid_t pid) const;

 protected:
  std::string folder_;
};

class Host : public Gpu {
 public:
  // `nvml`: what the broker is told of GPUs; see tests/standin/nvml.
  explicit Host(const std::string& nvml = "");
  conformance::BrokerServer& broker() { return *broker_; }

 private:
  std::unique_ptr<conformance::BrokerServer> broker_;
};

}  // namespace shim_test
