// SPDX-License-Identifier: MIT
//
// Memory that engines reach: allocated, the caller's own, pinned, or another driver's, imported.
//
// Threads: const members may be called from several threads at once.
#ifndef AIACCEL_BUFFER_HPP
#define AIACCEL_BUFFER_HPP

#include <aiaccel.h>
#include <aiaccel/engine.hpp>
#include <aiaccel/error.hpp>
#include <aiaccel/memory.hpp>

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace aiaccel {

inline Placement near(const Engine& engine) { return {AIACCEL_PLACE_NEAR, 0, engine.id()}; }

class Buffer {
 public:
  Buffer(Buffer&& other) noexcept
      : handle_(std::move(other.handle_)),
        id_(other.id_),
        bytes_(std::exchange(other.bytes_, {})),
        mapped_(std::exchange(other.mapped_, false)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(id_, other.id_);
    std::swap(bytes_, other.bytes_);
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  ~Buffer() {
    if (mapped_) ::munmap(bytes_.data(), bytes_.size());
    if (handle_) destroy(handle_.get(), id_);
  }

  std::uint32_t id() const noexcept { return id_; }

  // The memory itself. Of a buffer pinned from const memory: to be read only. Empty where it was
  // imported: map the dma-buf.
  std::span<std::byte> bytes() const noexcept { return bytes_; }
  std::size_t size() const noexcept { return bytes_.size(); }

  aiaccel_buffer_info info() const {
    aiaccel_buffer_info info{};
    info.size = sizeof info;
    info.id = id_;
    detail::check(aiaccel_call(handle_.get(), AIACCEL_IOC_BUFFER_INFO, &info),
                  "cannot describe a buffer");
    return info;
  }

 private:
  friend class Device;

  Buffer(std::shared_ptr<aiaccel_device> handle, std::uint32_t id) noexcept
      : handle_(std::move(handle)), id_(id) {}

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
    void* address = nullptr;
    detail::check(aiaccel_map(buffer.handle_.get(), alloc.mmap_offset, length,
                              PROT_READ | PROT_WRITE, &address),
                  "cannot map a buffer");
    buffer.bytes_ = {static_cast<std::byte*>(address), length};
    buffer.mapped_ = true;
    return buffer;
  }

  static Buffer pin(std::shared_ptr<aiaccel_device> handle, const std::byte* data,
                    std::size_t length, bool writable) {
    aiaccel_pin pin{};
    pin.size = sizeof pin;
    pin.flags = writable ? AIACCEL_PIN_WRITE : 0;
    pin.addr = reinterpret_cast<std::uintptr_t>(data);
    pin.length = length;
    const int result = aiaccel_call(handle.get(), AIACCEL_IOC_PIN, &pin);
    detail::check(result, "cannot pin memory", pin.refused_by);

    Buffer buffer(std::move(handle), pin.id);
    buffer.bytes_ = {const_cast<std::byte*>(data), length};
    return buffer;
  }

  static Buffer import(std::shared_ptr<aiaccel_device> handle, int fd) {
    aiaccel_import import{};
    import.size = sizeof import;
    import.fd = fd;
    const int result = aiaccel_call(handle.get(), AIACCEL_IOC_IMPORT, &import);
    detail::check(result, "cannot import a dma-buf", import.refused_by);
    return Buffer(std::move(handle), import.id);
  }

  static void destroy(aiaccel_device* handle, std::uint32_t id) noexcept {
    aiaccel_destroy destroy{};
    destroy.size = sizeof destroy;
    destroy.id = id;
    aiaccel_call(handle, AIACCEL_IOC_DESTROY, &destroy);
  }

  std::shared_ptr<aiaccel_device> handle_;
  std::uint32_t id_ = 0;
  std::span<std::byte> bytes_;
  bool mapped_ = false;  // the mapping is ours: an allocated buffer
};

}  // namespace aiaccel

#endif  // AIACCEL_BUFFER_HPP
