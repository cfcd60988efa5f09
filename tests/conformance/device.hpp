// SPDX-License-Identifier: MIT
//
// What the conformance tests share: which transport they run on, a context with the calls of the
// UAPI header as short functions, and time-outs that only a hang can reach.
//
// Functions that return int give what aiaccel_call() gave. `must_…` fail the test case otherwise.
#pragma once

#include <aiaccel.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tap/tap.hpp"

namespace conformance {

// From `-- --transport=NAME`.
const std::string& transport();
bool on(const std::string& name);

uint64_t now_ns();

// A time that only a hang reaches.
uint64_t late();

struct JobOptions {
  uint32_t width = 1;
  uint64_t deadline_ns = 0;
};

aiaccel_job job(uint64_t cookie, uint32_t queue, const JobOptions& options = {});

// An open context.
class Device {
 public:
  Device();
  explicit Device(aiaccel_device* handle) : handle_(handle) {}
  Device(Device&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ~Device() { aiaccel_close(handle_); }

  aiaccel_device* handle() const { return handle_; }

  template <typename T>
  int call(unsigned long request, T& arg) {
    arg.size = sizeof arg;
    return aiaccel_call(handle_, request, &arg);
  }

  aiaccel_query query();
  aiaccel_engine_info engine();  // the first
  uint32_t slots() { return engine().slots; }

  aiaccel_queue_create queue_arg();  // normal class on the first engine
  uint32_t must_queue(uint32_t class_ = AIACCEL_CLASS_NORMAL, uint32_t weight = 0,
                      const char* label = "test");
  int destroy(uint32_t id);

  aiaccel_alloc must_alloc(uint64_t length);
  aiaccel_buffer_info must_info(uint32_t id);

  int enter(aiaccel_enter& arg) { return call(AIACCEL_IOC_ENTER, arg); }
  int submit(const aiaccel_job& job);
  int complete(uint64_t cookie, uint32_t generation, uint32_t flags = 0);
  int cancel(uint64_t cookie) { return complete(cookie, 0, AIACCEL_COMPLETE_CANCEL); }

  // Waits for one event and takes it.
  aiaccel_event must_event();
  // The same, with these bits, of this job.
  aiaccel_event must_event(uint64_t cookie, uint32_t bits);
  // All that is in the ring now.
  std::vector<aiaccel_event> events();

  // Submits and waits for the turn; returns its generation.
  uint32_t must_hold(uint64_t cookie, uint32_t queue, uint32_t width);

  aiaccel_stats_engine engine_stats();
  std::vector<aiaccel_stats_queue> queue_stats();
  std::vector<aiaccel_stats_reservation> reservation_stats();
  std::vector<aiaccel_stats_turn> turn_stats();
  std::vector<aiaccel_stats_context> context_stats();
  aiaccel_stats_tenant own_tenant();

 private:
  aiaccel_device* handle_ = nullptr;
};

// Calls `look` until it is true or late() has come; tells which.
template <typename Look>
bool eventually(Look look) {
  const uint64_t until = late();
  for (;;) {
    if (look()) return true;
    if (now_ns() > until) return false;
    const timespec pause{0, 2'000'000};
    nanosleep(&pause, nullptr);
  }
}

}  // namespace conformance
