// SPDX-License-Identifier: MIT
//
// Text for terminals: what is safe to print, how wide it is, numbers as people read them.
//
// Widths and printability are those of the locale that setlocale(LC_CTYPE, …) chose: in the C
// locale every byte above 127 prints as `?`.
//
// Threads: as setlocale(3): any, once the locale is chosen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tools {

enum class Align { left, right };

// `text` with everything that is not printable (control characters, broken UTF-8) as `?`, so that a
// name which another user chose cannot send escapes to this terminal; marks of the direction of
// writing too, with which a name reads as another.
std::string printable(std::string_view text);

// Terminal columns of printable text.
std::size_t columns(std::string_view text);

// Exactly `width` columns: filled with blanks, or cut, the last column then being an ellipsis.
std::string fit(std::string_view text, std::size_t width, Align align = Align::left);

std::string bytes_text(std::uint64_t bytes);                // "512 B", "4.1 GiB", "71 GiB"
std::string duration_text(std::uint64_t ns);                // "340 us", "1.2 ms", "12 s"
std::string rate_text(double per_second);                   // "0.4", "31", "12k"
std::string percent_text(double fraction);                  // "61 %"
std::string count_text(std::uint64_t n, const char* noun);  // "1 queue", "2 queues"

// True where colours are wanted on descriptor `fd`: a terminal, and neither NO_COLOR nor TERM=dumb.
bool wants_colour(int fd);

// Columns of the terminal on `fd`; `otherwise` where it is none.
std::size_t terminal_columns(int fd, std::size_t otherwise);

}  // namespace tools
