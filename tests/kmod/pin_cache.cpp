// SPDX-License-Identifier: MIT
//
// PIN with AIACCEL_PIN_CACHED: what is found again, and that nothing is once the mapping changed.
//
// Whether a PIN found a kept pin is seen by the kernel's count of pages that were ever pinned,
// which then stays as it is. Whether the pages that are mapped are those that are pinned is seen by
// a fork: of private memory the child gets copies of what is pinned, and shares the rest.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "account.hpp"
#include "cgroup.hpp"
#include "module.hpp"

using namespace raw;

namespace {

constexpr const char* kBalancing = "/proc/sys/kernel/numa_balancing";

// Without NUMA balancing, which looks at pages in its own time; but for the case that is about it.
struct Still {
  Still() {
    std::ifstream(kBalancing) >> before_;
    std::ofstream(kBalancing) << "0" << std::flush;
  }
  ~Still() { std::ofstream(kBalancing) << before_ << std::flush; }

 private:
  int before_ = 0;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(pin_cache, Still)

namespace {

constexpr uint32_t kCached = AIACCEL_PIN_CACHED | AIACCEL_PIN_WRITE;
constexpr size_t kHuge = 2 << 20;
constexpr int kReadWrite = PROT_READ | PROT_WRITE;

// What the kernel has counted, of all; 0 where it does not count it.
int64_t counted(const std::string& what) {
  std::ofstream("/proc/sys/vm/stat_refresh") << "1" << std::flush;
  std::ifstream file("/proc/vmstat");
  std::string name;
  for (int64_t value; file >> name >> value;)
    if (name == what) return value;
  return 0;
}

// Pages that were ever pinned, by anybody.
int64_t ever_pinned() {
  return counted("nr_foll_pin_acquired");
}

aiaccel_pin range_of(const char* at, uint64_t length, uint32_t flags) {
  aiaccel_pin pin{};
  pin.addr = address(at);
  pin.length = length;
  pin.flags = flags;
  return pin;
}

int try_pin(const Context& context, const char* at, uint64_t length, uint32_t flags) {
  aiaccel_pin pin = range_of(at, length, flags);
  return context(AIACCEL_IOC_PIN, pin);
}

// Asserted; the id, and how many pages were pinned for it.
struct Pinned {
  Pinned(const Context& context, const char* at, uint64_t length, uint32_t flags = kCached) {
    aiaccel_pin pin = range_of(at, length, flags);
    const int64_t before = ever_pinned();
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, pin), 0);
    pages = ever_pinned() - before;
    id = pin.id;
  }
  bool found() const { return pages == 0; }

