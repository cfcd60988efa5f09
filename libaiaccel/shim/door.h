// SPDX-License-Identifier: MIT
//
// What a launch passes through: one word that says whether a turn is held, how many threads are
// inside a launch now, and how many launches there were. Passing is two additions and four loads,
// without a lock and without a system call.
//
// There are two such words, sides of which one is in use. Who is inside belongs to the side that
// let it in, so that turn() tells who came in before from who comes after, while some always come.
//
// Invariant: who got true from enter() is inside until it calls leave() with the side it was told,
// and while anybody is inside a side what that was opened with (the yield word) stays mapped:
// turn(), then wait until inside_before() is 0.
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
  // Whether one launch may go now. A side that is not in use is shut.
  bool enter(unsigned* side) noexcept {
    *side = side_.load(std::memory_order_relaxed);
    std::atomic<uint64_t>& of_side = words_[*side];
    const uint64_t word = of_side.fetch_add(kInside + kLaunch, std::memory_order_acquire);
    if ((word & kOpen) != 0 && launches(word) < limit_.load(std::memory_order_relaxed) &&
        yield_word_.load(std::memory_order_relaxed)->load(std::memory_order_relaxed) !=
            generation_.load(std::memory_order_relaxed))
      return true;
    of_side.fetch_sub(kInside + kLaunch, std::memory_order_release);
    return false;
  }

  void leave(unsigned side) noexcept { words_[side].fetch_sub(kInside, std::memory_order_release); }

  // Opens it for launches up to the limit, until *yield_word is the generation; with nullptr until
  // close().
  void open(const uint32_t* yield_word, uint32_t generation) noexcept {
    yield_word_.store(
        yield_word ? reinterpret_cast<const std::atomic<uint32_t>*>(yield_word) : &never_,
        std::memory_order_relaxed);
    generation_.store(yield_word ? generation : 1, std::memory_order_relaxed);
    word().fetch_or(kOpen, std::memory_order_release);
  }

  void close() noexcept { word().fetch_and(~kOpen, std::memory_order_acq_rel); }

  // Shut, and whoever comes in from now on is not among inside_before(), which had to be 0.
  void turn() noexcept {
    close();
    side_.store(other(), std::memory_order_relaxed);
  }

  // Launches may go until there were so many.
  void allow_until(uint64_t all) noexcept {
    const uint64_t before = launches(words_[other()].load(std::memory_order_relaxed));
    limit_.store(all > before ? all - before : 0, std::memory_order_relaxed);
  }

  // Whether the turn is wanted back.
  bool yield_wanted() const noexcept {
    return is_open() &&
           yield_word_.load(std::memory_order_relaxed)->load(std::memory_order_relaxed) ==
               generation_.load(std::memory_order_relaxed);
  }

  bool is_open() const noexcept {
    return words_[side_.load(std::memory_order_relaxed)].load(std::memory_order_relaxed) & kOpen;
  }
  uint64_t inside() const noexcept { return inside(words_[0]) + inside(words_[1]); }
  uint64_t inside_before() const noexcept { return inside(words_[other()]); }
  uint64_t launched() const noexcept {
    return launches(words_[0].load(std::memory_order_relaxed)) +
           launches(words_[1].load(std::memory_order_relaxed));
  }

  static constexpr uint64_t kNoLimit = ~uint64_t{0};

 private:
  static constexpr uint64_t kInside = 1;
  static constexpr uint64_t kLaunch = 1 << 16;
  static constexpr uint64_t kOpen = uint64_t{1} << 63;

  static uint64_t launches(uint64_t word) noexcept { return (word & ~kOpen) / kLaunch; }
  static uint64_t inside(const std::atomic<uint64_t>& word) noexcept {
    return word.load(std::memory_order_acquire) % kLaunch;
  }
  unsigned other() const noexcept { return 1 - side_.load(std::memory_order_relaxed); }
  std::atomic<uint64_t>& word() noexcept { return words_[side_.load(std::memory_order_relaxed)]; }

  std::atomic<uint64_t> words_[2]{};
  std::atomic<unsigned> side_{0};
  std::atomic<uint64_t> limit_{0};
  std::atomic<const std::atomic<uint32_t>*> yield_word_{nullptr};
  std::atomic<uint32_t> generation_{0};
  std::atomic<uint32_t> never_{0};  // no generation is 0
};

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_DOOR_H
