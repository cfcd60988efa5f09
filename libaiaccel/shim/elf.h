// SPDX-License-Identifier: MIT
//
// The loaded objects of this process, read as the dynamic linker left them: what is needed where
// its own functions are the ones that we stand in for.
//
// Threads: any; the objects cannot change while one is looked at.
#ifndef AIACCEL_SHIM_ELF_H
#define AIACCEL_SHIM_ELF_H

#include <vector>

namespace aiaccel::shim {

// Where `name` is defined in the first loaded object, but for the one this code lies in, whose file
// name begins with one of `objects` (up to a null pointer); nullptr where there is none.
void* find_symbol(const char* const* objects, const char* name);

// A place where an object keeps the address of a function of another one.
struct Reference {
  void** slot;
  const char* name;
  void* present;
  bool read_only;  // since the object was loaded
};

// Those of all loaded objects, but for the one this code lies in, to names that `wanted` says yes
// to. It is called under a lock of the dynamic linker that is taken after the one of dlopen and
// dladdr: it must call neither.
std::vector<Reference> find_references(bool (*wanted)(const char* name));

// The object must still be loaded.
void redirect(const Reference& reference, void* value);

// How many objects were ever loaded.
unsigned long long objects_loaded();

// Where the object begins that holds the address; nullptr where none does.
const void* object_of(const void* address);

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_ELF_H
