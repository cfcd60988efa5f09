// SPDX-License-Identifier: MIT
//
// From nothing to memory that a device can be let at, on the module: memory of the program's own,
// and the arbiter's; see memory_ready.hpp.
#include "bench/memory_ready.hpp"

int main() {
  return bench::run(bench::ready::compare_on_module);
}
