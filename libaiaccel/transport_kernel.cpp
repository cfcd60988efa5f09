// SPDX-License-Identifier: MIT
//
// The transport of the kernel module: /dev/aiaccel, one open file for each context. The kernel does
// everything, the check of who calls included.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "transport.h"

namespace aiaccel {
namespace {

class KernelTransport final : public Transport {
 public:
  explicit KernelTransport(int fd) noexcept : fd_(fd) {}
  ~KernelTransport() override { ::close(fd_); }

  const char* name() const noexcept override { return "kernel"; }

  int call(unsigned long request, void* arg) noexcept override {
    return ::ioctl(fd_, request, arg) < 0 ? -errno : 0;
  }

  int map(uint64_t offset, size_t length, int prot, void** address) noexcept override {
    void* mapped = ::mmap(nullptr, length, prot, MAP_SHARED, fd_, static_cast<off_t>(offset));
    if (mapped == MAP_FAILED) return -errno;
    *address = mapped;
    return 0;
  }

  int fd() noexcept override { return fd_; }

 private:
  const int fd_;
};

}  // namespace

int open_kernel(std::unique_ptr<Transport>* transport) noexcept {
  const int fd = ::open("/dev/aiaccel", O_RDWR | O_CLOEXEC);
  if (fd < 0) return -errno;
  transport->reset(new (std::nothrow) KernelTransport(fd));
  if (*transport) return 0;
  ::close(fd);
  return -ENOMEM;
}

}  // namespace aiaccel
