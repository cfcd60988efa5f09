// SPDX-License-Identifier: MIT
//
// Device memory: counted whichever call it came by, and copied for true.
#include <cstring>
#include <numeric>

#include "fixture.hpp"

using namespace standin_test;

namespace {

constexpr size_t kMiB = 1 << 20;

size_t free_bytes() {
  size_t free = 0, total = 0;
  CU_OK(cuMemGetInfo_v2(&free, &total));
  BOOST_CHECK_EQUAL(total, kDeviceBytes);
  return free;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(memory)

BOOST_AUTO_TEST_CASE(every_allocation_counts_and_every_free_gives_back) {
  Device device;
  const size_t before = free_bytes();
  CUdeviceptr address = 0;
  const auto check = [&](size_t bytes, auto free) {
    BOOST_CHECK_EQUAL(before - free_bytes(), bytes);
    CU_OK(free());
    CU_OK(cuCtxSynchronize());
    BOOST_CHECK_EQUAL(free_bytes(), before);
  };
  CU_OK(cuMemAlloc_v2(&address, kMiB));
  check(kMiB, [&] { return cuMemFree_v2(address); });
  CU_OK(cuMemAllocManaged(&address, kMiB, 1));
  check(kMiB, [&] { return cuMemFree_v2(address); });
  size_t pitch;
  CU_OK(cuMemAllocPitch_v2(&address, &pitch, 1000, 4, 4));
  BOOST_CHECK_EQUAL(pitch, 1024);
  check(4096, [&] { return cuMemFree_v2(address); });
  CU_OK(cuMemAllocAsync(&address, kMiB, nullptr));
  check(kMiB, [&] { return cuMemFreeAsync(address, nullptr); });
  CUarray array;
  const CUDA_ARRAY_DESCRIPTOR shape = {512, 512, CU_AD_FORMAT_FLOAT, 1};
  CU_OK(cuArrayCreate_v2(&array, &shape));
  check(kMiB, [&] { return cuArrayDestroy(array); });
}

BOOST_AUTO_TEST_CASE(memory_that_is_mapped_counts_until_it_is_released_and_unmapped) {
  Device device;
  const size_t before = free_bytes();
  CUmemGenericAllocationHandle handle;
  CUmemAllocationProp wanted = {};
  CU_OK(cuMemCreate(&handle, 2 * kMiB, &wanted, 0));
  CUdeviceptr address;
  CU_OK(cuMemAddressReserve(&address, 2 * kMiB, 0, 0, 0));
  CU_OK(cuMemMap(address, 2 * kMiB, 0, handle, 0));
  CU_OK(cuMemRelease(handle));
  BOOST_CHECK_EQUAL(before - free_bytes(), 2 * kMiB);
  CU_OK(cuMemsetD32_v2(address, 7, 4));
  CU_OK(cuCtxSynchronize());
  CU_OK(cuMemUnmap(address, 2 * kMiB));
  BOOST_CHECK_EQUAL(free_bytes(), before);
  CU_OK(cuMemAddressFree(address, 2 * kMiB));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused_and_nothing_is_touched) {
  Device device;
  CUdeviceptr address = 42, most;
  CU_FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&address, kDeviceBytes));
  BOOST_CHECK_EQUAL(address, 42);
  CU_OK(cuMemAlloc_v2(&most, free_bytes()));
  CU_FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&address, 1));
  CU_OK(cuMemFree_v2(most));
  CU_OK(cuMemAlloc_v2(&address, 1));
}

BOOST_AUTO_TEST_CASE(a_context_frees_what_is_its_own) {
  Device outer;
  const size_t before = free_bytes();
  {
    Device device;
    CUdeviceptr address;
    CU_OK(cuMemAlloc_v2(&address, kMiB));
  }
  CU_OK(cuCtxSetCurrent(outer.context));
  BOOST_CHECK_EQUAL(free_bytes(), before);
}

BOOST_AUTO_TEST_CASE(the_primary_context_frees_at_its_reset) {
  Device outer;
  CUcontext primary;
  CU_OK(cuDevicePrimaryCtxRetain(&primary, 0));
  const size_t before = free_bytes();
  CU_OK(cuCtxSetCurrent(primary));
  CUdeviceptr address;
  CU_OK(cuMemAlloc_v2(&address, kMiB));
  CU_OK(cuDevicePrimaryCtxReset_v2(0));
  CU_OK(cuCtxSetCurrent(outer.context));
  BOOST_CHECK_EQUAL(free_bytes(), before);
}

BOOST_AUTO_TEST_CASE(copies_and_fills_move_the_bytes) {
  Device device;
  std::vector<unsigned> out(1000), in(1000);
  std::iota(in.begin(), in.end(), 1);
  const size_t bytes = in.size() * sizeof in[0];
  CUdeviceptr one, two;
  CU_OK(cuMemAlloc_v2(&one, bytes));
  CU_OK(cuMemAlloc_v2(&two, bytes));
  CU_OK(device.launch(nullptr, 1, 20 * kMs));
  CU_OK(cuMemcpyHtoDAsync_v2(one, in.data(), bytes, nullptr));
  std::fill(in.begin(), in.end(), 0);  // pageable: may be used again at once
  CU_OK(cuMemcpyDtoDAsync_v2(two, one, bytes, nullptr));
  CU_OK(cuMemsetD32_v2(two, 9, 1));
  CU_OK(cuMemcpyDtoH_v2(out.data(), two, bytes));
  BOOST_CHECK_EQUAL(out[0], 9);
  BOOST_CHECK_EQUAL(out[1], 2);
  BOOST_CHECK_EQUAL(out[999], 1000);
}

BOOST_AUTO_TEST_CASE(a_rectangle_is_copied_row_by_row) {
  Device device;
  char in[8] = {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}, out[8] = {};
  CUdeviceptr at;
  CU_OK(cuMemAlloc_v2(&at, sizeof in));
  CU_OK(cuMemcpyHtoD_v2(at, in, sizeof in));
  CUDA_MEMCPY2D copy = {};
  copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = at;
  copy.srcPitch = 4;
  copy.srcXInBytes = 1;
  copy.dstMemoryType = CU_MEMORYTYPE_HOST;
  copy.dstHost = out;
  copy.dstPitch = 2;
  copy.WidthInBytes = 2;
  copy.Height = 2;
  CU_OK(cuMemcpy2D_v2(&copy));
  BOOST_CHECK_EQUAL(std::string(out), "bcfg");
}

BOOST_AUTO_TEST_CASE(a_copy_of_page_locked_memory_does_not_wait) {
  Device device;
  constexpr size_t kBytes = 32 * kMiB;
  void* host;
  CUdeviceptr at;
  CU_OK(cuMemAllocHost_v2(&host, kBytes));
  CU_OK(cuMemAlloc_v2(&at, kBytes));
  CU_OK(device.launch(nullptr, 1, 100 * kMs));
  CU_OK(cuMemcpyHtoDAsync_v2(at, host, kBytes, nullptr));
  CU_FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery(nullptr));
  CU_OK(cuCtxSynchronize());
  CU_OK(cuMemFreeHost(host));
}

BOOST_AUTO_TEST_SUITE_END()
