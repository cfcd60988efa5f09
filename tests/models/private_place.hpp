// SPDX-License-Identifier: MIT
//
// A place for a broker that is a test's own. It sets the environment: for tests of one thread yet.
#pragma once

#include <tap/tap.hpp>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "fixture.hpp"

namespace fixture {

// A place for a broker of the test's own, which is started on first need.
struct PrivatePlace {
  PrivatePlace() {
    char name[] = "/tmp/aiaccel-test-XXXXXX";
    BOOST_REQUIRE(mkdtemp(name));
    folder = name;
    setenv("AIACCEL_BROKER", (folder / "broker.sock").c_str(), 1);
  }
  ~PrivatePlace() {
    if (pid_t pid = broker()) kill(pid, SIGKILL);
    unsetenv("AIACCEL_BROKER");
    std::filesystem::remove_all(folder);
  }

  // Who serves there, 0 where nobody does.
  pid_t broker() const {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::string command;
      std::getline(std::ifstream(entry.path() / "cmdline"), command);
      pid_t pid = std::atoi(entry.path().filename().c_str());
      if (pid != getpid() && contains(command, folder.string())) return pid;
    }
    return 0;
  }

  std::filesystem::path folder;
};

}  // namespace fixture
