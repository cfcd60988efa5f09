// SPDX-License-Identifier: MIT
//
// A host under virtual time: one engine, tenants, and clients that come and take as long as they
// are told. The scheduler is the one of the module; only the clock is played.
//
// A client is a context with one queue, which wants turns of a known length. A stream is a crowd of
// clients to whom jobs come: as many as it needs, since a context holds one turn at a time.
//
// Invariants: what the scheduler knows of lives in deques, so that addresses hold; events of one
// time happen in the order in which they were foreseen, so that the same seed plays the same.
// Single-threaded.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/core.hpp"
#include "sim/times.hpp"

namespace sim {

struct Stream;

struct Client {
  aia_sched_seat seat{};
  aia_sched_queue queue{};
  aia_sched_job job{};
  Stream* stream = nullptr;  // whose it is, or
  bool wants_more = false;   // whether it goes on by itself:
  Ns turn_ns = kMs;          // how long its turns take
  Ns think_ns = 0;           // from the end of a turn to the next request
  Ns claimed_ns = 0;         // what it says that they take
  std::uint32_t width = 1;

  Ns came_ns = 0;  // its job, where it has one
  Ns had_ns = 0;   // slots times time
  std::uint64_t turns = 0;
  Ns longest_wait_ns = 0;
};

struct Stream {
  aia_sched_node* tenant = nullptr;
  std::uint32_t class_ = AIACCEL_CLASS_NORMAL;
  std::uint32_t weight = 0;
  std::uint32_t width = 1;
  std::size_t contexts = 0;  // at most so many; jobs that find none idle wait in the stream. 0: any
  Ns claimed_ns = 0;         // what it says that turns take
  Ns due_ns = 0;             // from when a job comes to its deadline; 0: it has none
  Ns longest_ns = 0;         // what its turns are held to; 0: nothing
  Times gap{};               // from one arrival to the next
  Times service{};           // how long a turn takes
  std::function<void(Ns wait_ns)> began{};     // called for each turn that begins,
  std::function<void(Ns sojourn_ns)> ended{};  // and ends

  bool stopped = false;
  std::deque<Client> clients{};
  std::vector<Client*> idle{};
  std::deque<Ns> backlog{};  // when they came
  std::uint64_t turns = 0;
  Ns had_ns = 0;  // slots times time
};

class Host {
 public:
  explicit Host(std::uint32_t slots, Random random = Random(1)) : random_(std::move(random)) {
    aia_sched_engine_init(&engine, slots);
    root = tenant_below(nullptr, 0);
  }
  Host(const Host&) = delete;

  aia_sched_node* tenant(std::uint32_t weight = 0, aia_sched_node* parent = nullptr) {
    return tenant_below(parent ? parent : root, weight);
  }

  struct Options {
    std::uint32_t class_ = AIACCEL_CLASS_NORMAL;
    std::uint32_t weight = 0;
    Ns turn_ns = kMs;
    Ns think_ns = 0;
    std::uint32_t width = 1;
    Ns claimed_ns = 0;
  };

  Client& client(aia_sched_node* node, Options options) {
    Client& c = clients_.emplace_back();
    init(c, node, options.class_, options.weight);
    c.turn_ns = options.turn_ns;
    c.think_ns = options.think_ns;
    c.width = options.width;
    c.claimed_ns = options.claimed_ns;
    return c;
  }
  Client& client(aia_sched_node* node) { return client(node, Options{}); }

  void start(Client& c) {
    c.wants_more = true;
    submit(c);
  }
  // Takes no turn after the one it has or waits for.
  void stop(Client& c) { c.wants_more = false; }
  void stop(Stream& stream) { stream.stopped = true; }

  // Closes a client that has no job, so that its queue is gone for the scheduler.
  void close(Client& c) { aia_sched_queue_fini(&c.queue); }

  void submit(Client& c) {
    put_in_line(c, now_ns);
    dispatch();
  }

  // Jobs that come whatever became of those before. The first comes after a gap.
  Stream& open(Stream options) {
    Stream& stream = streams_.emplace_back(std::move(options));
    if (!stream.tenant) stream.tenant = root;
    foresee(stream.gap(random_), &stream, nullptr);
    return stream;
  }

  // One context whose jobs come each `period_ns`, with a promise; false where that is refused.
  bool promise(Stream options, Ns period_ns) {
    Stream& stream = streams_.emplace_back(std::move(options));
    stream.class_ = AIACCEL_CLASS_REALTIME;
    stream.contexts = 1;
    stream.gap = constant(period_ns);
    if (add_client(stream, period_ns)) {
      aia_sched_queue_fini(&stream.clients.front().queue);
      streams_.pop_back();
      return false;
    }
    foresee(random_.below(period_ns), &stream, nullptr);
    return true;
  }

  // So many jobs at all times: each that ends is followed by another at once.
  Stream& saturate(Stream options, std::size_t jobs) {
    Stream& stream = streams_.emplace_back(std::move(options));
    if (!stream.tenant) stream.tenant = root;
    if (stream.gap) throw std::logic_error("jobs that follow one another have no gap");
    while (stream.clients.size() < jobs) come(stream);
    return stream;
  }

