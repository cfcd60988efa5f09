// SPDX-License-Identifier: MIT
//
// DESTROY.
#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(destroy)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_destroy, size, kIn),
    FIELD(aiaccel_destroy, id, kIn),
};
static_assert(fills(kFields, 8) && sizeof(aiaccel_destroy) == 8);

const Register kRow({"DESTROY", AIACCEL_IOC_DESTROY, kFields,
                     [](const Scene& scene) {
                       aiaccel_destroy arg{};
                       arg.size = sizeof(arg);
                       arg.id = scene.context.alloc(1).id;
                       return bytes_of(arg);
                     },
                     [](const Scene&) {
                       Spoils<aiaccel_destroy> spoils;
                       for (const uint32_t id : {0u, 999999u, 0x80000000u, ~0u})
                         spoils.add(ENOENT, "id", [=](auto& a) { a.id = id; });
                       return spoils;
                     }});

int destroy_id(const Context& context, uint32_t id) {
  aiaccel_destroy arg{};
  arg.id = id;
  return context(AIACCEL_IOC_DESTROY, arg);
}

}  // namespace

BOOST_AUTO_TEST_CASE(once_and_by_its_own_context) {
  NEED_DEVICE();
  const Context context, other;
  const Use before(context);
  const uint32_t ids[] = {context.alloc(kPage).id, context.queue()};
  for (const uint32_t id : ids) {
    BOOST_TEST(destroy_id(other, id) == ENOENT);
    BOOST_TEST(destroy_id(context, id) == 0);
    BOOST_TEST(destroy_id(context, id) == ENOENT);
  }
  BOOST_TEST(Use(context) == before);
}

// Nor by what is made next, so that a late call cannot hit it.
BOOST_AUTO_TEST_CASE(an_id_is_not_soon_used_again) {
  NEED_DEVICE();
  const Context context;
  const uint32_t first = context.alloc(1).id;
  BOOST_TEST(destroy_id(context, first) == 0);
  for (int i = 0; i < 10; i++) BOOST_TEST(context.alloc(1).id != first);
}

// It has no reply: it succeeds where nothing can be written.
BOOST_AUTO_TEST_CASE(needs_no_memory_to_answer_to) {
  NEED_DEVICE();
  const Context context;
  const Map page = anonymous(kPage);
  auto* arg = reinterpret_cast<aiaccel_destroy*>(page.data());
  arg->size = sizeof(*arg);
  arg->id = context.alloc(1).id;
  BOOST_REQUIRE_EQUAL(mprotect(page.data(), kPage, PROT_READ), 0);
  BOOST_TEST(context.call(AIACCEL_IOC_DESTROY, arg) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
