// SPDX-License-Identifier: MIT
//
// What a turn through ENTER costs that nobody else wants, against what programs use to keep out of
// each other's way: a message sent to a POSIX queue and received again (a token), and flock. And
// what is saved by bringing 64 jobs in one call: a turn on each of 64 engines, in one ENTER or 64.
#include <fcntl.h>
#include <mqueue.h>
#include <sys/file.h>
#include <unistd.h>

#include <numeric>

#include "bench/taker.hpp"

namespace {

constexpr int kRounds = 40;
constexpr int kTimes = 2000;
constexpr int kBatch = 64;

class Messages {
 public:
  Messages() {
    mq_attr attributes{};
    attributes.mq_maxmsg = 1;
    attributes.mq_msgsize = sizeof token_;
    queue_ = mq_open(kName, O_CREAT | O_EXCL | O_RDWR, 0600, &attributes);
    bench::check(queue_ >= 0, "mq_open");
    mq_unlink(kName);
  }
  ~Messages() { mq_close(queue_); }

  void turn() {
    bench::check(mq_send(queue_, token_, sizeof token_, 0) == 0, "mq_send");
    bench::check(mq_receive(queue_, token_, sizeof token_, nullptr) > 0, "mq_receive");
  }

 private:
  static constexpr const char* kName = "/aiaccel-bench";
  mqd_t queue_;
  char token_[8] = {};
};

class Lock {
 public:
  Lock() : file_(open("/tmp", O_TMPFILE | O_RDWR, 0600)) { bench::check(file_ >= 0, "/tmp"); }
  ~Lock() { close(file_); }

  void turn() {
    bench::check(flock(file_, LOCK_EX) == 0, "flock");
    bench::check(flock(file_, LOCK_UN) == 0, "flock");
  }

 private:
  int file_;
};

template <typename Peer>
void one(const char* name, const char* peer_name, double goal, bench::Taker& taker,
         bench::Taker::Line line) {
  Peer peer;
  bench::alternate(
      {.name = name, .ours = {}, .peer = {}, .peer_name = peer_name, .unit = "us", .goal = goal},
      kRounds, [&] { return bench::mean_us(kTimes, [&] { taker.turn(line); }); },
      [&] { return bench::mean_us(kTimes, [&] { peer.turn(); }); });
}

void many(bench::Taker& taker, const std::vector<bench::Taker::Line>& lines) {
  const auto together = [&] { taker.turn(lines, lines); };
  const auto one_by_one = [&] {
    for (const bench::Taker::Line line : lines) taker.turn(line);
  };
  const auto each = [](const auto& all) { return bench::mean_us(kTimes / kBatch, all) / kBatch; };
  bench::alternate(
      {.name = "turns/enter-64",
       .ours = {},
       .peer = {},
       .peer_name = "64 calls",
       .unit = "us each",
       .goal = 0.25},
      kRounds, [&] { return each(together); }, [&] { return each(one_by_one); });
}

void measure() {
  bench::Taker alone("kernel");
  const std::uint32_t engine = bench::register_engine(alone.device(), "bench-alone");
  const bench::Taker::Line line = alone.add_line(engine);
  one<Messages>("turns/enter-alone-mq", "mq_send + mq_receive", 0.5, alone, line);
  one<Lock>("turns/enter-alone-flock", "flock + unlock", 1.0, alone, line);

  bench::Taker taker("kernel");
  std::vector<bench::Taker::Line> lines;
  for (int i = 0; i < kBatch; ++i)
    lines.push_back(
        taker.add_line(bench::register_engine(alone.device(), "bench-" + std::to_string(i))));
  many(taker, lines);
}

}  // namespace

int main() {
  return bench::run(measure);
}
