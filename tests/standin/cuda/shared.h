// SPDX-License-Identifier: MIT
//
// What all processes that use the stand-in's device share: the folder that $AIACCEL_STANDIN names.
//
//   device   the engine (one kernel at a time among all processes) and how many bytes each took
//   log      a line `TAG START_NS END_NS PID` for each kernel with a tag, CLOCK_MONOTONIC
//
// Without the variable a process has a device of its own, and nothing is logged.
//
// What a process holds is held by locks of its open file, so the kernel gives it back however the
// process ends. Byte 0 of the file is where the next process waits, byte 1 the engine: who has just
// used the engine queues behind who waits already, and two processes take turns kernel by kernel,
// as contexts of a device without a shared server do slice by slice. Byte 2 guards the table of
// bytes; byte 16 + N says that entry N is of a living process.
//
// One object a process; the engine is for one thread, the bytes and the log for any.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace standin {

std::uint64_t now_ns();  // CLOCK_MONOTONIC

// Waits until a moment of CLOCK_MONOTONIC: asleep while it is far, spinning at the end.
void wait_until_ns(std::uint64_t moment);

// What a process took of the device.
struct Share {
  std::int64_t pid;
  std::uint64_t bytes;
};

// All of a folder's living processes, and what the device has. For who is none of them.
std::vector<Share> shares_of(const std::string& folder);
std::uint64_t device_bytes();

class Shared {
 public:
  // False: the folder cannot be used; why is on stderr.
  bool open();
  void close_in_child();  // of a fork, which must not keep the parent's locks alive

  void engine_lock();
  void engine_unlock();

  std::uint64_t capacity() const { return capacity_; }
  std::uint64_t used();  // by all processes
  bool take(std::uint64_t bytes);
  void give(std::uint64_t bytes);

  void log(std::uint64_t tag, std::uint64_t start_ns, std::uint64_t end_ns);

 private:
  bool claim_entry();
  std::uint64_t sum();  // of the living; mutex_ and byte 2 held

  std::uint64_t capacity_ = 0;
  int device_ = -1;
  int log_ = -1;
  int mine_ = 0;
  std::mutex mutex_;  // one thread at a time in the table
  Share* entries_ = nullptr;
};

}  // namespace standin
