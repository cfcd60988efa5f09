// SPDX-License-Identifier: MIT
//
// The two kinds of load of the demo.
//
// Streams: open loop. When each chunk of sound is due is fixed beforehand, and its latency counts
// from then, also when the client itself was late or an earlier chunk of the same stream was not
// answered yet: a late answer cannot make the next one look better.
//
// Backlog: a batch job. A fixed number of requests is always waiting; what counts is how many are
// answered.
//
// Threads: made and read by one; answers come on the runner's threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <vector>

#include "aiaccel/demo_child.hpp"
#include "aiaccel/demo_runner.hpp"
#include "aiaccel/speech.hpp"
#include "mutex.h"

namespace tools {

struct Pace {
  unsigned streams = 32;
  double per_s = 1000;  // chunks a second, of all streams together
  double seconds = 10;
};

class Streams {
 public:
  Streams(Runner& runner, const Pace& pace, const std::vector<float>& speech);

  // Sends what is due from `begin` on, and returns when all is answered.
  void run(Clock::time_point begin);

  // p50_ms, p99_ms, p999_ms, max_ms, requests, failed.
  Json result() const;

 private:
  struct Line {
    VadStream vad;
    std::size_t at = 0;  // in the speech
    bool busy = false;
    std::deque<Clock::time_point> due;
  };

  void send(Line& line) REQUIRES(lock_);
  void answered(Line& line, Clock::time_point due, aiaccel::Answer answer,
                std::exception_ptr error);

  Runner& runner_;
  const Pace pace_;
  const std::vector<float>& speech_;
  mutable aiaccel::Mutex lock_;
  std::condition_variable_any all_answered_;
  std::vector<Line> lines_ GUARDED_BY(lock_);
  std::vector<double> latencies_ms_ GUARDED_BY(lock_);
  std::size_t open_ GUARDED_BY(lock_) = 0;
  std::size_t failed_ GUARDED_BY(lock_) = 0;
};

class Backlog {
 public:
  Backlog(Runner& runner, unsigned depth, const std::vector<float>& speech);
  ~Backlog();  // waits for what was sent

  void run();  // begins; goes on until stop()
  void stop();
  std::size_t answered() const { return answered_; }
  std::size_t failed() const { return failed_; }

 private:
  void send(std::size_t line);

  Runner& runner_;
  const std::vector<float>& speech_;
  std::vector<VadStream> lines_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::size_t> answered_ = 0, failed_ = 0;
  aiaccel::Mutex lock_;
  std::condition_variable_any none_open_;
  std::size_t open_ GUARDED_BY(lock_) = 0;
};

}  // namespace tools
