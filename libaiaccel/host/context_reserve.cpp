// SPDX-License-Identifier: MIT
//
// RESERVE: leases of an engine's own memory. All under the Host's mutex.
//
// An engine's bytes are the ceiling of the root tenant's limit there, and each tenant's limit hangs
// below it; so one charge asks both.
#include <cerrno>

#include "host/context.h"

namespace aiaccel::host {

// Queues and reservations share their ceilings. The new one is among them already, so that what
// cannot be remembered is not charged.
int Context::charge_line(uint32_t* refused_by) {
  if (queues_.size() + reservations_.size() > kMaxQueues) {
    *refused_by = AIACCEL_REFUSED_CONTEXT;
    return -EDQUOT;
  }
  if (aia_limit_charge(&tenant_->lines, 1)) {
    *refused_by = AIACCEL_REFUSED_TENANT;
    return -EDQUOT;
  }
  return 0;
}

int Context::reserve(aiaccel_reserve& arg) {
  arg.refused_by = AIACCEL_REFUSED_NOT;
  if (int error = aia_check_reserve(&arg)) return error;
  if (arg.id) {
    const auto found = reservations_.find(arg.id);
    return found == reservations_.end() ? -ENOENT : resize(found->second, arg);
  }
  Engine* engine = host_.find_engine(arg.engine);
  if (!engine) return -ENOENT;
  const uint32_t id = new_id();
  Reservation& made = reservations_[id];
  made = {engine, 0};
  int error = charge_line(&arg.refused_by);
  if (error) {
    reservations_.erase(id);
    return error;
  }
  error = resize(made, arg);
  if (error) {
    end_reservation(made);
    reservations_.erase(id);
    return error;
  }
  arg.id = id;
  return 0;
}

int Context::resize(Reservation& reservation, aiaccel_reserve& arg) {
  aia_limit& limit = tenant_->device_bytes[host_.place(*reservation.engine)];
  if (arg.bytes > reservation.bytes) {
    if (const aia_limit* refused = aia_limit_charge(&limit, arg.bytes - reservation.bytes)) {
      arg.refused_by = refused->parent ? AIACCEL_REFUSED_TENANT : AIACCEL_REFUSED_ENGINE;
      return -EDQUOT;
    }
  } else {
    aia_limit_uncharge(&limit, reservation.bytes - arg.bytes);
  }
  reservation.bytes = arg.bytes;
  aia_limit_room(&limit, &arg.max_bytes, &arg.free_bytes);
  return 0;
}

void Context::end_reservation(const Reservation& reservation) {
  aia_limit_uncharge(&tenant_->device_bytes[host_.place(*reservation.engine)], reservation.bytes);
  aia_limit_uncharge(&tenant_->lines, 1);
}

}  // namespace aiaccel::host
