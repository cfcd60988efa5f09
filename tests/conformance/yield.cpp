// SPDX-License-Identifier: MIT
//
// Asking whether a turn is wanted makes no system call: whoever asks between two launches pays a
// load. A child that may do nothing but end asks many times, and is killed if it does anything
// else.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <aiaccel.hpp>

#include <cstddef>
#include <iterator>

#include "child.hpp"
#include "device.hpp"

using namespace conformance;

namespace {

// From here on this thread is killed, with its process, by any system call but exit_group.
bool give_up_calls() {
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(rules)), rules};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

enum Result { unasked = 0, asked, no_filter };

}  // namespace

BOOST_AUTO_TEST_SUITE(yield)

BOOST_AUTO_TEST_CASE(asking_makes_no_system_call) {
  Child child([](Child&) -> int {
    const aiaccel::Device device = aiaccel::Device::open(transport());
    aiaccel::Queue queue = device.engine("cpu0").queue();
    const aiaccel::Grant grant = queue.acquire();
    if (!give_up_calls()) return no_filter;
    Result result = unasked;
    for (int i = 0; i < 100'000; ++i)
      if (grant.yield_wanted()) result = asked;
    syscall(SYS_exit_group, result);
    return asked;
  });
  const int result = child.wait();
  if (result == no_filter) SKIP("this kernel has no seccomp filters");
  BOOST_TEST(result == unasked);
}

BOOST_AUTO_TEST_SUITE_END()
