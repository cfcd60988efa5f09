// SPDX-License-Identifier: MIT
//
// The thread that wakes an arbiter; see alarm.h.
#include "host/alarm.h"

#include <pthread.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <thread>

namespace aiaccel::host {
namespace {

// As monotonic_ns() counts.
using Clock = std::chrono::steady_clock;

Clock::time_point at(uint64_t ns) {
  return Clock::time_point(std::chrono::nanoseconds(static_cast<int64_t>(ns)));
}

}  // namespace

void Alarm::set(uint64_t ns) noexcept {
  Lock lock(mutex_);
  at_ns_ = ns;
  if (!running_) start();
  changed_.notify_one();
}

void Alarm::start() {
  // The program's signals are for its own threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread([this] { run(); }).detach();
    running_ = true;
  } catch (const std::exception&) {  // no thread, or no memory for one: the next call tries again
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Alarm::run() {
  Lock lock(mutex_);
  for (;;) {
    const uint64_t now = monotonic_ns();
    if (now >= at_ns_) {
      at_ns_ = AIACCEL_NEVER;
      lock.unlock();
      host_.tick(now);
      lock.lock();
    } else if (at_ns_ == AIACCEL_NEVER) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, at(at_ns_));
    }
  }
}

}  // namespace aiaccel::host
