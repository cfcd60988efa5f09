// SPDX-License-Identifier: MIT
//
// The memory of a context's buffers where no module makes it: memfds for ALLOC, locked pages for
// PIN, the memfd of another context for IMPORT. The arbiter has charged a buffer before it is made
// here; the memory itself is the client's from its first page on (its cgroup pays, its cpuset and
// NUMA policy decide), and outlives the arbiter.
//
// Threads: any.
#ifndef AIACCEL_USER_BUFFERS_H
#define AIACCEL_USER_BUFFERS_H

#include <uapi/aiaccel.h>

#include <cstdint>
#include <map>
#include <memory>

#include "broker/fds.h"
#include "host/buffer.h"
#include "mutex.h"

namespace aiaccel {

class Buffers {
 public:
  Buffers() = default;
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;
  ~Buffers();

  // What must be refused before anything is charged: 0 or -errno.
  static int check_alloc(const aiaccel_alloc& alloc);
  static int check_pin(const aiaccel_pin& pin);
  static int check_quota(const aiaccel_quota& quota);

  // What the arbiter does not know: what is left of this process's right to lock memory, and of
  // memory.
  static void complete(aiaccel_quota& quota);

  // Makes the memory of a buffer that was charged. `near_node`: of the engine, for NEAR. Where it
  // fails, nothing is left of it but the charge.
  int add_alloc(aiaccel_alloc& alloc, int near_node) noexcept;
  int add_pin(aiaccel_pin& pin) noexcept;

  // Takes the file of another context's buffer, of `length` bytes, mapped at `offset` from now on.
  // -ENODEV where its memory is gone.
  int add_import(uint32_t id, Fd file, const host::Mark& mark, uint64_t length,
                 uint64_t offset) noexcept;

  void remove(uint32_t id);

  // The mark of a buffer's file, kNoMark where it has none.
  host::Mark mark(uint32_t id) const;

  // Another descriptor of it, or -errno.
  int share(uint32_t id) const;

  // Its file, which lives on with who has this; none where it was pinned or is not there.
  std::shared_ptr<const Fd> file(uint32_t id) const;

  int map(uint64_t offset, uint64_t length, int prot, void** address) const;

  // The node of all pages of the buffer, -1 where it is not known.
  int node(uint32_t id) const;

  // In a forked child: the locks are the parent's, and nobody else is here.
  void forget_pins() UNCHECKED_LOCKS;

 private:
  struct Buffer {
    std::shared_ptr<const Fd> file;  // none: pinned
    int node;
    uint64_t offset;  // of the mapping; the address where pinned
    uint64_t length;
    host::Mark mark = host::kNoMark;
  };

  using Table = std::map<uint32_t, Buffer>;

  static void unlock(const Buffer& buffer);
  static Table::node_type make_entry(uint32_t id);
  void add(Table::node_type entry, Buffer buffer) noexcept;

  mutable Mutex mutex_;
  Table buffers_ GUARDED_BY(mutex_);
};

}  // namespace aiaccel

#endif  // AIACCEL_USER_BUFFERS_H
