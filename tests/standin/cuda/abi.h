// SPDX-License-Identifier: MIT
//
// The part of CUDA's Driver API that the stand-in has: types and constants, written after the
// public documentation. No vendor header is needed to build it.
//
// Where one is installed, tests/standin/abi.sh compiles the stand-in with STANDIN_REAL_CUDA: every
// function is then defined against NVIDIA's own prototype, every row of lookup.cpp is compared with
// NVIDIA's typedef of that version, and the assertions at the end of this file speak of its types.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef STANDIN_PLAIN_CUDA  // a program that is compiled as any other, with NVIDIA's header
#include <cuda.h>
#elif defined(STANDIN_REAL_CUDA)

#define __CUDA_API_VERSION_INTERNAL  // declares the older versions of each function too
#include <cuda.h>
#include <cudaTypedefs.h>
#include <type_traits>

extern "C" {
#define STANDIN_ROW(base, symbol, version, flavour) \
  std::remove_pointer_t<PFN_##base##_v##version##flavour> symbol;
#include "table.h"
#undef STANDIN_ROW
}

#else

// name, value, what cuGetErrorString says of it.
#define STANDIN_ERRORS(X)                                                                        \
  X(CUDA_SUCCESS, 0, "no error")                                                                 \
  X(CUDA_ERROR_INVALID_VALUE, 1, "invalid argument")                                             \
  X(CUDA_ERROR_OUT_OF_MEMORY, 2, "out of memory")                                                \
  X(CUDA_ERROR_NOT_INITIALIZED, 3, "initialization error")                                       \
  X(CUDA_ERROR_DEINITIALIZED, 4, "driver shutting down")                                         \
  X(CUDA_ERROR_NO_DEVICE, 100, "no CUDA-capable device is detected")                             \
  X(CUDA_ERROR_INVALID_DEVICE, 101, "invalid device ordinal")                                    \
  X(CUDA_ERROR_INVALID_IMAGE, 200, "device kernel image is invalid")                             \
  X(CUDA_ERROR_INVALID_CONTEXT, 201, "invalid device context")                                   \
  X(CUDA_ERROR_FILE_NOT_FOUND, 301, "file not found")                                            \
  X(CUDA_ERROR_OPERATING_SYSTEM, 304, "OS call failed or operation not supported on this OS")    \
  X(CUDA_ERROR_INVALID_HANDLE, 400, "invalid resource handle")                                   \
  X(CUDA_ERROR_ILLEGAL_STATE, 401, "the operation cannot be performed in the present state")     \
  X(CUDA_ERROR_NOT_FOUND, 500, "named symbol not found")                                         \
  X(CUDA_ERROR_NOT_READY, 600, "device not ready")                                               \
  X(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE, 708, "cannot set while device is active in this process") \
  X(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, 712,                                              \
    "part or all of the requested memory range is already mapped")                               \
  X(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, 713,                                                  \
    "pointer does not correspond to a registered memory region")                                 \
  X(CUDA_ERROR_NOT_PERMITTED, 800, "operation not permitted")                                    \
  X(CUDA_ERROR_NOT_SUPPORTED, 801, "operation not supported")                                    \
  X(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, 900,                                                  \
    "operation not permitted when stream is capturing")                                          \
  X(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, 901,                                                  \
    "operation failed due to a previous error during capture")                                   \
  X(CUDA_ERROR_STREAM_CAPTURE_MERGE, 902,                                                        \
    "operation would result in a merge of separate capture sequences")                           \
  X(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, 903,                                                    \
    "capture was not ended in the same stream as it began")                                      \
  X(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, 904, "capturing stream has unjoined work")               \
  X(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, 905,                                                    \
    "dependency created on uncaptured work in another stream")                                   \
  X(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, 906,                                                     \
    "operation would make the legacy stream depend on a capturing blocking stream")              \
  X(CUDA_ERROR_CAPTURED_EVENT, 907,                                                              \
    "operation not permitted on an event last recorded in a capturing stream")                   \
  X(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, 908,                                                 \
    "attempt to terminate a thread-local capture sequence from another thread")                  \
  X(CUDA_ERROR_UNKNOWN, 999, "unknown error")

typedef enum cudaError_enum {
#define STANDIN_VALUE(name, value, text) name = value,
  STANDIN_ERRORS(STANDIN_VALUE)
#undef STANDIN_VALUE
} CUresult;

typedef std::uint32_t cuuint32_t;
typedef std::uint64_t cuuint64_t;
typedef unsigned long long CUdeviceptr;
typedef unsigned long long CUmemGenericAllocationHandle;
typedef int CUdevice;
typedef struct CUctx_st* CUcontext;
typedef struct CUgreenCtx_st* CUgreenCtx;
typedef struct CUdevResourceDesc_st* CUdevResourceDesc;
typedef struct CUmod_st* CUmodule;
typedef struct CUfunc_st* CUfunction;
typedef struct CUlib_st* CUlibrary;
typedef struct CUkern_st* CUkernel;
typedef struct CUstream_st* CUstream;
typedef struct CUevent_st* CUevent;
typedef struct CUgraph_st* CUgraph;
typedef struct CUgraphNode_st* CUgraphNode;
typedef struct CUgraphExec_st* CUgraphExec;
typedef struct CUarray_st* CUarray;
typedef struct CUmemPoolHandle_st* CUmemoryPool;
typedef void (*CUhostFn)(void* user_data);
typedef void (*CUstreamCallback)(CUstream stream, CUresult status, void* user_data);

