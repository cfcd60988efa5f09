// SPDX-License-Identifier: MIT
//
// Engines go away and come back under load, many times: unregistered by their module, unbound from
// its driver, removed from the bus. At each end a turn is held, a job waits for one, and another
// context submits and completes as fast as it can. Who holds is told that the turn is revoked, who
// waits that it failed; new work is refused until the engine is there again.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "account.hpp"
#include "module.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(hotplug)

namespace {

constexpr const char* kDriver = "/sys/bus/pci/drivers/aiaccel_provider/";

// What the processes of the load tell.
struct Told {
  std::atomic<uint32_t> churned;         // turns had and completed
  std::atomic<uint32_t> held, revoked;   // turns that were kept, and their ends
  std::atomic<uint32_t> waited, failed;  // jobs that wait, and their ends
  std::atomic<uint32_t> refused;         // ESHUTDOWN, ENOENT
  std::atomic<uint32_t> wrong;           // the first answer that should not be
};

// One process of the load: an open device and its ring. Nothing in here asserts, calls are judged
// by what they tell.
class Client {
 public:
  Client(const std::string& engine, uint64_t budget_ns, Told& told)
      : engine_(engine), budget_ns_(budget_ns), told_(told) {
    ring_ = context_.map(context_.query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
    consumed_ = context_.map(kPage, AIACCEL_CONSUMED_OFFSET);
  }

  [[noreturn]] void churn() {
    for (;;) {
      if (!make_queue(AIACCEL_CLASS_HIGH)) continue;
      while (submit(1)) {
        enter(1);
        const aiaccel_event event = next();
        if (!(event.events & AIACCEL_EVENT_GRANTED)) break;
        const int err = complete(context_, event.cookie, event.generation);
        if (err == ESTALE) break;
        judge(err, 0);
        told_.churned++;
      }
      leave();
    }
  }

  [[noreturn]] void hold() {
    for (;;) {
      if (!make_queue(AIACCEL_CLASS_NORMAL)) continue;
      aiaccel_event event{};
      if (submit(1)) {
        enter(1);
        event = next();
      }
      if (event.events & AIACCEL_EVENT_GRANTED) {
        told_.held++;
        while (!(event.events & AIACCEL_EVENT_REVOKED)) {  // it may be asked to yield as well
          enter(1);
          event = next();
        }
        told_.revoked++;
        judge(complete(context_, event.cookie, event.generation), ESTALE);
        judge(complete(context_, event.cookie, event.generation), ENOENT);
      }
      leave();
    }
  }

  // For all slots, one of which is held.
  [[noreturn]] void wait() {
    for (;;) {
      if (!make_queue(AIACCEL_CLASS_NORMAL)) continue;
      if (submit(4)) {
        told_.waited++;
        enter(1);
        const aiaccel_event event = next();
        if (event.events == AIACCEL_EVENT_FAILED) {
          told_.failed++;
          judge(complete(context_, event.cookie, 0), ENOENT);
        }
      }
      leave();
    }
  }

 private:
  void judge(int err, int wanted) {
    if (err != wanted) told_.wrong = static_cast<uint32_t>(1000 + err);
  }

  bool make_queue(uint32_t class_) {
    uint32_t ids[64] = {};
    aiaccel_engine_list list{};
    list.count = 64;
    list.ids = address(ids);
    judge(context_(AIACCEL_IOC_ENGINE_LIST, list), 0);
    for (uint32_t i = 0; i < list.count; i++) {
      aiaccel_engine_info info{};
      info.id = ids[i];
      if (context_(AIACCEL_IOC_ENGINE_INFO, info) || engine_ != info.name) continue;
      aiaccel_queue_create create{};
      create.engine = info.id;
      create.class_ = class_;
      create.budget_ns = budget_ns_;
      const int err = context_(AIACCEL_IOC_QUEUE_CREATE, create);
      if (err == ENOENT || err == ESHUTDOWN)
        told_.refused++;
      else
        judge(err, 0);
      queue_ = create.id;
      return err == 0;
    }
    usleep(200);
    return false;
  }

  bool submit(uint32_t width) {
    const int err = raw::submit(context_, job_of(queue_, ++cookie_, width));
    if (!err) return true;
    judge(err, ESHUTDOWN);
    told_.refused++;
    return false;
  }

  void enter(uint32_t min_events) {
    aiaccel_enter enter{};
    enter.min_events = min_events;
    enter.timeout_ns = AIACCEL_NEVER;
    judge(context_(AIACCEL_IOC_ENTER, enter), 0);
  }

  aiaccel_event next() {
    const auto* head = reinterpret_cast<const aiaccel_ring*>(ring_.data());
    auto* word = reinterpret_cast<std::atomic<uint32_t>*>(consumed_.data());
    const auto* events = reinterpret_cast<const aiaccel_event*>(ring_.data() + head->events_offset);
    const aiaccel_event event = events[*word % head->entries];
    ++*word;
    return event;
  }

  void leave() {
    aiaccel_destroy destroy{};
    destroy.id = queue_;
    judge(context_(AIACCEL_IOC_DESTROY, destroy), 0);
    auto* word = reinterpret_cast<std::atomic<uint32_t>*>(consumed_.data());
    *word = reinterpret_cast<const volatile aiaccel_ring*>(ring_.data())->produced;
  }

  const Context context_;
  const std::string engine_;
  const uint64_t budget_ns_;  // 0: as it is where none is given
  Told& told_;
  Map ring_, consumed_;
  uint32_t queue_ = 0;
  uint64_t cookie_ = 0;
};

// Processes of three kinds, so many of each, until the end.
class Load {
 public:
  explicit Load(const std::string& engine, unsigned each = 1, uint64_t budget_ns = 0)
      : shared_(sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
        told_(*new (shared_.data()) Told{}) {
    using Doing = void (Client::*)();
    const Doing doings[] = {&Client::churn, &Client::hold, &Client::wait};
    for (unsigned i = 0; i < 3 * each; i++) {
      pids_.push_back(fork());
      if (pids_.back()) continue;
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      (Client(engine, budget_ns, told_).*doings[i % 3])();
    }
  }
  ~Load() {
    for (const pid_t pid : pids_) {
      BOOST_TEST(waitpid(pid, nullptr, WNOHANG) == 0);  // it did not end by itself
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
  }

  // The engine goes by `take` and comes back by `give`.
  void rounds(int count, const std::function<int()>& take, const std::function<int()>& give) {
    for (int round = 0; round < count; round++) {
      const uint32_t churned = told_.churned;
      BOOST_REQUIRE(eventually([&] {
        return told_.held > told_.revoked && told_.waited > told_.failed && told_.churned > churned;
      }));
      BOOST_REQUIRE_EQUAL(take(), 0);
      BOOST_REQUIRE(eventually([&] { return told_.held == told_.revoked; }));
      BOOST_REQUIRE_EQUAL(give(), 0);
    }
    BOOST_TEST(told_.revoked >= static_cast<uint32_t>(count));
    BOOST_TEST(told_.failed > 0u);
    BOOST_TEST(told_.wrong == 0u);
    note(std::to_string(count) + " times, " + std::to_string(told_.churned) + " turns completed, " +
         std::to_string(told_.revoked) + " revoked, " + std::to_string(told_.failed) +
         " jobs failed, " + std::to_string(told_.refused) + " refused");
  }

 private:
  const Map shared_;
  Told& told_;
  std::vector<pid_t> pids_;
};

// Loads the provider, and sees that nothing of the load stays.
struct Stage {
  explicit Stage(const std::string& parameters = "")
      : error(load_module("provider/aiaccel_provider.ko", parameters)) {
    BOOST_REQUIRE_EQUAL(error, 0);
  }
  const Context watcher;
  const int error;
  const Use before{watcher};  // its engine included
  ~Stage() {
    BOOST_TEST(eventually([&] { return Use(watcher) == before; }));
    BOOST_TEST(unload_module("aiaccel_provider") == 0);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(unregistered_under_load) {
  NEED_DEVICE();
  const Stage stage;
  const std::string parameter = "/sys/module/aiaccel_provider/parameters/engine";
  Load load("test-engine");
  load.rounds(
      50, [&] { return put(parameter, "0"); }, [&] { return put(parameter, "1"); });
}

// With many at it, and their work being stopped: turns last 20 ms there, stopping one takes 5.
BOOST_AUTO_TEST_CASE(a_module_is_unloaded_under_load) {
  NEED_DEVICE();
  const std::string parameters = "preemptible=1 stop_ms=5";
  const Stage stage(parameters);
  Load load("test-engine", 10, 20'000'000);
  load.rounds(
      10, [&] { return unload_module("aiaccel_provider"); },
      [&] { return load_module("provider/aiaccel_provider.ko", parameters); });
}

BOOST_AUTO_TEST_CASE(unbound_under_load) {
  NEED_DEVICE();
  const std::string edu = find_edu();
  if (edu.empty()) SKIP("no edu device on the bus");
  const Stage stage;
  Load load(edu);
  load.rounds(
      15, [&] { return put(std::string(kDriver) + "unbind", edu); },
      [&] { return put(std::string(kDriver) + "bind", edu); });
}

BOOST_AUTO_TEST_CASE(removed_from_the_bus_under_load) {
  NEED_DEVICE();
  const std::string edu = find_edu();
  if (edu.empty()) SKIP("no edu device on the bus");
  const Stage stage;
  Load load(edu);
  load.rounds(
      8, [&] { return put("/sys/bus/pci/devices/" + edu + "/remove", "1"); },
      [&] { return put("/sys/bus/pci/rescan", "1"); });
}

BOOST_AUTO_TEST_SUITE_END()
