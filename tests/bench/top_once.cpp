// SPDX-License-Identifier: MIT
//
// How long `aiaccel-top --once` takes on a host with 500 processes: this program makes as many as
// that host lacks, each with some open files, as servers have, and looks at 20 of them by name.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "row.hpp"

namespace {

constexpr int processes = 500;
constexpr int watched = 20;
constexpr int files = 32;
constexpr int rounds = 15;

int count_processes() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc"))
    count += entry.path().filename().native().find_first_not_of("0123456789") == std::string::npos;
  return count;
}

// A child that waits until this program ends.
pid_t make_process(int number) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NAME, number < watched ? "bench-model" : "bench-other");
  for (int i = 0; i < files; i++)
    if (::open("/dev/null", O_RDONLY) < 0) break;
  for (;;) ::pause();
}

// Milliseconds, or less than 0 where it failed.
double run_top(const std::string& program) {
  posix_spawn_file_actions_t quiet;
  ::posix_spawn_file_actions_init(&quiet);
  ::posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
  std::string once = "--once", watch = "--watch", name = "bench-model";
  char* const arguments[] = {const_cast<char*>(program.c_str()), once.data(), watch.data(),
                             name.data(), nullptr};
  const auto begin = std::chrono::steady_clock::now();
  pid_t pid = 0;
  int status = -1;
  if (::posix_spawn(&pid, program.c_str(), &quiet, nullptr, arguments, environ) == 0)
    ::waitpid(pid, &status, 0);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  ::posix_spawn_file_actions_destroy(&quiet);
  return status == 0 ? took.count() : -1;
}

}  // namespace

int main() {
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string program = self.parent_path().parent_path() / "bin/aiaccel-top";
  for (int i = 0, missing = processes - count_processes(); i < std::max(watched, missing); i++)
    if (make_process(i) < 0) {
      fmt::print(stderr, "cannot make {} processes: {}\n", processes, std::strerror(errno));
      return 77;
    }
  bench::Row row;
  row.name = fmt::format("adopt/top-once-{}", processes);
  row.unit = "ms";
  row.goal = 200;
  for (int i = 0; i < rounds; i++) {
    row.ours.push_back(run_top(program));
    if (row.ours.back() < 0) {
      fmt::print(stderr, "{} --once failed\n", program);
      return 1;
    }
  }
  bench::print(row);
  return 0;
}
