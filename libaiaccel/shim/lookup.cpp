// SPDX-License-Identifier: MIT
//
// However a program asks for the driver's functions, it gets ours: dlsym, dlvsym, cuGetProcAddress.
// A program that is linked with the driver gets them because we are loaded first; an object that
// was opened with RTLD_DEEPBIND prefers what it brings, so that its references are turned round.
//
// dlsym(RTLD_NEXT, …) and dlopen() depend on who calls them. The entries of lookup.S therefore ask
// answer_*() below and then jump to the real function, as if the program had called that, unless
// there is an answer. Only what the driver itself would have answered is replaced, and never for
// the driver's own questions.
//
// Not reached: objects in a link namespace of their own (dlmopen), which have a driver of their
// own.
//
// Threads: any.
#include <dlfcn.h>

#include <atomic>
#include <cstring>

#include "shim/cuda.h"
#include "shim/driver.h"
#include "shim/elf.h"
#include "shim/gate.h"
#include "shim/table.h"

namespace aiaccel::shim {
namespace {

// Whether an object was ever opened so, and how many objects there had been when they were looked
// at. Of two threads the one may ask while the other's object is not loaded yet.
std::atomic<bool> deep_bound{false};
std::atomic<unsigned long long> objects_seen{0};

bool is_driver(const void* address) {
  const Driver* driver = shim::driver();
  return driver && object_of(address) == driver->object;
}

bool is_ours(const void* address) {
  return object_of(address) == object_of(reinterpret_cast<const void*>(&is_ours));
}

bool in_table(const char* name) {
  return name[0] == 'c' && name[1] == 'u' && find_function(name) != kNrFunctions;
}

// Without a driver nothing is bound to it, and they are looked at again when there is one.
void redirect_deep_bound() {
  const unsigned long long loaded = objects_loaded();
  if (loaded == objects_seen.load(std::memory_order_relaxed) || !driver()) return;
  for (const Reference& reference : find_references(in_table)) {
    // Bound to the driver already, or not yet bound.
    if (object_of(reference.present) && !is_ours(reference.present))
      redirect(reference, function(find_function(reference.name)).ours);
  }
  objects_seen.store(loaded, std::memory_order_relaxed);
}

// What the real dlsym or dlvsym finds.
void* find(void* handle, const char* name, const char* version) {
  return version ? real_dlvsym(handle, name, version) : real_dlsym(handle, name);
}

// Whether the object that holds `caller` defines the name itself: then it stands between others,
// and asks for the next one in the line.
bool caller_defines(const void* caller, const char* name) {
  Dl_info info;
  if (!dladdr(caller, &info) || !info.dli_fname) return false;
  const auto open = reinterpret_cast<void* (*)(const char*, int)>(real_address("dlopen"));
  void* handle = open ? open(info.dli_fname, RTLD_NOLOAD | RTLD_LAZY) : nullptr;
  if (!handle) return false;
  void* found = real_dlsym(handle, name);
  const bool defines = found && object_of(found) == info.dli_fbase;
  dlclose(handle);
  return defines;
}

// What dlsym is to answer; nullptr: what it answers without us.
void* answer(void* handle, const char* name, const char* version, const void* caller) {
  const Driver* driver = shim::driver();
  if (driver && object_of(caller) == driver->object) return nullptr;
  const Index index = find_function(name);
  if (index == kNrFunctions && !is_launch(name)) return nullptr;
  void* own = driver_symbol(name);
  if (!own) return nullptr;  // this driver does not have it
  if (handle == RTLD_NEXT) return caller_defines(caller, name) ? nullptr : stand_in(name, own);
  if (handle == RTLD_DEFAULT) return stand_in(name, own);
  void* found = find(handle, name, version);
  return found && is_driver(found) ? stand_in(name, found) : nullptr;
}

cuda::Result replace(cuda::Result result, const char* symbol, void** found) {
  if (result == cuda::kSuccess && symbol && found && *found) *found = stand_in(symbol, *found);
  return result;
}

}  // namespace

extern "C" {

// What lookup.S returns to the program (answer), or jumps to (real).
struct Answered {
  void* answer;
  void* real;
};

Answered aiaccel_shim_answer_dlsym(void* handle, const char* name, const void* caller) {
  if (deep_bound.load(std::memory_order_relaxed)) redirect_deep_bound();
  void* ours =
      name && name[0] == 'c' && name[1] == 'u' ? answer(handle, name, nullptr, caller) : nullptr;
  return {ours, ours ? nullptr : real_address("dlsym")};
}

Answered aiaccel_shim_answer_dlvsym(void* handle, const char* name, const char* version,
                                    const void* caller) {
  void* ours =
      name && name[0] == 'c' && name[1] == 'u' ? answer(handle, name, version, caller) : nullptr;
  return {ours, ours ? nullptr : real_address("dlvsym")};
}

Answered aiaccel_shim_answer_dlopen(const char* /*file*/, int flags) {
  if (flags & RTLD_DEEPBIND) deep_bound.store(true, std::memory_order_relaxed);
  return {nullptr, real_address("dlopen")};
}

#pragma GCC visibility push(default)
cuda::Result cuGetProcAddress(const char* symbol, void** found, int version, uint64_t flags) {
  return replace(call_real<k_cuGetProcAddress>(cuda::kNotFound, symbol, found, version, flags),
                 symbol, found);
}

cuda::Result cuGetProcAddress_v2(const char* symbol, void** found, int version, uint64_t flags,
                                 int* status) {
  return replace(
      call_real<k_cuGetProcAddress_v2>(cuda::kNotFound, symbol, found, version, flags, status),
      symbol, found);
}
#pragma GCC visibility pop

}  // extern "C"
}  // namespace aiaccel::shim
