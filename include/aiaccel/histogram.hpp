// SPDX-License-Identifier: MIT
//
// Counts of durations on a logarithmic scale: 32 steps for each doubling, so that every percentile
// is right to about 3 %, in a fixed 15 KiB and without knowing the range beforehand.
//
// A plain value: one thread at a time.
#ifndef AIACCEL_HISTOGRAM_HPP
#define AIACCEL_HISTOGRAM_HPP

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace aiaccel {

class Histogram {
 public:
  void add(std::chrono::nanoseconds duration) {
    auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
    steps_[step_of(ns)]++;
    count_++;
    sum_ns_ += ns;
    max_ns_ = std::max(max_ns_, ns);
  }

  // As if all that is in the other had been added here.
  void merge(const Histogram& other) {
    for (std::size_t step = 0; step < steps_.size(); step++) steps_[step] += other.steps_[step];
    count_ += other.count_;
    sum_ns_ += other.sum_ns_;
    max_ns_ = std::max(max_ns_, other.max_ns_);
  }

  std::uint64_t count() const { return count_; }
  std::chrono::nanoseconds max() const { return std::chrono::nanoseconds(max_ns_); }
  std::chrono::nanoseconds mean() const {
    return std::chrono::nanoseconds(count_ ? sum_ns_ / count_ : 0);
  }

  // The smallest duration that at least `share` (0 to 1) of all do not exceed, to about 3 % above;
  // 0 of none.
  std::chrono::nanoseconds percentile(double share) const {
    if (!count_) return {};
    auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t step = 0; step < steps_.size(); step++) {
      seen += steps_[step];
      if (seen && seen >= wanted)
        return std::chrono::nanoseconds(std::min(end_of(step) - 1, max_ns_));
    }
    return max();
  }

 private:
  static constexpr unsigned kBits = 5;  // 32 steps a doubling
  static constexpr std::uint64_t kSteps = 1u << kBits;

  // Below kSteps each number has a step of its own; above, the kBits bits after the highest count.
  static constexpr std::size_t step_of(std::uint64_t ns) {
    if (ns < kSteps) return ns;
    unsigned shift = static_cast<unsigned>(std::bit_width(ns)) - 1 - kBits;
    return (shift << kBits) + (ns >> shift);
  }
  // The first number past a step.
  static constexpr std::uint64_t end_of(std::size_t step) {
    if (step < kSteps) return step + 1;
    unsigned shift = static_cast<unsigned>(step >> kBits) - 1;
    return ((step & (kSteps - 1)) + kSteps + 1) << shift;
  }

  std::array<std::uint64_t, (64 - kBits + 1) * kSteps> steps_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ns_ = 0;
  std::uint64_t max_ns_ = 0;
};

}  // namespace aiaccel

#endif  // AIACCEL_HISTOGRAM_HPP
