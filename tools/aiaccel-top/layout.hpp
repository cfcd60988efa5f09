// SPDX-License-Identifier: MIT
//
// From a Report to lines of text, for the screen and for --once alike. Pure: no terminal, no clock.
#pragma once

#include <string>
#include <vector>

#include "aiaccel-top/sample.hpp"

namespace tools {

// What `s` goes through. Each sorts the most of it first.
enum class Sort { rate, wait, waiting, priority, pid };

std::string sort_name(Sort sort);
Sort next_sort(Sort sort);

enum class Style { plain, heading, strong, faint, alarm };

struct Line {
  std::string text;
  Style style = Style::plain;
};

struct View {
  std::size_t width = 80;
  std::size_t height = 24;
  Sort sort = Sort::rate;
  std::size_t first_queue = 0;  // how many queues are scrolled past
  bool help = false;            // the keys instead of the queues
};

// Every line there is, as wide as it needs to be.
std::vector<Line> layout_all(const Report& report, Sort sort);

// At most view.height lines of at most view.width columns. What does not fit is left out from the
// tables of engines and tenants first, as `(N more)`, then from the queues.
std::vector<Line> layout_screen(const Report& report, const View& view);

}  // namespace tools
