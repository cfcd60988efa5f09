// SPDX-License-Identifier: MIT
#include "fuzz/worker.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "fuzz/acts.hpp"

namespace fuzz {

namespace {

constexpr long kAlarmUs = 50'000;

void write_to(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  for (const char* at = text; *at;) {
    const ssize_t done = write(fd, at, strlen(at));
    if (done <= 0) break;
    at += done;
  }
  close(fd);
}

// An ordinary user who may open the device.
void become_user(uid_t user) {
  struct stat node {};
  if (stat(kDevice, &node) || setgroups(0, nullptr) ||
      setresgid(node.st_gid, node.st_gid, node.st_gid) || setresuid(user, user, user))
    _exit(97);
  prctl(PR_SET_DUMPABLE, 1);
}

void enter_time_namespace() {
  if (unshare(CLONE_NEWTIME)) return;
  write_to("/proc/self/timens_offsets", "monotonic 86400 0");
  const int fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  setns(fd, CLONE_NEWTIME);
  close(fd);
}

void be_somebody(const Shared& shared, Random& random) {
  write_to("/proc/self/oom_score_adj", "1000");  // rather than main()
  const int procs = shared.cgroups[random.below(2)];
  if (random.percent(80) && write(procs, "0", 1) < 0) _exit(97);
  if (random.percent(30)) {
    const rlimit little{64 << 10, 64 << 10};
    setrlimit(RLIMIT_MEMLOCK, &little);
  }
  switch (random.below(6)) {
    case 0:
      enter_time_namespace();
      break;
    case 1:
    case 2:
      become_user(1000 + random.below(2));
      break;
    case 3:
      become_user(1000);
      unshare(CLONE_NEWUSER);
      break;
    default:;  // root
  }
}

void do_nothing(int) {}

// Interrupts what waits for ever.
void set_alarms() {
  struct sigaction action {};
  action.sa_handler = do_nothing;
  sigaction(SIGALRM, &action, nullptr);
  sigaction(SIGUSR1, &action, nullptr);
  const itimerval every{{0, kAlarmUs}, {0, kAlarmUs}};
  setitimer(ITIMER_REAL, &every, nullptr);
}

void run_steps(World& world, uint64_t seed, uint32_t steps) {
  Actor& actor = new_actor(world);
  Random seeds(seed);
  for (uint32_t i = 0; i < steps && !world.stop; i++) step(actor, seeds.next());
}

[[noreturn]] void end(Random& random, std::vector<std::thread>& threads, World& world) {
  switch (random.below(6)) {
    case 0:  // all has an end of its own first
      world.stop = true;
      for (std::thread& thread : threads) thread.join();
      for (Context& context : world.contexts) close(context.fd);
      _exit(0);
    case 1:
      execl("/bin/true", "true", nullptr);
      _exit(96);
    case 2:
      kill(getpid(), SIGKILL);
      _exit(96);
    case 3: {  // a core dump, where the kernel writes one
      signal(SIGABRT, SIG_DFL);
      abort();
    }
    case 4:  // memory before descriptors
      munmap(reinterpret_cast<void*>(kWindowBase),
             window(kRingWindow + 2 * kContexts) - kWindowBase);
      _exit(0);
    default:
      _exit(0);
  }
}

}  // namespace

void work(const Shared& shared, uint64_t seed) {
  Random random(seed);
  static World world;
  world.shared = &shared;
  install_guard();
  be_somebody(shared, random);
  for (int i = 0; i < kWindows; i++)
    mmap(reinterpret_cast<void*>(window(i)), kWindowPages * kPage, PROT_READ | PROT_WRITE,
         i % 4 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED : MAP_SHARED | MAP_FIXED,
         i % 4 ? -1 : shared.memfd, 0);
  Actor& first = new_actor(world);
  first.random = Random(random.next());
  for (int i = 0; i < kContexts; i++) open_context(first);
  set_alarms();
  const uint32_t steps = 50 + random.below(600);
  std::vector<std::thread> threads;
  for (uint32_t left = random.below(3); left > 0; left--)
    threads.emplace_back(run_steps, std::ref(world), random.next(), steps);
  run_steps(world, random.next(), steps);
  end(random, threads, world);
}

}  // namespace fuzz