// Enumerations and structures that the stand-in passes by and never looks into.
typedef int CUjit_option;
typedef int CUlibraryOption;
typedef struct CUexecAffinityParam_st CUexecAffinityParam;
typedef struct CUctxCreateParams_st CUctxCreateParams;
typedef struct CUgraphEdgeData_st CUgraphEdgeData;
typedef struct CUlaunchAttribute_st CUlaunchAttribute;

#define CU_STREAM_LEGACY ((CUstream)0x1)
#define CU_STREAM_PER_THREAD ((CUstream)0x2)
#define CU_LAUNCH_PARAM_END ((void*)0x00)
#define CU_LAUNCH_PARAM_BUFFER_POINTER ((void*)0x01)
#define CU_LAUNCH_PARAM_BUFFER_SIZE ((void*)0x02)

enum { CU_STREAM_DEFAULT = 0, CU_STREAM_NON_BLOCKING = 1 };
enum { CU_EVENT_DEFAULT = 0, CU_EVENT_BLOCKING_SYNC = 1, CU_EVENT_DISABLE_TIMING = 2 };
enum { CU_EVENT_RECORD_DEFAULT = 0, CU_EVENT_RECORD_EXTERNAL = 1 };
enum { CU_MEMHOSTALLOC_DEVICEMAP = 2 };

typedef enum {
  CU_STREAM_CAPTURE_STATUS_NONE = 0,
  CU_STREAM_CAPTURE_STATUS_ACTIVE = 1,
  CU_STREAM_CAPTURE_STATUS_INVALIDATED = 2
} CUstreamCaptureStatus;

typedef enum {
  CU_STREAM_CAPTURE_MODE_GLOBAL = 0,
  CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1,
  CU_STREAM_CAPTURE_MODE_RELAXED = 2
} CUstreamCaptureMode;

typedef enum {
  CU_GET_PROC_ADDRESS_SUCCESS = 0,
  CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND = 1,
  CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT = 2
} CUdriverProcAddressQueryResult;

enum {
  CU_GET_PROC_ADDRESS_DEFAULT = 0,
  CU_GET_PROC_ADDRESS_LEGACY_STREAM = 1,
  CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM = 2
};

typedef enum {
  CU_MEMORYTYPE_HOST = 1,
  CU_MEMORYTYPE_DEVICE = 2,
  CU_MEMORYTYPE_ARRAY = 3,
  CU_MEMORYTYPE_UNIFIED = 4
} CUmemorytype;

typedef enum {
  CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1,
  CU_DEVICE_ATTRIBUTE_WARP_SIZE = 10,
  CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
  CU_DEVICE_ATTRIBUTE_PCI_BUS_ID = 33,
  CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID = 34,
  CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT = 40,
  CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING = 41,
  CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID = 50,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
  CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED = 78,
  CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY = 83,
  CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH = 95,
  CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED = 102,
  CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED = 115
} CUdevice_attribute;

typedef enum {
  CU_AD_FORMAT_UNSIGNED_INT8 = 0x01,
  CU_AD_FORMAT_UNSIGNED_INT16 = 0x02,
  CU_AD_FORMAT_UNSIGNED_INT32 = 0x03,
  CU_AD_FORMAT_SIGNED_INT8 = 0x08,
  CU_AD_FORMAT_SIGNED_INT16 = 0x09,
  CU_AD_FORMAT_SIGNED_INT32 = 0x0a,
  CU_AD_FORMAT_HALF = 0x10,
  CU_AD_FORMAT_FLOAT = 0x20
} CUarray_format;

typedef enum { CU_MEM_ALLOC_GRANULARITY_MINIMUM = 0 } CUmemAllocationGranularity_flags;
typedef enum { CUDA_GRAPH_INSTANTIATE_SUCCESS = 0 } CUgraphInstantiateResult;

typedef struct CUuuid_st {
  char bytes[16];
} CUuuid;

typedef struct {
  unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  CUstream hStream;
  CUlaunchAttribute* attrs;
  unsigned numAttrs;
} CUlaunchConfig;

typedef struct {
  CUfunction func;
  unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  void** kernelParams;
  void** extra;
} CUDA_KERNEL_NODE_PARAMS_v1;

typedef struct {
  CUfunction func;
  unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  void** kernelParams;
  void** extra;
  CUkernel kern;
  CUcontext ctx;
} CUDA_KERNEL_NODE_PARAMS;

typedef struct {
  CUhostFn fn;
  void* userData;
} CUDA_HOST_NODE_PARAMS;

