// SPDX-License-Identifier: MIT
//
// Calls an arbiter's tick() when it is time, for who has no loop of its own to do it: a thread that
// starts with the first time to wake at, and sleeps until then. Most arbiters never need one, since
// only a ceiling of engine time, or a turn that somebody waits for, asks for it.
//
// The thread is never ended: the arbiter of a process lives as long as the process. After a fork
// the child has neither.
//
// Threads: any. The lock here comes after the Host's.
#ifndef AIACCEL_HOST_ALARM_H
#define AIACCEL_HOST_ALARM_H

#include <condition_variable>
#include <cstdint>

#include "host/host.h"
#include "mutex.h"

namespace aiaccel::host {

class Alarm {
 public:
  explicit Alarm(Host& host) : host_(host) {}
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  // For Host::wake_at. Where no thread can be had now, the next call tries again.
  void set(uint64_t ns) noexcept;

 private:
  void start() REQUIRES(mutex_);
  void run();

  Host& host_;
  Mutex mutex_;
  std::condition_variable_any changed_;
  uint64_t at_ns_ GUARDED_BY(mutex_) = AIACCEL_NEVER;
  bool running_ GUARDED_BY(mutex_) = false;
};

}  // namespace aiaccel::host

#endif  // AIACCEL_HOST_ALARM_H
