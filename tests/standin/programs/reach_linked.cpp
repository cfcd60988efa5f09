// SPDX-License-Identifier: MIT
//
// Linked with libcuda: the loader finds the functions. Also compiled by nvcc, with NVIDIA's header
// and a default stream for each thread, and as a plugin that is loaded when the program runs
// already.
#include "reach.h"

#ifndef STANDIN_PLAIN_CUDA
extern "C" {
#define STANDIN_DECLARE(base, symbol, version, parameters) CUresult symbol parameters;
STANDIN_PROGRAM_CALLS(STANDIN_DECLARE)
#undef STANDIN_DECLARE
}
#define STANDIN_FUNCTION(base, symbol) symbol
#else
#define STANDIN_FUNCTION(base, symbol) base  // what the header makes of it
#endif

extern "C" __attribute__((visibility("default"))) void reach_linked(Cuda* cuda) {
#define STANDIN_TAKE(base, symbol, version, parameters) \
  cuda->base##_ = STANDIN_FUNCTION(base, symbol);
  STANDIN_PROGRAM_CALLS(STANDIN_TAKE)
#undef STANDIN_TAKE
}

#ifndef STANDIN_PLUGIN
void reach(Cuda* cuda, const std::string&) {
  reach_linked(cuda);
}
#endif
