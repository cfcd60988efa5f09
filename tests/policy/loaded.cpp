// SPDX-License-Identifier: MIT
//
// `aiaccel policy` and the module: what is set holds at once for who is there, and goes again. As
// root, in the virtual machine.
#include <stdlib.h>
#include <unistd.h>
#include <aiaccel/device.hpp>

#include <filesystem>
#include <fstream>

#include "common/stats.hpp"
#include "kmod/cgroup.hpp"
#include "policy/hierarchy.h"
#include "tap/tap.hpp"
#include "tools/process.hpp"

namespace {

using process::Result;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string missing() {
  if (process::transport() != "kernel") return "asks the module, by --transport=kernel";
  if (!raw::have_cgroups()) return "cgroup v2 is not mounted";
  return {};
}

// A folder of policies; nothing of it stays loaded.
class Folder {
 public:
  Folder() { BOOST_REQUIRE(::mkdtemp(path_.data())); }
  ~Folder() {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directory(path_);
    policy({"reload"});
    std::filesystem::remove(path_);
  }
  const std::string& path() const { return path_; }
  Result policy(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"aiaccel", "policy"});
    arguments.insert(arguments.end(), {"--dir", path_});
    return process::run(arguments);
  }

 private:
  std::string path_ = "/tmp/aiaccel-policy-XXXXXX";
};

