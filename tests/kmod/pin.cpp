// SPDX-License-Identifier: MIT
//
// PIN: what can be pinned, how, and by whom.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(pin)

namespace {

constexpr size_t kHuge = 2 << 20;
constexpr int kHugeOrder = 9;

int pin(const Context& context, aiaccel_pin& pin) { return context(AIACCEL_IOC_PIN, pin); }

int try_pin(const Context& context, const Map& map, uint32_t flags) {
  aiaccel_pin arg = pin_of(map, flags);
  return pin(context, arg);
}

// Pages pinned now, by anybody; exact once the counters of each CPU are summed up.
long pinned_pages() {
  std::string discard;
  std::ifstream("/proc/sys/vm/stat_refresh") >> discard;
  std::ifstream file("/proc/vmstat");
  std::string name;
  long value = 0, pages = 0;
  while (file >> name >> value) {
    if (name == "nr_foll_pin_acquired") pages += value;
    if (name == "nr_foll_pin_released") pages -= value;
  }
  return pages;
}

Fd file_of(const char* path, size_t length) {
  Fd fd(open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  BOOST_REQUIRE(fd.get() >= 0);
  unlink(path);
  BOOST_REQUIRE_EQUAL(ftruncate(fd.get(), static_cast<off_t>(length)), 0);
  return fd;
}

Fd memfd(size_t length, unsigned flags = 0) {
  Fd fd(memfd_create("test", flags | MFD_CLOEXEC));
  BOOST_REQUIRE(fd.get() >= 0);
  BOOST_REQUIRE_EQUAL(ftruncate(fd.get(), static_cast<off_t>(length)), 0);
  return fd;
}

bool reserve_huge_pages(int count) {
  std::ofstream("/proc/sys/vm/nr_hugepages") << count << std::flush;
  int have = 0;
  std::ifstream("/proc/sys/vm/nr_hugepages") >> have;
  return have >= count;
}

void set_memlock(rlim_t bytes) {
  const rlimit limit{bytes, bytes};
  if (setrlimit(RLIMIT_MEMLOCK, &limit)) _exit(101);
}

}  // namespace

BOOST_AUTO_TEST_CASE(anonymous_memory_is_pinned_and_let_go) {
  NEED_DEVICE();
  cpu_set_t cpus, before_cpus;
  sched_getaffinity(0, sizeof(before_cpus), &before_cpus);
  CPU_ZERO(&cpus);
  CPU_SET(0, &cpus);
  sched_setaffinity(0, sizeof(cpus), &cpus);  // new pages come from node 0
  const Context context;
  const uint64_t charged = context.query().pinned_bytes;
  const long before = pinned_pages();
  const Map map = anonymous(1000 * kPage);
  for (const uint32_t flags : {0u, AIACCEL_PIN_WRITE}) {
    aiaccel_pin arg = pin_of(map, flags);
    BOOST_REQUIRE_EQUAL(pin(context, arg), 0);
    BOOST_TEST(pinned_pages() == before + 1000);
    BOOST_TEST(context.query().pinned_bytes == charged + 1000 * kPage);
    aiaccel_buffer_info info{};
    info.id = arg.id;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
    BOOST_TEST(info.kind == AIACCEL_BUFFER_PINNED);
    BOOST_TEST(info.flags == flags);
    BOOST_TEST(info.length == map.size());
    BOOST_TEST(info.charged_bytes == map.size());
    BOOST_TEST(info.mmap_offset == 0u);
    BOOST_TEST(info.numa_node == 0);
    aiaccel_destroy destroy{};
    destroy.id = arg.id;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_DESTROY, destroy), 0);
    BOOST_TEST(pinned_pages() == before);
    BOOST_TEST(context.query().pinned_bytes == charged);
  }
  sched_setaffinity(0, sizeof(before_cpus), &before_cpus);
}

BOOST_AUTO_TEST_CASE(a_closed_file_lets_go) {
  NEED_DEVICE();
  const long before = pinned_pages();
  const Map map = anonymous(100 * kPage);
  {
    const Context context;
    BOOST_REQUIRE_EQUAL(try_pin(context, map, AIACCEL_PIN_WRITE), 0);
    BOOST_REQUIRE_EQUAL(try_pin(context, map, 0), 0);
    BOOST_TEST(pinned_pages() == before + 200);
  }
  BOOST_TEST(pinned_pages() == before);
}

