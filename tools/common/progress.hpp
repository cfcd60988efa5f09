// SPDX-License-Identifier: MIT
//
// How far long work is: one line on stderr that is drawn again, and only where that is a terminal.
//
// Belongs to one thread. The line is gone when the bar is, so that what follows, an error too,
// stands alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace tools {

class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Draws some times a second at most. `total` 0: nobody knows.
  void show(std::string_view what, std::uint64_t done_bytes, std::uint64_t total_bytes);

 private:
  using Clock = std::chrono::steady_clock;

  bool wanted_;
  bool drawn_ = false;
  std::string what_;
  Clock::time_point began_, next_;
};

// Whether a line can be drawn again there: a terminal that is not `dumb`, as an editor's is.
bool can_redraw(int fd, const char* terminal);

// The line: what, a bar, percent, bytes, speed; none wider than `width` columns.
std::string progress_line(std::string_view what, std::uint64_t done_bytes,
                          std::uint64_t total_bytes, double seconds, std::size_t width);

}  // namespace tools
