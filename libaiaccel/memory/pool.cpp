// SPDX-License-Identifier: MIT
//
// The pool of aiaccel/pool.hpp.
//
// A slab is in one of three places: in `open` of its class where it has both blocks in use and free
// ones, in `full` where none is free, in `idle` where all are, the latest first. `by_address` knows
// all of them. Moving a slab is a splice, and the list of its free blocks has room for all, so
// giving memory back allocates nothing and cannot fail.
//
// A class is a size of blocks: 5, 6, 7 or 8 times a power of two, so that less than a fifth is lost
// to rounding. kWhole is the class of buffers that are one block.
#include <aiaccel/pool.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cerrno>
#include <limits>
#include <list>
#include <map>
#include <utility>
#include <vector>

#include "host/pages.h"
#include "mutex.h"

namespace aiaccel {
namespace {

constexpr std::uint64_t kLeastSlab = 64 << 10;
constexpr std::uint64_t kMostSlab = 1 << 30;
constexpr std::uint64_t kLeastBlock = 64;
constexpr unsigned kClasses = 128;
constexpr unsigned kWhole = kClasses - 1;

// The least size of a class that holds so many bytes, and the class; `bytes` is not beyond 2^60.
std::uint64_t round_up(std::uint64_t bytes, unsigned* class_) {
  bytes = std::max(bytes, kLeastBlock);
  const unsigned shift = static_cast<unsigned>(std::bit_width(bytes - 1)) - 3;
  const std::uint64_t quarters = ((bytes - 1) >> shift) + 1;  // 5 to 8
  *class_ = shift * 4 + static_cast<unsigned>(quarters - 5);
  return quarters << shift;
}

struct Slab {
  Buffer buffer;
  std::uint64_t bytes;
  std::uint64_t block;
  unsigned class_;
  std::vector<std::uint32_t> free{};  // which blocks; room for all
  std::uint32_t used = 0;

  std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(buffer.bytes().data()); }

  // Cuts it into blocks of a class.
  void cut(std::uint64_t block_bytes, unsigned into) {
    const std::uint64_t count = bytes / block_bytes;
    free.reserve(count);
    free.resize(count);
    // The first is taken first.
    for (std::uint64_t i = 0; i < count; ++i) free[i] = static_cast<std::uint32_t>(count - 1 - i);
    block = block_bytes;
    class_ = into;
  }

  void* take() {
    const std::uint64_t at = free.back();
    free.pop_back();
    ++used;
    return buffer.bytes().data() + at * block;
  }

  void give(std::uintptr_t to) {
    const std::uint64_t at = (to - address()) / block;
    assert(used && at < bytes / block);
    free.push_back(static_cast<std::uint32_t>(at));
    --used;
  }
};

using Slabs = std::list<Slab>;

}  // namespace

struct BufferPool::State {
  State(Device opened, const PoolOptions& wanted) : device(std::move(opened)), options(wanted) {}

  // What is asked for, in terms of the pool.
  struct Want {
    std::uint64_t block;
    std::uint64_t slab;
    unsigned class_;
  };

  Want want(std::size_t bytes, std::size_t alignment) const {
    constexpr std::uint64_t most = std::uint64_t{1} << 60;
    if (bytes > most || alignment > most) throw Error(ENOMEM, "memory of that size");
    Want wanted{};
    wanted.block = round_up(bytes, &wanted.class_);
    // A slab begins with a page, so a block is aligned if its size is.
    while (wanted.block % alignment && wanted.block <= options.slab_bytes / 8)
      wanted.block = round_up(wanted.block + 1, &wanted.class_);
    if (wanted.block <= options.slab_bytes / 8 && alignment <= host::page_size()) {
      wanted.slab = options.slab_bytes;
      return wanted;
    }
    const std::uint64_t slack = alignment > host::page_size() ? alignment : 0;
    unsigned none;
    const std::uint64_t rounded = round_up(bytes + slack, &none);
    return {host::whole_pages(rounded), host::whole_pages(rounded), kWhole};
  }

  // A block of what there is; null where a buffer has to be made.
  void* take(const Want& wanted) REQUIRES(mutex) {
    Slabs& here = open[wanted.class_];
    if (here.empty() && !wake(wanted)) return nullptr;
    Slab& slab = here.front();
    void* const block = slab.take();
    used_bytes += slab.block;
    if (slab.free.empty()) full.splice(full.begin(), here, here.begin());
    return block;
  }

  // Makes one that is idle open: if there is one, one that is cut like this.
  bool wake(const Want& wanted) REQUIRES(mutex) {
    auto found = std::find_if(idle.begin(), idle.end(), [&](const Slab& slab) {
      return slab.bytes == wanted.slab && slab.class_ == wanted.class_;
    });
    if (found == idle.end() && wanted.class_ != kWhole) {
      found = std::find_if(idle.begin(), idle.end(), [&](const Slab& slab) {
        return slab.bytes == wanted.slab && slab.class_ != kWhole;
      });
      if (found != idle.end()) found->cut(wanted.block, wanted.class_);
    }
    if (found == idle.end()) return false;
    free_bytes -= found->bytes;
    Slabs& to = open[wanted.class_];
    to.splice(to.begin(), idle, found);
    return true;
  }

