// SPDX-License-Identifier: MIT
//
// Writers that are killed at each system call that changes something: children that this program
// traces. What they leave is whole, and the next one does the work. One thread at a time.
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>

#include <functional>

#include "lab.hpp"

namespace lab {

using OnCall = std::function<void(pid_t, const __ptrace_syscall_info&)>;

// Runs it in a child that dies before its `when`-th change, and waits for what that left running.
// False once it got to its end.
bool dies_at(int when, const std::function<void()>& body, const OnCall& seen = {});

struct Plan {
  std::function<void(aiaccel::Registry&)> before;
  std::function<void(aiaccel::Registry&)> step;
  // Of a whole repository in which it was done or not, and when it was done again.
  std::function<void(aiaccel::Registry&)> after;
  // Before it is done again, if there is anything to see.
  std::function<void(aiaccel::Registry&)> meanwhile = nullptr;
  // Weights come last, so that they may be lacking until it is done again.
  bool weights_last = false;
};

// At each of its changes, which are more than `least`, on a copy each time.
void kill_everywhere(const Lab& lab, const Plan& plan, int least);

}  // namespace lab
