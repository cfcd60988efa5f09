// SPDX-License-Identifier: MIT
//
// main() of every Boost.Test program: prints results as TAP on the stdout that it was started with.
//
// - A result line is written the moment its test case ends, by one write(2), so that a crash later
//   loses nothing and forked children repeat nothing.
// - Boost's messages go before the result line as `# ` lines.
// - The plan comes last, from main() only: no plan means that the program did not get to its end.
// - A forked child that comes out of its part of a test, by a signal that Boost caught or by returning,
//   ends there with status 99: it must not go through the remaining test cases a second time.
// - No test case run is a failure, as is a failure that belongs to no test case.
// - Each test case is marked in the kernel's log, and has a time limit: guard.hpp.
//
// Arguments after `--` belong to the tests (boost::unit_test::framework::master_test_suite().argv).
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <ostream>
#include <streambuf>
#include <string>

#include "tap/guard.hpp"
#include "tap/tap.hpp"

namespace {

namespace ut = boost::unit_test;

// Where TAP goes, whatever a test does with descriptor 1.
int g_out = STDOUT_FILENO;

void put(const std::string& line) {
  std::string text = line + "\n";
  if (write(g_out, text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(74);
}

// What Boost logs, as comment lines.
class CommentBuf : public std::streambuf {
 protected:
  int_type overflow(int_type c) override {
    if (c == '\n') {
      put("# " + line_);
      line_.clear();
    } else if (c != traits_type::eof()) {
      line_.push_back(static_cast<char>(c));
    }
    return traits_type::not_eof(c);
  }

 private:
  std::string line_;
};

class Observer : public ut::test_observer {
 public:
  // False where no test case can be limited.
  bool set_up() { return limit_.set_up(g_out); }

  void test_unit_start(const ut::test_unit& unit) override {
    if (unit.p_type != ut::TUT_CASE) return;
    failed_ = false;
    skip_reason_.clear();
    if (!tap::mark_kernel_log(unit.full_name())) put("# /dev/kmsg cannot be written to");
    limit_.start("not ok " + std::to_string(count_ + 1) + " - " + unit.full_name());
  }

  void test_unit_finish(const ut::test_unit& unit, unsigned long) override {
    end_child();
    if (unit.p_type != ut::TUT_CASE) return;
    limit_.stop();
    std::string line = (failed_ ? "not ok " : "ok ") + std::to_string(++count_) + " - " + unit.full_name();
    if (failed_)
      any_failed_ = true;
    else if (!skip_reason_.empty())
      line += " # SKIP " + skip_reason_;
    put(line);
    failed_ = false;
  }

  void test_unit_aborted(const ut::test_unit&) override { failed_ = true; }
  void test_unit_timed_out(const ut::test_unit&) override { failed_ = true; }
  void exception_caught(const boost::execution_exception&) override {
    end_child();
    failed_ = true;
  }
  void assertion_result(ut::assertion_result result) override {
    if (result == ut::AR_FAILED) failed_ = true;
  }

  // After the observers of Boost itself: before them, Boost 1.74 reads a flag that it has not set yet
  // and may give up without running a test.
  int priority() override { return 100; }

  void skip(const std::string& reason) { skip_reason_ = reason.empty() ? "no reason given" : reason; }

  // Prints what the test cases could not, then the plan. Returns the exit status of the program.
  int finish(int boost_status) {
    if (count_ == 0)
      put("not ok " + std::to_string(++count_) + " - no test case was run");
    else if (boost_status != 0 && !any_failed_)
      put("not ok " + std::to_string(++count_) + " - a failure outside the test cases (above)");
    else if (!any_failed_)
      boost_status = 0;
    put("1.." + std::to_string(count_));
    return boost_status == 0 && count_ > 0 && !any_failed_ ? 0 : 1;
  }

 private:
  void end_child() const {
    if (getpid() != pid_) _exit(99);
  }

  const pid_t pid_ = getpid();
  int count_ = 0;
  bool failed_ = false;
  bool any_failed_ = false;
  tap::Limit limit_;
  std::string skip_reason_;
};

// Never destroyed: Boost's own statics may still report when main() has returned.
Observer& g_observer = *new Observer;
CommentBuf& g_comments = *new CommentBuf;
std::ostream& g_log = *new std::ostream(&g_comments);

bool init() {
  ut::unit_test_log.set_stream(g_log);
  ut::framework::register_observer(g_observer);
  return true;
}

bool only_lists(int argc, char** argv) {
  for (int i = 1; i < argc && std::string(argv[i]) != "--"; ++i) {
    std::string arg = argv[i];
    if (arg.starts_with("--list_") || arg == "--help" || arg == "-?" || arg == "--version") return true;
  }
  return false;
}

}  // namespace

void tap::skip(const std::string& reason) { g_observer.skip(reason); }

int main(int argc, char** argv) {
  // Results are told by TAP alone; what is given on the command line still wins.
  setenv("BOOST_TEST_REPORT_LEVEL", "no", 0);
  setenv("BOOST_TEST_COLOR_OUTPUT", "no", 0);
  // Above the descriptors that tests count on being free, and not for what they execute.
  int copy = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 200);
  if (copy >= 0) g_out = copy;
  if (!g_observer.set_up()) {
    put("# no time limit: AIACCEL_TEST_LIMIT is not a number of seconds, or there are no timers");
    return 74;
  }
  int status = ut::unit_test_main(init, argc, argv);
  return only_lists(argc, argv) ? status : g_observer.finish(status);
}
