// SPDX-License-Identifier: MIT
//
// EXPORT: its arguments, and what it gives. What others make of it is in kmod/ and
// conformance/sharing.cpp.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kmod/dma_buf.hpp"
#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(export_buffer)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_export, size, kIn),
    FIELD(aiaccel_export, flags, kIn),
    FIELD(aiaccel_export, id, kIn),
    FIELD(aiaccel_export, fd, kOut),
};
static_assert(fills(kFields, 16) && sizeof(aiaccel_export) == 16);

const Register kRow({"EXPORT", AIACCEL_IOC_EXPORT, kFields,
                     [](const Scene& scene) {
                       aiaccel_export arg{};
                       arg.size = sizeof(arg);
                       arg.id = scene.buffer;
                       return bytes_of(arg);
                     },
                     [](const Scene& scene) {
                       Spoils<aiaccel_export> spoils;
                       for (const uint32_t flags : {1u, 0x80000000u, ~0u})
                         spoils.add(EOPNOTSUPP, "flags", [=](auto& a) { a.flags = flags; });
                       for (const uint32_t id : {0u, scene.queue, 999999u, 0x80000000u, ~0u})
                         spoils.add(ENOENT, "id", [=](auto& a) { a.id = id; });
                       return spoils;
                     }});

Fd must_export(const Context& context, uint32_t id) {
  aiaccel_export arg{};
  arg.id = id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_EXPORT, arg), 0);
  return Fd(arg.fd);
}

}  // namespace

BOOST_AUTO_TEST_CASE(is_a_descriptor_of_the_memory) {
  NEED_DEVICE();
  const Context context;
  const aiaccel_alloc made = context.alloc(2 * kPage);
  const Fd fd = must_export(context, made.id);
  BOOST_TEST(fcntl(fd.get(), F_GETFD) == FD_CLOEXEC);
  const Map one = context.map(2 * kPage, made.mmap_offset);
  const Map two(2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  BOOST_REQUIRE((one.error() == 0 && two.error() == 0));
  one.data()[kPage] = 42;
  BOOST_TEST(int{two.data()[kPage]} == 42);
  BOOST_TEST(lseek(fd.get(), 0, SEEK_END) == static_cast<off_t>(2 * kPage));
  aiaccel_buffer_info info{};
  info.id = made.id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
  BOOST_TEST(info.exports > 0u);
}

BOOST_AUTO_TEST_CASE(of_another_drivers_it_is_that_one) {
  NEED_DEVICE();
  const Fd theirs(dma_buf(kPage));
  if (theirs.get() < 0) SKIP("this kernel has neither vgem nor udmabuf");
  const Context context;
  aiaccel_import import{};
  import.fd = theirs.get();
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_IMPORT, import), 0);
  const Fd fd = must_export(context, import.id);
  struct stat one, two;
  BOOST_REQUIRE((fstat(theirs.get(), &one) == 0 && fstat(fd.get(), &two) == 0));
  BOOST_TEST((one.st_dev == two.st_dev && one.st_ino == two.st_ino));
}

BOOST_AUTO_TEST_CASE(without_a_descriptor_left_nothing_is_made) {
  NEED_DEVICE();
  const Context context;
  const uint32_t id = context.alloc(kPage).id;
  BOOST_TEST(in_child([&] {
               const Context own;
               aiaccel_export arg{};
               arg.id = own.alloc(kPage).id;
               const int next = dup(own.fd());
               close(next);
               const rlimit limit{static_cast<rlim_t>(next), static_cast<rlim_t>(next)};
               if (setrlimit(RLIMIT_NOFILE, &limit)) return 1;
               for (int i = 0; i < 100; i++)
                 if (own(AIACCEL_IOC_EXPORT, arg) != EMFILE) return 2;
               aiaccel_buffer_info info{};
               info.id = arg.id;
               if (own(AIACCEL_IOC_BUFFER_INFO, info)) return 3;
               if (info.exports > 1) return 4;
               return 0;
             }) == 0);
  must_export(context, id);
}

BOOST_AUTO_TEST_SUITE_END()