typedef struct {
  cuuint64_t flags;
  CUstream hUploadStream;
  CUgraphNode hErrNode_out;
  CUgraphInstantiateResult result_out;
} CUDA_GRAPH_INSTANTIATE_PARAMS;

typedef struct {
  size_t srcXInBytes, srcY;
  CUmemorytype srcMemoryType;
  const void* srcHost;
  CUdeviceptr srcDevice;
  CUarray srcArray;
  size_t srcPitch;
  size_t dstXInBytes, dstY;
  CUmemorytype dstMemoryType;
  void* dstHost;
  CUdeviceptr dstDevice;
  CUarray dstArray;
  size_t dstPitch;
  size_t WidthInBytes, Height;
} CUDA_MEMCPY2D;

typedef struct {
  size_t srcXInBytes, srcY, srcZ, srcLOD;
  CUmemorytype srcMemoryType;
  const void* srcHost;
  CUdeviceptr srcDevice;
  CUarray srcArray;
  void* reserved0;
  size_t srcPitch, srcHeight;
  size_t dstXInBytes, dstY, dstZ, dstLOD;
  CUmemorytype dstMemoryType;
  void* dstHost;
  CUdeviceptr dstDevice;
  CUarray dstArray;
  void* reserved1;
  size_t dstPitch, dstHeight;
  size_t WidthInBytes, Height, Depth;
} CUDA_MEMCPY3D;

typedef struct {
  size_t srcXInBytes, srcY, srcZ, srcLOD;
  CUmemorytype srcMemoryType;
  const void* srcHost;
  CUdeviceptr srcDevice;
  CUarray srcArray;
  CUcontext srcContext;
  size_t srcPitch, srcHeight;
  size_t dstXInBytes, dstY, dstZ, dstLOD;
  CUmemorytype dstMemoryType;
  void* dstHost;
  CUdeviceptr dstDevice;
  CUarray dstArray;
  CUcontext dstContext;
  size_t dstPitch, dstHeight;
  size_t WidthInBytes, Height, Depth;
} CUDA_MEMCPY3D_PEER;

typedef struct {
  size_t Width, Height;
  CUarray_format Format;
  unsigned NumChannels;
} CUDA_ARRAY_DESCRIPTOR;

typedef struct {
  size_t Width, Height, Depth;
  CUarray_format Format;
  unsigned NumChannels, Flags;
} CUDA_ARRAY3D_DESCRIPTOR;

typedef struct {
  int type;
  int id;
} CUmemLocation;

typedef struct {
  CUmemLocation location;
  int flags;
} CUmemAccessDesc;

typedef struct {
  int type;
  int requestedHandleTypes;
  CUmemLocation location;
  void* win32HandleMetaData;
  unsigned char allocFlags[8];
} CUmemAllocationProp;

typedef struct {
  int allocType;
  int handleTypes;
  CUmemLocation location;
  void* win32SecurityAttributes;
  size_t maxSize;
  unsigned short usage;
  unsigned char reserved[54];
} CUmemPoolProps;

#endif

// The same of both.
static_assert(sizeof(CUlaunchConfig) == 56 && offsetof(CUlaunchConfig, hStream) == 32);
static_assert(sizeof(CUDA_KERNEL_NODE_PARAMS_v1) == 56 && sizeof(CUDA_KERNEL_NODE_PARAMS) == 72);
static_assert(offsetof(CUDA_KERNEL_NODE_PARAMS, kernelParams) == 40);
static_assert(sizeof(CUDA_HOST_NODE_PARAMS) == 16 && sizeof(CUDA_GRAPH_INSTANTIATE_PARAMS) == 32);
static_assert(sizeof(CUDA_MEMCPY2D) == 128 && offsetof(CUDA_MEMCPY2D, dstHost) == 80);
static_assert(sizeof(CUDA_MEMCPY3D_PEER) == 200 && sizeof(CUDA_MEMCPY3D) == 200 &&
              offsetof(CUDA_MEMCPY3D, dstHost) == 128);
static_assert(sizeof(CUDA_ARRAY_DESCRIPTOR) == 24 && sizeof(CUDA_ARRAY3D_DESCRIPTOR) == 40);
static_assert(sizeof(CUmemAllocationProp) == 32 && sizeof(CUmemPoolProps) == 88);
static_assert(sizeof(CUuuid) == 16 && sizeof(CUmemAccessDesc) == 12);
static_assert(CU_STREAM_CAPTURE_MODE_RELAXED == 2 && CU_STREAM_CAPTURE_STATUS_INVALIDATED == 2);
static_assert(CU_STREAM_NON_BLOCKING == 1 && CU_EVENT_DISABLE_TIMING == 2);
static_assert(CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM == 2);
static_assert(CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED == 115);
static_assert(CU_MEMORYTYPE_UNIFIED == 4 && CU_EVENT_RECORD_EXTERNAL == 1);
static_assert(CUDA_ERROR_NOT_READY == 600 && CUDA_ERROR_CAPTURED_EVENT == 907);
