// SPDX-License-Identifier: MIT
//
// A table in aligned columns that gives way when the terminal is narrow: first the widest text is
// cut, as far as its column allows; then whole columns go, the least important first.
//
// A plain value. Cells are made printable when they are added.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/text.hpp"

namespace tools {

struct Column {
  std::string title;
  Align align = Align::left;
  int rank = 0;              // columns of the highest rank go first; 0 stays
  std::size_t at_least = 0;  // its text may be cut down to this width; 0: is never cut
};

class Table {
 public:
  static constexpr std::size_t unlimited = static_cast<std::size_t>(-1);

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // One cell a column.
  void add(const std::vector<std::string>& cells);

  std::size_t size() const { return rows_.size(); }

  // The heading, then a line a row, none wider than `width`, without blanks at the end. What does
  // not fit even then is cut at the right.
  std::vector<std::string> lines(std::size_t width = unlimited) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace tools
