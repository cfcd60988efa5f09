// SPDX-License-Identifier: MIT
//
// What `aiaccel exec` adds to the start of a program: from fork to the end of true(1), with it and
// plainly, in turn. A row is the difference of each pair; its goal is a value. The first program of
// a user without the module has to wait for the broker too, which exec starts:
// adopt/exec-start-first, with a broker anew each time. What is started here ends here.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "bench/broker.hpp"
#include "bench/row.hpp"

namespace {

constexpr int kPairs = 60;
constexpr int kFirstPairs = 20;

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

// One pair.
double measure(const std::string& tool) {
  const double plain = run({"/bin/true"});
  const double ours = run({tool.c_str(), "exec", "--class", "low", "--engine", "cpu0",
                           "--device-bytes", "1G", "--", "/bin/true"});
  if (plain < 0 || ours < 0) throw std::runtime_error(tool + " exec does not run");
  return ours - plain;
}

void measure_all() {
  const std::string tool =
      std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin/aiaccel";
  const bench::OwnBroker broker;

  bench::Row row{.name = "adopt/exec-start",
                 .ours = {},
                 .peer = {},
                 .peer_name = "",
                 .unit = "ms",
                 .goal = 50};
  bench::Row first = row;
  first.name = "adopt/exec-start-first";
  measure(tool);  // reads files from the disk, and starts the broker
  for (int pair = 0; pair < kPairs; pair++) row.ours.push_back(measure(tool));
  broker.end();

  setenv("AIACCEL_TRANSPORT", "broker", 1);
  for (int pair = 0; pair < kFirstPairs; pair++) {
    first.ours.push_back(measure(tool));
    if (!broker.is_there()) throw std::runtime_error(tool + " exec started no broker");
    broker.end();
  }
  bench::print(row);
  bench::print(first);
}

}  // namespace

int main() {
  return bench::run(measure_all);
}
