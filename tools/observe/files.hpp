// SPDX-License-Identifier: MIT
//
// The one way in which tools/observe reads the system: below two folders, /proc and /sys or
// recordings of them.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace observe {

struct Root {
  std::string proc = "/proc";
  std::string sys = "/sys";
};

// The whole file; nothing where it cannot be read. What is longer than 64 MiB is cut there.
std::optional<std::string> read_file(const std::string& path);

// The first line without blanks at its end; "" where it cannot be read.
std::string read_line(const std::string& path);

std::optional<std::uint64_t> read_number(const std::string& path);

// What the link at `path` says, "" where it is none.
std::string read_link(const std::string& path);

// The names in a folder, in no order; nothing where it may not be read or is not there.
std::optional<std::vector<std::string>> names_in(const std::string& folder);

// The symbolic links in a folder: the name, and what it says.
std::optional<std::vector<std::pair<std::string, std::string>>> links_in(const std::string& folder);

// Takes the first line off `text`, without its end.
std::string_view take_line(std::string_view& text);

// Takes blanks and the word behind them off `text`; "" at its end.
std::string_view take_word(std::string_view& text);

// The whole of `text` as a decimal number.
std::optional<std::uint64_t> number(std::string_view text);

// "12 kB", "3 MiB" or plain "70": bytes, as status and fdinfo write them. Nothing where that is
// more than 64 bits.
std::optional<std::uint64_t> amount(std::string_view text);

}  // namespace observe
