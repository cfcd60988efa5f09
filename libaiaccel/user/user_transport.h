// SPDX-License-Identifier: MIT
//
// What the embedded transport and the broker's client have in common: everything on the caller's
// side of the arbiter. It takes the caller's structs by the rules of the UAPI header, makes the
// memory of buffers, maps the ring, and waits for events; a subclass carries a call to the arbiter.
//
// Waiting is a futex on the ring's `produced`: the arbiter wakes it after writing, any number of
// threads may wait, and a signal ends it as it ends the ioctl.
//
// Threads: as transport.h says.
#ifndef AIACCEL_USER_USER_TRANSPORT_H
#define AIACCEL_USER_USER_TRANSPORT_H

#include <atomic>
#include <memory>

#include "host/call.h"
#include "transport.h"
#include "user/buffers.h"
#include "user/fork_guard.h"

namespace aiaccel {

// Wakes all who wait for events of this ring, in all processes; does not block. `consumed`: the
// page of the consumed word.
void wake_ring(void* ring, const void* consumed) noexcept;

class UserTransport : public Transport {
 public:
  ~UserTransport() override;

  int call(unsigned long request, void* arg) noexcept final;
  int map(uint64_t offset, size_t length, int prot, void** address) noexcept final;
  void drained() noexcept final;

 protected:
  // Maps the ring for our own use; both descriptors stay the subclass's until the object goes.
  int attach(int ring_fd, size_t ring_bytes, int consumed_fd);

  // Carries a call out, but for waiting and for the memory of buffers: 0 or -errno.
  virtual int perform(host::Call& call) noexcept = 0;

  // Makes fd() unreadable until the arbiter tells of events again.
  virtual void quiet() noexcept = 0;

  // False once the arbiter is gone. Asked every `kAskNs` of a wait where can_die().
  virtual bool alive() noexcept { return true; }
  virtual bool can_die() const noexcept { return false; }

  bool same_process() const noexcept { return guard_.same_process(); }

  std::atomic<bool> polled_{false};  // fd() is in use; set after what quiet() needs

 private:
  static constexpr uint64_t kAskNs = 250'000'000;

  int run(host::Call& call);
  int alloc(host::Call& call);
  int pin(host::Call& call);
  int quota(host::Call& call);
  int export_buffer(host::Call& call);
  int import_buffer(host::Call& call);
  int buffer_info(host::Call& call);
  int list(host::Call& call, uint64_t array, uint64_t array_bytes);
  int enter(host::Call& call);
  int wait(uint32_t min_events, uint64_t timeout_ns) noexcept;
  void give_back(uint32_t id) noexcept;
  uint32_t produced() const noexcept;
  uint32_t unread() const noexcept;

  const ForkGuard guard_;
  Buffers buffers_;
  int ring_fd_ = -1;
  int consumed_fd_ = -1;
  size_t ring_bytes_ = 0;
  aiaccel_ring* ring_ = nullptr;
  uint32_t* consumed_ = nullptr;
  std::atomic<uint32_t> drained_at_{0};  // produced() when the ring was last seen empty
};

}  // namespace aiaccel

#endif  // AIACCEL_USER_USER_TRANSPORT_H
