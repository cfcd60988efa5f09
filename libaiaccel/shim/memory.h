// SPDX-License-Identifier: MIT
//
// The memory of one CUDA device that this process holds: counted, held under the cap of the
// environment, and reserved with the arbiter, so that all who reserve together get no more than
// there is.
//
// One reservation a device grows and shrinks by chunks, so that few allocations are calls: a
// small part of what this process may have, since what it reserves and does not use others lack. It
// has a context of its own. While no arbiter answers only the cap holds (open), or allocations wait
// (closed).
//
// What the driver takes for itself (its contexts, code, pools it keeps) is not counted.
//
// Threads: any. The lock is held over calls to the arbiter and never over calls to the driver.
#ifndef AIACCEL_SHIM_MEMORY_H
#define AIACCEL_SHIM_MEMORY_H

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "device.h"
#include "mutex.h"
#include "shim/say.h"
#include "shim/settings.h"
#include "user/fork_guard.h"

namespace aiaccel::shim {

class Memory {
 public:
  Memory(const Settings& settings, std::vector<std::string> engines)
      : settings_(settings), engines_(std::move(engines)) {}

  // Counts so many bytes as held; false, and a line for the user, where they are too many.
  bool take(uint64_t bytes);
  void give_back(uint64_t bytes);

  // What is left of the device for this process, given what the driver says.
  void limit(uint64_t* free_bytes, uint64_t* total_bytes);

  // The total alone. Nothing stays open for it, since there may be no gate to let go of it.
  uint64_t total(uint64_t bytes);

  // An arbiter came back: tells it what is held.
  void renew();

  // Closes what is open of an arbiter that leaves.
  void let_go();

 private:
  // Makes the reservation so large; 0 or -errno, and which limit refused.
  int reserve(uint64_t bytes, aiaccel_reserve* answer) REQUIRES(mutex_);
  void tell_of_refusal(uint64_t bytes, uint32_t refused_by) REQUIRES(mutex_);
  uint64_t up_to_chunk(uint64_t bytes) const REQUIRES(mutex_);
  int open() REQUIRES(mutex_);
  void close() REQUIRES(mutex_);
  void find_limit(uint64_t* free_bytes, uint64_t* total_bytes) REQUIRES(mutex_);
  enum class Room { made, refused, not_yet };
  Room make_room(uint64_t wanted, uint64_t bytes) REQUIRES(mutex_);
  bool fail_open() const REQUIRES(mutex_) {
    return settings_.fail_open.value_or(arbiter_fails_open_);
  }

  const Settings settings_;
  const std::vector<std::string> engines_;

  Mutex mutex_;
  std::unique_ptr<aiaccel_device> device_ GUARDED_BY(mutex_);
  uint32_t engine_ GUARDED_BY(mutex_) = 0;
  bool has_bytes_ GUARDED_BY(mutex_) = false;  // an engine without any is not reserved from
  uint32_t reservation_ GUARDED_BY(mutex_) = 0;
  bool arbiter_fails_open_ GUARDED_BY(mutex_) = true;
  uint64_t retry_ns_ GUARDED_BY(mutex_) = 0;
  uint64_t used_ GUARDED_BY(mutex_) = 0;
  uint64_t reserved_ GUARDED_BY(mutex_) = 0;
  uint64_t chunk_ GUARDED_BY(mutex_) = uint64_t{2} << 20;  // until one was made
  Topic refused_;
  Topic missing_;
};

// Bytes that are held as long as this is.
class Charge {
 public:
  // Nothing where they are too many.
  static std::shared_ptr<Charge> take(Memory& memory, uint64_t bytes);
  Charge(Memory& memory, uint64_t bytes) : memory_(memory), bytes_(bytes) {}
  ~Charge();
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

 private:
  Memory& memory_;
  const uint64_t bytes_;
  const ForkGuard guard_;
};

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_MEMORY_H
