// SPDX-License-Identifier: MIT
//
// IMPORT. How long the memory lives is in kmod/import.cpp.
#include <fcntl.h>

#include "kmod/dma_buf.hpp"
#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(import_dma_buf)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_import, size, kIn),         FIELD(aiaccel_import, flags, kIn),
    FIELD(aiaccel_import, fd, kIn),           FIELD(aiaccel_import, id, kOut),
    FIELD(aiaccel_import, length, kOut),      FIELD(aiaccel_import, refused_by, kRefusal),
    FIELD(aiaccel_import, __reserved, kZero),
};
static_assert(fills(kFields, 32) && sizeof(aiaccel_import) == 32);

// One for all, that stays.
int shared_dma_buf() {
  static const Fd made(dma_buf(3 * kPage));
  BOOST_REQUIRE_MESSAGE(made.get() >= 0, "this kernel has neither vgem nor udmabuf");
  return made.get();
}

std::vector<Spoil> spoils_of(const Scene& scene) {
  Spoils<aiaccel_import> spoils;
  for (const uint32_t flags : {1u, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "flags", [=](auto& a) { a.flags = flags; });
  spoils.add(EINVAL, "reserved", [](auto& a) { a.__reserved = 1; });
  for (const int fd : {-1, 999999, static_cast<int>(0x80000000u), 0x7fffffff})
    spoils.add(EBADF, "no descriptor", [=](auto& a) { a.fd = fd; });
  spoils.add(EINVAL, "no dma-buf", [fd = scene.context.fd()](auto& a) { a.fd = fd; });
  return spoils;
}

const Register kRow({"IMPORT", AIACCEL_IOC_IMPORT, kFields,
                     [](const Scene&) {
                       aiaccel_import arg{};
                       arg.size = sizeof(arg);
                       arg.fd = shared_dma_buf();
                       return bytes_of(arg);
                     },
                     spoils_of});

}  // namespace

BOOST_AUTO_TEST_CASE(is_a_buffer_that_nobody_pays_for) {
  NEED_DEVICE();
  const Context context;
  aiaccel_import arg{};
  arg.fd = shared_dma_buf();
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_IMPORT, arg), 0);
  BOOST_TEST(arg.length == 3 * kPage);
  BOOST_TEST(arg.refused_by == uint32_t{AIACCEL_REFUSED_NOT});
  aiaccel_buffer_info info{};
  info.id = arg.id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
  BOOST_TEST(info.kind == uint32_t{AIACCEL_BUFFER_IMPORTED});
  BOOST_TEST(info.length == 3 * kPage);
  BOOST_TEST((info.flags == 0 && info.charged_bytes == 0 && info.mmap_offset == 0));
  BOOST_TEST((info.numa_node == -1 && info.nr_runs == 0 && info.largest_run_bytes == 0));
  BOOST_TEST(context.query().pinned_bytes == 0u);
  const uint32_t first = arg.id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_IMPORT, arg), 0);  // each time another id
  BOOST_TEST(arg.id != first);
  BOOST_TEST(destroy_errno(context, first) == 0);
  BOOST_TEST(destroy_errno(context, first) == ENOENT);
  BOOST_TEST(context(AIACCEL_IOC_BUFFER_INFO, info) == ENOENT);
  info.id = arg.id;
  info.nr_nodes = 0;
  BOOST_TEST(context(AIACCEL_IOC_BUFFER_INFO, info) == 0);
}

BOOST_AUTO_TEST_CASE(what_export_gave_is_the_same_buffer) {
  NEED_DEVICE();
  const Context maker, other;
  aiaccel_buffer_info first{}, second{};
  first.id = maker.alloc(3 * kPage - 1).id;
  aiaccel_export passed{};
  passed.id = first.id;
  BOOST_REQUIRE_EQUAL(maker(AIACCEL_IOC_EXPORT, passed), 0);
  Fd fd(passed.fd);
  aiaccel_import arg{};
  arg.fd = fd.get();
  BOOST_REQUIRE_EQUAL(other(AIACCEL_IOC_IMPORT, arg), 0);
  fd.close();
  BOOST_TEST(arg.length == 3 * kPage - 1);
  second.id = arg.id;
  BOOST_REQUIRE_EQUAL(maker(AIACCEL_IOC_BUFFER_INFO, first), 0);
  BOOST_REQUIRE_EQUAL(other(AIACCEL_IOC_BUFFER_INFO, second), 0);
  BOOST_TEST(first.handles == 2u);
  BOOST_TEST((first.state == 0 && second.state == AIACCEL_BUFFER_FOREIGN));
  BOOST_TEST(other.map(3 * kPage, second.mmap_offset).error() == 0);
  // But for the id, where it is mapped and how it came, one is told as the other.
  second.id = first.id;
  second.mmap_offset = first.mmap_offset;
  second.state = 0;
  BOOST_TEST(memcmp(&first, &second, sizeof(first)) == 0);
}

BOOST_AUTO_TEST_CASE(a_path_is_no_descriptor) {
  NEED_DEVICE();
  const Context context;
  const Fd path(open("/", O_PATH | O_CLOEXEC));
  aiaccel_import arg{};
  arg.fd = path.get();
  BOOST_TEST(context(AIACCEL_IOC_IMPORT, arg) == EBADF);
}

BOOST_AUTO_TEST_CASE(counts_as_a_buffer) {
  NEED_DEVICE();
  const Context context;
  aiaccel_import arg{};
  arg.fd = shared_dma_buf();
  const uint32_t first = context.alloc(1).id;
  for (uint32_t i = 1; i < context.query().max_buffers; i++)
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_IMPORT, arg), 0);
  BOOST_TEST(context(AIACCEL_IOC_IMPORT, arg) == EDQUOT);
  BOOST_TEST(arg.refused_by == uint32_t{AIACCEL_REFUSED_CONTEXT});
  BOOST_TEST(destroy_errno(context, first) == 0);
  BOOST_TEST(context(AIACCEL_IOC_IMPORT, arg) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
