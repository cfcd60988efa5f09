// SPDX-License-Identifier: MIT
//
// ENGINE_REGISTER.
#include <string>

#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(engine_register)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_engine_register, size, kIn),
    FIELD(aiaccel_engine_register, flags, kIn),
    FIELD(aiaccel_engine_register, kind, kIn),
    FIELD(aiaccel_engine_register, enforcement, kIn),
    FIELD(aiaccel_engine_register, slots, kIn),
    FIELD(aiaccel_engine_register, numa_node, kIn),
    FIELD(aiaccel_engine_register, device_bytes, kIn),
    FIELD(aiaccel_engine_register, name, kIn),
    FIELD(aiaccel_engine_register, alias, kIn),
    FIELD(aiaccel_engine_register, provider, kIn),
    FIELD(aiaccel_engine_register, id, kOut),
    FIELD(aiaccel_engine_register, __reserved, kZero),
};
static_assert(fills(kFields, 232) && sizeof(aiaccel_engine_register) == 232);

std::vector<Spoil> spoils_of(const Scene& scene) {
  Spoils<aiaccel_engine_register> spoils;
  for (const uint32_t flags : {2u, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "flags", [=](auto& a) { a.flags = flags; });
  for (const uint32_t kind : {0u, uint32_t{AIACCEL_ENGINE_CPU}, 5u, ~0u})
    spoils.add(EOPNOTSUPP, "kind", [=](auto& a) { a.kind = kind; });
  for (const uint32_t enforcement : {0u, uint32_t{AIACCEL_PREEMPTIBLE}, 4u, ~0u})
    spoils.add(EOPNOTSUPP, "enforcement", [=](auto& a) { a.enforcement = enforcement; });
  spoils.add(EINVAL, "reserved", [](auto& a) { a.__reserved = 1; });
  for (const uint32_t slots : {0u, 1025u, ~0u})
    spoils.add(EINVAL, "slots", [=](auto& a) { a.slots = slots; });
  for (const int node : {-2, 1023, 1024, 0x7fffffff, static_cast<int>(0x80000000u)})
    spoils.add(EINVAL, "a node that cannot be", [=](auto& a) { a.numa_node = node; });
  spoils.add(EINVAL, "no provider", [](auto& a) { memset(a.provider, 0, sizeof(a.provider)); });
  for (const int byte : {1, 0x20, 0x7f, 0xe9}) {
    spoils.add(EINVAL, "provider", [=](auto& a) { a.provider[2] = static_cast<char>(byte); });
    spoils.add(EINVAL, "alias", [=](auto& a) { a.alias[0] = static_cast<char>(byte); });
    spoils.add(EINVAL, "name", [=](auto& a) { a.name[2] = static_cast<char>(byte); });
  }
  spoils.add(EINVAL, "name without a NUL", [](auto& a) { memset(a.name, 'a', sizeof(a.name)); });
  spoils.add(EINVAL, "alias with more after its NUL", [](auto& a) { a.alias[63] = 'x'; });
  const std::string taken = scene.gpu.info().name;
  spoils.add(EEXIST, "the name of another", [=](auto& a) { taken.copy(a.name, 64); });
  spoils.add(EEXIST, "the name of another as alias", [=](auto& a) { taken.copy(a.alias, 64); });
  return spoils;
}

const Register kRow({"ENGINE_REGISTER", AIACCEL_IOC_ENGINE_REGISTER, kFields,
                     [](const Scene&) { return bytes_of(engine_of(1 << 20)); }, spoils_of});

int make(const Context& context, const std::string& name, const std::string& alias) {
  aiaccel_engine_register arg = engine_of();
  memset(arg.name, 0, sizeof(arg.name));
  name.copy(arg.name, 63);
  alias.copy(arg.alias, 63);
  return context(AIACCEL_IOC_ENGINE_REGISTER, arg);
}

}  // namespace

