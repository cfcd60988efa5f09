// SPDX-License-Identifier: MIT
//
// Clients killed at every stage of their lives, thousands of them, while others of another user do
// what they can to be in the way: afterwards the broker has what it had before, and meanwhile it
// served those who behaved.
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "broker/fds.h"
#include "broker/wire.h"
#include "conformance/child.hpp"
#include "conformance/device.hpp"
#include "server.hpp"

using namespace conformance;
using aiaccel::Fd;
namespace wire = aiaccel::wire;

namespace {

// Sanitized processes are slow to fork.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kWaves = 12;
constexpr bool kCountsMemory = false;  // their allocators keep what was freed
#else
constexpr int kWaves = 64;
constexpr bool kCountsMemory = true;
#endif
constexpr int kOfEach = 4;  // clients of each stage in a wave
constexpr long kMostGrownKib = 4096;

enum Stage { connected, greeted, half_asked, passing, deaf, waiting, holding, owning, anywhere };
constexpr std::array kNames{"connected",
                            "half a header sent",
                            "half a request sent",
                            "descriptors in flight",
                            "answers unread",
                            "waiting",
                            "holding a turn",
                            "with buffers",
                            "anywhere"};

struct Query {
  wire::Header header{sizeof(Query), AIACCEL_IOC_QUERY, sizeof(aiaccel_query), 0};
  aiaccel_query query{};
  Query() { query.size = sizeof query; }
};

void greet(int socket) {
  char hello[sizeof(wire::Header) + sizeof(wire::Hello)];
  if (recv(socket, hello, sizeof hello, MSG_WAITALL) != sizeof hello) _exit(20);
}

void own(Device& device) {
  for (int i = 0; i < 3; ++i) {
    const aiaccel_alloc buffer = device.must_alloc(16384);
    void* address = nullptr;
    if (aiaccel_map(device.handle(), buffer.mmap_offset, 16384, PROT_READ | PROT_WRITE, &address))
      _exit(21);
    *static_cast<volatile char*>(address) = 1;
  }
  if (aiaccel_fd(device.handle()) < 0) _exit(22);
}

// All but the first of them wait: a context has one turn at a time.
void submit_some(Device& device, uint32_t queue) {
  const aiaccel_job jobs[] = {job(2, queue), job(3, queue), job(4, queue)};
  aiaccel_enter arg{};
  arg.jobs = reinterpret_cast<uintptr_t>(jobs);
  arg.nr_jobs = 3;
  if (device.enter(arg) || arg.nr_jobs != 3) _exit(27);
}

// In the child: gets to the stage, says so, and waits there for its end.
[[noreturn]] void live(const BrokerServer& server, Stage stage, int report) {
  const auto here = [&] {
    if (write(report, "", 1) != 1) _exit(23);
  };
  const Query query;
  if (stage <= deaf) {
    const Fd socket(server.must_connect());
    if (stage == greeted && send(socket.get(), &query, 8, MSG_NOSIGNAL) != 8) _exit(24);
    if (stage >= half_asked) greet(socket.get());
    if (stage == half_asked && send(socket.get(), &query, 40, MSG_NOSIGNAL) != 40) _exit(25);
    if (stage == passing)
      for (int i = 0; i < 8; ++i)
        if (aiaccel::send_with_fds(socket.get(), &query, sizeof query, {0, 1, 2}, 0) < 0) _exit(26);
    if (stage == deaf)
      while (send(socket.get(), &query, sizeof query, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
      }
    here();
    for (;;) pause();
  }
  do {
    Device device;
    const uint32_t queue = device.must_queue();
    if (stage == owning || stage == anywhere) own(device);
    if (stage == waiting || stage == anywhere)
      submit_some(device, queue);
    if (stage == holding || stage == anywhere) {
      if (stage == holding) device.submit(job(1, queue));
      aiaccel_event event = device.must_event();
      if (stage == anywhere && device.complete(event.cookie, event.generation)) _exit(28);
    }
    if (stage == anywhere) continue;
    here();
    aiaccel_enter arg{};
    arg.min_events = 100;  // more than will ever come
    arg.timeout_ns = AIACCEL_NEVER;
    device.enter(arg);
    _exit(29);
  } while (true);
}

struct Victim {
  pid_t pid;
  Fd report;
  Stage stage;
  uint64_t until_ns;  // of `anywhere`
};

// All stages at once; each is killed when it is where it should be. False: one ended otherwise.
bool wave(const BrokerServer& server, std::mt19937& random, std::array<int, kNames.size()>* kills) {
  std::vector<Victim> victims;
  for (int i = 0; i < kOfEach * static_cast<int>(kNames.size()); ++i) {
    int pair[2];
    BOOST_REQUIRE(pipe(pair) == 0);
    const auto stage = static_cast<Stage>(i % kNames.size());
    const pid_t pid = fork();
    BOOST_REQUIRE(pid >= 0);
    if (pid == 0) {
      close(pair[0]);
      live(server, stage, pair[1]);
    }
    close(pair[1]);
    const uint64_t until = stage == anywhere ? now_ns() + random() % 30'000'000 : AIACCEL_NEVER;
    victims.push_back({pid, Fd(pair[0]), stage, until});
  }
  bool well = true;
  while (!victims.empty()) {
    std::vector<pollfd> fds;
    for (const Victim& victim : victims) fds.push_back({victim.report.get(), POLLIN, 0});
    poll(fds.data(), fds.size(), 1);
    for (size_t i = victims.size(); i-- > 0;) {
      Victim& victim = victims[i];
      if (!fds[i].revents && now_ns() < victim.until_ns) continue;
      int status = 0;
      kill(victim.pid, SIGKILL);
      waitpid(victim.pid, &status, 0);
      if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        ++(*kills)[victim.stage];
      else
        well = false;
      BOOST_TEST_INFO(kNames[victim.stage]);
      BOOST_TEST(WIFSIGNALED(status), "it ended by itself: " << WEXITSTATUS(status));
      victims.erase(victims.begin() + static_cast<long>(i));
    }
  }
  return well;
}

// Slow readers, senders of single bytes, clients that never read, and more connections than one
// user may have, until it is killed.
int harass(const BrokerServer& server, bool own_user) {
  if (own_user && (setgid(65534) || setuid(65534))) return 30;
  const Query query;
  const auto* bytes = reinterpret_cast<const char*>(&query);
  std::vector<Fd> slow, dripping, deaf, flood;
  for (int i = 0; i < 8; ++i) {
    slow.emplace_back(server.must_connect());
    dripping.emplace_back(server.must_connect());
    deaf.emplace_back(server.must_connect());
    for (const auto* all : {&slow, &dripping, &deaf}) greet(all->back().get());
  }
  for (size_t step = 0;; ++step) {
    for (const Fd& socket : slow) {
      send(socket.get(), &query, sizeof query, MSG_NOSIGNAL | MSG_DONTWAIT);
      char byte;
      recv(socket.get(), &byte, 1, MSG_DONTWAIT);
    }
    for (const Fd& socket : dripping) {
      send(socket.get(), bytes + step % sizeof query, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
      char answer[sizeof query];
      recv(socket.get(), answer, sizeof answer, MSG_DONTWAIT);
    }
    for (const Fd& socket : deaf)
      while (send(socket.get(), &query, sizeof query, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
      }
    // Beyond what one user may have, where it is a user of its own.
    if (step % 64 == 63) flood.clear();
    if (flood.size() < (own_user ? 300u : 40u)) flood.emplace_back(server.must_connect());
    const timespec pause{0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

// What the broker has while nobody but the caller is there.
struct Books {
  uint64_t contexts, bytes, slots, waiting, queues;
  size_t descriptors;
  bool operator==(const Books&) const = default;
};

Books books(const BrokerServer& server, Device& device) {
  const aiaccel_stats_engine engine = device.engine_stats();
  return {device.own_tenant().contexts,
          device.query().pinned_bytes,
          engine.slots_used,
          engine.jobs_waiting,
          engine.queues,
          server.open_descriptors()};
}

long resident_kib(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; status >> word;)
    if (long kib; word == "VmRSS:" && status >> kib) return kib;
  return -1;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(storm)

BOOST_AUTO_TEST_CASE(clients_killed_at_every_stage_leave_nothing) {
  BrokerServer server;
  const bool root = geteuid() == 0;
  if (root) server.open_to_all();
  Device device;
  const uint32_t seed = std::random_device{}();
  std::mt19937 random(seed);
  BOOST_TEST_MESSAGE("seed " << seed);
  std::array<int, kNames.size()> kills{};
  // The first ones bring what the broker keeps: room in its tables.
  for (int i = 0; i < 4; ++i) BOOST_REQUIRE(wave(server, random, &kills));
  const Books empty{1, 0, 0, 0, 0, 0};
  Books before{};
  const auto settled = [&] {
    before = books(server, device);
    Books rest = before;
    rest.descriptors = 0;
    return rest == empty;
  };
  BOOST_REQUIRE(eventually(settled));
  const size_t descriptors = before.descriptors;
  const long resident = resident_kib(server.pid());

  auto* served = static_cast<std::atomic<uint64_t>*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  BOOST_REQUIRE(static_cast<void*>(served) != MAP_FAILED);
  {
    Child bystander([&](Child&) {
      Device own;
      const aiaccel_job turn = job(0, own.must_queue(AIACCEL_CLASS_HIGH));
      aiaccel_grant grant;
      for (;; ++*served)
        if (aiaccel_acquire(own.handle(), &turn, AIACCEL_NEVER, -1, &grant) ||
            aiaccel_complete(own.handle(), &grant))
          return 31;
    });
    Child harasser([&](Child&) { return harass(server, root); });
    for (int i = 0; i < kWaves; ++i) {
      const uint64_t seen = *served;
      BOOST_REQUIRE(wave(server, random, &kills));
      BOOST_REQUIRE(eventually([&] { return *served > seen; }));
      BOOST_REQUIRE(server.running());
    }
    BOOST_TEST(waitpid(harasser.pid(), nullptr, WNOHANG) == 0);
  }

  BOOST_TEST(eventually(settled));
  BOOST_TEST(eventually([&] { return server.open_descriptors() == descriptors; }));
  const long grown = resident_kib(server.pid()) - resident;
  if (kCountsMemory) BOOST_TEST(grown <= kMostGrownKib);
  int all = 0;
  for (size_t i = 0; i < kNames.size(); ++i) {
    BOOST_TEST_MESSAGE("killed " << kNames[i] << ": " << kills[i]);
    BOOST_TEST(kills[i] > 0);
    all += kills[i];
  }
  BOOST_TEST_MESSAGE("killed in all: " << all << "; turns of the bystander: " << *served
                                       << "; the broker grew by " << grown << " KiB");
  munmap(served, 4096);
}

BOOST_AUTO_TEST_SUITE_END()
