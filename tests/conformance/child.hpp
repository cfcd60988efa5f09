// SPDX-License-Identifier: MIT
//
// Child processes of a test: one that runs a function and is waited for or killed.
#pragma once

#include <csignal>
#include <cstdint>
#include <functional>

#include <sys/types.h>

namespace conformance {

// Runs `body` in a forked child, whose exit status is what it returns. In there, use no Boost
// assertions: return a number that tells. The destructor kills and reaps it.
class Child {
 public:
  explicit Child(const std::function<int(Child&)>& body);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  // In the child: tells the parent a number.
  void tell(uint64_t number);
  // In the child: sleeps until it is killed or the parent calls go_on().
  void sleep();

  // In the parent: the next number told; fails the test when the child has gone.
  uint64_t must_hear();
  void go_on();
  void kill(int signal);
  int wait();  // exit status, or 128 + signal
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int up_[2];
  int down_[2];
};

}  // namespace conformance
