// SPDX-License-Identifier: MIT
//
// What a turn through the broker costs that nobody else wants, against what it cannot do without: a
// round trip between two processes, once over a Unix socket and once through shared memory, which
// is how a user-space scheduler such as XSched's server is told that work is ready and says that it
// may go. All on one processor: each round trip is two switches there, and nothing depends on how
// soon an idle processor wakes up.
//
// Messages are as long as the broker's. Both peers do nothing for a message but answer it.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "bench/broker.hpp"
#include "bench/process.hpp"
#include "bench/taker.hpp"
#include "broker/wire.h"

namespace {

constexpr int kRounds = 60;
constexpr int kTimes = 2000;

constexpr size_t kRequest = aiaccel::wire::kUsualRequest;
constexpr size_t kAnswer = sizeof(aiaccel::wire::Header) + sizeof(aiaccel_enter);

void move(ssize_t moved, size_t bytes) {
  bench::check(moved == static_cast<ssize_t>(bytes), "socket");
}

template <typename Turn>
void against_socket(Turn turn) {
  int ends[2];
  bench::check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
  std::array<char, kRequest> request{};
  std::array<char, kAnswer> answer{};
  const bench::Partner server([&] {
    move(recv(ends[1], request.data(), kRequest, MSG_WAITALL), kRequest);
    move(send(ends[1], answer.data(), kAnswer, 0), kAnswer);
  });
  const auto trip = [&] {
    move(send(ends[0], request.data(), kRequest, 0), kRequest);
    move(recv(ends[0], answer.data(), kAnswer, MSG_WAITALL), kAnswer);
  };
  bench::alternate({.name = "turns/broker-socket",
                    .ours = {},
                    .peer = {},
                    .peer_name = "socket round trip",
                    .unit = "us",
                    .goal = 1.3},
                   kRounds, turn, [&] { return bench::mean_us(kTimes, trip); });
  close(ends[0]);
  close(ends[1]);
}

// One direction: a message and whether there is one.
template <size_t bytes>
class Channel {
 public:
  void send(const std::array<char, bytes>& message) {
    message_ = message;
    full_ = 1;
    syscall(SYS_futex, &full_, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
  void receive(std::array<char, bytes>* message) {
    while (!full_) syscall(SYS_futex, &full_, FUTEX_WAIT, 0, nullptr, nullptr, 0);
    *message = message_;
    full_ = 0;
  }

 private:
  std::atomic<std::uint32_t> full_{0};
  std::array<char, bytes> message_{};
};

template <typename Turn>
void against_memory(Turn turn) {
  struct Memory {
    Channel<kRequest> there;
    Channel<kAnswer> back;
  };
  void* pages =
      mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  bench::check(pages != MAP_FAILED, "mmap");
  auto* memory = new (pages) Memory();
  std::array<char, kRequest> request{};
  std::array<char, kAnswer> answer{};
  const bench::Partner server([&] {
    memory->there.receive(&request);
    memory->back.send(answer);
  });
  const auto trip = [&] {
    memory->there.send(request);
    memory->back.receive(&answer);
  };
  bench::alternate({.name = "turns/broker-shared-memory",
                    .ours = {},
                    .peer = {},
                    .peer_name = "shared memory and futex",
                    .unit = "us",
                    .goal = 1.3},
                   kRounds, turn, [&] { return bench::mean_us(kTimes, trip); });
}

void measure() {
  bench::run_on_one_processor();
  const bench::OwnBroker broker;
  bench::Taker taker("broker");
  aiaccel_engine_info engine{};
  bench::check(aiaccel_find_engine(taker.device(), "cpu0", &engine) == 0, "cpu0");
  const bench::Taker::Line line = taker.add_line(engine.id);
  broker.run_on_one_processor();
  const auto turn = [&] { return bench::mean_us(kTimes, [&] { taker.turn(line); }); };
  against_socket(turn);
  against_memory(turn);
}

}  // namespace

int main() {
  return bench::run(measure);
}
