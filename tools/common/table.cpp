// SPDX-License-Identifier: MIT
//
// See table.hpp.
#include "common/table.hpp"

#include <algorithm>
#include <stdexcept>

namespace tools {
namespace {

constexpr std::size_t gap = 2;

// A column that is still shown, and how wide.
struct Shown {
  std::size_t index;
  std::size_t width;
};

std::size_t total_width(const std::vector<Shown>& shown) {
  std::size_t total = shown.empty() ? 0 : gap * (shown.size() - 1);
  for (const Shown& s : shown) total += s.width;
  return total;
}

}  // namespace

void Table::add(const std::vector<std::string>& cells) {
  if (cells.size() != columns_.size()) throw std::logic_error("a row needs one cell a column");
  std::vector<std::string> row;
  for (const std::string& cell : cells) row.push_back(printable(cell));
  rows_.push_back(std::move(row));
}

std::vector<std::string> Table::lines(std::size_t width) const {
  std::vector<Shown> shown;
  for (std::size_t i = 0; i < columns_.size(); i++) {
    std::size_t widest = columns(columns_[i].title);
    for (const auto& row : rows_) widest = std::max(widest, columns(row[i]));
    shown.push_back({i, widest});
  }

  const auto narrowest = [&](const Shown& s) {
    const std::size_t least = columns_[s.index].at_least;
    return least == 0 ? s.width : std::min(s.width, least);
  };
  const auto rank = [&](const Shown& s) { return columns_[s.index].rank; };
  for (;;) {
    std::size_t least = total_width(shown);
    for (const Shown& s : shown) least -= s.width - narrowest(s);
    if (least <= width) break;
    // The rightmost of the highest rank.
    auto victim = shown.end();
    for (auto it = shown.begin(); it != shown.end(); ++it)
      if (rank(*it) > 0 && (victim == shown.end() || rank(*it) >= rank(*victim))) victim = it;
    if (victim == shown.end()) break;
    shown.erase(victim);
  }
  while (total_width(shown) > width) {
    // One column of width at a time from the widest that may still be cut: tables are small.
    auto widest = shown.end();
    for (auto it = shown.begin(); it != shown.end(); ++it)
      if (it->width > narrowest(*it) && (widest == shown.end() || it->width > widest->width))
        widest = it;
    if (widest == shown.end()) break;
    widest->width--;
  }

  std::vector<std::string> result;
  const auto put = [&](const auto& cell_of) {
    std::string line;
    for (const Shown& s : shown) {
      if (&s != &shown.front()) line.append(gap, ' ');
      line += fit(cell_of(s.index), s.width, columns_[s.index].align);
    }
    if (columns(line) > width) line = fit(line, width);
    line.erase(line.find_last_not_of(' ') + 1);
    result.push_back(std::move(line));
  };
  put([&](std::size_t i) { return columns_[i].title; });
  for (const auto& row : rows_) put([&](std::size_t i) { return row[i]; });
  return result;
}

}  // namespace tools
