// SPDX-License-Identifier: MIT
//
// Curves over time as an SVG picture: plot.hpp.

#include "sim/plot.hpp"

#include <algorithm>
#include <bit>

namespace sim {

namespace {

constexpr std::int64_t kLeft = 60, kTop = 30, kWide = 600, kHigh = 240;
constexpr const char* kColours[] = {"#b2182b", "#2166ac", "#4d9221", "#762a83", "#b35806"};

// 1024 for each doubling, straight in between: a logarithm that every machine agrees on.
std::int64_t doublings(std::uint64_t value) {
  const int whole = std::bit_width(value) - 1;
  const std::uint64_t rest = value - (1ULL << whole);
  return 1024 * whole + static_cast<std::int64_t>((rest << 10) >> whole);
}

class Axis {
 public:
  explicit Axis(const Plot& plot)
      : by_ratio_(plot.by_ratio),
        bottom_(scaled(plot.marks.front().value)),
        top_(scaled(plot.marks.back().value)) {}

  std::int64_t y(std::uint64_t value) const {
    const std::int64_t at = std::clamp(scaled(value), bottom_, top_);
    return kTop + kHigh - (at - bottom_) * kHigh / (top_ - bottom_);
  }

 private:
  std::int64_t scaled(std::uint64_t value) const {
    return by_ratio_ ? doublings(value) : static_cast<std::int64_t>(value);
  }

  bool by_ratio_;
  std::int64_t bottom_, top_;
};

std::string text(std::int64_t x, std::int64_t y, const std::string& anchor,
                 const std::string& what) {
  return "<text x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\" text-anchor=\"" +
         anchor + "\">" + what + "</text>\n";
}

std::string line(std::int64_t x, std::int64_t y, std::int64_t to_x, std::int64_t to_y) {
  return "<path d=\"M" + std::to_string(x) + " " + std::to_string(y) + "L" + std::to_string(to_x) +
         " " + std::to_string(to_y) + "\" stroke=\"#ccc\"/>\n";
}

}  // namespace

std::string svg(const Plot& plot) {
  const Axis axis(plot);
  std::size_t steps = 0;
  for (const Curve& curve : plot.curves) steps = std::max(steps, curve.values.size());
  const auto x = [&](std::size_t step) {
    return kLeft + static_cast<std::int64_t>(step) * kWide / static_cast<std::int64_t>(steps);
  };

  std::string out =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 800 310\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n"
      "<!-- SPDX-License-Identifier: MIT; drawn by make plots -->\n"
      "<rect width=\"800\" height=\"310\" fill=\"#fff\"/>\n";
  out += text(kLeft, 18, "start", plot.title);
  for (const Mark& mark : plot.marks) {
    const std::int64_t y = axis.y(mark.value);
    out += line(kLeft, y, kLeft + kWide, y) + text(kLeft - 6, y + 4, "end", mark.name);
  }
  const std::size_t seconds = steps / plot.steps_a_second;
  for (std::size_t s = 0; s <= seconds; s += seconds / 6)
    out += text(x(s * plot.steps_a_second), kTop + kHigh + 18, "middle", std::to_string(s) + " s");

  for (std::size_t i = 0; i < plot.curves.size(); i++) {
    const std::string colour = kColours[i % std::size(kColours)];
    std::string path;
    bool gap = true;
    for (std::size_t step = 0; step < plot.curves[i].values.size(); step++) {
      const std::uint64_t value = plot.curves[i].values[step];
      if (value)
        path += (gap ? "M" : "L") + std::to_string(x(step)) + " " + std::to_string(axis.y(value));
      gap = !value;
    }
    out += "<path d=\"" + path + "\" fill=\"none\" stroke=\"" + colour + "\"/>\n";
    out += "<g fill=\"" + colour + "\">" +
           text(kLeft + kWide + 10, kTop + 14 + 18 * static_cast<std::int64_t>(i), "start",
                plot.curves[i].name) +
           "</g>\n";
  }
  return out + "</svg>\n";
}

}  // namespace sim
