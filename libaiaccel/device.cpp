// SPDX-License-Identifier: MIT
//
// Opening a device, and reading its ring; see device.h.
#include "device.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <new>

aiaccel_device::~aiaccel_device() {
  // The ring is not inherited: in a forked child its addresses may be anything by now.
  if (!guard.same_process()) return;
  if (ring) munmap(const_cast<aiaccel_ring*>(ring), ring_bytes);
  if (consumed) munmap(consumed, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
}

int aiaccel_device::map_ring() {
  aiaccel_query query{};
  query.size = sizeof query;
  if (int error = transport->call(AIACCEL_IOC_QUERY, &query)) return error;
  ring_bytes = query.ring_bytes;
  void* mapped;
  if (int error = transport->map(AIACCEL_RING_OFFSET, ring_bytes, PROT_READ, &mapped)) return error;
  ring = static_cast<const aiaccel_ring*>(mapped);
  if (!find_parts()) return -EPROTO;
  if (int error =
          transport->map(AIACCEL_CONSUMED_OFFSET, static_cast<size_t>(sysconf(_SC_PAGESIZE)),
                         PROT_READ | PROT_WRITE, &mapped))
    return error;
  consumed = static_cast<uint32_t*>(mapped);
  return 0;
}

// The arbiter may be another process: what its ring says of itself must lie within it.
bool aiaccel_device::find_parts() {
  if (ring_bytes < sizeof *ring) return false;
  const aiaccel_ring head = *ring;
  entries = head.entries;
  const uint64_t events_end = head.events_offset + uint64_t{entries} * sizeof(aiaccel_event);
  const uint64_t yield_end = head.yield_offset + uint64_t{entries} * sizeof(uint32_t);
  if (!entries || (entries & (entries - 1)) || events_end > ring_bytes || yield_end > ring_bytes ||
      head.events_offset % alignof(aiaccel_event) || head.yield_offset % alignof(uint32_t))
    return false;
  auto* bytes = reinterpret_cast<unsigned char*>(const_cast<aiaccel_ring*>(ring));
  events = reinterpret_cast<const aiaccel_event*>(bytes + head.events_offset);
  yield = reinterpret_cast<uint32_t*>(bytes + head.yield_offset);
  return true;
}

bool aiaccel_device::peek_event(aiaccel_event* event) {
  const uint32_t at = *consumed;  // only written here
  if (at == __atomic_load_n(&ring->produced, __ATOMIC_ACQUIRE)) transport->drained();
  // More than fit are none: whoever says so would have us read, and keep, without end.
  const uint32_t unread = __atomic_load_n(&ring->produced, __ATOMIC_ACQUIRE) - at;
  if (unread == 0 || unread > entries) return false;
  *event = events[at % entries];
  return true;
}

void aiaccel_device::take_event() {
  __atomic_store_n(consumed, *consumed + 1, __ATOMIC_RELEASE);
}

uint32_t* aiaccel_device::yield_word(uint32_t slot) const {
  return yield + slot % entries;
}
