// SPDX-License-Identifier: MIT
//
// Text for terminals out of names that others chose: what is printed has the width that it was
// given and sends no escapes.
#include "libfuzzer/fuzz.hpp"

#include <clocale>

#include "common/table.hpp"
#include "common/text.hpp"

namespace {

void check_printable(const std::string& text) {
  for (const char c : text) MUST(static_cast<unsigned char>(c) >= 32 && c != 127);
  MUST(tools::printable(text) == text);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  MUST(std::setlocale(LC_CTYPE, "C.UTF-8"));
  return 0;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  std::vector<tools::Column> columns(1 + in.below(4));
  for (tools::Column& column : columns) {
    column.title = tools::printable(in.text(12));
    column.align = in.below(2) ? tools::Align::left : tools::Align::right;
    column.rank = static_cast<int>(in.below(4));
    column.at_least = in.below(12);
  }
  tools::Table table(columns);
  for (unsigned rows = in.below(5); rows; --rows) {
    std::vector<std::string> cells;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const std::string text = in.text(60);
      const std::string shown = tools::printable(text);
      check_printable(shown);
      const std::size_t width = in.below(40);
      for (tools::Align align : {tools::Align::left, tools::Align::right})
        MUST(tools::columns(tools::fit(shown, width, align)) == width);
      cells.push_back(text);
    }
    table.add(cells);
  }
  const std::size_t width = in.below(120);
  const std::vector<std::string> lines = table.lines(width);
  MUST(lines.size() == table.size() + 1);
  for (const std::string& line : lines) {
    check_printable(line);
    MUST(tools::columns(line) <= width);
  }

  tools::bytes_text(in.number());
  tools::duration_text(in.number());
  tools::rate_text(in.take<double>());
  tools::percent_text(in.take<double>());
  return 0;
}
