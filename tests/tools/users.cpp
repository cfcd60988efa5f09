// SPDX-License-Identifier: MIT
//
// What an administrator types to a broker on which another user's program runs: what is said, and
// that it holds for that program at once. Each case has a broker of its own, with a GPU of the
// stand-in for NVML. Without root, the other user is the same one.
#include <aiaccel.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "broker/gpus.hpp"
#include "broker/rules.hpp"
#include "broker/server.hpp"
#include "conformance/child.hpp"
#include "conformance/device.hpp"
#include "process.hpp"
#include "tap/tap.hpp"

namespace {

using conformance::Child;
using conformance::Device;
using conformance::job;
using process::Result;
using process::run;
using tools::Json;

constexpr uid_t kNobody = 65534;
constexpr int kUnreachable = 77;

uid_t user() {
  return geteuid() == 0 ? kNobody : geteuid();
}

std::string who() {
  return "user:" + std::to_string(user());
}

std::string tenant_name() {
  return "uid:" + std::to_string(user());
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Host {
  Host() { server.open_to_all(); }

  Result policy(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"aiaccel", "policy"});
    arguments.insert(arguments.end(), {"--dir", folder.path()});
    return run(arguments);
  }

  conformance::StandInGpus gpus{"gpu GPU-1\npci 0000:65:00.0\nmemory 1048576 0\n"};
  conformance::Folder folder;
  conformance::BrokerServer server{{"--policy", folder.path()}};
};

// In a child: becomes the user.
bool change_user() {
  return geteuid() != 0 || (setgid(kNobody) == 0 && setuid(kNobody) == 0);
}

Device open() {
  aiaccel_device* device = nullptr;
  BOOST_REQUIRE_EQUAL(aiaccel_open("broker", &device), 0);
  return Device(device);
}

int reserve(Device& device, aiaccel_reserve* arg, uint64_t bytes) {
  aiaccel_engine_info gpu{};
  const int error = aiaccel_find_engine(device.handle(), "gpu0", &gpu);
  if (error) return error;
  arg->engine = arg->id ? 0 : gpu.id;
  arg->bytes = bytes;
  return device.call(AIACCEL_IOC_RESERVE, *arg);
}

Json sample() {
  return run({"aiaccel-top", "--json", "-d", "0"}).json();
}

// Of the records under `key`, the one that has this there.
Json one(const Json& sample, const char* key, const char* field, const Json& value) {
  for (const Json& record : sample[key])
    if (record[field] == value) return record;
  return {};
}

