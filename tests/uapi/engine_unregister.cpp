// SPDX-License-Identifier: MIT
//
// ENGINE_UNREGISTER. What becomes of turns and jobs is in kmod/provider.cpp, of reservations in
// reserve.cpp.
#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(engine_unregister)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_engine_unregister, size, kIn),
    FIELD(aiaccel_engine_unregister, id, kIn),
};
static_assert(fills(kFields, 8) && sizeof(aiaccel_engine_unregister) == 8);

const Register kRow({"ENGINE_UNREGISTER", AIACCEL_IOC_ENGINE_UNREGISTER, kFields,
                     [](const Scene& scene) {
                       aiaccel_engine_register make = engine_of();
                       BOOST_REQUIRE_EQUAL(scene.context(AIACCEL_IOC_ENGINE_REGISTER, make), 0);
                       aiaccel_engine_unregister arg{};
                       arg.size = sizeof(arg);
                       arg.id = make.id;
                       return bytes_of(arg);
                     },
                     [](const Scene& scene) {
                       Spoils<aiaccel_engine_unregister> spoils;
                       for (const uint32_t id : {0u, 999999u, 0x80000000u, ~0u, scene.engine})
                         spoils.add(ENOENT, "id", [=](auto& a) { a.id = id; });
                       return spoils;
                     }});

}  // namespace

BOOST_AUTO_TEST_CASE(once_by_anybody_and_the_id_is_not_used_again) {
  NEED_DEVICE();
  const Scene scene;
  const uint32_t queue = [&] {
    aiaccel_queue_create create{};
    create.engine = scene.gpu.id();
    BOOST_REQUIRE_EQUAL(scene.context(AIACCEL_IOC_QUEUE_CREATE, create), 0);
    return create.id;
  }();
  scene.context.take_turn(queue, 1);
  const Context other;
  aiaccel_engine_unregister end{};
  end.id = scene.gpu.id();
  BOOST_TEST(other(AIACCEL_IOC_ENGINE_UNREGISTER, end) == 0);
  BOOST_TEST(other(AIACCEL_IOC_ENGINE_UNREGISTER, end) == ENOENT);
  aiaccel_engine_info info{};
  info.id = end.id;
  BOOST_TEST(other(AIACCEL_IOC_ENGINE_INFO, info) == ENOENT);
  BOOST_TEST(submit(scene.context, job_of(queue, 2)) == ESHUTDOWN);
  BOOST_TEST(destroy_errno(scene.context, queue) == 0);
  BOOST_TEST(Engine(other).id() > end.id);
}

BOOST_AUTO_TEST_SUITE_END()
