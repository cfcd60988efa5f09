// SPDX-License-Identifier: MIT
//
// The calls that programs and tests make: X(base name, symbol, the CUDA version it came with,
// parameters). A program that is linked declares them from it; one that looks them up has the names.
#pragma once

#include "standin/cuda/abi.h"

// clang-format off
// Of programs; of each the newest form has the same parameters, so NVIDIA's header may rename it.
#define STANDIN_PROGRAM_CALLS(X) \
  X(cuInit, cuInit, 2000, (unsigned flags)) \
  X(cuDriverGetVersion, cuDriverGetVersion, 2020, (int* version)) \
  X(cuGetErrorName, cuGetErrorName, 6000, (CUresult error, const char** name)) \
  X(cuDeviceGet, cuDeviceGet, 2000, (CUdevice* device, int ordinal)) \
  X(cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, 7000, (CUcontext* context, CUdevice device)) \
  X(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2, 11000, (CUdevice device)) \
  X(cuCtxSetCurrent, cuCtxSetCurrent, 4000, (CUcontext context)) \
  X(cuCtxSynchronize, cuCtxSynchronize, 2000, ()) \
  X(cuModuleLoadData, cuModuleLoadData, 2000, (CUmodule* module, const void* image)) \
  X(cuModuleGetFunction, cuModuleGetFunction, 2000, (CUfunction* function, CUmodule module, const char* name)) \
  X(cuLaunchKernel, cuLaunchKernel, 4000, (CUfunction function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream stream, void** parameters, void** extra)) \
  X(cuStreamCreate, cuStreamCreate, 2000, (CUstream* stream, unsigned flags)) \
  X(cuStreamDestroy, cuStreamDestroy_v2, 4000, (CUstream stream)) \
  X(cuStreamSynchronize, cuStreamSynchronize, 2000, (CUstream stream)) \
  X(cuStreamBeginCapture, cuStreamBeginCapture_v2, 10010, (CUstream stream, CUstreamCaptureMode mode)) \
  X(cuStreamEndCapture, cuStreamEndCapture, 10000, (CUstream stream, CUgraph* graph)) \
  X(cuEventCreate, cuEventCreate, 2000, (CUevent* event, unsigned flags)) \
  X(cuEventDestroy, cuEventDestroy_v2, 4000, (CUevent event)) \
  X(cuEventRecord, cuEventRecord, 2000, (CUevent event, CUstream stream)) \
  X(cuEventSynchronize, cuEventSynchronize, 2000, (CUevent event)) \
  X(cuGraphDestroy, cuGraphDestroy, 10000, (CUgraph graph)) \
  X(cuGraphInstantiateWithFlags, cuGraphInstantiateWithFlags, 11040, (CUgraphExec* exec, CUgraph graph, unsigned long long flags)) \
  X(cuGraphLaunch, cuGraphLaunch, 10000, (CUgraphExec exec, CUstream stream)) \
  X(cuGraphExecDestroy, cuGraphExecDestroy, 10000, (CUgraphExec exec)) \
  X(cuMemGetInfo, cuMemGetInfo_v2, 3020, (size_t* free, size_t* total)) \
  X(cuMemAlloc, cuMemAlloc_v2, 3020, (CUdeviceptr* address, size_t bytes)) \
  X(cuMemFree, cuMemFree_v2, 3020, (CUdeviceptr address)) \
  X(cuMemcpyHtoD, cuMemcpyHtoD_v2, 3020, (CUdeviceptr to, const void* from, size_t bytes)) \
  X(cuMemcpyDtoH, cuMemcpyDtoH_v2, 3020, (void* to, CUdeviceptr from, size_t bytes)) \
  X(cuMemsetD32, cuMemsetD32_v2, 3020, (CUdeviceptr at, unsigned value, size_t count)) \
  X(cuDeviceGetName, cuDeviceGetName, 2000, (char* name, int length, CUdevice device))

