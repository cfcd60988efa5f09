// SPDX-License-Identifier: MIT
//
// Pinning a range again that was pinned before and let go, from the cache, against a system call
// that does nothing: PIN with DESTROY, and PIN alone.
#include "bench/memory.hpp"

namespace {

constexpr int kRounds = 40;
constexpr int kTimes = 2000;

class Cached {
 public:
  Cached(bench::Pinner& pinner, const bench::Memory& memory) : pinner_(pinner), memory_(memory) {}

  double pair_us() {
    return bench::mean_us(kTimes, [&] { pinner_.destroy(pin()); });
  }

  // Without what reading the clock takes, which is about as long.
  double pin_us() {
    double sum = 0;
    for (int i = 0; i < kTimes; ++i) {
      const double begin_us = bench::now_us();
      const std::uint32_t id = pin();
      const double end_us = bench::now_us();
      const double again_us = bench::now_us();
      pinner_.destroy(id);
      sum += end_us - begin_us - (again_us - end_us);
    }
    return sum / kTimes;
  }

 private:
  std::uint32_t pin() {
    return pinner_.pin(memory_.data(), memory_.size(), AIACCEL_PIN_WRITE | AIACCEL_PIN_CACHED);
  }

  bench::Pinner& pinner_;
  const bench::Memory& memory_;
};

double null_call_us() {
  return bench::mean_us(kTimes, [] { syscall(SYS_getppid); });
}

void compare(bench::Pinner& pinner, std::size_t bytes) {
  const bench::Memory memory = bench::Memory::resident(bytes, false);
  Cached cached(pinner, memory);
  const auto row = [&](const char* name) {
    return bench::Row{
        .name = name + bench::size_name(bytes) + "-" + bench::Kernel().name(),
        .ours = {},
        .peer = {},
        .peer_name = "null system call",
        .unit = "us",
        .goal = 4,
    };
  };
  bench::alternate(
      row("memory/cached-pin-"), kRounds, [&] { return cached.pin_us(); }, null_call_us);
  bench::alternate(
      row("memory/cached-pin-unpin-"), kRounds, [&] { return cached.pair_us(); }, null_call_us);
}

void measure() {
  bench::Pinner pinner("kernel");
  compare(pinner, bench::kMiB);
  compare(pinner, bench::kGiB);
}

}  // namespace

int main() {
  return bench::run(measure);
}
