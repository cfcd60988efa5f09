// SPDX-License-Identifier: MIT
//
// REVOKE. Whose turns it ends is in kmod/control.cpp, who may in there too.
#include <sys/mman.h>

#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(revoking)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_revoke, size, kIn),    FIELD(aiaccel_revoke, flags, kIn),
    FIELD(aiaccel_revoke, context, kIn), FIELD(aiaccel_revoke, tenant, kIn),
    FIELD(aiaccel_revoke, engine, kIn),  FIELD(aiaccel_revoke, count, kOut),
};
static_assert(fills(kFields, 32) && sizeof(aiaccel_revoke) == 32);

aiaccel_revoke good(const Scene& scene) {
  aiaccel_revoke arg{};
  arg.size = sizeof(arg);
  arg.flags = AIACCEL_REVOKE_WAITING;
  arg.tenant = scene.context.query().tenant;
  arg.engine = scene.engine;
  return arg;
}

const Register kRow({"REVOKE", AIACCEL_IOC_REVOKE, kFields,
                     [](const Scene& scene) { return bytes_of(good(scene)); },
                     [](const Scene&) {
                       Spoils<aiaccel_revoke> spoils;
                       for (const uint32_t flags : {2u, 0x80000000u, ~0u})
                         spoils.add(EOPNOTSUPP, "flags", [=](auto& a) { a.flags = flags; });
                       for (const uint64_t context : U64s{1, 1ULL << 63, ~0ULL})
                         spoils.add(EINVAL, "both", [=](auto& a) { a.context = context; });
                       for (const uint64_t tenant : U64s{1ULL << 32, 1ULL << 63, ~0ULL})
                         spoils.add(ENOENT, "tenant", [=](auto& a) { a.tenant = tenant; });
                       for (const uint32_t id : {999999u, 0x80000000u, ~0u})
                         spoils.add(ENOENT, "engine", [=](auto& a) { a.engine = id; });
                       return spoils;
                     }});

}  // namespace

BOOST_AUTO_TEST_CASE(one_of_both_is_named) {
  NEED_DEVICE();
  const Scene scene;
  aiaccel_revoke arg = good(scene);
  arg.tenant = 0;
  BOOST_TEST(scene.context(AIACCEL_IOC_REVOKE, arg) == EINVAL);
}

// The count is told of what was ended, and nothing is ended that could not be told of.
BOOST_AUTO_TEST_CASE(what_cannot_be_told_of_is_not_ended) {
  NEED_DEVICE();
  const Scene scene;
  const uint32_t generation = scene.context.take_turn(scene.queue, 1);
  auto* arg = reinterpret_cast<aiaccel_revoke*>(scene.page.data());
  *arg = good(scene);
  BOOST_REQUIRE_EQUAL(mprotect(arg, kPage, PROT_READ), 0);
  BOOST_TEST(scene.context.call(AIACCEL_IOC_REVOKE, arg) == EFAULT);
  BOOST_TEST(scene.context.engine_stats().slots_used == 1u);
  BOOST_REQUIRE_EQUAL(mprotect(arg, kPage, PROT_READ | PROT_WRITE), 0);
  BOOST_TEST(scene.context.call(AIACCEL_IOC_REVOKE, arg) == 0);
  BOOST_TEST(arg->count == 1u);
  BOOST_TEST(scene.context.engine_stats().slots_used == 0u);
  BOOST_TEST(complete(scene.context, 1, generation) == ESTALE);
}

BOOST_AUTO_TEST_SUITE_END()
