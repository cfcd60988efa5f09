// SPDX-License-Identifier: MIT
//
// Where a client looks for its broker, and which program it starts as one: nothing that another
// user could have put there.
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "broker/address.h"
#include "conformance/child.hpp"
#include "conformance/device.hpp"
#include "server.hpp"

using namespace conformance;
namespace fs = std::filesystem;

namespace {

constexpr uid_t kNobody = 65534;

// An empty folder that everybody can pass through.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/aiaccel-test-XXXXXX";
    BOOST_REQUIRE(mkdtemp(name));
    path_ = name;
    mode(path_, 0755);
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }

  const fs::path& path() const { return path_; }

  static void mode(const fs::path& path, unsigned mode) {
    BOOST_REQUIRE(chmod(path.c_str(), mode) == 0);
  }

 private:
  fs::path path_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(address)

BOOST_AUTO_TEST_CASE(a_broker_that_others_can_write_is_not_run) {
  Folder folder;
  const fs::path program = folder.path() / "aiacceld";
  std::ofstream(program) << "#!/bin/sh\n";
  Folder::mode(program, 0755);
  BOOST_TEST(aiaccel::may_run_broker(program.native()));
  for (unsigned mode : {0775, 0757}) {
    Folder::mode(program, mode);
    BOOST_TEST(!aiaccel::may_run_broker(program.native()));
  }
  Folder::mode(program, 0755);
  for (unsigned mode : {0775, 0757, 01777}) {
    Folder::mode(folder.path(), mode);
    BOOST_TEST(!aiaccel::may_run_broker(program.native()));
  }
  Folder::mode(folder.path(), 0755);
  BOOST_TEST(aiaccel::may_run_broker(program.native()));
  BOOST_TEST(!aiaccel::may_run_broker((folder.path() / "none").native()));
}

BOOST_AUTO_TEST_CASE(a_broker_of_another_user_is_not_run) {
  if (geteuid() != 0) SKIP("needs root, to be several users");
  Folder folder;
  const fs::path program = folder.path() / "aiacceld";
  std::ofstream(program) << "#!/bin/sh\n";
  Folder::mode(program, 0755);
  BOOST_REQUIRE(chown(program.c_str(), kNobody, kNobody) == 0);
  BOOST_TEST(!aiaccel::may_run_broker(program.native()));
}

BOOST_AUTO_TEST_CASE(a_runtime_folder_of_another_user_is_left_alone) {
  if (geteuid() != 0) SKIP("needs root, to be several users");
  if (access("/run/aiaccel/broker.sock", F_OK) == 0) SKIP("the system's broker is there");
  Folder runtime;
  Child root([&](Child&) {
    unsetenv("AIACCEL_BROKER");
    setenv("XDG_RUNTIME_DIR", runtime.path().c_str(), 1);
    aiaccel::BrokerAddress address;
    const auto place = aiaccel::BrokerPlace::from_environment();
    if (aiaccel::find_running_broker(place, &address) != -ENOENT) return 7;
    if (!fs::is_empty(runtime.path())) return 8;
    if (aiaccel::find_broker(&address)) return 1;
    if (address.path != runtime.path() / "aiaccel/broker.sock") return 2;
    fs::remove(runtime.path() / "aiaccel");
    if (chown(runtime.path().c_str(), kNobody, kNobody)) return 3;
    if (aiaccel::find_broker(&address)) return 4;
    if (address.path != "/tmp/aiaccel-0/broker.sock") return 5;
    return fs::is_empty(runtime.path()) ? 0 : 6;
  });
  BOOST_TEST(root.wait() == 0);
}

BOOST_AUTO_TEST_CASE(who_has_taken_our_folder_is_named) {
  if (geteuid() != 0) SKIP("needs root, to be several users");
  if (access("/run/aiaccel/broker.sock", F_OK) == 0) SKIP("the system's broker is there");
  constexpr uid_t kUser = 65432;
  const fs::path folder = "/tmp/aiaccel-" + std::to_string(kUser);
  BOOST_REQUIRE(!fs::exists(folder));
  BOOST_REQUIRE(mkdir(folder.c_str(), 0755) == 0);
  BOOST_REQUIRE(chown(folder.c_str(), kNobody, kNobody) == 0);
  Child user([&](Child&) {
    unsetenv("AIACCEL_BROKER");
    unsetenv("XDG_RUNTIME_DIR");
    if (setgid(kUser) || setuid(kUser)) return 1;
    aiaccel::BrokerAddress address;
    if (aiaccel::find_broker(&address) != -EACCES) return 2;
    const std::string fault = aiaccel::folder_fault(address.path);
    return fault == folder.native() + " belongs to user 65534, not to user 65432" ? 0 : 3;
  });
  BOOST_TEST(user.wait() == 0);
  fs::remove(folder);
}

// A broker outlives the program that started it, and serves others.
BOOST_AUTO_TEST_CASE(it_does_not_keep_the_priority_of_who_started_it) {
  if (geteuid() != 0) SKIP("needs root: others cannot take a low priority back");
  BrokerServer server;
  server.kill();
  cpu_set_t all;
  BOOST_REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
  Child low([&](Child& self) {
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
      if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    const sched_param none{};
    if (sched_setaffinity(0, sizeof one, &one) || sched_setscheduler(0, SCHED_IDLE, &none) ||
        nice(10) < 0)
      return 1;
    Device device;
    self.tell(1);
    self.sleep();
    return 0;
  });
  BOOST_REQUIRE(low.must_hear() == 1u);
  const auto brokers = server.others();
  BOOST_REQUIRE(brokers.size() == 1u);
  cpu_set_t its;
  BOOST_REQUIRE(sched_getaffinity(brokers[0], sizeof its, &its) == 0);
  BOOST_TEST(CPU_EQUAL(&its, &all));
  BOOST_TEST(sched_getscheduler(brokers[0]) == SCHED_OTHER);
  // Before its clients, the best of whom run at nice -10.
  BOOST_TEST(getpriority(PRIO_PROCESS, static_cast<id_t>(brokers[0])) < -10);
  low.go_on();
  BOOST_TEST(low.wait() == 0);
  kill(brokers[0], SIGTERM);
  BOOST_TEST(eventually([&] { return server.others().empty(); }));
}

BOOST_AUTO_TEST_SUITE_END()