#define STANDIN_CALLS(X) STANDIN_PROGRAM_CALLS(X) \
  X(cuDeviceGetUuid, cuDeviceGetUuid_v2, 11040, (CUuuid* uuid, CUdevice device)) \
  X(cuDeviceGetPCIBusId, cuDeviceGetPCIBusId, 4010, (char* id, int length, CUdevice device)) \
  X(cuDeviceTotalMem, cuDeviceTotalMem_v2, 3020, (size_t* bytes, CUdevice device)) \
  X(cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2, 11000, (CUdevice device)) \
  X(cuCtxCreate, cuCtxCreate_v2, 3020, (CUcontext* context, unsigned flags, CUdevice device)) \
  X(cuCtxDestroy, cuCtxDestroy_v2, 4000, (CUcontext context)) \
  X(cuCtxGetCurrent, cuCtxGetCurrent, 4000, (CUcontext* context)) \
  X(cuModuleUnload, cuModuleUnload, 2000, (CUmodule module)) \
  X(cuLaunchKernelEx, cuLaunchKernelEx, 11060, (const CUlaunchConfig* config, CUfunction function, void** parameters, void** extra)) \
  X(cuLaunchCooperativeKernel, cuLaunchCooperativeKernel, 9000, (CUfunction function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream stream, void** parameters)) \
  X(cuLaunchHostFunc, cuLaunchHostFunc, 10000, (CUstream stream, CUhostFn function, void* data)) \
  X(cuStreamCreateWithPriority, cuStreamCreateWithPriority, 5050, (CUstream* stream, unsigned flags, int priority)) \
  X(cuStreamQuery, cuStreamQuery, 2000, (CUstream stream)) \
  X(cuStreamWaitEvent, cuStreamWaitEvent, 3020, (CUstream stream, CUevent event, unsigned flags)) \
  X(cuStreamIsCapturing, cuStreamIsCapturing, 10000, (CUstream stream, CUstreamCaptureStatus* status)) \
  X(cuStreamGetCaptureInfo, cuStreamGetCaptureInfo_v2, 11030, (CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id, CUgraph* graph, const CUgraphNode** dependencies, size_t* count)) \
  X(cuThreadExchangeStreamCaptureMode, cuThreadExchangeStreamCaptureMode, 10010, (CUstreamCaptureMode* mode)) \
  X(cuEventQuery, cuEventQuery, 2000, (CUevent event)) \
  X(cuEventElapsedTime, cuEventElapsedTime, 2000, (float* milliseconds, CUevent start, CUevent end)) \
  X(cuGraphCreate, cuGraphCreate, 10000, (CUgraph* graph, unsigned flags)) \
  X(cuGraphGetNodes, cuGraphGetNodes, 10000, (CUgraph graph, CUgraphNode* nodes, size_t* count)) \
  X(cuGraphAddKernelNode, cuGraphAddKernelNode_v2, 12000, (CUgraphNode* node, CUgraph graph, const CUgraphNode* after, size_t count, const CUDA_KERNEL_NODE_PARAMS* parameters)) \
  X(cuMemAllocPitch, cuMemAllocPitch_v2, 3020, (CUdeviceptr* address, size_t* pitch, size_t width, size_t height, unsigned element)) \
  X(cuMemAllocManaged, cuMemAllocManaged, 6000, (CUdeviceptr* address, size_t bytes, unsigned flags)) \
  X(cuMemAllocAsync, cuMemAllocAsync, 11020, (CUdeviceptr* address, size_t bytes, CUstream stream)) \
  X(cuMemFreeAsync, cuMemFreeAsync, 11020, (CUdeviceptr address, CUstream stream)) \
  X(cuMemAllocHost, cuMemAllocHost_v2, 3020, (void** address, size_t bytes)) \
  X(cuMemFreeHost, cuMemFreeHost, 2000, (void* address)) \
  X(cuMemCreate, cuMemCreate, 10020, (CUmemGenericAllocationHandle* handle, size_t bytes, const CUmemAllocationProp* wanted, unsigned long long flags)) \
  X(cuMemRelease, cuMemRelease, 10020, (CUmemGenericAllocationHandle handle)) \
  X(cuMemAddressReserve, cuMemAddressReserve, 10020, (CUdeviceptr* address, size_t bytes, size_t alignment, CUdeviceptr at, unsigned long long flags)) \
  X(cuMemAddressFree, cuMemAddressFree, 10020, (CUdeviceptr address, size_t bytes)) \
  X(cuMemMap, cuMemMap, 10020, (CUdeviceptr address, size_t bytes, size_t offset, CUmemGenericAllocationHandle handle, unsigned long long flags)) \
  X(cuMemUnmap, cuMemUnmap, 10020, (CUdeviceptr address, size_t bytes)) \
  X(cuArrayCreate, cuArrayCreate_v2, 3020, (CUarray* array, const CUDA_ARRAY_DESCRIPTOR* wanted)) \
  X(cuArrayDestroy, cuArrayDestroy, 2000, (CUarray array)) \
  X(cuMemcpyHtoDAsync, cuMemcpyHtoDAsync_v2, 3020, (CUdeviceptr to, const void* from, size_t bytes, CUstream stream)) \
  X(cuMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2, 3020, (void* to, CUdeviceptr from, size_t bytes, CUstream stream)) \
  X(cuMemcpyDtoDAsync, cuMemcpyDtoDAsync_v2, 3020, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)) \
  X(cuMemcpy2D, cuMemcpy2D_v2, 3020, (const CUDA_MEMCPY2D* copy)) \
  X(cuMemsetD8Async, cuMemsetD8Async, 3020, (CUdeviceptr at, unsigned char value, size_t count, CUstream stream))
// clang-format on
