// SPDX-License-Identifier: MIT
//
// STATS. Who sees what of others is in who.cpp, what tenants are in kmod/tenants.cpp.
#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(stats)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_stats, size, kIn),        FIELD(aiaccel_stats, kind, kIn),
    FIELD(aiaccel_stats, records, kIn),     FIELD(aiaccel_stats, count, kInOut),
    FIELD(aiaccel_stats, record_size, kIn), FIELD(aiaccel_stats, time_ns, kOut),
};
static_assert(fills(kFields, 32) && sizeof(aiaccel_stats) == 32);

constexpr Field kEngine[] = {
    FIELD(aiaccel_stats_engine, id, kOut),
    FIELD(aiaccel_stats_engine, state, kOut),
    FIELD(aiaccel_stats_engine, slots, kOut),
    FIELD(aiaccel_stats_engine, slots_used, kOut),
    FIELD(aiaccel_stats_engine, jobs_waiting, kOut),
    FIELD(aiaccel_stats_engine, queues, kOut),
    FIELD(aiaccel_stats_engine, granted, kOut),
    FIELD(aiaccel_stats_engine, busy_ns, kOut),
    FIELD(aiaccel_stats_engine, device_bytes, kOut),
    FIELD(aiaccel_stats_engine, reserved_bytes, kOut),
    FIELD(aiaccel_stats_engine, wait, kOut),
    FIELD(aiaccel_stats_engine, run, kOut),
};
static_assert(fills(kEngine, 568) && sizeof(aiaccel_stats_engine) == 568);

constexpr Field kTenant[] = {
    FIELD(aiaccel_stats_tenant, tenant, kOut),
    FIELD(aiaccel_stats_tenant, parent, kOut),
    FIELD(aiaccel_stats_tenant, source_id, kOut),
    FIELD(aiaccel_stats_tenant, kind, kOut),
    FIELD(aiaccel_stats_tenant, weight, kOut),
    FIELD(aiaccel_stats_tenant, contexts, kOut),
    FIELD(aiaccel_stats_tenant, queues, kOut),
    FIELD(aiaccel_stats_tenant, allocated_bytes, kOut),
    FIELD(aiaccel_stats_tenant, pinned_bytes, kOut),
    FIELD(aiaccel_stats_tenant, granted, kOut),
    FIELD(aiaccel_stats_tenant, busy_ns, kOut),
    FIELD(aiaccel_stats_tenant, name, kOut),
    FIELD(aiaccel_stats_tenant, reserved_bytes, kOut),
    FIELD(aiaccel_stats_tenant, max_bytes, kOut),
    FIELD(aiaccel_stats_tenant, max_device_bytes, kOut),
    FIELD(aiaccel_stats_tenant, max_class, kOut),
    FIELD(aiaccel_stats_tenant, on_missing, kOut),
    FIELD(aiaccel_stats_tenant, engine_time, kOut),
    FIELD(aiaccel_stats_tenant, grants, kOut),
    FIELD(aiaccel_stats_tenant, wait, kOut),
    FIELD(aiaccel_stats_tenant, run, kOut),
};
static_assert(fills(kTenant, 752) && sizeof(aiaccel_stats_tenant) == 752);

constexpr Field kQueue[] = {
    FIELD(aiaccel_stats_queue, context, kOut),   FIELD(aiaccel_stats_queue, tenant, kOut),
    FIELD(aiaccel_stats_queue, engine, kOut),    FIELD(aiaccel_stats_queue, id, kOut),
    FIELD(aiaccel_stats_queue, class_, kOut),    FIELD(aiaccel_stats_queue, weight, kOut),
    FIELD(aiaccel_stats_queue, waiting, kOut),   FIELD(aiaccel_stats_queue, slots_held, kOut),
    FIELD(aiaccel_stats_queue, pid, kOut),       FIELD(aiaccel_stats_queue, __reserved, kOut),
    FIELD(aiaccel_stats_queue, submitted, kOut), FIELD(aiaccel_stats_queue, granted, kOut),
    FIELD(aiaccel_stats_queue, completed, kOut), FIELD(aiaccel_stats_queue, wait_ns, kOut),
    FIELD(aiaccel_stats_queue, run_ns, kOut),    FIELD(aiaccel_stats_queue, max_wait_ns, kOut),
    FIELD(aiaccel_stats_queue, comm, kOut),      FIELD(aiaccel_stats_queue, label, kOut),
    FIELD(aiaccel_stats_queue, wait, kOut),      FIELD(aiaccel_stats_queue, run, kOut),
};
static_assert(fills(kQueue, 688) && sizeof(aiaccel_stats_queue) == 688);

constexpr Field kReservation[] = {
    FIELD(aiaccel_stats_reservation, context, kOut),
    FIELD(aiaccel_stats_reservation, tenant, kOut),
    FIELD(aiaccel_stats_reservation, engine, kOut),
    FIELD(aiaccel_stats_reservation, id, kOut),
    FIELD(aiaccel_stats_reservation, bytes, kOut),
    FIELD(aiaccel_stats_reservation, pid, kOut),
    FIELD(aiaccel_stats_reservation, __reserved, kOut),
    FIELD(aiaccel_stats_reservation, comm, kOut),
};
static_assert(fills(kReservation, 56) && sizeof(aiaccel_stats_reservation) == 56);