BOOST_AUTO_TEST_CASE(holes_and_wrong_rights_are_efault_and_pin_nothing) {
  NEED_DEVICE();
  const Context context;
  const long before = pinned_pages();
  const uint64_t charged = context.query().pinned_bytes;
  Map map = anonymous(700 * kPage);
  munmap(map.data() + 600 * kPage, kPage);
  BOOST_TEST(try_pin(context, map, 0) == EFAULT);
  const Map none = anonymous(kPage, PROT_NONE);
  BOOST_TEST(try_pin(context, none, 0) == EFAULT);
  const Map readable = anonymous(kPage, PROT_READ);
  BOOST_TEST(try_pin(context, readable, AIACCEL_PIN_WRITE) == EFAULT);
  aiaccel_pin arg{};
  const uint64_t kKernel = 0xffff888000000000, kEnd = uint64_t{0} - (4 << 20);
  for (const uint64_t addr : {uint64_t{0}, uint64_t{1} << 47, kKernel, kEnd}) {
    arg.addr = addr;
    arg.length = kPage;
    BOOST_TEST(pin(context, arg) == EFAULT, "address " << addr);
  }
  arg.addr = ~0ULL;
  BOOST_TEST(pin(context, arg) == EOVERFLOW);
  BOOST_TEST(pinned_pages() == before);
  BOOST_TEST(context.query().pinned_bytes == charged);
}

