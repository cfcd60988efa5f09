// SPDX-License-Identifier: MIT
//
// The C interface (<aiaccel.h>): events, and one turn at a time. These functions are the ring's one
// reader.
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <new>

#include "device.h"

namespace {

constexpr uint64_t kChosen = 1ULL << 63;  // cookies that the library chose
constexpr uint64_t kPauseNs = 10'000'000;

uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// What is told of it goes to aiaccel_wait() alone.
bool is_pending(const aiaccel_device& device, uint64_t cookie) {
  return !device.pending.empty() && device.pending.contains(cookie);
}

// Turns that the library named are over or known to their holder, unless they are waited for yet:
// nothing more to tell.
bool is_told(const aiaccel_device& device, uint64_t cookie) {
  return (cookie & kChosen) && (cookie & ~kChosen) <= device.last_cookie &&
         !is_pending(device, cookie);
}

// A turn that was revoked before we looked is none: we may have been stopped, or have had no
// processor, for long.
enum class Met { nothing, granted, revoked, failed };

// What an event of a job that is waited for means, after `met`.
Met meet(const aiaccel_device& device, const aiaccel_event& event, Met met, aiaccel_grant* grant) {
  if (event.events & AIACCEL_EVENT_FAILED) return Met::failed;
  if (event.events & AIACCEL_EVENT_GRANTED) {
    *grant = {};
    grant->cookie = event.cookie;
    grant->generation = event.generation;
    grant->granted_ns = event.time_ns;
    grant->queue = event.queue;
    grant->yield_word = device.yield_word(event.slot);
    met = Met::granted;
  }
  return met == Met::granted && (event.events & AIACCEL_EVENT_REVOKED) ? Met::revoked : met;
}

// False where memory is short.
bool keep(aiaccel_device& device, const aiaccel_event& event) try {
  device.kept.push_back(event);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

// Reads the ring for what `cookie` waits for, after `met`; other events are kept.
Met look_for(aiaccel_device& device, uint64_t cookie, aiaccel_grant* grant,
             Met met = Met::nothing) {
  aiaccel_event event;
  while (met != Met::failed && device.peek_event(&event)) {
    const bool others = event.cookie != cookie;
    const bool of_turn = met != Met::nothing && !(event.events & AIACCEL_EVENT_REVOKED);
    // Before it is taken, so that none is lost where memory is short.
    if ((others || of_turn) && !is_told(device, event.cookie)) device.kept.push_back(event);
    device.take_event();
    if (!others) met = meet(device, event, met, grant);
  }
  return met;
}

// The same of what was kept.
Met look_back_for(aiaccel_device& device, uint64_t cookie, aiaccel_grant* grant) {
  Met met = Met::nothing;
  std::erase_if(device.kept, [&](const aiaccel_event& event) {
    if (event.cookie != cookie) return false;
    met = meet(device, event, met, grant);
    return true;
  });
  return met;
}

int enter(aiaccel_device& device, aiaccel_enter& arg) {
  arg.size = sizeof arg;
  return device.transport->call(AIACCEL_IOC_ENTER, &arg);
}

int complete(aiaccel_device& device, uint64_t cookie, uint32_t generation, uint32_t flags) {
  const aiaccel_completion completion{cookie, generation, flags};
  aiaccel_enter arg{};
  arg.completions = reinterpret_cast<uintptr_t>(&completion);
  arg.nr_completions = 1;
  return enter(device, arg);
}

// Jobs that went with their queue tell nothing. Renewing no generation of it changes nothing.
bool is_gone(aiaccel_device& device, uint64_t cookie) {
  return complete(device, cookie, 0, AIACCEL_COMPLETE_RENEW) == -ENOENT;
}

// What an acquire() has kept of the turn is of no use once it is over, or begins anew.
int settle(aiaccel_device& device, const aiaccel_grant& grant, uint32_t flags) {
  const int result = complete(device, grant.cookie, grant.generation, flags);
  const bool over = result == -ESTALE && flags == 0;
  if (result == 0 || over)
    std::erase_if(device.kept, [&](const aiaccel_event& event) {
      return event.cookie == grant.cookie && event.generation == grant.generation;
    });
  return result;
}

// Waits for news of any kind: 0, or why not.
int wait_events(aiaccel_device& device, uint64_t timeout_ns) {
  aiaccel_enter arg{};
  arg.min_events = 1;
  arg.timeout_ns = timeout_ns;
  return enter(device, arg);
}

// Waits for `fds`, the first of which cancels: 0, or why not.
int poll_until(pollfd* fds, nfds_t count, uint64_t timeout_ns) {
  timespec left{};
  if (timeout_ns != AIACCEL_NEVER) {
    const uint64_t now = monotonic_ns();
    const uint64_t ns = timeout_ns > now ? timeout_ns - now : 0;
    left.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
    left.tv_nsec = static_cast<long>(ns % 1'000'000'000);
  }
  const int ready = ppoll(fds, count, timeout_ns == AIACCEL_NEVER ? nullptr : &left, nullptr);
  if (ready < 0) return -errno;
  if (ready == 0) return -ETIMEDOUT;
  return fds[0].revents ? -ECANCELED : 0;
}

// The same as above, or until `cancel_fd` is readable (-ECANCELED).
int wait_events(aiaccel_device& device, uint64_t timeout_ns, int cancel_fd) {
  const int fd = device.transport->fd();
  if (fd < 0) return fd;
  pollfd fds[] = {{cancel_fd, POLLIN, 0}, {fd, POLLIN, 0}};
  if (const int error = poll_until(fds, 2, timeout_ns)) return error;
  // Also says so where the arbiter is gone, which polls as an error or as readable.
  aiaccel_enter arg{};
  return enter(device, arg);
}

// Waits before it is asked again whether work was stopped by now, which nobody tells. -1 as
// `cancel_fd` is never readable.
int wait_pause(uint64_t timeout_ns, int cancel_fd) {
  const uint64_t pause_ns = monotonic_ns() + kPauseNs;
  pollfd fd{cancel_fd, POLLIN, 0};
  const int error = poll_until(&fd, 1, std::min(pause_ns, timeout_ns));
  return error == -ETIMEDOUT && pause_ns < timeout_ns ? 0 : error;
}

int wait_turn(aiaccel_device& device, uint64_t cookie, uint64_t timeout_ns, int cancel_fd,
              aiaccel_grant* grant, Met met = Met::nothing) try {
  for (;;) {
    switch (met = look_for(device, cookie, grant, met)) {
      case Met::granted:
        return 0;
      case Met::revoked:
        return -ESTALE;
      case Met::failed:
        return -ENODEV;
      case Met::nothing:
        break;
    }
    const int error = cancel_fd < 0 ? wait_events(device, timeout_ns)
                                    : wait_events(device, timeout_ns, cancel_fd);
    if (error) return error;
  }
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

// After a wait that failed: 0 where the turn came, else why there is none, and no job either.
int withdraw_unless(int error, aiaccel_device& device, uint64_t cookie, uint32_t queue = 0) {
  if (!error || error == -ENODEV) return error;
  const int end = complete(device, cookie, 0, AIACCEL_COMPLETE_CANCEL);
  if (end == -ECONNRESET) return end;
  if (end == -ESTALE) device.lost_queue = queue;
  // What the ring still tells of it is of no use to anybody.
  aiaccel_grant late;
  look_for(device, cookie, &late);
  return error;
}

aiaccel_job named(aiaccel_device& device, const aiaccel_job& job) {
  aiaccel_job submitted = job;
  if (submitted.cookie == 0) submitted.cookie = kChosen | ++device.last_cookie;
  return submitted;
}

}  // namespace

unsigned int aiaccel_read_events(aiaccel_device* device, aiaccel_event* events, unsigned int max) {
  unsigned int count = 0;
  if (!device->guard.same_process()) return 0;
  for (auto at = device->kept.begin(); count < max && at != device->kept.end();) {
    if (is_pending(*device, at->cookie)) {
      ++at;
    } else {
      events[count++] = *at;
      at = device->kept.erase(at);
    }
  }
  while (count < max && device->peek_event(&events[count])) {
    const uint64_t cookie = events[count].cookie;
    if (is_pending(*device, cookie) && !keep(*device, events[count]))
      break;  // it stays in the ring
    if (!is_pending(*device, cookie) && !is_told(*device, cookie)) ++count;
    device->take_event();
  }
  return count;
}

int aiaccel_acquire(aiaccel_device* device, const aiaccel_job* job, uint64_t timeout_ns,
                    int cancel_fd, aiaccel_grant* grant) try {
  const aiaccel_job submitted = named(*device, *job);
  for (;;) {
    aiaccel_enter arg{};
    arg.jobs = reinterpret_cast<uintptr_t>(&submitted);
    arg.nr_jobs = 1;
    if (cancel_fd < 0) {  // one system call where the turn is free
      arg.min_events = 1;
      arg.timeout_ns = timeout_ns;
    }
    int error = enter(*device, arg);
    if (error == -EDEADLK && device->lost_queue == submitted.queue) {
      error = wait_pause(timeout_ns, cancel_fd);
      if (!error) continue;
    }
    if (error) return error;
    device->lost_queue = 0;
    if (cancel_fd < 0 && arg.nr_events == 0 && monotonic_ns() < timeout_ns) {
      error =
          -EINTR;  // submitted, but a signal ended the wait; or the arbiter's end, as told below
    } else {
      error = wait_turn(*device, submitted.cookie, timeout_ns, cancel_fd, grant);
    }
    error = withdraw_unless(error, *device, submitted.cookie, submitted.queue);
    // Others of its group, or what it came after, will not be there again.
    if (error != -ESTALE || submitted.group || submitted.after) return error;
  }
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

int aiaccel_submit(aiaccel_device* device, const aiaccel_job* job, uint64_t* cookie) try {
  const aiaccel_job submitted = named(*device, *job);
  aiaccel_enter arg{};
  arg.jobs = reinterpret_cast<uintptr_t>(&submitted);
  arg.nr_jobs = 1;
  const auto [at, is_new] = device->pending.emplace(submitted.cookie, device->destroyed.load());
  const int error = enter(*device, arg);
  if (error && is_new) device->pending.erase(at);
  if (!error) {
    *cookie = submitted.cookie;
    device->lost_queue = 0;
  }
  return error;
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

int aiaccel_wait(aiaccel_device* device, uint64_t cookie, uint64_t timeout_ns, int cancel_fd,
                 aiaccel_grant* grant) try {
  const auto submitted = device->pending.extract(cookie);
  if (!submitted) return -ENOENT;
  Met met = look_for(*device, cookie, grant, look_back_for(*device, cookie, grant));
  const bool may_be_gone = submitted.mapped() != device->destroyed.load();
  if (met == Met::nothing && may_be_gone && is_gone(*device, cookie)) {
    met = look_for(*device, cookie, grant);  // it may have failed just now
    if (met == Met::nothing) return -ENOENT;
  }
  return withdraw_unless(wait_turn(*device, cookie, timeout_ns, cancel_fd, grant, met), *device,
                         cookie);
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

int aiaccel_complete(aiaccel_device* device, const aiaccel_grant* grant) {
  return settle(*device, *grant, 0);
}

int aiaccel_renew(aiaccel_device* device, const aiaccel_grant* grant) {
  return settle(*device, *grant, AIACCEL_COMPLETE_RENEW);
}
