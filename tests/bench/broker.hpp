// SPDX-License-Identifier: MIT
//
// A broker of the benchmark's own, which the library starts at the first use and starts anew after
// end(). The place is in $AIACCEL_BROKER; it goes with the object.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

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

 protected:
  std::string file(const char* name) const { return folder_ + '/' + name; }
  std::string socket() const { return file("broker.sock"); }

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

  std::string folder_;
};

// One that has a GPU of the stand-in for NVML: an engine with one slot. Started at once, as what
// the library starts has the libraries of the system.
class OwnBrokerWithGpu : public OwnBroker {
 public:
  OwnBrokerWithGpu() {
    namespace fs = std::filesystem;
    const fs::path build = fs::read_symlink("/proc/self/exe").parent_path().parent_path();
    if (!fs::exists(build / "standin/libnvidia-ml.so.1")) throw Missing("there is no stand-in");
    std::ofstream(file("nvml")) << "gpu GPU-bench\npci 0000:65:00.0\nmemory 8589934592 0\n";
    if (fork() == 0) {
      setenv("AIACCEL_STANDIN", file("").c_str(), 1);
      setenv("LD_LIBRARY_PATH", (build / "standin").c_str(), 1);
      execl((build / "bin/aiacceld").c_str(), "aiacceld", "--socket", socket().c_str(), nullptr);
      _exit(127);
    }
    for (int i = 0; i < 1000 && !is_there(); ++i) usleep(10'000);
  }
};

}  // namespace bench
