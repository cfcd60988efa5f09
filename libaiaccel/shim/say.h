// SPDX-License-Identifier: MIT
//
// What the shim has to tell: one line on stderr, or in the file that $AIACCEL_SHIM_LOG names,
// beginning with "aiaccel: ". It speaks from the middle of other people's programs, so that it says
// little: the same thing at most once in a while.
//
// Threads: any.
#ifndef AIACCEL_SHIM_SAY_H
#define AIACCEL_SHIM_SAY_H

#include <atomic>
#include <cstdint>

namespace aiaccel::shim {

uint64_t monotonic_ns();

// Reads $AIACCEL_SHIM_LOG, unless something was said already.
void prepare_to_say();

// One thing that may be said, again after ten seconds at the earliest.
class Topic {
 public:
  void say(const char* format, ...) __attribute__((format(printf, 2, 3)));

  // The next time it is said it counts as new.
  void forget() { last_ns_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> last_ns_{0};
};

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_SAY_H