  uint32_t id;
  int64_t pages;
};

// PIN and DESTROY: whether it was found.
bool finds(const Context& context, const char* at, uint64_t length, uint32_t flags = kCached) {
  const Pinned pinned(context, at, length, flags);
  BOOST_TEST(destroy_errno(context, pinned.id) == 0);
  return pinned.found();
}

aiaccel_buffer_info info_of(const Context& context, uint32_t id) {
  aiaccel_buffer_info info{};
  info.id = id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
  return info;
}

bool is_stale(const Context& context, uint32_t id) {
  return info_of(context, id).state & AIACCEL_BUFFER_STALE;
}

bool frames_of(const char* at, std::vector<uint64_t>& frames) {
  const Fd fd(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  const auto bytes = static_cast<ssize_t>(frames.size() * 8);
  if (pread(fd.get(), frames.data(), static_cast<size_t>(bytes),
            static_cast<off_t>(address(at) / kPage * 8)) != bytes)
    return false;
  for (uint64_t& frame : frames) frame &= (1ULL << 55) - 1;
  return true;
}

// How many pages that are mapped there are pinned.
int pinned_at(const char* at, uint64_t length) {
  std::vector<uint64_t> own(length / kPage), childs(length / kPage);
  BOOST_REQUIRE(frames_of(at, own));
  return in_child([&] {
    int pinned = 0;
    if (!frames_of(at, childs)) return 255;
    for (size_t i = 0; i < own.size(); i++) pinned += own[i] && own[i] != childs[i];
    return pinned;
  });
}

Fd memfd(size_t length, unsigned flags = 0) {
  Fd fd(memfd_create("test", MFD_CLOEXEC | flags));
  BOOST_REQUIRE(fd.get() >= 0);
  BOOST_REQUIRE_EQUAL(ftruncate(fd.get(), static_cast<off_t>(length)), 0);
  return fd;
}

Map touched(size_t length) {
  Map map = anonymous(length);
  memset(map.data(), 1, length);
  return map;
}

void map_anew(char* at, size_t length, int fd = -1) {
  void* const got = mmap(at, length, kReadWrite,
                         MAP_FIXED | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED), fd, 0);
  BOOST_REQUIRE(got == at);
}

// Something that is done to a mapping of kPages pages.
constexpr size_t kPages = 8, kBytes = kPages * kPage;
struct Change {
  const char* name;
  std::function<void(char*)> make;
};

void put_elsewhere(char* at, int flags) {
  const Map elsewhere = anonymous(kBytes);
  BOOST_REQUIRE(mremap(at, kBytes, kBytes, MREMAP_MAYMOVE | MREMAP_FIXED | flags,
                       elsewhere.data()) == elsewhere.data());
}

const Change kPrivate[] = {
    {"munmap and mmap",
     [](char* at) {
       BOOST_REQUIRE_EQUAL(munmap(at, kBytes), 0);
       map_anew(at, kBytes);
     }},
    {"mmap over it", [](char* at) { map_anew(at, kBytes); }},
    {"mmap over one page", [](char* at) { map_anew(at + 3 * kPage, kPage); }},
    {"madvise(DONTNEED)",
     [](char* at) { BOOST_REQUIRE_EQUAL(madvise(at, kBytes, MADV_DONTNEED), 0); }},
    {"madvise(DONTNEED) of the last page",
     [](char* at) { BOOST_REQUIRE_EQUAL(madvise(at + kBytes - kPage, kPage, MADV_DONTNEED), 0); }},
    {"mremap away",
     [](char* at) {
       put_elsewhere(at, 0);
       map_anew(at, kBytes);
     }},
    {"mremap(DONTUNMAP) away", [](char* at) { put_elsewhere(at, MREMAP_DONTUNMAP); }},
    {"mremap of others here",
     [](char* at) {
       Map other = touched(kBytes);
       BOOST_REQUIRE(mremap(other.data(), kBytes, kBytes, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at);
     }},
    {"mprotect there and back",
     [](char* at) {
       BOOST_REQUIRE_EQUAL(mprotect(at, kBytes, PROT_READ), 0);
       BOOST_REQUIRE_EQUAL(mprotect(at, kBytes, kReadWrite), 0);
     }},
    {"fork", [](char*) { BOOST_REQUIRE_EQUAL(in_child([] { return 0; }), 0); }},
};

// What the kernel does with the pages that it finds pinned is its own affair, as long as what is
// pinned afterwards is what is mapped.
const Change kAttempts[] = {
    {"nothing", [](char*) {}},
    {"madvise(PAGEOUT)", [](char* at) { madvise(at, kBytes, MADV_PAGEOUT); }},
    {"madvise(COLD)", [](char* at) { madvise(at, kBytes, MADV_COLD); }},
    {"madvise(FREE)", [](char* at) { madvise(at, kBytes, MADV_FREE); }},
    {"madvise(MERGEABLE)", [](char* at) { madvise(at, kBytes, MADV_MERGEABLE); }},
    {"compaction",
     [](char*) { std::ofstream("/proc/sys/vm/compact_memory") << "1" << std::flush; }},
    {"soft-dirty bits", [](char*) { std::ofstream("/proc/self/clear_refs") << "4" << std::flush; }},
    {"caches dropped",
     [](char*) { std::ofstream("/proc/sys/vm/drop_caches") << "3" << std::flush; }},
    {"move_pages",
     [](char* at) {
       void* pages[kPages];
       int nodes[kPages], status[kPages];
       for (size_t i = 0; i < kPages; i++) {
         pages[i] = at + i * kPage;
         nodes[i] = has_node(1) ? 1 : 0;
       }
       syscall(SYS_move_pages, 0, kPages, pages, nodes, status, 2);
     }},
    {"mlock",
     [](char* at) {
       mlock(at, kBytes);
       munlock(at, kBytes);
     }},
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_kept_pin_is_found_again) {
  NEED_DEVICE();
  Context context;
  const int64_t before = pinned_pages();
  const uint64_t charged = context.query().pinned_bytes;
  const Map map = touched(kBytes);
  uint32_t last = 0;
  for (int round = 0; round < 3; round++) {
    const Pinned pinned(context, map.data(), kBytes);
    BOOST_TEST(pinned.pages == (round ? 0 : static_cast<int64_t>(kPages)));
    BOOST_TEST(pinned.id > last);
    last = pinned.id;
    const aiaccel_buffer_info info = info_of(context, pinned.id);
    BOOST_TEST(info.flags == kCached);
    BOOST_TEST(info.length == kBytes);
    BOOST_TEST(info.handles == 1u);
    BOOST_TEST(info.state == 0u);
    BOOST_TEST(context.query().pinned_bytes == charged + kBytes);
    BOOST_TEST(pinned_pages() == before + static_cast<int64_t>(kPages));
    BOOST_REQUIRE_EQUAL(destroy_errno(context, pinned.id), 0);
    BOOST_TEST(destroy_errno(context, pinned.id) == ENOENT);
    // kept, and paid for
    BOOST_TEST(context.query().pinned_bytes == charged + kBytes);
    BOOST_TEST(pinned_pages() == before + static_cast<int64_t>(kPages));
  }
  const Pinned pinned(context, map.data(), kBytes);
  BOOST_TEST(pinned.found());
  BOOST_TEST(pinned_at(map.data(), kBytes) == static_cast<int>(kPages));
  context.close();
  BOOST_TEST(pinned_pages() == before);
  BOOST_TEST(pinned_at(map.data(), kBytes) == 0);
}

BOOST_AUTO_TEST_CASE(two_ids_name_one_pin) {
  NEED_DEVICE();
  const Context context;
  const auto told_bytes = [&] {
    std::ifstream file("/proc/self/fdinfo/" + std::to_string(context.fd()));
    std::string word;
    uint64_t bytes = 0;
    while (file >> word)
      if (word == "aiaccel-memory-pinned:") file >> bytes;
    return bytes;
  };
  const uint64_t charged = context.query().pinned_bytes;
  const Map map = touched(kBytes);
  const Pinned first(context, map.data(), kBytes), second(context, map.data(), kBytes);
  BOOST_TEST(!first.found());
  BOOST_TEST(second.found());
  BOOST_TEST(first.id != second.id);
  for (const uint32_t id : {first.id, second.id}) BOOST_TEST(info_of(context, id).handles == 2u);
  BOOST_TEST(context.query().pinned_bytes == charged + kBytes);
  BOOST_TEST(told_bytes() == kBytes);
  BOOST_TEST(destroy_errno(context, first.id) == 0);
  BOOST_TEST(info_of(context, second.id).handles == 1u);
  BOOST_TEST(told_bytes() == kBytes);
  BOOST_TEST(destroy_errno(context, second.id) == 0);
  BOOST_TEST(told_bytes() == kBytes);  // kept
  BOOST_TEST(finds(context, map.data(), kBytes));
}

BOOST_AUTO_TEST_CASE(only_the_same_range_and_flags_are_found) {
  NEED_DEVICE();
  const Context context, other;
  const Map map = touched(kBytes);
  BOOST_TEST(!finds(context, map.data(), kBytes));
  BOOST_TEST(!finds(context, map.data(), kBytes, AIACCEL_PIN_CACHED));
  BOOST_TEST(!finds(context, map.data(), kBytes, AIACCEL_PIN_WRITE));
  BOOST_TEST(!finds(context, map.data(), kBytes - kPage));
  BOOST_TEST(!finds(context, map.data(), kBytes - 1));
  BOOST_TEST(!finds(context, map.data() + kPage, kBytes - kPage));
  BOOST_TEST(!finds(context, map.data() + 1, kBytes - 1));
  BOOST_TEST(!finds(other, map.data(), kBytes));
  // and all of them are kept beside each other, but for what was not to be
  BOOST_TEST(finds(context, map.data(), kBytes));
  BOOST_TEST(finds(context, map.data(), kBytes, AIACCEL_PIN_CACHED));
  BOOST_TEST(!finds(context, map.data(), kBytes, AIACCEL_PIN_WRITE));
  BOOST_TEST(finds(context, map.data(), kBytes - kPage));
  BOOST_TEST(finds(context, map.data(), kBytes - 1));
  BOOST_TEST(finds(context, map.data() + kPage, kBytes - kPage));
  BOOST_TEST(finds(context, map.data() + 1, kBytes - 1));
  BOOST_TEST(finds(other, map.data(), kBytes));
  const Pinned part(context, map.data() + 1, kBytes - 1);
  BOOST_TEST(info_of(context, part.id).length == kBytes - 1);
}

BOOST_AUTO_TEST_CASE(nothing_stale_is_found) {
  NEED_DEVICE();
  const Context context;
  const int64_t before = pinned_pages();
  const uint64_t charged = context.query().pinned_bytes;
  for (const Change& change : kPrivate) {
    BOOST_TEST_INFO_SCOPE(change.name);
    const Map map = touched(kBytes);
    // an unused one
    BOOST_TEST(!finds(context, map.data(), kBytes));
    change.make(map.data());
    const Pinned fresh(context, map.data(), kBytes);
    BOOST_TEST(fresh.pages == static_cast<int64_t>(kPages));
    BOOST_TEST(info_of(context, fresh.id).handles == 1u);
    BOOST_TEST(!is_stale(context, fresh.id));
    // one that is in use
    change.make(map.data());
    BOOST_TEST(is_stale(context, fresh.id));
    const Pinned second(context, map.data(), kBytes);
    BOOST_TEST(second.pages == static_cast<int64_t>(kPages));
    BOOST_TEST(info_of(context, fresh.id).handles == 1u);
    BOOST_TEST(!is_stale(context, second.id));
    BOOST_TEST(finds(context, map.data(), kBytes));
    BOOST_TEST(destroy_errno(context, fresh.id) == 0);
    BOOST_TEST(finds(context, map.data(), kBytes));
    BOOST_TEST(pinned_at(map.data(), kBytes) == static_cast<int>(kPages));  // which forks
    BOOST_TEST(is_stale(context, second.id));
    BOOST_TEST(destroy_errno(context, second.id) == 0);
    // the work item lets go of what nobody uses
    BOOST_TEST(eventually([&] { return pinned_pages() == before; }));
    BOOST_TEST(context.query().pinned_bytes == charged);
  }
}

BOOST_AUTO_TEST_CASE(nothing_stale_is_found_of_shared_memory) {
  NEED_DEVICE();
  const Context context;
  const int64_t before = pinned_pages();
  const Fd fd = memfd(kBytes);
  Map map(kBytes, kReadWrite, MAP_SHARED, fd.get(), 0);
  const Map elsewhere(kBytes, kReadWrite, MAP_SHARED, fd.get(), 0);
  const auto resize = [&](off_t size) { BOOST_REQUIRE_EQUAL(ftruncate(fd.get(), size), 0); };
  const Change changes[] = {
      {"truncate",
       [&](char*) {
         resize(0);
         resize(kBytes);
       }},
      {"truncate by a page",
       [&](char*) {
         resize(kBytes - kPage);
         resize(kBytes);
       }},
      {"a hole",
       [&](char*) {
         BOOST_REQUIRE_EQUAL(
             fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * kPage, kPage), 0);
       }},
      {"a hole made elsewhere",
       [&](char*) {
         BOOST_REQUIRE_EQUAL(madvise(elsewhere.data() + kPage, kPage, MADV_REMOVE), 0);
       }},
      {"mmap of another",
       [&](char* at) {
         const Fd other = memfd(kBytes);
         map_anew(at, kBytes, other.get());
         map_anew(at, kBytes, fd.get());
       }},
      {"private instead", [&](char* at) { map_anew(at, kBytes); }},
  };
  for (const Change& change : changes) {
    BOOST_TEST_INFO_SCOPE(change.name);
    map_anew(map.data(), kBytes, fd.get());
    memset(map.data(), 1, kBytes);
    BOOST_TEST(!finds(context, map.data(), kBytes));
    BOOST_TEST(finds(context, map.data(), kBytes));
    change.make(map.data());
    const Pinned fresh(context, map.data(), kBytes);
    BOOST_TEST(fresh.pages == static_cast<int64_t>(kPages));
    change.make(map.data());
    BOOST_TEST(is_stale(context, fresh.id));
    BOOST_TEST(!finds(context, map.data(), kBytes));
    BOOST_TEST(finds(context, map.data(), kBytes));
    BOOST_TEST(destroy_errno(context, fresh.id) == 0);
    map_anew(map.data(), kBytes);
    BOOST_TEST(eventually([&] { return pinned_pages() == before; }));
  }
}

// A fork leaves shared memory as it is.
BOOST_AUTO_TEST_CASE(shared_memory_is_found_over_a_fork) {
  NEED_DEVICE();
  const Context context;
  const Fd fd = memfd(kBytes);
  const Map map(kBytes, kReadWrite, MAP_SHARED, fd.get(), 0);
  memset(map.data(), 1, kBytes);
  BOOST_TEST(!finds(context, map.data(), kBytes));
  BOOST_REQUIRE_EQUAL(in_child([] { return 0; }), 0);
  BOOST_TEST(finds(context, map.data(), kBytes));
}

BOOST_AUTO_TEST_CASE(what_may_not_be_pinned_any_more_is_refused) {
  NEED_DEVICE();
  const Context context;
  Map map = touched(kBytes);
  BOOST_TEST(!finds(context, map.data(), kBytes));
  BOOST_REQUIRE_EQUAL(mprotect(map.data() + kPage, kPage, PROT_READ), 0);
  BOOST_TEST(try_pin(context, map.data(), kBytes, kCached) == EFAULT);
  BOOST_REQUIRE_EQUAL(mprotect(map.data(), kBytes, kReadWrite), 0);
  BOOST_TEST(!finds(context, map.data(), kBytes));
  BOOST_REQUIRE_EQUAL(munmap(map.data() + 2 * kPage, kPage), 0);
  BOOST_TEST(try_pin(context, map.data(), kBytes, kCached) == EFAULT);
  map_anew(map.data(), kBytes);
  BOOST_TEST(!finds(context, map.data(), kBytes));
  const Fd program(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  BOOST_REQUIRE(mmap(map.data(), kBytes, kReadWrite, MAP_PRIVATE | MAP_FIXED, program.get(), 0) !=
                MAP_FAILED);
  BOOST_TEST(try_pin(context, map.data(), kBytes, kCached) == EOPNOTSUPP);
}

// Devices go on to write where they could before, as the mapping may be written to still.
BOOST_AUTO_TEST_CASE(what_was_kept_is_found_in_a_memfd_that_was_sealed_since) {
  NEED_DEVICE();
  const Context context;
  const Fd fd = memfd(2 * kBytes, MFD_ALLOW_SEALING);
  const Map map(2 * kBytes, kReadWrite, MAP_SHARED, fd.get(), 0);
  memset(map.data(), 1, map.size());
  BOOST_TEST(!finds(context, map.data(), kBytes));
  BOOST_REQUIRE_EQUAL(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
  BOOST_TEST(finds(context, map.data(), kBytes));
  map.data()[0] = 2;
  // Nothing new: of another range, not to be kept, for another context.
  BOOST_TEST(try_pin(context, map.data() + kBytes, kBytes, kCached) == EPERM);
  BOOST_TEST(try_pin(context, map.data(), kBytes, AIACCEL_PIN_WRITE) == EPERM);
  BOOST_TEST(try_pin(Context(), map.data(), kBytes, kCached) == EPERM);
  BOOST_TEST(try_pin(context, map.data() + kBytes, kBytes, AIACCEL_PIN_CACHED) == 0);
  // Nor what was kept, once it is stale.
  BOOST_TEST(finds(context, map.data(), kBytes));
  BOOST_REQUIRE_EQUAL(madvise(map.data(), kPage, MADV_DONTNEED), 0);
  BOOST_TEST(try_pin(context, map.data(), kBytes, kCached) == EPERM);
}

BOOST_AUTO_TEST_CASE(a_memfd_cannot_be_sealed_while_a_pin_of_it_is_kept) {
  NEED_DEVICE();
  const Context context;
  const Fd fd = memfd(kBytes, MFD_ALLOW_SEALING);
  BOOST_REQUIRE_EQUAL(fallocate(fd.get(), 0, 0, kBytes), 0);
  // No mapping that could be written to is in the way.
  const Fd reader(
      open(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), O_RDONLY | O_CLOEXEC));
  Map map(kBytes, PROT_READ, MAP_SHARED, reader.get(), 0);
  BOOST_REQUIRE_EQUAL(map.error(), 0);
  BOOST_TEST(!finds(context, map.data(), kBytes, AIACCEL_PIN_CACHED));
  BOOST_TEST(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE) == -1);
  BOOST_TEST(errno == EBUSY);
  BOOST_TEST(finds(context, map.data(), kBytes, AIACCEL_PIN_CACHED));
  map.unmap();
  BOOST_TEST(eventually([&] { return fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE) == 0; }));
}

