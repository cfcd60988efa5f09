// SPDX-License-Identifier: MIT
//
// See nvml.h.

#include "backends/nvml.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <map>
#include <string_view>
#include <utility>

namespace aiaccel::nvml {
namespace {

// Calls an optional function: false where the driver lacks it or it refuses.
template <typename... Parameters, typename... Arguments>
bool ask(int (*function)(Parameters...), Arguments... arguments) {
  return function && function(arguments...) == kSuccess;
}

// The same for what says which devices there are. `whole` ends where the answer is neither that nor
// that there is no such thing.
template <typename... Parameters, typename... Arguments>
bool ask_whole(bool& whole, int (*function)(Parameters...), Arguments... arguments) {
  if (!function) return false;
  const int result = function(arguments...);
  whole = whole && (result == kSuccess || result == kNotSupported || result == kNotFound ||
                    result == kGpuIsLost);
  return result == kSuccess;
}

// A list whose length is told by the call itself, and which may grow between two calls.
template <typename Record, typename Call>
std::vector<Record> list(const Call& call) {
  std::vector<Record> records;
  for (unsigned room = 32; room <= 1u << 16; room *= 2) {
    records.resize(room);
    unsigned count = room;
    const int result = call(records.data(), &count);
    if (result == kInsufficientSize) continue;
    records.resize(result == kSuccess && count <= room ? count : 0);
    return records;
  }
  return {};
}

std::optional<double> fraction(unsigned percent) {
  if (percent > 100) return std::nullopt;
  return percent / 100.0;
}

// NVML's own text has eight digits of domain and may be in capitals, unlike the names in sysfs.
std::string sysfs_address(const PciInfo& pci) {
  const std::string_view text(pci.bus_id, strnlen(pci.bus_id, sizeof pci.bus_id));
  const char function = text.size() > 1 && text[text.size() - 2] == '.' ? text.back() : '0';
  return fmt::format("{:04x}:{:02x}:{:02x}.{}", pci.domain, pci.bus, pci.device, function);
}

std::optional<int> numa_node(const std::string& sys, const std::string& pci) {
  std::ifstream file(sys + "/bus/pci/devices/" + pci + "/numa_node");
  int node = -1;
  if (!(file >> node) || node < 0) return std::nullopt;
  return node;
}

}  // namespace

Nvml::Nvml(void* library, std::string sys) : library_(library), sys_(std::move(sys)) {
#define AIACCEL_NVML_LOAD(name, arguments) \
  api_.name = reinterpret_cast<int(*) arguments>(dlsym(library, #name));
  AIACCEL_NVML_REQUIRED(AIACCEL_NVML_LOAD)
  AIACCEL_NVML_OPTIONAL(AIACCEL_NVML_LOAD)
#undef AIACCEL_NVML_LOAD
  api_.nvmlErrorString = reinterpret_cast<const char* (*)(int)>(dlsym(library, "nvmlErrorString"));
}

std::unique_ptr<const Nvml> Nvml::open(std::string& reason, std::string sys) {
  void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    reason = dlerror();
    return nullptr;
  }
  std::unique_ptr<Nvml> nvml(new Nvml(library, std::move(sys)));
#define AIACCEL_NVML_CHECK(name, arguments)     \
  if (!nvml->api_.name) {                       \
    reason = "libnvidia-ml.so.1 has no " #name; \
    return nullptr;                             \
  }
  AIACCEL_NVML_REQUIRED(AIACCEL_NVML_CHECK)
#undef AIACCEL_NVML_CHECK
  if (const int result = nvml->api_.nvmlInit_v2(); result != kSuccess) {
    const char* text = nvml->api_.nvmlErrorString ? nvml->api_.nvmlErrorString(result) : nullptr;
    reason = fmt::format("libnvidia-ml.so.1: {} ({})", text ? text : "it does not start", result);
    return nullptr;
  }
  nvml->started_ = true;
  return nvml;
}

Nvml::~Nvml() {
  if (started_) api_.nvmlShutdown();
  dlclose(library_);
}

std::string Nvml::driver_version() const {
  char text[kDriverVersionBytes] = "";
  ask(api_.nvmlSystemGetDriverVersion, text, kDriverVersionBytes);
  return text;
}

// False: it has no UUID, so there is no way to name it.
bool Nvml::describe(Handle handle, Device& device, bool& whole) const {
  device.handle = handle;
  char text[kUuidBytes] = "";
  if (!ask_whole(whole, api_.nvmlDeviceGetUUID, handle, text, kUuidBytes)) return false;
  device.uuid = text;
  char name[kNameBytes] = "";
  if (ask(api_.nvmlDeviceGetName, handle, name, kNameBytes)) device.name = name;
  if (Memory memory{}; ask(api_.nvmlDeviceGetMemoryInfo, handle, &memory)) {
    device.total_bytes = memory.total;
    device.used_bytes = memory.used;
  }
  if (Utilization used{}; ask(api_.nvmlDeviceGetUtilizationRates, handle, &used))
    device.busy = fraction(used.gpu);
  return true;
}

std::vector<Device> Nvml::instances(const Device& gpu, bool& whole) const {
  std::vector<Device> found;
  unsigned most = 0;
  if (!ask_whole(whole, api_.nvmlDeviceGetMaxMigDeviceCount, gpu.handle, &most)) return found;
  for (unsigned index = 0; index < most; index++) {
    // Indices may have holes, where an instance was destroyed.
    Device instance;
    Handle handle = nullptr;
    if (!ask_whole(whole, api_.nvmlDeviceGetMigDeviceHandleByIndex, gpu.handle, index, &handle))
      continue;
    if (!describe(handle, instance, whole)) continue;
    instance.index = index;
    instance.pci = gpu.pci;
    instance.parent = gpu.uuid;
    instance.numa_node = gpu.numa_node;
    found.push_back(std::move(instance));
  }
  return found;
}

std::vector<Device> Nvml::devices(bool* whole_out) const {
  std::vector<Device> found;
  unsigned count = 0;
  bool whole = api_.nvmlDeviceGetCount_v2(&count) == kSuccess;
  if (!whole) count = 0;
  for (unsigned index = 0; index < count; index++) {
    Device gpu;
    Handle handle = nullptr;
    if (!ask_whole(whole, api_.nvmlDeviceGetHandleByIndex_v2, index, &handle)) continue;
    if (!describe(handle, gpu, whole)) continue;
    gpu.index = index;
    if (PciInfo pci{}; ask_whole(whole, api_.nvmlDeviceGetPciInfo_v3, handle, &pci)) {
      gpu.pci = sysfs_address(pci);
      gpu.numa_node = numa_node(sys_, gpu.pci);
    }
    unsigned divided = 0, pending = 0;
    gpu.divided =
        ask_whole(whole, api_.nvmlDeviceGetMigMode, handle, &divided, &pending) && divided;
    std::vector<Device> parts;
    if (gpu.divided) parts = instances(gpu, whole);
    found.push_back(std::move(gpu));
    for (Device& part : parts) found.push_back(std::move(part));
  }
  if (whole_out) *whole_out = whole;
  return found;
}

std::vector<Process> Nvml::processes(const Device& device) const {
  std::map<std::uint32_t, Process> found;
  // Both lists name a process that computes and draws; its memory is the same in both.
  for (const auto function : {api_.nvmlDeviceGetComputeRunningProcesses_v3,
                              api_.nvmlDeviceGetGraphicsRunningProcesses_v3}) {
    if (!function) continue;
    for (const ProcessInfo& info : list<ProcessInfo>([&](ProcessInfo*records, unsigned*count) {
           return function(device.handle, count, records);
         })) {
      Process& process = found[info.pid];
      process.pid = info.pid;
      if (info.used_bytes != kBytesUnknown) process.device_bytes = info.used_bytes;
    }
  }
  // Samples of the last seconds, several a process: the newest counts. A process that did nothing
  // lately has none; that is no proof of 0, since not every driver samples.
  std::map<std::uint32_t, ProcessSample> newest;
  const auto sample_processes = api_.nvmlDeviceGetProcessUtilization;
  if (sample_processes)
    for (const ProcessSample& sample :
         list<ProcessSample>([&](ProcessSample*records, unsigned*count) {
           return sample_processes(device.handle, records, count, 0);
         })) {
      ProcessSample& kept = newest[sample.pid];
      if (sample.time_us >= kept.time_us) kept = sample;
    }
  for (auto& [pid, process] : found)
    if (const auto sample = newest.find(pid); sample != newest.end())
      process.busy = fraction(sample->second.sm);

  std::vector<Process> processes;
  for (const auto& [pid, process] : found) processes.push_back(process);
  return processes;
}

}  // namespace aiaccel::nvml
