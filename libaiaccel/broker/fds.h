// SPDX-License-Identifier: MIT
//
// Passing descriptors over a Unix socket.
#ifndef AIACCEL_BROKER_FDS_H
#define AIACCEL_BROKER_FDS_H

#include <sys/types.h>
#include <aiaccel/descriptor.hpp>

#include <cstddef>
#include <initializer_list>
#include <vector>

namespace aiaccel {

// As it is called in here.
using Fd = Descriptor;

// As send(MSG_NOSIGNAL | flags): bytes sent or -errno.
ssize_t send_bytes(int socket, const void* data, size_t bytes, int flags);

// The same with descriptors along, at least one. It costs more.
ssize_t send_with_fds(int socket, const void* data, size_t bytes, std::initializer_list<int> fds,
                      int flags);

// As recvmsg() for up to 4 descriptors, which are closed on exec: bytes or -errno.
ssize_t receive_with_fds(int socket, void* data, size_t bytes, std::vector<Fd>* fds);

}  // namespace aiaccel

#endif  // AIACCEL_BROKER_FDS_H