BOOST_AUTO_TEST_CASE(what_the_kernel_tries_leaves_no_other_pages) {
  NEED_DEVICE();
  const Context context;
  for (const Change& attempt : kAttempts) {
    BOOST_TEST_INFO_SCOPE(attempt.name);
    const Map map = touched(kBytes);
    BOOST_TEST(!finds(context, map.data(), kBytes));
    attempt.make(map.data());
    const Pinned again(context, map.data(), kBytes);
    BOOST_TEST(!is_stale(context, again.id));
    BOOST_TEST(pinned_at(map.data(), kBytes) == static_cast<int>(kPages));
    BOOST_TEST(destroy_errno(context, again.id) == 0);
  }
}

BOOST_AUTO_TEST_CASE(what_lies_beside_it_does_not_matter) {
  NEED_DEVICE();
  const Context context;
  const Map map = touched(kBytes + 2 * kPage);
  char* const at = map.data() + kPage;
  BOOST_TEST(!finds(context, at, kBytes));
  BOOST_REQUIRE_EQUAL(munmap(map.data(), kPage), 0);
  map_anew(at + kBytes, kPage);
  memset(at, 2, kBytes);
  BOOST_TEST(finds(context, at, kBytes));
  const Pinned pinned(context, at, kBytes);
  BOOST_TEST(!is_stale(context, pinned.id));
}

