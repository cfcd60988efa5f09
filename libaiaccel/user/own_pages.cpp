// SPDX-License-Identifier: MIT
//
// The caller's own pages: what they are, and how often each is held; see own_pages.h.
#include "user/own_pages.h"

#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#include <uapi/aiaccel.h>

#include "host/pages.h"
#include "mutex.h"
#include "user/per_process.h"

namespace aiaccel {
namespace {

// What getline() reads into.
struct Line {
  char* text = nullptr;
  size_t room = 0;
  ~Line() { std::free(text); }
};

bool on_memory_file_system(const std::string& path) {
  struct statfs info;
  return statfs(path.c_str(), &info) == 0 &&
         (info.f_type == TMPFS_MAGIC || info.f_type == HUGETLBFS_MAGIC);
}

// Anonymous memory and shared mappings of shmem and hugetlbfs.
bool can_be_held(const Mapping& mapping) {
  const std::string_view path = mapping.path;
  if (path.starts_with("[v")) return false;  // vdso, vvar, vsyscall: the kernel's
  if (mapping.inode == 0 || path.starts_with("/anon_hugepage")) return true;
  if (!mapping.shared()) return false;
  return path.starts_with("/memfd:") || path.starts_with("/SYSV") ||
         path.starts_with("/dev/zero") || on_memory_file_system(mapping.path);
}

// Disjoint ranges and how often each is held.
class Held {
 public:
  // 0 or -ENOMEM. Then, and where it throws bad_alloc, no more is held than before.
  int hold(uint64_t start, uint64_t end) {
    Lock lock(mutex_);
    uint64_t at = start;
    try {
      split(start);
      split(end);
      while (at < end && hold_next(&at, end)) {
      }
    } catch (const std::bad_alloc&) {
      drop(start, at);
      throw;
    }
    if (at == end) return 0;
    drop(start, at);
    return -ENOMEM;
  }

  void release(uint64_t start, uint64_t end) {
    Lock lock(mutex_);
    split(start);
    split(end);
    drop(start, end);
  }

 private:
  struct Range {
    uint64_t end;
    uint32_t count;
  };

  // Counts the range that begins at *at, or locks what lies before the next one, and moves *at to
  // its end. False for RLIMIT_MEMLOCK.
  bool hold_next(uint64_t* at, uint64_t end) REQUIRES(mutex_) {
    const auto next = ranges_.lower_bound(*at);
    if (next != ranges_.end() && next->first == *at) {
      ++next->second.count;
      *at = next->second.end;
      return true;
    }
    const uint64_t until = next == ranges_.end() || next->first > end ? end : next->first;
    const auto made = ranges_.emplace_hint(next, *at, Range{until, 1});
    if (mlock(reinterpret_cast<void*>(*at), until - *at) < 0) {
      ranges_.erase(made);
      return false;
    }
    *at = until;
    return true;
  }

  void split(uint64_t at) REQUIRES(mutex_) {
    auto next = ranges_.upper_bound(at);
    if (next == ranges_.begin()) return;
    auto range = std::prev(next);
    if (range->first == at || range->second.end <= at) return;
    ranges_.emplace_hint(next, at, range->second);
    range->second.end = at;
  }

  void drop(uint64_t start, uint64_t end) REQUIRES(mutex_) {
    auto range = ranges_.lower_bound(start);
    while (range != ranges_.end() && range->first < end) {
      if (--range->second.count) {
        ++range;
        continue;
      }
      // The program may have unmapped it, which unlocked it.
      munlock(reinterpret_cast<void*>(range->first), range->second.end - range->first);
      range = ranges_.erase(range);
    }
  }

  Mutex mutex_;
  std::map<uint64_t, Range> ranges_ GUARDED_BY(mutex_);  // by start
};

// Memory that is locked is not so in children.
Held& held() {
  constinit static PerProcess<Held> held;
  return held.get([] { return std::make_unique<Held>(); });
}

// Capabilities of another one do not let memory be locked.
bool in_first_user_namespace() {
  constexpr ino_t kFirst = 0xeffffffd;  // PROC_USER_INIT_INO
  struct stat info;
  return stat("/proc/self/ns/user", &info) < 0 || info.st_ino == kFirst;
}

uint64_t first_page(uint64_t addr) {
  return addr & ~(host::page_size() - 1);
}

uint64_t last_end(uint64_t addr, uint64_t length) {
  return host::whole_pages(addr + length);
}

}  // namespace

bool parse_mapping(const char* line, Mapping* mapping) {
  unsigned long start, end;
  int path = 0;
  if (std::sscanf(line, "%lx-%lx %4s %*s %*s %lu %n", &start, &end, mapping->access,
                  &mapping->inode, &path) != 4 ||
      start >= end || std::strlen(mapping->access) != 4)
    return false;
  mapping->start = start;
  mapping->end = end;
  mapping->path = line + path;
  if (!mapping->path.empty() && mapping->path.back() == '\n') mapping->path.pop_back();
  return true;
}

int check_own_range(uint64_t addr, uint64_t length, bool write) {
  const std::unique_ptr<FILE, int (*)(FILE*)> maps(std::fopen("/proc/self/maps", "re"),
                                                   std::fclose);
  if (!maps) return -errno;
  uint64_t at = first_page(addr);
  const uint64_t end = last_end(addr, length);
  Line line;
  Mapping mapping;
  bool unsupported = false;
  while (at < end && getline(&line.text, &line.room, maps.get()) > 0) {
    if (!parse_mapping(line.text, &mapping) || mapping.end <= at) continue;
    if (mapping.start > at) break;
    if (mapping.access[0] != 'r' || (write && mapping.access[1] != 'w')) break;
    unsupported |= !can_be_held(mapping);
    at = mapping.end;
  }
  if (at < end) return -EFAULT;
  return unsupported ? -EOPNOTSUPP : 0;
}

uint64_t lock_headroom() {
  rlimit limit;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
    return AIACCEL_UNLIMITED;
  uint64_t locked_kib = 0, capabilities = 0;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "VmLck:") status >> locked_kib;
    if (word == "CapEff:") status >> std::hex >> capabilities >> std::dec;
  }
  if (capabilities >> CAP_IPC_LOCK & 1 && in_first_user_namespace()) return AIACCEL_UNLIMITED;
  const uint64_t whole = limit.rlim_cur & ~(host::page_size() - 1);
  return whole - std::min<uint64_t>(whole, locked_kib << 10);
}

int hold_own_range(uint64_t addr, uint64_t length) {
  return held().hold(first_page(addr), last_end(addr, length));
}

void release_own_range(uint64_t addr, uint64_t length) {
  held().release(first_page(addr), last_end(addr, length));
}

}  // namespace aiaccel
