// SPDX-License-Identifier: MIT
//
// How long a client of class HIGH waits and works for one turn of half a millisecond on an engine
// with one slot that LOW and NORMAL work takes whenever it can, with turns of 0.1 to 100 times that
// length; against what it should take at most: what it takes alone, and one background job.
//
// What is measured is the arbiter, not the processor: where they may, all who take part in it (the
// broker, too, if it is started after) are ahead of other programs on the machine.
//
// All is by the clients' clocks. A sample is the P99 of a round of turns, from before the job is
// submitted until its work is done; the peer's that of a round alone plus the P99 of the
// background's jobs, each from when the turn before it ended until it did. Work is sleep. Between
// two turns HIGH rests for up to twice a turn, at random, so that it uses less than what the
// guarantees of the others leave.
#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <thread>

#include "bench/taker.hpp"

namespace bench {

inline void ahead_of_other_programs() {
  const sched_param first{.sched_priority = 1};
  sched_setscheduler(0, SCHED_FIFO, &first);  // refused to who is not root: measured all the same
}

class Beside {
 public:
  Beside(const char* transport, std::uint32_t engine)
      : transport_(transport), engine_(engine), high_(transport) {
    line_ = high_.add_line(engine, AIACCEL_CLASS_HIGH);
  }

  void measure() {
    row("turns/high-beside-low-x0.1", kTurnNs / 10);
    row("turns/high-beside-low-x1", kTurnNs);
    row("turns/high-beside-low-x10", kTurnNs * 10);
    row("turns/high-beside-low-x100", kTurnNs * 100);
  }

 private:
  static constexpr std::uint64_t kTurnNs = 500'000;
  static constexpr int kRounds = 12;
  static constexpr int kTurns = 100;  // of HIGH in a round

  struct End {
    std::uint64_t ns;
    bool background;
  };

  static std::uint64_t now_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec);
  }

  static void sleep_ns(std::uint64_t ns) {
    const timespec pause{static_cast<time_t>(ns / 1'000'000'000),
                         static_cast<long>(ns % 1'000'000'000)};
    nanosleep(&pause, nullptr);
  }

  static double p99_ms(std::vector<std::uint64_t> ns) {
    std::sort(ns.begin(), ns.end());
    return static_cast<double>(ns.at((ns.size() * 99 + 99) / 100 - 1)) / 1e6;
  }

  void row(const char* name, std::uint64_t background_ns) {
    double wanted_ms = 0;
    alternate(
        {.name = name,
         .ours = {},
         .peer = {},
         .peer_name = "alone + one background job",
         .unit = "ms P99",
         .goal = 1.10},
        kRounds,
        [&] {
          double job_ms;
          const double alone_ms = p99_ms(round());
          const double beside_ms = beside(background_ns, &job_ms);
          wanted_ms = alone_ms + job_ms;
          return beside_ms;
        },
        [&] { return wanted_ms; });
  }

  // How long each turn of HIGH took.
  std::vector<std::uint64_t> round() {
    std::vector<std::uint64_t> took;
    for (int i = 0; i < kTurns; ++i) {
      sleep_ns(rest_(random_));
      const std::uint64_t begin_ns = now_ns();
      high_.turn({}, {line_});
      sleep_ns(kTurnNs);
      took.push_back(now_ns() - begin_ns);
      ended(false);
      high_.turn({line_}, {});
    }
    return took;
  }

  double beside(std::uint64_t background_ns, double* job_ms) {
    std::atomic<bool> over{false};
    std::atomic<bool> begun{false};
    ends_.clear();
    std::vector<std::thread> background;
    for (const std::uint32_t class_ : {AIACCEL_CLASS_LOW, AIACCEL_CLASS_NORMAL})
      background.emplace_back([&, class_] {
        Taker taker(transport_);
        const Taker::Line line = taker.add_line(engine_, class_);
        while (!over) {
          taker.turn(line);
          sleep_ns(background_ns);
          ended(true);
          begun = true;
        }
      });
    while (!begun) sleep_ns(kTurnNs);
    const double beside_ms = p99_ms(round());
    over = true;
    for (std::thread& thread : background) thread.join();
    *job_ms = p99_ms(background_jobs());
    return beside_ms;
  }

  void ended(bool background) {
    const std::lock_guard lock(mutex_);
    ends_.push_back({now_ns(), background});
  }

  std::vector<std::uint64_t> background_jobs() const {
    std::vector<std::uint64_t> jobs;
    for (std::size_t i = 1; i < ends_.size(); ++i)
      if (ends_[i].background) jobs.push_back(ends_[i].ns - ends_[i - 1].ns);
    return jobs;
  }

  const char* const transport_;
  const std::uint32_t engine_;
  Taker high_;
  Taker::Line line_;
  std::mt19937 random_{1};
  std::uniform_int_distribution<std::uint64_t> rest_{0, 2 * kTurnNs};
  std::mutex mutex_;
  std::vector<End> ends_;
};

}  // namespace bench
