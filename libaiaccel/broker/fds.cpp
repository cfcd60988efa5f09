// SPDX-License-Identifier: MIT
//
// Passing descriptors over a Unix socket; see fds.h.
#include "broker/fds.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace aiaccel {
namespace {

constexpr size_t kMaxFds = 4;

struct Message {
  Message(const void* data, size_t bytes) : part{const_cast<void*>(data), bytes} {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
  }

  iovec part;
  msghdr header{};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))] = {};
};

}  // namespace

ssize_t send_bytes(int socket, const void* data, size_t bytes, int flags) {
  ssize_t sent;
  do {
    sent = send(socket, data, bytes, MSG_NOSIGNAL | flags);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

ssize_t send_with_fds(int socket, const void* data, size_t bytes, std::initializer_list<int> fds,
                      int flags) {
  Message message(data, bytes);
  message.header.msg_control = message.control;
  message.header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
  cmsghdr* rights = CMSG_FIRSTHDR(&message.header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
  std::memcpy(CMSG_DATA(rights), fds.begin(), fds.size() * sizeof(int));
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message.header, MSG_NOSIGNAL | flags);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

ssize_t receive_with_fds(int socket, void* data, size_t bytes, std::vector<Fd>* fds) {
  Message message(data, bytes);
  message.header.msg_control = message.control;
  message.header.msg_controllen = sizeof message.control;
  fds->reserve(kMaxFds);  // so that nothing fails once descriptors are there
  ssize_t received;
  do {
    received = recvmsg(socket, &message.header, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return -errno;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message.header); part;
       part = CMSG_NXTHDR(&message.header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      fds->emplace_back(fd);
    }
  }
  return received;
}

}  // namespace aiaccel
