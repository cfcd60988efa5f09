// SPDX-License-Identifier: MIT
//
// The lease's state machine with a clock moved by hand, an arbiter and work that do as they are
// told; and the door under many threads.
#include <uapi/aiaccel.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "shim/lease.h"
#include "tap/tap.hpp"

using namespace aiaccel::shim;

namespace {

constexpr uint64_t kMs = 1'000'000;

class FakeArbiter : public Arbiter {
 public:
  int open() override { return open_error ? open_error : (++opens, 0); }
  void close() override { ++closes; }
  int ask() override {
    if (ask_error) return ask_error;
    asked = true;
    return 0;
  }
  int read(News* told) override {
    if (read_error) return read_error;
    *told = news;
    news = {};
    return 0;
  }
  int complete(bool ask_again) override {
    ++completes;
    asked = ask_again;
    yield_word = 0;
    return complete_error;
  }
  int renew() override {
    ++renewals;
    return renew_error;
  }
  int look() override {
    ++looks;
    return look_error;
  }
  bool fail_open() override { return open_when_missing; }

  void grant(uint32_t generation) {
    asked = false;
    news.granted = true;
    news.generation = generation;
    news.yield_word = &yield_word;
  }

  int open_error = 0, ask_error = 0, read_error = 0, complete_error = 0, look_error = 0, renew_error = 0;
  int opens = 0, closes = 0, completes = 0, looks = 0, renewals = 0;
  bool asked = false, open_when_missing = true;
  uint32_t yield_word = 0;
  News news;
};

class FakeWork : public Work {
 public:
  State look(uint64_t, bool all) override {
    ++looks;
    looked_at_all |= all;
    const auto call = [](std::function<void()>& f) {
      if (f) std::exchange(f, nullptr)();
    };
    call(before);
    const State seen = state;
    call(after);
    return seen;
  }
  State state;
  std::function<void()> before, after;  // once
  int looks = 0;
  bool looked_at_all = false;
};

struct Fixture {
  uint64_t now = 1000 * kMs;
  Door door;
  std::vector<unsigned> inside;  // the side of each
  FakeArbiter arbiter;
  FakeWork work;
  LeaseRules rules{2 * kMs, 4, 1 * kMs, 50 * kMs};
  Lease lease{door, arbiter, work, rules};

  Lease::Next step(unsigned waiting = 0) { return lease.step(now, waiting); }

  bool enter() {
    unsigned side;
    if (!door.enter(&side)) return false;
    inside.push_back(side);
    return true;
  }

  // Who came in last.
  void leave() {
    door.leave(inside.back());
    inside.pop_back();
  }

  // Launches as often as the door lets us; how often that was.
  unsigned launch_all(unsigned most = 100) {
    unsigned launches = 0;
    while (launches < most && enter()) {
      leave();
      ++launches;
    }
    work.state.in_flight += launches;
    return launches;
  }

  void finish_work() {
    work.state.done += work.state.in_flight;
    work.state.in_flight = 0;
  }

