// SPDX-License-Identifier: MIT
//
// fuzz: hostile processes on the device, started, stopped, moved and killed at random for a while.
// Prints what was called with what result, and TAP. Root, in a virtual machine with the module.
//
//   fuzz [--seed=N] [--time=SECONDS]
//
// The Nth process of a seed draws the same steps again; how threads and processes meet, and with it
// what a step finds alive, differs from run to run. The seed is in the kernel log as well, for the
// console of a machine that dies.
//
// What judges is the kernel (KASAN, lockdep, kmemleak where they are built in), and the accounts:
// in the end nothing may be held. A generator whose calls mostly fail tests little but the first
// check: 30 % of all must succeed, and some of each.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "fuzz/accounts.hpp"
#include "fuzz/acts.hpp"
#include "fuzz/calls.hpp"
#include "fuzz/worker.hpp"
#include "kmod/dma_buf.hpp"
#include "tap/guard.hpp"

using namespace fuzz;

namespace {

constexpr uint64_t kActsEach = 40;
constexpr int kLeastPercent = 30;
constexpr uint64_t kLeastCalls = 2000;  // also where a second does not suffice for many
constexpr uint64_t kSecond = 1'000'000'000;
constexpr const char* kDirectFile = "build/fuzz.direct";

int g_results = 0;
bool g_failed = false;

void result(bool good, const std::string& name) {
  printf("%s %d - fuzz/%s\n", good ? "ok" : "not ok", ++g_results, name.c_str());
  if (!good) g_failed = true;
}

// ---- what all processes share ----

int open_cgroup(const char* name, const char* memory_max) {
  const std::string folder = std::string("/sys/fs/cgroup/") + name;
  mkdir(folder.c_str(), 0755);
  std::ofstream(folder + "/memory.max") << memory_max;
  return open((folder + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC);
}

void find_engines(Shared& shared, int device) {
  aiaccel_engine_list list{};
  list.size = sizeof(list);
  list.count = static_cast<uint32_t>(std::size(shared.engines));
  list.ids = reinterpret_cast<uint64_t>(shared.engines);
  aiaccel_query query{};
  query.size = sizeof(query);
  if (ioctl(device, AIACCEL_IOC_ENGINE_LIST, &list) || ioctl(device, AIACCEL_IOC_QUERY, &query)) {
    perror("fuzz: the device does not answer");
    exit(1);
  }
  for (const uint32_t id : shared.engines) {
    aiaccel_engine_info info{};
    info.size = sizeof info;
    info.id = id;
    if (!ioctl(device, AIACCEL_IOC_ENGINE_INFO, &info) && !strcmp(info.provider, "aiaccel_edu"))
      shared.edu_engine = id;
  }
  shared.nr_engines = std::min(list.count, static_cast<uint32_t>(std::size(shared.engines)));
  shared.ring_bytes = query.ring_bytes;
}

// The driver of QEMU's edu, where there is one.
void load_edu(Shared& shared) {
  utsname name{};
  uname(&name);
  const std::string file = std::string("build/kmod/") + name.release + "/kmod/aiaccel_edu.ko";
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || syscall(SYS_finit_module, fd, "dma_bits=64", 0)) perror("fuzz: aiaccel_edu.ko");
  close(fd);
  shared.edu = open("/dev/aiaccel-edu", O_RDWR);
}

void unload_edu() {
  for (const uint64_t until = now_ns() + 20 * kSecond; now_ns() < until; usleep(100'000))
    if (!syscall(SYS_delete_module, "aiaccel_edu", O_NONBLOCK) || errno == ENOENT) return;
  perror("fuzz: aiaccel_edu.ko stays");
  result(false, "the_driver_of_edu_goes");
}

void open_shared(Shared& shared, int device) {
  shared.tally = &Tally::create();
  load_edu(shared);
  find_engines(shared, device);
  shared.memfd = memfd_create("fuzz-shared", 0);
  if (shared.memfd < 0 || ftruncate(shared.memfd, kWindowPages * kPage) ||
      socketpair(AF_UNIX, SOCK_DGRAM, 0, shared.mail)) {
    perror("fuzz");
    exit(1);
  }
  shared.dma_buf = raw::dma_buf(4 * kPage);
  shared.cgroups[0] = open_cgroup("fuzz-a", "max");
  shared.cgroups[1] = open_cgroup("fuzz-b", "128M");
  shared.direct = open(kDirectFile, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
  if (shared.direct >= 0 && ftruncate(shared.direct, 64 << 10)) perror("fuzz: ftruncate");
}

void close_shared(const Shared& shared) {
  for (const int fd : {shared.mail[0], shared.mail[1], shared.memfd, shared.direct, shared.dma_buf,
                       shared.edu, shared.cgroups[0], shared.cgroups[1]})
    close(fd);
  unlink(kDirectFile);
  rmdir("/sys/fs/cgroup/fuzz-a");
  rmdir("/sys/fs/cgroup/fuzz-b");
}

// Those that were made: they outlive who made them.
void end_engines(int device) {
  uint32_t ids[2048] = {};
  aiaccel_engine_list list{};
  list.size = sizeof(list);
  list.count = static_cast<uint32_t>(std::size(ids));
  list.ids = reinterpret_cast<uint64_t>(ids);
  if (ioctl(device, AIACCEL_IOC_ENGINE_LIST, &list)) perror("fuzz: ENGINE_LIST");
  for (uint32_t i = 0; i < list.count; i++) {
    aiaccel_engine_unregister end{sizeof end, ids[i]};
    ioctl(device, AIACCEL_IOC_ENGINE_UNREGISTER, &end);
  }
}

// ---- the processes ----

class Crowd {
 public:
  Crowd(const Shared& shared, uint64_t seed) : shared_(shared), seed_(seed), random_(seed) {}

  void keep(size_t processes) {
    while (pids_.size() < processes) start();
  }

  // As much to them as they do themselves: a slow kernel is to see the same as a fast one.
  void disturb(uint64_t acts) {
    if (acts == last_acts_)  // all may be stopped
      for (const pid_t pid : pids_) kill(-pid, SIGCONT);
    for (last_acts_ = acts; disturbed_ < acts / kActsEach; disturbed_++) disturb_one();
  }

  void disturb_one() {
    const pid_t pid = pids_[random_.below(pids_.size())];
    switch (random_.below(40)) {
      case 0:
        kill(-pid, SIGKILL);
        killed_++;
        break;
      case 1:
      case 2:
        kill(-pid, SIGSTOP);
        break;
      case 3:
      case 4:
        move(pid);
        break;
      case 5:
        if (random_.percent(10)) std::ofstream("/proc/sys/vm/compact_memory") << "1";
        break;
      default:;
    }
  }

  // Takes note of those that ended; what they started ends with them.
  void reap() {
    for (pid_t pid; (pid = waitpid(-1, nullptr, WNOHANG)) > 0;)
      if (std::erase(pids_, pid)) kill(-pid, SIGKILL);
  }

  void end() {
    for (const pid_t pid : pids_) kill(-pid, SIGKILL);
    killed_ += pids_.size();
    while (wait(nullptr) > 0 || errno != ECHILD) continue;
    pids_.clear();
  }

  uint64_t started() const { return started_; }
  uint64_t killed() const { return killed_; }

 private:
  void start() {
    const uint64_t seed = Random(seed_ + ++started_).next();
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
      setpgid(0, 0);
      work(shared_, seed);
    }
    if (pid < 0) return;
    setpgid(pid, pid);
    pids_.push_back(pid);
  }

  void move(pid_t pid) const {
    const std::string text = std::to_string(pid);
    const int procs = shared_.cgroups[started_ % 2];
    if (write(procs, text.c_str(), text.size()) < 0) return;  // it has ended
  }

  const Shared& shared_;
  const uint64_t seed_;
  Random random_;
  std::vector<pid_t> pids_;
  uint64_t started_ = 0, killed_ = 0, last_acts_ = 0, disturbed_ = 0;
};

// Few have the rights for some, and a slow kernel makes few calls.
bool each_succeeded(const Tally& tally) {
  for (size_t row = 0; row < rows().size(); row++)
    if (!tally.succeeded(static_cast<int>(row))) return false;
  return true;
}

void run(const Shared& shared, uint64_t seed, uint64_t seconds) {
  Crowd crowd(shared, seed);
  const auto processes = static_cast<size_t>(sysconf(_SC_NPROCESSORS_ONLN)) + 1;
  const uint64_t until = now_ns() + seconds * kSecond, at_last = until + 2 * seconds * kSecond;
  const auto enough = [&] {
    return shared.tally->all_calls() >= kLeastCalls &&
           (each_succeeded(*shared.tally) || now_ns() > at_last);
  };
  for (; now_ns() < until || !enough(); usleep(10'000)) {
    crowd.keep(processes);
    crowd.disturb(shared.tally->all_acts());
    crowd.reap();
  }
  crowd.end();
  printf("# %lu processes, %lu of them killed\n", crowd.started(), crowd.killed());
}

// ---- the verdict ----

void check_rows(int device) {
  std::string without;
  for (unsigned long number = 0; number < 256; number++) {
    const unsigned long call = _IO(AIACCEL_IOC_TYPE, number);
    if (ioctl(device, call, nullptr) < 0 && errno == ENOTTY) continue;
    bool has = false;
    for (const Row& row : rows()) has |= row.number == call;
    if (!has) without += " " + std::to_string(number);
  }
  if (!without.empty())
    printf("# ioctls of the device without a row in calls.cpp:%s\n", without.c_str());
  result(without.empty(), "every_ioctl_has_a_row");
}

struct Sums {
  uint64_t made = 0, succeeded = 0;
};

// Prints the line of one kind of call; false when it has never succeeded.
bool tell(const Tally& tally, int call, const char* name, Sums& sums) {
  const uint64_t made = tally.made(call), good = tally.succeeded(call);
  sums.made += made;
  sums.succeeded += good;
  printf("# %-13s %8lu  %3lu %%  %s\n", name, made, made ? good * 100 / made : 0,
         tally.errors(call).c_str());
  return good > 0;
}

void judge(const Tally& tally) {
  Sums sums;
  std::string never;
  printf("# call             made  good  errors\n");
  for (int i = 0; const Row& row : rows())
    if (!tell(tally, i++, row.name, sums)) never += std::string(" ") + row.name;
  const std::pair<int, const char*> others[] = {{tally_open(), "open"},
                                                {tally_map_ring(), "mmap ring"},
                                                {tally_map_consumed(), "mmap consumed"},
                                                {tally_map_buffer(), "mmap buffer"},
                                                {tally_map_export(), "mmap export"}};
  for (const auto& [call, name] : others)
    if (!tell(tally, call, name, sums)) never += std::string(" ") + name;
  tell(tally, tally_unknown(), "unknown", sums);  // is never to succeed
  Sums seldom;                                    // for want of a turn on just that engine
  tell(tally, tally_copy(), "COPY", seldom);
  for (int i = 0; const Act& act : acts()) printf("# %-15s %8lu\n", act.name, tally.acts(i++));
  const uint64_t percent = sums.made ? sums.succeeded * 100 / sums.made : 0;
  printf("# %lu calls of the device, %lu %% of them succeeded\n", sums.made, percent);
  result(percent >= kLeastPercent, "enough_calls_succeed");
  if (!never.empty()) printf("# never succeeded:%s\n", never.c_str());
  result(never.empty(), "each_call_succeeds_sometimes");
  result(tally.succeeded(tally_unknown()) == 0, "no_unknown_call_succeeds");
}

void check_accounts(int device, const Accounts& before) {
  Accounts after;
  for (const uint64_t until = now_ns() + 20 * kSecond; now_ns() < until; usleep(100'000)) {
    after = Accounts::read(device);
    if (after == before) break;
  }
  if (after != before)
    printf("# before: %s\n# after:  %s\n", before.text().c_str(), after.text().c_str());
  result(after == before, "nothing_is_left_behind");
}

uint64_t option(int argc, char** argv, const char* name, uint64_t otherwise) {
  for (int i = 1; i < argc; i++)
    if (std::string(argv[i]).starts_with(name)) return strtoull(argv[i] + strlen(name), nullptr, 0);
  return otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  setlinebuf(stdout);
  const int device = open(kDevice, O_RDWR | O_CLOEXEC);
  if (device < 0) {
    printf("ok 1 - fuzz # SKIP no %s here: run through tests/vm/run\n1..1\n", kDevice);
    return 0;
  }
  const uint64_t seed = option(argc, argv, "--seed=", std::random_device()());
  const uint64_t seconds = option(argc, argv, "--time=", 20);
  printf("# seed %lu, %lu s\n", seed, seconds);
  tap::mark_kernel_log("--seed=" + std::to_string(seed));
  std::ofstream("/proc/self/oom_score_adj") << "-1000";
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  check_rows(device);
  const Accounts before = Accounts::read(device);
  Shared shared;
  open_shared(shared, device);
  run(shared, seed, seconds);
  close_shared(shared);
  aiaccel_control active{};
  active.size = sizeof active;
  active.state = AIACCEL_ENGINE_ACTIVE;
  if (ioctl(device, AIACCEL_IOC_CONTROL, &active)) perror("fuzz: CONTROL");
  aiaccel_policy no_rules{sizeof no_rules, AIACCEL_POLICY_REPLACE, 0, 0,
                          sizeof(aiaccel_policy_rule)};
  if (ioctl(device, AIACCEL_IOC_POLICY, &no_rules)) perror("fuzz: POLICY");
  end_engines(device);
  unload_edu();
  judge(*shared.tally);
  check_accounts(device, before);
  printf("1..%d\n", g_results);
  return g_failed ? 1 : 0;
}
