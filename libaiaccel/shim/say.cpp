// SPDX-License-Identifier: MIT
//
// Lines for the user; see say.h. Written at once, so that they do not mix with those of other
// processes, and past stdio, whose locks may be held by whoever we interrupt.
#include "shim/say.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

namespace aiaccel::shim {
namespace {

constexpr uint64_t kPauseNs = 10'000'000'000;

// Read once, as the settings are. Never freed: we may have something to say to the end.
const std::string& log_file() {
  static const std::string* const file = [] {
    const char* named = secure_getenv("AIACCEL_SHIM_LOG");
    return new std::string(named ? named : "");
  }();
  return *file;
}

void write_line(const char* line, size_t length) {
  const std::string& file = log_file();
  int fd = STDERR_FILENO;
  if (!file.empty()) fd = open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) fd = STDERR_FILENO;
  const ssize_t written = write(fd, line, length);
  (void)written;  // there is nobody else to tell
  if (fd != STDERR_FILENO) close(fd);
}

}  // namespace

uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void prepare_to_say() {
  log_file();
}

void Topic::say(const char* format, ...) {
  const uint64_t now = monotonic_ns();
  uint64_t last = last_ns_.load(std::memory_order_relaxed);
  if (last != 0 && now - last < kPauseNs) return;
  if (!last_ns_.compare_exchange_strong(last, now, std::memory_order_relaxed)) return;

  const int error = errno;
  char line[512];
  const size_t head = static_cast<size_t>(snprintf(line, sizeof line, "aiaccel: "));
  va_list arguments;
  va_start(arguments, format);
  const int wanted = vsnprintf(line + head, sizeof line - head - 1, format, arguments);
  va_end(arguments);
  if (wanted >= 0) {
    const size_t length = std::min(head + static_cast<size_t>(wanted), sizeof line - 2);
    line[length] = '\n';
    write_line(line, length + 1);
  }
  errno = error;
}

}  // namespace aiaccel::shim
