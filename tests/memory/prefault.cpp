// SPDX-License-Identifier: MIT
//
// Memory that is made ready: mapped, placed, touched by several threads.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <thread>

#include "memory.hpp"

using namespace aiaccel;
using namespace aiaccel::literals;
using namespace memory_test;

BOOST_AUTO_TEST_SUITE(prefaulting)

BOOST_AUTO_TEST_CASE(every_page_is_there_and_nothing_beside_them) {
  const Memory memory = map_anonymous(40_MiB, PROT_READ | PROT_WRITE);
  const auto bytes = memory.bytes();
  // From within a page to within a page; small pages, since a huge one would reach further.
  BOOST_REQUIRE_EQUAL(madvise(bytes.data(), bytes.size(), MADV_NOHUGEPAGE), 0);
  const auto part = bytes.subspan(3 * page + 17, 33_MiB);
  BOOST_REQUIRE_EQUAL(pages_there(bytes), 0u);
  prefault(part, {.huge = false});
  const std::size_t touched = 33_MiB / page + 1;
  BOOST_TEST(pages_there(bytes) == touched);
  BOOST_TEST(pages_there(bytes.first(3 * page)) == 0u);
  BOOST_TEST(pages_there(bytes.subspan(3 * page, touched * page)) == touched);
}

BOOST_AUTO_TEST_CASE(by_any_number_of_threads_on_any_node) {
  for (const unsigned threads : {1u, 2u, 5u, 100u})
    for (const int node : {-1, numa::current_node(), 12345}) {
      const Memory memory = map_anonymous(50_MiB, PROT_READ | PROT_WRITE);
      prefault(memory.bytes(), {.huge = false, .threads = threads, .node = node});
      BOOST_TEST_CONTEXT(threads << " threads on node " << node)
      BOOST_TEST(pages_there(memory.bytes()) == 50_MiB / page);
    }
}

BOOST_AUTO_TEST_CASE(what_is_there_stays_as_it_is) {
  const Memory memory = map_anonymous(20_MiB, PROT_READ | PROT_WRITE);
  fill(memory.bytes().first(5_MiB), 1);
  prefault(memory.bytes());
  BOOST_TEST(filled(memory.bytes().first(5_MiB), 1));
  const auto rest = memory.bytes().subspan(5_MiB);
  BOOST_TEST(
      std::all_of(rest.begin(), rest.end(), [](std::byte byte) { return byte == std::byte{0}; }));
}

// The bytes are counted up all the while: none may be lost.
BOOST_AUTO_TEST_CASE(others_may_write_meanwhile) {
  const Memory memory = map_anonymous(32_MiB, PROT_READ | PROT_WRITE);
  auto* const counters = reinterpret_cast<std::atomic<std::uint64_t>*>(memory.bytes().data());
  const std::size_t count = 32_MiB / page;
  constexpr unsigned kRounds = 20;
  std::jthread writer([&] {
    for (unsigned round = 0; round < kRounds; ++round)
      for (std::size_t i = 0; i < count; ++i) counters[i * page / sizeof *counters] += 1;
  });
  for (unsigned round = 0; round < kRounds; ++round) prefault(memory.bytes(), {.threads = 2});
  writer.join();
  std::size_t right = 0;
  for (std::size_t i = 0; i < count; ++i) right += counters[i * page / sizeof *counters] == kRounds;
  BOOST_TEST(right == count);
}

BOOST_AUTO_TEST_CASE(for_reading_pages_are_there_too) {
  const Memory memory = map_anonymous(4_MiB, PROT_READ);
  prefault(std::span<const std::byte>(memory.bytes()), {.huge = false});
  BOOST_TEST(pages_there(memory.bytes()) == 4_MiB / page);
}

BOOST_AUTO_TEST_CASE(what_is_not_mapped_so_is_efault) {
  const Memory memory = map_anonymous(40_MiB, PROT_READ | PROT_WRITE);
  const auto bytes = memory.bytes();
  BOOST_REQUIRE_EQUAL(mprotect(bytes.data() + 35_MiB, page, PROT_READ), 0);
  BOOST_TEST(error_of([&] { prefault(bytes); }) == EFAULT);
  BOOST_TEST(error_of([&] { prefault(std::span<const std::byte>(bytes)); }) == 0);
  BOOST_REQUIRE_EQUAL(mprotect(bytes.data() + 35_MiB, page, PROT_NONE), 0);
  BOOST_TEST(error_of([&] { prefault(std::span<const std::byte>(bytes)); }) == EFAULT);
  BOOST_REQUIRE_EQUAL(munmap(bytes.data() + 35_MiB, page), 0);
  BOOST_TEST(error_of([&] { prefault(bytes); }) == EFAULT);
  BOOST_TEST(error_of([&] { prefault(bytes.first(35_MiB)); }) == 0);
  prefault(std::span<std::byte>());
}

