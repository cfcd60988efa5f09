// SPDX-License-Identifier: MIT
//
// The rows of table.h with their addresses, which are all that this file knows of the functions.
#include "driver.h"

#ifndef STANDIN_REAL_CUDA
extern "C" {
#define STANDIN_ROW(base, symbol, version, flavour) CUresult symbol();
#include "table.h"
#undef STANDIN_ROW
}
#endif

namespace standin {

std::span<const Row> rows() {
  static const Row all[] = {
#define STANDIN_ROW(base, symbol, version, flavour) \
  {#base, version, sizeof #flavour > 1, reinterpret_cast<void*>(&symbol)},
#include "table.h"
#undef STANDIN_ROW
  };
  return all;
}

}  // namespace standin
