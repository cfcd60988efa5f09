// SPDX-License-Identifier: MIT
//
// Files with a mark; see marked_file.h.
#include "user/marked_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <string>

#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC 0x444d4142
#endif

namespace aiaccel {
namespace {

constexpr int kSeals = F_SEAL_GROW | F_SEAL_SEAL;

std::string name_of(const host::Mark& mark) {
  char name[64];
  std::snprintf(name, sizeof name, "aiaccel-%016" PRIx64 "%016" PRIx64, mark[0], mark[1]);
  return name;
}

// A file of ours is linked in /proc as "/memfd:NAME (deleted)".
bool read_mark(int fd, host::Mark* mark) {
  char link[128];
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = readlink(path.c_str(), link, sizeof link - 1);
  if (length < 0) return false;
  link[length] = 0;
  return std::sscanf(link, "/memfd:aiaccel-%16" SCNx64 "%16" SCNx64, &(*mark)[0], &(*mark)[1]) ==
             2 &&
         "/memfd:" + name_of(*mark) + " (deleted)" == link;
}

}  // namespace

int make_marked_file(Fd* file, host::Mark* mark) {
  if (getrandom(mark->data(), sizeof *mark, 0) != sizeof *mark) return -errno;
  *file = Fd(memfd_create(name_of(*mark).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  return *file ? 0 : -errno;
}

int seal_marked_file(int fd) {
  return fcntl(fd, F_ADD_SEALS, kSeals) < 0 ? -errno : 0;
}

int take_marked_file(int fd, Fd* file, host::Mark* mark) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_PATH)) return -EBADF;
  // Of what has no seals, only who asks whether it is a dma-buf waits for its file system.
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0) {
    struct statfs system;
    const bool dma_buf = fstatfs(fd, &system) == 0 && system.f_type == DMA_BUF_MAGIC;
    return dma_buf ? -EOPNOTSUPP : -EINVAL;
  }
  if ((seals & kSeals) != kSeals || !read_mark(fd, mark)) return -EINVAL;
  *file = Fd(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return *file ? 0 : -errno;
}

bool has_bytes(int fd, uint64_t bytes) {
  struct stat info;
  return fstat(fd, &info) == 0 && static_cast<uint64_t>(info.st_size) >= bytes;
}

}  // namespace aiaccel
