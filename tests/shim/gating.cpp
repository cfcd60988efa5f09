// SPDX-License-Identifier: MIT
//
// Programs that know nothing of aiaccel, under the shim, in front of a stand-in GPU: what they
// launch waits for the engine however they found the driver, and runs in the order of classes.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>

#include "host.hpp"

using namespace shim_test;

namespace {

// Long enough for what must not happen to have happened, were nothing in its way.
void wait_a_while() {
  usleep(100'000);
}

struct Way {
  const char* name;
  Environment environment = {};
};
const Environment kSeparate = {{"AIACCEL_STANDIN_SEPARATE", "1"}};
const Way kWays[] = {{"linked"},
                     {"plugin"},
                     {"deepbind"},
                     {"deepbind_lazy"},
                     {"dlsym"},
                     {"dlvsym"},
                     {"default"},
                     {"next"},
                     {"proc"},
                     {"proc_v2"},
                     {"proc_thread"},
                     {"proc_proc"},
                     {"proc_v2", kSeparate},
                     {"proc_thread", kSeparate},
                     {"proc_proc", kSeparate}};

constexpr const char* kUuid = "GPU-61696163-6365-6c20-7374-616e642d696e";  // the stand-in's

struct ManyGpus : Host {
  ManyGpus() : Host(described()) {}

  // Of twenty the stand-in's is the last.
  static std::string described() {
    std::string gpus;
    for (int i = 10; i < 29; ++i) {
      const std::string number = std::to_string(i);
      gpus += "gpu GPU-00000000-0000-0000-0000-0000000000" + number + "\npci 0000:" + number;
      gpus += ":00.0\n";
    }
    return gpus + "gpu " + kUuid + "\npci 0000:65:00.0\n";
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(gating, Host)

// The holder of the engine is the test: no kernel may run before it lets go.
BOOST_AUTO_TEST_CASE(every_way_to_the_driver_is_gated) {
  Operator holder;
  holder.hold();
  std::vector<std::unique_ptr<Program>> programs;
  for (const Way& way : kWays)
    programs.push_back(std::make_unique<Program>(
        way.name, "begin say:begun launch:1:100:7 ex cooperative sync say:done", way.environment));
  for (auto& program : programs) program->expect("begun");
  wait_until_waiting(holder, std::size(kWays));
  wait_a_while();
  BOOST_TEST(log().empty());
  holder.let_go();
  for (size_t i = 0; i < std::size(kWays); ++i) {
    BOOST_TEST_CONTEXT(i << " " << kWays[i].name) {
      const pid_t pid = programs[i]->pid();
      programs[i]->expect("done");
      BOOST_TEST(programs[i]->end() == 0);
      BOOST_TEST(programs[i]->output() == "begun\ndone\n");
      BOOST_TEST(programs[i]->complaints() == "");
      BOOST_TEST(log_of(pid).size() == 3U);
    }
  }
}

// Of tests/standin/programs: written as CUDA programs are, one of them compiled by nvcc.
BOOST_AUTO_TEST_CASE(programs_of_others_are_gated) {
  const std::string work = " kernels=20 us=100 tag=1";
  std::vector<std::pair<std::string, std::string>> all = {{"cuda-linked", ""},
                                                          {"cuda-linked", "streams=per-thread"},
                                                          {"cuda-linked", "graph=5 streams=own"}};
  for (const char* way : {"dlsym", "dlsym-ptsz", "deepbind", "proc", "proc-ptsz", "proc2",
                          "proc2-ptsz", "plugin", "plugin-deepbind"})
    all.emplace_back("cuda-loaded", std::string("reach=") + way);
  const bool has_nvcc = access((build_folder() + "/standin/cuda-nvcc").c_str(), X_OK) == 0;
  if (has_nvcc) all.emplace_back("cuda-nvcc", "");

  Operator holder;
  holder.hold();
  std::vector<std::unique_ptr<Program>> programs;
  for (const auto& [name, options] : all)
    programs.push_back(std::make_unique<Program>(name, options + work));
  wait_until_waiting(holder, static_cast<uint32_t>(all.size()));
  wait_a_while();
  BOOST_TEST(log().empty());
  holder.let_go();
  for (size_t i = 0; i < all.size(); ++i) {
    BOOST_TEST_CONTEXT(all[i].first << " " << all[i].second) {
      const pid_t pid = programs[i]->pid();
      BOOST_TEST(programs[i]->end() == 0);
      BOOST_TEST(programs[i]->complaints() == "");
      BOOST_TEST(!holder.turns_of(pid).empty());
    }
  }
  BOOST_TEST(log().size() > 20 * all.size());
  if (!has_nvcc) SKIP("of a program compiled by nvcc: none that takes this compiler");
}

BOOST_AUTO_TEST_CASE(large_copies_and_graphs_are_gated_and_small_copies_are_not) {
  Operator holder;
  Program copy("dlsym", "begin wait copy:4 say:copied");
  Program graph("dlsym", "begin wait graph:3:100 say:ran");
  holder.hold();
  copy.go_on();
  graph.go_on();
  graph.expect("captured");  // though the engine is another's: what is captured does not run
  wait_until_waiting(holder, 2);
  wait_a_while();
  BOOST_TEST(log().empty());
  holder.let_go();
  copy.expect("copied");
  graph.expect("ran");
  BOOST_TEST(copy.end() == 0);
  BOOST_TEST(graph.end() == 0);
  BOOST_TEST(copy.output() == "copied\n");
  BOOST_TEST(graph.output() == "captured\nran\n");
  BOOST_TEST(log().size() == 3U);
}

// Captures in global mode beside work of which the shim wants to know when it is done.
BOOST_AUTO_TEST_CASE(captures_are_left_alone) {
  for (const char* way : {"dlsym", "proc_thread"}) {
    Program program(
        way,
        "begin launch:21:500 graph:5:100:0 stream launch:20:500 graph:5:100 launch:9:300 "
        "graph:5:100 "
        "sync say:done",
        {{"AIACCEL_CLASS", "high"}});
    const pid_t pid = program.pid();
    BOOST_TEST(program.end() == 0);
    BOOST_TEST(program.output() == "captured\ncaptured\ncaptured\ndone\n");
    BOOST_TEST(log_of(pid).size() == 65U);
    BOOST_TEST(program.complaints() == "");
  }
}

// What was launched before a capture is seen to end, though neither its stream nor the default one
// can be asked about while the capture goes on.
BOOST_AUTO_TEST_CASE(a_capture_that_goes_on_keeps_nobody_waiting) {
  for (const char* before : {"stream launch:3:2000", "launch:3:2000 stream:0",
                             "stream:0 launch:3:2000 default launch:3:2000 stream:0"}) {
    BOOST_TEST_CONTEXT(before) {
      Program program("dlsym", std::string("begin ") + before +
                                   " capture say:captures wait launch:2 capture_end say:done");
      program.expect("captures");
      Operator holder;
      holder.hold(AIACCEL_CLASS_IDLE);
      program.go_on();
      program.expect("done");  // what is captured does not wait
      holder.let_go();
      BOOST_TEST(program.end() == 0);
      BOOST_TEST(program.output() == "captures\ndone\n");
      BOOST_TEST(program.complaints() == "");
    }
  }
}

// A saturating low process. From when a high one asks for its turn no more runs of the low one than
// what can be under way, which is what it may launch at first, and nothing until the high one is
// done.
BOOST_AUTO_TEST_CASE(high_waits_for_the_low_window_and_no_more) {
  constexpr int kFirstWindow = 4;
  Program low("dlsym", "begin launch:100000:1000 sync", {{"AIACCEL_CLASS", "low"}});
  const pid_t low_pid = low.pid();
  const uint64_t until = late();
  while (log().size() < 20 && now_ns() < until) usleep(1000);
  Operator operator_;
  for (int i = 0; i < 3; ++i) {
    Program high("dlsym", "begin launch:10:1000 sync say:done", {{"AIACCEL_CLASS", "high"}});
    const pid_t high_pid = high.pid();
    high.expect("done");
    BOOST_TEST(high.end() == 0);
    const std::vector<Ran> ours = log_of(high_pid);
    BOOST_REQUIRE_EQUAL(ours.size(), 10U);
    const std::vector<aiaccel_stats_turn> turns = operator_.turns_of(high_pid);
    BOOST_REQUIRE(!turns.empty());
    const uint64_t asked_ns = std::min_element(turns.begin(), turns.end(), [](auto& a, auto& b) {
                                return a.submitted_ns < b.submitted_ns;
                              })->submitted_ns;
    BOOST_TEST(asked_ns < ours.front().start_ns);
    int before = 0;
    int between = 0;
    for (const Ran& ran : log_of(low_pid)) {
      before += ran.start_ns > asked_ns && ran.start_ns < ours.front().start_ns;
      between += ran.start_ns > ours.front().start_ns && ran.start_ns < ours.back().start_ns;
    }
    BOOST_TEST(before <= kFirstWindow);
    BOOST_TEST(between == 0);
  }
  const size_t ran = log_of(low_pid).size();
  while (log_of(low_pid).size() < ran + 5 && now_ns() < until) usleep(1000);  // it goes on
  BOOST_TEST(log_of(low_pid).size() >= ran + 5);
}

BOOST_AUTO_TEST_CASE(threads_streams_and_contexts) {
  Program program("linked",
                  "begin threads:6:60 context:8 stream launch:5 destroy default "
                  "launch:5 sync threads:6:20 say:done");
  const pid_t pid = program.pid();
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.output() == "done\n");
  BOOST_TEST(program.complaints() == "");
  BOOST_TEST(log_of(pid).size() == 6U * 60 + 1 + 10 + 6 * 20);
}

BOOST_AUTO_TEST_CASE(a_child_harms_nobody_and_a_program_that_it_becomes_is_gated) {
  Program program("dlsym",
                  "begin launch:3 sync fork launch:3 sync exec:begin,launch:2,sync "
                  "launch:1 sync say:done");
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.output() == "child launch 1\ndone\n");
  BOOST_TEST(program.complaints() == "");
  BOOST_TEST(log().size() == 9U);

  Operator holder;
  Program parent("dlsym", "begin wait exec:begin,launch:2,sync say:done");
  holder.hold();
  parent.go_on();
  wait_until_waiting(holder, 1);
  wait_a_while();
  BOOST_TEST(log().size() == 9U);
  holder.let_go();
  parent.expect("done");
  BOOST_TEST(parent.end() == 0);
}

BOOST_AUTO_TEST_CASE(exits_are_clean) {
  Program with_handler("linked", "begin atexit launch:3 sync");
  BOOST_TEST(with_handler.end() == 0);
  BOOST_TEST(with_handler.output() == "late\n");
  Program in_flight("dlsym", "begin launch:50:1000");  // and goes, while they run
  BOOST_TEST(in_flight.end() == 0);
  Program nothing("dlsym", "say:nothing");
  BOOST_TEST(nothing.end() == 0);
  // The engine is free.
  Operator holder;
  holder.hold();
  holder.let_go();
}

// An exit handler that runs after the shim's own, and takes its time.
BOOST_AUTO_TEST_CASE(a_program_that_takes_long_to_exit_keeps_no_turn) {
  Program program("dlsym", "linger begin launch:3 sync", {{"AIACCEL_CLASS", "high"}});
  program.expect("lingers");
  Operator operator_;
  operator_.wait_until_free();
  program.go_on();
  BOOST_TEST(program.end() == 0);
}

// The driver waits for what runs in the context. A turn that ended before would let others in.
BOOST_AUTO_TEST_CASE(a_context_that_is_destroyed_keeps_the_turn_until_its_work_is_done) {
  Operator operator_;
  Program program("dlsym", "begin context:1:1000000 sync say:done wait");
  const uint64_t until = late();
  while (operator_.stats().granted == 0 && now_ns() < until) usleep(1000);
  operator_.wait_until_free();
  BOOST_TEST(log().size() == 1U);
  program.expect("done");
  BOOST_TEST(program.complaints() == "");
}

BOOST_AUTO_TEST_CASE(the_turn_of_a_killed_program_comes_back) {
  Program program("dlsym", "begin launch:1000:50000:5");
  const uint64_t until = late();
  Operator holder;
  while (holder.stats().slots_used == 0 && now_ns() < until) usleep(1000);
  program.kill();
  holder.hold();  // as soon as it is gone, and not when its 50 s are over
  holder.let_go();
}

// A quantum of 50 ms is over twenty times while the last launches run, of which a window of ten is
// under way, and ends the turn only where others wait.
BOOST_FIXTURE_TEST_CASE(nobody_waits_for_the_last_of_many_engines, ManyGpus) {
  Operator operator_(kUuid);
  Program program("dlsym", "begin launch:32:2000 sync launch:500:2000 sync say:done",
                  {{"AIACCEL_CLASS", "high"}});
  program.expect("done");
  BOOST_TEST(operator_.stats().granted > 0U);
  BOOST_TEST(operator_.stats().granted < 10U);
}

// Its budget of a second is over when somebody comes, and its kernels take longer than the grace:
// it would lose the turn, were that not renewed while nobody waited.
BOOST_AUTO_TEST_CASE(a_long_turn_alone_ends_in_peace_when_somebody_comes) {
  Program program("dlsym", "begin launch:1:200000 sync launch:8:200000 sync say:done");
  const pid_t pid = program.pid();
  const uint64_t until = late();
  while (log_of(pid).size() < 7 && now_ns() < until) usleep(10'000);
  Operator rival;
  rival.hold(AIACCEL_CLASS_NORMAL);
  rival.let_go();
  program.expect("done");
  rival.wait_until_free();
  BOOST_TEST(!rival.turns_of(pid).empty());
  for (const auto& turn : rival.turns_of(pid))
    BOOST_TEST(turn.state == static_cast<uint32_t>(AIACCEL_TURN_COMPLETED));
}

// Nothing stops a kernel. The turn goes to who waits for it, and the program works on.
BOOST_AUTO_TEST_CASE(a_kernel_longer_than_the_budget_loses_the_turn_and_nothing_else) {
  Program program("dlsym", "begin launch:1:2500000 sync launch:3:100 sync say:done");
  const pid_t pid = program.pid();
  Operator rival;
  const uint64_t until = late();
  while (rival.stats().slots_used == 0 && now_ns() < until) usleep(1000);
  rival.hold(AIACCEL_CLASS_NORMAL);
  BOOST_TEST(log_of(pid).size() < 4U);
  rival.let_go();
  program.expect("done");
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.complaints() == "");
  BOOST_TEST(log_of(pid).size() == 4U);
  const auto turns = rival.turns_of(pid);
  BOOST_TEST(std::ranges::count_if(
                 turns, [](const auto& turn) { return turn.state == AIACCEL_TURN_REVOKED; }) == 1);
}

// Programs that do nothing do not keep the engine.
BOOST_AUTO_TEST_CASE(an_idle_program_gives_the_engine_back) {
  Program program("dlsym", "begin launch:3 sync say:idle wait launch:3 sync say:done",
                  {{"AIACCEL_CLASS", "high"}});
  program.expect("idle");
  Operator holder;
  holder.hold(AIACCEL_CLASS_IDLE);
  program.go_on();
  wait_until_waiting(holder, 1);
  holder.let_go();
  program.expect("done");
}

// A driver newer than our table: its launch works, ungated, and is told of, once.
BOOST_AUTO_TEST_CASE(a_launch_that_no_table_knows_is_told) {
  Program program("newer", "-", {{"LD_LIBRARY_PATH", build_folder() + "/shim/newer"}});
  BOOST_TEST(program.end() == 0);
  BOOST_TEST(program.output() == "42\n42\n");
  BOOST_TEST(
      program.complaints() ==
      "aiaccel: cuLaunchKernelByWish of this driver is in no table of ours: what it launches goes "
      "ungated\n");
}

BOOST_AUTO_TEST_SUITE_END()
