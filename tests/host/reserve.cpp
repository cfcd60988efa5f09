// SPDX-License-Identifier: MIT
//
// Reservations of an engine's memory: what several users may have of it together.
#include <cerrno>

#include "arbiter.hpp"

using namespace arbiter;

namespace {

// The whole answer; `bytes` in it is what was asked for.
struct Answer {
  int result;
  aiaccel_reserve arg;
};

Answer reserve(Client& client, uint64_t bytes, uint32_t engine = kGpu, uint32_t id = 0) {
  aiaccel_reserve arg{};
  arg.engine = id ? 0 : engine;
  arg.id = id;
  arg.bytes = bytes;
  const int result = client.call(AIACCEL_IOC_RESERVE, arg);
  return {result, arg};
}

uint64_t reserved(Client& client, uint32_t engine = kGpu) {
  aiaccel_engine_info info{};
  info.id = engine;
  BOOST_REQUIRE_EQUAL(client.call(AIACCEL_IOC_ENGINE_INFO, info), 0);
  return info.reserved_bytes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reservations)

BOOST_AUTO_TEST_CASE(all_together_get_no_more_than_there_is) {
  Arbiter host;
  Client one(host, 1000);
  Client two(host, 1001);
  const Answer first = reserve(one, 600);
  BOOST_REQUIRE(first.result == 0);
  BOOST_TEST(first.arg.max_bytes == kGpuBytes);
  BOOST_TEST(first.arg.free_bytes == 400u);
  const Answer refused = reserve(two, 401);
  BOOST_TEST(refused.result == -EDQUOT);
  BOOST_TEST(refused.arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_ENGINE));
  BOOST_TEST(refused.arg.id == 0u);
  BOOST_TEST(reserved(two) == 600u);
  BOOST_TEST(reserve(two, ~0ULL).result == -EDQUOT);
  const Answer second = reserve(two, 400);
  BOOST_REQUIRE(second.result == 0);
  BOOST_TEST(second.arg.free_bytes == 0u);
  BOOST_TEST(reserved(one) == kGpuBytes);

  BOOST_TEST(one.destroy(first.arg.id) == 0);
  BOOST_TEST(one.destroy(first.arg.id) == -ENOENT);
  BOOST_TEST(reserved(two) == 400u);
}

BOOST_AUTO_TEST_CASE(a_reservation_grows_and_shrinks) {
  Arbiter host;
  Client client(host);
  Client other(host, 1001);
  const uint32_t id = reserve(client, 0).arg.id;
  BOOST_REQUIRE(id != 0u);
  for (uint64_t bytes : {1u, 1000u, 1000u, 999u, 0u, 300u}) {
    const Answer answer = reserve(client, bytes, 0, id);
    BOOST_TEST(answer.result == 0);
    BOOST_TEST(answer.arg.id == id);
    BOOST_TEST(answer.arg.free_bytes == kGpuBytes - bytes);
    BOOST_TEST(reserved(client) == bytes);
  }
  BOOST_REQUIRE(reserve(other, 600).result == 0);
  const Answer refused = reserve(client, 401, 0, id);
  BOOST_TEST(refused.result == -EDQUOT);
  BOOST_TEST(refused.arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_ENGINE));
  BOOST_TEST(reserved(client) == 900u);  // as it was
  BOOST_TEST(reserve(other, 100, 0, 99).result == -ENOENT);
}

BOOST_AUTO_TEST_CASE(what_a_client_held_comes_back) {
  Arbiter host;
  Client other(host, 1001);
  {
    Client client(host);
    BOOST_REQUIRE(reserve(client, 300).result == 0);
    BOOST_REQUIRE(reserve(client, 200).result == 0);
    BOOST_TEST(reserved(other) == 500u);
  }
  BOOST_TEST(reserved(other) == 0u);
}

BOOST_AUTO_TEST_CASE(an_engine_without_memory_has_none_to_give) {
  Arbiter host;
  Client client(host);
  BOOST_TEST(reserve(client, 0, kCpu).result == 0);
  const Answer refused = reserve(client, 1, kCpu);
  BOOST_TEST(refused.result == -EDQUOT);
  BOOST_TEST(refused.arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_ENGINE));
}

BOOST_AUTO_TEST_CASE(reservations_count_as_queues_do) {
  Arbiter host({.tenant_lines = 100});
  Client client(host);
  Client same(host);
  Client root(host, 0, true);
  for (int i = 0; i < 60; ++i) client.queue(kCpu);
  for (int i = 0; i < 4; ++i) BOOST_REQUIRE(reserve(client, 1).result == 0);
  Answer refused = reserve(client, 1);
  BOOST_TEST(refused.result == -EDQUOT);
  BOOST_TEST(refused.arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_CONTEXT));
  for (int i = 0; i < 36; ++i) BOOST_REQUIRE(reserve(same, 1).result == 0);
  refused = reserve(same, 1);
  BOOST_TEST(refused.result == -EDQUOT);
  BOOST_TEST(refused.arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_TENANT));
  aiaccel_queue_create queue{};
  queue.engine = kCpu;
  BOOST_TEST(same.call(AIACCEL_IOC_QUEUE_CREATE, queue) == -EDQUOT);
  BOOST_TEST(reserved(client) == 40u);

  // STATS tells them apart.
  for (const auto& tenant : root.stats<aiaccel_stats_tenant>(AIACCEL_STATS_TENANTS)) {
    if (tenant.kind != AIACCEL_TENANT_USER || tenant.source_id != 1000) continue;
    BOOST_TEST(tenant.queues == 60u);
    BOOST_TEST(tenant.reserved_bytes == 40u);
  }
}

BOOST_AUTO_TEST_CASE(statistics_show_who_holds_what) {
  Arbiter host;
  Client one(host, 1000);
  Client two(host, 1001);
  Client root(host, 0, true);
  const uint32_t id = reserve(one, 10).arg.id;
  reserve(two, 20);
  const auto own = one.stats<aiaccel_stats_reservation>(AIACCEL_STATS_RESERVATIONS);
  BOOST_REQUIRE(own.size() == 1u);
  BOOST_TEST(own[0].id == id);
  BOOST_TEST(own[0].bytes == 10u);
  BOOST_TEST(own[0].engine == kGpu);
  BOOST_TEST(own[0].tenant == one.query().tenant);
  BOOST_TEST(own[0].pid == 1);
  BOOST_TEST(std::string(own[0].comm) == "test");
  BOOST_TEST(root.stats<aiaccel_stats_reservation>(AIACCEL_STATS_RESERVATIONS).size() == 2u);
  const auto engines = one.stats<aiaccel_stats_engine>(AIACCEL_STATS_ENGINES);
  BOOST_TEST(engines[1].device_bytes == kGpuBytes);
  BOOST_TEST(engines[1].reserved_bytes == 30u);
  const auto tenants = root.stats<aiaccel_stats_tenant>(AIACCEL_STATS_TENANTS);
  BOOST_REQUIRE(tenants.size() == 4u);
  BOOST_TEST(tenants[0].kind == static_cast<uint32_t>(AIACCEL_TENANT_ROOT));
  BOOST_TEST(tenants[0].reserved_bytes == 30u);
}

BOOST_AUTO_TEST_SUITE_END()