  void hold(uint32_t generation = 7) {
    step(1);
    arbiter.grant(generation);
    BOOST_TEST(step(1).changed);
    BOOST_TEST((lease.state() == Lease::State::held));
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(lease, Fixture)

BOOST_AUTO_TEST_CASE(nobody_passes_without_a_turn_and_nobody_asks_without_a_launch) {
  BOOST_TEST(!enter());
  BOOST_TEST(step(0).at_ns == now + 250 * kMs);  // only to see whether the arbiter leaves
  BOOST_TEST(arbiter.opens == 1);
  BOOST_TEST(!arbiter.asked);
  step(1);
  BOOST_TEST(arbiter.asked);
  BOOST_TEST(!enter());
  arbiter.grant(7);
  step(1);
  BOOST_TEST(enter());
}

BOOST_AUTO_TEST_CASE(a_window_of_launches_passes_and_more_when_some_are_done) {
  hold();
  BOOST_TEST(launch_all() == 4);
  now += kMs;
  step(1);
  BOOST_TEST(launch_all() == 0);
  work.state.done += 3;
  work.state.in_flight -= 3;
  BOOST_TEST(step(1).changed);
  BOOST_TEST(launch_all() == 3);
}

BOOST_AUTO_TEST_CASE(the_window_follows_from_how_long_launches_take) {
  hold();
  work.state.launch_ns = 20'000;
  now += kMs / 2;
  step();
  BOOST_TEST(lease.window() == 100);  // of 20 us in 2 ms
  BOOST_TEST(launch_all(1000) == 100);
  work.state.launch_ns = 30 * kMs;
  now += kMs / 2;
  step();
  BOOST_TEST(lease.window() == 2);
}

BOOST_AUTO_TEST_CASE(the_window_is_small_while_a_higher_class_comes_and_goes) {
  hold();
  work.state.launch_ns = 20'000;
  arbiter.news.yield = true;
  now += kMs;
  step(1);
  arbiter.grant(8);
  now += kMs;
  step(1);
  BOOST_TEST((lease.state() == Lease::State::held));
  BOOST_TEST(lease.window() == 12);  // of 20 us in 0.25 ms
  BOOST_TEST(launch_all(1000) == 12);
  work.state.launch_ns = 30 * kMs;
  now += kMs;
  step();
  BOOST_TEST(lease.window() == 1);  // its longest launch is all that it waits for
  now += 100 * kMs;
  step();
  BOOST_TEST(lease.window() == 2);  // it did not come again
}

BOOST_AUTO_TEST_CASE(
    the_yield_word_shuts_the_door_at_once_and_the_turn_ends_when_the_work_is_done) {
  hold(7);
  BOOST_TEST(launch_all(2) == 2);
  arbiter.yield_word = 6;  // somebody else's turn
  BOOST_TEST(enter());
  leave();
  arbiter.yield_word = 7;
  BOOST_TEST(!enter());  // before the service thread knows
  now += kMs;
  step(1);
  BOOST_TEST((lease.state() == Lease::State::ending));
  BOOST_TEST(work.looked_at_all);
  BOOST_TEST(arbiter.completes == 0);
  finish_work();
  now += kMs;
  step(1);
  BOOST_TEST(arbiter.completes == 1);
  BOOST_TEST(arbiter.asked);  // in the same breath, since a launch waits
  BOOST_TEST((lease.state() == Lease::State::asked));
  BOOST_TEST(!enter());
}

BOOST_AUTO_TEST_CASE(the_turn_is_held_while_a_thread_is_inside_a_launch) {
  hold(7);
  BOOST_TEST(enter());
  arbiter.news.yield = true;
  step();
  now += kMs;
  step();
  BOOST_TEST(arbiter.completes == 0);
  leave();
  now += kMs;
  step();
  BOOST_TEST(arbiter.completes == 1);
}

BOOST_AUTO_TEST_CASE(what_does_nothing_for_a_while_gives_the_turn_back) {
  hold();
  BOOST_TEST(launch_all(1) == 1);
  now += 10 * kMs;
  step();
  now += 10 * kMs;
  step();
  BOOST_TEST(arbiter.completes == 0);  // its work runs
  finish_work();
  now += kMs;
  step();
  BOOST_TEST(arbiter.completes == 0);  // it was seen to end just now
  now += kMs / 2;
  step();
  BOOST_TEST(arbiter.completes == 0);
  now += kMs / 2;
  const Lease::Next next = step();
  BOOST_TEST(arbiter.completes == 1);
  BOOST_TEST((lease.state() == Lease::State::none));
  BOOST_TEST(next.at_ns == now + 250 * kMs);  // only to see whether the arbiter leaves
  BOOST_TEST(!arbiter.asked);
}

// Who asked for it may have no processor yet: a turn that went back before that would be asked for
// again, and so on.
BOOST_AUTO_TEST_CASE(a_turn_that_a_launch_still_waits_for_does_not_go_back) {
  hold();
  for (int i = 0; i < 5; ++i) {
    now += kMs;
    BOOST_TEST(step(1).changed);
    BOOST_TEST((lease.state() == Lease::State::held));
  }
  BOOST_TEST(launch_all(1) == 1);
  now += kMs;
  step();
  finish_work();
  now += kMs;
  step();
  BOOST_TEST((lease.state() == Lease::State::held));
  now += kMs;
  step();
  BOOST_TEST(arbiter.completes == 1);
}

// A kernel of 0.2 ms every 5 ms: whatever the class, others get most of the time between.
BOOST_AUTO_TEST_CASE(a_program_that_launches_at_a_pace_holds_no_turn_between) {
  for (const uint32_t class_ : {AIACCEL_CLASS_LOW, AIACCEL_CLASS_NORMAL, AIACCEL_CLASS_HIGH}) {
    Lease paced{door, arbiter, work, LeaseRules::of_class(class_)};
    Lease::Next next{Lease::kNever, false};
    const auto run_until = [&](uint64_t end_ns) {
      while (next.at_ns <= end_ns) {
        now = next.at_ns;
        next = paced.step(now, 0);
      }
      now = end_ns;
    };
    for (uint32_t i = 1; i <= 10; ++i) {
      const uint64_t due_ns = now;
      BOOST_TEST(launch_all() == 0);
      paced.step(now, 1);
      arbiter.grant(i);
      next = paced.step(now, 1);
      BOOST_TEST(launch_all(1) == 1);
      run_until(due_ns + kMs / 5);
      finish_work();
      run_until(due_ns + 3 * kMs);
      BOOST_TEST((paced.state() == Lease::State::none));
      run_until(due_ns + 5 * kMs);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_turn_is_renewed_each_quantum_until_others_come_first) {
  hold();
  for (int i = 0; i < 200; ++i) {
    now += kMs;
    launch_all(1);
    finish_work();
    step();
  }
  BOOST_TEST(arbiter.completes == 0);
  BOOST_TEST(arbiter.renewals == 4);  // 200 ms
  arbiter.renew_error = -EAGAIN;
  for (int i = 0; i < 60; ++i) {
    now += kMs;
    launch_all(1);
    finish_work();
    step(1);
  }
  BOOST_TEST(arbiter.completes == 1);
  BOOST_TEST(arbiter.asked);
}

BOOST_AUTO_TEST_CASE(a_kernel_that_waits_for_a_later_one_gets_it) {
  hold();
  BOOST_TEST(launch_all() == 4);
  for (int i = 0; i < 9; ++i) {
    now += 100 * kMs;
    step(1);
    BOOST_TEST(launch_all() == 0);
  }
  now += 200 * kMs;
  BOOST_TEST(step(1).changed);
  BOOST_TEST(launch_all() == 1);
  // Also where the turn is wanted back: it can only end that way.
  arbiter.news.yield = true;
  now += kMs;
  step(1);
  BOOST_TEST((lease.state() == Lease::State::ending));
  BOOST_TEST(launch_all() == 0);
  now += 1100 * kMs;
  step(1);
  BOOST_TEST(launch_all() == 1);
  finish_work();
  now += kMs;
  step(1);
  BOOST_TEST(arbiter.completes == 1);
}

BOOST_AUTO_TEST_CASE(long_kernels_are_no_reason_to_launch_more) {
  hold();
  BOOST_TEST(launch_all() == 4);
  now += 900 * kMs;  // the first one is seen to take so long
  work.state.done += 1;
  work.state.in_flight -= 1;
  step(0);
  BOOST_TEST(launch_all() == 1);
  now += 2000 * kMs;
  step(1);
  BOOST_TEST(launch_all() == 0);
}

// A program all of whose kernels wait for later ones is helped as soon each time.
BOOST_AUTO_TEST_CASE(help_does_not_come_later_each_time) {
  hold();
  BOOST_TEST(launch_all() == 4);
  step(1);
  for (int i = 0; i < 5; ++i) {
    now += 1000 * kMs;
    step(1);
    BOOST_TEST(launch_all() == 1);
    now += kMs;
    work.state.done += 1;
    work.state.in_flight -= 1;
    step(1);
    BOOST_TEST(launch_all() == 0);
  }
}

BOOST_AUTO_TEST_CASE(help_comes_after_ten_seconds_whatever_was_seen) {
  hold();
  BOOST_TEST(launch_all() == 4);
  now += 60'000 * kMs;
  work.state.done += 1;
  work.state.in_flight -= 1;
  step(0);
  BOOST_TEST(launch_all() == 1);
  step(1);
  now += 9'000 * kMs;
  step(1);
  BOOST_TEST(launch_all() == 0);
  now += 1'100 * kMs;
  step(1);
  BOOST_TEST(launch_all() == 1);
}

BOOST_AUTO_TEST_CASE(a_revoked_turn_is_asked_for_anew) {
  hold();
  arbiter.news.revoked = true;
  arbiter.complete_error = -ESTALE;
  now += kMs;
  step(1);
  BOOST_TEST(arbiter.completes == 1);
  BOOST_TEST((lease.state() == Lease::State::asked));
}

BOOST_AUTO_TEST_CASE(open_goes_ungated_while_the_arbiter_is_missing_and_comes_back) {
  arbiter.open_error = -ENOENT;
  BOOST_TEST(step(1).changed);
  BOOST_TEST(lease.ungated());
  BOOST_TEST(launch_all(1000) == 1000);
  arbiter.open_error = 0;
  now += 100 * kMs;
  step();
  BOOST_TEST(lease.ungated());
  now += 150 * kMs;
  BOOST_TEST(step(1).at_ns == now);
  BOOST_TEST(!lease.ungated());
  BOOST_TEST(!enter());
  BOOST_TEST(!arbiter.asked);  // first launches are counted again
  step(1);
  BOOST_TEST(arbiter.asked);
}

BOOST_AUTO_TEST_CASE(work_that_ends_while_ungated_is_seen) {
  hold();
  BOOST_TEST(launch_all() == 4);
  arbiter.read_error = -ECONNRESET;
  arbiter.open_error = -ENOENT;
  step();
  BOOST_TEST(lease.ungated());
  const int looks = work.looks;
  now += 250 * kMs;
  step();
  BOOST_TEST(work.looks > looks);
}

BOOST_AUTO_TEST_CASE(closed_waits_while_the_arbiter_is_missing) {
  arbiter.open_when_missing = false;
  arbiter.open_error = -ENOENT;
  const Lease::Next next = step(1);
  BOOST_TEST(!enter());
  BOOST_TEST(next.at_ns == now + 250 * kMs);
  arbiter.open_error = 0;
  now += 250 * kMs;
  step(1);
  step(1);
  BOOST_TEST(arbiter.asked);
}

// Who is inside may wait for what another thread launches.
BOOST_AUTO_TEST_CASE(a_broker_that_dies_opens_the_door_and_is_let_go_when_nobody_is_inside) {
  hold();
  BOOST_TEST(enter());
  arbiter.read_error = -ECONNRESET;
  now += kMs;
  BOOST_TEST(step(1).changed);
  BOOST_TEST(arbiter.closes == 0);
  BOOST_TEST(enter());
  leave();
  arbiter.yield_word = 7;
  BOOST_TEST(enter());  // and nobody looks at the word any more
  leave();
  now += 100 * kMs;
  step(1);
  BOOST_TEST(arbiter.closes == 0);
  BOOST_TEST(enter());
  std::swap(inside[0], inside[1]);
  leave();  // who was inside before; the other came after, and says nothing
  now += kMs;
  step();
  BOOST_TEST(arbiter.closes == 1);
  BOOST_TEST(door.inside() == 1U);
  BOOST_TEST(enter());
}

BOOST_AUTO_TEST_CASE(an_arbiter_that_leaves_is_let_go_by_who_launches_nothing) {
  hold();
  now += 2 * kMs;
  step();
  BOOST_REQUIRE((lease.state() == Lease::State::none));
  BOOST_TEST(step().at_ns <= now + 250 * kMs);
  arbiter.look_error = arbiter.open_error = -ENODEV;
  now += 250 * kMs;
  step();
  BOOST_TEST(arbiter.closes == 1);
  BOOST_TEST(lease.ungated());
  arbiter.look_error = arbiter.open_error = 0;
  now += 250 * kMs;
  step();
  BOOST_TEST(!lease.ungated());
  BOOST_TEST(arbiter.opens == 2);
}

BOOST_AUTO_TEST_CASE(a_broker_that_hangs_while_a_turn_is_waited_for_is_lost) {
  step(1);
  for (int i = 0; i < 5; ++i) {
    const Lease::Next next = step(1);
    BOOST_TEST(next.at_ns == now + 1000 * kMs);
    now = next.at_ns;
    BOOST_TEST(arbiter.looks == i);
    step(1);
  }
  arbiter.look_error = -ECONNRESET;
  now += 1000 * kMs;
  step(1);
  BOOST_TEST(lease.ungated());
}

BOOST_AUTO_TEST_CASE(who_is_evicted_asks_again_and_stays_gated) {
  for (int i = 0; i < 3; ++i) {
    step(1);
    BOOST_TEST(arbiter.asked);
    arbiter.asked = false;
    arbiter.news.failed = true;
    BOOST_TEST(step(1).at_ns == now + kMs);
    BOOST_TEST(!enter());
    now += kMs;
  }
  step(1);
  BOOST_TEST(arbiter.asked);
  arbiter.news.failed = true;
  step(1);
  arbiter.ask_error = -ENODEV;  // it was the engine that went
  now += kMs;
  step(1);
  BOOST_TEST(lease.ungated());
}

BOOST_AUTO_TEST_CASE(a_draining_engine_is_waited_for_also_where_open) {
  arbiter.ask_error = -ESHUTDOWN;
  step(1);
  BOOST_TEST(!enter());
  now += 250 * kMs;
  step(1);
  BOOST_TEST(!enter());
  arbiter.ask_error = 0;
  now += 250 * kMs;
  step(1);
  BOOST_TEST(arbiter.asked);
  BOOST_TEST(arbiter.closes == 0);
}

// Also where nobody waits: then it is looked at as an open one is.
BOOST_AUTO_TEST_CASE(an_engine_that_drains_from_the_first_is_looked_at_again) {
  arbiter.open_error = -ESHUTDOWN;
  BOOST_TEST(step().at_ns == now + 250 * kMs);
  now += 250 * kMs;
  BOOST_TEST(step().at_ns == now + 250 * kMs);
  BOOST_TEST((lease.state() == Lease::State::shut));
  arbiter.open_error = 0;
  now += 250 * kMs;
  BOOST_TEST(step().at_ns == now + 250 * kMs);
  BOOST_TEST((lease.state() == Lease::State::none));
}

// They count: the look may have come before them, or after.
BOOST_AUTO_TEST_CASE(what_is_launched_during_a_look_does_not_widen_the_window) {
  hold();
  BOOST_TEST(launch_all(2) == 2);
  unsigned during = 0;
  work.before = [&] { during = launch_all(); };
  now += kMs;
  step(1);
  BOOST_TEST(during == 2U);
  BOOST_TEST(launch_all() == 0U);
}

BOOST_AUTO_TEST_CASE(what_is_launched_after_a_look_does_not_widen_the_window) {
  hold();
  BOOST_TEST(launch_all(2) == 2);
  unsigned after = 0;
  work.after = [&] { after = launch_all(); };
  now += kMs;
  step(1);
  BOOST_TEST(after == 2U);
  BOOST_TEST(launch_all() == 0U);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(door)

// Threads that launch, and one that opens and shuts: nobody is inside once the door is shut and
// empty, and none is lost.
BOOST_AUTO_TEST_CASE(the_door_is_empty_when_it_says_so) {
  Door door;
  uint32_t yield_word = 0;
  std::atomic<bool> stop{false};
  std::atomic<bool> held{false};
  std::atomic<int> outside{0};
  std::atomic<uint64_t> passed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      while (!stop) {
        unsigned side;
        if (!door.enter(&side)) {
          std::this_thread::yield();
          continue;
        }
        if (!held) ++outside;
        ++passed;
        door.leave(side);
      }
    });
  for (uint32_t turn = 1; turn <= 2000 || passed < 1000; ++turn) {
    held = true;
    door.allow_until(Door::kNoLimit);
    door.open(&yield_word, turn);
    std::this_thread::yield();
    door.close();
    while (door.inside() != 0) std::this_thread::yield();
    held = false;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(outside == 0);
  BOOST_TEST(door.launched() == passed);
}

BOOST_AUTO_TEST_SUITE_END()
