// SPDX-License-Identifier: MIT
//
// What `aiaccel exec` adds to the start of a program: from fork to the end of true(1), with it and
// plainly, in turn. A row is the difference of each pair; its goal is a value. The first program of
// a user without the module has to wait for the broker too, which exec starts:
// adopt/exec-start-first, with a broker anew each time. What is started here ends here.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

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

// The broker that was started, and who started it for exec: they became children of this process.
void end_broker() {
  std::ifstream children("/proc/thread-self/children");
  for (pid_t pid; children >> pid;) {
    kill(pid, SIGTERM);
    waitpid(pid, nullptr, 0);
  }
}

// One pair; false where exec does not run.
bool measure(const std::string& tool, std::vector<double>* differences) {
  const double plain = run({"/bin/true"});
  const double ours = run({tool.c_str(), "exec", "--class", "low", "--engine", "cpu0",
                           "--device-bytes", "1G", "--", "/bin/true"});
  if (plain < 0 || ours < 0) {
    std::fprintf(stderr, "%s exec does not run\n", tool.c_str());
    return false;
  }
  differences->push_back(ours - plain);
  return true;
}

}  // namespace

int main() {
  const std::string tool =
      std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin/aiaccel";
  char folder[] = "/tmp/aiaccel-bench-XXXXXX";
  if (!mkdtemp(folder) || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return 1;
  const std::string socket = std::string(folder) + "/broker.sock";
  setenv("AIACCEL_BROKER", socket.c_str(), 1);

  bench::Row row{.name = "adopt/exec-start",
                 .ours = {},
                 .peer = {},
                 .peer_name = "",
                 .unit = "ms",
                 .goal = 50};
  bool well = true;
  for (int pair = 0; well && pair < kPairs + 1; pair++) well = measure(tool, &row.ours);
  if (well)
    row.ours.erase(row.ours.begin());  // it read files from the disk, and started the broker
  end_broker();
  std::filesystem::remove(socket);

  setenv("AIACCEL_TRANSPORT", "broker", 1);
  bench::Row first = row;
  first.name = "adopt/exec-start-first";
  first.ours.clear();
  for (int pair = 0; well && pair < kFirstPairs; pair++) {
    well = measure(tool, &first.ours);
    if (well && !std::filesystem::exists(socket)) {
      std::fprintf(stderr, "%s exec started no broker\n", tool.c_str());
      well = false;
    }
    end_broker();
    std::filesystem::remove(socket);
  }
  std::filesystem::remove_all(folder);
  if (!well) return 1;
  bench::print(row);
  bench::print(first);
  return 0;
}
