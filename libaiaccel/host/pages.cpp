// SPDX-License-Identifier: MIT
//
// Memory that two processes may map; see pages.h.
#include "host/pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

namespace aiaccel::host {

size_t page_size() {
  static const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

size_t whole_pages(size_t bytes) {
  return (bytes + page_size() - 1) & ~(page_size() - 1);
}

Pages::~Pages() {
  close_fd();
  if (data_) munmap(data_, bytes_);
}

void Pages::close_fd() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

int Pages::create(const char* name, size_t bytes, Writers writers) {
  bytes_ = whole_pages(bytes);
  fd_ = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd_ < 0) return -errno;
  // Taken now, since a page that cannot be had later is a SIGBUS.
  if (const int error = posix_fallocate(fd_, 0, static_cast<off_t>(bytes_))) return -error;
  void* data = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (data == MAP_FAILED) return -errno;
  data_ = data;
  int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  // After our own mapping was made: that one stays writable.
  if (writers == Writers::ours) seals |= F_SEAL_FUTURE_WRITE;
  return fcntl(fd_, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

}  // namespace aiaccel::host
