// SPDX-License-Identifier: MIT
//
// A part of an engine's own memory, leased: all who reserve are together promised no more than
// there is. The memory itself is had from the engine's runtime.
//
// Threads: a Reservation belongs to one thread at a time.
#ifndef AIACCEL_RESERVATION_HPP
#define AIACCEL_RESERVATION_HPP

#include <aiaccel.h>
#include <aiaccel/error.hpp>

#include <cstdint>
#include <memory>
#include <system_error>
#include <utility>

namespace aiaccel {

// Ends when it goes out of scope.
class Reservation {
 public:
  Reservation(Reservation&& other) noexcept
      : handle_(std::move(other.handle_)),
        id_(other.id_),
        bytes_(std::exchange(other.bytes_, 0)) {}
  Reservation& operator=(Reservation&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(id_, other.id_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Reservation() {
    if (!handle_) return;
    aiaccel_destroy destroy{};
    destroy.size = sizeof destroy;
    destroy.id = id_;
    aiaccel_call(handle_.get(), AIACCEL_IOC_DESTROY, &destroy);
  }

  std::uint32_t id() const noexcept { return id_; }
  std::uint64_t bytes() const noexcept { return bytes_; }

  // Makes it larger or smaller; on an error it is as it was. Throws Error: EDQUOT, with the limit
  // that refused; ENODEV when the engine went away. Smaller always succeeds.
  void resize(std::uint64_t bytes) {
    aiaccel_reserve reserve{};
    const int result = resize(bytes, reserve);
    detail::check(result, "cannot resize a reservation", reserve.refused_by);
  }
  void resize(std::uint64_t bytes, std::error_code& error) noexcept {
    aiaccel_reserve reserve{};
    error.assign(-resize(bytes, reserve), std::generic_category());
  }

 private:
  friend class Engine;

  Reservation(std::shared_ptr<aiaccel_device> handle, std::uint32_t engine, std::uint64_t bytes)
      : handle_(std::move(handle)), bytes_(bytes) {
    aiaccel_reserve reserve{};
    reserve.size = sizeof reserve;
    reserve.engine = engine;
    reserve.bytes = bytes;
    const int result = aiaccel_call(handle_.get(), AIACCEL_IOC_RESERVE, &reserve);
    detail::check(result, "cannot reserve device memory", reserve.refused_by);
    id_ = reserve.id;
  }

  int resize(std::uint64_t bytes, aiaccel_reserve& reserve) noexcept {
    reserve.size = sizeof reserve;
    reserve.id = id_;
    reserve.bytes = bytes;
    const int result = aiaccel_call(handle_.get(), AIACCEL_IOC_RESERVE, &reserve);
    if (result == 0) bytes_ = bytes;
    return result;
  }

  std::shared_ptr<aiaccel_device> handle_;
  std::uint32_t id_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace aiaccel

#endif  // AIACCEL_RESERVATION_HPP
