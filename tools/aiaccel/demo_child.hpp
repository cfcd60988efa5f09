// SPDX-License-Identifier: MIT
//
// The demo's clients are processes of their own: this program again, in a role. What the two sides
// say to each other:
//
//   parent  its configuration, one line of JSON
//   child   "ready", once everything is loaded
//   parent  when to begin: nanoseconds of CLOCK_MONOTONIC
//   child   its result, one line of JSON, and exits
//
// A child dies with its parent, so that no flood outlives a demo that was interrupted.
//
// Threads: one.
#pragma once

#include <sys/types.h>

#include <aiaccel/queue.hpp>

#include <string>
#include <vector>

#include "common/json.hpp"

namespace tools {

using aiaccel::Clock;

class Child {
 public:
  // `procs`: files that move the process into its cgroups when "0" is written to them.
  Child(std::string role, const Json& config, const std::vector<std::string>& procs = {});
  Child(const Child&) = delete;
  ~Child();  // kills it when it has not ended yet

  pid_t pid() const { return pid_; }
  void wait_ready();
  void start(Clock::time_point begin);
  Json result();
  void kill();

 private:
  std::string end();
  std::string read_line();

  std::string role_;
  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
};

// Starts all of them at once, half a second from now, and returns when that is.
Clock::time_point start_together(const std::vector<Child*>& children);

// The child's side.
Json read_config();
Clock::time_point ready_and_wait();  // says "ready", returns when to begin
void write_result(const Json& result);

}  // namespace tools
