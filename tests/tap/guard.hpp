// SPDX-License-Identifier: MIT
//
// What main.cpp puts around each test case: a mark in the kernel's log before it, a time limit on it.
//
// - The mark (`aiaccel-test: SUITE: NAME`) is made in a virtual machine alone, where tests/run sets
//   $AIACCEL_TEST_SUITE. By it tests/run tells which test the kernel complained of, or died of.
// - The limit is $AIACCEL_TEST_LIMIT seconds, or 240. A test case that is not done by then has its result line
//   written and ends the program, without a plan. The clock is a timer of its own, with SIGRTMAX: tests
//   use SIGALRM. Forked children do not inherit it.
//
// For the main thread.
#pragma once

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string>

namespace tap {

// As a warning, for those reach the console, which is what is left of a machine that died. Opened
// each time: the kernel limits how much one opener writes.
inline bool mark_kernel_log(const std::string& name) {
  static const char* const suite = getenv("AIACCEL_TEST_SUITE");
  if (suite == nullptr) return true;
  const std::string line = "<4>aiaccel-test: " + std::string(suite) + ": " + name + "\n";
  const int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
  const bool done = log >= 0 && write(log, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  if (log >= 0) close(log);
  return done;
}

class Limit {
 public:
  // False where there can be no limit.
  bool set_up(int out) {
    const char* wanted = getenv("AIACCEL_TEST_LIMIT");
    seconds_ = wanted == nullptr ? 240 : atoi(wanted);
    out_ = out;
    struct sigaction action = {};
    action.sa_handler = over;
    sigevent event = {};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMAX;
    return seconds_ > 0 && sigaction(SIGRTMAX, &action, nullptr) == 0 &&
           timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
  }

  // `result` is the line that the test case gets if it takes too long, but for the reason.
  void start(const std::string& result) {
    const std::string line = result + ": not done after " + std::to_string(seconds_) + " s\n";
    size_ = std::min(line.size(), sizeof(line_));
    std::copy_n(line.data(), size_, line_);
    set(seconds_);
  }

  void stop() { set(0); }

 private:
  static void over(int) { _exit(write(out_, line_, size_) < 0 ? 74 : 75); }

  void set(int seconds) {
    itimerspec at = {};
    at.it_value.tv_sec = seconds;
    timer_settime(timer_, 0, &at, nullptr);
  }

  // What the signal's handler reads; changes only while the timer is off.
  static inline char line_[512];
  static inline size_t size_;
  static inline int out_;

  int seconds_ = 0;
  timer_t timer_ = {};
};

}  // namespace tap
