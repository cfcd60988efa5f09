// SPDX-License-Identifier: MIT
//
// The arbiter goes, comes back, drains or leaves under programs that run.
#include <unistd.h>

#include <csignal>

#include "broker/address.h"
#include "broker/rules.hpp"
#include "host.hpp"

using namespace shim_test;

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void wait_for_complaint(Program& program, const std::string& part) {
  const uint64_t until = late();
  while (!has(program.complaints(), part) && now_ns() < until) usleep(1000);
  BOOST_REQUIRE_MESSAGE(has(program.complaints(), part), program.complaints());
}

// Told to go on, it says so and runs nothing; once it may, it does, and ends.
template <typename Allow>
void goes_on_only_after(Host& host, Program& program, const std::string& complaint, Allow allow) {
  const size_t ran = host.log().size();
  program.go_on();
  wait_for_complaint(program, complaint);
  usleep(100'000);
  BOOST_TEST(host.log().size() == ran);
  allow();
  program.expect("again");
  BOOST_TEST(program.end() == 0);
}

aiaccel_device* open_broker() {
  aiaccel_device* device = nullptr;
  BOOST_REQUIRE_EQUAL(aiaccel_open("broker", &device), 0);
  return device;
}

const Environment kOpen = {{"AIACCEL_ON_MISSING", "open"}};
const Environment kClosed = {{"AIACCEL_ON_MISSING", "closed"}};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(missing, Host)

BOOST_AUTO_TEST_CASE(open_goes_on_and_comes_back_under_the_gate) {
  Program program(
      "dlsym",
      "begin launch:3 sync say:gated wait launch:3 sync say:alone wait launch:3:100 sync "
      "say:again",
      kOpen);
  program.expect("gated");
  broker().kill();
  program.go_on();
  program.expect("alone");
  wait_for_complaint(program, "launches go ungated");
  broker().start();
  wait_for_complaint(program, "gated again");
  Operator holder;
  holder.hold();
  const size_t ran = log().size();
  program.go_on();
  usleep(100'000);
  BOOST_TEST(log().size() == ran);
  holder.let_go();
  program.expect("again");
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.output() == "gated\nalone\nagain\n");
}

BOOST_AUTO_TEST_CASE(closed_waits_until_there_is_one_again) {
  Operator operator_;
  Program program("dlsym", "begin launch:3 sync say:gated wait launch:3 sync say:again", kClosed);
  program.expect("gated");
  operator_.wait_until_free();  // a turn that is held lets launches by until it is seen to be gone
  broker().kill();
  goes_on_only_after(*this, program, "launches wait", [&] { broker().start(); });
}

// The broker dies while the program is in the middle of its launches, which all come to run.
BOOST_AUTO_TEST_CASE(a_broker_that_dies_under_launches_loses_none) {
  Program program("dlsym", "begin launch:300:1000 sync say:done", kOpen);
  const pid_t pid = program.pid();
  const uint64_t until = late();
  while (log().size() < 50 && now_ns() < until) usleep(1000);
  broker().kill();
  program.expect("done");
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.output() == "done\n");
  BOOST_TEST(log_of(pid).size() == 300U);
}

