// SPDX-License-Identifier: MIT
//
// A file descriptor with an owner.
//
// Threads: as any value: one at a time.
#ifndef AIACCEL_DESCRIPTOR_HPP
#define AIACCEL_DESCRIPTOR_HPP

#include <unistd.h>

#include <utility>

namespace aiaccel {

class Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~Descriptor() { reset(); }

  // -1 where there is none.
  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

  // The caller's from now on.
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept {
    const int old = std::exchange(fd_, fd);
    if (old >= 0) ::close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace aiaccel

#endif  // AIACCEL_DESCRIPTOR_HPP
