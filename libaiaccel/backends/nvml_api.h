// SPDX-License-Identifier: MIT
//
// The part of NVML's C ABI that aiaccel uses, declared by hand: the library is found at run time,
// so nothing here may need its header. tests/observe/nvml_abi.cpp compares all of it with the real
// header wherever one is installed.
//
// No state, so no threading rule.
#pragma once

namespace aiaccel::nvml {

using Handle = struct nvmlDevice_st*;

inline constexpr int kSuccess = 0;
inline constexpr int kNotSupported = 3;
inline constexpr int kNotFound = 6;
inline constexpr int kInsufficientSize = 7;
inline constexpr int kGpuIsLost = 15;
inline constexpr unsigned kNameBytes = 96;  // NVML_DEVICE_NAME_V2_BUFFER_SIZE
inline constexpr unsigned kUuidBytes = 96;  // NVML_DEVICE_UUID_V2_BUFFER_SIZE
inline constexpr unsigned kDriverVersionBytes = 80;
inline constexpr unsigned long long kBytesUnknown =
    ~0ull;  // NVML_VALUE_NOT_AVAILABLE, 64 bits wide

struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};

struct Memory {
  unsigned long long total, free, used;
};

struct Utilization {
  unsigned gpu, memory;  // per cent
};

struct ProcessInfo {
  unsigned pid;
  unsigned long long used_bytes;
  unsigned gpu_instance, compute_instance;
};

struct ProcessSample {
  unsigned pid;
  unsigned long long time_us;
  unsigned sm, memory, encoder, decoder;  // per cent
};

// Without these a library is no NVML to us. E(name, (arguments)); each returns an nvmlReturn_t, an
// int.
#define AIACCEL_NVML_REQUIRED(E)                              \
  E(nvmlInit_v2, ())                                          \
  E(nvmlShutdown, ())                                         \
  E(nvmlDeviceGetCount_v2, (unsigned* count))                 \
  E(nvmlDeviceGetHandleByIndex_v2, (unsigned index, Handle*)) \
  E(nvmlDeviceGetUUID, (Handle, char* text, unsigned bytes))

// Older drivers lack some of these: null then, and what they tell is unknown.
#define AIACCEL_NVML_OPTIONAL(E)                                                       \
  E(nvmlSystemGetDriverVersion, (char* text, unsigned bytes))                          \
  E(nvmlDeviceGetName, (Handle, char* text, unsigned bytes))                           \
  E(nvmlDeviceGetPciInfo_v3, (Handle, PciInfo*))                                       \
  E(nvmlDeviceGetMemoryInfo, (Handle, Memory*))                                        \
  E(nvmlDeviceGetUtilizationRates, (Handle, Utilization*))                             \
  E(nvmlDeviceGetComputeRunningProcesses_v3, (Handle, unsigned* count, ProcessInfo*))  \
  E(nvmlDeviceGetGraphicsRunningProcesses_v3, (Handle, unsigned* count, ProcessInfo*)) \
  E(nvmlDeviceGetProcessUtilization,                                                   \
    (Handle, ProcessSample*, unsigned* count, unsigned long long since_us))            \
  E(nvmlDeviceGetMigMode, (Handle, unsigned* current, unsigned* pending))              \
  E(nvmlDeviceGetMaxMigDeviceCount, (Handle, unsigned* count))                         \
  E(nvmlDeviceGetMigDeviceHandleByIndex, (Handle, unsigned index, Handle*))

struct Api {
#define AIACCEL_NVML_MEMBER(name, arguments) int(*name) arguments = nullptr;
  AIACCEL_NVML_REQUIRED(AIACCEL_NVML_MEMBER)
  AIACCEL_NVML_OPTIONAL(AIACCEL_NVML_MEMBER)
#undef AIACCEL_NVML_MEMBER
  const char* (*nvmlErrorString)(int) = nullptr;
};

}  // namespace aiaccel::nvml
