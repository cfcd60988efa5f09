// SPDX-License-Identifier: MIT
//
// The faults of what a provider does: registering its engine.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "faults.hpp"
#include "module.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(fail_nth_provider)

BOOST_AUTO_TEST_CASE(registering_an_engine) {
  NEED_DEVICE();
  NEED_FAULTS();
  BOOST_REQUIRE_EQUAL(load_module("provider/aiaccel_provider.ko", "preemptible=1"), 0);
  {
    const Context context;
    const Fd parameter(open("/sys/module/aiaccel_provider/parameters/engine", O_WRONLY));
    BOOST_REQUIRE(parameter.get() >= 0);
    const auto put = [&](const char* value) {
      return pwrite(parameter.get(), value, 1, 0) == 1 ? 0 : errno;
    };
    const uint32_t engines = context.query().nr_engines;
    BOOST_REQUIRE_EQUAL(put("0"), 0);
    sweep({.name = "registering an engine",
           .errors = {ENOMEM, EFAULT},
           .least = 3,
           .call = [&] { return put("1"); },
           .undo = [&] { BOOST_TEST(put("0") == 0); },
           .prepare = {},
           .look = [&](int err) { BOOST_TEST(context.query().nr_engines == engines - !!err); }});
  }
  BOOST_TEST(unload_module("aiaccel_provider") == 0);
}

BOOST_AUTO_TEST_SUITE_END()