// It takes access away and gives it back. That of others' memory it tries to move, in vain, and it
// is stale then: so both stay on one node.
BOOST_AUTO_TEST_CASE(what_numa_balancing_looks_at_is_found) {
  NEED_DEVICE();
  cpu_set_t before, first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  BOOST_REQUIRE_EQUAL(sched_getaffinity(0, sizeof(before), &before), 0);
  BOOST_REQUIRE_EQUAL(sched_setaffinity(0, sizeof(first), &first), 0);
  std::ofstream(kBalancing) << "1" << std::flush;
  const Context context;
  const Map map = touched(kHuge);
  BOOST_TEST(!finds(context, map.data(), kHuge));
  const int64_t looked_at = counted("numa_pte_updates");
  const uint64_t end_ns = now_ns() + 20'000'000'000;
  // It looks at the memory of who is busy.
  while (counted("numa_pte_updates") < looked_at + 2048 && now_ns() < end_ns)
    memset(map.data(), 1, kHuge);
  const bool looked = counted("numa_pte_updates") >= looked_at + 2048;
  if (looked) BOOST_TEST(finds(context, map.data(), kHuge));
  BOOST_TEST(sched_setaffinity(0, sizeof(before), &before) == 0);
  if (!looked) SKIP("no NUMA balancing here");
}

namespace {

// A manager that wants to be told of what is written to a range: the ground of a live snapshot.
class Manager {
 public:
  // Without `range()` it could not be made.
  Manager(char* at, size_t length)
      : fd_(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK))) {
    uffdio_api api{};
    api.api = UFFD_API;
    api.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP;
    uffdio_register wanted{};
    wanted.range = {address(at), length};
    wanted.mode = UFFDIO_REGISTER_MODE_WP;
    if (fd_.get() >= 0 && !ioctl(fd_.get(), UFFDIO_API, &api) &&
        !ioctl(fd_.get(), UFFDIO_REGISTER, &wanted))
      range_ = wanted.range;
  }
  bool works() const { return range_.len; }

  int protect(bool on) {
    uffdio_writeprotect arg{};
    arg.range = range_;
    arg.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0;
    return ioctl(fd_.get(), UFFDIO_WRITEPROTECT, &arg) ? errno : 0;
  }

  // Until `done`: what is to be written may be, after it was told. How often it was told.
  int serve(const std::atomic<bool>& done) {
    int told = 0;
    while (!done) {
      pollfd wait{fd_.get(), POLLIN, 0};
      uffd_msg message;
      if (poll(&wait, 1, 10) <= 0) continue;
      if (read(fd_.get(), &message, sizeof(message)) != sizeof(message)) continue;
      told++;
      protect(false);
    }
    return told;
  }

 private:
  Fd fd_;
  uffdio_range range_{};
};

}  // namespace

