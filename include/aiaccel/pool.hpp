// SPDX-License-Identifier: MIT
//
// A pool of memory that engines reach, for whoever takes a std::pmr::memory_resource: containers,
// or std::pmr::polymorphic_allocator by hand. locate() tells the buffer and the offset of an
// address, which is what a driver wants to know.
//
// It is made of slabs: buffers that are each cut into blocks of one size. Sizes are rounded up to
// one of four in each doubling; what is more than an eighth of a slab has a buffer of its own. What
// is wholly free is kept for the next one up to `keep_bytes`, and goes back to the device above
// that, the longest free first.
//
// Why not std::pmr::synchronized_pool_resource over a resource that gives buffers: that gives small
// blocks' memory back only when it ends, and keeps its books in the memory itself, where an engine
// may write by mistake.
//
// It keeps its device's context open; what is allocated goes with the pool at the latest.
//
// allocate() throws Error, which is no std::bad_alloc, as Device::alloc() or alloc_pinned() do.
// Memory is zeros only when its buffer is new. Any alignment goes.
//
// Threads: any, at any time; one lock, which is not held while a buffer is made or goes. The same
// as for any allocator: nobody uses memory after it was given back, engines included.
#ifndef AIACCEL_POOL_HPP
#define AIACCEL_POOL_HPP

#include <aiaccel/device.hpp>
#include <aiaccel/memory.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>

namespace aiaccel {

struct PoolOptions {
  Placement placement{};
  bool pinned = false;                     // of Device::alloc_pinned(); else of Device::alloc()
  std::uint64_t slab_bytes = 2ULL << 20;   // a power of two from 64 KiB to 1 GiB
  std::uint64_t keep_bytes = 64ULL << 20;  // of what is wholly free
};

struct PoolStats {
  std::uint64_t used_bytes = 0;  // in blocks that are allocated, with what rounding adds
  std::uint64_t free_bytes = 0;  // kept in slabs and buffers that are wholly free
  std::uint64_t held_bytes = 0;  // in all of the pool's buffers
  std::uint64_t buffers = 0;
};

// Where an address is.
struct Location {
  std::uint32_t buffer = 0;  // the id, in the pool's context
  std::uint64_t offset = 0;
};

class [[gnu::visibility("default")]] BufferPool final : public std::pmr::memory_resource {
 public:
  // Throws Error(EINVAL) for a slab size that is none. Takes no memory yet.
  explicit BufferPool(Device device, const PoolOptions& options = {});
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  // Gives everything back, also what is still allocated.
  ~BufferPool() override;

  // Of any address in memory that is allocated from here. Throws Error(EINVAL) for one that is in
  // no buffer of the pool, or in one that is wholly free.
  Location locate(const void* address) const;

  PoolStats stats() const;

  // Gives back all that is wholly free.
  void trim();

  const Device& device() const noexcept;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* address, std::size_t bytes, std::size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  struct [[gnu::visibility("hidden")]] State;
  std::unique_ptr<State> state_;
};

}  // namespace aiaccel

#endif  // AIACCEL_POOL_HPP
