// SPDX-License-Identifier: MIT
//
// What every test program includes first, so that tests/build.mk can have it compiled once.
#include <boost/test/unit_test.hpp>
