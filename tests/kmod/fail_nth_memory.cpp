// SPDX-License-Identifier: MIT
//
// The faults of memory: ALLOC, PIN, BUFFER_INFO, QUOTA, DESTROY of a buffer, and mappings, at addresses
// where all levels of page tables are missing; and of buffers that are handed on.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/memfd.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include "cgroup.hpp"
#include "faults.hpp"
#include "handed.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(fail_nth_memory)

namespace {

constexpr size_t kHuge = 2 << 20;

int info_errno(const Context& context, uint32_t id) {
  aiaccel_buffer_info info{};
  info.id = id;
  return context(AIACCEL_IOC_BUFFER_INFO, info);
}

// The possible faults that BUFFER_INFO meets.
int faults_of_info(const Context& context, aiaccel_buffer_info info) {
  const Faults faults;
  faults.arm(kMostFaults);
  const int err = context.call(AIACCEL_IOC_BUFFER_INFO, &info);
  const int left = faults.disarm();
  BOOST_REQUIRE_EQUAL(err, 0);
  return kMostFaults - left;
}

// No id names what nobody was told of.
void look_for_ids(const Context& context, uint32_t last) {
  for (uint32_t id = last + 1; id < last + 4; id++) BOOST_TEST(info_errno(context, id) == ENOENT);
}

void sweep_alloc(const Context& context, const char* name, uint64_t pages, uint32_t placement,
                 int least) {
  aiaccel_alloc alloc{};
  uint32_t last = 0, other = 0;
  sweep({.name = name,
         .errors = {ENOMEM, EFAULT},
         .least = least,
         .call =
             [&] {
               alloc = {};
               alloc.length = pages * kPage;
               alloc.placement = placement;
               return context(AIACCEL_IOC_ALLOC, alloc);
             },
         .undo =
             [&] {
               BOOST_TEST(destroy_errno(context, alloc.id) == 0);
               BOOST_TEST(destroy_errno(context, other) == 0);
             },
         // What the last DESTROY left to be used again is used by another one.
         .prepare = [&] { last = other = context.alloc(kPage).id; },
         .look =
             [&](int err) {
               if (err) {
                 look_for_ids(context, last);
                 BOOST_TEST((err != ENOMEM || alloc.refused_by != AIACCEL_REFUSED_NOT));
               } else {
                 BOOST_TEST(alloc.id > last);
                 last = alloc.id;
               }
             }});
}

// A fault inside get_user_pages() may end as EFAULT too.
void sweep_pin(const Context& context, const char* name, const std::function<Map()>& make,
               uint32_t flags, int least) {
  Map map;
  aiaccel_pin pin{};
  uint32_t last = 0, other = 0;
  sweep({.name = name,
         .errors = {ENOMEM, EFAULT},
         .least = least,
         .call =
             [&] {
               pin = pin_of(map, flags);
               return context(AIACCEL_IOC_PIN, pin);
             },
         .undo =
             [&] {
               BOOST_TEST(destroy_errno(context, pin.id) == 0);
               BOOST_TEST(destroy_errno(context, other) == 0);
               map.unmap();
             },
         .prepare =
             [&] {
               map = make();
               last = other = context.alloc(kPage).id;
             },
         .look =
             [&](int err) {
               if (err) {
                 look_for_ids(context, last);
                 BOOST_TEST((err != ENOMEM || pin.refused_by != AIACCEL_REFUSED_NOT));
                 BOOST_TEST(pin.refused_by != uint32_t{AIACCEL_REFUSED_RLIMIT});
               } else {
                 BOOST_TEST(pin.id > last);
                 last = pin.id;
               }
             }});
}

// Of `resident` pages in place: faulting the rest in is part of the call.
Map partly_resident(int fd, size_t pages, size_t resident) {
  Map map(pages * kPage, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED,
          fd, 0);
  BOOST_REQUIRE_EQUAL(map.error(), 0);
  memset(map.data(), 1, resident * kPage);
  return map;
}

Map huge_pages(int flags) {
  Map map(3 * kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  BOOST_REQUIRE_EQUAL(map.error(), 0);
  memset(map.data(), 1, 2 * kHuge);
  return map;
}

// Root that pays as others do: the limit is what `bytes` need, so that not a page may stay charged.
class Ordinary {
 public:
  explicit Ordinary(size_t bytes) {
    BOOST_REQUIRE_EQUAL(getrlimit(RLIMIT_MEMLOCK, &limit_), 0);
    const rlimit own{bytes, limit_.rlim_max};
    BOOST_REQUIRE_EQUAL(setrlimit(RLIMIT_MEMLOCK, &own), 0);
    BOOST_REQUIRE_EQUAL(syscall(SYS_capget, &header_, before_), 0);
    __user_cap_data_struct less[2] = {before_[0], before_[1]};
    less[0].effective &= ~(1U << CAP_IPC_LOCK);
    BOOST_REQUIRE_EQUAL(syscall(SYS_capset, &header_, less), 0);
  }
  ~Ordinary() {
    BOOST_TEST(syscall(SYS_capset, &header_, before_) == 0);
    BOOST_TEST(setrlimit(RLIMIT_MEMLOCK, &limit_) == 0);
  }

 private:
  rlimit limit_{};
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct before_[2] = {};
};

int64_t charged_to(const Cgroup& cgroup) {
  int64_t bytes = 0;
  std::ifstream(cgroup.path() + "/memory.current") >> bytes;
  return bytes;
}

// A region of its own in every level of page tables.
char* const kFar = reinterpret_cast<char*>(0x200000000000);

int map_far(int fd, size_t length, int protection, uint64_t offset) {
  void* at = mmap(kFar, length, protection, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
                  static_cast<off_t>(offset));
  return at == MAP_FAILED ? errno : 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(alloc) {
  NEED_DEVICE();
  NEED_FAULTS();
  if (!have_cgroups()) SKIP("no cgroup version 2 at " + kCgroups);
  const Cgroup cgroup("/sweep");
  cgroup.enter();
  const Context context;
  context.alloc(600 * kPage);
  const int64_t before = charged_to(cgroup);
  BOOST_TEST(before >= static_cast<int64_t>(600 * kPage));
  sweep_alloc(context, "ALLOC, 1 page", 1, AIACCEL_PLACE_LOCAL, 6);
  sweep_alloc(context, "ALLOC, 600 pages", 600, AIACCEL_PLACE_LOCAL, 12);
  sweep_alloc(context, "ALLOC, 1300 pages interleaved", 1300, AIACCEL_PLACE_INTERLEAVE, 12);
  // Processors keep some charges for later: 64 pages each, of two kinds.
  BOOST_TEST(charged_to(cgroup) < before + static_cast<int64_t>(500 * kPage));
  Cgroup::leave();
}

BOOST_AUTO_TEST_CASE(pin) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Context context;
  const Fd memfd(static_cast<int>(syscall(SYS_memfd_create, "sweep", MFD_CLOEXEC)));
  {
    const Ordinary user(600 * kPage);
    sweep_pin(
        context, "PIN, anonymous", [] { return partly_resident(-1, 600, 590); }, AIACCEL_PIN_WRITE,
        20);
  }
  sweep_pin(
      context, "PIN, memfd",
      [&] {
        BOOST_REQUIRE_EQUAL(ftruncate(memfd.get(), 0), 0);
        BOOST_REQUIRE_EQUAL(ftruncate(memfd.get(), 40 * kPage), 0);
        return partly_resident(memfd.get(), 40, 36);
      },
      AIACCEL_PIN_WRITE, 12);
  const char* const transparent = "/sys/kernel/mm/transparent_hugepage/enabled";
  std::ofstream(transparent) << "always" << std::flush;
  sweep_pin(
      context, "PIN, huge pages", [] { return huge_pages(0); }, AIACCEL_PIN_WRITE, 5);
  std::ofstream(transparent) << "madvise" << std::flush;
  std::ofstream("/proc/sys/vm/nr_hugepages") << "4" << std::flush;
  sweep_pin(
      context, "PIN, hugetlb", [] { return huge_pages(MAP_HUGETLB); }, 0, 5);
  std::ofstream("/proc/sys/vm/nr_hugepages") << "0" << std::flush;
}

// What a failure leaves of a pin that is to be kept is nothing; and one that is kept already is
// found without much that could fail.
BOOST_AUTO_TEST_CASE(pin_cached) {
  NEED_DEVICE();
  NEED_FAULTS();
  constexpr uint32_t kFlags = AIACCEL_PIN_WRITE | AIACCEL_PIN_CACHED;
  Map map;
  aiaccel_pin pin{};
  const auto call = [&](const Context& context) {
    pin = pin_of(map, kFlags);
    return context(AIACCEL_IOC_PIN, pin);
  };
  const Context context;
  sweep({.name = "PIN, to be cached",
         .errors = {ENOMEM, EFAULT},
         .least = 10,
         .call = [&] { return call(context); },
         .undo =
             [&] {
               map.unmap();  // stale: not kept
               BOOST_TEST(destroy_errno(context, pin.id) == 0);
             },
         .prepare = [&] { map = partly_resident(-1, 40, 36); },
         .look =
             [&](int err) {
               BOOST_TEST((err != ENOMEM || pin.refused_by != AIACCEL_REFUSED_NOT));
               BOOST_TEST(pin.refused_by != uint32_t{AIACCEL_REFUSED_RLIMIT});
             }});
  map = partly_resident(-1, 40, 40);
  BOOST_REQUIRE_EQUAL(call(context), 0);
  BOOST_REQUIRE_EQUAL(destroy_errno(context, pin.id), 0);
  const auto destroyed = [&] { BOOST_TEST(destroy_errno(context, pin.id) == 0); };
  sweep({"PIN, cached", {EFAULT}, 2, [&] { return call(context); }, destroyed, {}, {}});
  uint32_t other = 0;
  sweep({"PIN, cached, with nothing prepared",
         {ENOMEM, EFAULT},
         3,
         [&] { return call(context); },
         [&] {
           destroyed();
           BOOST_TEST(destroy_errno(context, other) == 0);
         },
         [&] { other = context.alloc(kPage).id; },
         {}});
  sweep({"DESTROY, cached",
         {EFAULT},
         1,
         [&] { return destroy_errno(context, pin.id); },
         {},
         [&] { BOOST_REQUIRE_EQUAL(call(context), 0); },
         {}});
  map.unmap();
  // The first notifier of an address space.
  std::optional<Context> fresh;
  int status = in_child([&] {
    fresh.emplace();
    const Faults faults;
    int failures = 0;
    map = partly_resident(-1, 40, 40);
    for (int nth = 1; nth < kMostFaults; nth++) {
      faults.arm(nth);
      const int err = call(*fresh);
      const bool met = faults.disarm() == 0;
      if (err && err != ENOMEM && err != EFAULT) return 1;
      if (!err) return met || failures ? 0 : 2;
      failures++;
    }
    return 3;
  });
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(info_and_destroy) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Context context;
  aiaccel_alloc alloc = context.alloc(kPage);
  sweep({.name = "BUFFER_INFO",
         .errors = {ENOMEM, EFAULT},
         .least = 2,
         .call = [&] { return info_errno(context, alloc.id); },
         .undo = {},
         .prepare = {},
         .look = {}});
  aiaccel_quota quota{};
  sweep({.name = "QUOTA",
         .errors = {EFAULT},
         .least = 2,
         .call =
             [&] {
               quota = {};
               quota.kind = AIACCEL_BUFFER_ALLOCATED;
               return context(AIACCEL_IOC_QUOTA, quota);
             },
         .undo = {},
         .prepare = {},
         .look = {}});
  sweep({.name = "DESTROY, buffer",
         .errors = {EFAULT},
         .least = 1,
         .call = [&] { return destroy_errno(context, alloc.id); },
         .undo = {},
         .prepare = [&] { alloc = context.alloc(20 * kPage); },
         .look = {}});
}

// What the pages are told by is allocated for who asked for it: no others wait until all are looked
// at.
BOOST_AUTO_TEST_CASE(info_of_pages_that_nobody_asked_for) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Context context;
  uint64_t nodes[64] = {};
  aiaccel_buffer_info info{};
  info.id = context.alloc(kPage).id;
  info.size = offsetof(aiaccel_buffer_info, tenant);
  const int first = faults_of_info(context, info);
  info.size = offsetof(aiaccel_buffer_info, folio_bytes);
  BOOST_TEST(faults_of_info(context, info) == first);
  info.size = sizeof(info);
  BOOST_TEST(faults_of_info(context, info) > first);
  info.size = offsetof(aiaccel_buffer_info, folio_bytes);
  info.node_bytes = address(nodes);
  info.nr_nodes = 64;
  BOOST_TEST(faults_of_info(context, info) > first + 1);  // and it is written
}

BOOST_AUTO_TEST_CASE(export_and_import) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Context context, other;
  const uint32_t id = context.alloc(600 * kPage).id;
  Fd dma_buf;
  sweep({.name = "EXPORT",
         .errors = {ENOMEM, EFAULT},
         .least = 8,
         .call = [&] { return export_errno(context, id, &dma_buf); },
         .undo = [&] { dma_buf.close(); },
         .prepare = {},
         .look =
             [&](int err) {
               BOOST_TEST(info_of(context, id).exports == (err ? 0u : 1u));
               BOOST_TEST((dma_buf.get() < 0) == (err != 0));
             }});
  dma_buf = export_of(context, id);
  aiaccel_import import{};
  uint32_t last = 0;
  sweep({.name = "IMPORT of an export",
         .errors = {ENOMEM, EFAULT},
         .least = 4,
         .call = [&] { return import_errno(other, dma_buf, &import); },
         .undo = [&] { BOOST_TEST(destroy_errno(other, import.id) == 0); },
         .prepare = {},
         .look =
             [&](int err) {
               BOOST_TEST(info_of(context, id).handles == (err ? 1u : 2u));
               if (err) {
                 look_for_ids(other, last);
                 BOOST_TEST((err != ENOMEM || import.refused_by != AIACCEL_REFUSED_NOT));
               } else {
                 last = import.id;
               }
             }});
  sweep({"mmap, dma-buf",
         {ENOMEM},
         8,
         [&] { return map_far(dma_buf.get(), 600 * kPage, PROT_READ | PROT_WRITE, 0); },
         [&] { BOOST_TEST(munmap(kFar, 600 * kPage) == 0); },
         {},
         [&](int err) {
           BOOST_TEST(info_of(context, id).mappings == (err ? 0u : 1u));
           if (!err) kFar[600 * kPage - 1] = 1;
         }});
}