BOOST_AUTO_TEST_CASE(is_described_as_it_was_made) {
  NEED_DEVICE();
  const Scene scene;
  const uint32_t before = scene.context.query().nr_engines;
  aiaccel_engine_register arg = engine_of(~0ULL, 1024);
  arg.kind = AIACCEL_ENGINE_FPGA;
  arg.enforcement = AIACCEL_ADVISORY;
  arg.numa_node = -1;
  memset(arg.alias, '~', 63);
  BOOST_REQUIRE_EQUAL(scene.context(AIACCEL_IOC_ENGINE_REGISTER, arg), 0);
  BOOST_TEST(scene.context.query().nr_engines == before + 1);
  aiaccel_engine_info info{};
  info.id = arg.id;
  BOOST_REQUIRE_EQUAL(Context()(AIACCEL_IOC_ENGINE_INFO, info), 0);
  BOOST_TEST(info.kind == uint32_t{AIACCEL_ENGINE_FPGA});
  BOOST_TEST(info.enforcement == uint32_t{AIACCEL_ADVISORY});
  BOOST_TEST(info.slots == 1024u);
  BOOST_TEST(info.numa_node == -1);
  BOOST_TEST(info.device_bytes == ~0ULL);
  BOOST_TEST(info.reserved_bytes == 0u);
  BOOST_TEST(!memcmp(info.name, arg.name, sizeof(arg.name)));
  BOOST_TEST(!memcmp(info.alias, arg.alias, sizeof(arg.alias)));
  BOOST_TEST(!memcmp(info.provider, arg.provider, sizeof(arg.provider)));
}

BOOST_AUTO_TEST_CASE(names_and_aliases_are_unique_among_both) {
  NEED_DEVICE();
  const Scene scene;
  const Context& context = scene.context;
  BOOST_TEST(make(context, "a", "b") == 0);
  for (const char* taken : {"a", "b", "cpu-node0"}) {
    BOOST_TEST(make(context, taken, "") == EEXIST);
    BOOST_TEST(make(context, "c", taken) == EEXIST);
  }
  BOOST_TEST(make(context, "c", "") == 0);  // two without an alias share nothing
  BOOST_TEST(make(context, "d", "") == 0);
}

BOOST_AUTO_TEST_CASE(so_many_and_no_more) {
  NEED_DEVICE();
  const Scene scene;  // has one
  for (int i = 1; i < 1024; i++) {
    aiaccel_engine_register arg = engine_of();
    BOOST_REQUIRE_EQUAL(scene.context(AIACCEL_IOC_ENGINE_REGISTER, arg), 0);
  }
  aiaccel_engine_register arg = engine_of();
  BOOST_TEST(scene.context(AIACCEL_IOC_ENGINE_REGISTER, arg) == ENOSPC);
  BOOST_TEST(scene.gpu.unregister() == 0);
  BOOST_TEST(scene.context(AIACCEL_IOC_ENGINE_REGISTER, arg) == 0);
}

BOOST_AUTO_TEST_CASE(is_for_the_administrator) {
  NEED_DEVICE();
  const Scene scene;
  BOOST_TEST(in_child([&] {
               const Context context;
               become_user(1000);
               aiaccel_engine_register arg = engine_of();
               if (context(AIACCEL_IOC_ENGINE_REGISTER, arg) != EPERM) return 1;
               arg.slots = 0;
               if (context(AIACCEL_IOC_ENGINE_REGISTER, arg) != EINVAL) return 2;
               aiaccel_engine_unregister end{};
               end.id = scene.gpu.id();
               if (context(AIACCEL_IOC_ENGINE_UNREGISTER, end) != EPERM) return 3;
               end.id = context.engine().id;
               return context(AIACCEL_IOC_ENGINE_UNREGISTER, end) == ENOENT ? 0 : 4;
             }) == 0);
  scene.gpu.info();  // still there
}

BOOST_AUTO_TEST_SUITE_END()