BOOST_AUTO_TEST_CASE(a_file_that_ends_early_pins_nothing) {
  NEED_DEVICE();
  const Context context;
  const long before = pinned_pages();
  const Fd fd = memfd(600 * kPage);
  const Map map(700 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  BOOST_TEST(try_pin(context, map, AIACCEL_PIN_WRITE) == EFAULT);
  BOOST_TEST(pinned_pages() == before);
}

// What is pinned for reading must be what the caller has, also after it writes.
BOOST_AUTO_TEST_CASE(a_read_only_pin_holds_the_callers_own_pages) {
  NEED_DEVICE();
  const Context context;
  const Map map = anonymous(kPage);
  volatile char byte = map.data()[0];  // the zero page is mapped
  (void)byte;
  const auto frame = [&] {
    const Fd fd(open("/proc/self/pagemap", O_RDONLY));
    uint64_t entry = 0;
    BOOST_REQUIRE(pread(fd.get(), &entry, 8, static_cast<off_t>(map.address() / kPage * 8)) == 8);
    return entry & ((1ULL << 55) - 1);
  };
  BOOST_REQUIRE_EQUAL(try_pin(context, map, 0), 0);
  const uint64_t pinned = frame();
  map.data()[0] = 1;
  BOOST_TEST(frame() == pinned);
  // also of memory that the program may not write just now, and over a fork
  const Map readable = anonymous(kPage);
  readable.data()[0] = 2;
  BOOST_REQUIRE_EQUAL(mprotect(readable.data(), kPage, PROT_READ), 0);
  BOOST_TEST(try_pin(context, readable, 0) == 0);
  BOOST_TEST(in_child([&] { return map.data()[0] == 1 ? 0 : 1; }) == 0);
  map.data()[0] = 3;
  BOOST_TEST(frame() == pinned);
}

BOOST_AUTO_TEST_CASE(shared_memory_is_pinned) {
  NEED_DEVICE();
  const Context context;
  const Fd fd = memfd(10 * kPage);
  const Map writable(10 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  BOOST_TEST(try_pin(context, writable, AIACCEL_PIN_WRITE) == 0);
  BOOST_TEST(try_pin(context, writable, 0) == 0);
  const Map readable(10 * kPage, PROT_READ, MAP_SHARED, fd.get(), 0);
  BOOST_TEST(try_pin(context, readable, 0) == 0);
  BOOST_TEST(try_pin(context, readable, AIACCEL_PIN_WRITE) == EFAULT);
  const Map nameless(kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  BOOST_TEST(try_pin(context, nameless, AIACCEL_PIN_WRITE) == 0);
  const Fd tmpfs = file_of("/dev/shm/aiaccel-test", kPage);
  const Map on_tmpfs(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, tmpfs.get(), 0);
  BOOST_TEST(try_pin(context, on_tmpfs, AIACCEL_PIN_WRITE) == 0);
}

BOOST_AUTO_TEST_CASE(a_memfd_cannot_be_sealed_while_pinned_for_writing) {
  NEED_DEVICE();
  const Context context;
  const Fd fd = memfd(kPage, MFD_ALLOW_SEALING);
  Map map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  BOOST_REQUIRE_EQUAL(try_pin(context, map, AIACCEL_PIN_WRITE), 0);
  map.unmap();
  BOOST_TEST(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE) == -1);
  BOOST_TEST(errno == EBUSY);
}

// Its mappings from before may still be written to, which is not for devices to do.
BOOST_AUTO_TEST_CASE(a_sealed_memfd_is_not_pinned_for_writing) {
  NEED_DEVICE();
  const Context context;
  for (const unsigned flags : {0u, MFD_HUGETLB}) {
    const size_t length = flags ? 2 << 20 : kPage;
    const Fd fd = memfd(length, MFD_ALLOW_SEALING | flags);
    const Map before(length, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (flags && before.error()) continue;  // no huge pages are set aside
    BOOST_REQUIRE_EQUAL(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
    if (!flags) before.data()[0] = 1;
    BOOST_TEST(try_pin(context, before, AIACCEL_PIN_WRITE) == EPERM);
    if (!flags) BOOST_TEST(try_pin(context, before, 0) == 0);
  }
}

BOOST_AUTO_TEST_CASE(files_devices_and_private_file_mappings_are_refused) {
  NEED_DEVICE();
  const Context context;
  const Fd shm = memfd(kPage);
  const Map private_shm(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, shm.get(), 0);
  BOOST_TEST(try_pin(context, private_shm, AIACCEL_PIN_WRITE) == EOPNOTSUPP);
  const Fd program(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  const Map private_file(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, program.get(), 0);
  BOOST_REQUIRE_EQUAL(private_file.error(), 0);
  private_file.data()[0] = 1;  // a private copy now, and still refused
  BOOST_TEST(try_pin(context, private_file, AIACCEL_PIN_WRITE) == EOPNOTSUPP);
  BOOST_TEST(try_pin(context, private_file, 0) == EOPNOTSUPP);
  const Map shared_file(kPage, PROT_READ, MAP_SHARED, program.get(), 0);
  BOOST_REQUIRE_EQUAL(shared_file.error(), 0);
  BOOST_TEST(try_pin(context, shared_file, 0) == EOPNOTSUPP);
  const Map own = context.map(kPage, context.alloc(kPage).mmap_offset);
  BOOST_TEST(try_pin(context, own, AIACCEL_PIN_WRITE) == EOPNOTSUPP);
  const Map ring = context.map(kPage, AIACCEL_RING_OFFSET, PROT_READ);
  BOOST_TEST(try_pin(context, ring, 0) == EOPNOTSUPP);
  const Fd zero(open("/dev/mem", O_RDONLY | O_CLOEXEC));
  const Map device(kPage, PROT_READ, MAP_SHARED, zero.get(), 0);
  if (!device.error()) BOOST_TEST(try_pin(context, device, 0) == EOPNOTSUPP);
}

BOOST_AUTO_TEST_CASE(a_range_over_several_mappings) {
  NEED_DEVICE();
  const Context context;
  const Fd fd = memfd(2 * kPage);
  const Map map = anonymous(6 * kPage);
  BOOST_REQUIRE(mmap(map.data() + 2 * kPage, 2 * kPage, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_FIXED, fd.get(), 0) != MAP_FAILED);
  BOOST_TEST(try_pin(context, map, AIACCEL_PIN_WRITE) == 0);
  BOOST_REQUIRE(mmap(map.data() + 2 * kPage, 2 * kPage, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_FIXED, fd.get(), 0) != MAP_FAILED);
  BOOST_TEST(try_pin(context, map, AIACCEL_PIN_WRITE) == EOPNOTSUPP);
}

BOOST_AUTO_TEST_CASE(huge_pages) {
  NEED_DEVICE();
  if (!reserve_huge_pages(4)) SKIP("no huge pages to be had");
  const Context context;
  const long before = pinned_pages();
  {
    const Map nameless(2 * kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
                       -1, 0);
    BOOST_REQUIRE_EQUAL(nameless.error(), 0);
    aiaccel_pin arg = pin_of(nameless, AIACCEL_PIN_WRITE);
    BOOST_REQUIRE_EQUAL(pin(context, arg), 0);
    aiaccel_buffer_info info{};
    info.id = arg.id;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
    BOOST_TEST(info.largest_run_bytes >= kHuge);
    BOOST_TEST(info.nr_runs <= 2u);
    BOOST_TEST(info.folio_bytes[kHugeOrder] == 2 * kHuge);
    BOOST_TEST(info.folio_bytes[0] == 0u);
    const Fd fd = memfd(2 * kHuge, MFD_HUGETLB);
    const Map shared(2 * kHuge, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    BOOST_REQUIRE_EQUAL(shared.error(), 0);
    aiaccel_pin part{};
    part.addr = shared.address() + kHuge - kPage;  // over the border of two
    part.length = 2 * kPage;
    BOOST_TEST(pin(context, part) == 0);
    info.id = part.id;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
    BOOST_TEST(info.folio_bytes[kHugeOrder] == 2 * kPage);  // what of them is in the buffer
  }
  BOOST_TEST(pinned_pages() == before + 1024 + 2);
  // transparent ones
  Map map = anonymous(4 * kHuge);
  madvise(map.data(), map.size(), MADV_HUGEPAGE);
  memset(map.data(), 1, map.size());
  BOOST_TEST(try_pin(context, map, AIACCEL_PIN_WRITE) == 0);
}

BOOST_AUTO_TEST_CASE(private_huge_pages_must_be_writable) {
  NEED_DEVICE();
  if (!reserve_huge_pages(4)) SKIP("no huge pages to be had");
  const Context context;
  const int nameless = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
  const Map sealed(kHuge, PROT_READ, nameless, -1, 0);
  BOOST_REQUIRE_EQUAL(sealed.error(), 0);
  BOOST_TEST(try_pin(context, sealed, 0) == EOPNOTSUPP);
  const Fd fd = memfd(kHuge, MFD_HUGETLB);
  const Map read_only(kHuge, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  BOOST_REQUIRE_EQUAL(read_only.error(), 0);
  BOOST_TEST(try_pin(context, read_only, 0) == EOPNOTSUPP);
  // The pages of a memfd count as nameless ones. What is pinned is the caller's copy.
  const Map copy(kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd.get(), 0);
  BOOST_REQUIRE_EQUAL(copy.error(), 0);
  BOOST_TEST(try_pin(context, copy, 0) == 0);
  copy.data()[0] = 1;
  const Map shared(kHuge, PROT_READ, MAP_SHARED, fd.get(), 0);
  BOOST_REQUIRE_EQUAL(shared.error(), 0);
  BOOST_TEST(shared.data()[0] == 0);
}

BOOST_AUTO_TEST_CASE(memlock_of_an_ordinary_user) {
  NEED_DEVICE();
  chmod(kDevice, 0666);
  const int status = in_child([] {
    set_memlock(16 * kPage);
    become_user(4242);
    const Context context;
    const Map map = anonymous(17 * kPage);
    aiaccel_pin arg = pin_of(map, AIACCEL_PIN_WRITE);
    if (pin(context, arg) != ENOMEM || arg.refused_by != AIACCEL_REFUSED_RLIMIT) return 1;
    arg.length = 16 * kPage;
    if (pin(context, arg) != 0) return 2;
    aiaccel_pin more = pin_of(map, 0);
    more.length = 1;
    if (pin(context, more) != ENOMEM) return 3;
    // neither a second file nor a second process of the user gains anything
    const Context second;
    if (pin(second, more) != ENOMEM) return 4;
    const int child = in_child([&] {
      const Context third;
      aiaccel_pin again = more;
      return pin(third, again);
    });
    if (child != ENOMEM) return 5;
    aiaccel_destroy destroy{};
    destroy.id = arg.id;
    if (context(AIACCEL_IOC_DESTROY, destroy)) return 6;
    return pin(second, more) ? 7 : 0;
  });
  BOOST_TEST(status == 0);
  // what it held came back with its death
  const int again = in_child([] {
    set_memlock(16 * kPage);
    become_user(4242);
    const Context context;
    const Map map = anonymous(16 * kPage);
    return try_pin(context, map, 0);
  });
  BOOST_TEST(again == 0);
  chmod(kDevice, 0660);
}

BOOST_AUTO_TEST_CASE(memlock_is_given_back_to_the_user_it_was_taken_from) {
  NEED_DEVICE();
  chmod(kDevice, 0666);
  const int status = in_child([] {
    set_memlock(8 * kPage);
    if (setresuid(4243, 4243, 0)) return 1;  // CAP_IPC_LOCK is gone with the effective uid
    const Map map = anonymous(8 * kPage);
    {
      const Context context;
      if (try_pin(context, map, 0)) return 2;
      if (setresuid(0, 0, 0)) return 3;
    }  // let go as root
    if (setresuid(4243, 4243, 0)) return 4;
    const Context context;
    return try_pin(context, map, 0) ? 5 : 0;
  });
  BOOST_TEST(status == 0);
  chmod(kDevice, 0660);
}

BOOST_AUTO_TEST_CASE(more_than_the_tenants_ceiling_is_refused) {
  NEED_DEVICE();
  const Context context;
  const uint64_t length = context.query().max_pinned_bytes + kPage;
  const Map map(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  BOOST_REQUIRE_EQUAL(map.error(), 0);
  aiaccel_pin arg = pin_of(map, 0);
  BOOST_TEST(pin(context, arg) == EDQUOT);
  BOOST_TEST(arg.refused_by == AIACCEL_REFUSED_TENANT);
}

BOOST_AUTO_TEST_SUITE_END()
