// SPDX-License-Identifier: MIT
//
// BUFFER_INFO. What it tells of buffers of each kind is checked in kmod/memory.cpp and
// kmod/pin.cpp.
#include <algorithm>
#include <numeric>

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
    FIELD(aiaccel_buffer_info, tenant, kOut),
    FIELD(aiaccel_buffer_info, uid, kOut),
    FIELD(aiaccel_buffer_info, state, kOut),
    FIELD(aiaccel_buffer_info, handles, kOut),
    FIELD(aiaccel_buffer_info, exports, kOut),
    FIELD(aiaccel_buffer_info, importers, kOut),
    FIELD(aiaccel_buffer_info, mappings, kOut),
    FIELD(aiaccel_buffer_info, node_bytes, kIn),
    FIELD(aiaccel_buffer_info, nr_nodes, kInOut),
    FIELD(aiaccel_buffer_info, __reserved, kZero),
    FIELD(aiaccel_buffer_info, folio_bytes, kOut),
};
constexpr uint32_t kFirstSize = offsetof(aiaccel_buffer_info, tenant);
static_assert(fills(kFields, 264) && sizeof(aiaccel_buffer_info) == 264 && kFirstSize == 56);

// Room for more nodes than there can be.
uint64_t* node_room() {
  static uint64_t room[2048];
  return room;
}

std::vector<Spoil> spoils_of(const Scene& scene) {
  Spoils<aiaccel_buffer_info> spoils;
  for (const uint32_t reserved : {1u, 0x80000000u, ~0u})
    spoils.add(EINVAL, "reserved", [=](auto& a) { a.__reserved = reserved; });
  for (const uint32_t id : {0u, scene.queue, 999999u, 0x80000000u, ~0u})
    spoils.add(ENOENT, "id", [=](auto& a) { a.id = id; });
  for (const uint64_t address : U64s{8, 1ULL << 47, 0xffff888000000000, ~0ULL})
    spoils.add(EFAULT, "nodes that cannot be told", [=](auto& a) { a.node_bytes = address; });
  return spoils;
}

const Register kRow({"BUFFER_INFO", AIACCEL_IOC_BUFFER_INFO, kFields,
                     [](const Scene& scene) {
                       aiaccel_buffer_info arg{};
                       arg.size = sizeof(arg);
                       arg.id = scene.buffer;
                       arg.node_bytes = address(node_room());
                       arg.nr_nodes = 2048;
                       return bytes_of(arg);
                     },
                     spoils_of, kFirstSize});

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

BOOST_AUTO_TEST_CASE(tells_who_pays_and_how_many_have_it) {
  NEED_DEVICE();
  const Context context;
  aiaccel_buffer_info info{};
  info.id = context.alloc(3 * kPage).id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
  BOOST_TEST(info.tenant == context.query().tenant);
  BOOST_TEST(info.uid == AIACCEL_UID_NONE);
  BOOST_TEST((info.state == 0 && info.handles == 1 && info.exports == 0 && info.importers == 0));
  BOOST_TEST(info.mappings == 0u);
  {
    const Map one = context.map(kPage, info.mmap_offset);
    const Map two = context.map(kPage, info.mmap_offset + kPage);
    BOOST_REQUIRE((one.error() == 0 && two.error() == 0));
    info.nr_nodes = 0;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
    BOOST_TEST(info.mappings == 2u);
  }
  info.nr_nodes = 0;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
  BOOST_TEST(info.mappings == 0u);
}

// Each is told as far as there is room, and of how many more there are.
BOOST_AUTO_TEST_CASE(bytes_on_nodes_are_as_many_as_fit) {
  NEED_DEVICE();
  const Context context;
  std::vector<uint64_t> nodes(2048, 77);
  aiaccel_buffer_info info{};
  info.id = context.alloc(5 * kPage).id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);  // no room, and no pointer
  const uint32_t count = info.nr_nodes;
  BOOST_REQUIRE((count > 0 && count < nodes.size()));
  BOOST_TEST(context(AIACCEL_IOC_BUFFER_INFO, info) == 0);  // room, and none to tell
  info.node_bytes = address(nodes.data());
  for (const uint32_t room : {0u, 1u, count, count + 1, 2048u}) {
    std::fill(nodes.begin(), nodes.end(), 77);
    info.nr_nodes = room;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
    BOOST_TEST(info.nr_nodes == count);
    BOOST_TEST(info.node_bytes == address(nodes.data()));
    const auto end = nodes.begin() + std::min(room, count);
    BOOST_TEST(std::all_of(end, nodes.end(), [](uint64_t bytes) { return bytes == 77; }));
    if (room >= count) BOOST_TEST(std::accumulate(nodes.begin(), end, uint64_t{0}) == 5 * kPage);
  }
  // A caller who knows the first version only is told nothing of them.
  info.size = kFirstSize;
  info.node_bytes = 1;
  info.nr_nodes = 9;
  BOOST_TEST(context.call(AIACCEL_IOC_BUFFER_INFO, &info) == 0);
  BOOST_TEST((info.node_bytes == 1 && info.nr_nodes == 9));
}

// Folios as the kernel made them are counted with what of them is in the buffer.
BOOST_AUTO_TEST_CASE(folios_of_a_pinned_huge_page_are_told) {
  NEED_DEVICE();
  constexpr size_t kHuge = 2 << 20;
  const Context context;
  const Map map = anonymous(2 * kHuge);
  if (madvise(map.data(), map.size(), MADV_HUGEPAGE)) SKIP("no transparent huge pages");
  char* start = map.data() + (kHuge - map.address() % kHuge) % kHuge;
  memset(start, 1, kHuge);
  aiaccel_pin pin{};
  pin.addr = address(start) + kPage;
  pin.length = kHuge - 2 * kPage;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, pin), 0);
  aiaccel_buffer_info info{};
  info.id = pin.id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
  uint64_t all = 0;
  for (const uint64_t bytes : info.folio_bytes) all += bytes;
  BOOST_TEST(all == pin.length);
  if (info.folio_bytes[0] == all) SKIP("the kernel had no huge page");
  BOOST_TEST(info.folio_bytes[9] == pin.length);
  BOOST_TEST(info.nr_runs == 1u);
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
