// SPDX-License-Identifier: MIT
//
// How long the one lock of all turns is held at worst, natively: what the core does between lock
// and unlock in the longest calls that there are, one after the other as an adapter does it; see
// docs/locking.md. Without what adapters add: a look-up for each entry, and the lock.
//
// Of a SNAPSHOT it is the whole call on the embedded transport, which is little more than the hold:
// 4096 records of queues, and as many but for the contexts' of jobs that wait.
//
// A sample is one call. The goal of all is a millisecond.
#include <algorithm>
#include <deque>
#include <map>
#include <memory>

#include "bench/measure.hpp"
#include "bench/taker.hpp"
#include "core/core.hpp"

namespace {

constexpr int kRounds = 100;
constexpr std::uint32_t kEntries = AIACCEL_ENTER_MAX;

// The engines, and whatever an adapter has of all contexts.
struct World {
  World(std::size_t count, std::uint32_t slots) : engines(count), nodes(count) {
    for (std::size_t i = 0; i < count; ++i) {
      aia_sched_engine_init(&engines[i], slots);
      aia_sched_node_init(&nodes[i], &engines[i], nullptr, 0);
    }
  }
  World(const World&) = delete;

  // What an adapter does after it let go of the lock; all read their rings.
  void finish(aia_news& news) {
    while (aia_turn* turn = news.freed) {
      news.freed = turn->next_freed;
      delete turn;
    }
    while (aia_turns* woken = news.woken) {
      news.woken = woken->next_woken;
      woken->woken = false;
      *consumed.at(woken) += aia_ring_unread(&woken->ring);
    }
  }

  // What is due at the first engine at once. How long it took longest, in us.
  double settle() {
    double longest_us = 0;
    while (aia_turns_next_ns(&engines[0]) <= now_ns) {
      aia_news news{};
      longest_us = std::max(
          longest_us, bench::mean_us(1, [&] { aia_turns_dispatch(&engines[0], now_ns, &news); }));
      finish(news);
    }
    return longest_us;
  }

  std::deque<aia_sched_engine> engines;
  std::deque<aia_sched_node> nodes;
  aia_groups groups{};
  std::map<const aia_turns*, std::uint32_t*> consumed;  // each context's word
  std::uint64_t now_ns = 1'000'000'000;
};

// A context with a queue at each engine, that reads its ring after each call.
class Context {
 public:
  explicit Context(World& world)
      : world_(world), seats_(world.engines.size()), queues_(world.engines.size()) {
    aia_turns_init(&turns_, memory_, &consumed_, 0x9e3779b97f4a7c15);
    turns_.groups = &world.groups;
    turns_.tenant = &world;
    world.consumed[&turns_] = &consumed_;
    for (std::size_t i = 0; i < seats_.size(); ++i) {
      aia_sched_seat_init(&seats_[i], &world.engines[i]);
      aia_sched_queue_init(&queues_[i], &seats_[i], &world.nodes[i], AIACCEL_CLASS_NORMAL, 0);
      queues_[i].who = &who_;
    }
  }
  Context(const Context&) = delete;

  std::size_t turns() const {
    return static_cast<std::size_t>(std::count_if(
        seats_.begin(), seats_.end(), [](const aia_sched_seat& seat) { return seat.turn; }));
  }

  // One ENTER: those of the cookies end, the jobs come, and who is next begins. What it took, in
  // us.
  double enter(const std::vector<std::uint64_t>& ends, const std::vector<aiaccel_job>& jobs) {
    std::vector<std::unique_ptr<aia_turn>> turns(jobs.size());
    for (auto& turn : turns) turn = std::make_unique<aia_turn>();
    world_.now_ns += 1'000'000;
    aia_news news{};
    const double took_us = bench::mean_us(1, [&] { hold(ends, jobs, turns, news); });
    world_.finish(news);
    return took_us;
  }

