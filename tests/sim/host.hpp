// SPDX-License-Identifier: MIT
//
// A host under virtual time: an engine, or several, tenants, and clients that come and take as long
// as they are told. All that decides is the module's (core/turns.h); the host is its adapter, as
// those of the module and of the broker are: submits and completes, dispatches what was stirred,
// wakes who has news, and looks again when an engine says so. Only the clock is played, and it is
// never late.
//
// On a preemptible engine there is a provider, which stops work when it is told to: one turn after
// the other (core/stop.h), and each takes its time.
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
#include <utility>
#include <vector>

#include "sim/clients.hpp"

namespace sim {

class Host {
 public:
  explicit Host(std::uint32_t slots, Random random = Random(1));
  Host(const Host&) = delete;

  // Before there are queues. Else the engine is advisory, and turns have no end. To stop work takes
  // any time up to `longest_stop_ns`.
  void enforce(std::uint32_t enforcement, Ns grace_ns = 0, Ns longest_stop_ns = 0);

  aia_sched_node* tenant(std::uint32_t weight = 0, aia_sched_node* parent = nullptr) {
    return tenant_below(parent ? parent : root, &engine, weight);
  }
  // Another engine beside the first one; the root of its tenants.
  aia_sched_node* another(std::uint32_t slots);

  struct Options {
    std::uint32_t class_ = AIACCEL_CLASS_NORMAL;
    std::uint32_t weight = 0;
    Ns turn_ns = kMs;
    Ns think_ns = 0;
    std::uint32_t width = 1;
    Ns claimed_ns = 0;
    Ns budget_ns = 0;
  };

  Client& client(aia_sched_node* node, Options options);
  Client& client(aia_sched_node* node) { return client(node, Options{}); }

  void start(Client& c) {
    c.wants_more = true;
    submit(c);
  }
  // After something was changed that stirs no engine by itself: an order, a ceiling.
  void look();

  // Jobs of them that begin together, time and again.
  Gang& gang(std::vector<Client*> members);
  // Takes no turn after the one it has or waits for.
  void stop(Client& c) { c.wants_more = false; }
  void stop(Stream& stream) { stream.stopped = true; }
  void stop_all();

  void submit(Client& c) {
    put_in_line(c, now_ns);
    dispatch();
  }

  // Closes a client that has no job, so that its queue is gone for the scheduler.
  void close(Client& c) {
    aia_sched_queue_fini(&c.queue);
    for (Place& p : c.elsewhere) aia_sched_queue_fini(&p.queue);
  }

  void freeze(Client& c) { c.frozen = true; }
  void thaw(Client& c);
  // The process is no more, whatever it had.
  void kill(Client& c);

  // Jobs that come whatever became of those before. The first comes after a gap.
  Stream& open(Stream options);

  // One context whose jobs come each `period_ns`, with a promise; false where that is refused.
  bool promise(Stream options, Ns period_ns);

  // So many jobs at all times: each that ends is followed by another at once.
  Stream& saturate(Stream options, std::size_t jobs);

  // Plays until `end_ns`, or until enough() says so after an event.
  template <typename Enough>
  void run(Ns end_ns, Enough enough) {
    look();
    while (!enough()) {
      const Ns event_ns = agenda_.empty() ? AIACCEL_NEVER : agenda_.top().at_ns;
      const Ns next_ns = std::min({event_ns, next_look_ns(), stopped_ns_});
      if (next_ns > end_ns) {
        now_ns = end_ns;
        break;
      }
      pass_time(next_ns);
      if (next_ns == event_ns) happen();
      if (stopped_ns_ <= now_ns) end_stop();
      look_where_due();
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
  // For who watches: a turn begins; it is renewed; its slots are given back; its work has ended
  // that was revoked; all that was to be done at this time is done.
  std::function<void(Client&)> granted, renewed, ended, released;
  std::function<void()> settled;

  const std::deque<aia_sched_node>& tenants() const { return tenants_; }
  // All that there ever were.
  std::vector<Client*> clients();

 private:
  struct Event {
    Ns at_ns;
    std::uint64_t number;
    Stream* comes;  // a job of it comes, or
    Client* wakes;  // from its work, or from thinking,
    std::uint64_t epoch;
    bool operator<(const Event& other) const {  // the queue's top is the largest
      return at_ns != other.at_ns ? at_ns > other.at_ns : number > other.number;
    }
  };

  aia_sched_node* tenant_below(aia_sched_node* parent, aia_sched_engine* at, std::uint32_t weight);
  int init(Client& c, aia_sched_node* node, std::uint32_t class_, std::uint32_t weight,
           Ns budget_ns, Ns period_ns);
  int add_client(Stream& stream, Ns period_ns);
  void join(Client& c, aia_sched_node* node);
  void foresee(Ns after_ns, Stream* comes);
  void foresee(Ns after_ns, Client& wakes);
  void put_in_line(Client& c, Ns came_ns);
  void put_in_line(Gang& gang);
  void submit(Client& c, aia_turn& turn, const aia_turn* after, Ns came_ns);
  int complete(Client& c, std::uint32_t flags);

  // What happens to it: a job comes to a stream; the next event.
  void come(Stream& stream);
  void happen();
  void wake(Client& c);

  // What an adapter does after each change.
  Ns next_look_ns();
  void look_where_due();
  void pass_time(Ns until_ns);
  void dispatch();
  void read(Client& c);
  void take_freed();

  // What is decided on a client's turn, and what becomes of it.
  static void witness(const aia_turn* turn, __u32 state, __u64 now_ns);
  void begin(Client& c);
  void begin_work(Client& c);
  void give_back(Client& c);
  void asked(Client& c);
  void yield(Client& c);
  void revoked(Client& c);
  void begin_stop();
  void end_stop();
  void end_turn(Client& c);
  void is_released(Client& c);
  void go_on(Client& c);

  Random random_;
  aia_news news_{};
  std::vector<aia_stop> stops_;
  aia_stop* stopping_ = nullptr;  // what the provider stops now
  Ns stopped_ns_ = AIACCEL_NEVER;
  std::deque<aia_sched_engine> others_;
  aia_groups groups_{};
  std::deque<Gang> gangs_;
  std::deque<aia_sched_node> tenants_;
  std::deque<Client> clients_;
  std::deque<Stream> streams_;
  std::priority_queue<Event> agenda_;
  std::uint64_t foreseen_ = 0;
  std::uint64_t at_once_ = 0;  // so often has something happened at this time
};

}  // namespace sim
