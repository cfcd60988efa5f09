// SPDX-License-Identifier: MIT
//
// See text.hpp. Every function looks at a string one character at a time through next_character().
#include "common/text.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <langinfo.h>
#include <cstdlib>
#include <cwchar>
#include <cwctype>

namespace tools {
namespace {

struct Character {
  std::size_t bytes;  // how many of the string it takes, at least 1
  int width;          // columns; below zero: not printable
};

// They turn what stands behind them round, so that a name reads as another.
bool is_direction_mark(wchar_t c) {
  return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069);
}

Character next_character(std::string_view rest) {
  std::mbstate_t state{};
  wchar_t wide = 0;
  const std::size_t bytes = std::mbrtowc(&wide, rest.data(), rest.size(), &state);
  if (bytes == 0 || bytes > rest.size()) return {1, -1};  // a NUL, or no character
  if (is_direction_mark(wide)) return {bytes, -1};
  return {bytes, std::iswprint(static_cast<wint_t>(wide)) ? ::wcwidth(wide) : -1};
}

const char* ellipsis() {
  return std::string_view(::nl_langinfo(CODESET)) == "UTF-8" ? "…" : "~";
}

// One digit behind the point below ten, none above.
std::string short_number(double value) {
  return value < 9.95 ? fmt::format("{:.1f}", value) : fmt::format("{:.0f}", value);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const Character c = next_character(text.substr(at));
    if (c.width < 0)
      result += '?';
    else
      result += text.substr(at, c.bytes);
    at += c.bytes;
  }
  return result;
}

std::size_t columns(std::string_view text) {
  std::size_t total = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character c = next_character(text.substr(at));
    total += c.width < 0 ? 1 : static_cast<std::size_t>(c.width);
    at += c.bytes;
  }
  return total;
}

std::string fit(std::string_view text, std::size_t width, Align align) {
  const std::size_t all = columns(text);
  if (all <= width) {
    const std::string blanks(width - all, ' ');
    return align == Align::left ? std::string(text) + blanks : blanks + std::string(text);
  }
  if (width == 0) return {};
  std::size_t end = 0;
  std::size_t used = 0;
  for (;;) {
    const Character c = next_character(text.substr(end));
    const std::size_t next = used + (c.width < 0 ? 1 : static_cast<std::size_t>(c.width));
    if (next > width - 1) break;
    used = next;
    end += c.bytes;
  }
  // A wide character that did not fit leaves a column over.
  return std::string(text.substr(0, end)) + ellipsis() + std::string(width - 1 - used, ' ');
}

std::string bytes_text(std::uint64_t bytes) {
  static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1023.5 && unit + 1 < std::size(units)) {
    value /= 1024;
    unit++;
  }
  return short_number(value) + " " + units[unit];
}

std::string duration_text(std::uint64_t ns) {
  if (ns < 1000) return fmt::format("{} ns", ns);
  const double value = static_cast<double>(ns);
  if (value < 999.5e3) return short_number(value / 1e3) + " us";
  if (value < 999.5e6) return short_number(value / 1e6) + " ms";
  return short_number(value / 1e9) + " s";
}

std::string rate_text(double per_second) {
  if (per_second >= 9999.5) return short_number(per_second / 1000) + "k";
  return short_number(per_second);
}

std::string percent_text(double fraction) {
  return fmt::format("{:.0f} %", fraction * 100);
}

std::string count_text(std::uint64_t n, const char* noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

bool wants_colour(int fd) {
  const char* no_colour = std::getenv("NO_COLOR");
  if (no_colour && *no_colour) return false;
  const char* terminal = std::getenv("TERM");
  return ::isatty(fd) && terminal && *terminal && std::string_view(terminal) != "dumb";
}

std::size_t terminal_columns(int fd, std::size_t otherwise) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : otherwise;
}

}  // namespace tools
