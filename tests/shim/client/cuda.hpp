// SPDX-License-Identifier: MIT
//
// The part of CUDA's Driver API that the client uses, found in the way that is asked for. Types are
// the shim's own words for CUDA's.
#pragma once

#include "shim/cuda.h"

namespace client {

using namespace aiaccel::shim::cuda;

// X(member, symbol, base name, CUDA version, parameters)
#define CLIENT_CALLS(X)                                                                            \
  X(init, cuInit, cuInit, 2000, (unsigned))                                                        \
  X(primary_retain, cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, 7000, (Context*, Device))  \
  X(primary_release, cuDevicePrimaryCtxRelease_v2, cuDevicePrimaryCtxRelease, 11000, (Device))     \
  X(context_create, cuCtxCreate_v2, cuCtxCreate, 3020, (Context*, unsigned, Device))               \
  X(context_destroy, cuCtxDestroy_v2, cuCtxDestroy, 4000, (Context))                               \
  X(green_create, cuGreenCtxCreate, cuGreenCtxCreate, 12040, (Handle*, Handle, Device, unsigned))  \
  X(green_destroy, cuGreenCtxDestroy, cuGreenCtxDestroy, 12040, (Handle))                          \
  X(green_context, cuCtxFromGreenCtx, cuCtxFromGreenCtx, 12040, (Context*, Handle))                \
  X(context_set, cuCtxSetCurrent, cuCtxSetCurrent, 4000, (Context))                                \
  X(synchronize, cuCtxSynchronize, cuCtxSynchronize, 2000, ())                                     \
  X(module_load, cuModuleLoadData, cuModuleLoadData, 2000, (Handle*, const void*))                 \
  X(module_function, cuModuleGetFunction, cuModuleGetFunction, 2000,                               \
    (Handle*, Handle, const char*))                                                                \
  X(launch, cuLaunchKernel, cuLaunchKernel, 7000,                                                  \
    (Handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream, void**, \
     void**))                                                                                      \
  X(launch_ex, cuLaunchKernelEx, cuLaunchKernelEx, 11060,                                          \
    (const LaunchConfig*, Handle, void**, void**))                                                 \
  X(launch_cooperative, cuLaunchCooperativeKernel, cuLaunchCooperativeKernel, 9000,                \
    (Handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream,         \
     void**))                                                                                      \
  X(stream_create, cuStreamCreate, cuStreamCreate, 2000, (Stream*, unsigned))                      \
  X(stream_destroy, cuStreamDestroy_v2, cuStreamDestroy, 4000, (Stream))                           \
  X(stream_synchronize, cuStreamSynchronize, cuStreamSynchronize, 7000, (Stream))                  \
  X(capture_begin, cuStreamBeginCapture_v2, cuStreamBeginCapture, 10010, (Stream, int))            \
  X(capture_end, cuStreamEndCapture, cuStreamEndCapture, 10000, (Stream, Handle*))                 \
  X(graph_instantiate, cuGraphInstantiateWithFlags, cuGraphInstantiateWithFlags, 11040,            \
    (Handle*, Handle, unsigned long long))                                                         \
  X(graph_launch, cuGraphLaunch, cuGraphLaunch, 10000, (Handle, Stream))                           \
  X(alloc, cuMemAlloc_v2, cuMemAlloc, 3020, (Address*, size_t))                                    \
  X(alloc_pitch, cuMemAllocPitch_v2, cuMemAllocPitch, 3020,                                        \
    (Address*, size_t*, size_t, size_t, unsigned))                                                 \
  X(alloc_async, cuMemAllocAsync, cuMemAllocAsync, 11020, (Address*, size_t, Stream))              \
  X(free_async, cuMemFreeAsync, cuMemFreeAsync, 11020, (Address, Stream))                          \
  X(release, cuMemFree_v2, cuMemFree, 3020, (Address))                                             \
  X(create, cuMemCreate, cuMemCreate, 10020,                                                       \
    (Address*, size_t, const AllocationProperties*, unsigned long long))                           \
  X(create_release, cuMemRelease, cuMemRelease, 10020, (Address))                                  \
  X(reserve, cuMemAddressReserve, cuMemAddressReserve, 10020,                                      \
    (Address*, size_t, size_t, Address, unsigned long long))                                       \
  X(map, cuMemMap, cuMemMap, 10020, (Address, size_t, size_t, Address, unsigned long long))        \
  X(unmap, cuMemUnmap, cuMemUnmap, 10020, (Address, size_t))                                       \
  X(array_create, cuArrayCreate_v2, cuArrayCreate, 3020, (Handle*, const Array2D*))                \
  X(array_destroy, cuArrayDestroy, cuArrayDestroy, 2000, (Handle))                                 \
  X(memory_info, cuMemGetInfo_v2, cuMemGetInfo, 3020, (size_t*, size_t*))                          \
  X(total, cuDeviceTotalMem_v2, cuDeviceTotalMem, 3020, (size_t*, Device))                         \
  X(copy_in, cuMemcpyHtoD_v2, cuMemcpyHtoD, 3020, (Address, const void*, size_t))                  \
  X(copy_out, cuMemcpyDtoH_v2, cuMemcpyDtoH, 3020, (void*, Address, size_t))                       \
  X(fill_async, cuMemsetD8Async, cuMemsetD8Async, 3020, (Address, unsigned char, size_t, Stream))

struct Cuda {
#define CLIENT_MEMBER(member, symbol, base, version, parameters) Result(*member) parameters;
  CLIENT_CALLS(CLIENT_MEMBER)
#undef CLIENT_MEMBER
};

// WAY: linked, plugin, deepbind (an object that is linked, opened later), dlsym, dlvsym, default
// (RTLD_DEFAULT), next (RTLD_NEXT), proc, proc_v2, proc_thread (per-thread default streams), or
// proc_proc (cuGetProcAddress asked for itself). Ends the program where there is none.
Cuda find(const char* way);

}  // namespace client

// Of the linked program, and of the plugin.
extern "C" const client::Cuda* client_linked_cuda();