constexpr Field kContext[] = {
    FIELD(aiaccel_stats_context, context, kOut),
    FIELD(aiaccel_stats_context, tenant, kOut),
    FIELD(aiaccel_stats_context, pid, kOut),
    FIELD(aiaccel_stats_context, queues, kOut),
    FIELD(aiaccel_stats_context, waiting, kOut),
    FIELD(aiaccel_stats_context, turns, kOut),
    FIELD(aiaccel_stats_context, slots_held, kOut),
    FIELD(aiaccel_stats_context, events_unread, kOut),
    FIELD(aiaccel_stats_context, granted, kOut),
    FIELD(aiaccel_stats_context, busy_ns, kOut),
    FIELD(aiaccel_stats_context, allocated_bytes, kOut),
    FIELD(aiaccel_stats_context, pinned_bytes, kOut),
    FIELD(aiaccel_stats_context, imported_bytes, kOut),
    FIELD(aiaccel_stats_context, reserved_bytes, kOut),
    FIELD(aiaccel_stats_context, comm, kOut),
};
static_assert(fills(kContext, 104) && sizeof(aiaccel_stats_context) == 104);

constexpr Field kTurn[] = {
    FIELD(aiaccel_stats_turn, context, kOut),      FIELD(aiaccel_stats_turn, tenant, kOut),
    FIELD(aiaccel_stats_turn, engine, kOut),       FIELD(aiaccel_stats_turn, queue, kOut),
    FIELD(aiaccel_stats_turn, pid, kOut),          FIELD(aiaccel_stats_turn, state, kOut),
    FIELD(aiaccel_stats_turn, class_, kOut),       FIELD(aiaccel_stats_turn, width, kOut),
    FIELD(aiaccel_stats_turn, submitted_ns, kOut), FIELD(aiaccel_stats_turn, granted_ns, kOut),
    FIELD(aiaccel_stats_turn, ended_ns, kOut),     FIELD(aiaccel_stats_turn, capped_ns, kOut),
    FIELD(aiaccel_stats_turn, comm, kOut),         FIELD(aiaccel_stats_turn, label, kOut),
    FIELD(aiaccel_stats_turn, count, kOut),        FIELD(aiaccel_stats_turn, tenant_kind, kOut),
    FIELD(aiaccel_stats_turn, source_id, kOut),    FIELD(aiaccel_stats_turn, wait_ns, kOut),
    FIELD(aiaccel_stats_turn, max_wait_ns, kOut),  FIELD(aiaccel_stats_turn, waits_for, kOut),
    FIELD(aiaccel_stats_turn, why, kOut),          FIELD(aiaccel_stats_turn, __reserved, kOut),
};
static_assert(fills(kTurn, 200) && sizeof(aiaccel_stats_turn) == 200);

struct {
  uint32_t kind, size;
} const kRecords[] = {
    {AIACCEL_STATS_ENGINES, sizeof(aiaccel_stats_engine)},
    {AIACCEL_STATS_TENANTS, sizeof(aiaccel_stats_tenant)},
    {AIACCEL_STATS_QUEUES, sizeof(aiaccel_stats_queue)},
    {AIACCEL_STATS_TURNS, sizeof(aiaccel_stats_turn)},
    {AIACCEL_STATS_RESERVATIONS, sizeof(aiaccel_stats_reservation)},
    {AIACCEL_STATS_CONTEXTS, sizeof(aiaccel_stats_context)},
};

std::vector<Spoil> spoils_of(const Scene&) {
  Spoils<aiaccel_stats> spoils;
  for (const uint32_t kind : {0u, 8u, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "kind", [=](auto& a) { a.kind = kind; });
  for (const uint32_t size : {0u, 4u, 7u, 9u, 12u, 4095u, 4104u, 0x80000008u, ~0u})
    spoils.add(EINVAL, "record_size", [=](auto& a) { a.record_size = size; });
  spoils.add(EINVAL, "record_size of a snapshot", [](auto& a) {
    a.kind = AIACCEL_STATS_SNAPSHOT;
    a.record_size = 16;
  });
  for (const uint64_t address : U64s{0, 1ULL << 47, 0xffff888000000000, ~0ULL})
    spoils.add(EFAULT, "records", [=](auto& a) { a.records = address; });
  return spoils;
}

const Register kRow({"STATS", AIACCEL_IOC_STATS, kFields,
                     [](const Scene& scene) {
                       aiaccel_stats arg{};
                       arg.size = sizeof(arg);
                       arg.kind = AIACCEL_STATS_QUEUES;
                       arg.records = scene.page.address();
                       arg.count = 1;
                       arg.record_size = sizeof(aiaccel_stats_queue);
                       return bytes_of(arg);
                     },
                     spoils_of});

}  // namespace

