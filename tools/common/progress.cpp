// SPDX-License-Identifier: MIT
//
// See progress.hpp.
#include "common/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "common/text.hpp"

namespace tools {
namespace {

constexpr std::chrono::milliseconds kInterval{100};
constexpr std::size_t kBar = 24;

// To the line's begin, and empty from there.
constexpr const char* kErase = "\r\033[K";

}  // namespace

std::string progress_line(std::string_view what, std::uint64_t done_bytes,
                          std::uint64_t total_bytes, double seconds, std::size_t width) {
  done_bytes = total_bytes ? std::min(done_bytes, total_bytes) : done_bytes;
  const double share =
      total_bytes ? static_cast<double>(done_bytes) / static_cast<double>(total_bytes) : 0;
  std::string numbers;
  if (total_bytes) {
    const auto full = static_cast<std::size_t>(share * kBar);
    numbers = fmt::format("  [{}{}] {:3.0f} %  {} of {}", std::string(full, '#'),
                          std::string(kBar - full, ' '), share * 100, bytes_text(done_bytes),
                          bytes_text(total_bytes));
  } else if (done_bytes) {
    numbers = "  " + bytes_text(done_bytes);
  }
  if (done_bytes && seconds >= 1)
    numbers += fmt::format(
        "  {}/s",
        bytes_text(static_cast<std::uint64_t>(static_cast<double>(done_bytes) / seconds)));
  const std::string name = printable(what);
  if (columns(name) + columns(numbers) <= width) return name + numbers;
  // The numbers say more than the name does.
  if (columns(numbers) + 4 <= width) return fit(name, width - columns(numbers)) + numbers;
  return fit(name, std::min(columns(name), width));
}

bool can_redraw(int fd, const char* terminal) {
  return ::isatty(fd) && terminal && std::string_view(terminal) != "dumb";
}

ProgressBar::ProgressBar() : wanted_(can_redraw(STDERR_FILENO, std::getenv("TERM"))) {}

ProgressBar::~ProgressBar() {
  if (drawn_) fmt::print(stderr, "{}", kErase);
}

void ProgressBar::show(std::string_view what, std::uint64_t done_bytes, std::uint64_t total_bytes) {
  if (!wanted_) return;
  const Clock::time_point now = Clock::now();
  if (what != what_) {
    what_ = what;
    began_ = now;
    next_ = now + kInterval;  // what is done at once is not shown
  }
  if (now < next_) return;
  next_ = now + kInterval;
  drawn_ = true;
  const double seconds = std::chrono::duration<double>(now - began_).count();
  fmt::print(stderr, "{}{}", kErase,
             progress_line(what, done_bytes, total_bytes, seconds,
                           terminal_columns(STDERR_FILENO, 80) - 1));
  std::fflush(stderr);
}

}  // namespace tools
