// SPDX-License-Identifier: MIT
//
// A broker of the benchmark's own, which has a GPU of the stand-in for NVML: an engine with one
// slot.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bench/measure.hpp"

namespace bench {

class Broker {
 public:
  Broker() {
    namespace fs = std::filesystem;
    const fs::path build = fs::read_symlink("/proc/self/exe").parent_path().parent_path();
    if (!fs::exists(build / "standin/libnvidia-ml.so.1")) throw Missing("there is no stand-in");
    char folder[] = "/tmp/aiaccel-bench-XXXXXX";
    check(mkdtemp(folder), "mkdtemp");
    folder_ = folder;
    std::ofstream(folder_ + "/nvml") << "gpu GPU-bench\npci 0000:65:00.0\nmemory 8589934592 0\n";
    const std::string socket = folder_ + "/broker.sock";
    setenv("AIACCEL_STANDIN", folder, 1);
    setenv("AIACCEL_BROKER", socket.c_str(), 1);
    pid_ = fork();
    if (pid_ == 0) {
      setenv("LD_LIBRARY_PATH", (build / "standin").c_str(), 1);
      execl((build / "bin/aiacceld").c_str(), "aiacceld", "--socket", socket.c_str(), nullptr);
      _exit(127);
    }
    for (int i = 0; i < 1000 && !fs::exists(socket); ++i) usleep(10'000);
  }
  Broker(const Broker&) = delete;
  ~Broker() {
    if (pid_ > 0) kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

 private:
  std::string folder_;
  pid_t pid_ = -1;
};

}  // namespace bench