 private:
  void hold(const std::vector<std::uint64_t>& ends, const std::vector<aiaccel_job>& jobs,
            std::vector<std::unique_ptr<aia_turn>>& turns, aia_news& news) {
    for (std::size_t i = 0; i < ends.size(); ++i) {
      const aiaccel_completion end{ends[i], 0, AIACCEL_COMPLETE_CANCEL};
      must(aia_turns_complete(&turns_, &end, !i, world_.now_ns, &news));
    }
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      aia_sched_queue* queue = &queues_[jobs[i].queue];
      must(aia_turns_check(&turns_, queue, &jobs[i]));
      must(aia_turns_submit(&turns_, queue, turns[i].get(), &jobs[i], world_.now_ns, &news));
      turns[i].release();
    }
    while (aia_sched_engine* engine = aia_turns_next_stirred(&news))
      aia_turns_dispatch(engine, world_.now_ns, &news);
  }

  static void must(int error) {
    errno = -error;
    bench::check(error == 0, "an entry of ENTER");
  }

  World& world_;
  aia_turns turns_{};
  std::deque<aia_sched_seat> seats_;
  std::deque<aia_sched_queue> queues_;
  std::uint32_t consumed_ = 0;
  aia_history_who who_{};
  alignas(64) char memory_[16384] = {};
};

std::vector<std::uint64_t> cookies(std::uint64_t count) {
  std::vector<std::uint64_t> all(count);
  for (std::uint64_t i = 0; i < count; ++i) all[i] = i;
  return all;
}

// At so many engines in turn; those of a group have the cookie as its number.
std::vector<aiaccel_job> jobs_at(std::uint32_t engines, std::uint32_t count,
                                 std::uint32_t group_size = 0) {
  std::vector<aiaccel_job> jobs(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    jobs[i] = {};
    jobs[i].cookie = i;
    jobs[i].queue = i % engines;
    jobs[i].width = 1;
    jobs[i].group = group_size ? i + 1 : 0;
    jobs[i].group_size = group_size;
  }
  return jobs;
}

bench::Row row(const char* name) {
  return {.name = name, .ours = {}, .peer = {}, .peer_name = "", .unit = "us", .goal = 1000};
}

// 256 end, 64 of them turns of as many engines where another context is next; 256 come.
void enter() {
  constexpr std::uint32_t engines = 64;
  World world(engines, 1);
  Context one(world), other(world);
  bench::Row samples = row("turns/hold-enter-256");
  const auto all = jobs_at(engines, kEntries), few = jobs_at(engines, engines);
  one.enter({}, all);
  for (int round = 0; round < kRounds; ++round) {
    other.enter({}, few);
    samples.ours.push_back(one.enter(cookies(kEntries), all));
    if (other.turns() != engines) throw std::runtime_error("the other context has not all turns");
    other.enter(cookies(engines), {});  // the first one has all turns again
  }
  bench::print(samples);
}

// 256 entries that complete, and 256 that break up, a group each, whose 63 others are in other
// contexts.
void groups() {
  World world(1, AIACCEL_GROUP_MAX);
  Context holder(world);
  aiaccel_job wide = jobs_at(1, 1)[0];
  wide.width = AIACCEL_GROUP_MAX;
  holder.enter({}, {wide});
  std::deque<std::unique_ptr<Context>> members;
  const auto jobs = jobs_at(1, kEntries, AIACCEL_GROUP_MAX);
  for (int i = 1; i < AIACCEL_GROUP_MAX; ++i)
    members.emplace_back(std::make_unique<Context>(world))->enter({}, jobs);
  Context last(world);
  bench::Row complete = row("turns/hold-groups-complete");
  bench::Row broken = row("turns/hold-groups-broken");
  for (int round = 0; round < kRounds / 5; ++round) {
    complete.ours.push_back(last.enter({}, jobs));
    broken.ours.push_back(last.enter(cookies(kEntries), {}));
  }
  bench::print(complete);
  bench::print(broken);
}

