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

constexpr uint64_t kChosen = 1ULL << 63;  // cookies that aiaccel_acquire() chose

uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// Turns that aiaccel_acquire() named are over or known to their holder: nothing more to tell.
bool of_chosen(const aiaccel_device& device, uint64_t cookie) {
  return (cookie & kChosen) && (cookie & ~kChosen) <= device.last_cookie;
}

enum class Met { nothing, granted, failed };

// Reads the ring up to the event that `cookie` waits for; others are kept.
Met look_for(aiaccel_device& device, uint64_t cookie, aiaccel_grant* grant) {
  aiaccel_event event;
  while (device.peek_event(&event)) {
    const bool others = event.cookie != cookie;
    // Before it is taken, so that none is lost where memory is short.
    if (others && !of_chosen(device, event.cookie)) device.kept.push_back(event);
    device.take_event();
    if (others) continue;
    if (event.events & AIACCEL_EVENT_FAILED) return Met::failed;
    if (!(event.events & AIACCEL_EVENT_GRANTED)) continue;
    *grant = {};
    grant->cookie = cookie;
    grant->generation = event.generation;
    grant->granted_ns = event.time_ns;
    grant->yield_word = device.yield_word(event.slot);
    return Met::granted;
  }
  return Met::nothing;
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

// The same, or until `cancel_fd` is readable (-ECANCELED).
int wait_events(aiaccel_device& device, uint64_t timeout_ns, int cancel_fd) {
  const int fd = device.transport->fd();
  if (fd < 0) return fd;
  pollfd fds[] = {{cancel_fd, POLLIN, 0}, {fd, POLLIN, 0}};
  timespec left{};
  if (timeout_ns != AIACCEL_NEVER) {
    const uint64_t now = monotonic_ns();
    const uint64_t ns = timeout_ns > now ? timeout_ns - now : 0;
    left.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
    left.tv_nsec = static_cast<long>(ns % 1'000'000'000);
  }
  const int ready = ppoll(fds, 2, timeout_ns == AIACCEL_NEVER ? nullptr : &left, nullptr);
  if (ready < 0) return -errno;
  if (ready == 0) return -ETIMEDOUT;
  if (fds[0].revents) return -ECANCELED;
  // Also says so where the arbiter is gone, which polls as an error or as readable.
  aiaccel_enter arg{};
  return enter(device, arg);
}

int wait_turn(aiaccel_device& device, uint64_t cookie, uint64_t timeout_ns, int cancel_fd,
              aiaccel_grant* grant) try {
  for (;;) {
    const Met met = look_for(device, cookie, grant);
    if (met == Met::granted) return 0;
    if (met == Met::failed) return -ENODEV;
    const int error = cancel_fd < 0 ? wait_events(device, timeout_ns)
                                    : wait_events(device, timeout_ns, cancel_fd);
    if (error) return error;
  }
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

}  // namespace

unsigned int aiaccel_read_events(aiaccel_device* device, aiaccel_event* events, unsigned int max) {
  unsigned int count = 0;
  if (!device->guard.same_process()) return 0;
  for (; count < max && !device->kept.empty(); ++count) {
    events[count] = device->kept.front();
    device->kept.pop_front();
  }
  while (count < max && device->peek_event(&events[count])) {
    device->take_event();
    if (!of_chosen(*device, events[count].cookie)) ++count;
  }
  return count;
}

int aiaccel_acquire(aiaccel_device* device, const aiaccel_job* job, uint64_t timeout_ns,
                    int cancel_fd, aiaccel_grant* grant) try {
  aiaccel_job submitted = *job;
  if (submitted.cookie == 0) submitted.cookie = kChosen | ++device->last_cookie;
  aiaccel_enter arg{};
  arg.jobs = reinterpret_cast<uintptr_t>(&submitted);
  arg.nr_jobs = 1;
  if (cancel_fd < 0) {  // one system call where the turn is free
    arg.min_events = 1;
    arg.timeout_ns = timeout_ns;
  }
  if (int error = enter(*device, arg)) return error;

  int error;
  if (cancel_fd < 0 && arg.nr_events == 0 && monotonic_ns() < timeout_ns) {
    error = -EINTR;  // submitted, but a signal ended the wait; or the arbiter's end, as told below
  } else {
    error = wait_turn(*device, submitted.cookie, timeout_ns, cancel_fd, grant);
  }
  if (!error || error == -ENODEV) return error;
  if (complete(*device, submitted.cookie, 0, AIACCEL_COMPLETE_CANCEL) == -ECONNRESET)
    return -ECONNRESET;
  // What the ring still tells of it is of no use to anybody.
  aiaccel_grant late;
  look_for(*device, submitted.cookie, &late);
  return error;
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

int aiaccel_complete(aiaccel_device* device, const aiaccel_grant* grant) {
  return settle(*device, *grant, 0);
}

int aiaccel_renew(aiaccel_device* device, const aiaccel_grant* grant) {
  return settle(*device, *grant, AIACCEL_COMPLETE_RENEW);
}