// Kernels of before 6.2 refuse to pin what is protected so, for good.
BOOST_AUTO_TEST_CASE(what_a_manager_wants_to_be_told_of_is_not_found) {
  NEED_DEVICE();
  const Context context;
  const Map map = touched(kBytes);
  Manager manager(map.data(), kBytes);
  if (!manager.works()) SKIP("no write protection by userfaultfd here");
  BOOST_TEST(!finds(context, map.data(), kBytes));
  BOOST_TEST(finds(context, map.data(), kBytes));
  const Pinned pinned(context, map.data(), kBytes);
  BOOST_TEST(pinned.found());
  BOOST_REQUIRE_EQUAL(manager.protect(true), 0);
  BOOST_TEST(is_stale(context, pinned.id));
  std::atomic<bool> done = false;
  int told = 0;
  std::thread server([&] { told = manager.serve(done); });
  aiaccel_pin again = range_of(map.data(), kBytes, kCached);
  const int err = context(AIACCEL_IOC_PIN, again);
  done = true;
  server.join();
  BOOST_TEST((err == 0 || err == EFAULT));
  BOOST_TEST((err || told > 0));
  if (!err) BOOST_TEST(destroy_errno(context, again.id) == 0);
  BOOST_TEST(destroy_errno(context, pinned.id) == 0);
  // Unprotecting is a change as well.
  BOOST_REQUIRE_EQUAL(manager.protect(false), 0);
  BOOST_TEST(!finds(context, map.data(), kBytes));
  BOOST_TEST(finds(context, map.data(), kBytes));
}

// Of private memory the kernel leaves the bits of what is pinned as they are.
BOOST_AUTO_TEST_CASE(what_soft_dirty_bits_are_to_tell_of_is_not_found) {
  NEED_DEVICE();
  const Context context;
  const Fd fd = memfd(kBytes);
  Map map(kBytes, kReadWrite, MAP_SHARED, fd.get(), 0);
  const auto dirty = [&] {
    const Fd pagemap(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    uint64_t pages[kPages];
    BOOST_REQUIRE(pread(pagemap.get(), pages, sizeof(pages),
                        static_cast<off_t>(address(map.data()) / kPage * 8)) == sizeof(pages));
    return std::ranges::count_if(pages, [](uint64_t page) { return page >> 55 & 1; });
  };
  memset(map.data(), 1, kBytes);
  if (!dirty()) SKIP("no soft-dirty bits here");
  BOOST_TEST(!finds(context, map.data(), kBytes));
  std::ofstream("/proc/self/clear_refs") << "4" << std::flush;
  BOOST_TEST(dirty() == 0);
  BOOST_TEST(!finds(context, map.data(), kBytes));
  BOOST_TEST(dirty() == static_cast<int64_t>(kPages));
}

BOOST_AUTO_TEST_CASE(huge_pages) {
  NEED_DEVICE();
  const Context context;
  const Map space = anonymous(4 * kHuge);
  char* const at = space.data() + (kHuge - space.address() % kHuge) % kHuge;
  madvise(at, 2 * kHuge, MADV_HUGEPAGE);
  memset(at, 1, 2 * kHuge);
  BOOST_TEST(!finds(context, at, 2 * kHuge));
  BOOST_TEST(finds(context, at, 2 * kHuge));
  map_anew(at + kHuge + 5 * kPage, kPage);  // splits one
  const Pinned split(context, at, 2 * kHuge);
  BOOST_TEST(!split.found());
  BOOST_TEST(finds(context, at, 2 * kHuge));
  BOOST_TEST(pinned_at(at + kHuge, 64 * kPage) == 64);
  BOOST_TEST(destroy_errno(context, split.id) == 0);
  // Small ones that the kernel is asked to put together: it may not, while they are pinned.
  const Map small = anonymous(4 * kHuge);
  char* const from = small.data() + (kHuge - small.address() % kHuge) % kHuge;
  madvise(from, kHuge, MADV_NOHUGEPAGE);
  memset(from, 1, kHuge);
  madvise(from, kHuge, MADV_HUGEPAGE);
  BOOST_TEST(!finds(context, from, kHuge));
  constexpr int kCollapse = 25;  // MADV_COLLAPSE, from Linux 6.1 on
  madvise(from, kHuge, kCollapse);
  const Pinned after(context, from, kHuge);
  BOOST_TEST(pinned_at(from, 64 * kPage) == 64);
}

// Pinning breaks copy-on-write, which changes the mapping: it is cached all the same.
BOOST_AUTO_TEST_CASE(memory_that_is_shared_with_a_child_is_kept) {
  NEED_DEVICE();
  const Context context;
  const Map map = touched(kBytes);
  const pid_t child = fork();
  BOOST_REQUIRE(child >= 0);
  if (!child) {
    pause();
    _exit(0);
  }
  const Pinned pinned(context, map.data(), kBytes);
  BOOST_TEST(!is_stale(context, pinned.id));
  BOOST_TEST(finds(context, map.data(), kBytes));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  // likewise pages that were read only, and so were the one of zeros
  const Map zeros = anonymous(kBytes);
  for (size_t i = 0; i < kPages; i++) BOOST_REQUIRE(zeros.data()[i * kPage] == 0);
  BOOST_TEST(!finds(context, zeros.data(), kBytes));
  BOOST_TEST(finds(context, zeros.data(), kBytes));
}

BOOST_AUTO_TEST_CASE(what_is_revoked_is_not_found) {
  NEED_DEVICE();
  const Context context;
  const int64_t before = pinned_pages();
  const Map map = touched(kBytes);
  const Pinned first(context, map.data(), kBytes);
  aiaccel_buffer_revoke revoke{};
  revoke.id = first.id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_REVOKE, revoke), 0);
  const Pinned second(context, map.data(), kBytes);
  BOOST_TEST(!second.found());
  BOOST_TEST(info_of(context, second.id).state == 0u);
  BOOST_TEST(finds(context, map.data(), kBytes));
  BOOST_TEST(destroy_errno(context, first.id) == 0);
  BOOST_TEST(pinned_pages() == before + static_cast<int64_t>(kPages));
  // the last id of one goes after it was revoked: it is not kept
  revoke.id = second.id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_REVOKE, revoke), 0);
  BOOST_TEST(destroy_errno(context, second.id) == 0);
  BOOST_TEST(pinned_pages() == before);
}

