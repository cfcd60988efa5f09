// SPDX-License-Identifier: MIT
//
// What can be read from a histogram of STATS: quantiles, and what came since an earlier one.
//
// Pure functions. Threads: any.
#pragma once

#include <uapi/aiaccel.h>

#include <cstdint>
#include <optional>

namespace tools {

// What was counted since `before`; nothing where a count went back, which is another object's.
std::optional<aiaccel_histogram> counted_since(const aiaccel_histogram& before,
                                               const aiaccel_histogram& now);

// That many in a hundred were at most so long: the upper end of a bucket, so never too short and at
// most twice too long from 1024 ns on; but of the last bucket, which has no end, its lower one.
// Nothing where nothing was counted. `percent`: 1 to 100.
std::optional<std::uint64_t> quantile_ns(const aiaccel_histogram& histogram, unsigned percent);

}  // namespace tools
