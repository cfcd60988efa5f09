// SPDX-License-Identifier: MIT
//
// The ways in which programs find CUDA; see cuda.hpp.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "client/cuda.hpp"

#ifndef CLIENT_IS_LINKED
extern "C" const client::Cuda* client_linked_cuda() {
  return nullptr;
}
#endif

namespace client {
namespace {

using GetV1 = Result (*)(const char*, void**, int, unsigned long long);
using GetV2 = Result (*)(const char*, void**, int, unsigned long long, int*);

[[noreturn]] void die(const std::string& what) {
  fprintf(stderr, "client: %s\n", what.c_str());
  exit(9);
}

void* open_driver(int flags) {
  void* driver = dlopen("libcuda.so.1", flags);
  if (!driver) die(dlerror());
  return driver;
}

// Called with base name and version too.
using Find = std::function<void*(const char* symbol, const char* base, int version)>;

Find finder(const std::string& way) {
  if (way == "default" || way == "next") {
    open_driver(RTLD_NOW | RTLD_GLOBAL);
    void* where = way == "next" ? RTLD_NEXT : RTLD_DEFAULT;
    return [=](const char* symbol, const char*, int) { return dlsym(where, symbol); };
  }
  void* driver = open_driver(RTLD_NOW | RTLD_LOCAL);
  if (way == "dlvsym")  // the driver has no versions: as with any such library, none is found
    return [=](const char* symbol, const char*, int) {
      void* found = dlvsym(driver, symbol, "NONE");
      return found ? found : dlsym(driver, symbol);
    };
  if (way == "dlsym")
    return [=](const char* symbol, const char*, int) { return dlsym(driver, symbol); };
  if (way == "proc") {
    const auto get = reinterpret_cast<GetV1>(dlsym(driver, "cuGetProcAddress"));
    return [=](const char*, const char* base, int version) {
      void* found = nullptr;
      return get(base, &found, version, 0) == kSuccess ? found : nullptr;
    };
  }
  auto get = reinterpret_cast<GetV2>(dlsym(driver, "cuGetProcAddress_v2"));
  if (way == "proc_proc") {  // as the CUDA runtime does
    const auto first = reinterpret_cast<GetV1>(dlsym(driver, "cuGetProcAddress"));
    void* found = nullptr;
    if (first("cuGetProcAddress", &found, 12000, 0) != kSuccess) die("no cuGetProcAddress");
    get = reinterpret_cast<GetV2>(found);
  } else if (way != "proc_v2" && way != "proc_thread") {
    die("unknown way " + way);
  }
  const unsigned long long flags = way == "proc_thread" ? 2 : 0;
  return [=](const char*, const char* base, int version) {
    void* found = nullptr;
    int status = 0;
    return get(base, &found, version, flags, &status) == kSuccess ? found : nullptr;
  };
}

Cuda of_plugin(const char* name, int flags) {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length <= 0) die("/proc/self/exe");
  std::string file(path, static_cast<size_t>(length));
  file = file.substr(0, file.rfind('/') + 1) + name;
  void* plugin = dlopen(file.c_str(), flags);
  if (!plugin) die(dlerror());
  const auto get = reinterpret_cast<const Cuda* (*)()>(dlsym(plugin, "client_linked_cuda"));
  if (!get) die(dlerror());
  return *get();
}

}  // namespace

Cuda find(const char* way) {
  if (std::strcmp(way, "linked") == 0) {
    const Cuda* linked = client_linked_cuda();
    if (!linked) die("this client is not linked");
    return *linked;
  }
  if (std::strcmp(way, "plugin") == 0) return of_plugin("plugin.so", RTLD_LAZY | RTLD_LOCAL);
  if (std::strcmp(way, "deepbind") == 0)
    return of_plugin("plugin.so", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (std::strcmp(way, "deepbind_lazy") == 0)
    return of_plugin("plugin.so", RTLD_LAZY | RTLD_LOCAL | RTLD_DEEPBIND);
  const Find find = finder(way);
  Cuda cuda;
#define CLIENT_FIND(member, symbol, base, version, parameters)                         \
  cuda.member = reinterpret_cast<Result(*) parameters>(find(#symbol, #base, version)); \
  if (!cuda.member) die("no " #symbol);
  CLIENT_CALLS(CLIENT_FIND)
#undef CLIENT_FIND
  return cuda;
}

}  // namespace client
