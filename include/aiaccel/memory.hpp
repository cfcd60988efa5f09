// SPDX-License-Identifier: MIT
//
// Memory of the program's own, made ready before it is used: placed on a node, in huge pages, there
// from the start. Device::pin() is then as fast as it can be: what takes long is that pages are
// taken and zeroed, one after the other, when PIN or the program first touches them. That is true
// of what is there for writing. Touched for reading, private memory has the zero page, in whose
// place PIN takes pages of its own.
//
// Nothing here asks an arbiter, nor is charged by one: that is for Device::pin(). Lengths are in
// bytes; what is not a multiple of the page size takes the rest of its last page as well.
//
// Threads: the functions may be called from several threads at once, a Memory belongs to one.
#ifndef AIACCEL_MEMORY_HPP
#define AIACCEL_MEMORY_HPP

#include <uapi/aiaccel.h>

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <utility>

namespace aiaccel {

// Where pages come from; see enum aiaccel_placement. Default: the caller's own node.
struct Placement {
  std::uint32_t policy = AIACCEL_PLACE_LOCAL;
  std::int32_t node = 0;
  std::uint32_t engine = 0;
};

inline Placement prefer_node(int node) {
  return {AIACCEL_PLACE_PREFER, node, 0};
}
inline Placement on_node(int node) {
  return {AIACCEL_PLACE_STRICT, node, 0};
}
inline Placement interleaved() {
  return {AIACCEL_PLACE_INTERLEAVE, 0, 0};
}

struct PrefaultOptions {
  // Asks for huge pages first (MADV_HUGEPAGE); the mapping stays so marked. Where the kernel has
  // none to give, small ones are taken.
  bool huge = true;
  // Threads that work, each on its own part: 0 is one for each CPU that the caller may use, on the
  // node, but no more than the memory is worth.
  unsigned threads = 0;
  // On whose CPUs they run; -1: on all that the caller may use. Nothing: on those of the node that
  // the caller runs on, where memory without a policy of its own then comes from.
  std::optional<int> node{};
  // Ends the work early: what is there by then stays.
  std::stop_token stop{};
  // Called as the work goes on, from the threads that do it but from one at a time: so many bytes
  // are there. It must not throw.
  std::function<void(std::uint64_t)> progress{};
};

// Makes every page that the range touches be there, for writing, or for reading where it is const;
// the bytes stay what they are, also if others write to them meanwhile. Returns when all are there.
// An empty range is none.
//
// Throws Error: EFAULT where the range is not mapped, or not with that access; ENOMEM where memory
// cannot be had; ECANCELED by `stop`; EHWPOISON for a page that is broken. Memory that is short may
// also end in the kernel's out-of-memory killer, as at any first touch.
[[gnu::visibility("default")]] void prefault(std::span<std::byte> bytes,
                                             const PrefaultOptions& options = {});
[[gnu::visibility("default")]] void prefault(std::span<const std::byte> bytes,
                                             const PrefaultOptions& options = {});

// Anonymous memory that this owns, for reading and writing. Zeros when it is made, unmapped when
// this goes; a forked child has a copy of it.
class [[gnu::visibility("default")]] Memory {
 public:
  Memory() noexcept = default;
  // Maps `bytes` and says where pages come from (mbind), takes none yet. Where the kernel does not
  // let it say so (some containers), they come from anywhere, but STRICT throws. From 2 MiB on it
  // begins at a multiple of 2 MiB, so that huge pages fit. Throws Error: EINVAL for no bytes, a
  // policy that is none or a node that the caller may not use, NEAR included, which only a Device
  // can resolve; ENOMEM.
  explicit Memory(std::uint64_t bytes, Placement placement = {});
  // Takes over what mmap() gave, whatever it maps.
  Memory(void* address, std::size_t bytes) noexcept
      : bytes_(static_cast<std::byte*>(address), bytes) {}
  Memory(Memory && other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Memory& operator=(Memory&& other) noexcept {
    Memory now(std::move(other));  // what this was goes with it, at once
    std::swap(bytes_, now.bytes_);
    return *this;
  }
  ~Memory() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
  }

  // Empty where there is none.
  std::span<std::byte> bytes() const noexcept {
    return bytes_;
  }

  // Memory(bytes, placement) and prefault(), by threads on the node where pages come from, on all
  // where they are interleaved. Before anything is taken, Error ENOMEM names the limit where less
  // than `bytes` is free there, or left by the memory cgroup: nobody is to be killed for this. Else
  // throws what those two throw.
  static Memory ready(std::uint64_t bytes, Placement placement = {},
                      const PrefaultOptions& options = {});

 private:
  std::span<std::byte> bytes_;
};

}  // namespace aiaccel

#endif  // AIACCEL_MEMORY_HPP
