// SPDX-License-Identifier: MIT
//
// QUERY, the engines, and STATS.
#include <cerrno>
#include <cstring>
#include <set>
#include <vector>

#include "device.hpp"

using namespace conformance;

namespace {

const aiaccel_stats_queue* find(const std::vector<aiaccel_stats_queue>& records,
                                const std::string& label) {
  for (const aiaccel_stats_queue& record : records)
    if (record.label == label) return &record;
  return nullptr;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(engines)

BOOST_AUTO_TEST_CASE(query_tells_what_is_promised) {
  Device device;
  const aiaccel_query query = device.query();
  BOOST_TEST(query.abi == static_cast<uint32_t>(AIACCEL_ABI));
  BOOST_TEST(query.nr_engines >= 1u);
  BOOST_TEST(query.highest_class >= static_cast<uint32_t>(AIACCEL_CLASS_NORMAL));
  BOOST_TEST(query.max_queues >= 16u);
  BOOST_TEST(query.max_buffers >= 16u);
  BOOST_TEST(query.max_jobs >= 16u);
  BOOST_TEST((query.max_jobs & (query.max_jobs - 1)) == 0u);
  BOOST_TEST(query.tenant != 0u);
  BOOST_TEST(((query.capabilities & AIACCEL_CAP_HOST) != 0) == on("kernel"));
  BOOST_TEST(((query.capabilities & AIACCEL_CAP_ENFORCED) != 0) == on("kernel"));
  BOOST_TEST(((query.capabilities & AIACCEL_CAP_CRASH) != 0) == !on("embedded"));
}

BOOST_AUTO_TEST_CASE(list_and_info_agree) {
  Device device;
  const uint32_t count = device.query().nr_engines;
  std::vector<uint32_t> ids(count + 4, 0xabcd);
  aiaccel_engine_list list{};
  list.count = static_cast<uint32_t>(ids.size());
  list.ids = reinterpret_cast<uintptr_t>(ids.data());
  BOOST_REQUIRE(device.call(AIACCEL_IOC_ENGINE_LIST, list) == 0);
  BOOST_TEST(list.count == count);
  BOOST_TEST(list.ids == reinterpret_cast<uintptr_t>(ids.data()));
  BOOST_TEST(ids[count] == 0xabcdu);
  std::set<std::string> names;
  for (uint32_t i = 0; i < count; ++i) {
    if (i) BOOST_TEST(ids[i] > ids[i - 1]);
    aiaccel_engine_info info{};
    info.id = ids[i];
    BOOST_REQUIRE(device.call(AIACCEL_IOC_ENGINE_INFO, info) == 0);
    BOOST_TEST(info.id == ids[i]);
    BOOST_TEST(info.slots >= 1u);
    BOOST_TEST(info.state == static_cast<uint32_t>(AIACCEL_ENGINE_ACTIVE));
    BOOST_TEST(names.insert(info.name).second);
    if (info.kind == AIACCEL_ENGINE_CPU) BOOST_TEST(std::string(info.name).starts_with("cpu-node"));
  }
}

BOOST_AUTO_TEST_CASE(list_writes_as_many_as_fit) {
  Device device;
  const uint32_t count = device.query().nr_engines;
  uint32_t guard = 0xabcd;
  aiaccel_engine_list list{};
  list.ids = reinterpret_cast<uintptr_t>(&guard);
  BOOST_TEST(device.call(AIACCEL_IOC_ENGINE_LIST, list) == 0);
  BOOST_TEST(list.count == count);
  BOOST_TEST(guard == 0xabcdu);
}

BOOST_AUTO_TEST_CASE(find_by_name_and_by_place) {
  Device device;
  const aiaccel_engine_info first = device.engine();
  aiaccel_engine_info found{};
  BOOST_REQUIRE(aiaccel_find_engine(device.handle(), first.name, &found) == 0);
  BOOST_TEST(found.id == first.id);
  BOOST_REQUIRE(aiaccel_find_engine(device.handle(), "cpu0", &found) == 0);
  BOOST_TEST(found.kind == static_cast<uint32_t>(AIACCEL_ENGINE_CPU));
  for (const char* name : {"cpu4000", "gpu4000", "cpu", "", "nothing", "cpu0x", "cpu99999999999"})
    BOOST_TEST(aiaccel_find_engine(device.handle(), name, &found) == -ENOENT);
}

BOOST_AUTO_TEST_CASE(stats_of_queues_count_turns) {
  Device device;
  const uint32_t queue = device.must_queue(AIACCEL_CLASS_HIGH, 250, "stats@1");
  const uint32_t slots = device.slots();
  const auto before = device.queue_stats();
  const aiaccel_stats_queue* record = find(before, "stats@1");
  BOOST_REQUIRE(record);
  BOOST_TEST(record->id == queue);
  BOOST_TEST(record->class_ == static_cast<uint32_t>(AIACCEL_CLASS_HIGH));
  BOOST_TEST(record->weight == 250u);
  BOOST_TEST(record->pid == getpid());
  BOOST_TEST(record->tenant == device.query().tenant);
  BOOST_TEST(record->engine == device.engine().id);
  BOOST_TEST(record->submitted == 0u);
  BOOST_TEST(std::string(record->comm) != "");

  const uint32_t generation = device.must_hold(1, queue, slots);
  BOOST_REQUIRE(device.submit(job(2, device.must_queue(AIACCEL_CLASS_LOW, 0, "other@1"))) ==
                -EDEADLK);
  auto held = device.queue_stats();
  record = find(held, "stats@1");
  BOOST_REQUIRE(record);
  BOOST_TEST(record->slots_held == slots);
  BOOST_TEST(record->submitted == 1u);
  BOOST_TEST(record->granted == 1u);
  BOOST_TEST(record->completed == 0u);
  BOOST_TEST(find(held, "other@1")->slots_held == 0u);
  const aiaccel_stats_engine engine = device.engine_stats();
  BOOST_TEST(engine.slots_used == slots);
  BOOST_TEST(engine.granted >= 1u);

  BOOST_REQUIRE(device.complete(1, generation) == 0);
  const auto after = device.queue_stats();
  record = find(after, "stats@1");
  BOOST_REQUIRE(record);
  BOOST_TEST(record->slots_held == 0u);
  BOOST_TEST(record->completed == 1u);
  BOOST_TEST(record->run_ns > 0u);
  BOOST_TEST(device.engine_stats().slots_used == 0u);
  BOOST_TEST(device.engine_stats().busy_ns > 0u);

  BOOST_REQUIRE(device.destroy(queue) == 0);
  BOOST_TEST(!find(device.queue_stats(), "stats@1"));
}

BOOST_AUTO_TEST_CASE(stats_records_are_cut_and_filled) {
  Device device;
  device.must_queue(AIACCEL_CLASS_NORMAL, 0, "cut@1");
  for (uint32_t size : {8u, 264u, 1024u, 4096u}) {
    std::vector<unsigned char> bytes(size * 3, 0xaa);
    aiaccel_stats arg{};
    arg.kind = AIACCEL_STATS_QUEUES;
    arg.records = reinterpret_cast<uintptr_t>(bytes.data());
    arg.count = 1;
    arg.record_size = size;
    BOOST_REQUIRE(device.call(AIACCEL_IOC_STATS, arg) == 0);
    BOOST_TEST(arg.count >= 1u);
    BOOST_TEST(arg.record_size == size);
    BOOST_TEST(arg.time_ns > 0u);
    uint64_t context;
    std::memcpy(&context, bytes.data(), sizeof context);
    BOOST_TEST(context != 0xaaaaaaaaaaaaaaaaULL);
    BOOST_TEST(static_cast<int>(bytes[size]) == 0xaa);
    if (size > sizeof(aiaccel_stats_queue)) BOOST_TEST(static_cast<int>(bytes[size - 1]) == 0);
  }
}

BOOST_AUTO_TEST_CASE(stats_of_tenants_count_contexts_and_bytes) {
  Device device;
  const aiaccel_stats_tenant before = device.own_tenant();
  BOOST_TEST(before.contexts >= 1u);
  BOOST_TEST(std::string(before.name) != "");
  Device other;
  other.must_queue();
  const aiaccel_alloc buffer = other.must_alloc(100'000);
  const aiaccel_stats_tenant during = device.own_tenant();
  BOOST_TEST(during.contexts == before.contexts + 1);
  BOOST_TEST(during.queues == before.queues + 1);
  BOOST_TEST(during.allocated_bytes ==
             before.allocated_bytes + other.must_info(buffer.id).charged_bytes);
}

BOOST_AUTO_TEST_SUITE_END()
