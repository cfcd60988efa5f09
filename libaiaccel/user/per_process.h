// SPDX-License-Identifier: MIT
//
// What a process has one of. A forked child makes its own: the parent's may have been in the middle
// of a change, its lock taken by a thread that the child does not have.
//
// Nothing is destroyed before the process ends: destructors of other globals may still use it.
//
// Threads: any; a T must look after itself. No lock here, since one that was taken while the
// process forked would stay so in the child.
#ifndef AIACCEL_USER_PER_PROCESS_H
#define AIACCEL_USER_PER_PROCESS_H

#include <atomic>
#include <memory>

#include "user/fork_guard.h"

namespace aiaccel {

template <typename T>
class PerProcess {
 public:
  // The process's own. `make` gives a std::unique_ptr to a new one; of several threads that are
  // the first, each may make one, and all get the same.
  template <typename Make>
  T& get(Make make) {
    Entry* known = entry_.load(std::memory_order_acquire);
    if (known && known->guard.same_process()) return *known->value;
    std::unique_ptr<Entry> fresh(new Entry{ForkGuard(), make()});
    if (entry_.compare_exchange_strong(known, fresh.get(), std::memory_order_acq_rel))
      known = fresh.release();
    return *known->value;
  }

 private:
  struct Entry {
    const ForkGuard guard;
    const std::unique_ptr<T> value;
  };

  std::atomic<Entry*> entry_{nullptr};
};

}  // namespace aiaccel

#endif  // AIACCEL_USER_PER_PROCESS_H