// Set in a run of this program where the kernel cannot populate; see the last case.
bool only_touches() {
  return getenv("AIACCEL_TEST_ONLY_TOUCHES") != nullptr;
}

// A file that is shorter than its mapping.
BOOST_AUTO_TEST_CASE(what_no_page_can_be_had_for_is_efault) {
  if (only_touches()) SKIP("touching it is SIGBUS");
  const Descriptor file(memfd_create("short", MFD_CLOEXEC));
  BOOST_REQUIRE_EQUAL(ftruncate(file.get(), page), 0);
  void* const address = mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  const Memory memory(address, 2 * page);
  BOOST_TEST(error_of([&] { prefault(memory.bytes().first(page)); }) == 0);
  BOOST_TEST(error_of([&] { prefault(memory.bytes()); }) == EFAULT);
}

BOOST_AUTO_TEST_CASE(progress_grows_to_the_whole) {
  const Memory memory = map_anonymous(100_MiB, PROT_READ | PROT_WRITE);
  std::vector<std::uint64_t> told;
  prefault(memory.bytes(),
           {.threads = 3, .progress = [&](std::uint64_t done) { told.push_back(done); }});
  BOOST_TEST(told.size() >= 6u);
  BOOST_TEST(std::is_sorted(told.begin(), told.end()));
  BOOST_REQUIRE(!told.empty());
  BOOST_TEST(told.back() == 100_MiB);
}

BOOST_AUTO_TEST_CASE(it_can_be_stopped) {
  const Memory memory = map_anonymous(256_MiB, PROT_READ | PROT_WRITE);
  std::stop_source stop;
  PrefaultOptions options;
  options.threads = 1;
  options.huge = false;
  options.stop = stop.get_token();
  options.progress = [&](std::uint64_t done) {
    if (done >= 32_MiB) stop.request_stop();
  };
  BOOST_TEST(error_of([&] { prefault(memory.bytes(), options); }) == ECANCELED);
  BOOST_TEST(pages_there(memory.bytes()) < 64_MiB / page);
  // Before the first step, too.
  const Memory other = map_anonymous(1_MiB, PROT_READ | PROT_WRITE);
  options.progress = nullptr;
  BOOST_TEST(error_of([&] { prefault(other.bytes(), options); }) == ECANCELED);
  BOOST_TEST(pages_there(other.bytes()) == 0u);
}

// As the kernel counts them in the mapping that has the address, which may have neighbours' too.
std::uint64_t huge_bytes(const std::byte* of) {
  const auto at = reinterpret_cast<std::uintptr_t>(of);
  std::ifstream maps("/proc/self/smaps");
  std::string line;
  std::uintptr_t start = 0, end = 0;
  std::uint64_t kib = 0;
  bool here = false;
  while (std::getline(maps, line)) {
    if (std::sscanf(line.c_str(), "%lx-%lx ", &start, &end) == 2) here = start <= at && at < end;
    if (here && std::sscanf(line.c_str(), "AnonHugePages: %lu", &kib) == 1) return kib << 10;
  }
  BOOST_FAIL("no mapping has the address");
  return 0;
}

BOOST_AUTO_TEST_CASE(pages_are_huge_where_the_kernel_has_them) {
  std::string modes;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled"), modes);
  if (modes.empty() || modes.find("[never]") != std::string::npos)
    SKIP("this kernel gives no huge pages");
  const Memory small(16_MiB);
  BOOST_REQUIRE_EQUAL(madvise(small.bytes().data(), small.bytes().size(), MADV_NOHUGEPAGE), 0);
  prefault(small.bytes(), {.huge = false});
  BOOST_TEST(huge_bytes(small.bytes().data()) == 0u);
  // Of a host's memory what is in one piece comes and goes: none is a fault where the program
  // itself gets some, before and after.
  const auto plainly = [] {
    const Memory plain(16_MiB);
    madvise(plain.bytes().data(), plain.bytes().size(), MADV_HUGEPAGE);
    for (std::byte& byte : plain.bytes()) byte = std::byte{1};
    return huge_bytes(plain.bytes().data()) >= 2_MiB;
  };
  bool ready = false, there = false;
  for (int attempt = 0; attempt < 10 && !ready; ++attempt) {
    const bool before = plainly();
    const Memory memory = Memory::ready(16_MiB);
    ready = huge_bytes(memory.bytes().data()) >= 2_MiB;
    there |= before && plainly();
  }
  if (!ready && !there) SKIP("the kernel had no huge page");
  BOOST_TEST(ready);
}

