// SPDX-License-Identifier: MIT
//
// When this process has its turn on one engine, and when it gives it back: the state machine of the
// CUDA shim, which knows neither CUDA nor a transport.
//
// A launch passes the Door while a turn is held. The turn is asked for when a launch waits, and
// given back once all that was launched under it is done, and
//   - a higher class wants it (the yield word, the yield event),
//   - nothing was launched for a while (rules.idle_ns), or
//   - its quantum is over and the turn is not renewed, since others come first.
// Until then no more than a window of launches is under way. The window is a number of launches
// that follows from how long they were seen to take, so that it is about rules.window_ns of work:
// what a higher class waits for at most. For a while after one wanted the turn it is an eighth of
// that, down to a single launch: who comes often waits for little each time. Where nothing gets
// done for very long although launches wait (a kernel that waits for a later one), one more is let
// through at a time.
//
// Where the arbiter is missing, launches go ungated (open) or wait (closed), and it is looked for
// every 250 ms. Whoever waits for a turn asks every second whether it still answers. An engine that
// takes no work for now (ESHUTDOWN) is waited for. An arbiter that is about to leave gets back what
// is open of it, from a program that launches nothing as well.
//
// Threads: one thread steps; the Door is everybody's. step() never blocks.
#ifndef AIACCEL_SHIM_LEASE_H
#define AIACCEL_SHIM_LEASE_H

#include <cstdint>

#include "shim/door.h"

namespace aiaccel::shim {

// What became of the job that ask() submitted.
struct News {
  bool granted = false;
  bool yield = false;
  bool revoked = false;
  bool failed = false;
  uint32_t generation = 0;
  const uint32_t* yield_word = nullptr;
};

// The way to the engine's turns. Calls return 0 or -errno.
class Arbiter {
 public:
  virtual ~Arbiter() = default;
  virtual int open() = 0;
  virtual void close() = 0;
  virtual int ask() = 0;             // submits a job
  virtual int read(News* news) = 0;  // without waiting
  virtual int complete(bool ask_again) = 0;
  virtual int renew() = 0;       // the turn, with a new budget; -EAGAIN: others come first
  virtual int look() = 0;        // whether it may stay open: 0, or why not
  virtual bool fail_open() = 0;  // the setting, as far as it is known
};

// What was launched.
class Work {
 public:
  struct State {
    uint32_t in_flight = 0;
    uint64_t done = 0;       // launches so far
    uint64_t launch_ns = 0;  // how long one takes, as seen of late; 0 where nothing was seen
  };
  virtual ~Work() = default;
  virtual State look(uint64_t now_ns, bool all) = 0;  // all: also see the end of what came last
};

struct LeaseRules {
  uint64_t window_ns;
  uint32_t first_window;  // launches, before any was seen to end
  uint64_t idle_ns;
  uint64_t quantum_ns;

  static LeaseRules of_class(uint32_t class_);
};

class Lease {
 public:
  enum class State { none, asked, held, ending, shut, missing };

  struct Next {
    uint64_t at_ns;  // step again then at the latest
    bool changed;    // who waits at the door should try again
  };
  static constexpr uint64_t kNever = ~uint64_t{0};

  Lease(Door& door, Arbiter& arbiter, Work& work, const LeaseRules& rules)
      : door_(door), arbiter_(arbiter), work_(work), rules_(rules), window_(rules.first_window) {}

  // `waiting`: launches that wait at the door.
  Next step(uint64_t now_ns, unsigned waiting);

  State state() const { return state_; }
  bool ungated() const { return state_ == State::missing && door_.is_open(); }
  int error() const { return error_; }  // why the arbiter is missing
  uint32_t window() const { return window_; }

 private:
  int open();
  bool idle(uint64_t now_ns, unsigned waiting);
  bool ask(uint64_t now_ns);
  bool read(uint64_t now_ns);
  void take(const News& news, uint64_t now_ns);
  bool hold(uint64_t now_ns, unsigned waiting);
  bool end(uint64_t now_ns, unsigned waiting);
  void finish(uint64_t now_ns, unsigned waiting);
  void look(uint64_t now_ns, bool all);
  void fit_window(uint64_t now_ns);
  void help_the_stuck(uint64_t now_ns, unsigned waiting);
  void lose(int error, uint64_t now_ns);
  bool look_for_it(uint64_t now_ns);
  bool let_go(uint64_t now_ns);

  Door& door_;
  Arbiter& arbiter_;
  Work& work_;
  const LeaseRules rules_;

  State state_ = State::none;
  bool is_open_ = false;  // the arbiter
  int error_ = 0;
  Work::State seen_;
  uint32_t window_;
  uint64_t launched_before_ = 0;
  uint64_t active_ns_ = 0;  // when something was last launched or done
  uint64_t quiet_ns_ = 0;   // when nothing had been launched since the last look, or the turn began
  uint64_t progress_ns_ = 0;  // when something was last done, or the turn began
  uint64_t longest_ns_ = 0;   // without progress although work was under way
  uint64_t quantum_end_ns_ = 0;
  uint64_t near_until_ns_ = 0;  // a higher class is taken to come again until then
  uint64_t helped_until_ = 0;   // launches; the door closes behind the one let through
  bool helped_ = false;         // since progress_ns_
  uint64_t check_ns_ = 0;       // when to look whether it answers, while a turn is waited for
  uint64_t retry_ns_ = 0;       // when to look at the arbiter next, or for one
  uint64_t next_ns_ = kNever;
  bool changed_ = false;
};

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_LEASE_H
