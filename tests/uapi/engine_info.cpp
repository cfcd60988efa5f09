// SPDX-License-Identifier: MIT
//
// ENGINE_INFO.
#include <unistd.h>

#include <string>

#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(engine_info)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_engine_info, size, kIn),
    FIELD(aiaccel_engine_info, id, kIn),
    FIELD(aiaccel_engine_info, kind, kOut),
    FIELD(aiaccel_engine_info, enforcement, kOut),
    FIELD(aiaccel_engine_info, state, kOut),
    FIELD(aiaccel_engine_info, slots, kOut),
    FIELD(aiaccel_engine_info, numa_node, kOut),
    FIELD(aiaccel_engine_info, order, kOut),
    FIELD(aiaccel_engine_info, device_bytes, kOut),
    FIELD(aiaccel_engine_info, reserved_bytes, kOut),
    FIELD(aiaccel_engine_info, name, kOut),
    FIELD(aiaccel_engine_info, alias, kOut),
    FIELD(aiaccel_engine_info, provider, kOut),
    FIELD(aiaccel_engine_info, grace_ns, kOut),
    FIELD(aiaccel_engine_info, contended, kOut),
    FIELD(aiaccel_engine_info, __reserved, kZero),
};
static_assert(fills(kFields, 256) && sizeof(aiaccel_engine_info) == 256);

const Register kRow({"ENGINE_INFO", AIACCEL_IOC_ENGINE_INFO, kFields,
                     [](const Scene& scene) {
                       aiaccel_engine_info arg{};
                       arg.size = sizeof(arg);
                       arg.id = scene.engine;
                       return bytes_of(arg);
                     },
                     [](const Scene&) {
                       Spoils<aiaccel_engine_info> spoils;
                       spoils.add(EINVAL, "reserved", [](auto& a) { a.__reserved = 1; });
                       for (const uint32_t id : {0u, 999999u, 0x80000000u, ~0u})
                         spoils.add(ENOENT, "id", [=](auto& a) { a.id = id; });
                       return spoils;
                     }});

}  // namespace

BOOST_AUTO_TEST_CASE(a_cpu_engine_is_described) {
  NEED_DEVICE();
  const Context context;
  const aiaccel_engine_info info = context.engine();
  BOOST_TEST(info.kind == uint32_t{AIACCEL_ENGINE_CPU});
  BOOST_TEST(info.enforcement == uint32_t{AIACCEL_ADVISORY});
  BOOST_TEST(info.state == uint32_t{AIACCEL_ENGINE_ACTIVE});
  BOOST_TEST(info.slots >= 1u);
  BOOST_TEST(info.slots <= static_cast<uint32_t>(sysconf(_SC_NPROCESSORS_ONLN)));
  BOOST_TEST(info.device_bytes == 0u);
  BOOST_TEST(info.reserved_bytes == 0u);
  BOOST_TEST(info.order == uint32_t{AIACCEL_ORDER_FAIR});
  BOOST_TEST(info.contended == 0u);
  BOOST_TEST(std::string(info.name) == "cpu-node" + std::to_string(info.numa_node));
  BOOST_TEST(std::string(info.provider) == "aiaccel");
  // zeros to the end
  for (size_t i = strlen(info.name); i < sizeof(info.name); i++) BOOST_TEST(info.name[i] == 0);
  for (const char c : info.alias) BOOST_TEST(c == 0);
  for (size_t i = strlen(info.provider); i < sizeof(info.provider); i++)
    BOOST_TEST(info.provider[i] == 0);
}

BOOST_AUTO_TEST_SUITE_END()
