// SPDX-License-Identifier: MIT
//
// What the dynamic linker tells programs of the driver, with the shim before it and without.
#include "host.hpp"

using namespace shim_test;

BOOST_FIXTURE_TEST_SUITE(lookup, Host)

BOOST_AUTO_TEST_CASE(the_dynamic_linker_answers_as_without_the_shim) {
  Program without("ask", "-", {{"LD_PRELOAD", ""}});
  BOOST_TEST(without.end() == 0);
  BOOST_TEST(without.output().find("before default cuLaunchKernel: not there, error: "
                                   "cuLaunchKernel\n") != std::string::npos);
  BOOST_TEST(without.output().find("after default cuLaunchKernel: there, error: none\n") !=
             std::string::npos);
  BOOST_TEST(without.output().find("\npending: missing\nthen: none\n") != std::string::npos);
  Program with("ask", "-");
  BOOST_TEST(with.end() == 0);
  BOOST_TEST(with.output() == without.output());
  BOOST_TEST(with.complaints() == "");
}

BOOST_AUTO_TEST_SUITE_END()
