// SPDX-License-Identifier: MIT
//
// Test cases with planted faults: runner.sh runs them one at a time and looks at what they print.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <stdexcept>

#include "tap/tap.hpp"

BOOST_AUTO_TEST_SUITE(planted)

BOOST_AUTO_TEST_CASE(passes) { BOOST_TEST(getpid() > 0); }

BOOST_AUTO_TEST_CASE(fails) { BOOST_TEST(getpid() < 0); }

BOOST_AUTO_TEST_CASE(throws) { throw std::runtime_error("planted"); }

BOOST_AUTO_TEST_CASE(skips) { SKIP("planted reason"); }

BOOST_AUTO_TEST_CASE(fails_and_skips) {
  BOOST_TEST(getpid() < 0);
  SKIP("planted reason");
}

BOOST_AUTO_TEST_CASE(dies) { raise(SIGKILL); }

// In the kernel, where the module of planted faults is loaded.
BOOST_AUTO_TEST_CASE(warns) {
  std::ofstream fault("/sys/module/aiaccel_planted/parameters/fault");
  BOOST_TEST((fault << "warn" << std::flush).good());
}

BOOST_AUTO_TEST_CASE(hangs) { pause(); }

BOOST_AUTO_TEST_CASE(spins) {
  for (volatile bool on = true; on;) continue;
}

// What the child reports or prints must not be taken for the parent's.
BOOST_AUTO_TEST_CASE(forks) {
  const pid_t child = fork();
  if (child == 0) throw std::runtime_error("planted");
  int status = 0;
  waitpid(child, &status, 0);
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 99);
}

BOOST_AUTO_TEST_SUITE_END()
