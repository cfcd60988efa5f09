// SPDX-License-Identifier: MIT
//
// QUOTA against what ALLOC and PIN then do.
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>

#include "buffers.hpp"
#include "child.hpp"
#include "device.hpp"
#include "rules.hpp"

using namespace conformance;

namespace {

aiaccel_quota must_ask(Device& device, uint32_t kind, uint64_t length) {
  aiaccel_quota arg{};
  arg.kind = kind;
  arg.length = length;
  BOOST_REQUIRE(device.call(AIACCEL_IOC_QUOTA, arg) == 0);
  return arg;
}

// The first limit, in their order, that has less left.
uint32_t first_short(const aiaccel_quota& quota, uint64_t bytes) {
  if (quota.tenant_bytes < bytes) return AIACCEL_REFUSED_TENANT;
  if (quota.module_bytes < bytes) return AIACCEL_REFUSED_MODULE;
  if (quota.rlimit_bytes < bytes) return AIACCEL_REFUSED_RLIMIT;
  if (quota.memory_bytes < bytes) return AIACCEL_REFUSED_MEMORY;
  return quota.memcg_bytes < bytes ? AIACCEL_REFUSED_MEMCG : AIACCEL_REFUSED_NOT;
}

int alloc(Device& device, uint64_t length, aiaccel_alloc* out) {
  *out = {};
  out->length = length;
  return device.call(AIACCEL_IOC_ALLOC, *out);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(quota)

BOOST_AUTO_TEST_CASE(a_ceiling_is_told_to_the_byte) {
  constexpr uint64_t kRoom = 10;
  Device device;
  NoRules none{device};
  BOOST_REQUIRE(set(device, {own_rule(device, [&](auto& r) {
                      r.sets = AIACCEL_SETS_PINNED_BYTES;
                      r.pinned_bytes = device.query().pinned_bytes + kRoom * kPage;
                    })}) == 0);
  const uint64_t before = device.query().pinned_bytes;
  for (const uint32_t kind : {AIACCEL_BUFFER_ALLOCATED, AIACCEL_BUFFER_PINNED}) {
    BOOST_TEST_CONTEXT("kind " << kind) {
      BOOST_TEST(must_ask(device, kind, 0).tenant_bytes == kRoom * kPage);
      for (const uint64_t length : {uint64_t{0}, uint64_t{1}, kRoom * kPage - 1, kRoom * kPage})
        BOOST_TEST(must_ask(device, kind, length).refused_by == uint32_t{AIACCEL_REFUSED_NOT});
      for (const uint64_t length : {kRoom * kPage + 1, (kRoom + 1) * kPage})
        BOOST_TEST(must_ask(device, kind, length).refused_by == uint32_t{AIACCEL_REFUSED_TENANT});
    }
  }
  BOOST_TEST(device.query().pinned_bytes == before);  // nothing was taken

  aiaccel_alloc made{};
  BOOST_TEST(alloc(device, kRoom * kPage + 1, &made) == -EDQUOT);
  BOOST_TEST(made.refused_by == uint32_t{AIACCEL_REFUSED_TENANT});
  BOOST_REQUIRE(alloc(device, kRoom * kPage, &made) == 0);
  const aiaccel_quota full = must_ask(device, AIACCEL_BUFFER_PINNED, 1);
  BOOST_TEST(full.tenant_bytes == 0u);
  BOOST_TEST(full.refused_by == uint32_t{AIACCEL_REFUSED_TENANT});
  BOOST_TEST(must_ask(device, AIACCEL_BUFFER_PINNED, 0).refused_by ==
             uint32_t{AIACCEL_REFUSED_NOT});
  Mapping memory = anonymous(kPage);
  aiaccel_pin refused{};
  BOOST_TEST(pin(device, memory.address(), 1, 0, &refused) == -EDQUOT);
  BOOST_TEST(refused.refused_by == uint32_t{AIACCEL_REFUSED_TENANT});

  // Held above a ceiling that was lowered since, there is none left; nothing wraps.
  BOOST_REQUIRE(set(device, {own_rule(device, [&](auto& r) {
                      r.sets = AIACCEL_SETS_PINNED_BYTES;
                      r.pinned_bytes = kPage;
                    })}) == 0);
  BOOST_TEST(must_ask(device, AIACCEL_BUFFER_ALLOCATED, 1).tenant_bytes == 0u);
}

BOOST_AUTO_TEST_CASE(the_first_limit_that_is_short_is_told_and_alloc_says_the_same) {
  Device device;
  for (const uint64_t length : {1ULL, 1ULL << 40, 1ULL << 55, 1ULL << 61}) {
    BOOST_TEST_CONTEXT(length) {
      const aiaccel_quota quota = must_ask(device, AIACCEL_BUFFER_ALLOCATED, length);
      BOOST_TEST(quota.refused_by == first_short(quota, std::max<uint64_t>(length, kPage)));
      BOOST_TEST(quota.rlimit_bytes == AIACCEL_UNLIMITED);
      BOOST_TEST((quota.refused_by != AIACCEL_REFUSED_NOT) == (length > 1));
      aiaccel_alloc made{};
      const int result = alloc(device, length, &made);
      BOOST_TEST(made.refused_by == quota.refused_by);
      BOOST_TEST((result == 0) == (quota.refused_by == AIACCEL_REFUSED_NOT));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_right_to_lock_memory_is_told_to_the_page) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  SKIP("sanitizers make mlock do nothing");
#endif
  Child child([](Child&) {
    const rlimit limit{(64 << 10) + 100, (64 << 10) + 100};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0) return 10;
    if (!drop_capability(CAP_IPC_LOCK)) return 11;
    Device device;
    void* memory =
        mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const auto address = reinterpret_cast<uintptr_t>(memory);
    aiaccel_pin made{};
    if (pin(device, address, kPage, 0)) return 12;
    aiaccel_quota quota{};
    quota.kind = AIACCEL_BUFFER_PINNED;
    if (device.call(AIACCEL_IOC_QUOTA, quota)) return 13;
    const uint64_t left = quota.rlimit_bytes;
    if (left == 0 || left > (64 << 10) - kPage) return 14;
    quota.length = left + 1;
    if (device.call(AIACCEL_IOC_QUOTA, quota)) return 15;
    if (quota.refused_by != AIACCEL_REFUSED_RLIMIT) return 16;
    if (pin(device, address + kPage, left + 1, 0, &made) != -ENOMEM) return 17;
    if (made.refused_by != AIACCEL_REFUSED_RLIMIT) return 18;
    quota.length = left;
    if (device.call(AIACCEL_IOC_QUOTA, quota)) return 19;
    if (quota.refused_by != AIACCEL_REFUSED_NOT) return 20;
    if (pin(device, address + kPage, left, 0)) return 21;
    quota.length = 1;
    if (device.call(AIACCEL_IOC_QUOTA, quota)) return 22;
    if (quota.rlimit_bytes != 0 || quota.refused_by != AIACCEL_REFUSED_RLIMIT) return 23;
    quota.kind = AIACCEL_BUFFER_ALLOCATED;  // which that limit does not hold for
    if (device.call(AIACCEL_IOC_QUOTA, quota)) return 24;
    return quota.refused_by == AIACCEL_REFUSED_NOT ? 0 : 25;
  });
  BOOST_TEST(child.wait() == 0);
}

BOOST_AUTO_TEST_CASE(every_placement_is_taken) {
  Device device;
  const aiaccel_engine_info engine = device.engine();
  for (uint32_t placement = AIACCEL_PLACE_LOCAL; placement <= AIACCEL_PLACE_NEAR; ++placement) {
    const bool names_node = placement == AIACCEL_PLACE_PREFER || placement == AIACCEL_PLACE_STRICT;
    aiaccel_quota quota{};
    quota.kind = AIACCEL_BUFFER_ALLOCATED;
    quota.placement = placement;
    quota.node = names_node ? std::max(engine.numa_node, 0) : 0;
    quota.engine = placement == AIACCEL_PLACE_NEAR ? engine.id : 0;
    BOOST_TEST_CONTEXT("placement " << placement) {
      BOOST_REQUIRE(device.call(AIACCEL_IOC_QUOTA, quota) == 0);
      BOOST_TEST(quota.refused_by == uint32_t{AIACCEL_REFUSED_NOT});
      BOOST_TEST(quota.memory_bytes > 0u);
      BOOST_TEST(quota.memory_bytes != AIACCEL_UNLIMITED);
    }
  }
}

BOOST_AUTO_TEST_CASE(arguments) {
  Device device;
  const auto refused = [&](int error, const char* what,
                           const std::function<void(aiaccel_quota&)>& spoil) {
    aiaccel_quota arg{};
    arg.kind = AIACCEL_BUFFER_ALLOCATED;
    arg.length = 1;
    spoil(arg);
    const aiaccel_quota before = arg;
    BOOST_TEST_CONTEXT(what) {
      BOOST_TEST(device.call(AIACCEL_IOC_QUOTA, arg) == -error);
      arg.size = before.size;
      BOOST_TEST(std::memcmp(&arg, &before, sizeof arg) == 0);
    }
  };
  refused(EOPNOTSUPP, "no kind", [](auto& a) { a.kind = 0; });
  refused(EOPNOTSUPP, "an imported one", [](auto& a) { a.kind = AIACCEL_BUFFER_IMPORTED; });
  refused(EOPNOTSUPP, "placement", [](auto& a) { a.placement = AIACCEL_PLACE_NEAR + 1; });
  refused(EINVAL, "a placement of a pin",
          [](auto& a) { a.kind = AIACCEL_BUFFER_PINNED, a.placement = AIACCEL_PLACE_INTERLEAVE; });
  refused(EINVAL, "a node that is not asked for", [](auto& a) { a.node = 1; });
  refused(EINVAL, "an engine that is not asked for", [](auto& a) { a.engine = 1; });
  refused(EOVERFLOW, "a length that wraps in pages", [](auto& a) { a.length = ~0ULL; });
  refused(EINVAL, "a node that does not exist",
          [](auto& a) { a.placement = AIACCEL_PLACE_STRICT, a.node = 1 << 20; });
  refused(ENOENT, "an engine that does not exist",
          [](auto& a) { a.placement = AIACCEL_PLACE_NEAR, a.engine = 999999; });
}

BOOST_AUTO_TEST_SUITE_END()
