// SPDX-License-Identifier: MIT
//
// Engines of another module that can stop work, and that break: slots go on once the provider has
// stopped what ran there, whoever goes meanwhile; one that does not stop it in time is faulted.
// Waits are for what must come; nothing here fails for being slow.
#include <aiaccel.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "account.hpp"
#include "module.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(stop)

namespace {

constexpr uint64_t kMs = 1'000'000, kBudget = 20 * kMs, kGrace = 10 * kMs;

// The tests' provider with one preemptible engine.
class Provider {
 public:
  explicit Provider(unsigned stop_ms, unsigned slots = 1) {
    BOOST_REQUIRE_EQUAL(
        load_module("provider/aiaccel_provider.ko", "preemptible=1 slots=" + std::to_string(slots) +
                                                        " stop_ms=" + std::to_string(stop_ms)),
        0);
  }
  Provider(const Provider&) = delete;
  ~Provider() { unload(); }
  void unload() {
    if (loaded_) BOOST_TEST(unload_module("aiaccel_provider") == 0);
    loaded_ = false;
  }
  static unsigned get(const std::string& name) {
    unsigned value = ~0u;
    std::ifstream("/sys/module/aiaccel_provider/parameters/" + name) >> value;
    return value;
  }
  // 0 or an errno.
  static int put(const std::string& name, const std::string& value) {
    const Fd fd(open(("/sys/module/aiaccel_provider/parameters/" + name).c_str(), O_WRONLY));
    return write(fd.get(), value.data(), value.size()) < 0 ? errno : 0;
  }
  static std::string sysfs(const std::string& name) {
    std::string value;
    std::ifstream("/sys/class/aiaccel/test-engine/" + name) >> value;
    return value;
  }

