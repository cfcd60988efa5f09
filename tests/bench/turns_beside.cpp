// SPDX-License-Identifier: MIT
//
// A client that people wait for beside background work, on the broker.
#include "bench/beside.hpp"
#include "bench/broker.hpp"

namespace {

// The GPU, which comes after the CPUs.
std::uint32_t last_engine(aiaccel_device* device) {
  aiaccel_query query{};
  query.size = sizeof query;
  const int error = aiaccel_call(device, AIACCEL_IOC_QUERY, &query);
  errno = -error;
  bench::check(error == 0, "QUERY");
  return query.nr_engines;
}

void measure() {
  bench::ahead_of_other_programs();
  const bench::OwnBrokerWithGpu broker;
  const bench::Taker asks("broker");
  bench::Beside("broker", last_engine(asks.device())).measure();
}

}  // namespace

int main() {
  return bench::run(measure);
}
