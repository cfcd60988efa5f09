// SPDX-License-Identifier: MIT
//
// A client that people wait for beside background work, on the module.
#include "bench/beside.hpp"

namespace {

void measure() {
  bench::ahead_of_other_programs();
  const bench::Taker registrar("kernel");
  bench::Beside("kernel", bench::register_engine(registrar.device(), "bench-beside")).measure();
}

}  // namespace

int main() {
  return bench::run(measure);
}
