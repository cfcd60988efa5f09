// SPDX-License-Identifier: MIT
//
// cuGetProcAddress finds the function of a name that its caller was built for.
#include <dlfcn.h>

#include "fixture.hpp"

extern "C" {
CUresult cuGetProcAddress(const char*, void**, int, cuuint64_t);
CUresult cuGetProcAddress_v2(const char*, void**, int, cuuint64_t, CUdriverProcAddressQueryResult*);
}

namespace {

struct Case {
  const char* name;
  int version;
  cuuint64_t flags;
  const char* symbol;  // null: not found
  CUdriverProcAddressQueryResult status;
};

constexpr auto kDefault = CU_GET_PROC_ADDRESS_DEFAULT;
constexpr auto kLegacy = CU_GET_PROC_ADDRESS_LEGACY_STREAM;
constexpr auto kPerThread = CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
constexpr auto kFound = CU_GET_PROC_ADDRESS_SUCCESS;
constexpr auto kTooOld = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
constexpr auto kUnknown = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;

const Case kCases[] = {
    {"cuMemAlloc", 3020, kDefault, "cuMemAlloc_v2", kFound},
    {"cuMemAlloc", 13000, kPerThread, "cuMemAlloc_v2", kFound},
    {"cuMemAlloc", 3010, kDefault, nullptr, kTooOld},
    {"cuMemAlloc_v2", 13000, kDefault, nullptr, kUnknown},
    {"cuLaunchEverything", 13000, kDefault, nullptr, kUnknown},
    {"cuLaunchKernel", 12000, kDefault, "cuLaunchKernel", kFound},
    {"cuLaunchKernel", 12000, kLegacy, "cuLaunchKernel", kFound},
    {"cuLaunchKernel", 12000, kPerThread, "cuLaunchKernel_ptsz", kFound},
    {"cuLaunchKernel", 4000, kPerThread, "cuLaunchKernel", kFound},
    {"cuMemcpyHtoD", 12000, kPerThread, "cuMemcpyHtoD_v2_ptds", kFound},
    {"cuGraphLaunch", 12000, kPerThread, "cuGraphLaunch_ptsz", kFound},
    {"cuStreamBeginCapture", 10000, kDefault, "cuStreamBeginCapture", kFound},
    {"cuStreamBeginCapture", 10010, kDefault, "cuStreamBeginCapture_v2", kFound},
    {"cuStreamBeginCapture", 10010, kPerThread, "cuStreamBeginCapture_v2_ptsz", kFound},
    {"cuStreamGetCaptureInfo", 12030, kDefault, "cuStreamGetCaptureInfo_v3", kFound},
    {"cuCtxCreate", 11040, kDefault, "cuCtxCreate_v3", kFound},
    {"cuGetProcAddress", 11030, kDefault, "cuGetProcAddress", kFound},
    {"cuGetProcAddress", 12000, kDefault, "cuGetProcAddress_v2", kFound},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(lookup)

BOOST_AUTO_TEST_CASE(the_newest_that_is_not_newer_than_asked_for) {
  for (const Case& row : kCases) {
    BOOST_TEST_CONTEXT(row.name << " " << row.version << " " << row.flags) {
      void* const wanted = row.symbol ? dlsym(RTLD_DEFAULT, row.symbol) : nullptr;
      BOOST_REQUIRE_EQUAL(wanted != nullptr, row.symbol != nullptr);
      void* found = &found;
      CUdriverProcAddressQueryResult status;
      CU_OK(cuGetProcAddress_v2(row.name, &found, row.version, row.flags, &status));
      BOOST_CHECK_EQUAL(found, wanted);
      BOOST_CHECK_EQUAL(int(status), int(row.status));
      found = &found;
      CU_FAILS(row.symbol ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND,
               cuGetProcAddress(row.name, &found, row.version, row.flags));
      BOOST_CHECK_EQUAL(found, wanted);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_version_newer_than_the_driver_is_invalid) {
  void* found = nullptr;
  CU_FAILS(CUDA_ERROR_INVALID_VALUE,
           cuGetProcAddress_v2("cuInit", &found, 14000, kDefault, nullptr));
}

BOOST_AUTO_TEST_SUITE_END()
