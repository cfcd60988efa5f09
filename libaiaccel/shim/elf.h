// SPDX-License-Identifier: MIT
//
// The loaded objects of this process, read as the dynamic linker left them: what is needed where
// its own functions are the ones that we stand in for.
//
// Threads: any; no object goes while it is looked at.
#ifndef AIACCEL_SHIM_ELF_H
#define AIACCEL_SHIM_ELF_H

#include <link.h>

namespace aiaccel::shim {

// Where `name` is defined in the first loaded object, but for the one this code lies in, whose file
// name begins with one of `objects` (up to a null pointer); nullptr where there is none.
void* find_symbol(const char* const* objects, const char* name);

// Where the object itself defines `name`. It must stay loaded. Unlike dlsym() this leaves the
// program's dlerror() alone and takes no lock.
void* find_symbol(const link_map& object, const char* name);

// A place where an object keeps the address of a function of another one.
struct Reference {
  const char* name;
  void* present;
  bool unbound;  // leads to the dynamic linker, which will look the name up at the first call
};

// Those of all loaded objects, but for the one this code lies in, and but for references of an
// object to what it defines itself. Each is turned round to what `instead` says, if that is not
// null. No object can go meanwhile, for a lock of the dynamic linker is held, which is taken after
// the one of dlopen, dlsym and dladdr: `instead` must call none of these.
void redirect_references(void* (*instead)(const Reference& reference));

// How many objects were ever loaded; also those that another thread is loading now.
unsigned long long objects_loaded();

// Until what other threads are loading is loaded. Takes the lock of dlopen.
void wait_for_loads();

// Where the object begins that holds the address; nullptr where none does.
const void* object_of(const void* address);

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_ELF_H
