// SPDX-License-Identifier: MIT
//
// A broker of the benchmark's own, which the library starts at the first use and starts anew after
// end(). The place is in $AIACCEL_BROKER; it goes with the object.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "bench/measure.hpp"
#include "bench/process.hpp"

namespace bench {

class OwnBroker {
 public:
  OwnBroker() {
    char folder[] = "/tmp/aiaccel-bench-XXXXXX";
    check(mkdtemp(folder), folder);
    folder_ = folder;
    check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "prctl");
    setenv("AIACCEL_BROKER", socket().c_str(), 1);
  }
  OwnBroker(const OwnBroker&) = delete;
  OwnBroker& operator=(const OwnBroker&) = delete;
  ~OwnBroker() {
    end();
    std::filesystem::remove_all(folder_);
  }

  bool is_there() const { return std::filesystem::exists(socket()); }

  void end() const {
    while (for_each_process([](pid_t pid) {
      kill(pid, SIGTERM);
      waitpid(pid, nullptr, 0);
    })) {
    }
    std::filesystem::remove(socket());
  }

  // Once it was started: it takes all processors for its own, whoever starts it.
  void run_on_one_processor() const {
    check(for_each_process([](pid_t pid) { bench::run_on_one_processor(pid); }), "no broker");
  }

 private:
  // The broker, and who started it: they become children of this process, one as the other ends.
  // Whether there was any.
  template <typename Each>
  static bool for_each_process(Each each) {
    bool any = false;
    std::ifstream children("/proc/thread-self/children");
    for (pid_t pid; children >> pid; any = true) each(pid);
    return any;
  }

  std::string socket() const { return folder_ + "/broker.sock"; }

  std::string folder_;
};

}  // namespace bench
