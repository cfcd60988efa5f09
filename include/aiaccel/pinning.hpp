// SPDX-License-Identifier: MIT
//
// A pin that a thread of the library makes while the program goes on.
//
// What takes long when memory is pinned is that its pages are not there yet. So the thread touches
// them first, step by step (prefault()), which is what bytes_done() counts and where it can be
// cancelled; then one PIN makes one buffer of the whole range, which cannot be cancelled and is
// quick. Not so for const memory that is private and was never written to: touched for reading it
// has the zero page, and PIN takes all its pages after bytes_done() is bytes(). The thread has the
// NUMA policy and the CPUs of the one that began it.
//
// Threads: a Pinning belongs to one at a time, but bytes_done(), done(), fd() and cancel() may be
// called from any. It is no use in a forked child, where it must not be destroyed.
#ifndef AIACCEL_PINNING_HPP
#define AIACCEL_PINNING_HPP

#include <aiaccel/buffer.hpp>
#include <aiaccel/device.hpp>
#include <aiaccel/memory.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>

namespace aiaccel {

struct PinningOptions {
  PinOptions pin{};
  bool huge = false;       // as in PrefaultOptions; no, since the memory is the program's
  unsigned threads = 1;    // that touch memory; 0 as in PrefaultOptions
  std::stop_token stop{};  // as cancel()
};

class [[gnu::visibility("default")]] Pinning {
 public:
  // Begins. The bytes must stay mapped until done(), then as long as the buffer. Throws Error where
  // there can be no thread, or no eventfd, and std::bad_alloc.
  Pinning(Device device, std::span<std::byte> bytes, const PinningOptions& options = {});
  Pinning(Device device, std::span<const std::byte> bytes, const PinningOptions& options = {});
  // What was moved from can be assigned to or destroyed, and nothing else.
  Pinning(Pinning &&) noexcept;
  Pinning& operator=(Pinning&&) noexcept;
  // Cancels, waits until the thread has seen it, and lets the buffer go if it was not got.
  ~Pinning();

  std::uint64_t bytes() const noexcept;       // in whole pages
  std::uint64_t bytes_done() const noexcept;  // of those; all before the last step, the PIN
  bool done() const noexcept;                 // it has ended, well or not
  // Polls readable once it has ended. An eventfd that belongs to this: not to be closed, nor used
  // once this is gone.
  int fd() const noexcept;

  // Asks for it, does not wait. What was touched stays.
  void cancel() noexcept;

  // Waits for the end. Throws Error: what prefault() and Device::pin() throw, ECANCELED where it
  // was cancelled before the PIN, EINVAL the second time.
  Buffer get();

 private:
  struct [[gnu::visibility("hidden")]] State;
  std::unique_ptr<State> state_;
};

inline Pinning Device::pin_async(std::span<std::byte> bytes, const PinningOptions& options) const {
  return Pinning(*this, bytes, options);
}
inline Pinning Device::pin_async(std::span<const std::byte> bytes,
                                 const PinningOptions& options) const {
  return Pinning(*this, bytes, options);
}
inline Pinning Device::pin_async(std::span<std::byte> bytes) const {
  return pin_async(bytes, {});
}
inline Pinning Device::pin_async(std::span<const std::byte> bytes) const {
  return pin_async(bytes, {});
}

}  // namespace aiaccel

#endif  // AIACCEL_PINNING_HPP
