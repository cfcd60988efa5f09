// SPDX-License-Identifier: MIT
//
// PIN: its arguments. What can be pinned, how, and by whom is in kmod/pin.cpp.
#include <fcntl.h>
#include <unistd.h>

#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(pin)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_pin, size, kIn), FIELD(aiaccel_pin, flags, kIn),
    FIELD(aiaccel_pin, addr, kIn), FIELD(aiaccel_pin, length, kIn),
    FIELD(aiaccel_pin, id, kOut),  FIELD(aiaccel_pin, refused_by, kRefusal),
};
static_assert(fills(kFields, 32) && sizeof(aiaccel_pin) == 32);

// Mapped from a file of a disk file system; for the whole program.
const Map& file_page() {
  static const Map* const map = [] {
    const Fd program(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    return new Map(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, program.get(), 0);
  }();
  BOOST_REQUIRE_EQUAL(map->error(), 0);
  return *map;
}

std::vector<Spoil> spoils_of(const Scene& scene) {
  const uint64_t page = scene.page.address(), file = file_page().address();
  Spoils<aiaccel_pin> spoils;  // those of a range set all of it: its ends are looked at together
  for (const uint32_t flags : {4u, 7u, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "flags", [=](auto& a) { a.flags = flags; });
  spoils.add(EINVAL, "no length", [](auto& a) { a.length = 0; });
  spoils.add(EOVERFLOW, "the last byte of all", [](auto& a) { a.addr = ~0ULL; });
  spoils.add(EOVERFLOW, "a length that wraps", [=](auto& a) { a.addr = page, a.length = ~0ULL; });
  spoils.add(EOVERFLOW, "a last page that wraps",
             [=](auto& a) { a.addr = page, a.length = 0 - page - 1; });
  // as a 32-bit program might extend its highest addresses
  spoils.add(EOVERFLOW, "a sign-extended address", [](auto& a) { a.addr = 0xfffffffffffff000; });
  for (const uint64_t address : U64s{0, 1ULL << 47, 0x8000000000000000, 0xffff888000000000,
                                     0xffffffffc0000000, page ^ 1ULL << 46})
    spoils.add(EFAULT, "nothing mapped", [=](auto& a) { a.addr = address; });
  for (const uint64_t length : U64s{1ULL << 32, 1ULL << 47, 1ULL << 62})
    spoils.add(EFAULT, "beyond what is mapped", [=](auto& a) { a.addr = page, a.length = length; });
  spoils.add(EOPNOTSUPP, "a file", [=](auto& a) { a.addr = file; });
  return spoils;
}

const Register kRow({"PIN", AIACCEL_IOC_PIN, kFields,
                     [](const Scene& scene) {
                       aiaccel_pin arg{};
                       arg.size = sizeof(arg);
                       arg.flags = AIACCEL_PIN_WRITE;
                       arg.addr = scene.page.address();
                       arg.length = 1;
                       return bytes_of(arg);
                     },
                     spoils_of});

}  // namespace

BOOST_AUTO_TEST_CASE(whole_pages_by_what_they_touch) {
  NEED_DEVICE();
  const Context context;
  const Map map = anonymous(4 * kPage);
  struct {
    uint64_t at, length, pages;
  } const ranges[] = {{0, 1, 1},         {0, kPage, 1},         {0, kPage + 1, 2},
                      {kPage - 1, 1, 1}, {kPage - 1, 2, 2},     {1, kPage - 1, 1},
                      {1, kPage, 2},     {kPage, 3 * kPage, 3}, {0, 4 * kPage, 4}};
  for (const auto& range : ranges) {
    const uint64_t before = context.query().pinned_bytes;
    aiaccel_pin pin{};
    pin.addr = map.address() + range.at;
    pin.length = range.length;
    BOOST_TEST(context(AIACCEL_IOC_PIN, pin) == 0);
    BOOST_TEST(context.query().pinned_bytes - before == range.pages * kPage,
               range.length << " at " << range.at);
    aiaccel_buffer_info info{};
    info.id = pin.id;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
    BOOST_TEST(info.length == range.length);
    BOOST_TEST(info.charged_bytes == range.pages * kPage);
  }
}

// What engines may have written must not be taken for clean and dropped. Anonymous pages are dirty
// to the page tables alone until somebody marks them.
BOOST_AUTO_TEST_CASE(pages_pinned_for_writing_are_dirty_afterwards) {
  NEED_DEVICE();
  const Fd flags(open("/proc/kpageflags", O_RDONLY | O_CLOEXEC));
  if (flags.get() < 0) SKIP("no /proc/kpageflags in this kernel");
  const Context context;
  const Map map = anonymous(2 * kPage);
  madvise(map.data(), map.size(), MADV_NOHUGEPAGE);
  memset(map.data(), 1, map.size());
  const auto dirty = [&](size_t page) {
    uint64_t bits = 0;
    const uint64_t frame = frame_of(map.data() + page * kPage);
    BOOST_REQUIRE(pread(flags.get(), &bits, 8, static_cast<off_t>(frame * 8)) == 8);
    return (bits >> 4 & 1) != 0;  // KPF_DIRTY
  };
  for (const uint32_t write : {0u, uint32_t{AIACCEL_PIN_WRITE}}) {
    const size_t page = write ? 1 : 0;
    BOOST_REQUIRE(!dirty(page));
    aiaccel_pin pin{};
    pin.flags = write;
    pin.addr = map.address() + page * kPage;
    pin.length = kPage;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, pin), 0);
    aiaccel_destroy destroy{};
    destroy.id = pin.id;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_DESTROY, destroy), 0);
    BOOST_TEST(dirty(page) == (write != 0));
  }
}

BOOST_AUTO_TEST_SUITE_END()
