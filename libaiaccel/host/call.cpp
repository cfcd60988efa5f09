// SPDX-License-Identifier: MIT
//
// The table of calls and the size rules of the UAPI header. No state.
#include "host/call.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace aiaccel::host {
namespace {

// `first_size`: where the struct grew since.
template <typename T>
constexpr Row row(unsigned long request, uint32_t refused_at = 0, uint32_t first_size = sizeof(T)) {
  return {request, sizeof(T), first_size, refused_at};
}

constexpr Row kRows[] = {
    row<aiaccel_query>(AIACCEL_IOC_QUERY),
    row<aiaccel_engine_list>(AIACCEL_IOC_ENGINE_LIST),
    row<aiaccel_engine_info>(AIACCEL_IOC_ENGINE_INFO),
    row<aiaccel_stats>(AIACCEL_IOC_STATS),
    row<aiaccel_destroy>(AIACCEL_IOC_DESTROY),
    row<aiaccel_alloc>(AIACCEL_IOC_ALLOC, offsetof(aiaccel_alloc, refused_by)),
    row<aiaccel_pin>(AIACCEL_IOC_PIN, offsetof(aiaccel_pin, refused_by)),
    row<aiaccel_buffer_info>(AIACCEL_IOC_BUFFER_INFO, 0, offsetof(aiaccel_buffer_info, tenant)),
    row<aiaccel_reserve>(AIACCEL_IOC_RESERVE, offsetof(aiaccel_reserve, refused_by)),
    row<aiaccel_import>(AIACCEL_IOC_IMPORT, offsetof(aiaccel_import, refused_by)),
    row<aiaccel_quota>(AIACCEL_IOC_QUOTA),
    row<aiaccel_export>(AIACCEL_IOC_EXPORT),
    row<aiaccel_buffer_revoke>(AIACCEL_IOC_BUFFER_REVOKE),
    row<aiaccel_engine_register>(AIACCEL_IOC_ENGINE_REGISTER),
    row<aiaccel_engine_unregister>(AIACCEL_IOC_ENGINE_UNREGISTER),
    row<aiaccel_queue_create>(AIACCEL_IOC_QUEUE_CREATE, offsetof(aiaccel_queue_create, refused_by)),
    row<aiaccel_enter>(AIACCEL_IOC_ENTER),
    row<aiaccel_policy>(AIACCEL_IOC_POLICY),
    row<aiaccel_control>(AIACCEL_IOC_CONTROL),
    row<aiaccel_revoke>(AIACCEL_IOC_REVOKE),
};

}  // namespace

const Row* find_row(unsigned long request) {
  const Row* found = std::find_if(std::begin(kRows), std::end(kRows),
                                  [=](const Row& row) { return row.request == request; });
  return found == std::end(kRows) ? nullptr : found;
}

int take_arg(const Row& row, const void* user, Call* call) {
  if (!user) return -EFAULT;
  const auto* bytes = static_cast<const std::byte*>(user);
  uint32_t size;
  std::memcpy(&size, bytes, sizeof size);
  if (size < row.min_size) return -EINVAL;
  if (size > kMaxStruct) return -E2BIG;
  if (size > row.size &&
      std::any_of(bytes + row.size, bytes + size, [](std::byte b) { return b != std::byte{0}; }))
    return -E2BIG;
  call->row = &row;
  std::memset(&call->arg, 0, sizeof call->arg);
  std::memcpy(&call->arg, bytes, std::min(size, row.size));
  return 0;
}

void give_arg(const Call& call, int result, void* user) {
  const Row& row = *call.row;
  const uint32_t known = std::min(call.arg.size, row.size);
  const auto* from = reinterpret_cast<const std::byte*>(&call.arg);
  auto* to = static_cast<std::byte*>(user);
  if (result == 0)
    std::memcpy(to, from, known);
  else if (row.refused_at && row.refused_at + sizeof(uint32_t) <= known)
    std::memcpy(to + row.refused_at, from + row.refused_at, sizeof(uint32_t));
}

}  // namespace aiaccel::host
