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
#include <sys/auxv.h>

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

// What is bound to the driver already, or not yet bound, shall be ours.
void* in_its_stead(const Reference& reference) {
  const bool of_cuda = reference.name[0] == 'c' && reference.name[1] == 'u';
  const Index index = of_cuda ? find_function(reference.name) : kNrFunctions;
  if (index == kNrFunctions || !reference.present) return nullptr;
  const bool bound = reference.present == real_function(index);
  return bound || reference.unbound ? function(index).ours : nullptr;
}

// Without a driver nothing is bound to it, and they are looked at again when there is one. Objects
// are counted before what they refer to is bound.
void redirect_deep_bound() {
  const unsigned long long loaded = objects_loaded();
  if (loaded == objects_seen.load(std::memory_order_relaxed) || !driver()) return;
  wait_for_loads();
  redirect_references(in_its_stead);
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

// The scope that RTLD_DEFAULT and RTLD_NEXT mean is the global one, in which we are ourselves,
// where the program itself asks. A library may have one of its own besides, that we cannot ask.
bool is_program(const void* caller) {
  const void* program = object_of(reinterpret_cast<const void*>(getauxval(AT_PHDR)));
  return program && object_of(caller) == program;
}

// What lookup.S returns to the program (answer) where `real` is null, or jumps to (real).
struct Answered {
  void* answer;
  void* real;
};

// Where the driver has no such function, or is not there, the program has none, though there is one
// of ours: the answer is what stands behind us in the line of objects, if only what dlerror() says.
Answered answer_absent(void* handle, const char* name, const void* caller, Answered theirs) {
  if (handle != RTLD_NEXT) {
    void* found = real_dlsym(handle, name);
    if (!found || !is_ours(found)) return theirs;
  }
  void* behind = real_dlsym(RTLD_NEXT, name);
  if (behind && object_of(behind) == object_of(caller)) return theirs;
  return {behind, nullptr};
}

// As dlsym does, ours leaves no error behind where it finds something.
Answered answer(void* handle, const char* name, const char* version, const void* caller) {
  const Answered theirs{nullptr, real_address(version ? "dlvsym" : "dlsym")};
  if (!name || name[0] != 'c' || name[1] != 'u') return theirs;
  const Driver* driver = shim::driver();
  if (driver && object_of(caller) == driver->object) return theirs;
  const Index index = find_function(name);
  if (index == kNrFunctions && !is_launch(name)) return theirs;
  void* own = driver_symbol(name);
  if (!own) {
    const bool ours = index != kNrFunctions && !version;  // which has no version
    return ours ? answer_absent(handle, name, caller, theirs) : theirs;
  }
  if (handle == RTLD_NEXT && caller_defines(caller, name)) return theirs;
  // A driver that was opened for its handle alone is not in the global scope, though we are.
  const bool by_scope = handle == RTLD_DEFAULT || handle == RTLD_NEXT;
  const auto only_we = [&] { return !version && !real_dlsym(RTLD_NEXT, name); };
  if (by_scope && is_program(caller) && only_we()) return {nullptr, nullptr};
  if (version || !by_scope) {
    void* found = find(handle, name, version);
    if (found && is_ours(found) && only_we()) return {nullptr, nullptr};
    if (!found || !is_driver(found)) return theirs;
  }
  void* ours = stand_in(name, own);
  dlerror();
  return {ours, nullptr};
}

cuda::Result replace(cuda::Result result, const char* symbol, void** found, int version,
                     uint64_t flags) {
  if (result == cuda::kSuccess && symbol && found && *found)
    *found = stand_in(symbol, *found, version, flags == cuda::kPerThreadStreams);
  return result;
}

}  // namespace

extern "C" {

Answered aiaccel_shim_answer_dlsym(void* handle, const char* name, const void* caller) {
  if (deep_bound.load(std::memory_order_relaxed)) redirect_deep_bound();
  return answer(handle, name, nullptr, caller);
}

Answered aiaccel_shim_answer_dlvsym(void* handle, const char* name, const char* version,
                                    const void* caller) {
  return answer(handle, name, version, caller);
}

Answered aiaccel_shim_answer_dlopen(const char* /*file*/, int flags) {
  if (flags & RTLD_DEEPBIND) deep_bound.store(true, std::memory_order_relaxed);
  return {nullptr, real_address("dlopen")};
}

#pragma GCC visibility push(default)
cuda::Result cuGetProcAddress(const char* symbol, void** found, int version, uint64_t flags) {
  return replace(call_real<k_cuGetProcAddress>(cuda::kNotFound, symbol, found, version, flags),
                 symbol, found, version, flags);
}

cuda::Result cuGetProcAddress_v2(const char* symbol, void** found, int version, uint64_t flags,
                                 int* status) {
  return replace(
      call_real<k_cuGetProcAddress_v2>(cuda::kNotFound, symbol, found, version, flags, status),
      symbol, found, version, flags);
}
#pragma GCC visibility pop

}  // extern "C"
}  // namespace aiaccel::shim