// Nothing is stopped once all is there.
BOOST_AUTO_TEST_CASE(a_stop_at_the_end_is_none) {
  const Memory memory(2_MiB);  // so aligned that it is one step
  std::stop_source stop;
  prefault(memory.bytes(),
           {.stop = stop.get_token(), .progress = [&](std::uint64_t) { stop.request_stop(); }});
  BOOST_TEST(pages_there(memory.bytes()) == 2_MiB / page);
}

BOOST_AUTO_TEST_CASE(the_caller_runs_where_it_ran) {
  const auto cpus = [] {
    cpu_set_t set;
    BOOST_REQUIRE_EQUAL(sched_getaffinity(0, sizeof set, &set), 0);
    return CPU_COUNT(&set);
  };
  const int before = cpus();
  prefault(map_anonymous(64_MiB, PROT_READ | PROT_WRITE).bytes(), {.node = numa::current_node()});
  BOOST_TEST(cpus() == before);
}

// All of the above again, where madvise() knows none of the calls that came with Linux 5.14.
BOOST_AUTO_TEST_CASE(the_same_where_the_kernel_is_older) {
  if (only_touches()) SKIP("this is that run");
  const pid_t child = fork();
  if (!child) {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 22, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(code), code};
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    setenv("AIACCEL_TEST_ONLY_TOUCHES", "1", 1);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
      _exit(77);
    execl("/proc/self/exe", "memory", "-t", "prefaulting", "--", "--transport=embedded", nullptr);
    _exit(78);
  }
  int status = 0;
  BOOST_REQUIRE_EQUAL(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) SKIP("this kernel filters no system calls");
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 0);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(anonymous)

BOOST_AUTO_TEST_CASE(it_is_aligned_for_huge_pages_and_of_any_size) {
  for (const std::uint64_t bytes : {std::uint64_t{1}, 4095_KiB, 2_MiB, 2_MiB + 1, 7_MiB}) {
    const Memory memory(bytes);
    BOOST_TEST(memory.bytes().size() == bytes);
    const auto at = reinterpret_cast<std::uintptr_t>(memory.bytes().data());
    BOOST_TEST(at % (bytes >= 2_MiB ? 2_MiB : page) == 0u);
    fill(memory.bytes(), 3);
    BOOST_TEST(filled(memory.bytes(), 3));
  }
}

// Trimming may neither leave something behind nor take from others.
BOOST_AUTO_TEST_CASE(it_leaves_nothing_mapped) {
  const auto mapped_bytes = [] {
    std::FILE* const statm = std::fopen("/proc/self/statm", "re");
    unsigned long pages = 0;
    BOOST_REQUIRE_EQUAL(std::fscanf(statm, "%lu", &pages), 1);
    std::fclose(statm);
    return pages * page;
  };
  // The largest of these is below 4 MiB, and two are there at a time.
  Memory kept;
  const std::size_t before = mapped_bytes();
  for (int i = 0; i < 100; ++i) {
    Memory memory(3_MiB + static_cast<std::uint64_t>(i) * page);
    BOOST_REQUIRE(mapped_bytes() <= before + 8_MiB);
    Memory moved = std::move(memory);
    BOOST_TEST(memory.bytes().empty());
    kept = std::move(moved);
  }
  BOOST_TEST(mapped_bytes() <= before + 4_MiB);
}

BOOST_AUTO_TEST_CASE(what_is_no_placement_is_einval) {
  BOOST_TEST(error_of([] { Memory(0); }) == EINVAL);
  BOOST_TEST(error_of([] { Memory(page, prefer_node(-1)); }) == EINVAL);
  BOOST_TEST(error_of([] { Memory(page, on_node(1000)); }) == EINVAL);
  BOOST_TEST(error_of([] { Memory(page, {AIACCEL_PLACE_NEAR, 0, 1}); }) == EINVAL);
  BOOST_TEST(error_of([] { Memory(page, {77, 0, 0}); }) == EINVAL);
  BOOST_TEST(error_of([] { Memory(~0ULL); }) == ENOMEM);
}

