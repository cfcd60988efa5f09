// SPDX-License-Identifier: MIT
//
// What dlsym() and dlerror() tell a program that asks for the driver's functions before and after
// it has loaded the driver, for itself or for all. A line each: the question, whether there was an
// answer, and which of the names that were asked for the error speaks of. The same with the shim as
// without it.
#include "client/ask.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace client {
namespace {

// Some are in the shim's table and not in this driver, or the other way round.
constexpr const char* kNames[] = {"cuInit",         "cuLaunchKernel", "cuLaunchKernel_ptsz",
                                  "cuMemAlloc_v2",  "cuCtxDestroy",   "cuGetProcAddress_v2",
                                  "cuLaunchByWish", "cuNothing"};

// Clears it.
const char* error() {
  const char* text = dlerror();
  if (!text) return "none";
  if (std::strstr(text, "missing")) return "missing";
  for (const char* name : kNames) {
    const char* found = std::strstr(text, name);
    const char after = found ? found[std::strlen(name)] : '_';
    if (after == '\0' || after == ',') return name;
  }
  return text;
}

void ask(const char* when, const char* where, void* handle) {
  for (const char* name : kNames) {
    dlsym(RTLD_DEFAULT, "missing");  // whose error is not this one's
    const bool found = dlsym(handle, name) != nullptr;
    printf("%s %s %s: %s, error: %s\n", when, where, name, found ? "there" : "not there", error());
    const bool versioned = dlvsym(handle, name, "NONE") != nullptr;
    printf("%s %s %s@NONE: %s, error: %s\n", when, where, name, versioned ? "there" : "not there",
           error());
  }
}

void ask_all(const char* when, void* program) {
  ask(when, "default", RTLD_DEFAULT);
  ask(when, "next", RTLD_NEXT);
  ask(when, "program", program);
}

}  // namespace

int ask() {
  void* program = dlopen(nullptr, RTLD_NOW);
  ask_all("before", program);
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  ask_all("local", program);
  ask("local", "driver", driver);
  driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  ask_all("after", program);
  ask("after", "driver", driver);

  // Calls of the driver's own functions leave the program's error alone.
  const auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  using Get = int (*)(const char*, void**, int, unsigned long long);
  const auto get = reinterpret_cast<Get>(dlsym(driver, "cuGetProcAddress"));
  if (!init || !get) return 1;
  dlsym(driver, "missing");
  init(0);
  for (const char* base : {"cuMemAlloc", "cuLaunchKernel", "cuCtxDestroy", "cuNothing"}) {
    void* found = nullptr;
    const int result = get(base, &found, 12000, 0);
    printf("get %s: %d %s\n", base, result, found ? "there" : "not there");
  }
  printf("pending: %s\n", error());
  printf("then: %s\n", error());
  return 0;
}

namespace {

struct Row {
  const char* base;
  int version;
};

// All that the stand-in has; asked for as a program of that version, and of the newest.
constexpr Row kRows[] = {
#define STANDIN_ROW(base, symbol, version, flavour) {#base, version}, {#base, 13000},
#include "standin/cuda/table.h"
#undef STANDIN_ROW
};

}  // namespace

int ask_meant() {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (!driver) return 1;
  using Get = int (*)(const char*, void**, int, unsigned long long, int*);
  const auto get = reinterpret_cast<Get>(dlsym(driver, "cuGetProcAddress_v2"));
  if (!get) return 1;
  for (const Row& row : kRows)
    for (const unsigned long long flags : {0, 1, 2}) {
      void* found = nullptr;
      int status = 0;
      const int result = get(row.base, &found, row.version, flags, &status);
      Dl_info info{};
      const bool of_shim = found && dladdr(found, &info) && info.dli_sname &&
                           std::strstr(info.dli_fname, "libaiaccel-cuda");
      printf("%s %d %llu: %d %s\n", row.base, row.version, flags, result,
             of_shim ? info.dli_sname : "the driver's");
    }
  return 0;
}

}  // namespace client
