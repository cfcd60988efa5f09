// SPDX-License-Identifier: MIT
//
// What it costs to hand a turn to another process: to wake it, and to sleep until the turn comes
// back. Against the least that Linux has for it, a futex in shared memory (wake, then wait), and
// against POSIX message queues (send, then receive). All on one processor, where nothing hides what
// the giver does after the wake-up, and no idle processor has to be woken: emulated, that would
// measure the host.
//
// The engine is in the order of arrival (fifo), so that who gives a turn and asks for the next one
// in the same ENTER stands behind the others: every call hands the turn on. With 1,000 processes in
// line it goes round among all of them. It is advisory: a turn kept for long has no end, as the one
// between two processes is while a thousand others start.
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <vector>

#include "bench/process.hpp"
#include "bench/taker.hpp"

namespace {

constexpr int kRounds = 40;
constexpr int kTimes = 400;  // there and back
constexpr int kMany = 999;   // processes besides this one

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

// So many processes besides this one take turns at an engine, one after the other.
class Turns {
 public:
  Turns(std::uint32_t engine, int others) : taker_("kernel"), line_(taker_.add_line(engine)) {
    taker_.turn(line_);
    for (int i = 0; i < others; ++i)
      others_.push_back(std::make_unique<bench::Partner>([=, this] { take_turns(engine); }));
    // All of them stand in line once all have said that they are about to, and some time has
    // passed.
    while (shared_->others.load() < static_cast<unsigned>(others)) usleep(1000);
    pass();
  }

  // Once round.
  void pass() { taker_.turn(line_); }

  void check_steps() {
    const unsigned before = shared_->turns;
    pass();
    const unsigned passed = shared_->turns - before;
    if (passed != others_.size())
      throw std::runtime_error("turns went to " + std::to_string(passed) + " others");
  }

 private:
  struct Steps {
    std::atomic<unsigned> others, turns;
  };

  void take_turns(std::uint32_t engine) {
    bench::Taker taker("kernel");
    const bench::Taker::Line line = taker.add_line(engine);
    ++shared_->others;
    for (;; ++shared_->turns) taker.turn(line);
  }

  Shared<Steps> shared_;
  bench::Taker taker_;
  const bench::Taker::Line line_;
  std::vector<std::unique_ptr<bench::Partner>> others_;
};

// ---- peers ----

class Futexes {
 public:
  Futexes()
      : partner_([this] {
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
  bench::Partner partner_;
};

class Messages {
 public:
  Messages()
      : there_(make("/aiaccel-bench-there")), back_(make("/aiaccel-bench-back")), partner_([this] {
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
  bench::Partner partner_;
};

// ---- rows ----

template <typename Peer>
void compare(const std::string& name, const char* peer_name, double goal, Turns& turns) {
  Peer peer;
  const auto handing = [](auto& both) { return bench::mean_us(kTimes, [&] { both.pass(); }) / 2; };
  bench::alternate(
      {.name = name, .ours = {}, .peer = {}, .peer_name = peer_name, .unit = "us", .goal = goal},
      kRounds, [&] { return handing(turns); }, [&] { return handing(peer); });
}

void order_by_arrival(aiaccel_device* device, std::uint32_t engine) {
  aiaccel_control control{};
  control.size = sizeof control;
  control.engine = engine;
  control.order = AIACCEL_ORDER_FIFO;
  errno = -aiaccel_call(device, AIACCEL_IOC_CONTROL, &control);
  bench::check(errno == 0, "CONTROL");
}

void measure() {
  bench::run_on_one_processor();
  bench::Taker administrator("kernel");
  const auto engine = [&](const char* name) {
    return bench::register_engine(administrator.device(), name, AIACCEL_ADVISORY);
  };
  const std::uint32_t few = engine("bench-few");
  const std::uint32_t many = engine("bench-many");
  order_by_arrival(administrator.device(), few);
  order_by_arrival(administrator.device(), many);

  Turns two(few, 1);
  compare<Futexes>("turns/hand-off-futex", "futex", 1.15, two);
  compare<Messages>("turns/hand-off-mq", "POSIX mq", 1.0, two);
  two.check_steps();

  Turns thousand(many, kMany);
  bench::alternate(
      {.name = "turns/hand-off-1000",
       .ours = {},
       .peer = {},
       .peer_name = "2 processes",
       .unit = "us",
       .goal = 2.0},
      10, [&] { return bench::mean_us(3, [&] { thousand.pass(); }) / (kMany + 1); },
      [&] { return bench::mean_us(kTimes, [&] { two.pass(); }) / 2; });
  thousand.check_steps();
}

}  // namespace

int main() {
  return bench::run(measure);
}
