// SPDX-License-Identifier: MIT
//
// `aiaccel exec` and the shim on the module: the stand-in GPU is an engine that ENGINE_REGISTER
// made, and the kernel decides whose turn it is. In the virtual machine; what else the shim does is
// in the other files, on the broker.
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "host.hpp"
#include "standin/cuda/device.h"

using namespace shim_test;

namespace {

bool has_module() {
  return access("/dev/aiaccel", F_OK) == 0;
}

// The GPU as the module's engine, as an operator registers it; it goes at the end.
class Registered : public Gpu {
 public:
  Registered() {
    if (!has_module()) return;
    BOOST_REQUIRE_EQUAL(aiaccel_open("kernel", &device_), 0);
    aiaccel_engine_register arg{};
    arg.size = sizeof arg;
    arg.kind = AIACCEL_ENGINE_GPU;
    arg.enforcement = AIACCEL_GATED;
    arg.slots = 1;
    arg.numa_node = -1;
    strcpy(arg.name, standin::kUuidText);
    strcpy(arg.alias, standin::kPciAddress);
    strcpy(arg.provider, "shim-tests");
    BOOST_REQUIRE_EQUAL(aiaccel_call(device_, AIACCEL_IOC_ENGINE_REGISTER, &arg), 0);
    engine_ = arg.id;
  }
  ~Registered() {
    if (!device_) return;
    aiaccel_engine_unregister arg{};
    arg.size = sizeof arg;
    arg.id = engine_;
    BOOST_TEST(aiaccel_call(device_, AIACCEL_IOC_ENGINE_UNREGISTER, &arg) == 0);
    aiaccel_close(device_);
  }

 private:
  aiaccel_device* device_ = nullptr;
  uint32_t engine_ = 0;
};

// Somebody else at that engine.
struct Rival : Operator {
  Rival() : Operator(standin::kUuidText, "kernel") {}
};

// A client under `aiaccel exec`.
struct Executed : Program {
  Executed(const char* class_, const std::string& steps)
      : Program("dlsym", steps, {{"AIACCEL_TRANSPORT", "kernel"}},
                {build_folder() + "/bin/aiaccel", "exec", "--class", class_, "--"}) {}
};

// Its turns that ended so.
long ended(Operator& operator_, pid_t pid, uint32_t state) {
  const auto turns = operator_.turns_of(pid);
  return std::ranges::count(turns, state, &aiaccel_stats_turn::state);
}

}  // namespace

#define NEED_MODULE() \
  if (!has_module()) SKIP("no /dev/aiaccel here: run through tests/vm/run")

BOOST_FIXTURE_TEST_SUITE(module, Registered)

BOOST_AUTO_TEST_CASE(what_exec_starts_waits_for_the_modules_turn) {
  NEED_MODULE();
  Rival rival;
  rival.hold();
  Executed program("normal", "begin say:begun launch:5:1000 sync say:done");
  const pid_t pid = program.pid();  // exec becomes the program
  program.expect("begun");
  wait_until_waiting(rival, 1);
  usleep(100'000);  // long enough for what must not happen
  BOOST_TEST(log().empty());
  rival.let_go();
  program.expect("done");
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.complaints() == "");
  BOOST_TEST(log_of(pid).size() == 5U);
  BOOST_TEST(log().size() == 5U);
  BOOST_TEST(ended(rival, pid, AIACCEL_TURN_COMPLETED) >= 1);
}

// A low one saturates the engine; between two kernels of the high one none of it runs.
BOOST_AUTO_TEST_CASE(it_runs_in_the_order_of_classes) {
  NEED_MODULE();
  Executed low("low", "begin launch:100000:1000 sync");
  const pid_t low_pid = low.pid();
  const uint64_t until = late();
  while (log_of(low_pid).size() < 20 && now_ns() < until) usleep(1000);
  Executed high("high", "begin launch:10:1000 sync say:done");
  const pid_t high_pid = high.pid();
  high.expect("done");
  BOOST_TEST(high.end() == 0);
  const std::vector<Ran> ours = log_of(high_pid), theirs = log_of(low_pid);
  BOOST_REQUIRE_EQUAL(ours.size(), 10U);
  BOOST_TEST(std::ranges::none_of(theirs, [&](const Ran& ran) {
    return ran.start_ns > ours.front().start_ns && ran.start_ns < ours.back().start_ns;
  }));
  while (log_of(low_pid).size() < theirs.size() + 5 && now_ns() < until) usleep(1000);
  BOOST_TEST(log_of(low_pid).size() >= theirs.size() + 5);  // it goes on
}

// Nothing stops a kernel: the slot goes on when budget and grace are over, counts as contended for
// as long as the kernel runs, and the program works on.
BOOST_AUTO_TEST_CASE(a_kernel_past_budget_and_grace_loses_the_slot) {
  NEED_MODULE();
  Executed program("normal", "begin launch:1:5000000 say:launched sync launch:3:100 sync say:done");
  const pid_t pid = program.pid();
  Rival rival;
  program.expect("launched");
  rival.hold(AIACCEL_CLASS_NORMAL);
  BOOST_TEST(log_of(pid).empty());  // in the log when it is over
  BOOST_TEST(rival.info().contended == 1U);
  const auto turns = rival.turns_of(pid);
  const auto lost = std::ranges::find(turns, static_cast<uint32_t>(AIACCEL_TURN_REVOKED),
                                      &aiaccel_stats_turn::state);
  BOOST_REQUIRE(lost != turns.end());
  BOOST_TEST(lost->ended_ns - lost->granted_ns >=
             AIACCEL_BUDGET_DEFAULT_NS + rival.info().grace_ns);
  rival.let_go();
  program.expect("done");
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.complaints() == "");
  BOOST_TEST(log_of(pid).size() == 4U);
  BOOST_TEST(ended(rival, pid, AIACCEL_TURN_REVOKED) == 1);
  BOOST_TEST(rival.info().contended == 0U);
}

BOOST_AUTO_TEST_CASE(the_slot_of_a_killed_program_comes_back) {
  NEED_MODULE();
  Executed program("normal", "begin launch:1:50000000 say:launched sync");
  Rival rival;
  program.expect("launched");
  BOOST_TEST(rival.stats().slots_used == 1U);
  program.kill();
  rival.hold();  // and not when its 50 s are over
  BOOST_TEST(rival.info().contended == 0U);
  rival.let_go();
}

BOOST_AUTO_TEST_SUITE_END()
