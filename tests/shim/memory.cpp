// SPDX-License-Identifier: MIT
//
// Device memory under the shim: counted, capped, reserved among processes, and given back.
#include <unistd.h>

#include "host.hpp"

using namespace shim_test;

namespace {

// Less than the stand-in itself has, so that it is not the driver who refuses.
constexpr const char* kSmallGpu =
    "gpu GPU-61696163-6365-6c20-7374-616e642d696e\nname small\npci 0000:65:00.0\nmemory 1073741824 "
    "0\n";

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct SmallHost : Host {
  SmallHost() : Host(kSmallGpu) {}
};

}  // namespace

BOOST_AUTO_TEST_SUITE(memory)

BOOST_FIXTURE_TEST_CASE(the_cap_of_the_environment_holds, Host) {
  Program program("dlsym", "begin info alloc:60 info alloc:60 free info alloc:60 say:done",
                  {{"AIACCEL_DEVICE_BYTES", "100M"}});
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.output() ==
             "info 100 100 100\ninfo 40 100 100\nalloc: error 2\ninfo 100 100 100\ndone\n");
  BOOST_TEST(
      program.complaints() ==
      "aiaccel: out of device memory: 60.00 MiB more asked for, this process holds 60.00 MiB of "
      "100.00 MiB (AIACCEL_DEVICE_BYTES)\n");
}

// As the files of the policy have them, and the options of aiaccel exec.
BOOST_FIXTURE_TEST_CASE(what_the_environment_says_is_read_as_elsewhere, Host) {
  for (const char* bytes : {"104857600", "102400K", "unlimited", "1P"}) {
    Program program("dlsym", "begin info", {{"AIACCEL_DEVICE_BYTES", bytes}});
    BOOST_TEST(program.end() == 0);
    BOOST_TEST((program.output() == "info 100 100 100\n") == (bytes[1] == '0'), bytes);
    BOOST_TEST(program.complaints() == "", bytes);
  }
  Program program("dlsym", "begin info alloc:1",
                  {{"AIACCEL_DEVICE_BYTES", "100MB"},
                   {"AIACCEL_ON_MISSING", "ajar"},
                   {"AIACCEL_CLASS", "first"}});
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(
      program.complaints() ==
      "aiaccel: AIACCEL_CLASS=first: idle, low, normal or high is expected; it is not heeded\n"
      "aiaccel: AIACCEL_DEVICE_BYTES=100MB: bytes such as 512M or 10G, or unlimited is "
      "expected; it is not heeded\n"
      "aiaccel: AIACCEL_ON_MISSING=ajar: open or closed is expected; it is not heeded\n");
}

BOOST_FIXTURE_TEST_CASE(every_kind_of_allocation_counts, Host) {
  Program program("proc_v2", "begin alloc_async:10 array:20 create:30 context:40 info say:done",
                  {{"AIACCEL_DEVICE_BYTES", "100M"}});
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.output() ==
             "info 90 100 100\ninfo 80 100 100\ninfo 70 100 100\ninfo 100 100 100\ninfo 100 100 "
             "100\ndone\n");
}

BOOST_FIXTURE_TEST_CASE(what_is_held_goes_with_the_primary_context, Host) {
  Program program("dlsym",
                  "begin alloc:60 release begin info launch:2 alloc:60 release begin info begin "
                  "alloc:60 release info say:done",
                  {{"AIACCEL_DEVICE_BYTES", "100M"}});
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.output() == "info 100 100 100\ninfo 100 100 100\ninfo 40 100 100\ndone\n");
}

// What was allocated in a green context is the primary one's, and goes with that.
BOOST_FIXTURE_TEST_CASE(green_contexts_end_and_their_memory_with_the_primary_one, Host) {
  Program program("dlsym", "begin launch:1 green:40 info green:30:1 say:done",
                  {{"AIACCEL_DEVICE_BYTES", "100M"}});
  const pid_t pid = program.pid();
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.output() == "info 60 100 100\ninfo 100 100 100\ninfo 100 100 100\ndone\n");
  BOOST_TEST(log_of(pid).size() == 3U);
}

BOOST_FIXTURE_TEST_CASE(processes_share_what_the_engine_has, SmallHost) {
  Operator operator_;
  Program one("dlsym", "begin info alloc:700 say:held wait");
  one.expect("held");
  BOOST_TEST(one.output() == "info 1024 1024 1024\nheld\n");
  BOOST_TEST(operator_.reserved() >= 700U << 20);
  Program two("dlsym", "begin info alloc:700 say:refused wait alloc:700 say:held");
  two.expect("refused");
  BOOST_TEST(has(two.output(), "alloc: error 2\n"));
  BOOST_TEST(
      two.complaints() ==
      "aiaccel: out of device memory: 700.00 MiB more asked for, this process holds 0 B; the "
      "memory of the engine refuses: 324.00 MiB of 1.00 GiB left\n");
  one.kill();  // what it held comes back
  two.go_on();
  two.expect("held");
  BOOST_TEST(!has(two.output(), "alloc: touched"));
  BOOST_TEST(two.end() == 0);
}

// What a process reserves and does not use is little beside what its tenant may have.
BOOST_FIXTURE_TEST_CASE(what_fits_under_a_ceiling_is_had, SmallHost) {
  Operator operator_;
  operator_.limit_memory(100U << 20);
  Program one("dlsym", "begin alloc:1 say:held wait");
  one.expect("held");
  BOOST_TEST(operator_.reserved() <= 4U << 20);
  Program two("dlsym", "begin alloc:90 say:held");
  two.expect("held");
  BOOST_TEST(two.end() == 0);
  BOOST_TEST(two.output() == "held\n");
}

// Programs ask it of each device there is.
BOOST_FIXTURE_TEST_CASE(who_asks_for_the_total_holds_nothing_open, SmallHost) {
  Operator operator_;
  operator_.limit_memory(100U << 20);
  Program program("dlsym", "begin total total say:told wait");
  program.expect("told");
  BOOST_TEST(program.output() == "total 100\ntotal 100\ntold\n");
  const uint64_t until = late();
  while (operator_.others() != 0 && now_ns() < until) usleep(1000);
  BOOST_TEST(operator_.others() == 0U);
}

BOOST_FIXTURE_TEST_CASE(a_reservation_is_made_anew_with_the_next_broker, SmallHost) {
  Program program("dlsym",
                  "begin launch:1 sync alloc:300 say:held wait launch:1 sync say:done wait");
  program.expect("held");
  broker().kill();
  program.go_on();
  program.expect("done");
  broker().start();
  Operator operator_;
  const uint64_t until = late();
  while (operator_.reserved() < 300U << 20 && now_ns() < until) usleep(1000);
  BOOST_TEST(operator_.reserved() >= 300U << 20);
}

BOOST_AUTO_TEST_SUITE_END()
