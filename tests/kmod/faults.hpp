// SPDX-License-Identifier: MIT
//
// The kernel's fault injection: the Nth possible fault of the calling thread is made to happen, of
// allocations (slab and pages, also those of page tables and of the user's pages) and of copies
// from and to user memory. Stock kernels have none of it.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "account.hpp"

namespace raw {

bool injects_faults();

// One system call that is to be failed at each fault it can meet.
struct Swept {
  std::string name;
  std::set<int> errors;           // that it may fail with
  int least;                      // faults it has at least
  std::function<int()> call;      // nothing but the call: 0 or an errno
  std::function<void()> undo;     // what its success did
  std::function<void()> prepare;  // before each try
  std::function<void(int)> look;  // after each try, at its errno, before it is made again or undone
};

// Makes the call again and again, the Nth time with its Nth fault, until it meets no more. Each
// failure must be with one of the errors and leave nothing behind; the same call must then succeed.
void sweep(const Swept& swept);

// The thread's own; for what sweep() is too simple for.
class Faults {
 public:
  Faults();
  void arm(int nth) const;
  // How many faults were left until the one asked for: 0 when it was met.
  int disarm() const;

 private:
  Fd fd_;
};

inline constexpr int kMostFaults = 5000;

}  // namespace raw

#define NEED_FAULTS() \
  if (!raw::injects_faults()) SKIP("this kernel injects no faults")
