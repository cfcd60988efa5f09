// SPDX-License-Identifier: MIT
//
// RESERVE. Tenants' ceilings, killed processes and races are in kmod/reserve.cpp.
#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(reserve_bytes)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_reserve, size, kIn),         FIELD(aiaccel_reserve, flags, kIn),
    FIELD(aiaccel_reserve, engine, kIn),       FIELD(aiaccel_reserve, id, kInOut),
    FIELD(aiaccel_reserve, bytes, kIn),        FIELD(aiaccel_reserve, max_bytes, kOut),
    FIELD(aiaccel_reserve, free_bytes, kOut),  FIELD(aiaccel_reserve, refused_by, kRefusal),
    FIELD(aiaccel_reserve, __reserved, kZero),
};
static_assert(fills(kFields, 48) && sizeof(aiaccel_reserve) == 48);

std::vector<Spoil> spoils_of(const Scene& scene) {
  Spoils<aiaccel_reserve> spoils;
  for (const uint32_t flags : {1u, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "flags", [=](auto& a) { a.flags = flags; });
  spoils.add(EINVAL, "reserved", [](auto& a) { a.__reserved = 1; });
  for (const uint32_t id : {1u, scene.queue, ~0u})
    spoils.add(EINVAL, "an engine and an id", [id, engine = scene.gpu.id()](auto& a) {
      a.engine = engine;
      a.id = id;
    });
  for (const uint32_t engine : {0u, 999999u, 0x80000000u, ~0u})
    spoils.add(ENOENT, "engine", [=](auto& a) { a.engine = engine; });
  for (const uint32_t id : {scene.queue, scene.buffer, 999999u, ~0u})
    spoils.add(ENOENT, "id of no reservation", [=](auto& a) {
      a.engine = 0;
      a.id = id;
    });
  for (const uint64_t bytes : U64s{(1 << 20) + 1, 1ULL << 63, ~0ULL})
    spoils.add(
        EDQUOT, "more than the engine has", [=](auto& a) { a.bytes = bytes; },
        AIACCEL_REFUSED_ENGINE);
  return spoils;
}

const Register kRow({"RESERVE", AIACCEL_IOC_RESERVE, kFields,
                     [](const Scene& scene) {
                       aiaccel_reserve arg{};
                       arg.size = sizeof(arg);
                       arg.engine = scene.gpu.id();
                       arg.bytes = 1;
                       return bytes_of(arg);
                     },
                     spoils_of});

aiaccel_stats_reservation only_reservation(const Context& context) {
  aiaccel_stats_reservation record{};
  aiaccel_stats stats{};
  stats.kind = AIACCEL_STATS_RESERVATIONS;
  stats.records = address(&record);
  stats.count = 1;
  stats.record_size = sizeof(record);
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_STATS, stats), 0);
  BOOST_REQUIRE_EQUAL(stats.count, 1u);
  return record;
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_engine_gives_what_it_has) {
  NEED_DEVICE();
  const Scene scene;
  const Context other;
  const auto reserved = [&] { return scene.gpu.info().reserved_bytes; };
  aiaccel_reserve mine{};
  mine.engine = scene.gpu.id();
  BOOST_TEST(scene.context(AIACCEL_IOC_RESERVE, mine) == 0);  // nothing, to grow from
  BOOST_TEST(mine.max_bytes == 1u << 20);
  BOOST_TEST(mine.free_bytes == 1u << 20);
  BOOST_TEST(mine.refused_by == uint32_t{AIACCEL_REFUSED_NOT});
  mine.engine = 0;
  mine.bytes = 1000;
  BOOST_TEST(scene.context(AIACCEL_IOC_RESERVE, mine) == 0);
  BOOST_TEST(mine.free_bytes == (1u << 20) - 1000);
  BOOST_TEST(reserved() == 1000u);

  const uint32_t theirs = reserve(other, scene.gpu.id(), (1 << 20) - 1000);  // to the brim
  BOOST_TEST(reserved() == 1u << 20);
  mine.bytes = 1001;
  mine.max_bytes = mine.free_bytes = 77;
  BOOST_TEST(scene.context(AIACCEL_IOC_RESERVE, mine) == EDQUOT);
  BOOST_TEST(mine.refused_by == uint32_t{AIACCEL_REFUSED_ENGINE});
  BOOST_TEST((mine.max_bytes == 77 && mine.free_bytes == 77));
  BOOST_TEST(resize(scene.context, mine.id, ~0ULL) == EDQUOT);
  BOOST_TEST(resize(scene.context, mine.id, 1000) == 0);  // what it has
  BOOST_TEST(resize(other, theirs, 1) == 0);
  BOOST_TEST(resize(scene.context, mine.id, 1001) == 0);
  BOOST_TEST(reserved() == 1002u);
  BOOST_TEST(resize(scene.context, theirs + 1000, 1) == ENOENT);
  BOOST_TEST(destroy_errno(scene.context, mine.id) == 0);
  BOOST_TEST(resize(scene.context, mine.id, 0) == ENOENT);
  BOOST_TEST(reserved() == 1u);
}

