// SPDX-License-Identifier: MIT
//
// A libcuda.so.1 newer than the shim: it has a launch of which no table knows. All else is there to
// be found, and does nothing.
#define NEWER(name)                                              \
  extern "C" __attribute__((visibility("default"))) int name() { \
    return 0;                                                    \
  }

NEWER(cuCtxGetCurrent)
NEWER(cuCtxGetDevice)
NEWER(cuCtxPushCurrent_v2)
NEWER(cuCtxPopCurrent_v2)
NEWER(cuEventCreate)
NEWER(cuEventRecord)
NEWER(cuEventQuery)
NEWER(cuEventDestroy_v2)
NEWER(cuDeviceGetUuid)
NEWER(cuDeviceGetPCIBusId)
NEWER(cuDevicePrimaryCtxGetState)

extern "C" __attribute__((visibility("default"))) int cuLaunchKernelByWish() {
  return 42;
}
