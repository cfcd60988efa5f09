// SPDX-License-Identifier: MIT
//
// Clients that always want the whole of an engine; see greedy.hpp.
#include "greedy.hpp"

#include <unistd.h>

#include <ctime>
#include <thread>

#include "conformance/device.hpp"

using namespace conformance;

namespace bounds {

namespace {

void sleep_ns(uint64_t ns) {
  const timespec pause{static_cast<time_t>(ns / 1'000'000'000),
                       static_cast<long>(ns % 1'000'000'000)};
  nanosleep(&pause, nullptr);
}

// A turn on a busy machine may have been of seconds.
constexpr uint64_t kLongEnough = 30'000 * kMs;

// One context. Ends the child when something fails.
class Worker {
 public:
  Worker(int who, const Greedy& greedy) : who_(who), turn_ns_(greedy.turn_ns) {
    aiaccel_queue_create create = device_.queue_arg();
    aiaccel_engine_info info = device_.engine();
    if (greedy.engine) {
      info.id = create.engine = greedy.engine;
      if (device_.call(AIACCEL_IOC_ENGINE_INFO, info)) _exit(10);
    }
    width_ = info.slots;
    create.class_ = greedy.class_;
    for (int i = 0; i < greedy.queues; ++i) {
      if (device_.call(AIACCEL_IOC_QUEUE_CREATE, create)) _exit(11);
      queues_.push_back(create.id);
    }
  }

  void get_in_line() {
    std::vector<aiaccel_job> jobs;
    for (size_t i = 0; i < queues_.size(); ++i)
      jobs.push_back(job(i, queues_[i], {.width = width_}));
    aiaccel_enter arg{};
    arg.jobs = reinterpret_cast<uintptr_t>(jobs.data());
    arg.nr_jobs = static_cast<uint32_t>(jobs.size());
    if (device_.enter(arg) || arg.nr_jobs != jobs.size()) _exit(12);
  }

  void work(const TurnsLog& log) {
    while (!log.stopped()) {
      const aiaccel_event event = device_.must_event();
      if (event.events & (AIACCEL_EVENT_REVOKED | AIACCEL_EVENT_FAILED)) _exit(13);
      if (!(event.events & AIACCEL_EVENT_GRANTED)) continue;  // the turn before was wanted
      Turn turn{who_, now_ns(), 0, 0};
      sleep_ns(turn_ns_);
      turn.ended_ns = now_ns();
      again(event);
      turn.told_ns = now_ns();
      log.add(turn);
    }
  }

 private:
  void again(const aiaccel_event& event) {
    const aiaccel_completion completion{event.cookie, event.generation, 0};
    const aiaccel_job next = job(event.cookie, queues_[event.cookie], {.width = width_});
    aiaccel_enter arg{};
    arg.completions = reinterpret_cast<uintptr_t>(&completion);
    arg.nr_completions = 1;
    arg.jobs = reinterpret_cast<uintptr_t>(&next);
    arg.nr_jobs = 1;
    if (device_.enter(arg) || arg.nr_jobs != 1) _exit(14);
  }

  const int who_;
  const uint64_t turn_ns_;
  Device device_;
  uint32_t width_;
  std::vector<uint32_t> queues_;
};

// When the turn was over: between when its holder began to say so, and when that had been done or
// the next one had the engine. The middle of it, and how far off that may be.
struct Over {
  double ms, unsure_ms;
};

Over over(const Turn& turn, const Turn& next) {
  const auto from = static_cast<double>(turn.ended_ns) / 1e6;
  const auto until = static_cast<double>(std::min(turn.told_ns, next.learned_ns)) / 1e6;
  return {(from + until) / 2, (until - from) / 2};
}

Watched count(const std::vector<Turn>& turns, size_t clients) {
  Watched watched{std::vector<Had>(clients), 0, 0, 0};
  Over begun = over(turns[0], turns[1]);
  for (size_t i = 1; i + 1 < turns.size(); ++i) {
    BOOST_REQUIRE(turns[i].learned_ns > turns[i - 1].ended_ns);
    const Over ended = over(turns[i], turns[i + 1]);
    Had& whose = watched.had[static_cast<size_t>(turns[i].who)];
    whose.ms += ended.ms - begun.ms;
    ++whose.turns;
    watched.all_ms += ended.ms - begun.ms;
    if (turns[i].who != turns[i + 1].who) watched.unsure_ms += ended.unsure_ms;
    begun = ended;
  }
  for (const Had& had : watched.had)
    std::printf("# %.2f %%: %llu turns of %.2f ms\n", 100 * had.ms / watched.all_ms,
                static_cast<unsigned long long>(had.turns),
                had.ms / static_cast<double>(std::max<uint64_t>(had.turns, 1)));
  std::printf("# of %.2f s, where the clocks may be off by %.2f %%\n", watched.all_ms / 1e3,
              100 * watched.unsure_ms / watched.all_ms);
  return watched;
}

}  // namespace

int be_greedy(Child& child, int who, const Greedy& greedy, const TurnsLog& log) {
  std::deque<Worker> workers;
  for (int i = 0; i < greedy.contexts; ++i) workers.emplace_back(who, greedy);
  for (Worker& worker : workers) worker.get_in_line();
  child.tell(1);
  std::vector<std::thread> threads;
  for (Worker& worker : workers) threads.emplace_back([&] { worker.work(log); });
  child.sleep();
  _exit(0);  // with turns and jobs, and threads that wait for them
}

Watched watch(std::deque<Child>& children, const TurnsLog& log, uint64_t least_ns) {
  for (Child& child : children) BOOST_REQUIRE(child.must_hear() == 1u);
  sleep_ns(500 * kMs);  // who came first had more at first
  const uint64_t from_ns = now_ns();
  uint64_t until_ns;
  do {
    sleep_ns(100 * kMs);
    until_ns = now_ns();
  } while (until_ns < from_ns + std::max(least_ns, std::min(200 * log.longest_ns(), kLongEnough)));
  log.stop();
  for (Child& child : children) child.go_on();
  for (Child& child : children) BOOST_REQUIRE(child.wait() == 0);

  const std::vector<Turn> turns = log.between(from_ns, until_ns);
  BOOST_REQUIRE(turns.size() > 100);
  Watched watched = count(turns, children.size());
  watched.longest_ms = static_cast<double>(log.longest_ns()) / 1e6;
  return watched;
}

}  // namespace bounds
