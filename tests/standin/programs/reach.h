// SPDX-License-Identifier: MIT
//
// How a program gets at CUDA: it fills a table of functions, in the one way it was written for.
#pragma once

#include <string>

#include "standin/api.h"

struct Cuda {
#define STANDIN_MEMBER(base, symbol, version, parameters) CUresult(*base##_) parameters;
  STANDIN_PROGRAM_CALLS(STANDIN_MEMBER)
#undef STANDIN_MEMBER
};

// `how` is one of this program's ways, "" its first. Ends the process where that does not work.
void reach(Cuda* cuda, const std::string& how);
