// SPDX-License-Identifier: MIT
//
// Children of the demo: see demo_child.hpp for what is said.

#include "aiaccel/demo_child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <iostream>

#include "common/failure.hpp"

namespace tools {
namespace {

constexpr int kNoGroup = 126;

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) throw std::system_error(errno, std::generic_category(), "cannot tell a client");
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

// Between fork and exec: only calls that are safe there.
[[noreturn]] void become(const char* role, const std::vector<std::string>& procs, int in, int out) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const std::string& file : procs) {
    const int fd = ::open(file.c_str(), O_WRONLY);
    if (fd < 0 || ::write(fd, "0", 1) != 1) ::_exit(kNoGroup);
    ::close(fd);
  }
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::execl("/proc/self/exe", "aiaccel", "demo", "--role", role, nullptr);
  ::_exit(127);
}

}  // namespace

Child::Child(std::string role, const Json& config, const std::vector<std::string>& procs)
    : role_(std::move(role)) {
  int down[2], up[2];
  if (::pipe2(down, O_CLOEXEC) < 0 || ::pipe2(up, O_CLOEXEC) < 0)
    throw std::system_error(errno, std::generic_category(), "cannot make a pipe");
  pid_ = ::fork();
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "cannot fork");
  if (pid_ == 0) become(role_.c_str(), procs, down[0], up[1]);
  ::close(down[0]);
  ::close(up[1]);
  to_ = down[1];
  from_ = up[0];
  ::signal(SIGPIPE, SIG_IGN);  // a client that died is told by what it did not answer
  write_all(to_, json_text(config, -1) + "\n");
}

Child::~Child() {
  if (pid_ > 0) kill();
  ::close(to_);
  ::close(from_);
}

void Child::kill() {
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
  pid_ = -1;
}

// Waits for the end of a child that said nothing any more, and says what it was.
std::string Child::end() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
  pid_ = -1;
  if (WIFSIGNALED(status)) return fmt::format("was killed by signal {}", WTERMSIG(status));
  if (WEXITSTATUS(status) == kNoGroup) return "could not enter its control group";
  return fmt::format("ended with status {}", WEXITSTATUS(status));
}

std::string Child::read_line() {
  std::string line;
  for (char c;;) {
    const ssize_t got = ::read(from_, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw Failure("the demo's client '" + role_ + "' " + end(), "");
    if (c == '\n') return line;
    line += c;
  }
}

void Child::wait_ready() {
  if (const std::string line = read_line(); line != "ready")
    throw Failure("the demo's client '" + role_ + "' says: " + line, "");
}

void Child::start(Clock::time_point begin) {
  write_all(to_, std::to_string(begin.time_since_epoch().count()) + "\n");
}

Json Child::result() {
  const Json result = Json::parse(read_line());
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
  pid_ = -1;
  return result;
}

Clock::time_point start_together(const std::vector<Child*>& children) {
  for (Child* child : children) child->wait_ready();
  const Clock::time_point begin = Clock::now() + std::chrono::milliseconds(500);
  for (Child* child : children) child->start(begin);
  return begin;
}

Json read_config() {
  std::string line;
  if (!std::getline(std::cin, line))
    throw Failure("this role of the demo is started by the demo itself", "aiaccel demo",
                  exit_usage);
  return Json::parse(line);
}

Clock::time_point ready_and_wait() {
  std::cout << "ready" << std::endl;
  std::string line;
  std::getline(std::cin, line);
  return Clock::time_point(std::chrono::nanoseconds(std::stoll(line)));
}

void write_result(const Json& result) {
  std::cout << json_text(result, -1) << std::endl;
}

}  // namespace tools
