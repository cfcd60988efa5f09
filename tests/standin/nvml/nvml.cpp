// SPDX-License-Identifier: MIT
//
// A libnvidia-ml.so.1 that answers from a file (state.h), with what aiaccel asks (nvml_api.h, which
// is compared with NVIDIA's header where there is one). The file is read by nvmlInit_v2 and anew
// whenever the GPUs are counted. Any thread may call.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "state.h"

using namespace standin::nvml;
using aiaccel::nvml::Handle;
using aiaccel::nvml::kInsufficientSize;
using aiaccel::nvml::kSuccess;

// Every function is compared with what its callers believe of it.
extern "C" {
#define STANDIN_DECLARE(name, arguments) __attribute__((visibility("default"))) int name arguments;
using namespace aiaccel::nvml;
AIACCEL_NVML_REQUIRED(STANDIN_DECLARE)
AIACCEL_NVML_OPTIONAL(STANDIN_DECLARE)
#undef STANDIN_DECLARE
__attribute__((visibility("default"))) const char* nvmlErrorString(int error);
}

namespace {

enum Error {
  kUninitialized = 1,
  kInvalidArgument = 2,
  kNoPermission = 4,
  kDriverNotLoaded = 9,
};

constexpr unsigned kMostInstances = 7;

std::mutex mutex;
int users;    // of nvmlInit_v2, less nvmlShutdown
State state;  // guarded by mutex, as users is

// A handle is numbers, so that one from before the file changed is at worst an invalid argument.
Handle handle_of(unsigned gpu, unsigned instance) {
  return reinterpret_cast<Handle>(std::uintptr_t{gpu + 1} << 8 | instance);
}

standin::nvml::Device* device_of(Handle handle) {
  const auto bits = reinterpret_cast<std::uintptr_t>(handle);
  const std::uintptr_t gpu = (bits >> 8) - 1;
  if (gpu >= state.gpus.size()) return nullptr;
  if (!(bits & 0xff)) return &state.gpus[gpu];
  const auto instance = state.gpus[gpu].instances.find(unsigned(bits & 0xff) - 1);
  return instance == state.gpus[gpu].instances.end() ? nullptr : &instance->second;
}

int failure(const std::map<std::string, int>& fails, const char* function) {
  const auto row = fails.find(function);
  return row == fails.end() ? kSuccess : row->second;
}

template <class F>
int answer(const char* function, F f) {
  std::lock_guard guard(mutex);
  if (!users) return kUninitialized;
  const int error = failure(state.fails, function);
  return error ? error : f();
}

template <class F>
int of_device(const char* function, Handle handle, F f) {
  return answer(function, [&] {
    standin::nvml::Device* const device = device_of(handle);
    if (!device) return int(kInvalidArgument);
    const int error = failure(device->fails, function);
    return error ? error : f(*device);
  });
}

int give_text(const std::string& text, char* to, unsigned bytes) {
  if (!to) return kInvalidArgument;
  if (text.size() >= bytes) return kInsufficientSize;
  std::memcpy(to, text.c_str(), text.size() + 1);
  return kSuccess;
}

template <class Record>
int give_list(const std::vector<Record>& list, Record* to, unsigned* count) {
  if (!count) return kInvalidArgument;
  const unsigned room = *count;
  *count = unsigned(list.size());
  if (list.size() > room) return kInsufficientSize;
  std::copy(list.begin(), list.end(), to);
  return kSuccess;
}

}  // namespace

int nvmlInit_v2() {
  std::lock_guard guard(mutex);
  if (!users) state = read_state();
  if (const int error = failure(state.fails, __func__)) return error;
  ++users;
  return kSuccess;
}

int nvmlShutdown() {
  return answer(__func__, [] {
    --users;
    return kSuccess;
  });
}

const char* nvmlErrorString(int error) {
  switch (error) {
    case kSuccess:
      return "The operation was successful";
    case kUninitialized:
      return "NVML was not first initialized with nvmlInit()";
    case kNotSupported:
      return "The requested operation is not available on target device";
    case kNoPermission:
      return "The current user does not have permission for operation";
    case kInsufficientSize:
      return "An input argument is not large enough";
    case kDriverNotLoaded:
      return "NVIDIA driver is not loaded";
    case kGpuIsLost:
      return "The GPU has fallen off the bus or has otherwise become inaccessible";
    default:
      return "Unknown Error";
  }
}

