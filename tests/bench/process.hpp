// SPDX-License-Identifier: MIT
//
// What benchmarks with more than one process share: another process, and where all of them run.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.hpp"

namespace bench {

// A process that does one thing over and over until this object goes.
class Partner {
 public:
  template <typename Play>
  explicit Partner(Play play) : pid_(fork()) {
    check(pid_ >= 0, "fork");
    if (pid_) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(run([&] {
      for (;;) play();
    }));
  }
  Partner(const Partner&) = delete;
  Partner& operator=(const Partner&) = delete;
  ~Partner() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

 private:
  const pid_t pid_;
};

// The process, and those that it starts from now on; 0 is this one.
inline void run_on_one_processor(pid_t pid = 0) {
  cpu_set_t set;
  check(sched_getaffinity(0, sizeof set, &set) == 0, "sched_getaffinity");
  int processor = 0;
  while (!CPU_ISSET(processor, &set)) ++processor;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  check(sched_setaffinity(pid, sizeof set, &set) == 0, "sched_setaffinity");
}

}  // namespace bench