BOOST_AUTO_TEST_CASE(an_engine_without_memory_gives_nothing) {
  NEED_DEVICE();
  const Scene scene;
  aiaccel_reserve arg{};
  arg.engine = scene.engine;
  BOOST_TEST(scene.context(AIACCEL_IOC_RESERVE, arg) == 0);
  BOOST_TEST((arg.max_bytes == 0 && arg.free_bytes == 0));
  BOOST_TEST(resize(scene.context, arg.id, 1) == EDQUOT);
}

BOOST_AUTO_TEST_CASE(stats_tell_it) {
  NEED_DEVICE();
  const Scene scene;
  const uint32_t id = reserve(scene.context, scene.gpu.id(), 12345);
  const aiaccel_stats_reservation record = only_reservation(scene.context);
  BOOST_TEST(record.engine == scene.gpu.id());
  BOOST_TEST(record.id == id);
  BOOST_TEST(record.bytes == 12345u);
  BOOST_TEST(record.tenant == scene.context.query().tenant);
  BOOST_TEST(record.context == only_queue(scene.context).context);
  BOOST_TEST(record.pid == only_queue(scene.context).pid);
  BOOST_TEST(!memcmp(record.comm, only_queue(scene.context).comm, sizeof(record.comm)));
  BOOST_TEST(Use(scene.context).reserved == 12345u);
}

// One that is larger or the same is still a promise, which nobody can make any more.
BOOST_AUTO_TEST_CASE(what_a_gone_engine_gave_can_only_shrink) {
  NEED_DEVICE();
  const Scene scene;
  const uint32_t id = reserve(scene.context, scene.gpu.id(), 1000);
  BOOST_TEST(scene.gpu.unregister() == 0);
  BOOST_TEST(only_reservation(scene.context).bytes == 1000u);
  BOOST_TEST(resize(scene.context, id, 1001) == ENODEV);
  BOOST_TEST(resize(scene.context, id, 1000) == ENODEV);
  BOOST_TEST(resize(scene.context, id, 999) == 0);
  BOOST_TEST(Use(scene.context).reserved == 999u);
  aiaccel_reserve arg{};
  arg.engine = scene.gpu.id();
  BOOST_TEST(scene.context(AIACCEL_IOC_RESERVE, arg) == ENOENT);
  BOOST_TEST(destroy_errno(scene.context, id) == 0);
  BOOST_TEST(Use(scene.context).reserved == 0u);
}

BOOST_AUTO_TEST_CASE(counts_as_a_queue) {
  NEED_DEVICE();
  const Scene scene;  // has a queue
  const uint32_t max = scene.context.query().max_queues;
  const uint32_t first = reserve(scene.context, scene.gpu.id(), 0);
  for (uint32_t i = 2; i < max; i++) reserve(scene.context, scene.gpu.id(), 0);
  aiaccel_reserve arg{};
  arg.engine = scene.gpu.id();
  BOOST_TEST(scene.context(AIACCEL_IOC_RESERVE, arg) == EDQUOT);
  BOOST_TEST(arg.refused_by == uint32_t{AIACCEL_REFUSED_CONTEXT});
  aiaccel_queue_create create{};
  create.engine = scene.engine;
  BOOST_TEST(scene.context(AIACCEL_IOC_QUEUE_CREATE, create) == EDQUOT);
  BOOST_TEST(create.refused_by == uint32_t{AIACCEL_REFUSED_CONTEXT});
  BOOST_TEST(destroy_errno(scene.context, first) == 0);
  BOOST_TEST(scene.context(AIACCEL_IOC_QUEUE_CREATE, create) == 0);
}

BOOST_AUTO_TEST_CASE(a_size_that_cannot_be_told_is_not_taken) {
  NEED_DEVICE();
  const Scene scene;
  const Map page = anonymous(kPage);
  auto* arg = reinterpret_cast<aiaccel_reserve*>(page.data());
  arg->size = sizeof(*arg);
  arg->id = reserve(scene.context, scene.gpu.id(), 1000);
  for (const uint64_t bytes : U64s{0, 2000}) {
    arg->bytes = bytes;
    BOOST_REQUIRE_EQUAL(mprotect(page.data(), kPage, PROT_READ), 0);
    BOOST_TEST(scene.context.call(AIACCEL_IOC_RESERVE, arg) == EFAULT);
    BOOST_REQUIRE_EQUAL(mprotect(page.data(), kPage, PROT_READ | PROT_WRITE), 0);
    BOOST_TEST(only_reservation(scene.context).bytes == 1000u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
