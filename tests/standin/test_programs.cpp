// SPDX-License-Identifier: MIT
//
// Programs on the stand-in, each way of reaching CUDA, and what processes share of the device.
#include <fcntl.h>
#include <libgen.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "fixture.hpp"

using namespace standin_test;

namespace {

std::string bin() {
  char self[4096] = {};
  BOOST_REQUIRE(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  return std::string(dirname(self)) + "/../standin";
}

struct Result {
  int status;
  std::string output;
};

// "cuda-linked kernels=5", running.
class Program {
 public:
  explicit Program(const std::string& words) {
    const std::string command =
        "exec env LD_LIBRARY_PATH=" + bin() + " " + bin() + "/" + words + " 2>&1";
    int ends[2];
    BOOST_REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    BOOST_REQUIRE(pid_ > 0);
    close(ends[1]);
    output_ = fdopen(ends[0], "r");
  }

  void kill() { ::kill(pid_, SIGKILL); }

  Result wait() {
    Result result;
    for (int c; (c = getc(output_)) != EOF;) result.output.push_back(char(c));
    fclose(output_);
    BOOST_REQUIRE(waitpid(pid_, &result.status, 0) == pid_);
    return result;
  }

 private:
  pid_t pid_;
  FILE* output_;
};

void check(const std::string& words, const std::string& line) {
  const Result result = Program(words).wait();
  BOOST_CHECK_MESSAGE(result.status == 0 && result.output.find(line) != std::string::npos,
                      words << ": status " << result.status << ", " << result.output);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(programs)

BOOST_AUTO_TEST_CASE(linked) {
  check("cuda-linked kernels=20 us=10", "kernels 20 ");
}

BOOST_AUTO_TEST_CASE(looked_up) {
  for (const char* way : {"dlsym", "dlsym-ptsz", "deepbind", "proc", "proc-ptsz", "proc2",
                          "proc2-ptsz", "plugin", "plugin-deepbind"})
    check(std::string("cuda-loaded kernels=20 us=10 reach=") + way, "kernels 20 ");
}

BOOST_AUTO_TEST_CASE(compiled_by_nvcc) {
  if (access((bin() + "/cuda-nvcc").c_str(), X_OK) != 0) SKIP("no nvcc that takes this compiler");
  check("cuda-nvcc kernels=20 us=10", "kernels 20 ");
}

BOOST_AUTO_TEST_CASE(threads_streams_graphs_and_copies) {
  check("cuda-linked threads=3 kernels=20 us=10 streams=own", "kernels 60 ");
  check("cuda-linked threads=2 kernels=20 us=10 streams=per-thread", "kernels 40 ");
  check("cuda-linked kernels=4 graph=5 us=10 streams=own", "kernels 20 ");
  check("cuda-linked kernels=5 us=10 copy=1000000", "kernels 5 ");
  check("cuda-linked kernels=5 us=10 pace_us=100", "latency_us ");
}

BOOST_AUTO_TEST_CASE(a_launch_takes_as_long_as_it_is_told) {
  setenv("AIACCEL_STANDIN_LAUNCH_NS", "50000", 1);
  const Result result = Program("cuda-linked kernels=50 us=1").wait();
  unsetenv("AIACCEL_STANDIN_LAUNCH_NS");
  double p50 = 0;
  const size_t line = result.output.find("launch_us ");
  BOOST_REQUIRE(line != std::string::npos);
  BOOST_REQUIRE_EQUAL(sscanf(result.output.c_str() + line, "launch_us %lf", &p50), 1);
  BOOST_CHECK_GE(p50, 50);
}

BOOST_AUTO_TEST_CASE(a_child_of_a_fork_has_no_driver_and_a_new_program_has) {
  check("cuda-linked kernels=5 us=10 exec=fork", "child_error 3 CUDA_ERROR_NOT_INITIALIZED");
  check("cuda-linked kernels=5 us=10 exec=exec", "kernels 5 ");
}

BOOST_AUTO_TEST_CASE(processes_take_turns_on_one_engine) {
  Device device;  // only to start the log here
  Program other("cuda-linked kernels=40 us=5000 tag=1000");
  check("cuda-linked kernels=40 us=5000 tag=2000", "kernels 40 ");
  BOOST_CHECK_EQUAL(other.wait().status, 0);
  auto ran = read_log();
  BOOST_REQUIRE_EQUAL(ran.size(), 80);
  std::sort(ran.begin(), ran.end(),
            [](const Ran& a, const Ran& b) { return a.start_ns < b.start_ns; });
  // Of what ran while both had work.
  int changes = 0, both = 0;
  const auto last_of = [&](int pid) {
    size_t last = 0;
    for (size_t i = 0; i < ran.size(); ++i)
      if (ran[i].pid == pid) last = i;
    return last;
  };
  size_t second = 0;
  while (second < ran.size() - 1 && ran[second].pid == ran[0].pid) ++second;
  const size_t end = std::min(last_of(ran[0].pid), last_of(ran[second].pid));
  for (size_t i = 1; i < ran.size(); ++i) {
    BOOST_CHECK_GE(ran[i].start_ns, ran[i - 1].end_ns);
    if (i <= second || i > end) continue;
    ++both;
    changes += ran[i].pid != ran[i - 1].pid;
  }
  BOOST_TEST_MESSAGE(changes << " changes in " << both);
  BOOST_CHECK_GE(both, 10);
  BOOST_CHECK_GE(2 * changes, both);
}

BOOST_AUTO_TEST_CASE(processes_share_the_bytes_and_the_dead_have_none) {
  Device device;
  size_t before = 0, now = 0, total = 0;
  CU_OK(cuMemGetInfo_v2(&before, &total));
  CUdeviceptr most;
  CU_OK(cuMemAlloc_v2(&most, before - (1 << 20)));
  check("cuda-linked kernels=1 us=10 alloc=2000000", "alloc_error 2 CUDA_ERROR_OUT_OF_MEMORY");
  CU_OK(cuMemFree_v2(most));
  // A kernel of ten minutes has the engine; nobody waits for the dead.
  Program killed("cuda-linked kernels=1 us=600000000 tag=1 alloc=" + std::to_string(before / 2));
  do {
    usleep(1000);
    CU_OK(cuMemGetInfo_v2(&now, &total));
  } while (now > before / 2);
  usleep(100'000);
  killed.kill();
  killed.wait();
  CU_OK(cuMemGetInfo_v2(&now, &total));
  BOOST_CHECK_EQUAL(now, before);
  check("cuda-linked kernels=1 us=10", "kernels 1 ");
}

BOOST_AUTO_TEST_SUITE_END()
