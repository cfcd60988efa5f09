// SPDX-License-Identifier: MIT
//
// From nothing to memory that stays in place, natively: on the embedded transport, whose PIN is
// mlock(); see memory_ready.hpp.
#include <sys/resource.h>

#include "bench/memory_ready.hpp"

int main() {
  return bench::run([] {
    rlimit limit{};
    bench::check(getrlimit(RLIMIT_MEMLOCK, &limit) == 0, "getrlimit");
    if (geteuid() != 0 && limit.rlim_cur < bench::ready::kBytes)
      throw bench::Missing("RLIMIT_MEMLOCK is too low");
    bench::ready::compare_natively();
  });
}
