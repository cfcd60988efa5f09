// SPDX-License-Identifier: MIT
//
// What the tests of buffers share: memory of the test's own, pinned, and buffers mapped.
#pragma once

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "device.hpp"

namespace conformance {

inline const uint64_t kPage = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));

class Mapping {
 public:
  Mapping(void* address, size_t bytes) : address_(address), bytes_(bytes) {
    BOOST_REQUIRE(address != MAP_FAILED);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { munmap(address_, bytes_); }

  unsigned char* bytes() const { return static_cast<unsigned char*>(address_); }
  uintptr_t address() const { return reinterpret_cast<uintptr_t>(address_); }

 private:
  void* address_;
  size_t bytes_;
};

inline Mapping anonymous(size_t bytes, int prot = PROT_READ | PROT_WRITE) {
  return {mmap(nullptr, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), bytes};
}

inline int pin(Device& device, uint64_t addr, uint64_t length, uint32_t flags,
               aiaccel_pin* out = nullptr) {
  aiaccel_pin arg{};
  arg.addr = addr;
  arg.length = length;
  arg.flags = flags;
  const int result = device.call(AIACCEL_IOC_PIN, arg);
  if (out) *out = arg;
  return result;
}

inline void* must_map(Device& device, uint64_t offset, size_t length) {
  void* address = nullptr;
  BOOST_REQUIRE(aiaccel_map(device.handle(), offset, length, PROT_READ | PROT_WRITE, &address) ==
                0);
  return address;
}

inline int map(Device& device, uint64_t offset, size_t length) {
  void* address = nullptr;
  const int result = aiaccel_map(device.handle(), offset, length, PROT_READ, &address);
  if (result == 0) munmap(address, length);
  return result;
}

// In a child that is about to end.
inline bool drop_capability(int capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) < 0) return false;
  data[capability / 32].effective &= ~(1U << (capability % 32));
  return syscall(SYS_capset, &header, data) == 0;
}

}  // namespace conformance
