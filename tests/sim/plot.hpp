// SPDX-License-Identifier: MIT
//
// Curves over time as an SVG picture. All is counted in integers, so that the same figures make the
// same file everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sim {

struct Curve {
  std::string name;
  std::vector<std::uint64_t> values;  // one a step; 0: there is none
};

struct Mark {
  std::uint64_t value;
  std::string name;
};

struct Plot {
  std::string title;
  std::vector<Curve> curves{};
  std::vector<Mark> marks;  // of the vertical axis, from the bottom to the top
  bool by_ratio = false;    // like steps up are like ratios
  std::uint64_t steps_a_second = 1;
};

std::string svg(const Plot& plot);

}  // namespace sim
