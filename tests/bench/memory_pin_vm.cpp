// SPDX-License-Identifier: MIT
//
// Holding memory in place that is there already: PIN and DESTROY of 4 KiB pages and of huge ones,
// against io_uring, which holds registered buffers for the same purpose, and against mlock, which
// only keeps pages from being swapped out. All of it is said as speed, holding alone and with
// letting go: letting go, io_uring waits until no request can be using the buffers.
#include "bench/memory.hpp"

namespace {

using bench::Memory;

// Microseconds.
struct Took {
  double hold = 0, release = 0;
};

template <typename Hold, typename Release>
Took time(Hold hold, Release release) {
  Took took;
  took.hold = bench::mean_us(1, hold);
  took.release = bench::mean_us(1, release);
  return took;
}

// What is measured, by itself and with letting go.
struct Series {
  std::vector<double> hold, both;  // GB/s

  void add(const Took& took, std::size_t bytes) {
    const double kilobytes = static_cast<double>(bytes) / 1000;
    hold.push_back(kilobytes / took.hold);
    both.push_back(kilobytes / (took.hold + took.release));
  }
};

void print(const std::string& what, const Series& ours, const Series& peer, const char* peer_hold,
           const char* peer_both, double goal) {
  const auto row = [&](const char* name, const std::vector<double>& our_samples,
                       const std::vector<double>& peer_samples, const char* peer_name) {
    bench::print({.name = std::string("memory/") + name + what,
                  .ours = our_samples,
                  .peer = peer_samples,
                  .peer_name = peer_name,
                  .unit = "GB/s",
                  .better = bench::Better::higher,
                  .goal = goal});
  };
  row("pin-", ours.hold, peer.hold, peer_hold);
  row("pin-unpin-", ours.both, peer.both, peer_both);
}

void compare(bench::Pinner& pinner, std::size_t bytes, bool huge, int rounds) {
  const bench::Kernel kernel;
  const Memory memory = Memory::resident(bytes, huge);
  bench::Ring ring;
  std::uint32_t id = 0;
  Series pin, registered, locked;
  for (int round = -1; round < rounds; ++round) {
    const Took ours =
        time([&] { id = pinner.pin(memory.data(), bytes); }, [&] { pinner.destroy(id); });
    const Took io_uring = time([&] { ring.add(memory); }, [&] { ring.remove(); });
    Took mlocked;
    if (!huge)
      mlocked = time([&] { bench::check(mlock(memory.data(), bytes) == 0, "mlock"); },
                     [&] { bench::check(munlock(memory.data(), bytes) == 0, "munlock"); });
    if (round < 0) continue;
    pin.add(ours, bytes);
    registered.add(io_uring, bytes);
    if (!huge) locked.add(mlocked, bytes);
  }
  const std::string what = bench::size_name(bytes) + (huge ? "-2MiB-" : "-4KiB-");
  // Registering there looks for each huge page at all before it.
  const double goal = huge && kernel.is_before(6, 12) ? 3 : 0.95;
  print(what + "io_uring-" + kernel.name(), pin, registered, "register", "register + unregister",
        goal);
  if (!huge) print(what + "mlock-" + kernel.name(), pin, locked, "mlock", "mlock + munlock", 1);
}

void measure() {
  bench::Pinner pinner("kernel");
  compare(pinner, 128 * bench::kMiB, false, 30);
  compare(pinner, bench::kGiB, false, 12);
  bench::part("memory/pin-1GiB-2MiB", [&] { compare(pinner, bench::kGiB, true, 20); });
}

}  // namespace

int main() {
  return bench::run(measure);
}
