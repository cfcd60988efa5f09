// SPDX-License-Identifier: MIT
//
// Objects that are bound deeply come and go in one thread while another one asks for the driver's
// functions, at which the shim turns their references round: all of them, whoever asked first.
#include <dlfcn.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "client/ask.hpp"

namespace client {

int storm(const char* plugin) {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (!driver) return 1;
  const void* ours = dlsym(driver, "cuLaunchKernel");
  std::atomic<bool> done{false};
  std::thread asks([&] {
    while (!done) dlsym(driver, "cuLaunchKernel");
  });
  int unloaded = 0;  // else nothing was tried
  int astray = 0;
  for (int i = 0; i < 5000; ++i) {
    void* object = dlopen(plugin, RTLD_LAZY | RTLD_LOCAL | RTLD_DEEPBIND);
    if (!object) break;
    const auto leads = reinterpret_cast<const void* (*)()>(dlsym(object, "client_linked_launch"));
    astray += !leads || leads() != ours;
    dlclose(object);
    unloaded += dlopen(plugin, RTLD_LAZY | RTLD_NOLOAD) == nullptr;
  }
  done = true;
  asks.join();
  printf("unloaded %d, past the shim %d\n", unloaded, astray);
  return 0;
}

}  // namespace client
