// SPDX-License-Identifier: MIT
//
// How much memory can be taken without pushing others out: what ALLOC asks before it takes pages,
// since shared memory that cannot be had ends in the out-of-memory killer, not in an error.
//
// Threads: any; nothing is kept.
#ifndef AIACCEL_USER_HEADROOM_H
#define AIACCEL_USER_HEADROOM_H

#include <cstdint>

namespace aiaccel {

// The whole host, or one node where `node` is not negative. Unknown is as if there were no end.
uint64_t memory_headroom(int node);

// Of the caller's cgroup (v2) and those above it.
uint64_t cgroup_headroom();

}  // namespace aiaccel

#endif  // AIACCEL_USER_HEADROOM_H
