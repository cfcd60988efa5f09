// SPDX-License-Identifier: MIT
#include "fuzz/world.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <new>

namespace fuzz {

thread_local sigjmp_buf g_back;
thread_local volatile bool g_guarded = false;

namespace {

void on_fault(int) {
  if (!g_guarded) _exit(98);
  g_guarded = false;
  siglongjmp(g_back, 1);
}

}  // namespace

Actor& new_actor(World& world) {
  constexpr uint64_t kSpace = 1 << 30;
  void* at = mmap(nullptr, kSpace, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED || mprotect(at, sizeof(Actor), PROT_READ | PROT_WRITE)) _exit(97);
  return *new (at) Actor{world};
}

void install_guard() {
  struct sigaction action {};
  action.sa_handler = on_fault;
  action.sa_flags = SA_NODEFER;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t hostile_address(Random& random) {
  const uint64_t at = any_window(random);
  switch (random.below(8)) {
    case 0:
      return random.below(2) ? 0 : random.below(kPage);
    case 1:  // a window's end, or the end of a part of it
      return at + random.below(kWindowPages + 1) * kPage - 1 - random.below(64);
    case 2:  // the end of what a process has
      return 0x7ffffffff000 - random.below(3 * kPage) + kPage;
    case 3:
      return 0xffff888000000000 + random.below(1U << 30);
    case 4:
      return random.below(2) ? ~0ULL - random.below(64) : 1ULL << 63;
    case 5:  // not canonical
      return 0x800000000000 + random.below(kPage);
    default:
      return at + random.below(kWindowPages * kPage);
  }
}

void take_events(Actor& actor, int index) {
  Context& context = actor.world.contexts[static_cast<size_t>(index)];
  const uint64_t ring_at = window(kRingWindow + 2 * index);
  const uint64_t word_at = window(kRingWindow + 2 * index + 1);
  guarded([&] {
    const auto* ring = reinterpret_cast<const aiaccel_ring*>(ring_at);
    auto* word = reinterpret_cast<uint32_t*>(word_at);
    uint32_t consumed = __atomic_load_n(word, __ATOMIC_RELAXED);
    const uint32_t produced = __atomic_load_n(&ring->produced, __ATOMIC_ACQUIRE);
    const uint32_t entries = ring->entries;
    if (!entries || produced - consumed > entries) consumed = produced;
    for (; consumed != produced; consumed++) {
      const auto* events = reinterpret_cast<const aiaccel_event*>(ring_at + ring->events_offset);
      const aiaccel_event& event = events[consumed % entries];
      if (event.events & AIACCEL_EVENT_GRANTED)
        context.turns.put(actor.random, event.cookie << 32 | event.generation);
    }
    __atomic_store_n(word, consumed, __ATOMIC_RELEASE);
  });
}

}  // namespace fuzz
