// SPDX-License-Identifier: MIT
//
// What the CUDA shim costs a launch that nobody contends for: a program launches with the shim in
// front of the driver and then without it, and so on in turn, each process by itself. The driver is
// the stand-in of the tests, with launches that take 20 us, as long as a real one's at their slow
// end; the shim's turns are a broker's. A sample is the mean of one process's launches, so that no
// sample depends on another.
#include <aiaccel.h>
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "bench/row.hpp"
#include "shim/cuda.h"

namespace {

namespace fs = std::filesystem;
using namespace aiaccel::shim::cuda;

constexpr int kRounds = 200;  // of each
constexpr int kWarmUps = 100;
constexpr int kLaunches = 3000;                   // 60 ms: what the shim does now and then is in it
constexpr unsigned long long kKernelNs = 15'000;  // less than a launch: the GPU keeps up

double now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return double(now.tv_sec) * 1e9 + double(now.tv_nsec);
}

[[noreturn]] void give_up(const std::string& why, int status) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(status);
}

template <typename F>
F look_up(void* driver, const char* name) {
  void* found = dlsym(driver, name);
  if (!found) give_up(std::string("no ") + name, 1);
  return reinterpret_cast<F>(found);
}

// The program that launches: prints its sample.
int launch() {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (!driver) give_up(dlerror(), 1);
  Context context = nullptr;
  Handle module = nullptr;
  Handle function = nullptr;
  Stream stream = nullptr;
  const auto kernel =
      look_up<Result (*)(Handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                         unsigned, Stream, void**, void**)>(driver, "cuLaunchKernel");
  const auto synchronize = look_up<Result (*)(Stream)>(driver, "cuStreamSynchronize");
  const bool ready =
      look_up<Result (*)(unsigned)>(driver, "cuInit")(0) == kSuccess &&
      look_up<Result (*)(Context*, unsigned, Device)>(driver, "cuCtxCreate_v2")(&context, 0, 0) ==
          kSuccess &&
      look_up<Result (*)(Handle*, const void*)>(driver, "cuModuleLoadData")(&module, "work") ==
          kSuccess &&
      look_up<Result (*)(Handle*, Handle, const char*)>(driver, "cuModuleGetFunction")(
          &function, module, "work") == kSuccess &&
      look_up<Result (*)(Stream*, unsigned)>(driver, "cuStreamCreate")(&stream, 1) == kSuccess;
  if (!ready) give_up("the stand-in does not work", 1);
  unsigned long long ns = kKernelNs;
  unsigned long long tag = 0;
  unsigned long long where = 0;
  void* parameters[] = {&ns, &tag, &where};
  double start = 0;
  for (int i = -kWarmUps; i < kLaunches; ++i) {
    if (i == 0) start = now_ns();
    if (kernel(function, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr) != kSuccess)
      give_up("a launch failed", 1);
  }
  std::printf("%.1f\n", (now_ns() - start) / kLaunches);
  return synchronize(stream) == kSuccess ? 0 : 1;
}

double measure(const std::string& self, const std::string& shim) {
  int out[2];
  if (pipe(out) != 0) give_up("pipe", 1);
  const pid_t child = fork();
  if (child == 0) {
    dup2(out[1], STDOUT_FILENO);
    close(out[0]);
    close(out[1]);
    if (!shim.empty()) setenv("LD_PRELOAD", shim.c_str(), 1);
    execl(self.c_str(), self.c_str(), "launch", nullptr);
    _exit(127);
  }
  close(out[1]);
  FILE* lines = fdopen(out[0], "r");
  double sample = -1;
  const bool told = std::fscanf(lines, "%lf", &sample) == 1;
  std::fclose(lines);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0 || !told) give_up("the program that launches failed", 1);
  return sample;
}

// How many turns the broker has given.
uint64_t turns_granted() {
  aiaccel_device* device = nullptr;
  aiaccel_stats_engine engines[32];
  aiaccel_stats stats{};
  stats.size = sizeof stats;
  stats.kind = AIACCEL_STATS_ENGINES;
  stats.records = reinterpret_cast<uintptr_t>(engines);
  stats.count = std::size(engines);
  stats.record_size = sizeof engines[0];
  if (aiaccel_open("broker", &device) || aiaccel_call(device, AIACCEL_IOC_STATS, &stats))
    give_up("the broker does not answer", 1);
  uint64_t granted = 0;
  for (uint32_t i = 0; i < stats.count; ++i) granted += engines[i].granted;
  aiaccel_close(device);
  return granted;
}

}  // namespace

int main(int argc, char**) {
  if (argc > 1) return launch();
  const fs::path self = fs::read_symlink("/proc/self/exe");
  const fs::path build = self.parent_path().parent_path();
  const std::string shim = (build / "lib/libaiaccel-cuda.so").native();
  if (!fs::exists(build / "standin/libcuda.so.1")) give_up("there is no stand-in", 77);
  if (!fs::exists(shim)) give_up("there is no shim", 1);

  char folder[] = "/tmp/aiaccel-bench-XXXXXX";
  if (!mkdtemp(folder)) give_up("mkdtemp", 1);
  const std::string socket = std::string(folder) + "/broker.sock";
  setenv("AIACCEL_STANDIN", folder, 1);
  setenv("AIACCEL_STANDIN_LAUNCH_NS", "20000", 1);
  setenv("LD_LIBRARY_PATH", (build / "standin").c_str(), 1);
  setenv("AIACCEL_BROKER", socket.c_str(), 1);
  setenv("AIACCEL_TRANSPORT", "broker", 1);
  setenv("AIACCEL_SHIM_LOG", (std::string(folder) + "/said").c_str(), 1);
  const pid_t broker = fork();
  if (broker == 0) {
    execl((build / "bin/aiacceld").c_str(), "aiacceld", "--socket", socket.c_str(), nullptr);
    _exit(127);
  }
  for (int i = 0; i < 1000 && !fs::exists(socket); ++i) usleep(10'000);

  bench::Row row;
  row.name = "adopt/shim-launch-20us";
  row.peer_name = "no shim";
  row.unit = "ns";
  row.goal = 1.03;
  for (int round = 0; round < kRounds; ++round) {
    row.ours.push_back(measure(self.native(), shim));
    row.peer.push_back(measure(self.native(), ""));
  }
  const uint64_t granted = turns_granted();
  kill(broker, SIGTERM);
  waitpid(broker, nullptr, 0);
  const bool ungated = fs::exists(std::string(folder) + "/said");  // it only speaks of trouble
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  if (ungated || granted < kRounds) give_up("the shim did not gate", 1);
  bench::print(row);
  return 0;
}
