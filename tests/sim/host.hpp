// SPDX-License-Identifier: MIT
//
// A host under virtual time: one engine, tenants, and streams of jobs that come and take as long as
// they are told. The scheduler is the one of the module; only the clock is played.
//
// A stream has as many contexts as it needs, since a context holds one turn at a time: each job
// goes to one that has none. Invariants: what the scheduler knows of lives in deques, so that
// addresses hold; events of one time happen in the order in which they were foreseen.
// Single-threaded.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <random>
#include <stdexcept>
#include <vector>

#include "core/core.hpp"

namespace sim {

using Ns = std::uint64_t;
constexpr Ns kSecond = 1'000'000'000;
constexpr Ns kMs = 1'000'000;

// Times of one kind: how long from one job to the next, or how long a job takes.
using Times = std::function<Ns(std::mt19937_64&)>;

inline Times constant(Ns ns) {
  return [ns](std::mt19937_64&) { return ns; };
}

// Not std::exponential_distribution, whose numbers are its implementation's affair.
inline Times exponential(double mean_ns) {
  return [mean_ns](std::mt19937_64& random) {
    const double uniform = (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53;
    return static_cast<Ns>(-std::log(uniform) * mean_ns);
  };
}

struct Stream;

struct Context {
  Stream* stream = nullptr;
  aia_sched_seat seat{};
  aia_sched_queue queue{};
  aia_sched_job job{};
};

struct Stream {
  aia_sched_node* tenant = nullptr;
  std::uint32_t class_ = AIACCEL_CLASS_NORMAL;
  std::uint32_t weight = 0;
  std::uint32_t width = 1;
  Times gap{};                              // from one arrival to the next
  Times service{};                          // how long a turn takes
  std::function<void(Ns wait_ns)> began{};  // called for each turn that begins

  std::deque<Context> contexts{};
  std::vector<Context*> without_job{};
  std::uint64_t turns = 0;
  Ns had_ns = 0;  // slots times time
};

class Host {
 public:
  Host(std::uint32_t slots, std::uint64_t seed) : random_(seed) {
    aia_sched_engine_init(&engine, slots);
    aia_sched_node_init(&root, &engine, nullptr, 0);
  }
  Host(const Host&) = delete;

  aia_sched_node* tenant(std::uint32_t weight = 0, aia_sched_node* parent = nullptr) {
    aia_sched_node* node = &tenants_.emplace_back();
    aia_sched_node_init(node, &engine, parent ? parent : &root, weight);
    return node;
  }

  // Jobs that come whatever became of those before. The first comes after a gap.
  Stream& open(Stream options) {
    Stream& stream = streams_.emplace_back(std::move(options));
    if (!stream.tenant) stream.tenant = &root;
    foresee(stream.gap(random_), &stream, nullptr);
    return stream;
  }

  // So many jobs at all times: each that ends is followed by another at once.
  Stream& saturate(Stream options, std::size_t jobs) {
    Stream& stream = streams_.emplace_back(std::move(options));
    if (!stream.tenant) stream.tenant = &root;
    if (stream.gap) throw std::logic_error("jobs that follow one another have no gap");
    while (stream.contexts.size() < jobs) submit(stream);
    return stream;
  }

  // Plays until `end_ns`, or until enough() says so after an event.
  template <typename Enough>
  void run(Ns end_ns, Enough enough) {
    dispatch();
    while (!enough()) {
      const Ns event_ns = agenda_.empty() ? AIACCEL_NEVER : agenda_.top().at_ns;
      const Ns next_ns = std::min<Ns>(event_ns, aia_timers_next_ns(&engine.timers));
      if (next_ns > end_ns) break;
      now_ns = std::max(now_ns, next_ns);
      if (next_ns == event_ns) happen();
      dispatch();
    }
  }
  void run(Ns end_ns) {
    run(end_ns, [] { return false; });
  }

  aia_sched_engine engine{};
  aia_sched_node root{};
  Ns now_ns = kSecond;

 private:
  struct Event {
    Ns at_ns;
    std::uint64_t number;
    Stream* comes;                              // a job of it comes, or
    Context* ends;                              // a turn does
    bool operator<(const Event& other) const {  // the queue's top is the largest
      return at_ns != other.at_ns ? at_ns > other.at_ns : number > other.number;
    }
  };

  void foresee(Ns after_ns, Stream* comes, Context* ends) {
    agenda_.push({now_ns + after_ns, foreseen_++, comes, ends});
  }

  Context& idle_context(Stream& stream) {
    if (stream.without_job.empty()) {
      Context& context = stream.contexts.emplace_back();
      context.stream = &stream;
      aia_sched_seat_init(&context.seat, &engine);
      aia_sched_queue_init(&context.queue, &context.seat, stream.tenant, stream.class_,
                           stream.weight);
      return context;
    }
    Context& context = *stream.without_job.back();
    stream.without_job.pop_back();
    return context;
  }

  void submit(Stream& stream) {
    Context& context = idle_context(stream);
    context.job.width = stream.width;
    if (aia_sched_submit(&context.queue, &context.job, now_ns))
      throw std::logic_error("submit was refused");
  }

  void happen() {
    const Event event = agenda_.top();
    agenda_.pop();
    if (event.comes) {
      submit(*event.comes);
      foresee(event.comes->gap(random_), event.comes, nullptr);
      return;
    }
    Context& context = *event.ends;
    Stream& stream = *context.stream;
    stream.turns++;
    stream.had_ns += (now_ns - context.job.granted_ns) * stream.width;
    aia_sched_complete(&context.job, now_ns);
    stream.without_job.push_back(&context);
    if (!stream.gap) submit(stream);
  }

  void dispatch() {
    aia_timers_run(&engine.timers, now_ns);
    while (aia_sched_job* job = aia_sched_grant_next(&engine, now_ns)) {
      Context& context = *aia_container_of(job, Context, job);
      Stream& stream = *context.stream;
      if (stream.began) stream.began(now_ns - job->submitted_ns);
      foresee(stream.service(random_), nullptr, &context);
    }
  }

  std::mt19937_64 random_;
  std::deque<aia_sched_node> tenants_;
  std::deque<Stream> streams_;
  std::priority_queue<Event> agenda_;
  std::uint64_t foreseen_ = 0;
};

}  // namespace sim
