// SPDX-License-Identifier: MIT
//
// Contexts under any calls in any order, with readers that fall behind and engines that fail. Every
// answer is the one that the state of the job calls for; every turn given out is told exactly once,
// unless its job ended before; every turn is handed back exactly once.
//
// What happens is chosen by whoever makes a Play: a random generator, or a fuzzer's bytes. Needs
// BOOST_TEST_REQUIRE, from <tap/tap.hpp> or from libfuzzer/fuzz.hpp. Single-threaded.
#pragma once

#include <cerrno>
#include <map>
#include <utility>

#include "core/choices.hpp"
#include "core/turns_stage.hpp"

class Play {
 public:
  explicit Play(Choices choices) : choices_(std::move(choices)), stage_(1 + pick(4)) {
    for (unsigned i = 0; i < kContexts; i++)
      contexts_.push_back(std::make_unique<Context>(stage_, i % AIACCEL_NR_CLASSES));
    // So that rings wrap, and fill, within a short play.
    for (auto& c : contexts_) {
      c->turns.ring.produced = c->turns.ring.shared->produced = c->consumed = ~0U - pick(300);
      if (pick(2)) fill(*c);
    }
  }

  void step() {
    stage_.now += pick(1000);
    Context& c = *contexts_[pick(kContexts)];
    std::uint64_t cookie = pick(kCookies);
    switch (pick(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        submit(c, cookie);
        break;
      case 5:
      case 6:
      case 7:
      case 8:
        if (c.seat.turn && pick(4))
          cookie = aia_container_of(c.seat.turn, aia_turn, job)->note.cookie;
        complete(c, cookie, pick(8) ? 0 : AIACCEL_COMPLETE_CANCEL, pick(5) == 0);
        break;
      case 9:
        complete(c, cookie, AIACCEL_COMPLETE_CANCEL, false);
        break;
      case 10:
        read(c, pick(40));
        break;
      case 11:
        c.flush();
        break;
      case 12:
        if (!pick(20)) fail_queue(c);
        break;
      case 13:
        if (!pick(20)) end_queue(c);
        break;
      default:
        stage_.dispatch();
        break;
    }
    check();
  }

  void end() {
    for (auto& c : contexts_) {
      end_queue(*c);
      BOOST_TEST_REQUIRE(aia_turns_empty(&c->turns));
      BOOST_TEST_REQUIRE(!c->flush());
      aia_sched_queue_fini(&c->queue);
      read(*c, ~0U);
    }
    BOOST_TEST_REQUIRE(stage_.live.empty());
    BOOST_TEST_REQUIRE(stage_.engine.slots_used == 0u);
    BOOST_TEST_REQUIRE(stage_.engine.waiting == 0u);
    aia_sched_node_fini(&stage_.node);
  }

  std::uint64_t told() const { return told_; }

 private:
  static constexpr unsigned kContexts = 6, kCookies = 12;

  // A context here has one queue: what is held is so for another of it.
  void forget_held(const Context& c) {
    std::erase_if(held_, [&](const auto& pair) { return pair.first->turns == &c.turns; });
  }
  void fail_queue(Context& c) {
    forget_held(c);
    c.fail_queue();
    for (const aia_turn* turn : stage_.live)
      if (turn->turns == &c.turns) BOOST_TEST_REQUIRE((turn->note.last || turn->revoked));
  }
  void end_queue(Context& c) {
    forget_held(c);
    c.end_queue();
  }

  unsigned pick(unsigned below) { return static_cast<unsigned>(choices_() % below); }

  void fill(Context& c) {
    while (aia_ring_unread(&c.turns.ring) < AIA_TURNS_MAX) {
      BOOST_TEST_REQUIRE(c.submit(1000) == 0);
      stage_.dispatch();
      BOOST_TEST_REQUIRE(c.cancel(1000) == 0);
    }
  }

  // The turn that the name names, as the header defines it.
  aia_turn* named(const Context& c, std::uint64_t cookie) const {
    for (aia_turn* turn : stage_.live)
      if (turn->turns == &c.turns && turn->note.cookie == cookie && !turn->note.last) return turn;
    return nullptr;
  }

  void submit(Context& c, std::uint64_t cookie) {
    std::uint32_t width = 1 + pick(stage_.engine.slots + 1);
    if (!pick(3)) return submit_after(c, pick(kCookies), cookie, width);
    int expected = width > stage_.engine.slots ? -EINVAL
                   : named(c, cookie)          ? -EEXIST
                   : c.seat.turn               ? -EDEADLK
                                               : 0;
    BOOST_TEST_REQUIRE(c.submit(cookie, width) == expected);
  }

  void submit_after(Context& c, std::uint64_t after, std::uint64_t cookie, std::uint32_t width) {
    const aia_turn* first = named(c, after);
    int expected = width > stage_.engine.slots ? -EINVAL
                   : !first || first->revoked  ? -ENOENT
                   : named(c, cookie)          ? -EEXIST
                                               : 0;
    BOOST_TEST_REQUIRE(c.submit_after(after, cookie, width) == expected);
    if (!expected) held_[named(c, cookie)] = first;
  }

  static bool waits(const aia_turn* turn) {
    return turn->job.state == AIA_SCHED_WAITING || turn->job.state == AIA_SCHED_HELD;
  }

  // What was held until `ended` was over is in line, or has failed, or was told so and is gone.
  void follow_up(const aia_turn* ended, bool completed) {
    for (auto it = held_.begin(); it != held_.end();) {
      const auto [turn, first] = *it;
      if (first != ended) {
        ++it;
        continue;
      }
      it = held_.erase(it);
      if (completed) {
        BOOST_TEST_REQUIRE(turn->job.state == AIA_SCHED_WAITING);
        continue;
      }
      BOOST_TEST_REQUIRE((!stage_.live.count(turn) || turn->note.last));
      follow_up(turn, false);
      it = held_.begin();
    }
  }

  void complete(Context& c, std::uint64_t cookie, std::uint32_t flags, bool wrong) {
    aia_turn* const turn = named(c, cookie);
    std::uint32_t generation = (turn ? turn->note.generation : 0) + wrong;
    bool cancel = flags & AIACCEL_COMPLETE_CANCEL;
    int expected = !turn                                 ? -ENOENT
                   : waits(turn) && !cancel              ? -EBUSY
                   : turn->revoked || (wrong && !cancel) ? -ESTALE
                                                         : 0;
    const bool had_turn = turn && turn->job.state == AIA_SCHED_GRANTED;
    // Its holder says that it ended, so that the seat is free.
    bool contended = expected == -ESTALE && (cancel || !wrong) && c.seat.turn == &turn->job;
    bool ends = expected == 0 || (expected == -ESTALE && (cancel || !wrong));
    BOOST_TEST_REQUIRE(c.complete(cookie, generation, flags) == expected);
    if (!expected) held_.erase(turn);
    if (!expected) follow_up(turn, had_turn);
    BOOST_TEST_REQUIRE(c.wants_dispatch == (expected == 0 || contended));
    BOOST_TEST_REQUIRE((named(c, cookie) == nullptr) == (ends || !turn));
  }

  void read(Context& c, unsigned most) {
    const auto* ring = c.turns.ring.shared;
    const auto* events = c.turns.ring.events;
    for (; most && c.consumed != ring->produced; most--) {
      const aiaccel_event& e = events[c.consumed++ % ring->entries];
      told_ += e.cookie < kCookies;
      BOOST_TEST_REQUIRE(e.events != 0u);
      bool granted = e.events & AIACCEL_EVENT_GRANTED;
      // A generation is granted once; everything else of it comes later, or with it.
      if (granted) BOOST_TEST_REQUIRE(seen_[&c].insert(e.generation).second);
      if (e.events & AIACCEL_EVENT_FAILED) {
        BOOST_TEST_REQUIRE(e.events == 1u * AIACCEL_EVENT_FAILED);
        BOOST_TEST_REQUIRE(e.generation == 0u);
      } else {
        BOOST_TEST_REQUIRE(seen_[&c].count(e.generation) == 1u);
      }
    }
  }

  void check() {
    std::size_t live = 0;
    for (const auto& c : contexts_) {
      live += c->turns.live;
      std::set<std::uint32_t> slots;
      std::set<const aia_link*> waiting;
      const aia_link* head = &c->turns.ring.waiting;
      for (const aia_link* l = head->next; l != head; l = l->next) waiting.insert(l);
      for (const aia_turn* turn : stage_.live) {
        if (turn->turns != &c->turns) continue;
        BOOST_TEST_REQUIRE(slots.insert(turn->note.slot).second);
        BOOST_TEST_REQUIRE((turn->note.events != 0) == waiting.count(&turn->note.of_ring));
      }
    }
    BOOST_TEST_REQUIRE(live == stage_.live.size());
    for (aia_turn* turn : stage_.live)
      BOOST_TEST_REQUIRE((turn->job.state == AIA_SCHED_HELD) == (held_.count(turn) == 1u));
    for (const auto& [turn, first] : held_)
      BOOST_TEST_REQUIRE((waits(first) || first->job.state == AIA_SCHED_GRANTED));
  }

  Choices choices_;
  Stage stage_;
  std::vector<std::unique_ptr<Context>> contexts_;
  std::map<aia_turn*, const aia_turn*> held_;  // until which one is over
  std::map<const Context*, std::set<std::uint32_t>> seen_;
  std::uint64_t told_ = 0;
};
