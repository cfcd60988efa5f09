// SPDX-License-Identifier: MIT
//
// Finding the real driver and the real dynamic linker; see driver.h.
#include "shim/driver.h"

#include <dlfcn.h>

#include <atomic>
#include <memory>

#include "shim/elf.h"

namespace aiaccel::shim {
namespace {

// Where glibc has had these functions.
constexpr const char* kLibc[] = {"libc.so", "libdl.so", nullptr};

template <typename F>
F function_at(void* address) {
  return reinterpret_cast<F>(address);
}

// With a reference that is kept: it is never unloaded any more.
const link_map* driver_object() {
  static std::atomic<const link_map*> known{nullptr};
  if (const link_map* map = known.load(std::memory_order_acquire)) return map;
  const auto open = function_at<void* (*)(const char*, int)>(real_address("dlopen"));
  if (!open) return nullptr;
  void* handle = open("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY);
  link_map* map = nullptr;
  if (handle && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0)
    known.store(map, std::memory_order_release);
  return map;
}

struct Wanted {
  const char* name;
  void** function;
  bool needed;
};

bool fill(Driver& driver) {
  const Wanted wanted[] = {
#define AIA_FUNCTION(member, name, needed) {name, reinterpret_cast<void**>(&driver.member), needed}
      AIA_FUNCTION(ctx_get_current, "cuCtxGetCurrent", true),
      AIA_FUNCTION(ctx_get_device, "cuCtxGetDevice", true),
      AIA_FUNCTION(ctx_push, "cuCtxPushCurrent_v2", true),
      AIA_FUNCTION(ctx_pop, "cuCtxPopCurrent_v2", true),
      AIA_FUNCTION(event_create, "cuEventCreate", true),
      AIA_FUNCTION(event_record, "cuEventRecord", true),
      AIA_FUNCTION(event_query, "cuEventQuery", true),
      AIA_FUNCTION(event_destroy, "cuEventDestroy_v2", true),
      AIA_FUNCTION(device_get_uuid, "cuDeviceGetUuid", true),
      AIA_FUNCTION(device_get_pci, "cuDeviceGetPCIBusId", true),
      AIA_FUNCTION(primary_state, "cuDevicePrimaryCtxGetState", true),
      AIA_FUNCTION(is_capturing, "cuStreamIsCapturing", false),
      AIA_FUNCTION(exchange_mode, "cuThreadExchangeStreamCaptureMode", false),
#undef AIA_FUNCTION
  };
  for (const Wanted& one : wanted) {
    *one.function = driver_symbol(one.name);
    if (one.needed && !*one.function) return false;
  }
  // The second version names the instance of a MIG device.
  if (void* v2 = driver_symbol("cuDeviceGetUuid_v2"))
    driver.device_get_uuid = function_at<cuda::Result (*)(cuda::Uuid*, cuda::Device)>(v2);
  driver.object = object_of(reinterpret_cast<const void*>(driver.ctx_get_current));
  return driver.object != nullptr;
}

}  // namespace

void* real_address(const char* name) {
  static std::atomic<void*> known[3];
  const int i = name[2] == 'o' ? 0 : name[2] == 's' ? 1 : 2;  // dlopen, dlsym, dlvsym
  void* address = known[i].load(std::memory_order_relaxed);
  if (!address) {
    address = find_symbol(kLibc, name);
    known[i].store(address, std::memory_order_relaxed);
  }
  return address;
}

void* real_dlsym(void* handle, const char* name) {
  const auto real = function_at<void* (*)(void*, const char*)>(real_address("dlsym"));
  return real ? real(handle, name) : nullptr;
}

void* real_dlvsym(void* handle, const char* name, const char* version) {
  const auto real = function_at<void* (*)(void*, const char*, const char*)>(real_address("dlvsym"));
  return real ? real(handle, name, version) : nullptr;
}

bool driver_is_loaded() {
  return driver_object() != nullptr;
}

void* driver_symbol(const char* name) {
  const link_map* object = driver_object();
  return object ? find_symbol(*object, name) : nullptr;
}

const Driver* driver() {
  static std::atomic<const Driver*> known{nullptr};
  if (const Driver* there = known.load(std::memory_order_acquire)) return there;
  auto found = std::make_unique<Driver>();
  if (!fill(*found)) return nullptr;
  const Driver* there = nullptr;  // of threads that come here at once the first one's is taken
  if (known.compare_exchange_strong(there, found.get(), std::memory_order_acq_rel))
    return found.release();
  return there;
}

}  // namespace aiaccel::shim
