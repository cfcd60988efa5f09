// SPDX-License-Identifier: MIT
//
// A buffer as the arbiter in user space knows it: who made it, what is charged for it, and how many
// ids name it. The memory is the clients'; see user/buffers.h.
//
// A buffer that its maker exports is known by its mark: 128 random bits in the name of its file
// (user/marked_file.h), which nobody can read but who has the descriptor, or had it. So the arbiter
// takes no descriptor of a client: to close one of another file system may wait for that for ever.
// Who tells another's mark without the descriptor gets an id and no memory.
//
// Threads: the Host's mutex guards all of it.
#ifndef AIACCEL_HOST_BUFFER_H
#define AIACCEL_HOST_BUFFER_H

#include <array>
#include <cstdint>

namespace aiaccel::host {

struct Tenant;

using Mark = std::array<uint64_t, 2>;
inline constexpr Mark kNoMark{};

struct Buffer {
  uint32_t kind;
  uint32_t flags;
  uint64_t length;
  uint64_t charged_bytes;  // 0 once an allocated one is revoked: its memory is gone
  Tenant* tenant;          // which pays, and stays for that long
  uint64_t uid;            // of the maker
  uint32_t handles = 0;
  bool revoked = false;
  Mark mark = kNoMark;  // once it is exported
};

}  // namespace aiaccel::host

#endif  // AIACCEL_HOST_BUFFER_H
