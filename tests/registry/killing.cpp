// SPDX-License-Identifier: MIT
//
// See killing.hpp.
#include "killing.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

using namespace aiaccel;

namespace lab {
namespace {

bool changes_something(const __ptrace_syscall_info& info) {
  switch (info.entry.nr) {
    case SYS_write:
    case SYS_pwrite64:
    case SYS_rename:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_link:
    case SYS_linkat:
    case SYS_symlink:
    case SYS_symlinkat:
    case SYS_unlink:
    case SYS_unlinkat:
    case SYS_mkdir:
    case SYS_mkdirat:
    case SYS_rmdir:
    case SYS_ftruncate:
    case SYS_fchmod:
    case SYS_fsync:
    case SYS_fallocate:
      return true;
    case SYS_openat:
      return (info.entry.args[2] & O_CREAT) != 0;
    case SYS_open:
      return (info.entry.args[1] & O_CREAT) != 0;
    default:
      return false;
  }
}

}  // namespace

bool dies_at(int when, const std::function<void()>& body, const OnCall& seen) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t child = ::fork();
  BOOST_REQUIRE(child >= 0);
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    try {
      body();
    } catch (const std::exception& error) {
      ::fprintf(stderr, "# a writer: %s\n", error.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_REQUIRE(WIFSTOPPED(status));
  BOOST_REQUIRE(
      ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0);
  int changes = 0;
  while (true) {
    BOOST_REQUIRE(::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) == 0);
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFEXITED(status)) {
      BOOST_TEST(WEXITSTATUS(status) == 0);
      return false;
    }
    BOOST_REQUIRE(WIFSTOPPED(status));
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    __ptrace_syscall_info info{};
    BOOST_REQUIRE(::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(info), &info) > 0);
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) continue;
    if (seen) seen(child, info);
    if (!changes_something(info) || ++changes < when) continue;
    ::kill(child, SIGKILL);
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    while (::waitpid(-1, nullptr, 0) > 0) continue;
    return true;
  }
}

void kill_everywhere(const Lab& lab, const Plan& plan, int least) {
  {
    Registry registry = Registry::create(lab.registry());
    plan.before(registry);
  }
  const Path copy = lab.top() / "copy";
  int when = 1;
  while (true) {
    lab.sh("cp -a registry copy", lab.top());
    const bool died = dies_at(when, [&] {
      Registry registry = Registry::open(copy);
      plan.step(registry);
    });
    BOOST_TEST_CONTEXT("killed before change " << when) {
      const std::string fsck = lab.sh("git fsck --strict --no-dangling", copy);
      BOOST_TEST((!has(fsck, "error") && !has(fsck, "missing") && !has(fsck, "bad ")), fsck);
      if (!plan.weights_last) lab.sh("git lfs fsck --objects dev", copy);
      Registry registry = Registry::open(copy);
      for (const std::string& name : registry.models()) {
        for (const ModelVersion& version : registry.versions(name)) {
          const Thrown bad =
              thrown([&] { registry.verify_contents(Ref::parse(name + "@" + version.version)); });
          BOOST_TEST((bad.error == 0 || (plan.weights_last && bad.error == ENODATA)), bad.what);
        }
      }
      if (plan.meanwhile) plan.meanwhile(registry);
      const Thrown again = thrown([&] { plan.step(registry); });
      // It may have been done.
      BOOST_TEST((again.error == 0 || again.error == EEXIST || again.error == ENOENT), again.what);
      plan.after(registry);
      const std::string left =
          "find . -path ./.git/aiaccel/tmp -prune -o -name '*.lock' -size +0 -print -o -name "
          "'claim-*' -print -o -name 'pending-*' -print";
      BOOST_TEST(lab.sh(left, copy) == "");
      if (when % 5 == 0 || !died) {
        // Whatever the dead left in the index, the next that adds mends.
        registry.add(lab.model("next", 99), options("next", "1.0.0"));
        lab.check_whole(copy);
        registry.gc(false, std::chrono::seconds(0));
        lab.check_whole(copy);
        BOOST_TEST(lab.sh("find .git/aiaccel/tmp -type f", copy) == "");
      }
    }
    lab.sh("chmod -R u+w copy && rm -rf copy", lab.top());
    if (!died) break;
    when++;
  }
  BOOST_TEST(when > least);
}

}  // namespace lab
