// SPDX-License-Identifier: MIT
//
// What `aiaccel exec` adds to the start of a program: from fork to the end of true(1), with it and
// plainly, in turn. The row is the difference of each pair; its goal is a value.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "bench/row.hpp"

namespace {

constexpr int kPairs = 60;

// In milliseconds; below zero where it failed.
double run(std::vector<const char*> command) {
  command.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  const auto began = std::chrono::steady_clock::now();
  pid_t pid = -1;
  int status = -1;
  if (posix_spawn(&pid, command[0], &actions, nullptr, const_cast<char**>(command.data()),
                  environ) != 0 ||
      waitpid(pid, &status, 0) != pid || status != 0)
    return -1;
  posix_spawn_file_actions_destroy(&actions);
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
      .count();
}

}  // namespace

int main() {
  const std::string tool =
      std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin/aiaccel";
  bench::Row row{.name = "adopt/exec-start",
                 .ours = {},
                 .peer = {},
                 .peer_name = "",
                 .unit = "ms",
                 .goal = 50};
  for (int pair = 0; pair < kPairs; pair++) {
    const double plain = run({"/bin/true"});
    const double ours = run({tool.c_str(), "exec", "--class", "low", "--engine", "cpu0",
                             "--device-bytes", "1G", "--", "/bin/true"});
    if (plain < 0 || ours < 0) {
      std::fprintf(stderr, "%s exec does not run\n", tool.c_str());
      return 1;
    }
    if (pair > 0) row.ours.push_back(ours - plain);  // the first one reads files from the disk
  }
  bench::print(row);
  return 0;
}
