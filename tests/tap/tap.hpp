// SPDX-License-Identifier: MIT
//
// What a Boost.Test program of this project includes: Boost.Test itself and SKIP.
//
// main.cpp beside this file gives every test program its main() and turns results into TAP lines
// (`ok N - suite/case`), so a test is written as usual with BOOST_AUTO_TEST_CASE.
#pragma once

#include <boost/test/unit_test.hpp>
#include <string>

namespace tap {

// Marks the running test case as skipped. Call it through SKIP. Not thread safe: test cases run one
// after the other on the main thread.
void skip(const std::string& reason);

}  // namespace tap

// Ends the test case as `ok N - name # SKIP reason`. For use in the body of a test case, not in what
// it calls. Assertions that failed before it still fail the case.
#define SKIP(reason)   \
  do {                 \
    ::tap::skip(reason); \
    return;            \
  } while (0)
