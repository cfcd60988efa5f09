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
  BOOST_TEST(without.output().find("local default cuLaunchKernel: not there, error: "
                                   "cuLaunchKernel\n") != std::string::npos);
  BOOST_TEST(without.output().find("after default cuLaunchKernel: there, error: none\n") !=
             std::string::npos);
  BOOST_TEST(without.output().find("\npending: missing\nthen: none\n") != std::string::npos);
  Program with("ask", "-");
  BOOST_TEST(with.end() == 0);
  BOOST_TEST(with.output() == without.output());
  BOOST_TEST(with.complaints() == "");
}

// The functions of a driver whose cuGetProcAddress gives addresses that it does not export.
BOOST_AUTO_TEST_CASE(functions_are_known_by_name_and_version_too) {
  Program exported("meant", "-");
  BOOST_TEST(exported.end() == 0);
  const std::string all = exported.output();
  for (const char* line :
       {"cuLaunchKernel 4000 0: 0 cuLaunchKernel\n", "cuLaunchKernel 4000 2: 0 cuLaunchKernel\n",
        "cuLaunchKernel 13000 2: 0 cuLaunchKernel_ptsz\n",
        "cuMemcpyHtoD 3020 2: 0 cuMemcpyHtoD_v2\n",
        "cuMemcpyHtoD 13000 2: 0 cuMemcpyHtoD_v2_ptds\n",
        "cuStreamBeginCapture 10000 1: 0 cuStreamBeginCapture\n",
        "cuStreamBeginCapture 10010 1: 0 cuStreamBeginCapture_v2\n",
        "cuInit 2000 0: 0 the driver's\n"})
    BOOST_TEST(all.find(line) != std::string::npos, line);
  Program separate("meant", "-", {{"AIACCEL_STANDIN_SEPARATE", "1"}});
  BOOST_TEST(separate.end() == 0);
  BOOST_TEST(separate.output() == all);
  BOOST_TEST(separate.complaints() == "");
}

BOOST_AUTO_TEST_CASE(objects_may_go_while_their_references_are_turned_round) {
  Program program("storm", build_folder() + "/shim/plugin.so");
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.output() == "unloaded 5000, past the shim 0\n");
}

BOOST_AUTO_TEST_SUITE_END()