BOOST_AUTO_TEST_CASE(devices_of_other_drivers) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Driver driver;
  const Context context;
  const uint32_t id = context.alloc(600 * kPage).id;
  const Fd dma_buf = export_of(context, id);
  Importer importer;
  sweep({.name = "attach to an export",
         .errors = {ENOMEM, EFAULT},
         .least = 1,
         .call = [&] { return importer.attach(dma_buf); },
         .undo = [&] { importer.close(); },
         .prepare = [&] { importer = Importer(); },
         .look = [&](int err) { BOOST_TEST(info_of(context, id).importers == (err ? 0u : 1u)); }});
  importer = Importer();
  BOOST_REQUIRE_EQUAL(importer.attach(dma_buf), 0);
  importer_map map{};
  map.max_segment = kPage;  // several pages of segments
  sweep({.name = "map an export for a device",
         .errors = {ENOMEM, EFAULT},
         .least = 5,
         .call = [&] { return importer.call(IMPORTER_MAP, &map); },
         .undo = [&] { BOOST_TEST(importer.call(IMPORTER_UNMAP) == 0); },
         .prepare = {},
         // Where the driver could not tell, it is mapped.
         .look =
             [&](int err) {
               if (err == EFAULT) importer.call(IMPORTER_UNMAP);
             }});
}