int nvmlSystemGetDriverVersion(char* text, unsigned bytes) {
  return answer(__func__, [&] { return give_text(state.driver, text, bytes); });
}

int nvmlDeviceGetCount_v2(unsigned* count) {
  return answer(__func__, [&] {
    state = read_state();
    *count = unsigned(state.gpus.size());
    return kSuccess;
  });
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Handle* handle) {
  return answer("", [&] {
    if (index >= state.gpus.size()) return int(kInvalidArgument);
    if (const int error = failure(state.gpus[index].fails, "nvmlDeviceGetHandleByIndex_v2"))
      return error;
    *handle = handle_of(index, 0);
    return kSuccess;
  });
}

int nvmlDeviceGetUUID(Handle handle, char* text, unsigned bytes) {
  return of_device(__func__, handle,
                   [&](auto& device) { return give_text(device.uuid, text, bytes); });
}

int nvmlDeviceGetName(Handle handle, char* text, unsigned bytes) {
  return of_device(__func__, handle, [&](auto& device) {
    return device.name ? give_text(*device.name, text, bytes) : int(kNotSupported);
  });
}

int nvmlDeviceGetPciInfo_v3(Handle handle, PciInfo* info) {
  return of_device(__func__, handle, [&](auto& device) {
    unsigned domain, bus, slot;
    if (!device.pci || sscanf(device.pci->c_str(), "%x:%x:%x", &domain, &bus, &slot) != 3)
      return int(kNotSupported);
    *info = {};
    info->domain = domain;
    info->bus = bus;
    info->device = slot;
    // NVML writes more digits of the domain than the kernel does, and capitals.
    snprintf(info->bus_id_legacy, sizeof info->bus_id_legacy, "%04X:%02X:%02X.0", domain & 0xffff,
             bus & 0xff, slot & 0xff);
    snprintf(info->bus_id, sizeof info->bus_id, "%08X:%02X:%02X.0", domain, bus, slot);
    return kSuccess;
  });
}

int nvmlDeviceGetMemoryInfo(Handle handle, Memory* memory) {
  return of_device(__func__, handle, [&](auto& device) {
    if (!device.memory) return int(kNotSupported);
    *memory = *device.memory;
    return kSuccess;
  });
}

int nvmlDeviceGetUtilizationRates(Handle handle, Utilization* rates) {
  return of_device(__func__, handle, [&](auto& device) {
    if (!device.busy) return int(kNotSupported);
    *rates = {*device.busy, 0};
    return kSuccess;
  });
}

int nvmlDeviceGetComputeRunningProcesses_v3(Handle handle, unsigned* count, ProcessInfo* list) {
  return of_device(__func__, handle,
                   [&](auto& device) { return give_list(device.compute, list, count); });
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(Handle handle, unsigned* count, ProcessInfo* list) {
  return of_device(__func__, handle,
                   [&](auto& device) { return give_list(device.graphics, list, count); });
}

int nvmlDeviceGetProcessUtilization(Handle handle, ProcessSample* list, unsigned* count,
                                    unsigned long long since_us) {
  return of_device(__func__, handle, [&](auto& device) {
    std::vector<ProcessSample> wanted;
    for (const ProcessSample& sample : device.samples)
      if (sample.time_us > since_us) wanted.push_back(sample);
    return wanted.empty() ? int(kNotFound) : give_list(wanted, list, count);
  });
}

int nvmlDeviceGetMigMode(Handle handle, unsigned* now, unsigned* pending) {
  return of_device(__func__, handle, [&](auto& device) {
    if (!device.mig) return int(kNotSupported);
    *now = *pending = *device.mig;
    return kSuccess;
  });
}

int nvmlDeviceGetMaxMigDeviceCount(Handle handle, unsigned* count) {
  return of_device(__func__, handle, [&](auto& device) {
    *count = device.mig ? kMostInstances : 0;
    return kSuccess;
  });
}

int nvmlDeviceGetMigDeviceHandleByIndex(Handle handle, unsigned index, Handle* instance) {
  return of_device(__func__, handle, [&](auto&) {
    const auto bits = reinterpret_cast<std::uintptr_t>(handle);
    const Handle wanted = handle_of(unsigned(bits >> 8) - 1, index + 1);
    if (bits & 0xff || index >= kMostInstances) return int(kInvalidArgument);
    if (!device_of(wanted)) return int(kNotFound);
    *instance = wanted;
    return kSuccess;
  });
}
