// SPDX-License-Identifier: MIT
//
// CONTROL. What draining and leaving do is in kmod/control.cpp, who may in there too.
#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(control)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_control, size, kIn),   FIELD(aiaccel_control, flags, kIn),
    FIELD(aiaccel_control, engine, kIn), FIELD(aiaccel_control, state, kIn),
    FIELD(aiaccel_control, order, kIn),  FIELD(aiaccel_control, __reserved, kZero),
};
static_assert(fills(kFields, 24) && sizeof(aiaccel_control) == 24);

const Register kRow({"CONTROL", AIACCEL_IOC_CONTROL, kFields,
                     [](const Scene& scene) {
                       aiaccel_control arg{};
                       arg.size = sizeof(arg);
                       arg.engine = scene.engine;
                       arg.state = AIACCEL_ENGINE_ACTIVE;
                       return bytes_of(arg);
                     },
                     [](const Scene&) {
                       Spoils<aiaccel_control> spoils;
                       for (const uint32_t flags : {1u, 0x80000000u, ~0u})
                         spoils.add(EOPNOTSUPP, "flags", [=](auto& a) { a.flags = flags; });
                       for (const uint32_t state : {0u, 3u, 5u, 0x80000001u, ~0u})
                         spoils.add(EOPNOTSUPP, "state", [=](auto& a) { a.state = state; });
                       for (const uint32_t order : {5u, 0x80000001u, ~0u})
                         spoils.add(EOPNOTSUPP, "order", [=](auto& a) { a.order = order; });
                       spoils.add(EINVAL, "reserved", [](auto& a) { a.__reserved = 1; });
                       spoils.add(EINVAL, "leaving, by itself",
                                  [](auto& a) { a.state = AIACCEL_ENGINE_LEAVING; });
                       for (const uint32_t id : {999999u, 0x80000000u, ~0u})
                         spoils.add(ENOENT, "engine", [=](auto& a) { a.engine = id; });
                       return spoils;
                     }});

}  // namespace

BOOST_AUTO_TEST_SUITE_END()