  // Plays until `end_ns`, or until enough() says so after an event.
  template <typename Enough>
  void run(Ns end_ns, Enough enough) {
    dispatch();
    while (!enough()) {
      const Ns event_ns = agenda_.empty() ? AIACCEL_NEVER : agenda_.top().at_ns;
      const Ns next_ns = std::min<Ns>(event_ns, aia_timers_next_ns(&engine.timers));
      if (next_ns > end_ns) {
        now_ns = end_ns;
        break;
      }
      now_ns = std::max(now_ns, next_ns);
      if (next_ns == event_ns) happen();
      dispatch();
      if (settled) settled();
    }
  }
  void run(Ns end_ns) {
    run(end_ns, [] { return false; });
  }

  aia_sched_engine engine{};
  aia_sched_node* root;
  Ns now_ns = kSecond;
  // For who watches: a turn begins; it ends; all that was to be done at this time is done.
  std::function<void(Client&)> granted, ended;
  std::function<void()> settled;

  const std::deque<aia_sched_node>& tenants() const { return tenants_; }
  const std::deque<Stream>& streams() const { return streams_; }

 private:
  struct Event {
    Ns at_ns;
    std::uint64_t number;
    Stream* comes;                              // a job of it comes, or
    Client* wakes;                              // from its turn, or from thinking
    bool operator<(const Event& other) const {  // the queue's top is the largest
      return at_ns != other.at_ns ? at_ns > other.at_ns : number > other.number;
    }
  };

  aia_sched_node* tenant_below(aia_sched_node* parent, std::uint32_t weight) {
    aia_sched_node* node = &tenants_.emplace_back();
    aia_sched_node_init(node, &engine, parent, weight);
    return node;
  }

  void init(Client& c, aia_sched_node* node, std::uint32_t class_, std::uint32_t weight) {
    aia_sched_seat_init(&c.seat, &engine);
    aia_sched_queue_init(&c.queue, &c.seat, node, class_, weight);
  }

  // What the engine says to the promise of a turn each `period_ns`, where that is not 0.
  int add_client(Stream& stream, Ns period_ns) {
    Client& c = stream.clients.emplace_back();
    init(c, stream.tenant, stream.class_, stream.weight);
    c.stream = &stream;
    c.width = stream.width;
    c.claimed_ns = stream.claimed_ns;
    stream.idle.push_back(&c);
    if (!stream.longest_ns) return 0;
    return aia_realtime_join(&c.queue, stream.longest_ns, period_ns, period_ns ? stream.width : 0,
                             now_ns);
  }

  // A job comes: to a client that has none, or to a new one.
  void come(Stream& stream) {
    if (stream.idle.empty() && stream.contexts && stream.clients.size() == stream.contexts)
      return stream.backlog.push_back(now_ns);
    if (stream.idle.empty()) {
      if (add_client(stream, 0)) throw std::logic_error("a queue was refused");
    }
    Client& c = *stream.idle.back();
    stream.idle.pop_back();
    put_in_line(c, now_ns);
  }

  void foresee(Ns after_ns, Stream* comes, Client* wakes) {
    agenda_.push({now_ns + after_ns, foreseen_++, comes, wakes});
  }

  void put_in_line(Client& c, Ns came_ns) {
    c.came_ns = came_ns;
    c.job.width = c.width;
    c.job.cost_ns = c.claimed_ns;
    c.job.deadline_ns = c.stream && c.stream->due_ns ? came_ns + c.stream->due_ns : 0;
    if (aia_sched_submit(&c.queue, &c.job, now_ns)) throw std::logic_error("submit was refused");
  }

  void happen() {
    const Event event = agenda_.top();
    agenda_.pop();
    if (event.comes) {
      if (event.comes->stopped) return;
      come(*event.comes);
      foresee(event.comes->gap(random_), event.comes, nullptr);
    } else if (event.wakes->job.state == AIA_SCHED_GRANTED) {
      end_turn(*event.wakes);
    } else if (event.wakes->wants_more) {
      put_in_line(*event.wakes, now_ns);
    }
  }

  void dispatch() {
    aia_timers_run(&engine.timers, now_ns);
    while (aia_sched_job* job = aia_choice_grant_next(&engine, now_ns)) {
      Client& c = *aia_container_of(job, Client, job);
      const Ns wait_ns = now_ns - c.came_ns;
      c.longest_wait_ns = std::max(c.longest_wait_ns, wait_ns);
      if (c.stream) {
        c.turn_ns = c.stream->service(random_);
        if (c.stream->began) c.stream->began(wait_ns);
      }
      foresee(c.turn_ns, nullptr, &c);
      if (granted) granted(c);
    }
  }

  void end_turn(Client& c) {
    const Ns had_ns = (now_ns - c.job.granted_ns) * c.width;
    aia_sched_complete(&c.job, now_ns);
    c.had_ns += had_ns;
    c.turns++;
    if (ended) ended(c);
    if (Stream* stream = c.stream) {
      stream->had_ns += had_ns;
      stream->turns++;
      if (stream->ended) stream->ended(now_ns - c.came_ns);
      if (!stream->backlog.empty()) {
        put_in_line(c, stream->backlog.front());
        stream->backlog.pop_front();
      } else {
        stream->idle.push_back(&c);
        if (!stream->gap && !stream->stopped) come(*stream);
      }
    } else if (c.wants_more && c.think_ns) {
      foresee(c.think_ns, nullptr, &c);
    } else if (c.wants_more) {
      put_in_line(c, now_ns);
    }
  }

  Random random_;
  std::deque<aia_sched_node> tenants_;
  std::deque<Client> clients_;
  std::deque<Stream> streams_;
  std::priority_queue<Event> agenda_;
  std::uint64_t foreseen_ = 0;
};

}  // namespace sim
