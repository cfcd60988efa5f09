// SPDX-License-Identifier: MIT
//
// Allocations that fail: a program that links fail_new.cpp has an operator new that throws when it
// is told to, on the thread that told it.
#pragma once

#include "tap/tap.hpp"

namespace fail_new {

inline constexpr long kNever = -1;

// How many allocations of this thread succeed until one fails, which sets it to kNever.
extern thread_local long g_until_failure;

// Calls `call` with the allocation of each number failing, until there is none of such a number;
// after each, `check` gets its result, and whether one failed.
template <typename Call, typename Check>
void each_allocation(Call call, Check check) {
  for (long number = 0;; ++number) {
    g_until_failure = number;
    const int result = call();
    const bool failed = g_until_failure == kNever;
    g_until_failure = kNever;
    BOOST_TEST_CONTEXT("allocation " << number) check(result, failed);
    if (!failed) {
      BOOST_TEST(number > 0);
      return;
    }
  }
}

}  // namespace fail_new
