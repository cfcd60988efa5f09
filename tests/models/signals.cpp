// SPDX-License-Identifier: MIT
//
// Deployments in a process that signals and stops (^Z) hit at any moment: on the module where there
// is one, else on a broker.

#include <tap/tap.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <optional>
#include <thread>

#include <aiaccel/deployment.hpp>

#include "fixture.hpp"
#include "private_place.hpp"

using namespace aiaccel;
using namespace std::chrono_literals;

namespace {

std::atomic<unsigned> handled, gone_on;

void count(int signal) {
  (signal == SIGCONT ? gone_on : handled)++;
}

// A process that signals this one, and stops it for a moment, all the while. Handlers end system
// calls (no SA_RESTART).
class Pest {
 public:
  Pest() {
    handled = gone_on = 0;
    struct sigaction action {};
    action.sa_handler = count;
    for (const int signal : kSignals) sigaction(signal, &action, &before_[signal == SIGCONT]);
    int ends[2];
    BOOST_REQUIRE_EQUAL(pipe(ends), 0);
    const pid_t victim = getpid();
    pid_ = fork();
    if (pid_ == 0) {
      close(ends[1]);
      // Nothing ever comes from there but the end.
      const auto goes_on = [&](int ms) {
        pollfd fd{ends[0], POLLIN, 0};
        return poll(&fd, 1, ms) == 0;
      };
      while (goes_on(3)) {
        kill(victim, SIGUSR1);
        if (!goes_on(3)) break;
        kill(victim, SIGSTOP);
        goes_on(5);
        kill(victim, SIGCONT);
      }
      _exit(0);
    }
    close(ends[0]);
    end_ = ends[1];
  }
  ~Pest() {
    close(end_);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    for (const int signal : kSignals) sigaction(signal, &before_[signal == SIGCONT], nullptr);
  }

 private:
  static constexpr int kSignals[] = {SIGUSR1, SIGCONT};
  struct sigaction before_[2];
  pid_t pid_;
  int end_;
};

// Somebody who has the whole engine time and again, so that turns are waited for.
void be_in_the_way(const std::string& transport, std::stop_token stop) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  const Device device = Device::open(transport);
  const Engine engine = device.engine("cpu0");
  Queue queue = engine.queue({.priority = Class::high, .width = engine.slots()});
  while (!stop.stop_requested()) try {
      const Grant grant = queue.acquire();
      std::this_thread::sleep_for(4ms);
    } catch (const Error& error) {
      if (error.code().value() != EINTR) throw;
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(signals)

BOOST_AUTO_TEST_CASE(neither_signals_nor_stops_fail_a_request) {
  NEED_MODELS();
  const bool has_module = access("/dev/aiaccel", F_OK) == 0;
  std::optional<fixture::PrivatePlace> place;
  if (!has_module) place.emplace();
  DeploymentOptions options;
  options.transport = has_module ? "kernel" : "broker";
  BOOST_TEST_MESSAGE("on: " << options.transport);
  const Model v5 = Model::open(fixture::silero("v5"), "silero-vad@v5");
  const auto inputs = fixture::vad_inputs(fixture::tone(3), fixture::vad_state());
  const std::vector<Tensor> right = v5.run(inputs);

  const Pest pest;
  std::jthread rival([&](std::stop_token stop) { be_in_the_way(options.transport, stop); });
  while (handled < 50 || gone_on < 50) {
    Deployment deployment(v5, options);
    for (int i = 0; i < 20; i++) BOOST_TEST((deployment.infer(inputs).outputs == right));
    BOOST_TEST(deployment.stats().at(0).failed == 0u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
