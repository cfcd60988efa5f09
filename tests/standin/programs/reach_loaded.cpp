// SPDX-License-Identifier: MIT
//
// Not linked with libcuda: loaded by dlopen() and looked up, in each way that programs and runtimes
// have. Names with -ptsz want the functions that take 0 for the thread's own default stream.
//
//   dlsym, dlsym-ptsz    each symbol by dlsym()
//   deepbind             the same, from a library opened with RTLD_DEEPBIND
//   proc, proc-ptsz      by cuGetProcAddress, of CUDA 11.3
//   proc2, proc2-ptsz    by cuGetProcAddress_v2, which is itself asked for by the first
//   plugin               by a library that is linked with libcuda and opened now
//   plugin-deepbind      the same with RTLD_DEEPBIND, which bypasses what was preloaded
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "reach.h"

namespace {

using GetProcAddress = CUresult (*)(const char*, void**, int, cuuint64_t);
using GetProcAddress2 = CUresult (*)(const char*, void**, int, cuuint64_t,
                                     CUdriverProcAddressQueryResult*);

constexpr int kVersion = 12030;

[[noreturn]] void fail(const char* what) {
  fprintf(stderr, "cannot reach CUDA: %s\n", what);
  exit(1);
}

void* open(const char* name, int flags) {
  void* const library = dlopen(name, RTLD_NOW | flags);
  if (!library) fail(dlerror());
  return library;
}

void* by_dlsym(void* library, const std::string& symbol, bool ptsz) {
  if (ptsz)
    for (const char* suffix : {"_ptsz", "_ptds"})
      if (void* const function = dlsym(library, (symbol + suffix).c_str())) return function;
  void* const function = dlsym(library, symbol.c_str());
  if (!function) fail(dlerror());
  return function;
}

void* by_proc(void* library, const char* base, bool second, bool ptsz) {
  const cuuint64_t flags =
      ptsz ? CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM : CU_GET_PROC_ADDRESS_DEFAULT;
  const auto get = reinterpret_cast<GetProcAddress>(by_dlsym(library, "cuGetProcAddress", false));
  void* function = nullptr;
  if (second) {
    void* get2 = nullptr;
    if (get("cuGetProcAddress", &get2, kVersion, 0) != CUDA_SUCCESS || !get2)
      fail("cuGetProcAddress of cuGetProcAddress");
    CUdriverProcAddressQueryResult status;
    reinterpret_cast<GetProcAddress2>(get2)(base, &function, kVersion, flags, &status);
  } else {
    get(base, &function, kVersion, flags);
  }
  if (!function) fail(base);
  return function;
}

void by_plugin(Cuda* cuda, int flags) {
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self);
  if (length < 0) fail("/proc/self/exe");
  std::string path(self, size_t(length));
  path.replace(path.rfind('/') + 1, std::string::npos, "cuda-plugin.so");
  void* const linked = dlsym(open(path.c_str(), flags), "reach_linked");
  if (!linked) fail(dlerror());
  reinterpret_cast<void (*)(Cuda*)>(linked)(cuda);
}

}  // namespace

void reach(Cuda* cuda, const std::string& how) {
  if (how == "plugin") return by_plugin(cuda, 0);
  if (how == "plugin-deepbind") return by_plugin(cuda, RTLD_DEEPBIND);
  const bool ptsz = how.ends_with("-ptsz");
  const std::string way = how.substr(0, how.find('-'));
  void* const library = open("libcuda.so.1", way == "deepbind" ? RTLD_DEEPBIND : 0);
  const auto find = [&](const char* base, const char* symbol) {
    if (way == "proc") return by_proc(library, base, false, ptsz);
    if (way == "proc2") return by_proc(library, base, true, ptsz);
    if (way != "" && way != "dlsym" && way != "deepbind") fail("no such way");
    return by_dlsym(library, symbol, ptsz);
  };
#define STANDIN_TAKE(base, symbol, version, parameters) \
  cuda->base##_ = reinterpret_cast<CUresult(*) parameters>(find(#base, #symbol));
  STANDIN_PROGRAM_CALLS(STANDIN_TAKE)
#undef STANDIN_TAKE
}
