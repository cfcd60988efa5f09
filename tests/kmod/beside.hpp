// SPDX-License-Identifier: MIT
//
// A thread beside the test's own, for calls that race each other. Assertions are not for it.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace raw {

// Runs `body` again and again in a thread of its own, once at least before the constructor returns.
class Beside {
 public:
  explicit Beside(std::function<void()> body)
      : thread_([this, body = std::move(body)] {
          body();
          begun_ = true;
          while (!stop_.load(std::memory_order_relaxed)) body();
        }) {
    while (!begun_) std::this_thread::yield();
  }
  ~Beside() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> begun_{false}, stop_{false};
  std::thread thread_;
};

}  // namespace raw
