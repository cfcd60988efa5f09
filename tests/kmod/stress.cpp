// SPDX-License-Identifier: MIT
//
// Processes with two threads each do whatever they can think of, some are killed on the way; in the
// end nothing may be held. What a call answers is not judged here, only that the counts come back:
// with KASAN, lockdep and kmemleak in the kernel it is they who judge.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <random>
#include <thread>

#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(stress)

namespace {

constexpr int kProcesses = 4;
constexpr int kRounds = 3;
constexpr uint64_t kRoundNs = 1'000'000'000;

// One thread's doings on a context that it shares with another one. Nothing in here asserts: Boost
// is for one thread.
class Worker {
 public:
  Worker(const Context& context, uint32_t engine, unsigned seed)
      : context_(context), engine_(engine), random_(seed) {}

  void run() {
    using Doing = void (Worker::*)();
    constexpr std::array<Doing, 10> kDoings = {
        &Worker::allocate, &Worker::pin,    &Worker::destroy, &Worker::map,   &Worker::unmap,
        &Worker::queue,    &Worker::submit, &Worker::submit,  &Worker::ended, &Worker::look};
    for (;;) (this->*kDoings[pick(kDoings.size())])();
  }

 private:
  uint32_t pick(size_t below) { return static_cast<uint32_t>(random_() % below); }

  void allocate() {
    aiaccel_alloc alloc{};
    alloc.length = 1 + pick(64 * kPage);
    alloc.placement = pick(2) ? AIACCEL_PLACE_LOCAL : AIACCEL_PLACE_INTERLEAVE;
    if (context_(AIACCEL_IOC_ALLOC, alloc) == 0) offset_ = alloc.mmap_offset;
  }
  void pin() {
    aiaccel_pin pin = pin_of(own_, pick(2) ? AIACCEL_PIN_WRITE : 0);
    pin.length = 1 + pick(own_.size());
    context_(AIACCEL_IOC_PIN, pin);
  }
  void destroy() {
    aiaccel_destroy destroy{};
    destroy.id = 1 + pick(64);
    for (int i = 0; i < 4; i++, destroy.id += 64) context_(AIACCEL_IOC_DESTROY, destroy);
  }
  void map() { map_ = context_.map(kPage * (1 + pick(16)), offset_ + kPage * pick(4)); }
  void unmap() { map_.unmap(); }
  void queue() {
    aiaccel_queue_create create{};
    create.engine = engine_;
    create.class_ = pick(4);
    create.weight = 1 + pick(1000);
    if (context_(AIACCEL_IOC_QUEUE_CREATE, create) == 0) queue_ = create.id;
  }
  void submit() {
    aiaccel_job jobs[8] = {};
    for (aiaccel_job& job : jobs) {
      job.cookie = pick(64);
      job.queue = queue_;
      job.width = 1 + pick(2);
      job.deadline_ns = pick(2) ? now_ns() + pick(1000000) : 0;
    }
    aiaccel_enter enter{};
    enter.jobs = reinterpret_cast<uint64_t>(jobs);
    enter.nr_jobs = 1 + pick(8);
    enter.min_events = pick(3);
    enter.timeout_ns = now_ns() + pick(2'000'000);
    context_(AIACCEL_IOC_ENTER, enter);
  }
  void ended() {
    aiaccel_completion completions[16] = {};
    for (aiaccel_completion& completion : completions) {
      completion.cookie = pick(64);
      completion.generation = pick(1000);
      completion.flags = pick(4) ? AIACCEL_COMPLETE_CANCEL : 0;
      aiaccel_enter enter{};
      enter.completions = reinterpret_cast<uint64_t>(&completion);
      enter.nr_completions = 1;
      context_(AIACCEL_IOC_ENTER, enter);
    }
  }
  void look() {
    std::array<char, 4096> records;
    aiaccel_stats stats{};
    stats.kind = 1 + pick(3);
    stats.records = reinterpret_cast<uint64_t>(records.data());
    stats.count = 16;
    stats.record_size = 256;
    context_(AIACCEL_IOC_STATS, stats);
    pollfd poll_fd{context_.fd(), POLLIN, 0};
    poll(&poll_fd, 1, 0);
    consumed_ = context_.map(kPage, AIACCEL_CONSUMED_OFFSET);
    auto* word = reinterpret_cast<volatile uint32_t*>(consumed_.data());
    *word = *word + pick(64);
    const Fd short_lived(open(kDevice, O_RDWR | O_CLOEXEC));
    if (pick(4)) return;
    const pid_t child = fork();
    if (child == 0) _exit(0);
    waitpid(child, nullptr, 0);
  }

  const Context& context_;
  const uint32_t engine_;
  std::minstd_rand random_;
  const Map own_{64 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0};
  Map map_, consumed_;
  uint64_t offset_ = 0;
  uint32_t queue_ = 0;
};

[[noreturn]] void work(unsigned seed) {
  const Context context;
  const uint32_t engine = context.engine().id;
  std::thread other([&] { Worker(context, engine, seed + 1000).run(); });
  Worker(context, engine, seed).run();
  _exit(0);
}

}  // namespace

BOOST_AUTO_TEST_CASE(killed_at_work_nothing_is_left) {
  NEED_DEVICE();
  const Context watcher;
  const uint64_t bytes = watcher.query().pinned_bytes;
  const unsigned seed = std::random_device()();
  BOOST_TEST_MESSAGE("seed " << seed);
  for (int round = 0; round < kRounds; round++) {
    pid_t workers[kProcesses];
    for (int i = 0; i < kProcesses; i++) {
      workers[i] = fork();
      if (workers[i] == 0) work(seed + static_cast<unsigned>(round * kProcesses + i));
    }
    const uint64_t end = now_ns() + kRoundNs;
    while (now_ns() < end) usleep(10000);
    for (const pid_t worker : workers) {
      int status = 0;
      BOOST_TEST(waitpid(worker, &status, WNOHANG) == 0);  // none ended by itself
      kill(worker, SIGKILL);
      waitpid(worker, &status, 0);
    }
    BOOST_TEST(eventually([&] {
      const aiaccel_stats_engine engine = watcher.engine_stats();
      return engine.slots_used == 0 && engine.jobs_waiting == 0 && engine.queues == 0 &&
             watcher.query().pinned_bytes == bytes;
    }));
  }
  BOOST_TEST(watcher.engine_stats().granted > 0u);
}

BOOST_AUTO_TEST_SUITE_END()
