// SPDX-License-Identifier: MIT
//
// What a buffer costs where many are held: looking one up (BUFFER_INFO) and letting one go
// (DESTROY), of 1,000 and of 100,000 against the same of one; and how much memory of the kernel's
// own a pinned page takes, where no two lie side by side. Buffers are of one page each. One context
// has 4,000 of them at most.
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <random>
#include <vector>

#include "bench/memory.hpp"

namespace {

using bench::Memory;

constexpr int kRounds = 40;
constexpr int kTimes = 1000;
constexpr std::size_t kOfContext = 4000;

class Held {
 public:
  explicit Held(std::size_t count) : memory_(Memory::resident(count * bench::kPage, false)) {
    for (std::size_t i = 0; i < count; ++i) {
      if (i % kOfContext == 0) contexts_.push_back(std::make_unique<bench::Pinner>("kernel"));
      ids_.push_back(pin(i));
    }
  }

  // Of one after the other by chance, as below.
  double look_up_us() {
    return bench::mean_us(kTimes, [&] {
      const std::size_t i = any();
      context(i).info(ids_[i]);
    });
  }

  // Each is replaced, which is not counted; nor is reading the clock.
  double release_us() {
    double sum = 0;
    for (int times = 0; times < kTimes; ++times) {
      const std::size_t i = any();
      const double begin_us = bench::now_us();
      context(i).destroy(ids_[i]);
      const double end_us = bench::now_us();
      const double again_us = bench::now_us();
      ids_[i] = pin(i);
      sum += end_us - begin_us - (again_us - end_us);
    }
    return sum / kTimes;
  }

 private:
  bench::Pinner& context(std::size_t i) { return *contexts_[i / kOfContext]; }
  std::uint32_t pin(std::size_t i) {
    return context(i).pin(memory_.data() + i * bench::kPage, bench::kPage);
  }
  std::size_t any() { return random_() % ids_.size(); }

  Memory memory_;
  std::vector<std::unique_ptr<bench::Pinner>> contexts_;
  std::vector<std::uint32_t> ids_;
  std::mt19937_64 random_{1};
};

void compare(Held& one, std::size_t count) {
  Held many(count);
  const auto row = [&](const char* name) {
    return bench::Row{
        .name = std::string("memory/") + name + "-of-" + std::to_string(count) + "-" +
                bench::Kernel().name(),
        .ours = {},
        .peer = {},
        .peer_name = "of 1",
        .unit = "us",
        .goal = 2,
    };
  };
  bench::alternate(
      row("look-up"), kRounds, [&] { return many.look_up_us(); }, [&] { return one.look_up_us(); });
  bench::alternate(
      row("release"), kRounds, [&] { return many.release_us(); }, [&] { return one.release_us(); });
}

// A memory cgroup of our own, which the kernel's memory for us is charged to.
class Group {
 public:
  Group() {
    if (mkdir(path_.c_str(), 0755) || access((path_ + "/memory.stat").c_str(), R_OK))
      throw bench::Missing("no memory cgroup of version 2");
    move_to(path_);
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  ~Group() {
    move_to(kRoot);
    rmdir(path_.c_str());
  }

  // Bytes.
  double of_kernel() const {
    settle();
    std::ifstream stat(path_ + "/memory.stat");
    std::string key;
    double value = 0;
    while (stat >> key >> value)
      if (key == "kernel") return value;
    throw bench::Missing("no count of the kernel's memory in memory.stat");
  }

 private:
  static void move_to(const std::string& path) {
    std::ofstream procs(path + "/cgroup.procs");
    if (!(procs << getpid() << std::flush)) throw bench::Missing("cannot enter " + path);
  }

  // Small changes show late, but along with larger ones.
  static void settle() { Memory::resident(32 * bench::kMiB, false); }

  static constexpr const char* kRoot = "/sys/fs/cgroup";
  const std::string path_ = std::string(kRoot) + "/aiaccel-bench";
};

// Bytes for each page, as the count of the kernel's memory of our cgroup grows.
void weigh(bool huge, double goal) {
  const std::pair<Memory, Memory> both = Memory::scattered(bench::kGiB, huge);
  const Memory& memory = both.first;
  const std::size_t page = huge ? bench::kHugePage : bench::kPage;
  const double pages = static_cast<double>(memory.size() / page);
  const Group group;
  bench::Pinner pinner("kernel");
  bench::Row row{
      .name = std::string("memory/metadata-") + (huge ? "2MiB-" : "4KiB-") + bench::Kernel().name(),
      .ours = {},
      .peer = {},
      .peer_name = {},
      .unit = "bytes a page",
      .goal = goal,
  };
  for (int round = -1; round < 12; ++round) {
    const double before = group.of_kernel();
    const std::uint32_t id = pinner.pin(memory.data(), memory.size());
    const double after = group.of_kernel();
    const std::uint32_t runs = pinner.info(id).nr_runs;
    pinner.destroy(id);
    if (runs < 0.9 * pages) throw bench::Missing("pages lie side by side");
    if (round >= 0) row.ours.push_back((after - before) / pages);
  }
  bench::print(row);
}

void measure() {
  {
    Held one(1);
    compare(one, 1000);
    compare(one, 100000);
  }
  bench::part("memory/metadata-4KiB", [] { weigh(false, 24); });
  bench::part("memory/metadata-2MiB", [] { weigh(true, 64); });
}

}  // namespace

int main() {
  return bench::run(measure);
}
