// SPDX-License-Identifier: MIT
//
// Contexts and turns as an adapter has them, for the tests of turns.h: allocates, dispatches,
// frees, and keeps books, so that a turn freed twice or never is seen.
//
// Invariant: `live` holds the turns that the core has now. Single-threaded.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/core.hpp"

class Stage {
 public:
  explicit Stage(std::uint32_t slots) {
    aia_sched_engine_init(&engine, slots);
    aia_sched_node_init(&node, &engine, nullptr, 0);
  }
  Stage(const Stage&) = delete;
  ~Stage() {
    for (aia_turn* turn : live) delete turn;
  }

  void free_all(aia_news& news) {
    for (aia_turn* freed = std::exchange(news.freed, nullptr); freed;) {
      aia_turn* next = freed->next_freed;
      if (!live.erase(freed)) throw std::logic_error("a turn was freed that nobody has");
      delete freed;
      freed = next;
    }
  }

  // Returns the contexts that got news.
  std::multiset<aia_turns*> dispatch() {
    aia_news news{};
    aia_turns_dispatch(&engine, now, &news);
    free_all(news);
    return unchain(news);
  }

  static std::multiset<aia_turns*> unchain(aia_news& news) {
    std::multiset<aia_turns*> result;
    for (aia_turns* woken = std::exchange(news.woken, nullptr); woken; woken = woken->next_woken) {
      woken->woken = false;
      result.insert(woken);
    }
    return result;
  }

  // Takes the engine off the chain, to be dispatched later; whether it was on it.
  static bool stirred(aia_news& news) {
    bool any = false;
    while (aia_turns_next_stirred(&news)) any = true;
    return any;
  }

  aia_sched_engine engine{};
  aia_sched_node node{};
  std::uint64_t now = 1;
  std::set<aia_turn*> live;
};

// A context with one queue, and the reader of its ring.
class Context {
 public:
  explicit Context(Stage& stage, std::uint32_t class_ = AIACCEL_CLASS_NORMAL) : stage_(stage) {
    aia_turns_init(&turns, memory_, &consumed, 0x9e3779b97f4a7c15);
    aia_sched_seat_init(&seat, &stage.engine);
    aia_sched_queue_init(&queue, &seat, &stage.node, class_, 0);
    queue.who = &who;
  }
  Context(const Context&) = delete;

  int submit(std::uint64_t cookie, std::uint32_t width = 1) {
    aiaccel_job arg{};
    arg.cookie = cookie;
    arg.width = width;
    return submit(arg, queue);
  }
  int submit_after(std::uint64_t after, std::uint64_t cookie, std::uint32_t width = 1) {
    aiaccel_job arg{};
    arg.cookie = cookie;
    arg.width = width;
    arg.flags = AIACCEL_JOB_AFTER;
    arg.after = after;
    return submit(arg, queue);
  }
  int submit(const aiaccel_job& arg, aia_sched_queue& queue) {
    if (int err = aia_turns_check(&turns, &queue, &arg)) return err;
    auto turn = std::make_unique<aia_turn>();
    aia_news news{};
    int err = aia_turns_submit(&turns, &queue, turn.get(), &arg, stage_.now, &news);
    stage_.stirred(news);
    if (!err) stage_.live.insert(turn.release());
    return err;
  }
  // `wants_dispatch` is told whether the engine was stirred.
  int complete(std::uint64_t cookie, std::uint32_t generation, std::uint32_t flags = 0,
               bool first = true) {
    aiaccel_completion arg{cookie, generation, flags};
    aia_news news{};
    int err = aia_turns_complete(&turns, &arg, first, stage_.now, &news);
    stage_.free_all(news);
    wants_dispatch = stage_.stirred(news);
    return err;
  }
  int cancel(std::uint64_t cookie) { return complete(cookie, 0, AIACCEL_COMPLETE_CANCEL); }

  void end_queue() {
    aia_news news{};
    aia_turns_end_queue(&turns, &queue, stage_.now, &news);
    stage_.free_all(news);
    stage_.stirred(news);
  }
  std::multiset<aia_turns*> fail_queue() {
    aia_news news{};
    aia_turns_fail_queue(&turns, &queue, stage_.now, &news);
    stage_.free_all(news);
    stage_.stirred(news);
    return Stage::unchain(news);
  }
  bool flush() {
    aia_news news{};
    bool wrote = aia_turns_flush(&turns, &news);
    stage_.free_all(news);
    return wrote;
  }

  std::vector<aiaccel_event> read() {
    std::vector<aiaccel_event> got;
    const auto* ring = reinterpret_cast<const aiaccel_ring*>(memory_);
    const auto* events = reinterpret_cast<const aiaccel_event*>(memory_ + ring->events_offset);
    while (consumed != ring->produced) got.push_back(events[consumed++ % ring->entries]);
    return got;
  }
  std::uint32_t yield_word(std::uint32_t slot) const {
    const auto* ring = reinterpret_cast<const aiaccel_ring*>(memory_);
    return reinterpret_cast<const std::uint32_t*>(memory_ + ring->yield_offset)[slot];
  }

  aia_turns turns{};
  aia_sched_seat seat{};
  aia_sched_queue queue{};
  aia_history_who who{};
  std::uint32_t consumed = 0;
  bool wants_dispatch = false;

 private:
  Stage& stage_;
  alignas(64) char memory_[16384] = {};
};
