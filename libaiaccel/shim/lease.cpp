// SPDX-License-Identifier: MIT
//
// The state machine; see lease.h.
#include "shim/lease.h"

#include <uapi/aiaccel.h>

#include <algorithm>
#include <cerrno>

namespace aiaccel::shim {
namespace {

constexpr uint64_t kMicrosecond = 1'000;
constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kRetryNs = 250 * kMillisecond;
constexpr uint64_t kStuckNs = 1'000 * kMillisecond;
constexpr uint64_t kMostStuckNs = 10'000 * kMillisecond;
constexpr uint64_t kCheckNs = 1'000 * kMillisecond;
constexpr uint32_t kLargestWindow = 512;  // half of what CUDA lets wait before calls block
constexpr uint32_t kLeastWindow = 2;      // one runs, one is there when it ends
constexpr uint64_t kNearNs = 100 * kMillisecond;
constexpr uint64_t kNearDivisor = 8;

}  // namespace

// What is low and idle gives way soon. What is high keeps the turn over the gaps in its work.
LeaseRules LeaseRules::of_class(uint32_t class_) {
  switch (class_) {
    case AIACCEL_CLASS_IDLE:
    case AIACCEL_CLASS_LOW:
      return {2 * kMillisecond, 4, 200 * kMicrosecond, 50 * kMillisecond};
    case AIACCEL_CLASS_NORMAL:
      return {5 * kMillisecond, 64, 500 * kMicrosecond, 50 * kMillisecond};
    default:
      return {20 * kMillisecond, kLargestWindow, kMillisecond, 50 * kMillisecond};
  }
}

Lease::Next Lease::step(uint64_t now_ns, unsigned waiting) {
  changed_ = false;
  next_ns_ = kNever;
  // Each passes on to the next as long as there is something to do.
  for (bool again = true; again;) {
    switch (state_) {
      case State::none:
        again = idle(now_ns, waiting);
        break;
      case State::asked:
        again = read(now_ns);
        break;
      case State::held:
        again = hold(now_ns, waiting);
        break;
      case State::ending:
        again = end(now_ns, waiting);
        break;
      case State::shut:
      case State::missing:
        again = look_for_it(now_ns);
        break;
    }
  }
  return {next_ns_, changed_};
}

// It opens the arbiter before anything is launched: it is known then when that one leaves.
bool Lease::idle(uint64_t now_ns, unsigned waiting) {
  if (waiting != 0) return ask(now_ns);
  if (now_ns >= retry_ns_) {
    if (const int error = is_open_ ? arbiter_.look() : open()) {
      lose(error, now_ns);
      return true;
    }
    retry_ns_ = now_ns + kRetryNs;
  }
  next_ns_ = retry_ns_;
  return false;
}

int Lease::open() {
  const int error = is_open_ ? 0 : arbiter_.open();
  if (!error) is_open_ = true;
  return error;
}

bool Lease::ask(uint64_t now_ns) {
  int error = open();
  if (!error) error = arbiter_.ask();
  if (error) {
    lose(error, now_ns);
  } else {
    state_ = State::asked;
    check_ns_ = now_ns + kCheckNs;
  }
  return true;
}

bool Lease::read(uint64_t now_ns) {
  News news;
  int error = arbiter_.read(&news);
  if (!error && !news.granted && !news.failed && now_ns >= check_ns_) {
    error = arbiter_.look();
    check_ns_ = now_ns + kCheckNs;
  }
  if (error) {
    lose(error, now_ns);
    return true;
  }
  if (news.failed) {  // evicted, or the engine goes: asking again tells
    state_ = State::none;
    next_ns_ = now_ns + kMillisecond;
    return false;
  }
  if (!news.granted) {
    next_ns_ = check_ns_;
    return false;
  }
  take(news, now_ns);
  return true;
}

void Lease::take(const News& news, uint64_t now_ns) {
  state_ = State::held;
  active_ns_ = progress_ns_ = quiet_ns_ = now_ns;
  helped_ = false;
  quantum_end_ns_ = now_ns + rules_.quantum_ns;
  launched_before_ = door_.launched();
  seen_ = work_.look(now_ns, false);
  door_.allow_until(launched_before_ + (window_ > seen_.in_flight ? window_ - seen_.in_flight : 0));
  door_.open(news.yield_word, news.generation);
  changed_ = true;
  if (news.yield || news.revoked) {
    near_until_ns_ = now_ns + kNearNs;
    door_.close();
    state_ = State::ending;
  }
}

// So many launches that they are about a window of work.
void Lease::fit_window(uint64_t now_ns) {
  if (seen_.launch_ns == 0) return;
  const bool near = now_ns < near_until_ns_;
  const uint64_t window_ns = near ? rules_.window_ns / kNearDivisor : rules_.window_ns;
  window_ = static_cast<uint32_t>(
      std::clamp<uint64_t>(window_ns / seen_.launch_ns, near ? 1 : kLeastWindow, kLargestWindow));
}

// Sees what is done, and says how many more may go.
void Lease::look(uint64_t now_ns, bool all) {
  const uint64_t done_before = seen_.done;
  seen_ = work_.look(now_ns, all);
  if (seen_.done != done_before || seen_.in_flight == 0) {
    // A period in which we helped only says how long the help took to come.
    if (seen_.done != done_before && !helped_)
      longest_ns_ = std::max(longest_ns_, now_ns - progress_ns_);
    helped_ = false;
    progress_ns_ = now_ns;
  }
  fit_window(now_ns);
}

bool Lease::hold(uint64_t now_ns, unsigned waiting) {
  News news;
  if (const int error = arbiter_.read(&news)) {
    lose(error, now_ns);
    return true;
  }
  const uint64_t launched = door_.launched();
  const uint64_t inside = door_.inside();
  const bool quiet = launched == launched_before_ && inside == 0;
  launched_before_ = launched;
  if (quiet) quiet_ns_ = now_ns;
  const uint64_t done_before = seen_.done;
  look(now_ns, true);
  if (!quiet || seen_.done != done_before) active_ns_ = now_ns;

  bool over = news.yield || news.revoked || news.failed || door_.yield_wanted();
  if (over) near_until_ns_ = now_ns + kNearNs;
  if (!over && quiet && waiting == 0 && seen_.in_flight == 0 &&
      now_ns - active_ns_ >= rules_.idle_ns)
    over = true;
  if (!over && now_ns >= quantum_end_ns_) {
    const int refused = arbiter_.renew();
    if (refused && refused != -EAGAIN && refused != -ESTALE) {
      lose(refused, now_ns);
      return true;
    }
    over = refused != 0;
    quantum_end_ns_ = now_ns + rules_.quantum_ns;
  }
  if (over) {
    door_.close();
    state_ = State::ending;
    return true;
  }

  // What passed since `launched` was read counts against what may: the look may not have seen it.
  const uint64_t busy = seen_.in_flight + inside;
  if (busy < window_) {
    door_.allow_until(launched + window_ - busy);
    changed_ = waiting != 0;
  } else {
    help_the_stuck(now_ns, waiting);
  }
  // Soon where somebody waits for it, or where the gap may be the end of the work. While launches
  // flow the window has to be kept open, and their end seen the sooner the shorter they flowed.
  const uint64_t expected = seen_.launch_ns * window_ / 8;
  const uint64_t pause = waiting != 0 ? std::clamp(expected, 50 * kMicrosecond, kMillisecond / 2)
                         : quiet      ? std::max(rules_.idle_ns / 2, 100 * kMicrosecond)
                                      : std::clamp(now_ns - quiet_ns_, kMillisecond / 2,
                                                   std::min(rules_.window_ns / 2, 4 * kMillisecond));
  next_ns_ = now_ns + pause;
  return false;
}

bool Lease::end(uint64_t now_ns, unsigned waiting) {
  if (door_.launched() >= helped_until_) door_.close();
  if (!door_.is_open() && door_.inside() == 0) {
    look(now_ns, true);
    if (seen_.in_flight == 0) {
      finish(now_ns, waiting);
      return true;
    }
  }
  help_the_stuck(now_ns, waiting);
  const uint64_t expected = seen_.launch_ns * seen_.in_flight / 4;
  next_ns_ = now_ns + std::clamp(expected, 20 * kMicrosecond, kMillisecond / 2);
  return false;
}

// The turn goes back. If launches wait already, the next one is asked for in the same breath: then
// nobody of a lower class comes between.
void Lease::finish(uint64_t now_ns, unsigned waiting) {
  const int error = arbiter_.complete(waiting != 0);
  if (error == -ESTALE) {  // it had been ended, and nothing was asked for
    state_ = State::none;
  } else if (error) {
    lose(error, now_ns);
  } else {
    state_ = waiting != 0 ? State::asked : State::none;
    check_ns_ = now_ns + kCheckNs;
  }
}

// What waits may be what the work under way waits for: one more goes, if nothing got done for much
// longer than anything took so far.
void Lease::help_the_stuck(uint64_t now_ns, unsigned waiting) {
  const uint64_t since = std::max(progress_ns_, active_ns_);
  const uint64_t patience = std::clamp(4 * longest_ns_, kStuckNs, kMostStuckNs);
  if (waiting == 0 || now_ns - since < patience) return;
  active_ns_ = now_ns;
  helped_ = true;
  helped_until_ = door_.launched() + 1;
  door_.allow_until(helped_until_);
  door_.open(nullptr, 0);  // whatever the yield word says
  changed_ = true;
}

void Lease::lose(int error, uint64_t now_ns) {
  state_ = error == -ESHUTDOWN ? State::shut : State::missing;
  if (state_ == State::missing && is_open_)
    door_.turn();
  else
    door_.close();
  error_ = error;
  retry_ns_ = now_ns + kRetryNs;
}

// Launches wait while the engine takes none. While the arbiter is missing they wait or go ungated.
bool Lease::look_for_it(uint64_t now_ns) {
  if (state_ == State::missing) {
    if (!let_go(now_ns)) return false;
    seen_ = work_.look(now_ns, false);  // what was launched before ends, and is not kept for ever
  }
  if (now_ns < retry_ns_) {
    next_ns_ = retry_ns_;
    return false;
  }
  if (state_ == State::shut) {
    state_ = State::none;
    return true;
  }
  if (const int error = open()) {
    lose(error, now_ns);
    return true;
  }
  door_.close();
  state_ = State::none;
  next_ns_ = now_ns;  // whoever counts launches hears of it before a turn lets any through
  return false;
}

// Who is inside may wait, in the driver, for what somebody else is about to launch, so the door
// opens at once. The yield word goes with the arbiter, which therefore stays until nobody is inside
// who may have looked at it; there may always be some who came after that.
bool Lease::let_go(uint64_t now_ns) {
  if (!door_.is_open() && arbiter_.fail_open()) {
    door_.allow_until(Door::kNoLimit);
    door_.open(nullptr, 0);
    changed_ = true;
  }
  if (is_open_ && door_.inside_before() != 0) {
    next_ns_ = now_ns + 200 * kMicrosecond;
    return false;
  }
  if (is_open_) arbiter_.close();
  is_open_ = false;
  return true;
}

}  // namespace aiaccel::shim
