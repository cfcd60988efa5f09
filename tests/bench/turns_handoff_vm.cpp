// SPDX-License-Identifier: MIT
//
// What it costs to hand a turn to another process: to wake it, and to sleep until the turn comes
// back. Against the least that Linux has for it, a futex in shared memory (wake, then wait), and
// against POSIX message queues (send, then receive). All on one processor, where nothing hides what
// the giver does after the wake-up, and on two.
//
// Four engines keep ours in step: each process waits for one that the other is about to give, and
// takes none back that it gave before it had another, so that no ENTER has a choice to whom it
// hands a turn.
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>

#include "bench/taker.hpp"

namespace {

constexpr int kRounds = 40;
constexpr int kTimes = 400;  // there and back

void run_on(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  bench::check(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

// A process that gives back what it is given until this object goes.
class Partner {
 public:
  template <typename Play>
  Partner(int processor, Play play) : pid_(fork()) {
    bench::check(pid_ >= 0, "fork");
    if (pid_) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(bench::run([&] {
      run_on(processor);
      for (;;) play();
    }));
  }
  Partner(const Partner&) = delete;
  Partner& operator=(const Partner&) = delete;
  ~Partner() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

 private:
  const pid_t pid_;
};

template <typename T>
class Shared {
 public:
  Shared()
      : at_(mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    bench::check(at_ != MAP_FAILED, "mmap");
    new (at_) T{};
  }
  ~Shared() { munmap(at_, sizeof(T)); }
  T* operator->() const { return static_cast<T*>(at_); }

 private:
  void* at_;
};

// ---- ours ----

using Engines = std::array<std::uint32_t, 4>;

class Turns {
 public:
  Turns(const Engines& engines, int processor)
      : partner_(processor, [=, this] { give_back(engines); }), taker_(line_up(engines)) {
    taker_->turn({}, {0, 1});
    while (!shared_->ready) usleep(1000);
  }

  // There and back.
  void pass() {
    taker_->turn({passed_ % 4}, {(passed_ + 2) % 4});
    ++passed_;
  }

  void check_steps() const {
    if (shared_->given_back != passed_) throw std::runtime_error("turns did not alternate");
  }

 private:
  struct Steps {
    std::atomic<bool> ready;
    std::atomic<unsigned> given_back;
  };

  // Line n is at engine n.
  static std::unique_ptr<bench::Taker> line_up(const Engines& engines) {
    auto taker = std::make_unique<bench::Taker>("kernel");
    for (const std::uint32_t engine : engines) taker->add_line(engine);
    return taker;
  }

  void give_back(const Engines& engines) {
    const auto taker = line_up(engines);
    taker->turn({}, {2, 3});
    shared_->ready = true;
    taker->turn({}, {0});
    for (unsigned step = 0;; ++step) {
      shared_->given_back = step + 1;
      taker->turn({(step + 2) % 4}, {(step + 1) % 4});
    }
  }

  Shared<Steps> shared_;
  Partner partner_;
  const std::unique_ptr<bench::Taker> taker_;
  unsigned passed_ = 0;
};

// ---- peers ----

class Futexes {
 public:
  explicit Futexes(int processor)
      : partner_(processor, [this] {
          wait(shared_->there);
          wake(shared_->back);
        }) {}

  void pass() {
    wake(shared_->there);
    wait(shared_->back);
  }

 private:
  struct Words {
    std::atomic<std::uint32_t> there, back;
  };

  static void wake(std::atomic<std::uint32_t>& word) {
    word = 1;
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
  static void wait(std::atomic<std::uint32_t>& word) {
    while (!word.exchange(0)) syscall(SYS_futex, &word, FUTEX_WAIT, 0, nullptr, nullptr, 0);
  }

  Shared<Words> shared_;
  Partner partner_;
};

class Messages {
 public:
  explicit Messages(int processor)
      : there_(make("/aiaccel-bench-there")),
        back_(make("/aiaccel-bench-back")),
        partner_(processor, [this] {
          receive(there_);
          send(back_);
        }) {}
  ~Messages() {
    mq_close(there_);
    mq_close(back_);
  }

  void pass() {
    send(there_);
    receive(back_);
  }

 private:
  static mqd_t make(const char* name) {
    mq_attr attributes{};
    attributes.mq_maxmsg = 1;
    attributes.mq_msgsize = 8;
    const mqd_t queue = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attributes);
    bench::check(queue >= 0, "mq_open");
    mq_unlink(name);
    return queue;
  }
  static void send(mqd_t queue) {
    const char token[8] = {};
    bench::check(mq_send(queue, token, sizeof token, 0) == 0, "mq_send");
  }
  static void receive(mqd_t queue) {
    char token[8];
    bench::check(mq_receive(queue, token, sizeof token, nullptr) > 0, "mq_receive");
  }

  const mqd_t there_;
  const mqd_t back_;
  Partner partner_;
};

// ---- rows ----

template <typename Peer>
void compare(const std::string& name, const char* peer_name, double goal, Turns& turns,
             int processor) {
  Peer peer(processor);
  const auto handing = [](auto& both) { return bench::mean_us(kTimes, [&] { both.pass(); }) / 2; };
  bench::alternate(
      {.name = name, .ours = {}, .peer = {}, .peer_name = peer_name, .unit = "us", .goal = goal},
      kRounds, [&] { return handing(turns); }, [&] { return handing(peer); });
}

void measure() {
  run_on(0);
  Engines engines;
  bench::Taker registrar("kernel");
  for (size_t i = 0; i < engines.size(); ++i)
    engines[i] = bench::register_engine(registrar.device(), "bench-pass-" + std::to_string(i));
  const int processor = 0;
  Turns turns(engines, processor);
  compare<Futexes>("turns/hand-off-futex", "futex", 1.15, turns, processor);
  compare<Messages>("turns/hand-off-mq", "POSIX mq", 1.0, turns, processor);
  turns.check_steps();
}

}  // namespace

int main() {
  return bench::run(measure);
}