// What the running program sees of its ceilings: its status tells which step was not as it must be.
int is_bound_as_it_runs(Child& self) {
  if (!change_user()) return 10;
  Device first = open(), second = open();
  const aiaccel_query before = first.query();
  if (before.highest_class != AIACCEL_CLASS_HIGH) return 11;
  const uint32_t held = first.must_hold(1, first.must_queue(AIACCEL_CLASS_HIGH, 0, "first"), 1);
  const uint32_t queue = second.must_queue(AIACCEL_CLASS_HIGH, 0, "second");
  aiaccel_reserve lease{};
  if (reserve(first, &lease, 600'000)) return 12;
  self.tell(1);
  self.sleep();

  // Class low, one turn, 512000 bytes.
  const aiaccel_query bound = first.query();
  if (bound.highest_class != AIACCEL_CLASS_LOW || bound.max_device_bytes != 512'000) return 20;
  if (bound.on_missing != AIACCEL_ON_MISSING_CLOSED) return 21;
  aiaccel_queue_create create = second.queue_arg();
  const int created = second.call(AIACCEL_IOC_QUEUE_CREATE, create);
  if (created != (user() == 0 ? 0 : -EPERM)) return 22;
  // What is leased stays, and does not grow.
  if (reserve(first, &lease, 600'001) != -EDQUOT) return 23;
  if (lease.refused_by != AIACCEL_REFUSED_TENANT) return 24;
  if (second.submit(job(2, queue))) return 25;
  if (!second.events().empty()) return 26;
  self.tell(2);
  self.sleep();

  // Two turns: this comes without a call of ours.
  const aiaccel_event granted = second.must_event(2, AIACCEL_EVENT_GRANTED);
  if (second.complete(2, granted.generation) || first.complete(1, held)) return 30;
  self.tell(3);
  self.sleep();

  const aiaccel_query after = first.query();
  if (after.highest_class != before.highest_class) return 40;
  if (after.max_device_bytes != before.max_device_bytes) return 41;
  if (reserve(first, &lease, 1'048'576)) return 42;
  return after.on_missing == before.on_missing ? 0 : 43;
}

// Holds the CPUs and some of the GPU's memory until its turn was ended by others.
int holds(Child& self) {
  if (!change_user()) return 10;
  Device device = open();
  aiaccel_reserve lease{};
  if (reserve(device, &lease, 4096)) return 11;
  const uint32_t queue = device.must_queue(AIACCEL_CLASS_NORMAL, 0, "holder");
  const uint32_t held = device.must_hold(1, queue, device.slots());
  self.tell(1);
  self.sleep();
  return device.complete(1, held) == -ESTALE ? 0 : 12;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(users)

BOOST_AUTO_TEST_CASE(a_policy_holds_at_once_for_who_runs) {
  const Host host;
  if (open().slots() < 2) SKIP("there is one slot");
  Child client(is_bound_as_it_runs);
  BOOST_REQUIRE(client.must_hear() == 1u);
  Result result = host.policy({"set", who(), "--max-class", "low", "--grants", "1",
                               "--device-bytes", "500K", "--on-missing", "closed"});
  BOOST_TEST(result.status == 0, result.err);
  BOOST_TEST(has(result.out, " loaded\n"), result.out);
  BOOST_TEST(result.err == "");
  client.go_on();
  BOOST_REQUIRE(client.must_hear() == 2u);

  const Json seen = sample();
  const Json tenant = one(seen, "tenants", "name", tenant_name());
  BOOST_TEST(tenant["max_class"] == "low");
  BOOST_TEST(tenant["grants"] == 1);
  BOOST_TEST(tenant["max_device_bytes"] == 512'000);
  BOOST_TEST(tenant["reserved_bytes"] == 600'000);
  const Json second = one(seen, "queues", "label", "second");
  BOOST_TEST(second["waiting"] == 1);
  // Root may exceed the ceiling of class.
  BOOST_TEST(second["class"] == (user() == 0 ? "high" : "low"));
  const Json rules = run({"aiaccel", "policy", "show", "--json"}).json();
  bool shown = false;
  for (const Json& rule : rules["rules"]) {
    if (rule["for"] != "user=" + std::to_string(user())) continue;
    shown = true;
    BOOST_TEST(rule["tenants"] == Json::array({tenant_name()}));
    BOOST_TEST(rule["max_class"] == "low");
  }
  BOOST_TEST(shown, rules.dump());

  // A file that is wrong changes nothing of what the others say.
  host.folder.put("95-slip.conf", "[match]\nuser=root\ngrants=0\n");
  result = host.policy({"reload"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(has(result.err, "95-slip.conf:3: grants='0'"), result.err);
  BOOST_TEST(one(sample(), "queues", "label", "second")["waiting"] == 1);

  host.folder.put("95-slip.conf", "[match]\nuser=" + std::to_string(user()) + "\ngrants=2\n");
  BOOST_TEST(host.policy({"reload"}).status == 0);
  client.go_on();
  BOOST_REQUIRE(client.must_hear() == 3u);
  const Json told = run({"aiaccel", "explain", tenant_name(), "--last", "1m", "--json"}).json();
  BOOST_TEST(told["target"] == "unit " + tenant_name());
  bool capped = false;
  for (const Json& part : told["engines"][0]["parts"]) capped = capped || part["why"] == "cap";
  BOOST_TEST(capped, told.dump());

  std::filesystem::remove(host.folder.path() + "/95-slip.conf");
  BOOST_TEST(host.policy({"unset", who()}).status == 0);
  BOOST_TEST(run({"aiaccel", "policy", "show"}).out == "no policy is loaded\n");
  client.go_on();
  BOOST_TEST(client.wait() == 0);
}

BOOST_AUTO_TEST_CASE(a_user_is_evicted) {
  const Host host;
  Child ended(holds);
  BOOST_REQUIRE(ended.must_hear() == 1u);
  BOOST_TEST(run({"aiaccel", "evict", tenant_name(), "--turn", "--engine", "gpu0"}).out ==
             "unit " + tenant_name() + ": 0 turns ended\n");
  const Result result = run({"aiaccel", "evict", tenant_name()});
  BOOST_TEST(result.status == 0);
  BOOST_TEST(result.out == "unit " + tenant_name() + ": 1 turns and jobs ended\n");
  ended.go_on();
  BOOST_TEST(ended.wait() == 0);

  Child stopped(holds);
  BOOST_REQUIRE(stopped.must_hear() == 1u);
  const std::string process = "process " + std::to_string(stopped.pid());
  const Result freeze = run({"aiaccel", "evict", tenant_name(), "--freeze"});
  BOOST_TEST(freeze.out ==
             process + ": stopped\nunit " + tenant_name() + ": 1 turns and jobs ended\n");
  const Json seen = sample();
  BOOST_TEST(one(seen, "queues", "label", "holder")["slots_held"] == 0);
  BOOST_TEST(one(seen, "engines", "alias", "gpu0")["reserved_bytes"] == 4096);

  const Result kill = run({"aiaccel", "evict", tenant_name(), "--kill"});
  BOOST_TEST(has(kill.out, process + ": killed\n"), kill.out);
  BOOST_TEST(stopped.wait() == 128 + SIGKILL);
  BOOST_TEST(conformance::eventually(
      [] { return one(sample(), "engines", "alias", "gpu0")["reserved_bytes"] == 0; }));
}

// Its own turns it may have explained; what others have is not for it to see or to end.
BOOST_AUTO_TEST_CASE(who_is_no_administrator_is_told_so) {
  if (geteuid() != 0) SKIP("needs root, to be several users");
  const Host host;
  Device root = open();
  root.must_hold(1, root.must_queue(AIACCEL_CLASS_NORMAL, 0, "root's"), 1);
  const std::string of_root = std::to_string(getpid());
  Child client([&](Child&) {
    if (!change_user()) return 10;
    const std::string bin = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    if (access((bin + "/../bin/aiaccel").c_str(), X_OK)) return kUnreachable;
    Device device = open();
    device.must_queue(AIACCEL_CLASS_NORMAL, 0, "own");
    const auto refused = [&](const std::vector<std::string>& command, const char* why) {
      const Result result = run(command);
      const bool well = result.status == 1 && has(result.err, why);
      if (!well) std::fprintf(stderr, "%s: %s", command[1].c_str(), result.err.c_str());
      return well;
    };
    for (const char* word : {"drain", "resume"})
      if (!refused({"aiaccel", word, "--all"}, "Operation not permitted")) return 11;
    if (!refused({"aiaccel", "leave"}, "Operation not permitted")) return 12;
    if (!refused({"aiaccel", "policy", "reload"}, "Operation not permitted")) return 13;
    if (!refused({"aiaccel", "policy", "show"}, "Operation not permitted")) return 14;
    if (!refused({"aiaccel", "evict", of_root}, "no queue here")) return 15;
    if (!refused({"aiaccel", "explain", of_root}, "as root, where it is another user's")) return 16;
    if (!refused({"aiaccel", "evict", std::to_string(getpid())}, "Operation not permitted"))
      return 17;
    if (run({"aiaccel", "explain", std::to_string(getpid())}).status != 0) return 18;
    const Json seen = sample();
    if (seen["queues"].size() != 1 || seen["queues"][0]["label"] != "own") return 19;
    return 0;
  });
  const int status = client.wait();
  if (status == kUnreachable) SKIP("what was built is out of another user's reach");
  BOOST_TEST(status == 0);
  BOOST_TEST(root.engine_stats().slots_used == 1u);
}

BOOST_AUTO_TEST_CASE(everybody_is_not_evicted) {
  const Host host;
  const Result result = run({"aiaccel", "evict", "/"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(has(result.err, "aiaccel drain --all"), result.err);
}

// Draining binds all users, also those who come; what runs ends by itself.
BOOST_AUTO_TEST_CASE(a_drained_engine_refuses_every_user) {
  const Host host;
  Child client([](Child& self) {
    if (!change_user()) return 10;
    Device device = open();
    const uint32_t queue = device.must_queue(AIACCEL_CLASS_NORMAL, 0, "drained");
    const uint32_t held = device.must_hold(1, queue, device.slots());
    self.tell(1);
    self.sleep();
    if (device.complete(1, held)) return 11;
    if (device.submit(job(2, queue)) != -ESHUTDOWN) return 12;
    self.tell(2);
    self.sleep();
    const uint32_t again = device.must_hold(3, queue, 1);
    return device.complete(3, again) ? 13 : 0;
  });
  BOOST_REQUIRE(client.must_hear() == 1u);
  const Result busy = run({"aiaccel", "drain", "cpu0", "--wait", "1"});
  BOOST_TEST(busy.status == 1);
  client.go_on();
  BOOST_REQUIRE(client.must_hear() == 2u);
  BOOST_TEST(run({"aiaccel", "drain", "cpu0", "--wait", "20"}).status == 0);
  const Json told = run({"aiaccel", "explain", tenant_name(), "--json"}).json();
  BOOST_TEST(told["engines"][0]["refused"] == 1);
  BOOST_TEST(told["engines"][0]["state"] == "draining");
  BOOST_TEST(run({"aiaccel", "resume", "--all"}).status == 0);
  client.go_on();
  BOOST_TEST(client.wait() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
