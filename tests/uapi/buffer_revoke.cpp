// SPDX-License-Identifier: MIT
//
// BUFFER_REVOKE: its arguments. What becomes of mappings is in conformance/sharing.cpp, what of
// devices in kmod/.
#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(buffer_revoke)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_buffer_revoke, size, kIn),
    FIELD(aiaccel_buffer_revoke, id, kIn),
    FIELD(aiaccel_buffer_revoke, importers, kOut),
    FIELD(aiaccel_buffer_revoke, __reserved, kZero),
};
static_assert(fills(kFields, 16) && sizeof(aiaccel_buffer_revoke) == 16);

const Register kRow({"BUFFER_REVOKE", AIACCEL_IOC_BUFFER_REVOKE, kFields,
                     [](const Scene& scene) {
                       aiaccel_buffer_revoke arg{};
                       arg.size = sizeof(arg);
                       arg.id = scene.spare;
                       return bytes_of(arg);
                     },
                     [](const Scene& scene) {
                       Spoils<aiaccel_buffer_revoke> spoils;
                       for (const uint32_t reserved : {1u, 0x80000000u, ~0u})
                         spoils.add(EINVAL, "reserved", [=](auto& a) { a.__reserved = reserved; });
                       for (const uint32_t id : {0u, scene.queue, 999999u, 0x80000000u, ~0u})
                         spoils.add(ENOENT, "id", [=](auto& a) { a.id = id; });
                       return spoils;
                     }});

uint32_t state(const Context& context, uint32_t id) {
  aiaccel_buffer_info info{};
  info.id = id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
  return info.state;
}

}  // namespace

BOOST_AUTO_TEST_CASE(is_for_who_made_it) {
  NEED_DEVICE();
  const Context maker, other;
  aiaccel_buffer_revoke arg{};
  arg.id = maker.alloc(kPage).id;
  aiaccel_export passed{};
  passed.id = arg.id;
  BOOST_REQUIRE_EQUAL(maker(AIACCEL_IOC_EXPORT, passed), 0);
  const Fd fd(passed.fd);
  for (const Context* context : {&maker, &other}) {
    aiaccel_import import{};
    import.fd = fd.get();
    BOOST_REQUIRE_EQUAL((*context)(AIACCEL_IOC_IMPORT, import), 0);
    aiaccel_buffer_revoke foreign{};
    foreign.id = import.id;
    BOOST_TEST((*context)(AIACCEL_IOC_BUFFER_REVOKE, foreign) == EPERM);
  }
  BOOST_TEST(state(maker, arg.id) == 0u);
  BOOST_TEST(maker(AIACCEL_IOC_BUFFER_REVOKE, arg) == 0);
  BOOST_TEST(maker(AIACCEL_IOC_BUFFER_REVOKE, arg) == 0);
  BOOST_TEST(state(maker, arg.id) == uint32_t{AIACCEL_BUFFER_REVOKED});
}

// The count is told of who has it, and nothing is taken back that could not be told of.
BOOST_AUTO_TEST_CASE(what_cannot_be_told_of_is_not_taken_back) {
  NEED_DEVICE();
  const Scene scene;
  auto* arg = reinterpret_cast<aiaccel_buffer_revoke*>(scene.page.data());
  arg->size = sizeof(*arg);
  arg->id = scene.spare;
  BOOST_REQUIRE_EQUAL(mprotect(arg, kPage, PROT_READ), 0);
  BOOST_TEST(scene.context.call(AIACCEL_IOC_BUFFER_REVOKE, arg) == EFAULT);
  BOOST_TEST(state(scene.context, scene.spare) == 0u);
  BOOST_REQUIRE_EQUAL(mprotect(arg, kPage, PROT_READ | PROT_WRITE), 0);
  BOOST_TEST(scene.context.call(AIACCEL_IOC_BUFFER_REVOKE, arg) == 0);
  BOOST_TEST(state(scene.context, scene.spare) == uint32_t{AIACCEL_BUFFER_REVOKED});
}

BOOST_AUTO_TEST_SUITE_END()