BOOST_AUTO_TEST_CASE(buffer_revoke) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Context context;
  const Driver driver;
  aiaccel_alloc alloc{};
  Fd dma_buf;
  Map map;
  Importer importer;
  sweep({.name = "BUFFER_REVOKE",
         .errors = {EFAULT},
         .least = 3,
         .call = [&] { return revoke_errno(context, alloc.id); },
         .undo =
             [&] {
               map.unmap();
               importer.close();
               dma_buf.close();
               BOOST_TEST(destroy_errno(context, alloc.id) == 0);
             },
         .prepare =
             [&] {
               alloc = context.alloc(20 * kPage);
               dma_buf = export_of(context, alloc.id);
               importer = Importer();
               BOOST_REQUIRE_EQUAL(importer.attach(dma_buf, true), 0);
               map = context.map(20 * kPage, alloc.mmap_offset);
               map.data()[0] = 1;
             },
         // All of it is done, or nothing.
         .look =
             [&](int) {
               const bool revoked = info_of(context, alloc.id).state & AIACCEL_BUFFER_REVOKED;
               BOOST_TEST((touch(map.data()) == SIGBUS) == revoked);
               BOOST_TEST((importer.told() > 0) == revoked);
             }});
}

BOOST_AUTO_TEST_CASE(mappings) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Context context;
  const size_t length = 600 * kPage;  // more than one page of entries, and than one batch
  const aiaccel_alloc alloc = context.alloc(length);
  const size_t ring_bytes = context.query().ring_bytes;
  const auto map_buffer = [&] {
    return map_far(context.fd(), length, PROT_READ | PROT_WRITE, alloc.mmap_offset);
  };
  const auto unmap = [&] { BOOST_TEST(munmap(kFar, length) == 0); };
  const auto mapped = [&] { BOOST_REQUIRE_EQUAL(map_buffer(), 0); };
  sweep({"mmap, buffer", {ENOMEM}, 8, map_buffer, unmap, {}, [&](int err) {
           if (!err) kFar[length - 1] = 1;
         }});
  sweep({"mmap, ring",
         {ENOMEM},
         5,
         [&] { return map_far(context.fd(), ring_bytes, PROT_READ, AIACCEL_RING_OFFSET); },
         [&] { BOOST_TEST(munmap(kFar, ring_bytes) == 0); },
         {},
         {}});
  sweep({"mmap, consumed word",
         {ENOMEM},
         5,
         [&] {
           return map_far(context.fd(), kPage, PROT_READ | PROT_WRITE, AIACCEL_CONSUMED_OFFSET);
         },
         [&] { BOOST_TEST(munmap(kFar, kPage) == 0); },
         {},
         {}});
  sweep({"munmap, out of the middle",
         {ENOMEM},
         1,
         [&] { return munmap(kFar + kPage, kPage) ? errno : 0; },
         unmap,
         mapped,
         {}});
  char* const further = kFar + (1L << 40);
  sweep({"mremap",
         {ENOMEM},
         5,
         [&] {
           return mremap(kFar, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, further) == MAP_FAILED
                      ? errno
                      : 0;
         },
         // Without memory to take it away, the kernel leaves the old mapping behind, empty.
         [&] { BOOST_TEST((munmap(further, length) == 0 && munmap(kFar, length) == 0)); },
         mapped,
         {}});
}

BOOST_AUTO_TEST_SUITE_END()
