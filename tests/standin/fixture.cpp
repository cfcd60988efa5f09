// SPDX-License-Identifier: MIT
//
// See fixture.hpp.
#include "fixture.hpp"

#include <time.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace standin_test {
namespace {

std::streamoff log_start;

struct Folder {
  Folder() {
    char name[] = "/tmp/aiaccel-standin-XXXXXX";
    if (!mkdtemp(name)) abort();
    path = name;
    setenv("AIACCEL_STANDIN", name, 1);
    setenv("AIACCEL_STANDIN_BYTES", std::to_string(kDeviceBytes).c_str(), 1);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
} the_folder;

std::string log_path() {
  return the_folder.path + "/log";
}

}  // namespace

std::uint64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::uint64_t(now.tv_sec) * 1'000'000'000 + std::uint64_t(now.tv_nsec);
}

const std::string& folder() {
  return the_folder.path;
}

std::vector<Ran> read_log() {
  std::ifstream log(log_path());
  log.seekg(log_start);
  std::vector<Ran> all;
  for (Ran ran; log >> ran.tag >> ran.start_ns >> ran.end_ns >> ran.pid;) all.push_back(ran);
  return all;
}

Device::Device() {
  CU_OK(cuInit(0));
  CU_OK(cuCtxCreate_v2(&context, 0, 0));
  CU_OK(cuModuleLoadData(&module, "work"));
  CU_OK(cuModuleGetFunction(&kernel, module, "work"));
  CU_OK(cuMemAlloc_v2(&where, sizeof(std::uint64_t)));
  CU_OK(cuMemsetD32_v2(where, 0, 2));
  CU_OK(cuCtxSynchronize());
  log_start = std::streamoff(std::filesystem::file_size(log_path()));
}

Device::~Device() {
  cuCtxDestroy_v2(context);
}

CUresult Device::launch(CUstream stream, std::uint64_t tag, std::uint64_t ns) {
  void* parameters[] = {&ns, &tag, &where};
  return cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr);
}

std::uint64_t Device::cell() {
  std::uint64_t value = 0;
  CU_OK(cuCtxSynchronize());
  CU_OK(cuMemcpyDtoH_v2(&value, where, sizeof value));
  return value;
}

std::uint64_t Device::cell_after(const std::vector<std::uint64_t>& tags) {
  std::uint64_t value = 0;
  for (const std::uint64_t tag : tags) value = value * 31 + tag;
  return value;
}

}  // namespace standin_test
