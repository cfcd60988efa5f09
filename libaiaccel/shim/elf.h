// SPDX-License-Identifier: MIT
//
// The loaded objects of this process, read as the dynamic linker left them: what is needed where
// its own functions are the ones that we stand in for.
//
// Threads: any; the objects cannot change while one is looked at.
#ifndef AIACCEL_SHIM_ELF_H
#define AIACCEL_SHIM_ELF_H

namespace aiaccel::shim {

// Where `name` is defined in the first loaded object, but for the one this code lies in, whose file
// name begins with one of `objects` (up to a null pointer); nullptr where there is none.
void* find_symbol(const char* const* objects, const char* name);

// Points every reference of all loaded objects, but for the one this code lies in, to a function
// that `replace` gives another address for; it is called with name and present address, and gives
// nullptr where nothing is to change.
void redirect_references(void* (*replace)(const char* name, void* present));

// Where the object begins that holds the address; nullptr where none does.
const void* object_of(const void* address);

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_ELF_H
