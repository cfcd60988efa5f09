// SPDX-License-Identifier: MIT
//
// A file descriptor with an owner, and passing descriptors over a Unix socket.
#ifndef AIACCEL_BROKER_FDS_H
#define AIACCEL_BROKER_FDS_H

#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <initializer_list>
#include <utility>
#include <vector>

namespace aiaccel {

class Fd {
 public:
  explicit Fd(int fd = -1) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }

  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_;
};

// As send(MSG_NOSIGNAL | flags): bytes sent or -errno.
ssize_t send_bytes(int socket, const void* data, size_t bytes, int flags);

// The same with descriptors along, at least one. It costs more.
ssize_t send_with_fds(int socket, const void* data, size_t bytes, std::initializer_list<int> fds,
                      int flags);

// As recvmsg() for up to 4 descriptors, which are closed on exec: bytes or -errno.
ssize_t receive_with_fds(int socket, void* data, size_t bytes, std::vector<Fd>* fds);

}  // namespace aiaccel

#endif  // AIACCEL_BROKER_FDS_H
