// SPDX-License-Identifier: MIT
//
// BUFFER_INFO. What it tells of buffers of each kind is checked in kmod/memory.cpp and
// kmod/pin.cpp.
#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(buffer_info)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_buffer_info, size, kIn),
    FIELD(aiaccel_buffer_info, id, kIn),
    FIELD(aiaccel_buffer_info, kind, kOut),
    FIELD(aiaccel_buffer_info, flags, kOut),
    FIELD(aiaccel_buffer_info, length, kOut),
    FIELD(aiaccel_buffer_info, charged_bytes, kOut),
    FIELD(aiaccel_buffer_info, mmap_offset, kOut),
    FIELD(aiaccel_buffer_info, numa_node, kOut),
    FIELD(aiaccel_buffer_info, nr_runs, kOut),
    FIELD(aiaccel_buffer_info, largest_run_bytes, kOut),
};
static_assert(fills(kFields, 56) && sizeof(aiaccel_buffer_info) == 56);

const Register kRow({"BUFFER_INFO", AIACCEL_IOC_BUFFER_INFO, kFields,
                     [](const Scene& scene) {
                       aiaccel_buffer_info arg{};
                       arg.size = sizeof(arg);
                       arg.id = scene.buffer;
                       return bytes_of(arg);
                     },
                     [](const Scene& scene) {
                       Spoils<aiaccel_buffer_info> spoils;
                       for (const uint32_t id : {0u, scene.queue, 999999u, 0x80000000u, ~0u})
                         spoils.add(ENOENT, "id", [=](auto& a) { a.id = id; });
                       return spoils;
                     }});

}  // namespace

BOOST_AUTO_TEST_CASE(names_buffers_of_its_own_context_only) {
  NEED_DEVICE();
  const Context context, other;
  aiaccel_buffer_info info{};
  info.id = context.alloc(kPage + 1).id;
  BOOST_TEST(other(AIACCEL_IOC_BUFFER_INFO, info) == ENOENT);
  BOOST_TEST(context(AIACCEL_IOC_BUFFER_INFO, info) == 0);
  BOOST_TEST(info.kind == uint32_t{AIACCEL_BUFFER_ALLOCATED});
  BOOST_TEST(info.length == kPage + 1);
  BOOST_TEST(info.charged_bytes == 2 * kPage);
  aiaccel_destroy destroy{};
  destroy.id = info.id;
  BOOST_TEST(context(AIACCEL_IOC_DESTROY, destroy) == 0);
  BOOST_TEST(context(AIACCEL_IOC_BUFFER_INFO, info) == ENOENT);
}

BOOST_AUTO_TEST_SUITE_END()
