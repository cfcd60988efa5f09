// SPDX-License-Identifier: MIT
//
// How fast the core decides who is next, natively: a decision here is the whole life of a job, from
// its submission over the choice to its end, so that none of its cost is put off. At 1,000 queues
// of ten tenants; and with 100,000 jobs in line (400 contexts with 250 each, about as many as one
// may have) against ten.
#include <deque>
#include <random>

#include "bench/measure.hpp"
#include "core/core.hpp"

namespace {

constexpr int kRounds = 200;
constexpr int kTimes = 5000;
constexpr int kTenants = 10;

// An engine with one slot on which all queues always have as many jobs in line.
class Line {
 public:
  Line(int queues, int jobs) : tenants_(kTenants), contexts_(static_cast<std::size_t>(queues)) {
    aia_sched_engine_init(&engine_, 1);
    aia_sched_node_init(&root_, &engine_, nullptr, 0);
    for (aia_sched_node& tenant : tenants_) aia_sched_node_init(&tenant, &engine_, &root_, 0);
    std::size_t number = 0;
    for (Context& c : contexts_) {
      aia_sched_seat_init(&c.seat, &engine_);
      aia_sched_queue_init(&c.queue, &c.seat, &tenants_[number++ % kTenants], AIACCEL_CLASS_NORMAL,
                           0);
      c.jobs.resize(static_cast<std::size_t>(jobs));
      for (aia_sched_job& job : c.jobs) submit(c.queue, job);
    }
  }
  Line(const Line&) = delete;

  void decide() {
    aia_timers_run(&engine_.timers, now_ns_);
    aia_sched_job* job = aia_choice_grant_next(&engine_, now_ns_);
    if (!job) throw std::runtime_error("nobody was granted a turn");
    now_ns_ += 500'000 + random_() % 1'000'000;
    aia_sched_complete(job, now_ns_);
    submit(*job->queue, *job);
  }

 private:
  struct Context {
    aia_sched_seat seat{};
    aia_sched_queue queue{};
    std::vector<aia_sched_job> jobs{};
  };

  void submit(aia_sched_queue& queue, aia_sched_job& job) {
    job.width = 1;
    if (aia_sched_submit(&queue, &job, now_ns_)) throw std::runtime_error("a job was refused");
  }

  aia_sched_engine engine_{};
  aia_sched_node root_{};
  std::deque<aia_sched_node> tenants_;
  std::deque<Context> contexts_;
  std::mt19937_64 random_{1};
  std::uint64_t now_ns_ = 1'000'000'000;
};

void measure() {
  Line thousand(1000, 1);
  bench::Row rate{.name = "turns/decisions-1000-queues",
                  .ours = {},
                  .peer = {},
                  .peer_name = "",
                  .unit = "1/s",
                  .better = bench::Better::higher,
                  .goal = 5e6};
  for (int round = 0; round < kRounds; ++round)
    rate.ours.push_back(1e6 / bench::mean_us(kTimes, [&] { thousand.decide(); }));
  bench::print(rate);

  Line many(400, 250), few(10, 1);
  bench::alternate(
      {.name = "turns/decision-100000-jobs",
       .ours = {},
       .peer = {},
       .peer_name = "with 10 jobs in line",
       .unit = "us",
       .goal = 2},
      kRounds, [&] { return bench::mean_us(kTimes, [&] { many.decide(); }); },
      [&] { return bench::mean_us(kTimes, [&] { few.decide(); }); });
}

}  // namespace

int main() {
  return bench::run(measure);
}
