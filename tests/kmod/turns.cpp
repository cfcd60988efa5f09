// SPDX-License-Identifier: MIT
//
// What only the kernel can promise about turns: they end with their holder, the ring is read-only
// whatever is tried, waits end by signals and clocks, times follow the time namespace.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "broker/fds.h"
#include "cgroup.hpp"
#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(turns)

namespace {

int wait_events(const Context& context, uint32_t events, uint64_t timeout_ns) {
  aiaccel_enter enter{};
  enter.min_events = events;
  enter.timeout_ns = timeout_ns;
  return context(AIACCEL_IOC_ENTER, enter);
}

bool readable(const Context& context, int wait_ms) {
  pollfd poll_fd{context.fd(), POLLIN, 0};
  return poll(&poll_fd, 1, wait_ms) == 1 && (poll_fd.revents & POLLIN);
}

// A child that takes the whole first engine, says so, and then runs `then`.
class Holder {
 public:
  explicit Holder(const std::function<void(const Context&)>& then) {
    int ready[2];
    BOOST_REQUIRE_EQUAL(pipe(ready), 0);
    pid_ = fork();
    if (pid_ == 0) {
      const Context context;
      context.take_turn(context.queue(), 1, context.engine().slots);
      if (write(ready[1], "x", 1) != 1) _exit(1);
      then(context);
      _exit(0);
    }
    ::close(ready[1]);
    char byte;
    BOOST_REQUIRE_EQUAL(read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
  }
  ~Holder() { end(SIGKILL); }
  int end(int signal) {
    int status = 0;
    if (pid_ <= 0) return 0;
    if (signal) kill(pid_, signal);
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

void sleep_for_ever(const Context&) {
  for (;;) pause();
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_ring_is_read_only) {
  NEED_DEVICE();
  const Context context;
  const uint32_t bytes = context.query().ring_bytes;
  BOOST_TEST(context.map(bytes, AIACCEL_RING_OFFSET).error() == EACCES);
  const Map ring = context.map(bytes, AIACCEL_RING_OFFSET, PROT_READ);
  BOOST_REQUIRE_EQUAL(ring.error(), 0);
  BOOST_TEST(mprotect(ring.data(), bytes, PROT_READ | PROT_WRITE) == -1);
  BOOST_TEST(errno == EACCES);
  // nor through /proc, where a debugger may write to read-only memory
  const Fd mem(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
  BOOST_TEST(pwrite(mem.get(), "x", 1, static_cast<off_t>(ring.address())) == -1);
  BOOST_TEST(context.map(bytes + kPage, AIACCEL_RING_OFFSET, PROT_READ).error() == EINVAL);
  BOOST_TEST(context.map(2 * kPage, AIACCEL_CONSUMED_OFFSET).error() == EINVAL);
  BOOST_TEST(mremap(ring.data(), bytes, bytes + kPage, MREMAP_MAYMOVE) == MAP_FAILED);
  const auto* head = reinterpret_cast<const aiaccel_ring*>(ring.data());
  BOOST_TEST(head->entries == context.query().max_jobs);
  BOOST_TEST(head->produced == 0u);
}

BOOST_AUTO_TEST_CASE(the_ring_is_not_inherited) {
  NEED_DEVICE();
  const Context context;
  const Map ring = context.map(kPage, AIACCEL_RING_OFFSET, PROT_READ);
  const Map consumed = context.map(kPage, AIACCEL_CONSUMED_OFFSET);
  BOOST_REQUIRE_EQUAL(consumed.error(), 0);
  const Map* maps[] = {&ring, &consumed};
  for (const Map* map : maps)
    BOOST_TEST(in_child([&] {
                 volatile char byte = map->data()[0];
                 return static_cast<int>(byte);
               }) == 128 + SIGSEGV);
}

BOOST_AUTO_TEST_CASE(a_killed_holder_gives_back_slots_and_memory) {
  NEED_DEVICE();
  const Context watcher;
  const uint64_t bytes = watcher.query().pinned_bytes;
  const Map map = anonymous(256 * kPage);
  Holder holder([&](const Context& context) {
    aiaccel_pin pin = pin_of(map, AIACCEL_PIN_WRITE);
    context(AIACCEL_IOC_PIN, pin);
    const Map mapped = context.map(8 << 20, context.alloc(8 << 20).mmap_offset);
    sleep_for_ever(context);
  });
  BOOST_TEST(watcher.engine_stats().slots_used == watcher.engine().slots);
  BOOST_TEST(
      eventually([&] { return watcher.query().pinned_bytes == bytes + 256 * kPage + (8 << 20); }));
  const uint32_t queue = watcher.queue();
  BOOST_TEST(submit(watcher, job_of(queue, 5, 1)) == 0);
  BOOST_TEST(!readable(watcher, 0));
  holder.end(SIGKILL);
  BOOST_TEST(readable(watcher, 10000));
  BOOST_TEST(watcher.engine_stats().slots_used == 1u);
  BOOST_TEST(eventually([&] { return watcher.query().pinned_bytes == bytes; }));
}

// The file lives on in the parent: it is the address space whose end counts.
BOOST_AUTO_TEST_CASE(turns_end_with_the_address_space_although_the_file_lives) {
  NEED_DEVICE();
  const Context watcher;
  int sockets[2];
  BOOST_REQUIRE_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  Holder holder([&](const Context& context) {
    if (aiaccel::send_with_fds(sockets[1], "", 1, {context.fd()}, 0) != 1) _exit(1);
    sleep_for_ever(context);
  });
  char byte;
  std::vector<aiaccel::Fd> received;
  BOOST_REQUIRE_EQUAL(aiaccel::receive_with_fds(sockets[0], &byte, 1, &received), 1);
  BOOST_REQUIRE_EQUAL(received.size(), 1u);
  ::close(sockets[0]);
  ::close(sockets[1]);
  BOOST_TEST(watcher.engine_stats().slots_used == watcher.engine().slots);
  holder.end(SIGKILL);
  BOOST_TEST(eventually([&] { return watcher.engine_stats().slots_used == 0; }));
  BOOST_TEST(watcher.engine_stats().queues == 1u);  // its queue goes with the file
}

BOOST_AUTO_TEST_CASE(exec_ends_turns) {
  NEED_DEVICE();
  const Context watcher;
  Holder holder([](const Context& context) {
    fcntl(context.fd(), F_SETFD, 0);  // the program that is started has the file
    execlp("sleep", "sleep", "1000", nullptr);
  });
  BOOST_TEST(eventually([&] { return watcher.engine_stats().slots_used == 0; }));
  BOOST_TEST(kill(holder.pid(), 0) == 0);
  BOOST_TEST(watcher.engine_stats().queues == 1u);
}

BOOST_AUTO_TEST_CASE(a_stopped_holder_keeps_its_turn_and_a_closed_file_does_not) {
  NEED_DEVICE();
  const Context watcher;
  Holder holder(sleep_for_ever);
  kill(holder.pid(), SIGSTOP);
  usleep(20000);
  BOOST_TEST(watcher.engine_stats().slots_used == watcher.engine().slots);
  holder.end(SIGKILL);
  {
    const Context context;
    context.take_turn(context.queue(), 1);
    BOOST_TEST(watcher.engine_stats().slots_used == 1u);
  }
  BOOST_TEST(watcher.engine_stats().slots_used == 0u);
}

// No signal reaches it, and it notices nothing.
BOOST_AUTO_TEST_CASE(who_is_frozen_as_its_turn_comes_loses_it) {
  NEED_DEVICE();
  if (!have_cgroups()) SKIP("no cgroup version 2 at " + kCgroups);
  const Cgroup cgroup("/frozen");
  const auto freeze = [&](bool frozen) {
    std::ofstream(cgroup.path() + "/cgroup.freeze") << frozen << std::flush;
    return eventually([&] {
      std::ifstream events(cgroup.path() + "/cgroup.events");
      const std::string text{std::istreambuf_iterator<char>(events), {}};
      return text.find(frozen ? "frozen 1" : "frozen 0") != std::string::npos;
    });
  };
  const Context before, after;
  const uint32_t slots = before.engine().slots;
  const uint32_t turn = before.take_turn(before.queue(), 1, slots);
  int ready[2];
  BOOST_REQUIRE_EQUAL(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    cgroup.enter();
    const Context context;
    const Map ring = context.map(context.query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
    if (submit(context, job_of(context.queue(), 7, slots))) _exit(1);
    if (write(ready[1], "x", 1) != 1 || wait_events(context, 1, AIACCEL_NEVER)) _exit(2);
    const auto* head = reinterpret_cast<const aiaccel_ring*>(ring.data());
    const auto* event = reinterpret_cast<const aiaccel_event*>(ring.data() + head->events_offset) +
                        (head->produced - 1) % head->entries;
    if (event->cookie != 7 || !(event->events & AIACCEL_EVENT_REVOKED)) _exit(3);
    _exit(complete(context, 7, event->generation) == ESTALE ? 0 : 4);
  }
  char byte;
  BOOST_REQUIRE_EQUAL(read(ready[0], &byte, 1), 1);
  BOOST_TEST(freeze(true));
  BOOST_TEST(complete(before, 1, turn) == 0);
  // The child's tenant had nothing so far, and is next.
  after.take_turn(after.queue(), 2, slots);
  BOOST_TEST(freeze(false));
  int status = 0;
  waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

BOOST_AUTO_TEST_CASE(waits_end_by_the_clock) {
  NEED_DEVICE();
  const Context context;
  BOOST_TEST(wait_events(context, 1, 0) == ETIMEDOUT);
  BOOST_TEST(wait_events(context, 1, 1) == ETIMEDOUT);
  const uint64_t start = now_ns();
  BOOST_TEST(wait_events(context, 1, start + 50'000'000) == ETIMEDOUT);
  BOOST_TEST(now_ns() >= start + 50'000'000);
  // progress is success, whatever the wait came to
  aiaccel_job jobs[2] = {job_of(context.queue(), 1, 1), job_of(0, 2, 1)};
  aiaccel_enter enter{};
  enter.jobs = reinterpret_cast<uint64_t>(jobs);
  enter.nr_jobs = 1;
  enter.min_events = 2;
  enter.timeout_ns = now_ns() + 20'000'000;
  BOOST_TEST(context(AIACCEL_IOC_ENTER, enter) == 0);
  BOOST_TEST(enter.nr_jobs == 1u);
  BOOST_TEST(enter.nr_events == 1u);
}

BOOST_AUTO_TEST_CASE(waits_end_by_signals) {
  NEED_DEVICE();
  const Context context;
  struct sigaction action {
  }, old{};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;  // promised to be EINTR all the same
  sigaction(SIGUSR1, &action, &old);
  const pid_t self = getpid(), child = fork();
  if (child == 0) {
    for (;;) {
      usleep(20000);
      kill(self, SIGUSR1);
    }
  }
  BOOST_TEST(wait_events(context, 1, AIACCEL_NEVER) == EINTR);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  sigaction(SIGUSR1, &old, nullptr);
}

// Stopping and continuing runs no handler and is no reason to fail.
BOOST_AUTO_TEST_CASE(waits_survive_a_stop) {
  NEED_DEVICE();
  int ready[2];
  BOOST_REQUIRE_EQUAL(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const Context context;
    if (write(ready[1], "x", 1) != 1) _exit(1);
    _exit(wait_events(context, 1, now_ns() + 400'000'000));
  }
  char byte;
  BOOST_REQUIRE_EQUAL(read(ready[0], &byte, 1), 1);
  usleep(50000);
  kill(child, SIGSTOP);
  usleep(50000);
  kill(child, SIGCONT);
  int status = 0;
  waitpid(child, &status, 0);
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == ETIMEDOUT);
  ::close(ready[0]);
  ::close(ready[1]);
}

BOOST_AUTO_TEST_CASE(nonsense_in_the_consumed_word_misleads_only_its_writer) {
  NEED_DEVICE();
  const Context context, other;
  const Map consumed = context.map(kPage, AIACCEL_CONSUMED_OFFSET);
  auto* word = reinterpret_cast<volatile uint32_t*>(consumed.data());
  const uint32_t queue = context.queue();
  for (const uint32_t nonsense : {1u, 257u, 0x80000000u, ~0u, 12345u}) {
    *word = nonsense;
    BOOST_TEST(submit(context, job_of(queue, nonsense, 1)) == 0);
    aiaccel_completion cancel{};
    cancel.cookie = nonsense;
    cancel.flags = AIACCEL_COMPLETE_CANCEL;
    aiaccel_enter enter{};
    enter.completions = reinterpret_cast<uint64_t>(&cancel);
    enter.nr_completions = 1;
    BOOST_TEST(context(AIACCEL_IOC_ENTER, enter) == 0);
  }
  const uint32_t generation = other.take_turn(other.queue(), 1);
  BOOST_TEST(complete(other, 1, generation) == 0);
}

BOOST_AUTO_TEST_CASE(times_follow_the_time_namespace) {
  NEED_DEVICE();
  const int status = in_child([] {
    constexpr uint64_t kDay = 86'400'000'000'000;
    if (unshare(CLONE_NEWTIME)) return 77;
    std::ofstream("/proc/self/timens_offsets") << "monotonic 86400 0" << std::flush;
    return in_child([] {  // the offset is the children's
      if (now_ns() < kDay) return 78;
      const Context context;
      const uint64_t start = now_ns();
      if (wait_events(context, 1, start - kDay / 2) != ETIMEDOUT) return 1;
      if (wait_events(context, 1, start + 30'000'000) != ETIMEDOUT) return 2;
      const uint64_t end = now_ns();
      if (end < start + 30'000'000 || end > start + kDay / 2) return 3;
      context.take_turn(context.queue(), 1);
      const Map ring = context.map(context.query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
      const auto* head = reinterpret_cast<const aiaccel_ring*>(ring.data());
      const auto* event = reinterpret_cast<const aiaccel_event*>(ring.data() + head->events_offset);
      return event->time_ns >= end && event->time_ns <= now_ns() ? 0 : 4;
    });
  });
  if (status == 77 || status == 78) SKIP("no time namespaces here");
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_SUITE_END()
