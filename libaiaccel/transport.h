// SPDX-License-Identifier: MIT
//
// One way to reach an arbiter: the kernel module, the broker, or this process alone. The interface
// is the kernel's own, down to the structs of <uapi/aiaccel.h>, so that whatever is built on it
// cannot tell the transports apart but by what QUERY says.
//
// Nothing here assumes that the arbiter shares the caller's address space, except map().
//
// Threads: all members may be called from several threads at once. After a fork the child gets
// -EPERM from call() and map(), must not ask for fd(), and may only destroy the object.
#ifndef AIACCEL_TRANSPORT_H
#define AIACCEL_TRANSPORT_H

#include <cstddef>
#include <cstdint>
#include <memory>

namespace aiaccel {

class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  virtual const char* name() const noexcept = 0;

  // As ioctl(): 0 or -errno; the struct is written back as the UAPI header says.
  virtual int call(unsigned long request, void* arg) noexcept = 0;

  // As mmap(MAP_SHARED); the mapping is given back with munmap() and outlives this object.
  virtual int map(uint64_t offset, size_t length, int prot, void** address) noexcept = 0;

  // Polls readable while events are unread; -errno where there is none to be had.
  virtual int fd() noexcept = 0;

  // The caller found the ring empty. Where the arbiter cannot see the ring being read (all but the
  // kernel's), fd() stays readable until this or an ENTER.
  virtual void drained() noexcept {}
};

// 0 or -errno: -ENOENT, -ENODEV, -ECONNREFUSED where no such arbiter answers.
int open_kernel(std::unique_ptr<Transport>* transport) noexcept;
int open_broker(std::unique_ptr<Transport>* transport) noexcept;
int open_embedded(std::unique_ptr<Transport>* transport) noexcept;

// Likewise, but none is started, and one that does not answer a call for so long counts as gone.
struct BrokerPlace;
int open_running_broker(std::unique_ptr<Transport>* transport, const BrokerPlace& place,
                        unsigned patience_ms) noexcept;

// The broker's, on a socket that is connected to one already.
class Descriptor;
int open_broker_on(Descriptor socket, std::unique_ptr<Transport>* transport);

}  // namespace aiaccel

#endif  // AIACCEL_TRANSPORT_H
