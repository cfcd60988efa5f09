// SPDX-License-Identifier: MIT
//
// QUOTA: what it says is what ALLOC and PIN then do. What the user's and the module's ceilings
// leave is checked to the page; of the memory itself others take as well.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "cgroup.hpp"
#include "module.hpp"
#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(quota)

namespace {

aiaccel_quota quota_of(const Context& context, uint32_t kind, uint64_t length = 0) {
  aiaccel_quota quota{};
  quota.kind = kind;
  quota.length = length;
  if (const int error = context(AIACCEL_IOC_QUOTA, quota)) quota.refused_by = 1000 + error;
  return quota;
}

// 0 or an errno; what it took is let go of.
int try_alloc(const Context& context, uint64_t length, uint32_t* refused_by) {
  aiaccel_alloc alloc{};
  alloc.length = length;
  const int error = context(AIACCEL_IOC_ALLOC, alloc);
  *refused_by = alloc.refused_by;
  if (!error) destroy_errno(context, alloc.id);
  return error;
}

int try_pin(const Context& context, const Map& memory, uint64_t length, uint32_t* refused_by) {
  aiaccel_pin pin = pin_of(memory);
  pin.length = length;
  const int error = context(AIACCEL_IOC_PIN, pin);
  *refused_by = pin.refused_by;
  if (!error) destroy_errno(context, pin.id);
  return error;
}

}  // namespace

