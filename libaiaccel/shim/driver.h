// SPDX-License-Identifier: MIT
//
// The real driver: libcuda.so.1 as this process has loaded it, and what the shim calls of it. It is
// never loaded here: a program that does not use CUDA does not begin to.
//
// Threads: any. Calls of ours from a launch run under InDriver, so that whatever the driver calls
// by its public names on the way is not gated once more.
#ifndef AIACCEL_SHIM_DRIVER_H
#define AIACCEL_SHIM_DRIVER_H

#include "shim/cuda.h"

namespace aiaccel::shim {

struct Driver {
  const void* object;  // where it begins

  cuda::Result (*ctx_get_current)(cuda::Context*);
  cuda::Result (*ctx_get_device)(cuda::Device*);
  cuda::Result (*ctx_push)(cuda::Context);
  cuda::Result (*ctx_pop)(cuda::Context*);
  cuda::Result (*event_create)(cuda::Event*, unsigned);
  cuda::Result (*event_record)(cuda::Event, cuda::Stream);
  cuda::Result (*event_query)(cuda::Event);
  cuda::Result (*event_destroy)(cuda::Event);
  cuda::Result (*device_get_uuid)(cuda::Uuid*, cuda::Device);
  cuda::Result (*device_get_pci)(char*, int, cuda::Device);
  cuda::Result (*primary_state)(cuda::Device, unsigned*, int*);
  // Missing in old drivers.
  cuda::Result (*is_capturing)(cuda::Stream, int*);
  cuda::Result (*exchange_mode)(int*);
};

// nullptr while it is not loaded, or where it lacks what we need.
const Driver* driver();

// The real dlsym(handle, name) and its like, as if this library called it.
void* real_dlsym(void* handle, const char* name);
void* real_dlvsym(void* handle, const char* name, const char* version);
// Where dlsym, dlvsym and dlopen are, to be jumped to.
void* real_address(const char* name);

bool driver_is_loaded();

// What the driver itself has under the name; nullptr for nothing. Not by dlsym(): the shim is asked
// for no names there, so that dlerror() tells of the program's own.
void* driver_symbol(const char* name);

// Our own calls do not count as those of the program's stream captures.
class Relaxed {
 public:
  explicit Relaxed(const Driver& driver) : driver_(driver) { exchange(); }
  ~Relaxed() { exchange(); }
  Relaxed(const Relaxed&) = delete;
  Relaxed& operator=(const Relaxed&) = delete;

 private:
  void exchange() {
    if (driver_.exchange_mode) driver_.exchange_mode(&mode_);
  }

  const Driver& driver_;
  int mode_ = cuda::kCaptureModeRelaxed;
};

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_DRIVER_H
