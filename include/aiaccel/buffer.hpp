// SPDX-License-Identifier: MIT
//
// Memory that engines reach: allocated, the caller's own, pinned, or had from another context or
// another driver, imported. <uapi/aiaccel.h> says what each call promises; what may limit memory is
// told by quota_alloc() and quota_pin() of Device. Lengths are in bytes.
//
// Errors: Error with the errno of the call; refused_by() is the limit where one refused. Any member
// that calls the arbiter throws ECONNRESET once the broker has ended, and EPERM in a forked child.
//
// Threads: const members may be called from several threads at once.
#ifndef AIACCEL_BUFFER_HPP
#define AIACCEL_BUFFER_HPP

#include <aiaccel.h>
#include <aiaccel/descriptor.hpp>
#include <aiaccel/engine.hpp>
#include <aiaccel/error.hpp>
#include <aiaccel/memory.hpp>

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace aiaccel {

inline Placement near(const Engine& engine) {
  return {AIACCEL_PLACE_NEAR, 0, engine.id()};
}

struct PinOptions {
  bool cached = false;  // the range is pinned again and again: AIACCEL_PIN_CACHED
};

// What is known of a buffer now: the members of struct aiaccel_buffer_info, and what follows.
struct BufferInfo : aiaccel_buffer_info {
  std::vector<std::uint64_t> bytes_by_node;  // empty where not known; its .node_bytes is not used

  // Bytes that lie side by side, on the average; 0 where not known.
  std::uint64_t coalescing() const noexcept { return nr_runs ? charged_bytes / nr_runs : 0; }
  bool foreign() const noexcept { return state & AIACCEL_BUFFER_FOREIGN; }
  bool revoked() const noexcept { return state & AIACCEL_BUFFER_REVOKED; }
  bool stale() const noexcept { return state & AIACCEL_BUFFER_STALE; }
};

// What is left: the members of struct aiaccel_quota, and what follows.
struct Quota : aiaccel_quota {
  // Whether so many bytes could be had when it was asked. refused_by is the limit else.
  bool fits() const noexcept { return refused_by == AIACCEL_REFUSED_NOT; }
};

// Keeps its context open. When it goes, its id and its mapping do: no span of it may be used any
// more. The pages themselves stay while a descriptor, another context or a device has them. What
// was moved from can be assigned to or destroyed, and nothing else.
class Buffer {
 public:
  Buffer(Buffer&& other) noexcept
      : memory_(std::move(other.memory_)),
        handle_(std::move(other.handle_)),
        id_(other.id_),
        bytes_(std::exchange(other.bytes_, {})) {}
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer now(std::move(other));  // what this was goes with it, at once
    std::swap(memory_, now.memory_);
    std::swap(handle_, now.handle_);
    std::swap(id_, now.id_);
    std::swap(bytes_, now.bytes_);
    return *this;
  }
  // The memory goes after the id: what unlocks pages must find them where they were.
  ~Buffer() {
    if (handle_) destroy(handle_.get(), id_);
  }

  std::uint32_t id() const noexcept { return id_; }

  // The memory itself, as many bytes as were asked for. Of a buffer pinned from const memory: to be
  // read only. Empty where it was imported and is not allocated by an aiaccel: another driver's
  // dma-buf is mapped by its descriptor, pinned memory only by who pinned it.
  std::span<std::byte> bytes() const noexcept { return bytes_; }
  std::size_t size() const noexcept { return bytes_.size(); }  // of those; else see info().length

  // bytes() as elements, from `offset` on: `count` of them, or all that fit. Throws Error(EINVAL)
  // where `offset` is not aligned for them, or so many are not there.
  template <typename T>
  requires(std::is_trivially_copyable_v<T>) std::span<T> as(
      std::size_t offset = 0, std::size_t count = std::numeric_limits<std::size_t>::max())
  const {
    if (offset > bytes_.size()) throw Error(EINVAL, "beyond the end of a buffer");
    std::byte* const start = bytes_.data() + offset;
    const std::size_t most = (bytes_.size() - offset) / sizeof(T);
    if (reinterpret_cast<std::uintptr_t>(start) % alignof(T))
      throw Error(EINVAL, "not aligned for elements of this type");
    if (count == std::numeric_limits<std::size_t>::max()) count = most;
    if (count > most) throw Error(EINVAL, "a buffer has not so many elements");
    return {reinterpret_cast<T*>(start), count};
  }

  // A moment's; others that have the buffer change it.
  BufferInfo info() const {
    std::vector<std::uint64_t> nodes(16);
    for (;;) {
      BufferInfo info{};
      info.size = sizeof(aiaccel_buffer_info);
      info.id = id_;
      info.node_bytes = reinterpret_cast<std::uintptr_t>(nodes.data());
      info.nr_nodes = static_cast<std::uint32_t>(nodes.size());
      aiaccel_buffer_info& arg = info;
      detail::check(aiaccel_call(handle_.get(), AIACCEL_IOC_BUFFER_INFO, &arg),
                    "cannot describe a buffer");
      info.node_bytes = 0;
      const bool all = info.nr_nodes <= nodes.size();
      nodes.resize(info.nr_nodes);
      if (!all) continue;
      info.bytes_by_node = std::move(nodes);
      return info;
    }
  }

  // A descriptor of it, to pass on: to another process, which imports it, or, where the transport
  // has AIACCEL_CAP_IMPORT, to another driver as the dma-buf that it then is. Whoever has it can
  // use the memory, and keeps it. Throws Error: ENODEV where it was revoked, EOPNOTSUPP where this
  // kind of buffer cannot be passed on (pinned memory on the broker and embedded transports),
  // EMFILE.
  Descriptor export_fd() const {
    aiaccel_export arg{};
    arg.size = sizeof arg;
    arg.id = id_;
    detail::check(aiaccel_call(handle_.get(), AIACCEL_IOC_EXPORT, &arg), "cannot export a buffer");
    return Descriptor(arg.fd);
  }

  // Takes it back from all who have it. From then on touching bytes() of an allocated one is
  // SIGBUS, here as elsewhere; of a pinned one they stay the caller's. Returns how many devices
  // still reach it: until they let go, the pages stay, and stay charged. Once more does nothing.
  // Throws Error: EPERM where it was imported.
  std::uint32_t revoke() const {
    aiaccel_buffer_revoke arg{};
    arg.size = sizeof arg;
    arg.id = id_;
    detail::check(aiaccel_call(handle_.get(), AIACCEL_IOC_BUFFER_REVOKE, &arg),
                  "cannot revoke a buffer");
    return arg.importers;
  }

 private:
  friend class Device;

  Buffer(std::shared_ptr<aiaccel_device> handle, std::uint32_t id) noexcept
      : handle_(std::move(handle)), id_(id) {}

  // Maps what the arbiter made.
  void map(std::uint64_t offset, std::size_t length) {
    void* address = nullptr;
    detail::check(aiaccel_map(handle_.get(), offset, length, PROT_READ | PROT_WRITE, &address),
                  "cannot map a buffer");
    memory_ = Memory(address, length);
    bytes_ = memory_.bytes();
  }

  static Buffer alloc(std::shared_ptr<aiaccel_device> handle, std::uint64_t length,
                      Placement placement) {
    aiaccel_alloc alloc{};
    alloc.size = sizeof alloc;
    alloc.length = length;
    alloc.placement = placement.policy;
    alloc.node = placement.node;
    alloc.engine = placement.engine;
    const int result = aiaccel_call(handle.get(), AIACCEL_IOC_ALLOC, &alloc);
    detail::check(result, "cannot allocate a buffer", alloc.refused_by);

    Buffer buffer(std::move(handle), alloc.id);
    buffer.map(alloc.mmap_offset, length);
    return buffer;
  }

  static Buffer pin(std::shared_ptr<aiaccel_device> handle, const std::byte* data,
                    std::size_t length, bool writable, const PinOptions& options) {
    aiaccel_pin pin{};
    pin.size = sizeof pin;
    pin.flags = (writable ? AIACCEL_PIN_WRITE : 0) | (options.cached ? AIACCEL_PIN_CACHED : 0);
    pin.addr = reinterpret_cast<std::uintptr_t>(data);
    pin.length = length;
    const int result = aiaccel_call(handle.get(), AIACCEL_IOC_PIN, &pin);
    detail::check(result, "cannot pin memory", pin.refused_by);

    Buffer buffer(std::move(handle), pin.id);
    buffer.bytes_ = {const_cast<std::byte*>(data), length};
    return buffer;
  }

  // The buffer owns the memory.
  static Buffer pin(std::shared_ptr<aiaccel_device> handle, Memory memory) {
    const std::span<std::byte> bytes = memory.bytes();
    Buffer buffer = pin(std::move(handle), bytes.data(), bytes.size(), true, {});
    buffer.memory_ = std::move(memory);
    return buffer;
  }

  static Buffer import(std::shared_ptr<aiaccel_device> handle, int fd) {
    aiaccel_import import{};
    import.size = sizeof import;
    import.fd = fd;
    const int result = aiaccel_call(handle.get(), AIACCEL_IOC_IMPORT, &import);
    detail::check(result, "cannot import a buffer", import.refused_by);
    Buffer buffer(std::move(handle), import.id);
    if (const BufferInfo info = buffer.info(); info.mmap_offset)
      buffer.map(info.mmap_offset, import.length);
    return buffer;
  }

  static void destroy(aiaccel_device* handle, std::uint32_t id) noexcept {
    aiaccel_destroy destroy{};
    destroy.size = sizeof destroy;
    destroy.id = id;
    aiaccel_call(handle, AIACCEL_IOC_DESTROY, &destroy);
  }

  Memory memory_;  // ours to unmap: empty where the caller pinned its own, or nothing is mapped
  std::shared_ptr<aiaccel_device> handle_;
  std::uint32_t id_ = 0;
  std::span<std::byte> bytes_;
};

}  // namespace aiaccel

#endif  // AIACCEL_BUFFER_HPP
