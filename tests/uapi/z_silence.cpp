// SPDX-License-Identifier: MIT
//
// After all other files, as test cases run in the order of their files: nothing that they did, all
// refusals included, made the kernel write to its log. Users could fill it otherwise.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "row.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(z_silence)

namespace {

// What a busy machine says of its clocks.
const char* const kClocks[] = {"hrtimer: ", "clocksource: ", "perf: "};

// Where the log ends as the program begins. Only root can open it.
const Fd& log_from_the_start() {
  static const Fd fd = [] {
    Fd log(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    lseek(log.get(), 0, SEEK_END);
    return log;
  }();
  return fd;
}

const bool kOpened = log_from_the_start().get() >= 0;

}  // namespace

BOOST_AUTO_TEST_CASE(nothing_made_the_kernel_log) {
  NEED_DEVICE();
  BOOST_REQUIRE(kOpened);
  char record[8192];
  ssize_t length;
  while ((length = read(log_from_the_start().get(), record, sizeof(record) - 1)) > 0) {
    record[length] = 0;
    // "<facility * 8 + level>,...;text": the kernel's own facility is 0, programs write with others
    if (strtol(record, nullptr, 10) >= 8) continue;
    const std::string text = strchr(record, ';') + 1;
    const bool clocks = std::any_of(std::begin(kClocks), std::end(kClocks),
                                    [&](const char* by) { return text.rfind(by, 0) == 0; });
    BOOST_TEST(clocks, text);
  }
  BOOST_TEST(errno == EAGAIN);
}

BOOST_AUTO_TEST_SUITE_END()