BOOST_AUTO_TEST_CASE(ceilings_to_the_page) {
  NEED_DEVICE();
  const Reloaded module("tenants=user tenant_memory_mib=2 memory_mib=3");
  const Context context;
  context.alloc(5 * kPage);
  const uint64_t left = (2 << 20) - 5 * kPage;
  for (const uint32_t kind : {AIACCEL_BUFFER_ALLOCATED, AIACCEL_BUFFER_PINNED}) {
    const aiaccel_quota quota = quota_of(context, kind, left);
    BOOST_TEST(quota.tenant_bytes == left);
    BOOST_TEST(quota.module_bytes == left + (1 << 20));
    BOOST_TEST(quota.refused_by == uint32_t{AIACCEL_REFUSED_NOT});
    BOOST_TEST(quota_of(context, kind, left + 1).refused_by == uint32_t{AIACCEL_REFUSED_TENANT});
  }
  uint32_t refused_by;
  BOOST_TEST(try_alloc(context, left, &refused_by) == 0);
  BOOST_TEST(try_alloc(context, left + 1, &refused_by) == EDQUOT);
  BOOST_TEST(refused_by == uint32_t{AIACCEL_REFUSED_TENANT});
  const int status = as_user(4310, [] {
    const Context other;
    uint32_t refused_by;
    if (try_alloc(other, 2 << 20, &refused_by)) return 1;
    other.alloc(2 << 20);
    const aiaccel_quota quota = quota_of(other, AIACCEL_BUFFER_ALLOCATED, 1);
    if (quota.tenant_bytes != 0) return 2;
    return quota.refused_by == AIACCEL_REFUSED_TENANT ? 0 : 3;
  });
  BOOST_TEST(status == 0);
  context.alloc(left);
  BOOST_TEST(as_user(4311, [] {
               const Context other;
               uint32_t refused_by;
               const aiaccel_quota quota = quota_of(other, AIACCEL_BUFFER_ALLOCATED, (1 << 20) + 1);
               if (quota.tenant_bytes != 2 << 20 || quota.module_bytes != 1 << 20) return 1;
               if (quota.refused_by != AIACCEL_REFUSED_MODULE) return 2;
               if (try_alloc(other, 1 << 20, &refused_by)) return 3;
               if (try_alloc(other, (1 << 20) + 1, &refused_by) != EDQUOT) return 4;
               return refused_by == AIACCEL_REFUSED_MODULE ? 0 : 5;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(memlock_to_the_page) {
  NEED_DEVICE();
  rlimit ours{};
  getrlimit(RLIMIT_MEMLOCK, &ours);
  const auto with_limit = [&](rlim_t limit, const std::function<int()>& body) {
    const rlimit memlock{limit, limit};
    BOOST_REQUIRE_EQUAL(setrlimit(RLIMIT_MEMLOCK, &memlock), 0);
    const int status = as_user(4312, body);
    BOOST_REQUIRE_EQUAL(setrlimit(RLIMIT_MEMLOCK, &ours), 0);
    return status;
  };
  BOOST_TEST(
      with_limit(64 * kPage, [] {
        const Context context;
        const Map memory = anonymous(64 * kPage);
        uint32_t refused_by;
        aiaccel_pin held = pin_of(memory);
        held.length = 4 * kPage;
        if (context(AIACCEL_IOC_PIN, held)) return 1;
        const uint64_t left = 60 * kPage;
        if (quota_of(context, AIACCEL_BUFFER_PINNED).rlimit_bytes != left) return 2;
        if (quota_of(context, AIACCEL_BUFFER_PINNED, left).refused_by) return 3;
        if (try_pin(context, memory, left, &refused_by)) return 4;
        if (quota_of(context, AIACCEL_BUFFER_PINNED, left + 1).refused_by != AIACCEL_REFUSED_RLIMIT)
          return 5;
        if (try_pin(context, memory, left + 1, &refused_by) != ENOMEM) return 6;
        if (refused_by != AIACCEL_REFUSED_RLIMIT) return 7;
        // ALLOC is not counted there.
        return quota_of(context, AIACCEL_BUFFER_ALLOCATED).rlimit_bytes == AIACCEL_UNLIMITED ? 0
                                                                                             : 8;
      }) == 0);
  BOOST_TEST(with_limit(RLIM_INFINITY, [] {
               const Context context;
               return quota_of(context, AIACCEL_BUFFER_PINNED).rlimit_bytes == AIACCEL_UNLIMITED
                          ? 0
                          : 1;
             }) == 0);
  const Context root;  // CAP_IPC_LOCK
  BOOST_TEST(quota_of(root, AIACCEL_BUFFER_PINNED).rlimit_bytes == AIACCEL_UNLIMITED);
}

BOOST_AUTO_TEST_CASE(the_memory_cgroup) {
  NEED_DEVICE();
  if (!have_cgroups()) SKIP("no cgroup version 2");
  const Context outside;
  BOOST_TEST(quota_of(outside, AIACCEL_BUFFER_ALLOCATED).memcg_bytes == AIACCEL_UNLIMITED);
  std::ofstream(kCgroups + "/cgroup.subtree_control") << "+memory" << std::flush;
  const Cgroup upper("/aiaccel-quota");
  std::ofstream max(upper.path() + "/memory.max");
  if (!(max << (24 << 20) << std::flush)) SKIP("no memory controller");
  const int status = in_child([&] {
    upper.enter();
    const Context context;
    const aiaccel_quota before = quota_of(context, AIACCEL_BUFFER_ALLOCATED);
    if (before.memcg_bytes > 24 << 20 || before.memcg_bytes < 8 << 20) return 1;
    if (quota_of(context, AIACCEL_BUFFER_ALLOCATED, 48 << 20).refused_by != AIACCEL_REFUSED_MEMCG)
      return 2;
    uint32_t refused_by;
    if (try_alloc(context, 48 << 20, &refused_by) != ENOMEM) return 3;
    if (refused_by != AIACCEL_REFUSED_MEMCG) return 4;
    context.alloc(4 << 20);
    const uint64_t after = quota_of(context, AIACCEL_BUFFER_ALLOCATED).memcg_bytes;
    return after + (4 << 20) <= before.memcg_bytes + (1 << 20) ? 0 : 5;
  });
  BOOST_TEST(status == 0);
}

// Whatever it is that finds no room: one of the pages, or what they are noted in.
BOOST_AUTO_TEST_CASE(the_memory_cgroup_is_told_wherever_it_refuses) {
  NEED_DEVICE();
  if (!have_cgroups()) SKIP("no cgroup version 2");
  std::ofstream(kCgroups + "/cgroup.subtree_control") << "+memory" << std::flush;
  const Cgroup small("/aiaccel-quota");
  std::ofstream max(small.path() + "/memory.max");
  if (!(max << (24 << 20) << std::flush)) SKIP("no memory controller");
  const int status = in_child([&] {
    small.enter();
    const Context context;
    for (int i = 0; i < 128; i++) {
      uint32_t refused_by;
      if (!(max << (24 << 20) - i * 4096 << std::flush)) return 1;
      if (try_alloc(context, 48 << 20, &refused_by) != ENOMEM) return 2;
      if (refused_by != AIACCEL_REFUSED_MEMCG) return 3;
    }
    return 0;
  });
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(memory_where_it_is_wanted) {
  NEED_DEVICE();
  const Reloaded module("memory_mib=1000000 tenant_memory_mib=1000000");
  const Context context;
  const aiaccel_quota all = quota_of(context, AIACCEL_BUFFER_ALLOCATED, 1ULL << 39);
  BOOST_TEST(all.refused_by == uint32_t{AIACCEL_REFUSED_MEMORY});
  uint32_t refused_by;
  BOOST_TEST(try_alloc(context, 1ULL << 39, &refused_by) == ENOMEM);
  BOOST_TEST(refused_by == uint32_t{AIACCEL_REFUSED_MEMORY});
  BOOST_TEST(all.memory_bytes > 32u << 20);
  uint64_t sum = 0;
  for (int node = 0; has_node(node); node++) {
    aiaccel_quota quota{};
    quota.kind = AIACCEL_BUFFER_ALLOCATED;
    quota.placement = AIACCEL_PLACE_STRICT;
    quota.node = node;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_QUOTA, quota), 0);
    BOOST_TEST(quota.memory_bytes > 0u);
    sum += quota.memory_bytes;
  }
  BOOST_TEST(sum + (64 << 20) > all.memory_bytes);
  aiaccel_quota absent{};
  absent.kind = AIACCEL_BUFFER_ALLOCATED;
  absent.placement = AIACCEL_PLACE_STRICT;
  absent.node = 1023;
  BOOST_TEST(context(AIACCEL_IOC_QUOTA, absent) == EINVAL);
}

BOOST_AUTO_TEST_SUITE_END()
