// SPDX-License-Identifier: MIT
//
// Memory that two processes may map: a memfd of fixed length, all of it there from the start, and
// our own mapping of it. Its length is sealed, so that whoever else holds the descriptor cannot
// make our mapping fault.
#ifndef AIACCEL_HOST_PAGES_H
#define AIACCEL_HOST_PAGES_H

#include <cstddef>

namespace aiaccel::host {

class Pages {
 public:
  // ours: nobody else can map them writable (F_SEAL_FUTURE_WRITE); shared: everybody can.
  enum class Writers { ours, shared };

  Pages() = default;
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages();

  // 0 or -errno.
  int create(const char* name, size_t bytes, Writers writers);

  void close_fd();

  int fd() const { return fd_; }
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }  // whole pages

 private:
  int fd_ = -1;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

size_t page_size();

// Rounds up to whole pages; the caller knows that it does not wrap.
size_t whole_pages(size_t bytes);

}  // namespace aiaccel::host

#endif  // AIACCEL_HOST_PAGES_H
