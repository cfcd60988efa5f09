// SPDX-License-Identifier: MIT
//
// QUOTA: its arguments. What it says is compared with what ALLOC and PIN do in
// conformance/quota.cpp.
#include <climits>

#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(quota)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_quota, size, kIn),          FIELD(aiaccel_quota, kind, kIn),
    FIELD(aiaccel_quota, length, kIn),        FIELD(aiaccel_quota, placement, kIn),
    FIELD(aiaccel_quota, node, kIn),          FIELD(aiaccel_quota, engine, kIn),
    FIELD(aiaccel_quota, refused_by, kOut),   FIELD(aiaccel_quota, tenant_bytes, kOut),
    FIELD(aiaccel_quota, module_bytes, kOut), FIELD(aiaccel_quota, rlimit_bytes, kOut),
    FIELD(aiaccel_quota, memory_bytes, kOut), FIELD(aiaccel_quota, memcg_bytes, kOut),
};
static_assert(fills(kFields, 72) && sizeof(aiaccel_quota) == 72);

std::vector<Spoil> spoils_of(const Scene& scene) {
  const uint32_t engine = scene.engine;
  Spoils<aiaccel_quota> spoils;
  for (const uint32_t kind : {0u, uint32_t{AIACCEL_BUFFER_IMPORTED}, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "kind", [=](auto& a) { a.kind = kind; });
  for (const uint32_t placement : {AIACCEL_PLACE_NEAR + 1u, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "placement", [=](auto& a) { a.placement = placement; });
  for (const uint32_t placement : {AIACCEL_PLACE_INTERLEAVE, AIACCEL_PLACE_NEAR})
    spoils.add(EINVAL, "a placement of a pin",
               [=](auto& a) { a.kind = AIACCEL_BUFFER_PINNED, a.placement = placement; });
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
  for (const uint64_t length : U64s{~0ULL, ~0ULL - kPage + 2, 0ULL - (1 << 20) + 1})
    spoils.add(EOVERFLOW, "pages that wrap", [=](auto& a) { a.length = length; });
  for (const uint32_t placement : {AIACCEL_PLACE_PREFER, AIACCEL_PLACE_STRICT})
    for (const int node : {63, 1023, 1024, 1 << 20, INT_MAX})
      spoils.add(EINVAL, "a node that is not there",
                 [=](auto& a) { a.placement = placement, a.node = node; });
  for (const uint32_t id : {0u, 999999u, 0x80000000u, ~0u})
    spoils.add(ENOENT, "an engine that is not there",
               [=](auto& a) { a.placement = AIACCEL_PLACE_NEAR, a.engine = id; });
  return spoils;
}

const Register kRow({"QUOTA", AIACCEL_IOC_QUOTA, kFields,
                     [](const Scene&) {
                       aiaccel_quota arg{};
                       arg.size = sizeof(arg);
                       arg.kind = AIACCEL_BUFFER_ALLOCATED;
                       arg.length = 1;
                       return bytes_of(arg);
                     },
                     spoils_of});

}  // namespace

// However much: it is a question.
BOOST_AUTO_TEST_CASE(takes_nothing_and_refuses_no_length) {
  NEED_DEVICE();
  const Scene scene;
  const Use before(scene.context);
  for (const uint64_t length : U64s{0, 1, kPage + 1, 1ULL << 40, 1ULL << 63, 0ULL - (1 << 20)})
    for (const uint32_t kind : {AIACCEL_BUFFER_ALLOCATED, AIACCEL_BUFFER_PINNED}) {
      aiaccel_quota quota{};
      quota.kind = kind;
      quota.length = length;
      BOOST_TEST(scene.context(AIACCEL_IOC_QUOTA, quota) == 0);
      BOOST_TEST((quota.refused_by != AIACCEL_REFUSED_NOT) == (length >= 1ULL << 40));
    }
  BOOST_TEST(Use(scene.context) == before);
}

BOOST_AUTO_TEST_SUITE_END()
