// SPDX-License-Identifier: MIT
//
// A signal that is handled fails no call that does not wait.
#include <signal.h>
#include <sys/time.h>

#include <atomic>

#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(signals)

namespace {

std::atomic<int> g_handled;

void handle(int) {
  g_handled++;
}

}  // namespace

// Registering the address space takes longer the more mappings it has, and the kernel gives up on
// it for any signal.
BOOST_AUTO_TEST_CASE(queue_create_goes_on_after_a_signal) {
  NEED_DEVICE();
  const int status = in_child([] {
    const Map map = anonymous(2000 * kPage, PROT_READ);
    for (size_t i = 0; i < 2000; i += 2)
      if (mprotect(map.data() + i * kPage, kPage, PROT_READ | PROT_WRITE)) return 1;
    struct sigaction action {};
    action.sa_handler = handle;
    if (sigaction(SIGALRM, &action, nullptr)) return 2;
    for (int i = 0; i < 100 || (g_handled <= 10 && i < 5000); i++) {
      const Context context;
      aiaccel_queue_create create{};
      create.engine = context.engine().id;
      const itimerval once{{0, 0}, {0, 20 + 20 * (i % 100)}};  // somewhere in the call
      if (setitimer(ITIMER_REAL, &once, nullptr)) return 3;
      if (context(AIACCEL_IOC_QUEUE_CREATE, create)) return 4;
    }
    return g_handled > 10 ? 0 : 5;
  });
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_SUITE_END()
