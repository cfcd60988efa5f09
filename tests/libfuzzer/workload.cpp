// SPDX-License-Identifier: MIT
//
// The scheduler under a workload that the input chooses: who is there, how long everything takes,
// and what the administrator changes meanwhile. What has to hold after each event is in
// tests/sim/oracle.hpp.
#include "libfuzzer/fuzz.hpp"

#include "sim/plan.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  const unsigned streams = 1 + in.below(8);
  const Choices choices = [&in] { return in.number(); };
  const sim::Outcome outcome = sim::play(sim::Random(choices), sim::Random(choices),
                                         {.events = size / 4, .streams = streams});
  if (!outcome.broken.empty()) fuzz::broken(outcome.broken.c_str(), __FILE__, __LINE__);
  return 0;
}
