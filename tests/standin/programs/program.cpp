// SPDX-License-Identifier: MIT
//
// An unmodified CUDA program, as far as CUDA goes: it launches kernels the way its options say,
// checks that they ran in order, and prints what it saw, a word and its values a line:
//
//   device NAME
//   kernels N SECONDS           all threads
//   launch_us P50 P99 MAX       of the call
//   latency_us P50 P99 MAX      of a kernel that is waited for, from when it was due (pace_us)
//   alloc_error N NAME          an allocation was refused (it goes on without)
//   child_error N NAME          what the child of a fork got
//
// Status 0: all went as it should. It knows nothing of aiaccel or of the stand-in.
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "kernel.h"
#include "options.h"
#include "reach.h"

extern char** environ;

namespace {

Cuda cuda;
Options options;
CUcontext context;
CUfunction kernel;

std::mutex mutex;
std::vector<double> launch_us, latency_us;  // guarded by mutex
std::uint64_t kernels;                      // likewise

const char* name_of(CUresult error) {
  const char* name = nullptr;
  cuda.cuGetErrorName_(error, &name);
  return name ? name : "?";
}

void check(CUresult error, const char* call) {
  if (error == CUDA_SUCCESS) return;
  fprintf(stderr, "%s: %d %s\n", call, int(error), name_of(error));
  _exit(1);
}
#define CHECK(call) check(cuda.call, #call)

std::uint64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::uint64_t(now.tv_sec) * 1'000'000'000 + std::uint64_t(now.tv_nsec);
}

