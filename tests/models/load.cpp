// SPDX-License-Identifier: MIT
//
// The demo's open-loop client: late answers are late, also for those who came after.

#include <tap/tap.hpp>

#include <thread>

#include "aiaccel/demo_load.hpp"
#include "fixture.hpp"

using namespace aiaccel;
using namespace std::chrono_literals;
using tools::Backlog;
using tools::Streams;

namespace {

// Answers on one thread, at once but for one request that takes its time.
class Stub : public tools::Runner {
 public:
  std::size_t slow = ~0ul;  // which one
  std::chrono::milliseconds pause{0};
  std::size_t fails = ~0ul;  // from which one on

  void submit(std::vector<Tensor>, Deployment::Done done) override {
    std::lock_guard guard(lock_);
    waiting_.push_back(std::move(done));
    work_.notify_one();
  }
  std::string os_help() const override { return {}; }

 private:
  void serve(std::stop_token stop) {
    for (std::size_t number = 0;; number++) {
      std::unique_lock guard(lock_);
      if (!work_.wait(guard, stop, [&] { return !waiting_.empty(); })) return;
      Deployment::Done done = std::move(waiting_.front());
      waiting_.pop_front();
      guard.unlock();
      if (number == slow) std::this_thread::sleep_for(pause);
      Answer answer;
      answer.outputs = {Tensor(ElementType::f32, {1, 1}), Tensor(ElementType::f32, {2, 1, 128})};
      if (number >= fails)
        done({}, std::make_exception_ptr(Error(EIO, "as asked for")));
      else
        done(std::move(answer), nullptr);
    }
  }

  std::mutex lock_;  // guards waiting_
  std::condition_variable_any work_;
  std::deque<Deployment::Done> waiting_;
  std::jthread thread_{[this](std::stop_token stop) { serve(stop); }};
};

const std::vector<float> kSilence(tools::kSampleRate);

}  // namespace

BOOST_AUTO_TEST_SUITE(load)

BOOST_AUTO_TEST_CASE(counts_from_the_moment_that_was_due) {
  Stub runner;
  runner.slow = 2;
  runner.pause = 300ms;
  // One stream, a chunk every 10 ms: those due while the third is computed wait for it, and are
  // late by what is left of its 300 ms. A client that counted from sending would see one late
  // answer.
  Streams streams(runner, {.streams = 1, .per_s = 100, .seconds = 0.4}, kSilence);
  streams.run(Clock::now());
  const tools::Json result = streams.result();
  BOOST_TEST(result["requests"] == 40);
  BOOST_TEST(result["failed"] == 0);
  BOOST_TEST(result["max_ms"] >= 300.0);
  BOOST_TEST(result["p50_ms"] >= 100.0);
}

BOOST_AUTO_TEST_CASE(a_backlog_goes_on_until_it_is_stopped) {
  Stub runner;
  Backlog backlog(runner, 3, kSilence);
  backlog.run();
  while (backlog.answered() < 50) std::this_thread::sleep_for(1ms);
  backlog.stop();
  BOOST_TEST(backlog.failed() == 0u);
}

BOOST_AUTO_TEST_CASE(failures_are_counted_and_do_not_stop_it) {
  Stub runner;
  runner.fails = 5;
  Streams streams(runner, {.streams = 4, .per_s = 1000, .seconds = 0.02}, kSilence);
  streams.run(Clock::now());
  BOOST_TEST(streams.result()["requests"] == 20);
  BOOST_TEST(streams.result()["failed"] == 15);
}

BOOST_AUTO_TEST_SUITE_END()
