// SPDX-License-Identifier: MIT
//
// How long `aiaccel-top --once` takes on a host with 500 processes: this program makes them, beside
// those that are there, each with some open files, as servers have, and looks at 20 of them by
// name.
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

// Processes that wait until this goes away.
class Host {
 public:
  // False, with errno: the system does not have as many.
  bool make() {
    int ready[2];
    if (::pipe(ready) != 0) return false;
    for (int i = 0; i < processes; i++) {
      const pid_t pid = ::fork();
      if (pid < 0) return false;
      if (pid == 0) be_one(i, ready[1]);
      pids_.push_back(pid);
    }
    ::close(ready[1]);
    char byte;
    while (::read(ready[0], &byte, 1) > 0) continue;  // ends once all of them have closed it
    ::close(ready[0]);
    return true;
  }

  ~Host() {
    for (const pid_t pid : pids_) ::kill(pid, SIGKILL);
    for (const pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
  }

 private:
  [[noreturn]] static void be_one(int number, int ready) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::prctl(PR_SET_NAME, number < watched ? "bench-model" : "bench-other");
    for (int i = 0; i < files; i++)
      if (::open("/dev/null", O_RDONLY) < 0) break;
    ::close(ready);
    for (;;) ::pause();
  }

  std::vector<pid_t> pids_;
};

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
  Host host;
  if (!host.make()) {
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