void sleep_until(std::uint64_t ns) {
  const timespec at = {time_t(ns / 1'000'000'000), long(ns % 1'000'000'000)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
}

// One thread's work: a stream, a cell that its kernels write, and the value they should leave
// there.
class Worker {
 public:
  explicit Worker(std::uint64_t number)
      : tag_(options.tag ? options.tag + number * 1'000'000 : 0) {}

  void run() {
    CHECK(cuCtxSetCurrent_(context));
    open_stream();
    CHECK(cuMemAlloc_(&where_, sizeof expected_));
    CHECK(cuMemsetD32_(where_, 0, 2));
    CHECK(cuCtxSynchronize_());
    if (options.copy) {
      buffer_.resize(options.copy, 1);
      CHECK(cuMemAlloc_(&copied_, options.copy));
    }
    for (CUevent& event : events_) CHECK(cuEventCreate_(&event, CU_EVENT_DISABLE_TIMING));
    loop();
    CHECK(cuStreamSynchronize_(stream_));
    std::uint64_t cell = 0;
    CHECK(cuMemcpyDtoH_(&cell, where_, sizeof cell));
    if (cell != expected_) {
      fprintf(stderr, "kernels left %llu instead of %llu\n", (unsigned long long)cell,
              (unsigned long long)expected_);
      _exit(1);
    }
    close();
    std::lock_guard guard(mutex);
    launch_us.insert(launch_us.end(), launch_us_.begin(), launch_us_.end());
    latency_us.insert(latency_us.end(), latency_us_.begin(), latency_us_.end());
    kernels += ran_;
  }

 private:
  void open_stream() {
    if (options.streams == "default") return;
    if (options.streams == "per-thread") {
      stream_ = CU_STREAM_PER_THREAD;
    } else {
      CHECK(cuStreamCreate_(&stream_,
                            options.streams == "own" ? CU_STREAM_DEFAULT : CU_STREAM_NON_BLOCKING));
      owned_ = true;
    }
  }

  void loop() {
    const std::uint64_t start = now_ns();
    const std::uint64_t end = start + options.seconds * 1'000'000'000;
    for (std::uint64_t i = 0; options.seconds ? now_ns() < end : i < options.kernels; ++i) {
      if (options.pace_us) {
        paced(start + i * options.pace_us * 1000);
      } else {
        step();
        // Every half of what may be in flight, wait for the half before.
        if (i % (options.ahead / 2 + 1) == 0) {
          CHECK(cuEventRecord_(events_[0], stream_));
          std::swap(events_[0], events_[1]);
          if (recorded_) CHECK(cuEventSynchronize_(events_[0]));
          recorded_ = true;
        }
      }
    }
  }

  void paced(std::uint64_t due) {
    sleep_until(due);
    step();
    CHECK(cuStreamSynchronize_(stream_));
    latency_us_.push_back(double(now_ns() - due) / 1000);
  }

  void step() {
    if (options.copy) CHECK(cuMemcpyHtoD_(copied_, buffer_.data(), buffer_.size()));
    const std::uint64_t before = now_ns();
    if (options.graph)
      launch_graph();
    else
      launch();
    launch_us_.push_back(double(now_ns() - before) / 1000);
    if (options.copy) CHECK(cuMemcpyDtoH_(buffer_.data(), copied_, buffer_.size()));
  }

  void launch() {
    std::uint64_t ns = options.us * 1000, tag = tag_;
    void* parameters[] = {&ns, &tag, &where_};
    CHECK(cuLaunchKernel_(kernel, 1, 1, 1, 1, 1, 1, 0, stream_, parameters, nullptr));
    expected_ = expected_ * 31 + tag;
    if (tag_) ++tag_;
    ++ran_;
  }

  // A graph's kernels have the tags that they were captured with, every time.
  void launch_graph() {
    if (!graph_) {
      CUgraph captured;
      CHECK(cuStreamBeginCapture_(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
      for (std::uint64_t i = 0; i < options.graph; ++i) launch();
      CHECK(cuStreamEndCapture_(stream_, &captured));
      CHECK(cuGraphInstantiateWithFlags_(&graph_, captured, 0));
      CHECK(cuGraphDestroy_(captured));
      first_tag_ = tag_ ? tag_ - options.graph : 0;
      expected_ = ran_ = 0;  // nothing ran yet
    }
    CHECK(cuGraphLaunch_(graph_, stream_));
    for (std::uint64_t i = 0; i < options.graph; ++i)
      expected_ = expected_ * 31 + (tag_ ? first_tag_ + i : 0);
    ran_ += options.graph;
  }

  void close() {
    if (graph_) CHECK(cuGraphExecDestroy_(graph_));
    for (const CUevent event : events_) CHECK(cuEventDestroy_(event));
    CHECK(cuMemFree_(where_));
    if (copied_) CHECK(cuMemFree_(copied_));
    if (owned_) CHECK(cuStreamDestroy_(stream_));
  }

  std::uint64_t tag_, first_tag_ = 0, expected_ = 0, ran_ = 0;
  CUstream stream_ = nullptr;
  bool owned_ = false, recorded_ = false;
  CUdeviceptr where_ = 0, copied_ = 0;
  CUgraphExec graph_ = nullptr;
  CUevent events_[2] = {};
  std::vector<char> buffer_;
  std::vector<double> launch_us_, latency_us_;
};

void start() {
  reach(&cuda, options.reach);
  CHECK(cuInit_(0));
  CUdevice device;
  char name[256];
  CHECK(cuDeviceGet_(&device, 0));
  CHECK(cuDeviceGetName_(name, sizeof name, device));
  printf("device %s\n", name);
  CHECK(cuDevicePrimaryCtxRetain_(&context, device));
  CHECK(cuCtxSetCurrent_(context));
  CUmodule module;
  CHECK(cuModuleLoadData_(&module, kKernel));
  CHECK(cuModuleGetFunction_(&kernel, module, "work"));
}

// What a child may not do, and what it may: use its parent's CUDA, or start anew.
void child(char** argv) {
  fflush(stdout);
  const bool anew = options.exec == "exec";
  pid_t pid;
  if (anew) {
    std::vector<char*> words;
    for (char** word = argv; *word; ++word)
      if (std::string(*word).rfind("exec=", 0)) words.push_back(*word);
    words.push_back(nullptr);
    if (posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, words.data(), environ)) _exit(1);
  } else if ((pid = fork()) == 0) {
    const CUresult error = cuda.cuCtxSynchronize_();
    printf("child_error %d %s\n", int(error), name_of(error));
    fflush(stdout);
    _exit(0);
  }
  int status;
  if (waitpid(pid, &status, 0) != pid || status != 0) {
    fprintf(stderr, "the child ended with %#x\n", status);
    _exit(1);
  }
}

void print(const char* word, std::vector<double>& samples) {
  if (samples.empty()) return;
  std::sort(samples.begin(), samples.end());
  const auto quantile = [&](double part) {
    return samples[std::min(samples.size() - 1, size_t(part * double(samples.size())))];
  };
  printf("%s %.1f %.1f %.1f\n", word, quantile(0.5), quantile(0.99), samples.back());
}

}  // namespace

int main(int argc, char** argv) {
  options = parse(argc, argv);
  start();
  CUdeviceptr held = 0;
  if (options.alloc) {
    const CUresult error = cuda.cuMemAlloc_(&held, options.alloc);
    if (error != CUDA_SUCCESS) printf("alloc_error %d %s\n", int(error), name_of(error));
  }
  if (!options.exec.empty()) child(argv);
  const std::uint64_t before = now_ns();
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < options.threads; ++i)
    threads.emplace_back([i] { Worker(i).run(); });
  for (std::thread& thread : threads) thread.join();
  printf("kernels %llu %.6f\n", (unsigned long long)kernels, double(now_ns() - before) / 1e9);
  print("launch_us", launch_us);
  print("latency_us", latency_us);
  if (held) CHECK(cuMemFree_(held));
  CHECK(cuDevicePrimaryCtxRelease_(0));
}
