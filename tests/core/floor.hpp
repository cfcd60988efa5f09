// SPDX-License-Identifier: MIT
//
// Several engines and the contexts that use them, in virtual time: for the tests of what
// happens at more than one engine. Acts on the news like an adapter, and rings timers in time.
//
// A turn lasts as long as its holder said when it submitted; AIACCEL_NEVER: until it is told to end
// it. What is granted is told to the party's `begun`. Where a job names a buffer, that is one on
// node buffer - 1, and engine number e is on node e. Single-threaded.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <vector>

#include "core/core.hpp"

class Floor;

// A context with a queue at each engine.
class Party {
 public:
  Party(Floor& floor, unsigned tenant, std::uint32_t class_ = AIACCEL_CLASS_NORMAL);
  Party(const Party&) = delete;
  ~Party();

  int submit(unsigned engine, aiaccel_job arg, std::uint64_t lasts_ns);
  int end(std::uint64_t cookie);  // completes its turn, or cancels it
  void end_all();
  void fail(unsigned engine);                 // as where the engine goes
  void end_queue(unsigned engine);            // until the party ends it has no other there
  void join_all();                            // its queues are one set
  std::uint64_t held(unsigned engine) const;  // the cookie whose turn it is; 0: none

  std::function<void(std::uint64_t cookie)> begun = [](std::uint64_t) {};
  std::function<void(std::uint64_t cookie)> failed = [](std::uint64_t) {};

  aia_turns turns{};
  std::vector<std::unique_ptr<aia_sched_seat>> seats;
  std::vector<std::unique_ptr<aia_sched_queue>> queues;
  std::uint32_t consumed = 0;

 private:
  friend class Floor;
  void read();

  Floor& floor_;
  std::map<std::uint64_t, std::uint64_t> lasts_ns_;  // by cookie, of those not granted yet
  aia_history_who who_{};
  alignas(64) char memory_[16384] = {};
};

class Floor {
 public:
  static constexpr unsigned kTenants = 3;

  Floor(unsigned engines, std::uint32_t slots) {
    for (unsigned i = 0; i < engines; i++) {
      this->engines.push_back(std::make_unique<aia_sched_engine>());
      aia_sched_engine_init(this->engines[i].get(), slots);
      this->engines[i]->number = i + 1;
      this->engines[i]->numa_node = static_cast<std::int32_t>(i);
      for (unsigned t = 0; t < kTenants; t++) {
        nodes.push_back(std::make_unique<aia_sched_node>());
        aia_sched_node_init(nodes.back().get(), this->engines[i].get(), nullptr, 0);
      }
    }
  }
  Floor(const Floor&) = delete;

  aia_sched_node* node(unsigned tenant, unsigned engine) {
    return nodes[engine * kTenants + tenant].get();
  }