// A turn of 1,024 slots ends, and as many contexts are next with one each: as many begin as may at
// once, the others with what is due then.
void begin() {
  constexpr std::uint32_t slots = 1024;
  World world(1, slots);
  Context holder(world);
  aiaccel_job wide = jobs_at(1, 1)[0];
  wide.width = slots;
  std::deque<Context> contexts;
  for (std::uint32_t i = 0; i < slots; ++i) contexts.emplace_back(world);
  bench::Row samples = row("turns/hold-begin-1024");
  for (int round = 0; round < kRounds; ++round) {
    holder.enter({}, {wide});
    for (Context& context : contexts) context.enter({}, jobs_at(1, 1));
    const double first_us = holder.enter(cookies(1), {});
    samples.ours.push_back(std::max(first_us, world.settle()));
    for (Context& context : contexts) {
      if (context.turns() != 1) throw std::runtime_error("a context has no turn");
      context.enter(cookies(1), {});
    }
  }
  bench::print(samples);
}

// The longest step while 4,096 queues change their order, and what is granted in it.
void order() {
  World world(1, 1);
  std::deque<std::unique_ptr<Context>> contexts;
  for (int i = 0; i < 4096; ++i)
    contexts.emplace_back(std::make_unique<Context>(world))->enter({}, jobs_at(1, 1));
  aia_sched_engine* engine = &world.engines[0];
  bench::Row samples = row("turns/hold-order-step");
  for (int round = 0; round < kRounds; ++round) {
    const __u32 wanted = round % 2 ? AIACCEL_ORDER_FAIR : AIACCEL_ORDER_EDF;
    aia_news news{};
    const double first_us = bench::mean_us(1, [&] {
      aia_sched_set_order(engine, wanted, world.now_ns);
      aia_turns_dispatch(engine, world.now_ns, &news);
    });
    world.finish(news);
    samples.ours.push_back(std::max(first_us, world.settle()));
  }
  bench::print(samples);
}

// So many contexts with so many queues each, on the first of which so many jobs wait.
void snapshot(const char* name, int contexts, int queues, std::uint32_t jobs) {
  std::deque<std::unique_ptr<bench::Taker>> takers;
  for (int i = 0; i < contexts; ++i) {
    bench::Taker& taker = *takers.emplace_back(std::make_unique<bench::Taker>("embedded"));
    for (int j = 0; j < queues; ++j) taker.add_line(1);
    std::vector<aiaccel_job> waiting = jobs_at(1, jobs);
    for (aiaccel_job& job : waiting) job.queue = taker.queue(0);
    aiaccel_enter arg{};
    arg.size = sizeof arg;
    arg.jobs = reinterpret_cast<std::uintptr_t>(waiting.data());
    arg.nr_jobs = jobs;
    errno = -aiaccel_call(taker.device(), AIACCEL_IOC_ENTER, &arg);
    bench::check(errno == 0, "ENTER");
  }
  std::vector<std::uint64_t> units(1 << 20);
  bench::Row samples = row(name);
  for (int round = 0; round < kRounds; ++round) {
    aiaccel_stats arg{};
    arg.size = sizeof arg;
    arg.kind = AIACCEL_STATS_SNAPSHOT;
    arg.records = reinterpret_cast<std::uintptr_t>(units.data());
    arg.count = static_cast<std::uint32_t>(units.size());
    arg.record_size = 8;
    samples.ours.push_back(bench::mean_us(
        1, [&] { errno = -aiaccel_call(takers[0]->device(), AIACCEL_IOC_STATS, &arg); }));
    bench::check(errno == 0 && arg.count <= units.size(), "SNAPSHOT");
  }
  bench::print(samples);
}

void measure() {
  enter();
  groups();
  begin();
  order();
  snapshot("turns/hold-snapshot-queues", 62, 64, 0);
  snapshot("turns/hold-snapshot-jobs", 15, 1, 256);
}

}  // namespace

int main() {
  return bench::run(measure);
}
