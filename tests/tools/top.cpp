// SPDX-License-Identifier: MIT
//
// aiaccel-top as people run it, watching turns and memory that this test holds.
#include <aiaccel/device.hpp>

#include <set>

#include "process.hpp"
#include "tap/tap.hpp"

namespace {

using process::Result;
using process::run;
using tools::Json;

// A label that nobody else has.
std::string own_label() {
  return "tools-test@" + std::to_string(::getpid());
}

Json own_queue(const Json& sample) {
  for (const Json& queue : sample["queues"])
    if (queue["label"] == own_label()) return queue;
  return {};
}

// One line of JSON a sample.
std::vector<Json> samples_of(const std::string& out) {
  std::vector<Json> samples;
  std::size_t begin = 0;
  for (std::size_t end; (end = out.find('\n', begin)) != std::string::npos; begin = end + 1)
    samples.push_back(Json::parse(out.substr(begin, end - begin)));
  BOOST_TEST(begin == out.size());
  return samples;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(top)

BOOST_AUTO_TEST_CASE(a_turn_that_is_held_is_seen) {
  if (process::transport() == "embedded") SKIP("embedded: other processes are not seen");
  const aiaccel::Device device = aiaccel::Device::open(process::transport());
  const aiaccel::Engine engine = device.engine("cpu0");
  const aiaccel::Buffer buffer = device.alloc(1 << 20);
  aiaccel::Queue queue = engine.queue(
      {.label = own_label(), .priority = aiaccel::Class::high, .weight = 250, .width = 1});
  queue.acquire().complete();
  const aiaccel::Grant held = queue.acquire();

  const Result result = run({"aiaccel-top", "--json", "-d", "0"});
  BOOST_TEST_REQUIRE(result.status == 0, result.err);
  const Json sample = result.json();
  BOOST_TEST(sample["transport"] == process::transport());
  BOOST_TEST(sample["interval_ns"].is_null());
  const Json told = own_queue(sample);
  BOOST_TEST_REQUIRE(told.is_object());
  BOOST_TEST(told["class"] == "high");
  BOOST_TEST(told["weight"] == 250);
  BOOST_TEST(told["engine_alias"] == engine.name());
  // By one name wherever it is shown.
  for (const Json& user : sample["observed"]["users"])
    if (user["pid"] == ::getpid()) BOOST_TEST(user["engine_alias"] == engine.name());
  BOOST_TEST(told["slots_held"] == 1);
  BOOST_TEST(told["waiting"] == 0);
  BOOST_TEST(told["submitted"] == 2);
  BOOST_TEST(told["granted"] == 2);
  BOOST_TEST(told["completed"] == 1);
  BOOST_TEST(told["pid"] == ::getpid());
  BOOST_TEST(told["command"] == "tools");
  BOOST_TEST(told["granted_per_s"].is_null());

  for (const Json& told_engine : sample["engines"])
    if (told_engine["id"] == engine.id()) BOOST_TEST(told_engine["slots_used"] >= 1);
  bool found = false;
  for (const Json& tenant : sample["tenants"])
    if (tenant["id"] == told["tenant"]) {
      found = true;
      BOOST_TEST(tenant["allocated_bytes"] >= 1 << 20);
      BOOST_TEST(tenant["contexts"] >= 1);
    }
  BOOST_TEST(found);
}

// More than fit into the first reply.
BOOST_AUTO_TEST_CASE(many_queues_are_all_seen) {
  if (process::transport() == "embedded") SKIP("embedded: other processes are not seen");
  std::vector<aiaccel::Queue> queues;
  for (int context = 0; context < 6; context++) {
    const auto engine = aiaccel::Device::open(process::transport()).engine("cpu0");
    for (int i = 0; i < 50; i++) queues.push_back(engine.queue({.label = own_label()}));
  }
  const Json sample = run({"aiaccel-top", "--json", "-d", "0"}).json();
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
  for (const Json& queue : sample["queues"])
    if (queue["label"] == own_label()) seen.emplace(queue["context"], queue["id"]);
  BOOST_TEST(seen.size() == queues.size());
}

BOOST_AUTO_TEST_CASE(rates_come_with_a_second_sample) {
  if (process::transport() == "embedded") SKIP("embedded: other processes are not seen");
  const aiaccel::Device device = aiaccel::Device::open(process::transport());
  aiaccel::Queue queue = device.engine("cpu0").queue({.label = own_label()});
  queue.acquire().complete();
  const Result result = run({"aiaccel-top", "--json", "-d", "0.1", "--count", "2"});
  BOOST_TEST_REQUIRE(result.status == 0, result.err);
  const std::vector<Json> samples = samples_of(result.out);
  BOOST_TEST_REQUIRE(samples.size() == 2u);
  for (const Json& sample : samples) {
    BOOST_TEST(sample["interval_ns"] >= 100'000'000);
    // It did nothing while it was watched.
    const Json told = own_queue(sample);
    BOOST_TEST_REQUIRE(told.is_object());
    BOOST_TEST(told["granted_per_s"] == 0.0);
    BOOST_TEST(told["wait_mean_ns"].is_null());
  }
  BOOST_TEST(samples[0]["time_ns"] < samples[1]["time_ns"]);
}

BOOST_AUTO_TEST_CASE(once_is_text) {
  const Result result = run({"aiaccel-top", "--once", "-d", "0"});
  BOOST_TEST(result.status == 0);
  BOOST_TEST(result.out.starts_with("aiaccel-top  " + process::transport() + ": "));
  for (const char* heading : {"\nENGINE ", "\nTENANT ", "\nQUEUE "})
    BOOST_TEST(result.out.find(heading) != std::string::npos);
  BOOST_TEST(result.out.find('\033') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(embedded_says_that_it_is_alone) {
  const Result result = run({"aiaccel-top", "--once", "-d", "0", "--transport", "embedded"});
  BOOST_TEST(result.out.find("embedded: this process alone, others are not seen") !=
             std::string::npos);
  const Json sample = run({"aiaccel-top", "--json", "-d", "0", "--transport", "embedded"}).json();
  BOOST_TEST(sample["scope"] == "process");
  BOOST_TEST(sample["queues"].empty());
}

BOOST_AUTO_TEST_CASE(misuse_ends_with_2) {
  for (const auto& misuse :
       std::vector<std::vector<std::string>>{{"aiaccel-top", "--nonsense"},
                                             {"aiaccel-top", "--once", "--json"},
                                             {"aiaccel-top", "--count", "2"},
                                             {"aiaccel-top", "-d", "-1"},
                                             {"aiaccel-top", "-d", "soon"}}) {
    const Result result = run(misuse);
    BOOST_TEST(result.status == 2);
    BOOST_TEST(result.err.find("hint: ") != std::string::npos);
  }
  const Result screen = run({"aiaccel-top"});
  BOOST_TEST(screen.status == 2);
  BOOST_TEST(screen.err.starts_with("aiaccel-top: the screen needs a terminal\n"));
}

BOOST_AUTO_TEST_SUITE_END()
