// SPDX-License-Identifier: MIT
//
// What work runs on. A value: the description is as it was when the Engine was looked up.
#ifndef AIACCEL_ENGINE_HPP
#define AIACCEL_ENGINE_HPP

#include <aiaccel.h>
#include <aiaccel/queue.hpp>
#include <aiaccel/reservation.hpp>

#include <cstdint>
#include <memory>
#include <string_view>

namespace aiaccel {

class Device;

class Engine {
 public:
  std::uint32_t id() const noexcept { return info_.id; }
  std::string_view name() const noexcept { return info_.name; }
  std::uint32_t slots() const noexcept { return info_.slots; }
  const aiaccel_engine_info& info() const noexcept { return info_; }

  // A line to this engine, of the context that the engine was looked up in. Throws Error: EPERM for
  // a class above the tenant's ceiling, EDQUOT for another limit, both with refused_by(); EINVAL
  // for options that do not go together, ENOENT for an `any_of` that is no queue of the Device,
  // EOPNOTSUPP for realtime where turns need not end, ESHUTDOWN or ENODEV when the engine takes no
  // new work.
  Queue queue(const QueueOptions& options = {}) const {
    return Queue(handle_, info_.id, options);
  }

  // Leases so many bytes of the engine's own memory; 0 to grow from. Throws Error: EDQUOT, which
  // names the limit that refused: the engine's memory, or what the tenant may have of it.
  Reservation reserve(std::uint64_t bytes) const { return Reservation(handle_, info_.id, bytes); }

 private:
  friend class Device;
  Engine(std::shared_ptr<aiaccel_device> handle, const aiaccel_engine_info& info)
      : handle_(std::move(handle)), info_(info) {}

  std::shared_ptr<aiaccel_device> handle_;
  aiaccel_engine_info info_;
};

}  // namespace aiaccel

#endif  // AIACCEL_ENGINE_HPP
