// SPDX-License-Identifier: MIT
//
// What the shim says of CUDA in its own words (libaiaccel/shim/cuda.h) against the real cuda.h,
// where one is installed: compiling is the test.
#include "shim/cuda.h"

#include "tap/tap.hpp"

#if __has_include(<cuda.h>)
#include <cuda.h>
#elif __has_include("/usr/local/cuda/include/cuda.h")
#include "/usr/local/cuda/include/cuda.h"
#endif

#ifdef CUDA_VERSION
namespace cuda = aiaccel::shim::cuda;

#define SAME_SIZE(ours, real) static_assert(sizeof(cuda::ours) == sizeof(real))
#define SAME_PLACE(ours, member, real, real_member)                            \
  static_assert(offsetof(cuda::ours, member) == offsetof(real, real_member) && \
                sizeof(cuda::ours::member) == sizeof(real::real_member))

SAME_SIZE(Result, CUresult);
SAME_SIZE(Device, CUdevice);
SAME_SIZE(Address, CUdeviceptr);
SAME_SIZE(Address, CUmemGenericAllocationHandle);
SAME_SIZE(Uuid, CUuuid);
SAME_SIZE(LaunchConfig, CUlaunchConfig);
SAME_PLACE(LaunchConfig, stream, CUlaunchConfig, hStream);
SAME_SIZE(Copy2D, CUDA_MEMCPY2D);
SAME_PLACE(Copy2D, width_bytes, CUDA_MEMCPY2D, WidthInBytes);
SAME_PLACE(Copy2D, height, CUDA_MEMCPY2D, Height);
SAME_SIZE(Copy3D, CUDA_MEMCPY3D);
SAME_SIZE(Copy3D, CUDA_MEMCPY3D_PEER);
SAME_PLACE(Copy3D, width_bytes, CUDA_MEMCPY3D, WidthInBytes);
SAME_PLACE(Copy3D, depth, CUDA_MEMCPY3D_PEER, Depth);
SAME_SIZE(Array2D, CUDA_ARRAY_DESCRIPTOR);
SAME_PLACE(Array2D, format, CUDA_ARRAY_DESCRIPTOR, Format);
SAME_SIZE(Array3D, CUDA_ARRAY3D_DESCRIPTOR);
SAME_PLACE(Array3D, channels, CUDA_ARRAY3D_DESCRIPTOR, NumChannels);
SAME_SIZE(AllocationProperties, CUmemAllocationProp);
SAME_PLACE(AllocationProperties, location_id, CUmemAllocationProp, location.id);
static_assert(cuda::kSuccess == CUDA_SUCCESS);
static_assert(cuda::kOutOfMemory == CUDA_ERROR_OUT_OF_MEMORY);
static_assert(cuda::kNotFound == CUDA_ERROR_NOT_FOUND);
static_assert(cuda::kNotReady == CUDA_ERROR_NOT_READY);
static_assert(cuda::kCaptureImplicit == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
static_assert(cuda::kCaptureNone == CU_STREAM_CAPTURE_STATUS_NONE);
static_assert(cuda::kCaptureModeRelaxed == CU_STREAM_CAPTURE_MODE_RELAXED);
static_assert(cuda::kEventDisableTiming == CU_EVENT_DISABLE_TIMING);
static_assert(cuda::kLocationDevice == CU_MEM_LOCATION_TYPE_DEVICE);
static_assert(cuda::kPerThreadStreams == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
#endif

BOOST_AUTO_TEST_CASE(words_of_our_own_are_those_of_cuda_h) {
#ifdef CUDA_VERSION
  BOOST_TEST(cuda::legacy_stream() == static_cast<void*>(CU_STREAM_LEGACY));
  BOOST_TEST(cuda::per_thread_stream() == static_cast<void*>(CU_STREAM_PER_THREAD));
#else
  SKIP("there is no cuda.h here");
#endif
}
