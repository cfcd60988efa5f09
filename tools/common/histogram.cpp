// SPDX-License-Identifier: MIT
//
// See histogram.hpp; struct aiaccel_histogram says what the buckets are.
#include "common/histogram.hpp"

namespace tools {

std::optional<aiaccel_histogram> counted_since(const aiaccel_histogram& before,
                                               const aiaccel_histogram& now) {
  aiaccel_histogram grown{};
  for (int i = 0; i < AIACCEL_HISTOGRAM_LEN; i++) {
    if (now.count[i] < before.count[i]) return {};
    grown.count[i] = now.count[i] - before.count[i];
  }
  return grown;
}

std::optional<std::uint64_t> quantile_ns(const aiaccel_histogram& histogram, unsigned percent) {
  std::uint64_t all = 0, seen = 0;
  for (const std::uint64_t count : histogram.count) all += count;
  if (!all) return {};
  // The least number that is that part of them, rounded up; none of the products overflows.
  const std::uint64_t wanted = all / 100 * percent + (all % 100 * percent + 99) / 100;
  int bucket = 0;
  while (bucket < AIACCEL_HISTOGRAM_LEN - 1 && (seen += histogram.count[bucket]) < wanted) bucket++;
  return std::uint64_t{bucket == AIACCEL_HISTOGRAM_LEN - 1 ? 512u : 1024u} << bucket;
}

}  // namespace tools
