// SPDX-License-Identifier: MIT
//
// One call on its way from a caller to a Context: the struct in full length, taken from the caller
// by the size rules of the UAPI header, and what the call writes to the caller's arrays.
//
// The same rules serve both ends: the library takes the caller's struct so, and the broker's server
// takes so what came over the socket. In this process %EFAULT can only be told of a null pointer:
// any other bad address is the caller's own segmentation fault.
#ifndef AIACCEL_HOST_CALL_H
#define AIACCEL_HOST_CALL_H

#include <uapi/aiaccel.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "host/buffer.h"

namespace aiaccel::host {

union Arg {
  uint32_t size;
  aiaccel_query query;
  aiaccel_engine_list engine_list;
  aiaccel_engine_info engine_info;
  aiaccel_stats stats;
  aiaccel_destroy destroy;
  aiaccel_alloc alloc;
  aiaccel_pin pin;
  aiaccel_buffer_info buffer_info;
  aiaccel_reserve reserve;
  aiaccel_import import;
  aiaccel_quota quota;
  aiaccel_export export_;
  aiaccel_buffer_revoke buffer_revoke;
  aiaccel_engine_register engine_register;
  aiaccel_engine_unregister engine_unregister;
  aiaccel_queue_create queue_create;
  aiaccel_enter enter;
  aiaccel_policy policy;
  aiaccel_control control;
  aiaccel_revoke revoke;
};

// A number of the UAPI header and what belongs to it.
struct Row {
  unsigned long request;
  uint32_t size;
  uint32_t min_size;    // of the struct's first version
  uint32_t refused_at;  // offset of refused_by, 0 where the struct has none
};

// nullptr: no such call.
const Row* find_row(unsigned long request);

struct Call {
  const Row* row = nullptr;
  Arg arg{};
  std::vector<std::byte> array;  // ids or records, for the pointer in `arg`
  Mark mark = kNoMark;           // in: for EXPORT and IMPORT, that of the buffer's file
};

// Structs longer than this are refused (E2BIG): nothing comes near.
inline constexpr uint32_t kMaxStruct = 4096;

// The size rules: -EFAULT, -EINVAL, -E2BIG, or 0 with call->arg filled and zero-extended.
int take_arg(const Row& row, const void* user, Call* call);

// Writes back as far as the caller's size goes; on an error nothing but refused_by.
void give_arg(const Call& call, int result, void* user);

}  // namespace aiaccel::host

#endif  // AIACCEL_HOST_CALL_H
