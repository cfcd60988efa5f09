// SPDX-License-Identifier: MIT
//
// How benchmarks that time one operation in this process take their samples: a sample is the mean
// time of many operations, ours and the peer's in turn, so that whatever else the machine does
// meets both. The first pair warms up and is dropped.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <exception>
#include <stdexcept>
#include <string>

#include "bench/row.hpp"

namespace bench {

// It cannot be measured here, for this reason; anything else that is thrown is a failure.
struct Missing : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void check(bool well, const char* what) {
  if (!well) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

// Since some moment of the past.
inline double now_us() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

// Microseconds that one of `times` operations takes.
template <typename Operation>
double mean_us(int times, Operation operation) {
  const double begin_us = now_us();
  for (int i = 0; i < times; ++i) operation();
  return (now_us() - begin_us) / times;
}

// Fills the row's samples and prints it. `ours` and `peer` return a sample each.
template <typename Ours, typename Peer>
void alternate(Row row, int rounds, Ours ours, Peer peer) {
  for (int round = -1; round < rounds; ++round) {
    const double our_sample = ours();
    const double peer_sample = peer();
    if (round < 0) continue;
    row.ours.push_back(our_sample);
    row.peer.push_back(peer_sample);
  }
  print(row);
}

// A part of a benchmark that may be missing where others are not.
template <typename Measure>
void part(const char* name, Measure measure) {
  try {
    measure();
  } catch (const Missing& missing) {
    std::fprintf(stderr, "not measured: %s: %s\n", name, missing.what());
  }
}

// The main function of a benchmark.
template <typename Measure>
int run(Measure measure) {
  try {
    measure();
    return 0;
  } catch (const Missing& missing) {
    std::fprintf(stderr, "%s\n", missing.what());
    return 77;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace bench