Result show() {
  return process::run({"aiaccel", "policy", "show"});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(loaded)

BOOST_AUTO_TEST_CASE(a_tenant_that_is_there_has_it_at_once) {
  if (const std::string why = missing(); !why.empty()) SKIP(why);
  const raw::Cgroup group("/aiaccel-test.service");
  const Folder folder;
  group.enter();
  const auto device = aiaccel::Device::open("kernel");
  raw::Cgroup::leave();
  const aiaccel_query before = device.query();

  Result result = folder.policy({"set", "aiaccel-test.service", "--max-class", "low",
                                 "--device-bytes", "1G", "--on-missing", "closed"});
  BOOST_TEST(result.status == 0, result.err);
  aiaccel_query query = device.query();
  BOOST_TEST(query.highest_class == AIACCEL_CLASS_LOW);
  BOOST_TEST(query.max_device_bytes == 1u << 30);
  BOOST_TEST(query.on_missing == AIACCEL_ON_MISSING_CLOSED);
  result = show();
  BOOST_TEST(has(result.out, "unit=aiaccel-test.service"), result.out << result.err);
  BOOST_TEST(has(result.out, " /aiaccel-test.service\n"), result.out);

  // A folder that is not there is no empty one.
  result = process::run({"aiaccel", "policy", "reload", "--dir", "/nonexistent"});
  BOOST_TEST(result.status == 2);
  BOOST_TEST(has(result.err, "cannot read /nonexistent: No such file"), result.err);
  BOOST_TEST(device.query().highest_class == AIACCEL_CLASS_LOW);
  BOOST_TEST(folder.policy({"reload"}).out == "1 rule loaded\n");

  // A file with a mistake is told of in one line, and takes nothing else with it.
  std::ofstream(folder.path() + "/95-bad.conf")
      << "[match]\nunit=aiaccel-test.service\nmax_class=high\nweight=0\ngrants=0\n";
  result = folder.policy({"reload"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(result.err == "aiaccel: policy: nothing of this file is loaded: " + folder.path() +
                               "/95-bad.conf:4: weight='0': a number from 1 to 10000 is "
                               "expected (and 1 more)\n");
  BOOST_TEST(device.query().highest_class == AIACCEL_CLASS_LOW);

  // Nor does a user who is gone, not even the rest of the file.
  std::ofstream(folder.path() + "/95-bad.conf") << "[match]\nuser=no-such-user\nweight=1\n[match]"
                                                   "\nunit=aiaccel-test.service\nmax_class=idle\n";
  result = folder.policy({"reload"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(result.err == "aiaccel: policy: nothing of this section is loaded: " + folder.path() +
                               "/95-bad.conf:1: there is no user 'no-such-user'\n");
  BOOST_TEST(device.query().highest_class == AIACCEL_CLASS_IDLE);
  std::filesystem::remove(folder.path() + "/95-bad.conf");

  BOOST_TEST(folder.policy({"unset", "aiaccel-test.service"}).status == 0);
  query = device.query();
  BOOST_TEST(query.highest_class == before.highest_class);
  BOOST_TEST(query.max_device_bytes == before.max_device_bytes);
  BOOST_TEST(query.on_missing == before.on_missing);
  BOOST_TEST(show().out == "no policy is loaded\n");
}

BOOST_AUTO_TEST_CASE(what_exec_caps_stays_while_its_group_does) {
  if (const std::string why = missing(); !why.empty()) SKIP(why);
  const Folder folder;
  const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
  const Result result =
      process::run({"aiaccel", "exec", "--name", "cap.test", "--device-bytes", "3G", "--weight",
                    "7", "--", program / "bin/aiaccel", "policy", "show"});
  const std::string rule = "cgroup=/aiaccel.slice/aiaccel-exec-cap.test";
  BOOST_TEST(has(result.out, rule), result.out << result.err);
  BOOST_TEST(has(result.out, "weight=7 device_bytes=3G"));
  folder.policy({"set", "a", "--weight", "5"});
  BOOST_TEST(has(show().out, "unit=a "));
  BOOST_TEST(has(show().out, rule));
  // A new group of the name owes nothing to it.
  const auto again = [&] {
    return process::run({"aiaccel", "exec", "--name", "cap.test", "--", program / "bin/aiaccel",
                         "policy", "show"})
        .out;
  };
  BOOST_REQUIRE(::rmdir((raw::kCgroups + "/aiaccel.slice/aiaccel-exec-cap.test").c_str()) == 0);
  BOOST_TEST(!has(again(), rule));
  process::run({"aiaccel", "exec", "--name", "cap.test", "--weight", "7", "--", "true"});
  BOOST_TEST(has(show().out, rule));
  BOOST_REQUIRE(::rmdir((raw::kCgroups + "/aiaccel.slice/aiaccel-exec-cap.test").c_str()) == 0);
  folder.policy({"reload"});
  BOOST_TEST(!has(show().out, rule));
}

// Whether what exec gave came first or last; but what is for all takes nothing of it back.
BOOST_AUTO_TEST_CASE(what_exec_gave_can_be_set) {
  if (const std::string why = missing(); !why.empty()) SKIP(why);
  const Folder folder;
  const std::string group = raw::kCgroups + "/aiaccel.slice/aiaccel-exec-set.test";
  const auto exec = [] {
    process::run({"aiaccel", "exec", "--name", "set.test", "--device-bytes", "3G", "--weight",
                  "200", "--", "true"});
  };
  exec();
  std::ofstream(group + "/cgroup.procs") << ::getpid() << std::flush;
  const auto device = aiaccel::Device::open("kernel");
  raw::Cgroup::leave();
  const auto given = [&](std::uint32_t weight, std::uint64_t device_bytes) {
    for (const auto& tenant : tools::read_stats<aiaccel_stats_tenant>(device).records)
      if (std::string(tenant.name).ends_with("/aiaccel-exec-set.test")) {
        BOOST_TEST(tenant.weight == weight);
        BOOST_TEST(tenant.max_device_bytes == device_bytes);
      }
    BOOST_TEST(device.query().max_device_bytes == device_bytes);
  };
  given(200, 3ull << 30);
  folder.policy({"set", "*", "--weight", "5", "--device-bytes", "9G"});
  given(200, 3ull << 30);
  folder.policy({"set", "cgroup:/aiaccel.slice/aiaccel-exec-set.test", "--weight", "20"});
  given(20, 3ull << 30);
  folder.policy({"unset", "cgroup:/aiaccel.slice/aiaccel-exec-set.test"});
  folder.policy({"set", "aiaccel-exec-set.test", "--weight", "10", "--device-bytes", "1G"});
  given(10, 1ull << 30);
  exec();
  given(10, 1ull << 30);
  BOOST_REQUIRE(::rmdir(group.c_str()) == 0);
}

BOOST_AUTO_TEST_CASE(only_root_sets_it) {
  if (const std::string why = missing(); !why.empty()) SKIP(why);
  if (::access("/usr/bin/setpriv", X_OK) != 0) SKIP("setpriv is not installed");
  const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
  const Result result = process::run(
      {"aiaccel", "exec", "--", "setpriv", "--bounding-set", "-sys_admin", "--inh-caps",
       "-sys_admin", program / "bin/aiaccel", "policy", "reload", "--dir", "/proc/self/fd"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(has(result.err, "the policy: Operation not permitted"), result.err);
}

BOOST_AUTO_TEST_SUITE_END()
