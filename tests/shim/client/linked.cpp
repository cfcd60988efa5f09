// SPDX-License-Identifier: MIT
//
// The functions as a program gets them that is linked with libcuda: part of one client, and the
// whole of a plugin.
#include "client/cuda.hpp"

namespace client {
extern "C" {
#define CLIENT_DECLARE(member, symbol, base, version, parameters) Result symbol parameters;
CLIENT_CALLS(CLIENT_DECLARE)
#undef CLIENT_DECLARE
}
}  // namespace client

// Each call goes through the object's own table of references, as calls in a program do.
extern "C" __attribute__((visibility("default"))) const client::Cuda* client_linked_cuda() {
  static const client::Cuda cuda = {
#define CLIENT_FORWARD(member, symbol, base, version, parameters) \
  [](auto... arguments) { return client::symbol(arguments...); },
      CLIENT_CALLS(CLIENT_FORWARD)
#undef CLIENT_FORWARD
  };
  return &cuda;
}

// Where its reference to a launch leads, which was bound when it was loaded.
extern "C" __attribute__((visibility("default"))) const void* client_linked_launch() {
  return reinterpret_cast<const void*>(&client::cuLaunchKernel);
}
