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
  if (int error =
          transport->map(AIACCEL_CONSUMED_OFFSET, static_cast<size_t>(sysconf(_SC_PAGESIZE)),
                         PROT_READ | PROT_WRITE, &mapped))
    return error;
  consumed = static_cast<uint32_t*>(mapped);
  return 0;
}

bool aiaccel_device::peek_event(aiaccel_event* event) {
  const uint32_t at = *consumed;  // only written here
  if (at == __atomic_load_n(&ring->produced, __ATOMIC_ACQUIRE)) {
    transport->drained();
    if (at == __atomic_load_n(&ring->produced, __ATOMIC_ACQUIRE)) return false;
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(ring);
  const auto* events = reinterpret_cast<const aiaccel_event*>(bytes + ring->events_offset);
  *event = events[at % ring->entries];
  return true;
}

void aiaccel_device::take_event() {
  __atomic_store_n(consumed, *consumed + 1, __ATOMIC_RELEASE);
}

uint32_t* aiaccel_device::yield_word(uint32_t slot) const {
  auto* bytes = reinterpret_cast<unsigned char*>(const_cast<aiaccel_ring*>(ring));
  return reinterpret_cast<uint32_t*>(bytes + ring->yield_offset) + slot;
}