// A call that fails changes nothing: the caller does not know that anything was pinned.
BOOST_AUTO_TEST_CASE(what_cannot_be_told_is_not_kept) {
  NEED_DEVICE();
  const Context context;
  const int64_t before = pinned_pages();
  const Map map = touched(kBytes), argument = anonymous(kPage);
  const aiaccel_pin pin = range_of(map.data(), kBytes, kCached);
  memcpy(argument.data(), &pin, sizeof(pin));
  reinterpret_cast<aiaccel_pin*>(argument.data())->size = sizeof(pin);
  BOOST_REQUIRE_EQUAL(mprotect(argument.data(), kPage, PROT_READ), 0);
  BOOST_TEST(context.call(AIACCEL_IOC_PIN, argument.data()) == EFAULT);
  BOOST_TEST(pinned_pages() == before);
  // and what was kept before stays
  BOOST_TEST(!finds(context, map.data(), kBytes));
  BOOST_TEST(context.call(AIACCEL_IOC_PIN, argument.data()) == EFAULT);
  BOOST_TEST(finds(context, map.data(), kBytes));
}

BOOST_AUTO_TEST_CASE(the_oldest_go) {
  NEED_DEVICE();
  constexpr size_t kMore = 44, kMost = AIACCEL_CACHED_MAX;
  const Context context;
  const int64_t before = pinned_pages();
  const Map map = touched((kMost + kMore) * kPage);
  const auto at = [&](size_t i) { return map.data() + i * kPage; };
  for (size_t i = 0; i < kMost + kMore; i++) BOOST_TEST(!finds(context, at(i), kPage));
  BOOST_TEST(pinned_pages() == before + static_cast<int64_t>(kMost));
  // what is used again is young again
  BOOST_TEST(finds(context, at(kMore), kPage));
  BOOST_TEST(!finds(context, at(0), kPage));
  BOOST_TEST(finds(context, at(kMore), kPage));
  BOOST_TEST(!finds(context, at(kMore + 1), kPage));
  // What is in use does not count.
  std::vector<uint32_t> ids;
  for (size_t i = 0; i < kMost + kMore; i++) ids.push_back(Pinned(context, at(i), kPage).id);
  BOOST_TEST(pinned_pages() == before + static_cast<int64_t>(kMost + kMore));
  for (const uint32_t id : ids) BOOST_TEST(destroy_errno(context, id) == 0);
  BOOST_TEST(pinned_pages() == before + static_cast<int64_t>(kMost));
}

BOOST_AUTO_TEST_CASE(what_nobody_uses_is_given_back_before_a_ceiling_refuses) {
  NEED_DEVICE();
  const Reloaded module("tenants=user tenant_memory_mib=2 memory_mib=3");
  const Context context;
  const Map map = touched(4 << 20);
  aiaccel_quota quota{};
  quota.kind = AIACCEL_BUFFER_PINNED;
  // by PIN
  BOOST_TEST(!finds(context, map.data(), 1 << 20));
  BOOST_TEST(!finds(context, map.data() + (1 << 20), 1 << 19));
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_QUOTA, quota), 0);
  BOOST_TEST(quota.tenant_bytes == 1u << 19);
  const Pinned instead(context, map.data() + (2 << 20), 3 << 19, AIACCEL_PIN_WRITE);
  BOOST_TEST(context.query().pinned_bytes == 3u << 19);
  BOOST_TEST(destroy_errno(context, instead.id) == 0);
  BOOST_TEST(context.query().pinned_bytes == 0u);
  // by ALLOC, but not what is in use
  const Pinned used(context, map.data(), 1 << 20);
  BOOST_TEST(!used.found());
  BOOST_TEST(!finds(context, map.data() + (1 << 20), 1 << 20));
  aiaccel_alloc alloc{};
  alloc.length = (1 << 20) + 1;
  BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == EDQUOT);
  BOOST_TEST(alloc.refused_by == AIACCEL_REFUSED_TENANT);
  BOOST_TEST(context.query().pinned_bytes == 1u << 20);
  BOOST_TEST(!is_stale(context, used.id));
  BOOST_TEST(!finds(context, map.data() + (1 << 20), 1 << 20));
  alloc.length = 1 << 20;
  BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == 0);
  BOOST_TEST(alloc.refused_by == AIACCEL_REFUSED_NOT);
  BOOST_TEST(destroy_errno(context, alloc.id) == 0);
  BOOST_TEST(destroy_errno(context, used.id) == 0);
  // the module's ceiling: another tenant has the rest, and 1 MiB is kept
  int ready[2], done[2];
  BOOST_REQUIRE((pipe(ready) == 0 && pipe(done) == 0));
  chmod(kDevice, 0666);
  const pid_t other = fork();
  BOOST_REQUIRE(other >= 0);
  if (!other) {
    become_user(4310);
    const Context theirs;
    aiaccel_alloc most{};
    most.length = 2 << 20;
    const char byte = theirs(AIACCEL_IOC_ALLOC, most) ? 'f' : 'o';
    char end;
    if (write(ready[1], &byte, 1) != 1) _exit(1);
    close(done[1]);
    _exit(read(done[0], &end, 1) == 0 ? 0 : 1);
  }
  char told = 0;
  BOOST_REQUIRE(read(ready[0], &told, 1) == 1);
  BOOST_TEST(told == 'o');
  chmod(kDevice, 0660);
  BOOST_TEST(!finds(context, map.data() + (3 << 20), 1 << 20));
  alloc.length = 1 << 20;
  BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == 0);
  alloc.length = kPage;
  BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == EDQUOT);
  BOOST_TEST(alloc.refused_by == AIACCEL_REFUSED_MODULE);
  for (const int fd : {ready[0], ready[1], done[0], done[1]}) close(fd);
  int status = -1;
  BOOST_TEST(waitpid(other, &status, 0) == other);
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(what_nobody_uses_is_given_back_before_the_memlock_limit_refuses) {
  NEED_DEVICE();
  chmod(kDevice, 0666);
  const int status = in_child([] {
    const rlimit limit{16 * kPage, 16 * kPage};
    if (setrlimit(RLIMIT_MEMLOCK, &limit)) return 1;
    become_user(4311);
    const Context context;
    const Map map = anonymous(64 * kPage);
    uint32_t ids[2];
    for (uint32_t& id : ids) {
      aiaccel_pin pin = range_of(map.data() + (&id - ids) * 8 * kPage, 8 * kPage, kCached);
      if (context(AIACCEL_IOC_PIN, pin)) return 2;
      id = pin.id;
    }
    if (try_pin(context, map.data() + 32 * kPage, kPage, kCached) != ENOMEM) return 3;
    if (destroy_errno(context, ids[0])) return 4;
    if (try_pin(context, map.data() + 32 * kPage, 9 * kPage, kCached) != ENOMEM) return 5;
    if (try_pin(context, map.data() + 32 * kPage, 8 * kPage, 0)) return 6;
    return 0;
  });
  BOOST_TEST(status == 0);
  chmod(kDevice, 0660);
}