  void act(aia_news& news) {
    dispatches = 0;
    while (aia_sched_engine* engine = aia_turns_next_stirred(&news)) {
      if (++dispatches > 100'000) throw std::logic_error("engines stir each other for ever");
      aia_turns_dispatch(engine, now, &news);
    }
    while (aia_turn* turn = news.freed) {
      news.freed = turn->next_freed;
      if (!live.erase(turn)) throw std::logic_error("a turn was freed that nobody has");
      delete turn->job.any;
      delete turn;
    }
    std::vector<Party*> woken;
    while (aia_turns* turns = news.woken) {
      news.woken = turns->next_woken;
      turns->woken = false;
      woken.push_back(parties.at(turns));
    }
    if (after_each) after_each();
    for (Party* party : woken) party->read();
  }

  // Lets time go on to the next end of a turn or timer. False when nothing will ever happen.
  bool step() {
    std::uint64_t next = AIACCEL_NEVER;
    if (!ends.empty()) next = ends.begin()->first;
    for (auto& engine : engines)
      next = std::min<std::uint64_t>(next, aia_timers_next_ns(&engine->timers));
    if (next == AIACCEL_NEVER) return false;
    now = std::max(now, next);
    aia_news news{};
    for (auto& engine : engines)
      if (aia_timers_next_ns(&engine->timers) <= now) aia_turns_stir(engine.get(), &news);
    act(news);
    while (!ends.empty() && ends.begin()->first <= now) {
      const auto [party, cookie] = ends.begin()->second;
      ends.erase(ends.begin());
      party->end(cookie);
    }
    return true;
  }

  std::vector<std::unique_ptr<aia_sched_engine>> engines;
  std::vector<std::unique_ptr<aia_sched_node>> nodes;
  aia_groups groups{};
  std::uint64_t now = 1;
  std::uint64_t dispatches = 0;
  std::set<aia_turn*> live;
  std::map<const aia_turns*, Party*> parties;
  std::multimap<std::uint64_t, std::pair<Party*, std::uint64_t>> ends;
  std::function<void()> after_each;  // when all that a call stirred came to rest
};

inline Party::Party(Floor& floor, unsigned tenant, std::uint32_t class_) : floor_(floor) {
  aia_turns_init(&turns, memory_, &consumed, 0x9e3779b97f4a7c15);
  turns.groups = &floor.groups;
  turns.tenant = &floor.nodes[tenant];
  for (unsigned e = 0; e < floor.engines.size(); e++) {
    seats.push_back(std::make_unique<aia_sched_seat>());
    aia_sched_seat_init(seats[e].get(), floor.engines[e].get());
    queues.push_back(std::make_unique<aia_sched_queue>());
    aia_sched_queue_init(queues[e].get(), seats[e].get(), floor.node(tenant, e), class_, 0);
    queues[e]->who = &who_;
  }
  floor.parties[&turns] = this;
}

inline Party::~Party() {
  end_all();
  for (auto& queue : queues)
    if (queue) aia_sched_queue_fini(queue.get());
  floor_.parties.erase(&turns);
}

inline int Party::submit(unsigned engine, aiaccel_job arg, std::uint64_t lasts_ns) {
  if (!arg.width) arg.width = 1;
  if (int err = aia_turns_check(&turns, queues[engine].get(), &arg)) return err;
  auto turn = std::make_unique<aia_turn>();
  auto any = arg.flags & AIACCEL_JOB_ANY ? std::make_unique<aia_any>() : nullptr;
  if (any) any->numa_node = static_cast<std::int32_t>(arg.buffer) - 1;
  turn->job.any = any.get();
  aia_news news{};
  const int err =
      aia_turns_submit(&turns, queues[engine].get(), turn.get(), &arg, floor_.now, &news);
  if (err) return err;
  (void)any.release();
  lasts_ns_[arg.cookie] = lasts_ns;
  floor_.live.insert(turn.release());
  floor_.act(news);
  return 0;
}

inline int Party::end(std::uint64_t cookie) {
  const aiaccel_completion arg{cookie, 0, AIACCEL_COMPLETE_CANCEL};
  aia_news news{};
  const int err = aia_turns_complete(&turns, &arg, true, floor_.now, &news);
  lasts_ns_.erase(cookie);
  floor_.act(news);
  return err;
}

inline void Party::end_all() {
  aia_news news{};
  aia_turns_end_all(&turns, floor_.now, &news);
  std::erase_if(floor_.ends, [&](const auto& end) { return end.second.first == this; });
  lasts_ns_.clear();
  floor_.act(news);
}

inline void Party::fail(unsigned engine) {
  aia_news news{};
  aia_turns_fail_queue(&turns, queues[engine].get(), floor_.now, &news);
  floor_.act(news);
}

inline void Party::end_queue(unsigned engine) {
  aia_news news{};
  aia_turns_end_queue(&turns, queues[engine].get(), floor_.now, &news);
  aia_sched_queue_fini(queues[engine].get());
  queues[engine].reset();
  floor_.act(news);
}

inline void Party::join_all() {
  for (unsigned e = 1; e < queues.size(); e++) aia_any_join(queues[e].get(), queues[e - 1].get());
}

inline std::uint64_t Party::held(unsigned engine) const {
  const aia_sched_job* job = seats[engine]->turn;
  return job ? aia_container_of(job, aia_turn, job)->note.cookie : 0;
}

inline void Party::read() {
  const auto* ring = turns.ring.shared;
  while (consumed != ring->produced) {
    const aiaccel_event event = turns.ring.events[consumed++ % ring->entries];
    if (event.events & AIACCEL_EVENT_FAILED) {
      lasts_ns_.erase(event.cookie);
      failed(event.cookie);
    }
    const auto lasts = lasts_ns_.find(event.cookie);
    if (!(event.events & AIACCEL_EVENT_GRANTED) || lasts == lasts_ns_.end()) continue;
    if (lasts->second != AIACCEL_NEVER)
      floor_.ends.emplace(floor_.now + lasts->second, std::pair{this, event.cookie});
    lasts_ns_.erase(lasts);
    begun(event.cookie);
  }
}
