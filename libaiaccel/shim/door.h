// SPDX-License-Identifier: MIT
//
// What a launch passes through: one word that says whether a turn is held, how many threads are
// inside a launch now, and how many launches there were. Passing is two additions and three loads,
// without a lock and without a system call.
//
// Invariant: who got true from enter() is inside until it calls leave(), and while anybody is
// inside what the door was opened with (the yield word) stays mapped: close() or open() it with
// another, then wait until inside() is 0.
//
// Threads: enter() and leave() any; the rest belongs to the thread that owns the lease. A Door lies
// in memory that the kernel empties in a forked child, where it therefore is shut.
#ifndef AIACCEL_SHIM_DOOR_H
#define AIACCEL_SHIM_DOOR_H

#include <atomic>
#include <cstdint>

namespace aiaccel::shim {

class Door {
 public:
  // Whether one launch may go now.
  bool enter() noexcept {
    const uint64_t word = word_.fetch_add(kInside + kLaunch, std::memory_order_acquire);
    if ((word & kOpen) != 0 && launches(word) < limit_.load(std::memory_order_relaxed) &&
        yield_word_.load(std::memory_order_relaxed)->load(std::memory_order_relaxed) !=
            generation_.load(std::memory_order_relaxed))
      return true;
    word_.fetch_sub(kInside + kLaunch, std::memory_order_release);
    return false;
  }

  void leave() noexcept { word_.fetch_sub(kInside, std::memory_order_release); }

  // Opens it for launches up to the limit, until *yield_word is the generation; with nullptr until
  // close().
  void open(const uint32_t* yield_word, uint32_t generation) noexcept {
    yield_word_.store(
        yield_word ? reinterpret_cast<const std::atomic<uint32_t>*>(yield_word) : &never_,
        std::memory_order_relaxed);
    generation_.store(yield_word ? generation : 1, std::memory_order_relaxed);
    word_.fetch_or(kOpen, std::memory_order_release);
  }

  void close() noexcept { word_.fetch_and(~kOpen, std::memory_order_acq_rel); }

  // Launches may go until so many more have.
  void allow(uint64_t more) noexcept {
    const uint64_t now = launched();
    limit_.store(more < kNoLimit - now ? now + more : kNoLimit, std::memory_order_relaxed);
  }

  // Whether the turn is wanted back.
  bool yield_wanted() const noexcept {
    return is_open() &&
           yield_word_.load(std::memory_order_relaxed)->load(std::memory_order_relaxed) ==
               generation_.load(std::memory_order_relaxed);
  }

  bool is_open() const noexcept { return word_.load(std::memory_order_relaxed) & kOpen; }
  uint64_t inside() const noexcept { return word_.load(std::memory_order_acquire) % kLaunch; }
  uint64_t launched() const noexcept { return launches(word_.load(std::memory_order_relaxed)); }

  static constexpr uint64_t kNoLimit = ~uint64_t{0};

 private:
  static constexpr uint64_t kInside = 1;
  static constexpr uint64_t kLaunch = 1 << 16;
  static constexpr uint64_t kOpen = uint64_t{1} << 63;

  static uint64_t launches(uint64_t word) noexcept { return (word & ~kOpen) / kLaunch; }

  std::atomic<uint64_t> word_{0};
  std::atomic<uint64_t> limit_{0};
  std::atomic<const std::atomic<uint32_t>*> yield_word_{nullptr};
  std::atomic<uint32_t> generation_{0};
  std::atomic<uint32_t> never_{0};  // no generation is 0
};

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_DOOR_H
