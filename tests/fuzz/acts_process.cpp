// SPDX-License-Identifier: MIT
//
// What can be done to the process: children, users, limits, cgroups, signals.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "fuzz/acts.hpp"
#include "fuzz/calls.hpp"

namespace fuzz {

namespace {

// In the child: nothing of the parent's contexts may be had through what it inherited, but it can
// be used, kept and closed. Some children then do as their parent does.
[[noreturn]] void be_child(Actor& actor) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Random& random = actor.random;
  const uint64_t seed = random.next();
  for (int i = 0; i < 3; i++) call_device(actor);
  for (int i = 0; i < 8; i++) {
    touch(actor);
    unmap(actor);
    move(actor);
  }
  if (random.percent(40)) {
    const uint32_t steps = random.below(100);
    open_context(actor);
    for (uint32_t i = 0; i < steps; i++) step(actor, seed + i);
  }
  if (Random(seed).percent(30)) execl("/bin/true", "true", nullptr);
  _exit(0);
}

}  // namespace

void fork_child(Actor& actor) {
  const pid_t child = fork();
  if (child == 0) be_child(actor);
  if (child < 0) return;
  if (actor.random.percent(30)) kill(child, SIGKILL);
  if (actor.random.percent(70)) {
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
  }
}

// A process with the same address space: to the device it is the same caller.
void share_memory(Actor& actor) {
  const int fd = actor.context().fd;
  const pid_t child = vfork();
  if (child == 0) {
    call_number(actor, fd, static_cast<int>(actor.random.below(rows().size())));
    _exit(0);
  }
  if (child > 0) waitpid(child, nullptr, 0);
}

// To any thread; it ends a wait.
void signal_self(Actor&) {
  kill(getpid(), SIGUSR1);
}

// This thread alone, and not back.
void change_user(Actor& actor) {
  constexpr uid_t kUsers[] = {1000, 1001, 65534};
  const uid_t user = actor.random.one_of(kUsers);
  syscall(SYS_setresuid, user, user, user);
}

void limit_locking(Actor& actor) {
  constexpr rlim_t kLimits[] = {0, kPage, 64 << 10, 8 << 20};
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  limit.rlim_cur = actor.random.one_of(kLimits);
  if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_MEMLOCK, &limit);
}

void change_cgroup(Actor& actor) {
  const int procs = actor.world.shared->cgroups[actor.random.below(2)];
  if (write(procs, "0", 1) < 0) actor.scratch[0] = 0;
}

void read_sysfs(Actor& actor) {
  constexpr const char* kFiles[] = {"/sys/module/aiaccel/refcnt",
                                    "/sys/module/aiaccel/parameters/memory_mib",
                                    "/sys/module/aiaccel/parameters/jobs",
                                    "/sys/class/misc/aiaccel/uevent",
                                    "/sys/class/misc/aiaccel/dev",
                                    "/proc/self/smaps",
                                    "/proc/self/fdinfo/0"};
  const int fd = open(actor.random.one_of(kFiles), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  while (read(fd, actor.scratch, sizeof(actor.scratch)) > 0) continue;
  close(fd);
}

// Refused, as main() has the device open.
void unload(Actor&) {
  syscall(SYS_delete_module, "aiaccel", O_NONBLOCK);
}

}  // namespace fuzz