BOOST_AUTO_TEST_CASE(ready_memory_is_there_where_it_was_wanted) {
  const int node = numa::allowed_nodes().back();
  for (const Placement placement : {Placement{}, prefer_node(node), on_node(node), interleaved()}) {
    const Memory memory = Memory::ready(20_MiB, placement);
    BOOST_TEST(pages_there(memory.bytes()) == 20_MiB / page);
    std::vector<std::uint64_t> where;
    if (error_of([&] { where = numa::bytes_by_node(memory.bytes()); })) continue;
    std::uint64_t all = 0;
    for (const std::uint64_t bytes : where) all += bytes;
    BOOST_TEST(all == 20_MiB);
    if (placement.policy == AIACCEL_PLACE_STRICT)
      BOOST_TEST(where[static_cast<std::size_t>(node)] == 20_MiB);
    if (placement.policy == AIACCEL_PLACE_INTERLEAVE)
      for (const int each : numa::allowed_nodes())
        BOOST_TEST(where[static_cast<std::size_t>(each)] > 0u);
  }
}

BOOST_AUTO_TEST_CASE(more_than_there_is_is_refused_before_any_is_taken) {
  // Nearly all that the host has, which can be mapped, but never be free.
  std::uint64_t all = 0, available = 0;
  std::ifstream meminfo("/proc/meminfo");
  for (std::string word; meminfo >> word;) {
    if (word == "MemTotal:") meminfo >> all;
    if (word == "MemAvailable:") meminfo >> available;
  }
  if (!all || !available) SKIP("this kernel does not tell what is available");
  std::stop_source stop;  // at the first that is taken, lest all of it be
  PrefaultOptions options;
  options.stop = stop.get_token();
  options.progress = [&](std::uint64_t) { stop.request_stop(); };
  try {
    Memory::ready((all << 10) - 8_MiB, {}, options);
    BOOST_TEST(false);
  } catch (const Error& error) {
    BOOST_TEST(error.code().value() == ENOMEM);
    if (error.refused_by() == AIACCEL_REFUSED_NOT) SKIP("so much cannot be mapped here");
    BOOST_TEST((error.refused_by() == AIACCEL_REFUSED_MEMORY ||
                error.refused_by() == AIACCEL_REFUSED_MEMCG));
  }
  BOOST_TEST(!stop.stop_requested());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(nodes)

BOOST_AUTO_TEST_CASE(they_are_told) {
  const std::vector<int> allowed = numa::allowed_nodes();
  BOOST_REQUIRE(!allowed.empty());
  BOOST_TEST(std::is_sorted(allowed.begin(), allowed.end()));
  std::set<int> cpus;
  for (const int node : allowed) {
    BOOST_TEST(numa::distance(node, node).value_or(10) == 10);
    for (const int cpu : numa::cpus(node)) BOOST_TEST(cpus.insert(cpu).second);
    for (const int other : allowed)
      if (other != node) BOOST_TEST(numa::distance(node, other).value_or(11) > 10);
  }
  BOOST_TEST(!numa::cpus(numa::current_node()).empty());
  BOOST_TEST(numa::cpus(4711).empty());
  BOOST_TEST(!numa::distance(-1, 0));
  BOOST_TEST(!numa::distance(0, 4711));
}

BOOST_AUTO_TEST_CASE(pages_are_found_where_they_are) {
  const Memory memory = map_anonymous(10 * page, PROT_READ | PROT_WRITE);
  const auto bytes = memory.bytes();
  BOOST_REQUIRE_EQUAL(madvise(bytes.data(), bytes.size(), MADV_NOHUGEPAGE), 0);
  std::optional<int> none;
  if (const int error = error_of([&] { none = numa::node_of(bytes); }))
    SKIP("move_pages() is refused: " + std::string(std::strerror(error)));
  BOOST_TEST(!none.has_value());
  bytes[5 * page] = std::byte{1};
  const std::optional<int> node = numa::node_of(bytes);
  BOOST_REQUIRE(node.has_value());
  BOOST_TEST(numa::bytes_by_node(bytes)[static_cast<std::size_t>(*node)] == page);
}

BOOST_AUTO_TEST_CASE(a_thread_runs_on_one_and_then_again_where_it_might) {
  const auto cpus = [] {
    std::vector<int> all;
    for (const int node : numa::allowed_nodes())
      for (const int cpu : numa::cpus(node)) all.push_back(cpu);
    return all;
  };
  const std::vector<int> before = cpus();
  for (const int node : numa::allowed_nodes()) {
    const std::vector<int> there = numa::cpus(node);
    if (there.empty()) continue;
    const numa::RunOn here(node);
    BOOST_TEST(numa::current_node() == node);
    BOOST_TEST(cpus() == there);
  }
  BOOST_TEST(cpus() == before);
  BOOST_TEST(error_of([] { const numa::RunOn nowhere(4711); }) == EINVAL);
  BOOST_TEST(cpus() == before);
}

BOOST_AUTO_TEST_SUITE_END()