// What is kept cannot be reclaimed, so ALLOC asks for it before it says that there is no memory.
BOOST_AUTO_TEST_CASE(what_nobody_uses_is_given_back_before_memory_is_refused) {
  NEED_DEVICE();
  const Reloaded module("memory_mib=1000000 tenant_memory_mib=1000000");
  constexpr size_t kLength = 1 << 20;
  const Map map = touched(kLength);
  const auto gives_back = [&](uint64_t wanted, uint32_t by) {
    const Context context;
    BOOST_TEST(!finds(context, map.data(), kLength));
    BOOST_TEST(finds(context, map.data(), kLength));
    BOOST_TEST(context.query().pinned_bytes == kLength);
    aiaccel_alloc alloc{};
    alloc.length = wanted;
    BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == ENOMEM);
    BOOST_TEST(alloc.refused_by == by);
    BOOST_TEST(context.query().pinned_bytes == 0u);
    // what is in use stays
    const Pinned used(context, map.data(), kLength);
    BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == ENOMEM);
    BOOST_TEST(finds(context, map.data(), kLength));
  };
  gives_back(1ULL << 39, AIACCEL_REFUSED_MEMORY);
  if (!have_cgroups()) SKIP("no cgroup version 2");
  std::ofstream(kCgroups + "/cgroup.subtree_control") << "+memory" << std::flush;
  const Cgroup small("/aiaccel-small");
  std::ofstream max(small.path() + "/memory.max");
  if (!(max << (24 << 20) << std::flush)) SKIP("no memory controller");
  small.enter();
  gives_back(48 << 20, AIACCEL_REFUSED_MEMCG);
  Cgroup::leave();
}

namespace {

// Processes that keep all processors but one from the kernel's threads, for as long as run() takes,
// whose caller has that one; or for a second, after which the kernel lets them run all the same.
class Alone {
 public:
  // They begin, and sleep.
  Alone() {
    sched_getaffinity(0, sizeof before_, &before_);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
      if (!CPU_ISSET(cpu, &before_)) continue;
      if (own_ >= 0)
        others_.push_back(fork_for(cpu));
      else
        own_ = cpu;
    }
  }
  ~Alone() {
    word(0) = kEnd;
    for (const pid_t other : others_) waitpid(other, nullptr, 0);
  }
  Alone(const Alone&) = delete;

  template <typename Body>
  void run(const Body& body) {
    word(0) = kGo;
    BOOST_REQUIRE(eventually([&] { return word(1) == others_.size(); }));
    take(own_);
    body();
    word(0) = kEnd;
    const sched_param none{};
    sched_setscheduler(0, SCHED_OTHER, &none);
    sched_setaffinity(0, sizeof before_, &before_);
  }

 private:
  enum : uint32_t { kGo = 1, kEnd };

  volatile uint32_t& word(size_t at) const {
    return reinterpret_cast<volatile uint32_t*>(shared_.data())[at];
  }
  static void take(int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_param first{};
    first.sched_priority = 1;
    if (sched_setaffinity(0, sizeof one, &one) || sched_setscheduler(0, SCHED_FIFO, &first))
      _exit(103);
  }
  pid_t fork_for(int cpu) const {
    const pid_t other = fork();
    BOOST_REQUIRE(other >= 0);
    if (other) return other;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (!word(0)) usleep(1000);
    take(cpu);
    __atomic_fetch_add(&word(1), 1, __ATOMIC_SEQ_CST);
    while (word(0) != kEnd) continue;
    _exit(0);
  }

  const Map shared_{kPage, kReadWrite, MAP_SHARED | MAP_ANONYMOUS, -1, 0};
  cpu_set_t before_;
  int own_ = -1;
  std::vector<pid_t> others_;
};

}  // namespace

// What is unmapped is on its way back: by the work item, which has no processor here, so by the
// ALLOC that finds no memory.
BOOST_AUTO_TEST_CASE(what_was_kept_of_memory_that_is_unmapped_is_allocated_anew) {
  NEED_DEVICE();
  if (!have_cgroups()) SKIP("no cgroup version 2");
  constexpr size_t kLength = 16 << 20;
  std::ofstream(kCgroups + "/cgroup.subtree_control") << "+memory" << std::flush;
  const Cgroup small("/aiaccel-small");
  std::ofstream max(small.path() + "/memory.max");
  if (!(max << (kLength / 2 * 3) << std::flush)) SKIP("no memory controller");
  const Context context;
  Alone alone;
  small.enter();
  Map map = touched(kLength);
  const Pinned pinned(context, map.data(), kLength);
  aiaccel_alloc alloc{};
  alloc.length = kLength;
  // In use, it is in the way.
  BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == ENOMEM);
  BOOST_TEST(alloc.refused_by == AIACCEL_REFUSED_MEMCG);
  BOOST_TEST(destroy_errno(context, pinned.id) == 0);
  BOOST_TEST(context.query().pinned_bytes == kLength);
  int err = -1;
  alone.run([&] {
    map.unmap();
    err = context(AIACCEL_IOC_ALLOC, alloc);
  });
  BOOST_TEST(err == 0);
  BOOST_TEST(context.query().pinned_bytes == kLength);
  BOOST_TEST(destroy_errno(context, alloc.id) == 0);
  Cgroup::leave();
}

