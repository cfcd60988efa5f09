// SPDX-License-Identifier: MIT
//
// Opens devices on a thread that never takes a scheduling class.
//
// A broker that is not there is started by whoever opens, and has the starter's class, nice value
// and CPUs from then on, for all of its clients. A thread that took those of a class of work, and
// often may not give them back, must not open: it asks this one, which has those of its maker.
//
// Threads: open() any, and any number at once. The destructor waits for those that are under way.
#pragma once

#include <condition_variable>
#include <deque>
#include <future>
#include <string>
#include <thread>

#include <aiaccel/device.hpp>

#include "mutex.h"

namespace aiaccel {

class Opener {
 public:
  explicit Opener(std::string transport);

  // As Device::open().
  Device open();

 private:
  void serve(std::stop_token stop);

  const std::string transport_;
  Mutex lock_;
  std::condition_variable_any wake_;
  std::deque<std::packaged_task<Device()>> asked_ GUARDED_BY(lock_);
  std::jthread thread_;  // last: it uses the others
};

}  // namespace aiaccel
