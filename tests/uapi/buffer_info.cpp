// SPDX-License-Identifier: MIT
//
// BUFFER_INFO. What it tells of buffers of each kind is checked in kmod/memory.cpp and
// kmod/pin.cpp.
#include <algorithm>

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

// Pages that lie side by side in memory count as a run only where they follow each other in the
// buffer.
BOOST_AUTO_TEST_CASE(runs_are_those_of_the_page_tables) {
  NEED_DEVICE();
  constexpr size_t kPages = 32;
  const Context context;
  const Map from = anonymous(kPages * kPage), to = anonymous(kPages * kPage);
  madvise(from.data(), from.size(), MADV_NOHUGEPAGE);
  memset(from.data(), 1, from.size());
  const auto told_and_counted = [&](const Map& map) {
    aiaccel_pin pin = pin_of(map);
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, pin), 0);
    aiaccel_buffer_info info{};
    info.id = pin.id;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
    uint64_t runs = 0, run = 0, longest = 0, last = 0;
    for (size_t i = 0; i < kPages; i++) {
      const uint64_t frame = frame_of(map.data() + i * kPage);
      const bool follows = i && frame == last + 1;
      run = follows ? run + 1 : 1;
      runs += !follows;
      longest = std::max(longest, run);
      last = frame;
    }
    BOOST_TEST(info.nr_runs == runs);
    BOOST_TEST(info.largest_run_bytes == longest * kPage);
    return runs;
  };
  told_and_counted(from);
  for (size_t i = 0; i < kPages; i++)  // shuffled
    BOOST_REQUIRE(mremap(from.data() + i * kPage, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED,
                         to.data() + i * 37 % kPages * kPage) != MAP_FAILED);
  BOOST_TEST(told_and_counted(to) > kPages / 2);
}

BOOST_AUTO_TEST_SUITE_END()
