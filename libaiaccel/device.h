// SPDX-License-Identifier: MIT
//
// What is behind the C interface's struct aiaccel_device: a transport and the reader's side of its
// ring.
//
// Threads: `transport` and `destroyed` may be used by several threads at once; the rest belongs to
// the one thread that reads the ring.
#ifndef AIACCEL_DEVICE_H
#define AIACCEL_DEVICE_H

#pragma GCC visibility push(default)
#include <aiaccel.h>
#pragma GCC visibility pop

#include <atomic>
#include <deque>
#include <map>
#include <memory>

#include "transport.h"
#include "user/fork_guard.h"

struct aiaccel_device {
  explicit aiaccel_device(std::unique_ptr<aiaccel::Transport> opened)
      : transport(std::move(opened)) {}
  ~aiaccel_device();

  // Maps the ring: 0 or -errno; -EPROTO where it is none.
  int map_ring();

  // Copies the ring's oldest event, which stays there until take_event(); false when it is empty.
  bool peek_event(aiaccel_event* event);
  void take_event();

  uint32_t* yield_word(uint32_t slot) const;

  const std::unique_ptr<aiaccel::Transport> transport;
  const aiaccel::ForkGuard guard;
  std::atomic<uint64_t> destroyed = 0;  // how often a DESTROY was answered

  size_t ring_bytes = 0;
  const aiaccel_ring* ring = nullptr;
  uint32_t entries = 0;  // as it was mapped: what is written there later is not looked at
  const aiaccel_event* events = nullptr;
  uint32_t* yield = nullptr;
  uint32_t* consumed = nullptr;

  std::deque<aiaccel_event> kept;  // met, and not what was looked for
  // Cookies of aiaccel_submit() that were not waited for yet, with `destroyed` before it.
  std::map<uint64_t, uint64_t> pending;
  uint64_t last_cookie = 0;  // of those that the library chose
  // Whose turn aiaccel_acquire() lost before it looked, 0 for none. Its work may still be being
  // stopped.
  uint32_t lost_queue = 0;

 private:
  bool find_parts();
};

#endif  // AIACCEL_DEVICE_H