// The work item and the end of the context meet.
BOOST_AUTO_TEST_CASE(contexts_end_while_pins_go_stale) {
  NEED_DEVICE();
  const int64_t before = pinned_pages();
  const Fd fd = memfd(kBytes);
  for (int round = 0; round < 200; round++) {
    Context context;
    const Map kept = touched(kBytes), used = touched(kBytes);
    Map shared(kBytes, kReadWrite, MAP_SHARED, fd.get(), 0);
    BOOST_REQUIRE_EQUAL(try_pin(context, used.data(), kBytes, kCached), 0);
    aiaccel_pin pin = range_of(shared.data(), kBytes, kCached);
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, pin), 0);
    BOOST_REQUIRE_EQUAL(destroy_errno(context, pin.id), 0);
    for (size_t i = 0; i < kPages; i++) {
      pin = range_of(kept.data() + i * kPage, kPage, kCached);
      BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, pin), 0);
      BOOST_REQUIRE_EQUAL(destroy_errno(context, pin.id), 0);
    }
    for (size_t i = 0; i < kPages; i += 2) madvise(kept.data() + i * kPage, kPage, MADV_DONTNEED);
    if (round % 2) shared.unmap();
    if (round % 3) madvise(used.data(), kBytes, MADV_DONTNEED);
    context.close();
  }
  BOOST_TEST(pinned_pages() == before);
}

BOOST_AUTO_TEST_CASE(kept_pins_go_with_the_address_space) {
  NEED_DEVICE();
  const int64_t before = pinned_pages();
  int hold[2];
  BOOST_REQUIRE_EQUAL(pipe(hold), 0);
  // The opener ends; its child has the file for longer.
  const int status = in_child([&] {
    const Context context;
    const Map map = anonymous(kBytes);
    aiaccel_pin pin = range_of(map.data(), kBytes, kCached);
    if (context(AIACCEL_IOC_PIN, pin)) return 1;
    const pid_t heir = fork();
    if (heir < 0) return 2;
    if (!heir) {
      char byte;
      close(hold[1]);
      while (read(hold[0], &byte, 1) > 0) continue;
      _exit(0);
    }
    // only now: what was pinned before is stale by the fork
    aiaccel_pin again = range_of(map.data() + kPage, kPage, kCached);
    if (context(AIACCEL_IOC_PIN, again)) return 3;
    if (destroy_errno(context, again.id)) return 4;
    return destroy_errno(context, pin.id) ? 5 : 0;
  });
  BOOST_TEST(status == 0);
  BOOST_TEST(eventually([&] { return pinned_pages() == before; }));
  close(hold[0]);
  close(hold[1]);
  // killed with some in use and some not
  for (int round = 0; round < 20; round++) {
    const pid_t victim = fork();
    BOOST_REQUIRE(victim >= 0);
    if (!victim) {
      const Context context;
      const Map map = anonymous(kBytes);
      for (size_t i = 0;; i = (i + 1) % kPages) {
        aiaccel_pin pin = range_of(map.data() + i * kPage, kPage, kCached);
        if (context(AIACCEL_IOC_PIN, pin)) continue;
        if (i % 2) destroy_errno(context, pin.id);
        if (i == 0) madvise(map.data(), kBytes, MADV_DONTNEED);
      }
    }
    usleep(10000 + 3000 * static_cast<useconds_t>(round));
    kill(victim, SIGKILL);
    waitpid(victim, nullptr, 0);
  }
  BOOST_TEST(eventually([&] { return pinned_pages() == before; }));
}

// Threads that pin and let go of ranges that each has for itself, and of some that all have, while
// these change. Nothing in a thread asserts: Boost is for one.
BOOST_AUTO_TEST_CASE(many_threads) {
  NEED_DEVICE();
  constexpr int kThreads = 6, kRounds = 400;
  const int64_t before = pinned_pages();
  const Fd fd = memfd(kBytes);
  std::atomic<int> refused{0}, stale{0}, found{0};
  {
    const Context context;
    const Map all = touched(kBytes), shared(kBytes, kReadWrite, MAP_SHARED, fd.get(), 0);
    std::vector<Map> owns;
    for (int i = 0; i < kThreads; i++) owns.push_back(anonymous(kBytes));
    const auto work = [&](unsigned seed, const Map& own) {
      for (int round = 0; round < kRounds; round++) {
        seed = seed * 1103515245 + 12345;
        const unsigned draw = seed >> 16;
        // What is its own is never stale after it was changed: nobody else changes it.
        // (Nor is there a hole meanwhile, into which others would be mapped.)
        if (draw % 4 == 0 && mmap(own.data(), kBytes, kReadWrite,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
          refused++;
        aiaccel_pin pin = range_of(own.data(), kBytes, kCached);
        if (context(AIACCEL_IOC_PIN, pin)) {
          refused++;
          continue;
        }
        aiaccel_buffer_info info{};
        info.id = pin.id;
        if (context(AIACCEL_IOC_BUFFER_INFO, info) || info.state || info.handles != 1) stale++;
        char* const any = draw % 2 ? all.data() : shared.data();
        aiaccel_pin other = range_of(any, (1 + draw / 2 % 3) * kPage, kCached);
        const bool has = context(AIACCEL_IOC_PIN, other) == 0;
        if (has) found++;
        if (draw % 8 == 1) madvise(any, kBytes, MADV_DONTNEED);
        if (draw % 8 == 2)
          fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kPage);
        if (has) destroy_errno(context, other.id);
        if (destroy_errno(context, pin.id)) refused++;
      }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; i++) threads.emplace_back(work, i + 1, std::cref(owns[i]));
    for (std::thread& thread : threads) thread.join();
    BOOST_TEST(refused == 0);
    BOOST_TEST(stale == 0);
    BOOST_TEST(found == kThreads * kRounds);
  }
  BOOST_TEST(pinned_pages() == before);
}

BOOST_AUTO_TEST_SUITE_END()
