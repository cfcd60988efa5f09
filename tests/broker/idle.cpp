// SPDX-License-Identifier: MIT
//
// A broker without clients: it ends, but for what the next one would not know: engine time that a
// user owes, engines that drain or have an order of their own, rules that are nowhere but in it.
// Each case has a server of its own.
#include <unistd.h>

#include <ctime>
#include <string>

#include "conformance/device.hpp"
#include "rules.hpp"
#include "server.hpp"

using namespace conformance;

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

void sleep_for(uint64_t ns) {
  const timespec time{static_cast<time_t>(ns / kSecond), static_cast<long>(ns % kSecond)};
  nanosleep(&time, nullptr);
}

bool ends(BrokerServer& server) {
  return eventually([&] { return !server.running(); });
}

std::string for_this_user(const std::string& gives) {
  return "[match]\nuser=" + std::to_string(geteuid()) + "\n" + gives + "\n";
}

void tell(uint32_t state, uint32_t order = 0) {
  Device device;
  aiaccel_control arg{};
  arg.state = state;
  arg.order = order;
  BOOST_REQUIRE(device.call(AIACCEL_IOC_CONTROL, arg) == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(idle)

BOOST_AUTO_TEST_CASE(it_ends_and_the_next_one_has_the_policy) {
  Folder folder;
  folder.put("10.conf", for_this_user("weight=7"));
  BrokerServer server({"--idle", "1", "--policy", folder.path()});
  { BOOST_TEST(Device().own_tenant().weight == 7u); }
  BOOST_TEST(ends(server));
  BOOST_TEST(access(server.path().c_str(), F_OK) == -1);
  server.start();
  BOOST_TEST(Device().own_tenant().weight == 7u);
}

// Else a user would be rid of a ceiling by staying away for the idle time.
BOOST_AUTO_TEST_CASE(it_stays_while_engine_time_is_owed) {
  Folder folder;
  folder.put("10.conf", for_this_user("engine_time=2%"));
  BrokerServer server({"--idle", "1", "--policy", folder.path()});
  constexpr uint64_t held_ns = 60'000'000;
  uint64_t over_ns;
  {
    Device device;
    const uint32_t generation = device.must_hold(1, device.must_queue(), device.slots());
    sleep_for(held_ns);
    BOOST_REQUIRE(device.complete(1, generation) == 0);
    over_ns = now_ns();
  }
  BOOST_TEST(ends(server));
  // Of 2 % of the time so much comes in 50 times as long, less what 100 ms of it are there before.
  BOOST_TEST(now_ns() - over_ns >= 50 * held_ns - kSecond / 5);
}

BOOST_AUTO_TEST_CASE(it_stays_while_an_engine_drains) {
  BrokerServer server({"--idle", "1"});
  tell(AIACCEL_ENGINE_DRAINING);
  sleep_for(2 * kSecond);
  BOOST_REQUIRE(server.running());
  BOOST_TEST(Device().engine_stats().state == static_cast<uint32_t>(AIACCEL_ENGINE_DRAINING));
  tell(AIACCEL_ENGINE_ACTIVE);
  BOOST_TEST(ends(server));
}

BOOST_AUTO_TEST_CASE(it_stays_while_an_engine_has_an_order_of_its_own) {
  BrokerServer server({"--idle", "1"});
  tell(0, AIACCEL_ORDER_EDF);
  sleep_for(2 * kSecond);
  BOOST_REQUIRE(server.running());
  BOOST_TEST(Device().engine().order == static_cast<uint32_t>(AIACCEL_ORDER_EDF));
  tell(0, AIACCEL_ORDER_FAIR);
  BOOST_TEST(ends(server));
}

BOOST_AUTO_TEST_CASE(it_does_not_stay_where_all_are_to_leave) {
  BrokerServer server({"--idle", "1"});
  tell(AIACCEL_ENGINE_LEAVING, AIACCEL_ORDER_EDF);
  BOOST_TEST(ends(server));
}

BOOST_AUTO_TEST_CASE(it_stays_while_it_alone_has_the_rules) {
  Folder folder;
  BrokerServer server({"--idle", "1", "--policy", folder.path()});
  {
    Device device;
    aiaccel_policy_rule weight = rule(geteuid());
    weight.sets = AIACCEL_SETS_WEIGHT;
    weight.weight = 7;
    BOOST_REQUIRE(replace_rules(device, {weight}) == 0);
  }
  sleep_for(2 * kSecond);
  BOOST_REQUIRE(server.running());
  BOOST_TEST(Device().own_tenant().weight == 7u);
  {
    Device device;
    BOOST_REQUIRE(replace_rules(device, {}) == 0);
  }
  BOOST_TEST(ends(server));
}

BOOST_AUTO_TEST_SUITE_END()
