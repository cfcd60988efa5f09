// SPDX-License-Identifier: MIT
//
// What benchmarks of memory share: memory whose pages are known, and the ways in which a program
// gets pages held in place. Objects give back what they hold.
#pragma once

#include <aiaccel.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>

#include "bench/measure.hpp"

namespace bench {

inline constexpr std::size_t kPage = 4096;
inline constexpr std::size_t kMiB = std::size_t{1} << 20;
inline constexpr std::size_t kGiB = std::size_t{1} << 30;
inline constexpr std::size_t kHugePage = 2 * kMiB;

inline std::string size_name(std::size_t bytes) {
  return bytes % kGiB ? std::to_string(bytes / kMiB) + "MiB" : std::to_string(bytes / kGiB) + "GiB";
}

// "6.12": what a call into the kernel costs depends on it, so rows have it in their names.
struct Kernel {
  int major = 0;
  int minor = 0;

  Kernel() {
    utsname name{};
    check(uname(&name) == 0, "uname");
    if (std::sscanf(name.release, "%d.%d", &major, &minor) != 2)
      throw std::runtime_error(std::string("a kernel called ") + name.release);
  }
  std::string name() const { return std::to_string(major) + "." + std::to_string(minor); }
  bool is_before(int a, int b) const { return major != a ? major < a : minor < b; }
};

// Nameless private memory, which begins where a huge page may.
class Memory {
 public:
  // Pages of one size, all there; `huge` ones throw Missing where they are not to be had.
  static Memory resident(std::size_t bytes, bool huge) {
    Memory memory(bytes);
    memory.advise(huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    memory.advise(MADV_POPULATE_WRITE);
    memory.must_be_of(huge);
    return memory;
  }

  // Two at once, page by page in turn: so neither has pages that lie side by side.
  static std::pair<Memory, Memory> scattered(std::size_t bytes, bool huge) {
    std::pair<Memory, Memory> both{Memory(bytes), Memory(bytes)};
    for (const Memory* memory : {&both.first, &both.second})
      memory->advise(huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    for (std::size_t at = 0; at < bytes; at += huge ? kHugePage : kPage)
      both.first.data()[at] = both.second.data()[at] = 1;
    both.first.must_be_of(huge);
    return both;
  }

  explicit Memory(std::size_t bytes) : bytes_(bytes), mapped_bytes_(bytes + kHugePage) {
    void* mapped =
        mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(mapped != MAP_FAILED, "mmap");
    mapped_ = static_cast<char*>(mapped);
  }
  Memory(Memory&& other) noexcept
      : bytes_(other.bytes_), mapped_bytes_(other.mapped_bytes_), mapped_(other.mapped_) {
    other.mapped_ = nullptr;
  }
  Memory& operator=(Memory&&) = delete;
  ~Memory() {
    if (mapped_) munmap(mapped_, mapped_bytes_);
  }

  char* data() const {
    const auto at = reinterpret_cast<std::uintptr_t>(mapped_);
    return mapped_ + (kHugePage - at % kHugePage) % kHugePage;
  }
  std::size_t size() const { return bytes_; }

  void advise(int advice) const { check(madvise(data(), bytes_, advice) == 0, "madvise"); }

 private:
  void must_be_of(bool huge) const {
    const std::size_t found = huge_bytes();
    if (found != (huge ? bytes_ : 0))
      throw Missing(std::to_string(found >> 20) + " of " + std::to_string(bytes_ >> 20) +
                    " MiB are huge pages");
  }

  // Those of the kernel's mapping that ours begins in. It may have been divided by advice.
  std::size_t huge_bytes() const {
    std::ifstream smaps("/proc/self/smaps");
    const auto first = reinterpret_cast<std::uintptr_t>(data());
    bool ours = false;
    std::size_t sum = 0;
    for (std::string line; std::getline(smaps, line);) {
      std::uintptr_t begin = 0, end = 0;
      std::size_t kib = 0;
      if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2)
        ours = begin < first + bytes_ && first < end;
      else if (ours && std::sscanf(line.c_str(), "AnonHugePages: %zu kB", &kib) == 1)
        sum += kib << 10;
    }
    return sum;
  }

  std::size_t bytes_;
  std::size_t mapped_bytes_;
  char* mapped_;
};

// A context of the arbiter.
class Pinner {
 public:
  explicit Pinner(const char* transport) {
    const int error = aiaccel_open(transport, &device_);
    if (error == -ENOENT || error == -ENODEV) throw Missing(std::string("no ") + transport);
    must(error, "open");
  }
  Pinner(const Pinner&) = delete;
  Pinner& operator=(const Pinner&) = delete;
  ~Pinner() { aiaccel_close(device_); }

  aiaccel_device* device() const { return device_; }

  std::uint32_t pin(const void* data, std::size_t bytes, std::uint32_t flags = AIACCEL_PIN_WRITE) {
    aiaccel_pin arg{};
    arg.size = sizeof arg;
    arg.flags = flags;
    arg.addr = reinterpret_cast<std::uintptr_t>(data);
    arg.length = bytes;
    const int error = aiaccel_call(device_, AIACCEL_IOC_PIN, &arg);
    if (error)
      throw std::runtime_error(std::string("PIN: ") + std::strerror(-error) + ", refused by " +
                               aiaccel_refusal_name(arg.refused_by));
    return arg.id;
  }

  void destroy(std::uint32_t id) {
    aiaccel_destroy arg{};
    arg.size = sizeof arg;
    arg.id = id;
    must(aiaccel_call(device_, AIACCEL_IOC_DESTROY, &arg), "DESTROY");
  }

  aiaccel_buffer_info info(std::uint32_t id) {
    aiaccel_buffer_info arg{};
    arg.size = sizeof arg;
    arg.id = id;
    must(aiaccel_call(device_, AIACCEL_IOC_BUFFER_INFO, &arg), "BUFFER_INFO");
    return arg;
  }

  static void must(int error, const char* what) {
    if (error) throw std::runtime_error(std::string(what) + ": " + std::strerror(-error));
  }

 private:
  aiaccel_device* device_ = nullptr;
};

// An io_uring, for the memory that it holds as registered buffers: no more than 1 GiB in one.
class Ring {
 public:
  Ring() {
    io_uring_params params{};
    fd_ = static_cast<int>(syscall(SYS_io_uring_setup, 1, &params));
    check(fd_ >= 0, "io_uring_setup");
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() { close(fd_); }

  void add(const Memory& memory) {
    const iovec buffer{memory.data(), memory.size()};
    check(syscall(SYS_io_uring_register, fd_, IORING_REGISTER_BUFFERS, &buffer, 1) == 0,
          "IORING_REGISTER_BUFFERS");
  }
  void remove() {
    check(syscall(SYS_io_uring_register, fd_, IORING_UNREGISTER_BUFFERS, nullptr, 0) == 0,
          "IORING_UNREGISTER_BUFFERS");
  }

 private:
  int fd_;
};

}  // namespace bench
