// SPDX-License-Identifier: MIT
//
// An engine with tenants and clients for the tests of the scheduler, and a clock moved by hand.
// A client is a context with one queue that wants turn after turn of a known length; run() plays
// time until a given moment and keeps the engine as busy as the scheduler lets it.
//
// Invariants: what the scheduler knows of lives in deques here, so that addresses hold; it is taken
// down from the leaves up. Single-threaded.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <stdexcept>
#include <vector>

#include "core/core.hpp"

// True when all invariants of sched.h hold on the engine, its tenants and these queues; else `*why`
// says what does not.
bool is_sound(const aia_sched_engine& engine, const std::vector<const aia_sched_node*>& nodes,
              const std::vector<const aia_sched_queue*>& queues, const char** why);

constexpr std::uint64_t kMs = 1000000;

struct Client {
  aia_sched_seat seat{};
  aia_sched_queue queue{};
  aia_sched_job job{};
  std::uint64_t turn_ns = kMs;  // how long its turns take
  std::uint64_t think_ns = 0;   // from the end of a turn to the next request
  std::uint32_t width = 1;
  std::uint64_t claimed_ns = 0;  // what it says that they take
  bool wants_more = false;
  std::uint64_t had_ns = 0;  // slots times time
  std::uint64_t turns = 0;
  std::uint64_t longest_wait_ns = 0;
};

class Arena {
 public:
  explicit Arena(std::uint32_t slots) {
    aia_sched_engine_init(&engine, slots);
    root = &nodes_.emplace_back();
    aia_sched_node_init(root, &engine, nullptr, 0);
  }
  Arena(const Arena&) = delete;

  aia_sched_node* tenant(std::uint32_t weight = 0, aia_sched_node* parent = nullptr) {
    aia_sched_node* node = &nodes_.emplace_back();
    aia_sched_node_init(node, &engine, parent ? parent : root, weight);
    return node;
  }

  struct Options {
    std::uint32_t class_ = AIACCEL_CLASS_NORMAL;
    std::uint32_t weight = 0;
    std::uint64_t turn_ns = kMs;
    std::uint64_t think_ns = 0;
    std::uint32_t width = 1;
    std::uint64_t claimed_ns = 0;
  };

  Client& client(aia_sched_node* node, Options options) {
    Client& c = clients_.emplace_back();
    aia_sched_seat_init(&c.seat, &engine);
    aia_sched_queue_init(&c.queue, &c.seat, node, options.class_, options.weight);
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

  // Closes a client that has no job, so that its queue is gone for the scheduler.
  void close(Client& c) { aia_sched_queue_fini(&c.queue); }

  void submit(Client& c) {
    c.job.width = c.width;
    c.job.cost_ns = c.claimed_ns;
    if (aia_sched_submit(&c.queue, &c.job, now)) throw std::logic_error("submit was refused");
    dispatch();
  }

  // Plays until `end_ns` on the clock.
  void run(std::uint64_t end_ns) {
    dispatch();
    for (;;) {
      const std::uint64_t when = agenda_.empty() ? AIACCEL_NEVER : agenda_.begin()->first;
      const std::uint64_t next = std::min<std::uint64_t>(when, aia_timers_next_ns(&engine.timers));
      if (next > end_ns) break;
      now = next;
      if (next < when) {
        dispatch();
        continue;
      }
      Client* c = agenda_.begin()->second;
      agenda_.erase(agenda_.begin());
      if (c->job.state == AIA_SCHED_GRANTED)
        end_turn(*c);
      else if (c->wants_more)
        submit(*c);
      dispatch();
    }
    now = end_ns;
  }

  aia_sched_engine engine{};
  aia_sched_node* root;
  std::uint64_t now = 1000 * kMs;
  std::function<void(Client&)> granted;  // called for each turn that begins

 private:
  void dispatch() {
    aia_timers_run(&engine.timers, now);
    while (aia_sched_job* job = aia_sched_grant_next(&engine, now)) {
      Client* c = aia_container_of(job, Client, job);
      c->longest_wait_ns = std::max<std::uint64_t>(c->longest_wait_ns, now - job->submitted_ns);
      agenda_.emplace(now + c->turn_ns, c);
      if (granted) granted(*c);
    }
  }
  void end_turn(Client& c) {
    aia_sched_complete(&c.job, now);
    c.had_ns += c.turn_ns * c.width;
    c.turns++;
    if (!c.wants_more) return;
    if (c.think_ns)
      agenda_.emplace(now + c.think_ns, &c);
    else
      submit(c);
  }

  std::deque<aia_sched_node> nodes_;
  std::deque<Client> clients_;
  std::multimap<std::uint64_t, Client*> agenda_;
};
