// SPDX-License-Identifier: MIT
//
// The table of functions.def: each function's name, what stands in for it, and the driver's own.
//
// Threads: any.
#ifndef AIACCEL_SHIM_TABLE_H
#define AIACCEL_SHIM_TABLE_H

#include <cstddef>

namespace aiaccel::shim {

enum Index : size_t {
#define WORK(name, stream_default, bytes, stream, ...) k_##name,
#define OTHER(name) k_##name,
#include "shim/functions.def"
#undef WORK
#undef OTHER
  kNrFunctions
};

struct Function {
  const char* name;
  void* ours;
};

const Function& function(Index index);

// The row of a name; kNrFunctions for none.
Index find_function(const char* name);

// The driver's own function; nullptr where it has none.
void* real_function(Index index);

// What a program gets for `present`, which is the driver's answer to a question for `name`: ours in
// its stead, or `present` itself. Launching functions that are in no row are reported.
void* stand_in(const char* name, void* present);

// Likewise for cuGetProcAddress, which is asked for a name and means the version of the function
// that a program of that CUDA version knows, of per-thread default streams perhaps. The driver may
// answer with an address that it does not export.
void* stand_in(const char* base, void* present, int version, bool per_thread);

// Whether the name is one that must not pass unseen: a launch of some kind.
bool is_launch(const char* name);

// The driver's own function, called as such.
template <Index kIndex, typename R, typename... A>
R call_real(R failed, A... arguments) {
  using F = R (*)(A...);
  const auto real = reinterpret_cast<F>(real_function(kIndex));
  return real ? real(arguments...) : failed;
}

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_TABLE_H