// Threads whose launches take long in the driver: hardly ever is nobody inside.
BOOST_AUTO_TEST_CASE(a_program_that_never_pauses_is_gated_again) {
  Program busy("dlsym", "begin threads:4:1000000",
               {{"AIACCEL_ON_MISSING", "open"}, {"AIACCEL_STANDIN_LAUNCH_NS", "300000"}});
  const uint64_t until = late();
  while (log_of(busy.pid()).empty() && now_ns() < until) usleep(1000);
  broker().kill();
  wait_for_complaint(busy, "launches go ungated");
  broker().start();
  wait_for_complaint(busy, "gated again");
  Operator holder;
  holder.hold();
  const size_t ran = log_of(busy.pid()).size();
  usleep(100'000);
  BOOST_TEST(log_of(busy.pid()).size() == ran);
}

// It keeps its socket, and answers nothing: to who has a turn, who waits for one and who comes.
BOOST_AUTO_TEST_CASE(a_broker_that_hangs_holds_nobody_up) {
  Operator holder;
  Program idle("dlsym",
               "begin launch:3 alloc:1 sync say:gated wait launch:3 alloc:200 sync say:alone",
               kOpen);
  idle.expect("gated");
  holder.hold();
  Program waits("dlsym", "begin launch:3 sync say:alone", kOpen);
  const uint64_t until = late();
  while (holder.stats().jobs_waiting == 0 && now_ns() < until) usleep(1000);
  kill(broker().pid(), SIGSTOP);
  Program comes("dlsym", "begin launch:3 sync say:alone", kOpen);
  idle.go_on();
  for (Program* program : {&idle, &waits, &comes}) {
    program->expect("alone");
    BOOST_TEST(program->end() == 0);
    BOOST_TEST(has(program->complaints(), "launches go ungated"));
  }
  kill(broker().pid(), SIGCONT);
}

BOOST_AUTO_TEST_CASE(who_is_evicted_waits_again) {
  Operator holder;
  holder.hold();
  Program program("dlsym", "begin launch:3 sync say:done", kOpen);
  const uint64_t until = late();
  for (int i = 0; i < 2; ++i) {
    while (holder.stats().jobs_waiting == 0 && now_ns() < until) usleep(1000);
    holder.evict(program.pid());
    usleep(100'000);
    BOOST_TEST(log().empty());
  }
  holder.let_go();
  program.expect("done");
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.complaints() == "");
}

BOOST_AUTO_TEST_CASE(nobody_there_from_the_first) {
  broker().kill();
  Program open("dlsym", "begin launch:3 sync say:done", kOpen);
  BOOST_TEST(open.end() == 0);
  BOOST_TEST(open.output() == "done\n");
  BOOST_TEST(has(open.complaints(), "no turns to be had"));
}

// As programs do in the middle of an upgrade.
BOOST_AUTO_TEST_CASE(who_starts_without_one_is_gated_by_the_next) {
  broker().kill();
  Program open("dlsym", "begin launch:3 sync say:alone wait launch:3 sync say:again", kOpen);
  Program closed("dlsym", "begin launch:3 sync say:gated", kClosed);
  open.expect("alone");
  wait_for_complaint(closed, "launches wait");
  usleep(100'000);
  BOOST_TEST(log_of(closed.pid()).empty());
  broker().start();
  closed.expect("gated");
  BOOST_TEST(closed.end() == 0);
  wait_for_complaint(open, "gated again");
  Operator holder;
  holder.hold();
  const size_t ran = log().size();
  open.go_on();
  usleep(100'000);
  BOOST_TEST(log().size() == ran);
  holder.let_go();
  open.expect("again");
  BOOST_TEST(open.end() == 0);
}

// Not the environment, which says nothing.
BOOST_AUTO_TEST_CASE(the_policy_of_the_broker_that_ended_says_whether_to_wait) {
  {
    conformance::Device root(open_broker());
    aiaccel_policy_rule closed = conformance::rule(geteuid());
    closed.sets = AIACCEL_SETS_ON_MISSING;
    closed.on_missing = AIACCEL_ON_MISSING_CLOSED;
    BOOST_REQUIRE(conformance::replace_rules(root, {closed}) == 0);
  }
  Operator operator_;
  Program program("dlsym", "begin launch:3 sync say:gated wait launch:3 sync say:again");
  program.expect("gated");
  operator_.wait_until_free();
  broker().kill();
  goes_on_only_after(*this, program, "launches wait", [&] { broker().start(); });
}

// The library would start one. It would be the program's child, in its class and its cgroup.
BOOST_AUTO_TEST_CASE(the_shim_starts_no_broker) {
  broker().kill();
  Program program(
      "dlsym", "children:0 begin launch:3 alloc:1 sync children:1",
      {{"AIACCEL_ON_MISSING", "open"}, {"AIACCELD", conformance::BrokerServer::program()}});
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.output() == "children 0\n");
  BOOST_TEST(!aiaccel::broker_listens());
}

BOOST_AUTO_TEST_CASE(a_draining_engine_is_waited_for) {
  Operator operator_;
  Program program("dlsym", "begin launch:3 sync say:gated wait launch:3 sync say:again", kOpen);
  program.expect("gated");
  operator_.wait_until_free();  // a turn that is held goes on
  operator_.set_state(AIACCEL_ENGINE_DRAINING);
  goes_on_only_after(*this, program, "takes no work for now",
                     [&] { operator_.set_state(AIACCEL_ENGINE_ACTIVE); });
}

// One that launches nothing and holds memory, and one that launches without a pause.
BOOST_AUTO_TEST_CASE(an_arbiter_that_leaves_is_let_go_at_once) {
  Operator operator_;
  Program idle("dlsym", "begin alloc:1 launch:3 sync say:gated wait launch:3 sync say:again",
               kOpen);
  idle.expect("gated");
  operator_.wait_until_free();
  Program busy("dlsym", "begin launch:100000:20000 sync", kOpen);
  const uint64_t until = late();
  while (log_of(busy.pid()).empty() && now_ns() < until) usleep(1000);
  Program holds("dlsym", "begin alloc:1 say:held wait", kOpen);  // and never launches
  holds.expect("held");
  Program handles("dlsym", "begin hold:1 say:held wait", kOpen);  // nor has an address
  handles.expect("held");
  operator_.set_state(AIACCEL_ENGINE_LEAVING);
  wait_for_complaint(holds, "launches go ungated");
  wait_for_complaint(handles, "launches go ungated");
  wait_for_complaint(idle, "launches go ungated");
  wait_for_complaint(busy, "launches go ungated");
  while (operator_.others() != 0 && now_ns() < until) usleep(1000);
  BOOST_TEST(operator_.others() == 0U);
  const size_t ran = log_of(busy.pid()).size();
  while (log_of(busy.pid()).size() < ran + 10 && now_ns() < until) usleep(1000);
  BOOST_TEST(log_of(busy.pid()).size() >= ran + 10);
  operator_.set_state(AIACCEL_ENGINE_ACTIVE);
  wait_for_complaint(holds, "gated again");
  wait_for_complaint(handles, "gated again");
  wait_for_complaint(idle, "gated again");
  wait_for_complaint(busy, "gated again");
  busy.kill();
  idle.go_on();
  idle.expect("again");
  BOOST_TEST(idle.end() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
