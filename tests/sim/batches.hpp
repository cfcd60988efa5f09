// SPDX-License-Identifier: MIT
//
// The mean of observations that depend on one another, and how sure it is, by the method of batch
// means: the means of long stretches hardly depend on one another any more.
// (A. M. Law, Simulation Modeling and Analysis, 9.5.3)
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace sim {

class Batches {
 public:
  static constexpr std::size_t kMany = 40;
  // Student's t with 39 degrees of freedom: of 99 % between -t and t.
  static constexpr double kQuantile99 = 2.708;

  // `all`: how many observations there will be; those after them are let go.
  explicit Batches(std::uint64_t all) : batch_(all / kMany) { means_.reserve(kMany); }

  void add(double value) {
    sum_ += value;
    if (++count_ < batch_ || done()) return;
    means_.push_back(sum_ / static_cast<double>(batch_));
    sum_ = 0;
    count_ = 0;
  }

  bool done() const { return means_.size() == kMany; }

  double mean() const {
    double sum = 0;
    for (double m : means_) sum += m;
    return sum / static_cast<double>(means_.size());
  }

  double standard_error() const {
    const double middle = mean();
    double squares = 0;
    for (double m : means_) squares += (m - middle) * (m - middle);
    const auto n = static_cast<double>(means_.size());
    return std::sqrt(squares / (n - 1) / n);
  }

 private:
  std::uint64_t batch_, count_ = 0;
  double sum_ = 0;
  std::vector<double> means_;
};

}  // namespace sim
