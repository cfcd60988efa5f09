// SPDX-License-Identifier: MIT
//
// ALLOC: its arguments. Where pages come from, and mmap, are in kmod/memory.cpp.
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <fstream>
#include <string>

#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(alloc)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_alloc, size, kIn),
    FIELD(aiaccel_alloc, flags, kIn),
    FIELD(aiaccel_alloc, length, kIn),
    FIELD(aiaccel_alloc, placement, kIn),
    FIELD(aiaccel_alloc, node, kIn),
    FIELD(aiaccel_alloc, engine, kIn),
    FIELD(aiaccel_alloc, id, kOut),
    FIELD(aiaccel_alloc, mmap_offset, kOut),
    FIELD(aiaccel_alloc, refused_by, kRefusal),
    FIELD(aiaccel_alloc, __reserved, kZero),
};
static_assert(fills(kFields, 48) && sizeof(aiaccel_alloc) == 48);

std::vector<Spoil> spoils_of(const Scene& scene) {
  const uint64_t ceiling = scene.context.query().max_pinned_bytes;
  const uint32_t engine = scene.engine;
  Spoils<aiaccel_alloc> spoils;
  for (const uint32_t flags : {1u, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "flags", [=](auto& a) { a.flags = flags; });
  for (const uint32_t placement : {AIACCEL_PLACE_NEAR + 1u, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "placement", [=](auto& a) { a.placement = placement; });
  spoils.add(EINVAL, "reserved", [](auto& a) { a.__reserved = 1; });
  spoils.add(EINVAL, "no length", [](auto& a) { a.length = 0; });
  for (const int node : {1, -1, INT_MAX, INT_MIN})
    spoils.add(EINVAL, "a node for LOCAL", [=](auto& a) { a.node = node; });
  spoils.add(EINVAL, "an engine for LOCAL", [](auto& a) { a.engine = 1; });
  for (const uint32_t placement : {AIACCEL_PLACE_PREFER, AIACCEL_PLACE_STRICT}) {
    for (const int node : {-1, INT_MIN})
      spoils.add(EINVAL, "a negative node",
                 [=](auto& a) { a.placement = placement, a.node = node; });
    spoils.add(EINVAL, "an engine for a node",
               [=](auto& a) { a.placement = placement, a.engine = 1; });
  }
  spoils.add(EINVAL, "a node for NEAR",
             [=](auto& a) { a.placement = AIACCEL_PLACE_NEAR, a.engine = engine, a.node = 1; });
  spoils.add(EINVAL, "a node for INTERLEAVE",
             [](auto& a) { a.placement = AIACCEL_PLACE_INTERLEAVE, a.node = 1; });
  for (const uint64_t length : U64s{~0ULL, ~0ULL - kPage + 2, 0ULL - (1 << 20) + 1})
    spoils.add(EOVERFLOW, "pages that wrap", [=](auto& a) { a.length = length; });
  for (const uint32_t placement : {AIACCEL_PLACE_PREFER, AIACCEL_PLACE_STRICT})
    for (const int node : {63, 1023, 1024, 1 << 20, INT_MAX})
      spoils.add(EINVAL, "a node that is not there",
                 [=](auto& a) { a.placement = placement, a.node = node; });
  for (const uint32_t id : {0u, 999999u, 0x80000000u, ~0u})
    spoils.add(ENOENT, "an engine that is not there",
               [=](auto& a) { a.placement = AIACCEL_PLACE_NEAR, a.engine = id; });
  for (const uint64_t length :
       U64s{ceiling + 1, ceiling + kPage, 1ULL << 44, 1ULL << 63, 0ULL - (1 << 20)})
    spoils.add(
        EDQUOT, "more than the tenant's ceiling", [=](auto& a) { a.length = length; },
        AIACCEL_REFUSED_TENANT);
  return spoils;
}

const Register kRow({"ALLOC", AIACCEL_IOC_ALLOC, kFields,
                     [](const Scene&) {
                       aiaccel_alloc arg{};
                       arg.size = sizeof(arg);
                       arg.length = 1;
                       return bytes_of(arg);
                     },
                     spoils_of});

}  // namespace

BOOST_AUTO_TEST_CASE(lengths_are_rounded_up_to_pages) {
  NEED_DEVICE();
  const Context context;
  for (const uint64_t length : U64s{1, kPage - 1, kPage, kPage + 1}) {
    const uint64_t before = context.query().pinned_bytes;
    context.alloc(length);
    BOOST_TEST(context.query().pinned_bytes - before == (length + kPage - 1) / kPage * kPage);
  }
}

BOOST_AUTO_TEST_CASE(no_placement_leaves_the_cpuset) {
  NEED_DEVICE();
  if (access("/sys/devices/system/node/node1", F_OK))
    SKIP("one NUMA node; tests/vm/run --numa has two");
  const std::string cgroup = "/sys/fs/cgroup/aiaccel-node0";
  BOOST_REQUIRE_EQUAL(mkdir(cgroup.c_str(), 0755), 0);
  std::ofstream mems(cgroup + "/cpuset.mems");
  const bool limited = static_cast<bool>(mems << 0 << std::flush);
  const int status = in_child([&] {
    std::ofstream(cgroup + "/cgroup.procs") << getpid() << std::flush;
    const Context context;
    aiaccel_alloc alloc{};
    alloc.length = 4 * kPage;
    alloc.node = 1;
    for (const uint32_t placement : {AIACCEL_PLACE_STRICT, AIACCEL_PLACE_PREFER}) {
      alloc.placement = placement;
      if (context(AIACCEL_IOC_ALLOC, alloc) != EINVAL) return 1;
    }
    alloc.node = 0;
    for (const uint32_t placement : {AIACCEL_PLACE_STRICT, AIACCEL_PLACE_INTERLEAVE}) {
      alloc.placement = placement;
      if (context(AIACCEL_IOC_ALLOC, alloc)) return 2;
      aiaccel_buffer_info info{};
      info.id = alloc.id;
      if (context(AIACCEL_IOC_BUFFER_INFO, info) || info.numa_node != 0) return 3;
    }
    return 0;
  });
  BOOST_TEST(eventually([&] { return rmdir(cgroup.c_str()) == 0; }));
  if (!limited) SKIP("no cpuset controller");
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_SUITE_END()
