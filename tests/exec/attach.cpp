// SPDX-License-Identifier: MIT
//
// `aiaccel attach` on processes that run: what becomes of all their threads.
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "groups.hpp"
#include "tap/tap.hpp"

namespace {

using groups::has;
using groups::tool;
using process::Result;

// Three threads that sleep and 8 MiB that were written to, on CPU 0.
class Sleeper {
 public:
  Sleeper() {
    int ready[2];
    BOOST_REQUIRE(::pipe(ready) == 0);
    pid_ = ::fork();
    BOOST_REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      cpu_set_t first;
      CPU_ZERO(&first);
      CPU_SET(0, &first);
      ::sched_setaffinity(0, sizeof first, &first);
      void* memory = ::mmap(nullptr, 8 << 20, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
      if (memory == MAP_FAILED) ::_exit(1);
      for (int i = 0; i < 2; i++) std::thread([] { ::pause(); }).detach();
      if (::write(ready[1], "!", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    char byte;
    BOOST_REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Sleeper() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  std::string id() const { return std::to_string(pid_); }
  std::string group() const { return aiaccel::policy::find_hierarchy({}, id()).group; }
  // Whether `holds` does for each thread.
  template <typename Holds>
  bool all(const Holds& holds) const {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + id() + "/task")) {
      count++;
      if (!holds(std::stoi(entry.path().filename()))) return false;
    }
    return count == 3;
  }
  Result attach(std::vector<std::string> options) const {
    options.insert(options.begin(), {"attach", id()});
    return tool(options);
  }

 private:
  pid_t pid_ = -1;
};

bool scheduled(pid_t thread, int policy, int nice) {
  return ::sched_getscheduler(thread) == policy &&
         ::getpriority(PRIO_PROCESS, static_cast<id_t>(thread)) == nice;
}

std::size_t pages_on(const std::string& process, int node) {
  std::size_t pages = 0;
  const std::string key = "N" + std::to_string(node) + "=";
  std::ifstream maps("/proc/" + process + "/numa_maps");
  for (std::string word; maps >> word;)
    if (word.starts_with(key)) pages += std::stoul(word.substr(key.size()));
  return pages;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attach)

BOOST_AUTO_TEST_CASE(a_class_reaches_all_threads) {
  const Sleeper sleeper;
  const Result low = sleeper.attach({"--class", "low"});
  BOOST_TEST(has(low.out, "SCHED_BATCH, nice 10: 3 threads\n"), low.out << low.err);
  BOOST_TEST(has(low.out, "to go back: for t in $(ls /proc/" + sleeper.id() +
                              "/task); do chrt --other -p 0 $t; renice -n 0 -p $t; done\n"),
             low.out);
  BOOST_TEST(!has(sleeper.attach({"--class", "low"}).out, "renice"));  // nothing has changed
  BOOST_TEST(sleeper.all([](pid_t thread) { return scheduled(thread, SCHED_BATCH, 10); }));
  sleeper.attach({"--class", "idle"});
  BOOST_TEST(sleeper.all([](pid_t t) { return ::sched_getscheduler(t) == SCHED_IDLE; }));
  if (geteuid() != 0) SKIP("not root: who is low stays low");
  sleeper.attach({"--class", "normal"});
  BOOST_TEST(sleeper.all([](pid_t thread) { return scheduled(thread, SCHED_OTHER, 0); }));
}

BOOST_AUTO_TEST_CASE(an_engine_of_cpus_is_kept_to) {
  const std::string cpus = groups::read("/sys/devices/system/node/node0/cpulist");
  if (cpus.empty() || cpus == "0") SKIP("one CPU, or no node, is all this machine has");
  const Sleeper sleeper;
  const Result result = sleeper.attach({"--engine", "cpu-node0"});
  BOOST_TEST((has(result.out, "CPUs " + cpus + ": 3 threads\n") ||
              has(result.out, "cgroup: cpuset.cpus " + cpus + "\n")),
             result.out << result.err);
  if (has(result.out, "3 threads"))
    BOOST_TEST(sleeper.all([&](pid_t thread) {
      return has(groups::read("/proc/" + std::to_string(thread) + "/status"),
                 "Cpus_allowed_list:\t" + cpus + "\n");
    }));
}

BOOST_AUTO_TEST_CASE(memory_moves_to_the_node) {
  if (!std::filesystem::exists("/sys/devices/system/node/node1")) SKIP("this machine has one node");
  const Sleeper sleeper;
  // Its 2048 pages, and others that may be where they like.
  BOOST_TEST(pages_on(sleeper.id(), 1) < 2048u);
  const Result result = sleeper.attach({"--engine", "cpu-node1"});
  BOOST_TEST(pages_on(sleeper.id(), 1) >= 2048u, result.out << result.err);
}

BOOST_AUTO_TEST_CASE(it_moves_into_a_group_with_its_share) {
  if (const std::string why = groups::missing(); !why.empty()) SKIP(why);
  const Sleeper sleeper;
  BOOST_TEST_REQUIRE(sleeper.group() == "/");
  const Result low = sleeper.attach({"--class", "low", "--engine", "cpu0"});
  BOOST_TEST(low.status == 0, low.err);
  const std::string group = "/aiaccel.slice/aiaccel-exec-" + sleeper.id();
  BOOST_TEST(sleeper.group() == group);
  BOOST_TEST(groups::read(groups::mount() + group + "/cpu.weight") == "11");
  BOOST_TEST(groups::read(groups::mount() + group + "/cpuset.cpus") ==
             groups::read("/sys/devices/system/node/node0/cpulist"));
  BOOST_TEST(has(low.out,
                 "to go back: echo " + sleeper.id() + " > " + groups::mount() + "/cgroup.procs\n"));
  // Again, in the group that it has now.
  BOOST_TEST(sleeper.attach({"--class", "idle"}).status == 0);
  BOOST_TEST(sleeper.group() == group);
  BOOST_TEST(groups::read(groups::mount() + group + "/cpu.idle") == "1");
}

// It has its ceilings there.
BOOST_AUTO_TEST_CASE(who_is_in_a_group_of_exec_stays_in_it) {
  if (const std::string why = groups::missing(); !why.empty()) SKIP(why);
  const std::string group = groups::mount() + "/aiaccel.slice/aiaccel-exec-named";
  tool({"exec", "--name", "named", "--weight", "300", "--", "true"});
  {
    const Sleeper sleeper;
    std::ofstream(group + "/cgroup.procs") << sleeper.id() << std::flush;
    const Result low = sleeper.attach({"--class", "low"});
    BOOST_TEST(low.status == 0, low.err);
    BOOST_TEST(sleeper.group() == "/aiaccel.slice/aiaccel-exec-named");
    BOOST_TEST(groups::read(group + "/cpu.weight") == "11");
    BOOST_TEST(has(low.out, "to go back: echo '300' > " + group + "/cpu.weight\n"), low.out);
    BOOST_TEST(!has(low.out, "cgroup.procs"), low.out);
  }
  std::filesystem::remove(group);
}

BOOST_AUTO_TEST_CASE(a_service_stays_where_it_is) {
  if (groups::mount().empty() || geteuid() != 0) SKIP("cgroup v2 is not mounted, or not root");
  const std::string unit = groups::mount() + "/aiaccel-test.service";
  std::filesystem::create_directory(unit);
  {
    const Sleeper sleeper;
    std::ofstream(unit + "/cgroup.procs") << sleeper.id() << std::flush;
    const Result result = sleeper.attach({"--class", "low"});
    BOOST_TEST(result.status == 1);
    BOOST_TEST(has(result.err,
                   "it stays in /aiaccel-test.service; for all of it: systemctl set-property "
                   "--runtime aiaccel-test.service CPUWeight=11\n"),
               result.err);
    BOOST_TEST(sleeper.group() == "/aiaccel-test.service");
    BOOST_TEST(sleeper.all([](pid_t thread) { return scheduled(thread, SCHED_BATCH, 10); }));
  }
  std::filesystem::remove(unit);
}

BOOST_AUTO_TEST_CASE(mistakes_on_the_command_line) {
  const auto refused = [](std::vector<std::string> arguments, int status, const char* why) {
    arguments.insert(arguments.begin(), "attach");
    const Result result = tool(arguments);
    BOOST_TEST(result.status == status);
    BOOST_TEST(has(result.err, why), result.err);
  };
  refused({"4194303", "--class", "low"}, 1, "there is no process 4194303");
  refused({"1"}, 2, "nothing to do");
  refused({"0", "--class", "low"}, 2, "PID");
  refused({"1", "--class", "first"}, 2, "there is no class 'first'");
  refused({"1", "--engine", "cpu-node77"}, 2, "there is no engine 'cpu-node77'");
  refused({"1", "--class", ""}, 2, "--class: must not be empty");
}

BOOST_AUTO_TEST_CASE(processes_with_which_nothing_can_be_done) {
  const auto refused = [](const std::string& pid, const std::string& why) {
    const Result result = tool({"attach", pid, "--class", "low"});
    BOOST_TEST(result.status == 1);
    BOOST_TEST(result.err == "aiaccel: " + why + "\n");
    BOOST_TEST(result.out == "");
  };
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info;
  BOOST_REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
  const std::string pid = std::to_string(child);
  refused(pid, "process " + pid + " has ended");
  ::waitpid(child, nullptr, 0);
  refused(pid, "there is no process " + pid);

  if (groups::read("/proc/2/comm") != "kthreadd") SKIP("there are no threads of the kernel here");
  if (geteuid() == 0) refused("2", "2 is a thread of the kernel");
}

BOOST_AUTO_TEST_CASE(a_process_of_somebody_else) {
  if (geteuid() != 0) SKIP("not root");
  const Sleeper sleeper;
  const std::string before = sleeper.group();
  const auto program =
      std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin/aiaccel";
  // Copied to where anybody may run it.
  char folder[] = "/tmp/aiaccel-attach-XXXXXX";
  BOOST_REQUIRE(::mkdtemp(folder));
  std::filesystem::permissions(folder, std::filesystem::perms(0755));
  const std::string copy = std::string(folder) + "/aiaccel";
  std::filesystem::copy_file(program, copy);
  const Result result = tool({"exec", "--", "setpriv", "--reuid=65534", "--regid=65534",
                              "--clear-groups", copy, "attach", sleeper.id(), "--class", "low"});
  std::filesystem::remove_all(folder);
  BOOST_TEST(result.status == 1);
  BOOST_TEST(has(result.err, "aiaccel: process " + sleeper.id() + " is another user's\n" +
                                 "aiaccel: hint: as root\n"),
             result.err);
  BOOST_TEST(sleeper.group() == before);
  BOOST_TEST(sleeper.all([](pid_t thread) { return scheduled(thread, SCHED_OTHER, 0); }));
}

BOOST_AUTO_TEST_CASE(a_thread_stands_for_its_process) {
  const Sleeper sleeper;
  std::string last;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + sleeper.id() + "/task"))
    if (entry.path().filename() != sleeper.id()) last = entry.path().filename();
  BOOST_REQUIRE(!last.empty());
  const Result result = tool({"attach", last, "--class", "low"});
  BOOST_TEST(has(result.out, "SCHED_BATCH, nice 10: 3 threads\n"), result.out);
  BOOST_TEST(!has(result.out, "aiaccel-exec-" + last));
}

BOOST_AUTO_TEST_SUITE_END()
