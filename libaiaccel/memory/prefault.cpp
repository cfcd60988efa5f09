// SPDX-License-Identifier: MIT
//
// Touching memory by several threads; see aiaccel/memory.hpp.
//
// The range is cut into steps, which begin at multiples of the step's size, so that no huge page
// belongs to two. Threads take the next step each, in order, until there is none, one failed, or
// the work is to stop. A thread that cannot be made is one less: the caller does the work where
// there is none.
//
// MADV_POPULATE_WRITE takes a step's pages in one call, and tells what is wrong with them. Where
// the kernel has it not (before 5.14), pages are touched one by one, after a look at what is mapped
// there.
#include <aiaccel/memory.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <aiaccel/error.hpp>
#include <aiaccel/numa.hpp>

#include "backends/cpu_class.hpp"
#include "host/pages.h"
#include "memory/cpus.h"
#include "mutex.h"
#include "user/own_pages.h"

// Of older headers.
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

namespace aiaccel {
namespace {

constexpr std::uintptr_t kStep = 16 << 20;
constexpr unsigned kMostThreads = 32;

int populate(void* start, std::size_t bytes, bool write) {
  for (;;) {
    if (madvise(start, bytes, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) == 0) return 0;
    if (errno != EINTR && errno != EAGAIN) return errno;
  }
}

// Whether this kernel, or what stands for one, knows the call: tried on a page that is good for it.
bool can_populate() {
  static const bool can = [] {
    const std::size_t page = host::page_size();
    void* const good =
        mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (good == MAP_FAILED) return false;
    const int error = populate(good, page, true);
    munmap(good, page);
    return error == 0 || error == ENOMEM;  // memory that is short now is no other kernel
  }();
  return can;
}

// The bytes stay as they are, whoever else writes to them.
int touch(std::byte* start, std::size_t bytes, bool write) {
  const int mapped = check_own_range(reinterpret_cast<std::uintptr_t>(start), bytes, write);
  if (mapped && mapped != -EOPNOTSUPP) return -mapped;
  for (std::size_t at = 0; at < bytes; at += host::page_size()) {
    auto* const byte = reinterpret_cast<unsigned char*>(start + at);
    if (write)
      __atomic_fetch_or(byte, 0, __ATOMIC_RELAXED);
    else
      __atomic_load_n(byte, __ATOMIC_RELAXED);
  }
  return 0;
}

// What errno of madvise() means for a range of a program's own.
int meaning(int error, std::uintptr_t start, std::size_t bytes, bool write) {
  if (error != EINVAL && error != ENOMEM && error != EFAULT) return error;
  const int mapped = check_own_range(start, bytes, write);
  if (mapped == -EFAULT) return EFAULT;
  return error == EFAULT ? EFAULT : mapped == -EOPNOTSUPP && error == EINVAL ? EFAULT : ENOMEM;
}

class Work {
 public:
  Work(std::uintptr_t start, std::uintptr_t end, bool write, const PrefaultOptions& options)
      : start_(start), end_(end), write_(write), options_(options), next_(start & ~(kStep - 1)) {}

  // Until nothing is left to do for this thread.
  void go_on() {
    while (error_.load(std::memory_order_relaxed) == 0) {
      const std::uintptr_t step = next_.fetch_add(kStep, std::memory_order_relaxed);
      if (step >= end_) return;
      if (options_.stop.stop_requested()) return fail(ECANCELED);
      const std::uintptr_t from = std::max(step, start_);
      const std::size_t bytes = std::min(step + kStep, end_) - from;
      if (const int error = take(from, bytes)) return fail(error);
      tell(bytes);
    }
  }

  int error() const { return error_.load(); }

 private:
  int take(std::uintptr_t from, std::size_t bytes) const {
    void* const start = reinterpret_cast<void*>(from);
    if (!can_populate()) return touch(static_cast<std::byte*>(start), bytes, write_);
    const int error = populate(start, bytes, write_);
    return error ? meaning(error, from, bytes, write_) : 0;
  }

  void fail(int error) {
    int none = 0;
    error_.compare_exchange_strong(none, error);
  }

  void tell(std::size_t bytes) {
    if (!options_.progress) return;
    Lock lock(telling_);
    done_ += bytes;
    options_.progress(done_);
  }

  const std::uintptr_t start_, end_;
  const bool write_;
  const PrefaultOptions& options_;
  std::atomic<std::uintptr_t> next_;
  std::atomic<int> error_ = 0;
  Mutex telling_;
  std::uint64_t done_ GUARDED_BY(telling_) = 0;
};

// The CPUs on which threads may run, all at the caller's where the node has none of them.
std::vector<int> cpus_for(const PrefaultOptions& options) {
  const int node = options.node.value_or(numa::current_node());
  std::vector<int> cpus = node < 0 ? std::vector<int>() : numa::cpus(node);
  return cpus.empty() ? numa::own_cpus() : cpus;
}

void run(Work& work, std::uint64_t steps, const PrefaultOptions& options) {
  const std::vector<int> cpus = cpus_for(options);
  const std::uint64_t wanted = options.threads ? options.threads : cpus.size();
  const std::uint64_t count = std::min<std::uint64_t>({wanted, steps, kMostThreads});
  // Alone, and where it may stay: the caller does it.
  if (count == 1 && cpus == numa::own_cpus()) return work.go_on();
  {
    std::vector<std::jthread> threads;
    threads.reserve(count);
    try {
      while (threads.size() < count)
        threads.emplace_back([&] {
          block_signals();
          numa::set_own_cpus(cpus);
          work.go_on();
        });
    } catch (const std::system_error&) {
      // No more threads: those that there are do it.
    }
  }
  work.go_on();  // what is left, where there was none
}

void prefault_range(const std::byte* data, std::size_t length, bool write,
                    const PrefaultOptions& options) {
  if (length == 0) return;
  const std::uintptr_t page = host::page_size();
  const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t start = first & ~(page - 1);
  const std::uintptr_t end = (first + length + page - 1) & ~(page - 1);
  if (end <= start) throw Error(EFAULT, "no such memory");
  // Only a wish: there may be no huge pages, or none for such a mapping.
  if (options.huge) madvise(reinterpret_cast<void*>(start), end - start, MADV_HUGEPAGE);
  Work work(start, end, write, options);
  run(work, (end - (start & ~(kStep - 1)) + kStep - 1) / kStep, options);
  if (const int error = work.error()) throw Error(error, "cannot touch memory");
}

}  // namespace

void prefault(std::span<std::byte> bytes, const PrefaultOptions& options) {
  prefault_range(bytes.data(), bytes.size(), true, options);
}

void prefault(std::span<const std::byte> bytes, const PrefaultOptions& options) {
  prefault_range(bytes.data(), bytes.size(), false, options);
}

}  // namespace aiaccel
