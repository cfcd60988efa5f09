// SPDX-License-Identifier: MIT
//
// Tells the address space that made an object from a forked child's copy of it, without a system
// call: one word of the process lies in a page that the kernel empties in children
// (MADV_WIPEONFORK). What shares the address space (vfork, threads) counts as the same, as with the
// kernel module.
//
// Threads: any.
#ifndef AIACCEL_USER_FORK_GUARD_H
#define AIACCEL_USER_FORK_GUARD_H

#include <cstdint>

namespace aiaccel {

class ForkGuard {
 public:
  ForkGuard();

  // True where the object was made.
  bool same_process() const noexcept;

 private:
  uint64_t made_in_;
};

}  // namespace aiaccel

#endif  // AIACCEL_USER_FORK_GUARD_H
