// SPDX-License-Identifier: MIT
//
// What a process of the fuzzer has: contexts with their ids, and windows of memory.
//
// Threads share it without a lock, on purpose: a lock would keep the calls from meeting, and a
// child forked while another thread held it would hang. So everything is an atomic word that may be
// stale when it is used. A stale id, address or descriptor is what a hostile caller has anyway.
#pragma once

#include <uapi/aiaccel.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csetjmp>
#include <cstdint>

#include "fuzz/random.hpp"
#include "fuzz/tally.hpp"

namespace fuzz {

inline constexpr uint64_t kPage = 4096;
inline constexpr const char* kDevice = "/dev/aiaccel";

// Some words, 0 where there is none. A new one may displace another: it is forgotten, not
// destroyed.
template <size_t N>
class Pool {
 public:
  void put(Random& random, uint64_t value) { words_[random.below(N)] = value; }
  // 0 when there is none
  uint64_t pick(Random& random) const {
    const uint32_t first = random.below(N);
    for (uint32_t i = 0; i < N; i++)
      if (const uint64_t value = words_[(first + i) % N]) return value;
    return 0;
  }
  // takes one away
  uint64_t take() {
    for (auto& word : words_)
      if (word)
        if (const uint64_t value = word.exchange(0)) return value;
    return 0;
  }
  void forget(uint64_t value) {
    for (auto& word : words_) {
      uint64_t expected = value;
      word.compare_exchange_strong(expected, 0);
    }
  }
  void clear() {
    for (auto& word : words_) word = 0;
  }

 private:
  std::array<std::atomic<uint64_t>, N> words_{};
};

// An open device. The ids outlive its closing now and then, to be stale ones.
struct Context {
  std::atomic<int> fd{-1};
  Pool<32> buffers;
  Pool<8> queues;
  Pool<8> reservations;
  Pool<4> offsets;  // mmap offset | pages, up to a page's worth of them; few, to be fresh
  Pool<32> turns;   // cookie << 32 | generation
  Pool<32> jobs;    // cookie + 1 of those that were taken
};

// Places for mappings, at addresses where the kernel puts nothing of its own accord: what is
// unmapped and replaced here by other threads is never the C library's.
inline constexpr int kWindows = 24;
inline constexpr int kQuiet = 8;  // of them, in which less happens
inline constexpr uint64_t kWindowBase = 0x200000000000;
inline constexpr uint64_t kWindowStride = 4 << 20;
inline constexpr uint64_t kWindowPages = 512;
inline constexpr int kContexts = 4;
inline constexpr int kRingWindow = kWindows;  // two for each context: the ring, the consumed word

constexpr uint64_t window(int index) {
  return kWindowBase + static_cast<uint64_t>(index) * kWindowStride;
}
inline uint64_t any_window(Random& random) {
  return window(static_cast<int>(random.below(kWindows)));
}
// For what changes it: mostly one that is not quiet.
inline uint64_t busy_window(Random& random) {
  const uint32_t first = random.percent(20) ? 0 : kQuiet;
  return window(static_cast<int>(first + random.below(kWindows - first)));
}

// Descriptors that main() opens before anybody is forked; -1 where there is none.
struct Shared {
  Tally* tally = nullptr;
  int mail[2] = {-1, -1};   // a socket pair for descriptors
  int memfd = -1;           // pages that all processes may map
  int direct = -1;          // a file opened with O_DIRECT
  int dma_buf = -1;         // to be imported
  int edu = -1;             // the device of aiaccel_edu.ko,
  uint32_t edu_engine = 0;  // whose engine is among the others
  int cgroups[2] = {-1, -1};
  uint32_t engines[8] = {};
  uint32_t nr_engines = 0;
  uint32_t ring_bytes = 0;
};

struct World {
  const Shared* shared = nullptr;
  std::array<Context, kContexts> contexts;
  Pool<8> engines;                                          // made by this process
  std::array<std::atomic<int>, 4> exports{-1, -1, -1, -1};  // dma-bufs, which another may close
  std::atomic<bool> stop{false};
};

// A thread: its random numbers of this step, and room for structs and arrays. Nothing lies behind
// it (new_actor): a count that was spoiled must not make the kernel write over the C library's
// data.
struct Actor {
  World& world;
  Random random{0};
  alignas(64) uint8_t argument[8192] = {};
  alignas(4096) uint8_t scratch[16384] = {};

  Tally& tally() const { return *world.shared->tally; }
  Context& context() { return world.contexts[random.below(kContexts)]; }
  // Takes over the descriptor.
  void keep_export(int fd) {
    const int old = world.exports[random.below(std::size(world.exports))].exchange(fd);
    if (old >= 0) close(old);
  }
  int pick_export() { return world.exports[random.below(std::size(world.exports))]; }
  // One that was here from the start, or one of the process's own.
  uint32_t engine() {
    const auto made = static_cast<uint32_t>(random.percent(40) ? world.engines.pick(random) : 0);
    if (made) return made;
    const uint32_t nr = world.shared->nr_engines;
    return nr ? world.shared->engines[random.below(nr)] : 1;
  }
};

// Never freed: it goes with the process.
Actor& new_actor(World& world);

// Runs `body`, which touches memory that may not be there; false when it was not. Must not own
// anything: it is left by a jump.
extern thread_local sigjmp_buf g_back;
extern thread_local volatile bool g_guarded;
void install_guard();

template <typename Body>
bool guarded(Body body) {
  if (sigsetjmp(g_back, 1)) return false;
  g_guarded = true;
  body();
  g_guarded = false;
  return true;
}

uint64_t now_ns();
// Somewhere in a window, or where nothing good can be.
uint64_t hostile_address(Random& random);
// Takes the events that are in the ring of a context, and says so in its consumed word.
void take_events(Actor& actor, int context);

}  // namespace fuzz
