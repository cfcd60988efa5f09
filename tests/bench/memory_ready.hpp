// SPDX-License-Identifier: MIT
//
// From nothing to memory that a device can be let at and the program has touched: taken, placed,
// all there, held in place. Ours is what a program gets from the library; against what programs do
// today: mmap with MAP_POPULATE | MAP_LOCKED; malloc, memset and mlock; and, where the kernel has
// it, a udmabuf over a memfd that is mapped. Giving all of it back is not counted. Natively a
// sample is the second of two that follow each other: where the machine is a virtual one, its host
// may take what is free for some seconds, in large pieces first, and the first one waits for the
// host then.
#pragma once

#include <fcntl.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>

#include <aiaccel.hpp>
#include <cstdlib>
#include <optional>

#include "bench/memory.hpp"

namespace bench::ready {

constexpr int kRounds = 10;
constexpr std::size_t kBytes = kGiB;

// Each way has ready(), which is timed, and done(), which is not.

// Memory of the program's own, there by several threads, and pinned.
class Pinned {
 public:
  explicit Pinned(const aiaccel::Device& device) : device_(device) {}

  void ready() { buffer_.emplace(device_.alloc_pinned(kBytes)); }
  void done() { buffer_.reset(); }

 private:
  const aiaccel::Device& device_;
  std::optional<aiaccel::Buffer> buffer_;
};

// The arbiter's, touched.
class Allocated {
 public:
  explicit Allocated(const aiaccel::Device& device) : device_(device) {}

  void ready() {
    buffer_.emplace(device_.alloc(kBytes));
    volatile std::byte* data = buffer_->bytes().data();
    for (std::size_t at = 0; at < kBytes; at += kPage) data[at] = std::byte{0};
  }
  void done() { buffer_.reset(); }

 private:
  const aiaccel::Device& device_;
  std::optional<aiaccel::Buffer> buffer_;
};

class Populated {
 public:
  void ready() {
    mapped_ = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
    check(mapped_ != MAP_FAILED, "mmap");
  }
  void done() { munmap(mapped_, kBytes); }

 private:
  void* mapped_ = nullptr;
};

class Locked {
 public:
  void ready() {
    data_ = std::malloc(kBytes);
    check(data_, "malloc");
    asm volatile("" : "+r"(data_));  // or the compiler makes a calloc() of it
    std::memset(data_, 0, kBytes);
    check(mlock(data_, kBytes) == 0, "mlock");
  }
  void done() {
    munlock(data_, kBytes);
    std::free(data_);
  }

 private:
  void* data_ = nullptr;
};

class Udmabuf {
 public:
  Udmabuf() {
    std::ofstream limit("/sys/module/udmabuf/parameters/size_limit_mb");
    limit << kBytes / kMiB << std::flush;
    if (!limit) throw Missing("no udmabuf of that size");
    device_ = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
    if (device_ < 0) throw Missing("no /dev/udmabuf");
  }
  Udmabuf(const Udmabuf&) = delete;
  Udmabuf& operator=(const Udmabuf&) = delete;
  ~Udmabuf() { close(device_); }

  void ready() {
    memory_ = memfd_create("aiaccel-bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    check(memory_ >= 0, "memfd_create");
    check(ftruncate(memory_, kBytes) == 0, "ftruncate");
    check(fcntl(memory_, F_ADD_SEALS, F_SEAL_SHRINK) == 0, "F_ADD_SEALS");
    mapped_ = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory_, 0);
    check(mapped_ != MAP_FAILED, "mmap");
    udmabuf_create create{};
    create.memfd = static_cast<std::uint32_t>(memory_);
    create.flags = UDMABUF_FLAGS_CLOEXEC;
    create.size = kBytes;
    buffer_ = ioctl(device_, UDMABUF_CREATE, &create);
    check(buffer_ >= 0, "UDMABUF_CREATE");
  }
  void done() {
    close(buffer_);
    munmap(mapped_, kBytes);
    close(memory_);
  }

 private:
  int device_ = -1, memory_ = -1, buffer_ = -1;
  void* mapped_ = nullptr;
};

// What is measured, with the samples of it.
template <typename Way>
struct Measured {
  Way way;
  std::vector<double> samples_ms;

  void sample(bool twice, bool counts) {
    if (twice) {
      way.ready();
      way.done();
    }
    const double us = mean_us(1, [&] { way.ready(); });
    way.done();
    if (counts) samples_ms.push_back(us / 1000);
  }
};

template <typename Ours, typename Peer>
void print_row(const std::string& name, const Measured<Ours>& ours, const Measured<Peer>& peer,
               const char* peer_name, double times_faster) {
  print({.name = "memory/ready-" + size_name(kBytes) + "-" + name,
         .ours = ours.samples_ms,
         .peer = peer.samples_ms,
         .peer_name = peer_name,
         .unit = "ms",
         .goal = 1 / times_faster});
}

inline void compare_natively() {
  const aiaccel::Device device = aiaccel::Device::open("embedded");
  Measured<Pinned> pinned{Pinned(device), {}};
  Measured<Populated> populated;
  Measured<Locked> locked;
  for (int round = -1; round < kRounds; ++round) {
    pinned.sample(true, round >= 0);
    populated.sample(true, round >= 0);
    locked.sample(true, round >= 0);
  }
  print_row("pinned-populate-embedded", pinned, populated, "MAP_POPULATE | MAP_LOCKED", 1.5);
  print_row("pinned-malloc-embedded", pinned, locked, "malloc + memset + mlock", 2);
}

inline void compare_on_module() {
  const aiaccel::Device device = aiaccel::Device::open("kernel");
  Measured<Pinned> pinned{Pinned(device), {}};
  Measured<Allocated> allocated{Allocated(device), {}};
  Measured<Populated> populated;
  Measured<Locked> locked;
  std::optional<Measured<Udmabuf>> udmabuf;
  part("memory/ready-1GiB, udmabuf", [&] { udmabuf.emplace(); });
  for (int round = -1; round < kRounds; ++round) {
    pinned.sample(false, round >= 0);
    populated.sample(false, round >= 0);
    allocated.sample(false, round >= 0);
    locked.sample(false, round >= 0);
    if (udmabuf) udmabuf->sample(false, round >= 0);
  }
  const auto rows = [&](const std::string& how, const auto& ours) {
    const std::string on = "-" + Kernel().name();
    print_row(how + "-populate" + on, ours, populated, "MAP_POPULATE | MAP_LOCKED", 1.5);
    print_row(how + "-malloc" + on, ours, locked, "malloc + memset + mlock", 2);
    if (udmabuf) print_row(how + "-udmabuf" + on, ours, *udmabuf, "memfd + udmabuf", 1.3);
  };
  rows("pinned", pinned);
  rows("alloc", allocated);
}

}  // namespace bench::ready
