// SPDX-License-Identifier: MIT
//
// A test's view of the stand-in: linked with it, on a device of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "standin/api.h"
#include "tap/tap.hpp"

extern "C" {
#define STANDIN_DECLARE(base, symbol, version, parameters) CUresult symbol parameters;
STANDIN_CALLS(STANDIN_DECLARE)
#undef STANDIN_DECLARE
}

#define CU_OK(call) BOOST_REQUIRE_EQUAL(int(call), int(CUDA_SUCCESS))
#define CU_FAILS(error, call) BOOST_CHECK_EQUAL(int(call), int(error))

namespace standin_test {

constexpr std::uint64_t kMs = 1'000'000;  // in ns
constexpr std::uint64_t kDeviceBytes = 64 << 20;

std::uint64_t now_ns();

// A line of the log.
struct Ran {
  std::uint64_t tag, start_ns, end_ns;
  int pid;
};

// The folder that $AIACCEL_STANDIN names, gone at the end. One for the whole program.
const std::string& folder();
std::vector<Ran> read_log();  // of the kernels of this test case, in the order in which they ended

// A context, the kernel, and a cell that kernels write to.
class Device {
 public:
  Device();
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  CUresult launch(CUstream stream, std::uint64_t tag, std::uint64_t ns = 0);
  std::uint64_t cell();
  static std::uint64_t cell_after(const std::vector<std::uint64_t>& tags);

  CUcontext context;
  CUmodule module;
  CUfunction kernel;
  CUdeviceptr where;
};

class Stream {
 public:
  explicit Stream(unsigned flags = CU_STREAM_DEFAULT) { CU_OK(cuStreamCreate(&stream_, flags)); }
  ~Stream() { cuStreamDestroy_v2(stream_); }
  operator CUstream() const { return stream_; }

 private:
  CUstream stream_;
};

class Event {
 public:
  explicit Event(unsigned flags = CU_EVENT_DEFAULT) { CU_OK(cuEventCreate(&event_, flags)); }
  ~Event() { cuEventDestroy_v2(event_); }
  operator CUevent() const { return event_; }

 private:
  CUevent event_;
};

}  // namespace standin_test
