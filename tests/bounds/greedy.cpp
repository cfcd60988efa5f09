// SPDX-License-Identifier: MIT
//
// Clients that always want the whole of an engine; see greedy.hpp.
#include "greedy.hpp"

#include <unistd.h>

#include <ctime>
#include <numeric>
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
      Turn turn{who_, now_ns(), 0};
      sleep_ns(turn_ns_);
      turn.ended_ns = now_ns();
      log.add(turn);
      again(event);
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

std::vector<Had> watch(std::deque<Child>& children, const TurnsLog& log, uint64_t least_ns) {
  for (Child& child : children) BOOST_REQUIRE(child.must_hear() == 1u);
  sleep_ns(500 * kMs);  // who came first had more at first
  const uint64_t from_ns = now_ns();
  uint64_t until_ns;
  do {
    sleep_ns(100 * kMs);
    until_ns = now_ns();
  } while (until_ns < from_ns + std::max(least_ns, 200 * log.longest_ns()));
  log.stop();
  for (Child& child : children) child.go_on();
  for (Child& child : children) BOOST_REQUIRE(child.wait() == 0);

  const std::vector<Turn> turns = log.between(from_ns, until_ns);
  BOOST_REQUIRE(turns.size() > 100);
  std::vector<Had> had(children.size());
  for (size_t i = 1; i < turns.size(); ++i) {
    BOOST_REQUIRE(turns[i].learned_ns > turns[i - 1].ended_ns);
    Had& whose = had[static_cast<size_t>(turns[i].who)];
    whose.ns += turns[i].ended_ns - turns[i - 1].ended_ns;
    ++whose.turns;
  }
  std::printf("# the longest turn %.1f ms", static_cast<double>(log.longest_ns()) / 1e6);
  for (size_t who = 0; who < had.size(); ++who)
    std::printf("; %.2f %%: %.2f s by %llu turns", 100 * share(had, who),
                static_cast<double>(had[who].ns) / 1e9,
                static_cast<unsigned long long>(had[who].turns));
  std::printf("\n");
  return had;
}

double share(const std::vector<Had>& had, size_t who) {
  const auto add = [](uint64_t sum, const Had& one) { return sum + one.ns; };
  return static_cast<double>(had[who].ns) /
         static_cast<double>(std::accumulate(had.begin(), had.end(), uint64_t{0}, add));
}

}  // namespace bounds