 private:
  bool loaded_ = true;
};

// A context with a queue to that engine, and its ring.
class Client {
 public:
  explicit Client(uint64_t budget_ns = kBudget) {
    ring_ = context_.map(context_.query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
    consumed_ = context_.map(kPage, AIACCEL_CONSUMED_OFFSET);
    uint32_t ids[64] = {};
    aiaccel_engine_list list{};
    list.count = 64;
    list.ids = address(ids);
    BOOST_REQUIRE_EQUAL(context_(AIACCEL_IOC_ENGINE_LIST, list), 0);
    for (uint32_t i = 0; i < list.count && !engine_; i++) {
      aiaccel_engine_info info{};
      info.id = ids[i];
      BOOST_REQUIRE_EQUAL(context_(AIACCEL_IOC_ENGINE_INFO, info), 0);
      if (!strcmp(info.name, "test-engine")) engine_ = info.id;
    }
    aiaccel_queue_create create{};
    create.engine = engine_;
    create.class_ = AIACCEL_CLASS_NORMAL;
    create.budget_ns = budget_ns;
    BOOST_REQUIRE_EQUAL(context_(AIACCEL_IOC_QUEUE_CREATE, create), 0);
    queue_ = create.id;
  }
  aiaccel_engine_info engine() const {
    aiaccel_engine_info info{};
    info.id = engine_;
    BOOST_REQUIRE_EQUAL(context_(AIACCEL_IOC_ENGINE_INFO, info), 0);
    return info;
  }
  int submit(uint64_t cookie, uint32_t width = 1) const {
    return raw::submit(context_, job_of(queue_, cookie, width));
  }
  int complete(uint64_t cookie, uint32_t generation) const {
    return raw::complete(context_, cookie, generation);
  }
  // Waits for the next event that has all of these bits.
  aiaccel_event must_event(uint32_t bits) {
    const uint64_t until_ns = now_ns() + 60'000 * kMs;
    for (;;) {
      while (consumed() == head()->produced) {
        aiaccel_enter enter{};
        enter.min_events = 1;
        enter.timeout_ns = until_ns;
        BOOST_REQUIRE_EQUAL(context_(AIACCEL_IOC_ENTER, enter), 0);
      }
      const auto* events =
          reinterpret_cast<const aiaccel_event*>(ring_.data() + head()->events_offset);
      const aiaccel_event event = events[consumed() % head()->entries];
      consumed()++;
      if ((event.events & bits) == bits) return event;
    }
  }
  bool has_news() { return consumed() != head()->produced; }
  // Its turn, which it goes on to have.
  uint32_t must_hold(uint64_t cookie, uint32_t width = 1) {
    BOOST_REQUIRE_EQUAL(submit(cookie, width), 0);
    return must_event(AIACCEL_EVENT_GRANTED).generation;
  }
  int control(uint32_t state) const {
    aiaccel_control arg{};
    arg.engine = engine_;
    arg.state = state;
    return context_(AIACCEL_IOC_CONTROL, arg);
  }
  int destroy() const { return destroy_errno(context_, queue_); }

 private:
  const volatile aiaccel_ring* head() const {
    return reinterpret_cast<const volatile aiaccel_ring*>(ring_.data());
  }
  std::atomic<uint32_t>& consumed() {
    return *reinterpret_cast<std::atomic<uint32_t>*>(consumed_.data());
  }
  const Context context_;
  Map ring_, consumed_;
  uint32_t engine_ = 0, queue_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_CASE(slots_go_on_once_the_work_is_stopped) {
  NEED_DEVICE();
  const Provider provider(500);  // half of what the watchdog waits
  Client holder, waiter;
  const uint32_t generation = holder.must_hold(1);
  BOOST_REQUIRE_EQUAL(waiter.submit(1), 0);
  const uint64_t revoked_ns = holder.must_event(AIACCEL_EVENT_REVOKED).time_ns;
  BOOST_TEST(holder.engine().contended == 0u);
  BOOST_TEST(holder.complete(1, generation) == ESTALE);
  BOOST_TEST(holder.complete(1, generation) == ENOENT);
  BOOST_TEST(holder.submit(1) == EDEADLK);  // its seat is taken until then
  const uint64_t granted_ns = waiter.must_event(AIACCEL_EVENT_GRANTED).time_ns;
  BOOST_TEST(granted_ns - revoked_ns >= 500 * kMs);
  BOOST_TEST(Provider::get("stops") == 1u);
  BOOST_TEST(Provider::get("stopped_pid") == static_cast<unsigned>(getpid()));
  BOOST_TEST(holder.engine().contended == 0u);
  BOOST_TEST(holder.engine().state == AIACCEL_ENGINE_ACTIVE);
  BOOST_TEST(holder.submit(1) == 0);
  BOOST_TEST(Provider::sysfs("fault") == "none");
}

BOOST_AUTO_TEST_CASE(the_work_of_a_killed_holder_is_stopped) {
  NEED_DEVICE();
  const Provider provider(100);
  Client waiter;
  int held[2];
  BOOST_REQUIRE_EQUAL(pipe(held), 0);
  const pid_t pid = fork();
  if (!pid) {
    Client holder;
    holder.must_hold(1);
    if (write(held[1], "", 1) == 1) pause();
    _exit(1);
  }
  char byte;
  BOOST_REQUIRE_EQUAL(read(held[0], &byte, 1), 1);
  BOOST_REQUIRE_EQUAL(waiter.submit(1), 0);
  BOOST_REQUIRE_EQUAL(kill(pid, SIGKILL), 0);
  waiter.must_event(AIACCEL_EVENT_GRANTED);
  BOOST_TEST(Provider::get("stops") == 1u);
  BOOST_TEST(Provider::get("stopped_pid") == static_cast<unsigned>(pid));
  waitpid(pid, nullptr, 0);
  close(held[0]);
  close(held[1]);
}

// A program of the C interface that waits, as its process is stopped, until its turn has come and
// gone: it has another, although the work of the first, which it never began, is still being
// stopped as it asks.
BOOST_AUTO_TEST_CASE(who_was_stopped_as_its_turn_came_has_another) {
  NEED_DEVICE();
  const Context watcher;
  for (const bool can_be_cancelled : {false, true})
    BOOST_TEST_CONTEXT((can_be_cancelled ? "with a cancel_fd" : "without")) {
      const Provider provider(500);
      Client holder(AIACCEL_BUDGET_MAX_NS), waiter;
      const uint32_t generation = holder.must_hold(1);
      const pid_t pid = fork();
      if (!pid) {
        aiaccel_device* device;
        aiaccel_engine_info engine;
        if (aiaccel_open("kernel", &device)) _exit(1);
        if (aiaccel_find_engine(device, "test-engine", &engine)) _exit(2);
        aiaccel_queue_create queue{};
        queue.size = sizeof queue;
        queue.engine = engine.id;
        queue.class_ = AIACCEL_CLASS_NORMAL;
        if (aiaccel_call(device, AIACCEL_IOC_QUEUE_CREATE, &queue)) _exit(3);
        const aiaccel_job job = job_of(queue.id, 0);
        const int cancel_fd = can_be_cancelled ? eventfd(0, EFD_CLOEXEC) : -1;
        aiaccel_grant grant;
        int error;
        do  // being stopped ends a wait
          error = aiaccel_acquire(device, &job, AIACCEL_NEVER, cancel_fd, &grant);
        while (error == -EINTR);
        _exit(error ? -error : aiaccel_complete(device, &grant) ? 4 : 0);
      }
      const auto is = [&](uint32_t state) {
        for (const auto& turn : list<aiaccel_stats_turn>(watcher, AIACCEL_STATS_TURNS))
          if (turn.pid == pid && turn.state == state) return true;
        return false;
      };
      BOOST_TEST(eventually([&] { return is(AIACCEL_TURN_WAITING); }));
      BOOST_REQUIRE_EQUAL(kill(pid, SIGSTOP), 0);
      int status = 0;
      BOOST_REQUIRE_EQUAL(waitpid(pid, &status, WUNTRACED), pid);
      BOOST_REQUIRE_EQUAL(waiter.submit(1), 0);
      BOOST_TEST(holder.complete(1, generation) == 0);
      BOOST_TEST(eventually([&] { return is(AIACCEL_TURN_REVOKED); }));
      BOOST_REQUIRE_EQUAL(kill(pid, SIGCONT), 0);
      const uint32_t next = waiter.must_event(AIACCEL_EVENT_GRANTED).generation;
      BOOST_TEST(waiter.complete(1, next) == 0);
      BOOST_REQUIRE_EQUAL(waitpid(pid, &status, 0), pid);
      BOOST_TEST(status == 0);
    }
}

BOOST_AUTO_TEST_CASE(queues_and_contexts_may_go_while_work_is_stopped) {
  NEED_DEVICE();
  const Provider provider(200, 2);
  Client waiter;
  {
    Client queue, context;
    queue.must_hold(1);
    context.must_hold(1);
    BOOST_REQUIRE_EQUAL(waiter.submit(1, 2), 0);
    queue.must_event(AIACCEL_EVENT_REVOKED);
    BOOST_TEST(queue.destroy() == 0);
    context.must_event(AIACCEL_EVENT_REVOKED);
  }
  waiter.must_event(AIACCEL_EVENT_GRANTED);
  BOOST_TEST(Provider::get("stops") == 2u);
}

// The provider goes in the middle of a stop(), with another one to come.
BOOST_AUTO_TEST_CASE(the_engine_may_go_while_work_is_stopped) {
  NEED_DEVICE();
  Provider provider(500, 2);
  Client a, b, waiter;
  a.must_hold(1);
  b.must_hold(1);
  BOOST_REQUIRE_EQUAL(waiter.submit(1, 2), 0);
  a.must_event(AIACCEL_EVENT_REVOKED);
  b.must_event(AIACCEL_EVENT_REVOKED);
  provider.unload();
  waiter.must_event(AIACCEL_EVENT_FAILED);
  BOOST_TEST(a.submit(2) == ESHUTDOWN);
}

// Nobody has anything at the engine any more but what is being stopped, and then it goes, too.
BOOST_AUTO_TEST_CASE(the_engine_may_go_after_its_last_client) {
  NEED_DEVICE();
  Provider provider(400, 2);
  {
    Client a, b;
    a.must_hold(1);
    b.must_hold(1);
  }
  provider.unload();
}

BOOST_AUTO_TEST_CASE(a_provider_that_does_not_stop_is_faulted) {
  NEED_DEVICE();
  const Provider provider(4000, 2);
  Client holder, other, waiter;
  holder.must_hold(1);
  BOOST_REQUIRE_EQUAL(waiter.submit(1, 2), 0);
  holder.must_event(AIACCEL_EVENT_REVOKED);
  BOOST_TEST(eventually([&] { return holder.engine().state == AIACCEL_ENGINE_FAULTED; }));
  BOOST_TEST(Provider::get("stops") == 0u);
  BOOST_TEST(Provider::sysfs("state") == "faulted");
  BOOST_TEST(Provider::sysfs("fault") == "stop");
  BOOST_TEST(other.submit(1) == ESHUTDOWN);
  // Neither the administrator nor the provider itself takes that away before it has done so.
  BOOST_TEST(holder.control(AIACCEL_ENGINE_ACTIVE) == EBUSY);
  BOOST_TEST(Provider::put("fault", "0") == EBUSY);
  BOOST_TEST(!waiter.has_news());
  BOOST_TEST(eventually([&] { return Provider::get("stops") == 1u; }));
  BOOST_TEST(Provider::put("stop_ms", "0") == 0);
  BOOST_TEST(holder.engine().state == AIACCEL_ENGINE_FAULTED);
  BOOST_TEST(eventually([&] { return holder.control(AIACCEL_ENGINE_ACTIVE) == 0; }));
  BOOST_TEST(holder.engine().state == AIACCEL_ENGINE_ACTIVE);
  BOOST_TEST(Provider::sysfs("fault") == "none");
  waiter.must_event(AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(an_engine_that_is_said_to_be_broken_grants_nothing_until_it_works) {
  NEED_DEVICE();
  const Provider provider(0);
  Client holder(AIACCEL_BUDGET_MAX_NS), waiter;
  const uint32_t generation = holder.must_hold(1);
  BOOST_REQUIRE_EQUAL(waiter.submit(1), 0);
  BOOST_REQUIRE_EQUAL(Provider::put("fault", "1"), 0);
  holder.must_event(AIACCEL_EVENT_REVOKED);
  BOOST_TEST(holder.complete(1, generation) == ESTALE);
  BOOST_TEST(holder.engine().state == AIACCEL_ENGINE_FAULTED);
  BOOST_TEST(Provider::sysfs("fault") == "provider");
  BOOST_TEST(holder.submit(2) == ESHUTDOWN);
  BOOST_TEST(holder.control(AIACCEL_ENGINE_ACTIVE) == EBUSY);
  // What else it is told holds once it works.
  BOOST_TEST(holder.control(AIACCEL_ENGINE_DRAINING) == 0);
  BOOST_TEST(holder.engine().state == AIACCEL_ENGINE_FAULTED);
  BOOST_TEST(!waiter.has_news());
  BOOST_REQUIRE_EQUAL(Provider::put("fault", "0"), 0);
  BOOST_TEST(holder.engine().state == AIACCEL_ENGINE_DRAINING);
  waiter.must_event(AIACCEL_EVENT_GRANTED);
  BOOST_TEST(holder.submit(2) == ESHUTDOWN);
  BOOST_TEST(holder.control(AIACCEL_ENGINE_ACTIVE) == 0);
  BOOST_TEST(holder.submit(2) == 0);
  BOOST_TEST(Provider::get("stops") == 0u);  // of what it said is broken nothing is to be stopped
}

BOOST_AUTO_TEST_SUITE_END()