  // The new buffer's first block.
  void* add(Slabs made) REQUIRES(mutex) {
    Slab& slab = made.front();
    by_address.emplace(slab.address(), made.begin());
    held_bytes += slab.bytes;
    Slabs& to = open[slab.class_];
    to.splice(to.begin(), made);
    return take({slab.block, slab.bytes, slab.class_});
  }

  // Null where no slab of ours has this address.
  const Slabs::iterator* find(std::uintptr_t address) const REQUIRES(mutex) {
    auto after = by_address.upper_bound(address);
    if (after == by_address.begin()) return nullptr;
    const Slabs::iterator& slab = std::prev(after)->second;
    return address - slab->address() < slab->bytes ? &slab : nullptr;
  }

  void give(std::uintptr_t address, Slabs& gone) REQUIRES(mutex) {
    const Slabs::iterator* const found = find(address);
    assert(found);
    const Slabs::iterator slab = *found;
    Slabs& here = open[slab->class_];
    if (slab->free.empty()) here.splice(here.begin(), full, slab);
    slab->give(address);
    used_bytes -= slab->block;
    if (slab->used) return;
    idle.splice(idle.begin(), here, slab);
    free_bytes += slab->bytes;
    shrink(options.keep_bytes, gone);
  }

  // Moves what has been idle longest to `gone`, until no more than `keep` is.
  void shrink(std::uint64_t keep, Slabs& gone) REQUIRES(mutex) {
    while (free_bytes > keep) {
      const Slabs::iterator last = std::prev(idle.end());
      free_bytes -= last->bytes;
      held_bytes -= last->bytes;
      by_address.erase(last->address());
      gone.splice(gone.end(), idle, last);
    }
  }

  Slabs make(const Want& wanted) const {
    Buffer buffer = options.pinned ? device.alloc_pinned(wanted.slab, options.placement)
                                   : device.alloc(wanted.slab, options.placement);
    Slabs made;
    made.push_back({std::move(buffer), wanted.slab, wanted.block, wanted.class_});
    made.front().cut(wanted.block, wanted.class_);
    return made;
  }

  const Device device;
  const PoolOptions options;
  mutable Mutex mutex;
  std::array<Slabs, kClasses> open GUARDED_BY(mutex);
  Slabs full GUARDED_BY(mutex);
  Slabs idle GUARDED_BY(mutex);
  std::map<std::uintptr_t, Slabs::iterator> by_address GUARDED_BY(mutex);
  std::uint64_t used_bytes GUARDED_BY(mutex) = 0;
  std::uint64_t free_bytes GUARDED_BY(mutex) = 0;
  std::uint64_t held_bytes GUARDED_BY(mutex) = 0;
};

BufferPool::BufferPool(Device device, const PoolOptions& options)
    : state_(std::make_unique<State>(std::move(device), options)) {
  if (!std::has_single_bit(options.slab_bytes) || options.slab_bytes < kLeastSlab ||
      options.slab_bytes > kMostSlab)
    throw Error(EINVAL, "slabs are powers of two from 64 KiB to 1 GiB");
}

BufferPool::~BufferPool() = default;

void* BufferPool::do_allocate(std::size_t bytes, std::size_t alignment) {
  const State::Want wanted = state_->want(bytes, alignment);
  void* block;
  {
    Lock lock(state_->mutex);
    block = state_->take(wanted);
  }
  if (!block) {
    Slabs made = state_->make(wanted);
    Lock lock(state_->mutex);
    block = state_->add(std::move(made));
  }
  // Only a whole buffer may begin at less than is asked for.
  const auto at = reinterpret_cast<std::uintptr_t>(block);
  return static_cast<std::byte*>(block) + (-at & (alignment - 1));
}

void BufferPool::do_deallocate(void* address, std::size_t, std::size_t) {
  Slabs gone;  // destroyed without the lock
  Lock lock(state_->mutex);
  state_->give(reinterpret_cast<std::uintptr_t>(address), gone);
}

Location BufferPool::locate(const void* address) const {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  Lock lock(state_->mutex);
  const Slabs::iterator* const found = state_->find(at);
  if (!found || !(*found)->used) throw Error(EINVAL, "an address that is not of this pool");
  return {(*found)->buffer.id(), at - (*found)->address()};
}

PoolStats BufferPool::stats() const {
  Lock lock(state_->mutex);
  return {state_->used_bytes, state_->free_bytes, state_->held_bytes, state_->by_address.size()};
}

void BufferPool::trim() {
  Slabs gone;
  Lock lock(state_->mutex);
  state_->shrink(0, gone);
}

const Device& BufferPool::device() const noexcept {
  return state_->device;
}

}  // namespace aiaccel
