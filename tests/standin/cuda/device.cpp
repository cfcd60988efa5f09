// SPDX-License-Identifier: MIT
//
// The one device there is, and the names of errors. nvml/ describes the same device.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iterator>

#include "device.h"
#include "driver.h"

using namespace standin;

namespace {

struct Attribute {
  int which;
  int value;
};

// All others are 0.
constexpr Attribute kAttributes[] = {
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
    {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
    {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 1},
    {CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, kPciDomain},
    {CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, kPciBus},
    {CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, kPciDevice},
    {CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 1},
    {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 9},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0},
    {CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 1},
    {CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1},
    {CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1},
};

struct Error {
  CUresult value;
  const char* name;
  const char* text;
};

#ifdef STANDIN_REAL_CUDA
constexpr Error kErrors[] = {{CUDA_SUCCESS, "CUDA_SUCCESS", "no error"}};
#else
constexpr Error kErrors[] = {
#define STANDIN_ROW(name, value, text) {name, #name, text},
    STANDIN_ERRORS(STANDIN_ROW)
#undef STANDIN_ROW
};
#endif

CUresult describe(CUresult error, const char* Error::*what, const char** answer) {
  if (!answer) return CUDA_ERROR_INVALID_VALUE;
  *answer = nullptr;
  for (const Error& row : kErrors)
    if (row.value == error) *answer = row.*what;
  return *answer ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

template <class F>
CUresult with_device(CUdevice device, F f) {
  return with_driver([&](Lock&) {
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    return f();
  });
}

CUresult uuid_of(CUuuid* uuid, CUdevice device) {
  return with_device(device, [&] {
    if (!uuid) return CUDA_ERROR_INVALID_VALUE;
    std::memcpy(uuid->bytes, kUuid, sizeof uuid->bytes);
    return CUDA_SUCCESS;
  });
}

}  // namespace

STANDIN_API cuGetErrorName(CUresult error, const char** name) {
  return describe(error, &Error::name, name);
}

STANDIN_API cuGetErrorString(CUresult error, const char** text) {
  return describe(error, &Error::text, text);
}

STANDIN_API cuDriverGetVersion(int* version) {
  if (!version) return CUDA_ERROR_INVALID_VALUE;
  *version = kDriverVersion;
  return CUDA_SUCCESS;
}

STANDIN_API cuDeviceGet(CUdevice* device, int ordinal) {
  return with_device(ordinal, [&] {
    *device = 0;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuDeviceGetCount(int* count) {
  return with_driver([&](Lock&) {
    *count = 1;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuDeviceGetName(char* name, int length, CUdevice device) {
  return with_device(device, [&] {
    if (!name || length <= 0) return CUDA_ERROR_INVALID_VALUE;
    snprintf(name, size_t(length), "%s", kName);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
  return uuid_of(uuid, device);
}
STANDIN_API cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  return uuid_of(uuid, device);
}

STANDIN_API cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  return with_device(device, [&] {
    *bytes = driver().shared.capacity();
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuDeviceGetAttribute(int* value, CUdevice_attribute which, CUdevice device) {
  return with_device(device, [&] {
    const Attribute* const row =
        std::find_if(std::begin(kAttributes), std::end(kAttributes),
                     [&](const Attribute& attribute) { return attribute.which == int(which); });
    *value = row == std::end(kAttributes) ? 0 : row->value;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuDeviceGetPCIBusId(char* id, int length, CUdevice device) {
  return with_device(device, [&] {
    if (!id || snprintf(id, size_t(length), "%s", kPciAddress) >= length)
      return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuDeviceGetByPCIBusId(CUdevice* device, const char* id) {
  return with_driver([&](Lock&) {
    unsigned domain = 0, bus, slot;
    if (sscanf(id, "%x:%x:%x", &domain, &bus, &slot) != 3 || domain != kPciDomain ||
        bus != kPciBus || slot != kPciDevice)
      return CUDA_ERROR_INVALID_DEVICE;
    *device = 0;
    return CUDA_SUCCESS;
  });
}