// By records longer and shorter than the kernel's, and by arrays that end early, twice with
// different bytes where they go: what is not told is not written, what is told is written wholly,
// and no address of the kernel is in it.
BOOST_AUTO_TEST_CASE(records_are_cut_and_filled_and_bounded) {
  NEED_DEVICE();
  const Scene scene;
  scene.context.take_turn(scene.queue, 1);
  reserve(scene.context, scene.gpu.id(), 1);
  for (const auto& record : kRecords)
    for (const uint32_t record_size : {8u, record.size - 8, record.size, record.size + 8, 4096u})
      for (const uint32_t fit : {0u, 1u, 4u}) {
        Bytes bytes[2] = {Bytes(4 * 4096, 0x5a), Bytes(4 * 4096, static_cast<char>(0xa5))};
        uint32_t count = 0;
        for (Bytes& to : bytes) {
          aiaccel_stats stats{};
          stats.kind = record.kind;
          stats.records = address(to.data());
          stats.count = fit;
          stats.record_size = record_size;
          BOOST_REQUIRE_EQUAL(scene.context(AIACCEL_IOC_STATS, stats), 0);
          BOOST_REQUIRE(stats.count >= 1);
          count = std::min(stats.count, fit);
          BOOST_TEST(!has_kernel_address(to.data(), count * record_size));
        }
        for (size_t i = 0; i < bytes[0].size(); i++) {
          const bool told = i < size_t{count} * record_size,
                     filler = i % record_size >= record.size;
          const bool kept = bytes[0][i] == 0x5a && bytes[1][i] == static_cast<char>(0xa5);
          if (kept == told || (told && filler && bytes[0][i]))
            BOOST_REQUIRE_MESSAGE(false, "byte " << i << ", kind " << record.kind
                                                 << ", record_size " << record_size << ", room for "
                                                 << fit);
        }
      }
}

// As above, of a SNAPSHOT, which is written wholly or not at all.
BOOST_AUTO_TEST_CASE(a_snapshot_is_bounded) {
  NEED_DEVICE();
  const Scene scene;
  scene.context.take_turn(scene.queue, 1);
  Bytes bytes[2] = {Bytes(1 << 20, 0x5a), Bytes(1 << 20, static_cast<char>(0xa5))};
  uint32_t needed = 0;
  for (Bytes& to : bytes) {
    aiaccel_stats stats{};
    stats.kind = AIACCEL_STATS_SNAPSHOT;
    stats.records = address(to.data());
    stats.count = 1 << 17;
    stats.record_size = 8;
    BOOST_REQUIRE_EQUAL(scene.context(AIACCEL_IOC_STATS, stats), 0);
    BOOST_REQUIRE(stats.count < 1 << 17);
    BOOST_TEST(!has_kernel_address(to.data(), stats.count * 8));
    needed = stats.count;
    stats.count--;
    stats.records = 0;  // is not written to
    BOOST_TEST(scene.context(AIACCEL_IOC_STATS, stats) == 0);
    stats.records = ~0ULL - 7;
    BOOST_TEST(scene.context(AIACCEL_IOC_STATS, stats) == EFAULT);
  }
  for (size_t i = 0; i < bytes[0].size(); i++) {
    const bool kept = bytes[0][i] == 0x5a && bytes[1][i] == static_cast<char>(0xa5);
    if (kept == (i < needed * 8)) BOOST_REQUIRE_MESSAGE(false, "byte " << i);
  }
}

BOOST_AUTO_TEST_CASE(pids_are_of_the_callers_namespace) {
  NEED_DEVICE();
  const Scene scene;
  const int status = in_child([] {
    if (unshare(CLONE_NEWPID)) return 77;
    return in_child([] {  // the first process of the namespace
      const Context context;
      context.queue();
      aiaccel_stats_queue records[8] = {};
      aiaccel_stats stats{};
      stats.kind = AIACCEL_STATS_QUEUES;
      stats.records = address(records);
      stats.count = 8;
      stats.record_size = sizeof(records[0]);
      if (getpid() != 1 || context(AIACCEL_IOC_STATS, stats) || stats.count != 2) return 1;
      // the other one's process is not in here
      if (records[0].pid != 0 || records[1].pid != 1) return 2;
      // a turn of this process, which runs; those on record may be of any process by now
      const uint64_t before = now_ns();
      const uint32_t queue = context.queue();
      for (const uint64_t cookie : {1, 2}) {
        const uint32_t generation = context.take_turn(queue, cookie);
        if (cookie == 1 && complete(context, cookie, generation)) return 3;
      }
      std::vector<aiaccel_stats_turn> turns(8192);
      stats.kind = AIACCEL_STATS_TURNS;
      stats.records = address(turns.data());
      stats.count = 8192;
      stats.record_size = sizeof(turns[0]);
      if (context(AIACCEL_IOC_STATS, stats) || stats.count < 2) return 4;
      for (uint32_t i = 0; i < stats.count; i++) {
        const bool runs = turns[i].state == AIACCEL_TURN_RUNNING;
        if (turns[i].submitted_ns >= before && turns[i].pid != (runs ? 1 : 0)) return 5;
      }
      return 0;
    });
  });
  if (status == 77) SKIP("no pid namespaces here");
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_SUITE_END()
