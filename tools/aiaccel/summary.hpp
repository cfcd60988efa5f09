// SPDX-License-Identifier: MIT
//
// What a tensor holds, in a few numbers.
//
// Threads: any.
#pragma once

#include <aiaccel/tensor.hpp>

#include <cstddef>
#include <optional>
#include <vector>

namespace tools {

struct Summary {
  std::size_t elements = 0;
  std::size_t not_finite = 0;            // infinities and NaNs, which min, mean and max leave out
  std::optional<double> min, mean, max;  // nothing where there is no finite number
  std::vector<double> first;             // the first eight values
};

// Complex numbers have no order: nothing but `elements` is set.
Summary summarise(const aiaccel::Tensor& tensor);

}  // namespace tools
