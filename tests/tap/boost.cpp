// SPDX-License-Identifier: MIT
//
// Boost.Test itself, compiled from its headers, for programs that cannot be linked with the system's
// library: 32-bit ones (tests/uapi/build.mk).
#define BOOST_TEST_NO_MAIN
#include <boost/test/included/unit_test.hpp>
