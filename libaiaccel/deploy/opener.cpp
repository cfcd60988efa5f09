// SPDX-License-Identifier: MIT
//
// The thread that opens devices; see opener.hpp.

#include "deploy/opener.hpp"

#include <utility>

#include "backends/cpu_class.hpp"

namespace aiaccel {

Opener::Opener(std::string transport)
    : transport_(std::move(transport)), thread_([this](std::stop_token stop) { serve(stop); }) {}

Device Opener::open() {
  std::packaged_task<Device()> task([this] { return Device::open(transport_); });
  std::future<Device> opened = task.get_future();
  {
    Lock guard(lock_);
    asked_.push_back(std::move(task));
  }
  wake_.notify_one();
  return opened.get();
}

void Opener::serve(std::stop_token stop) {
  block_signals();
  for (;;) {
    Lock guard(lock_);
    if (!wake_.wait(guard, stop, [this]() REQUIRES(lock_) { return !asked_.empty(); })) return;
    std::packaged_task<Device()> task = std::move(asked_.front());
    asked_.pop_front();
    guard.unlock();
    task();
  }
}

}  // namespace aiaccel
