// SPDX-License-Identifier: MIT
//
// Device memory that the program allocated; see allocations.cpp.
//
// Threads: any.
#ifndef AIACCEL_SHIM_ALLOCATIONS_H
#define AIACCEL_SHIM_ALLOCATIONS_H

#include "shim/cuda.h"

namespace aiaccel::shim {

// The context goes, and what was allocated in it with it.
void forget_allocations(cuda::Context context);

// They are another context's from now on.
void move_allocations(cuda::Context from, cuda::Context to);

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_ALLOCATIONS_H
