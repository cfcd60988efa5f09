// SPDX-License-Identifier: MIT
//
// The file of an allocated buffer: a memfd, with its mark in its name. The mark stands for the
// buffer when another context imports it: who has the descriptor can read it, nobody else can, and
// an arbiter that is told both by maker and importer knows that they speak of the same file (see
// host/buffer.h).
//
// The file is sealed against growing, so that what is truncated does not come back. It is not
// sealed against shrinking, by which its maker revokes it; so can whoever was given the descriptor.
//
// Threads: any; nothing is kept.
#ifndef AIACCEL_USER_MARKED_FILE_H
#define AIACCEL_USER_MARKED_FILE_H

#include <cstdint>

#include "broker/fds.h"
#include "host/buffer.h"

namespace aiaccel {

// An empty file, not yet sealed. 0 or -errno.
int make_marked_file(Fd* file, host::Mark* mark);
int seal_marked_file(int fd);

// What a caller's descriptor stands for: our own for the same file, and its mark. -EBADF for none,
// -EINVAL for that of another file, -EOPNOTSUPP for another driver's dma-buf.
int take_marked_file(int fd, Fd* file, host::Mark* mark);

// Whether so many bytes are there still; they do not come back.
bool has_bytes(int fd, uint64_t bytes);

}  // namespace aiaccel

#endif  // AIACCEL_USER_MARKED_FILE_H
