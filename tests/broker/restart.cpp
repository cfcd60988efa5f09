// SPDX-License-Identifier: MIT
//
// The broker itself killed, again and again, while its clients work: each call of theirs then says
// ECONNRESET and nothing else, waits end, memory stays, and with a new context they go on.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "conformance/child.hpp"
#include "conformance/device.hpp"
#include "server.hpp"

using namespace conformance;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kKills = 30;
#else
constexpr int kKills = 200;
#endif
constexpr size_t kBytes = 3 * 4096;
constexpr int kWorkers = 4;

// What the workers tell while they run.
struct Shared {
  std::atomic<bool> stop;
  std::atomic<uint64_t> turns;
  std::atomic<uint64_t> losses;   // contexts that went with a broker
  std::atomic<uint64_t> waiting;  // those of them that were in acquire()
};

class SharedPage {
 public:
  SharedPage()
      : page_(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                   0)) {
    BOOST_REQUIRE(page_ != MAP_FAILED);
  }
  ~SharedPage() { munmap(page_, sizeof(Shared)); }
  Shared* operator->() const { return static_cast<Shared*>(page_); }

 private:
  void* page_;
};

bool all_are(const unsigned char* bytes, unsigned char value) {
  for (size_t i = 0; i < kBytes; ++i)
    if (bytes[i] != value) return false;
  return true;
}

// Opens a context as soon as there is a broker. 0 or an error that no broker's end explains.
int open_again(const SharedPage& shared, aiaccel_device** device) {
  for (;;) {
    const int error = aiaccel_open("broker", device);
    if (error == 0 || (error != -ENOENT && error != -ECONNREFUSED)) return error;
    if (shared->stop) return 0;
    const timespec pause{0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

// One life with one broker: makes a buffer and takes turns until it is lost, then looks at what is
// left of it. `kept` is the context before, whose memory must outlive it. An exit status, 0: go on.
int work(const SharedPage& shared, std::unique_ptr<Device> own, unsigned char mark,
         std::unique_ptr<Device>* kept, unsigned char** kept_bytes) {
  Device& device = *own;
  aiaccel_alloc alloc{};
  alloc.length = kBytes;
  aiaccel_queue_create create{};
  int error = device.call(AIACCEL_IOC_ALLOC, alloc);
  if (error) return error == -ECONNRESET ? 0 : 10;
  void* address = nullptr;
  if (aiaccel_map(device.handle(), alloc.mmap_offset, kBytes, PROT_READ | PROT_WRITE, &address))
    return 11;
  auto* bytes = static_cast<unsigned char*>(address);
  if (!all_are(bytes, 0)) return 12;
  std::memset(bytes, mark, kBytes);
  create.engine = 1;
  std::strcpy(create.label, "worker");
  create.class_ = AIACCEL_CLASS_NORMAL;
  error = device.call(AIACCEL_IOC_QUEUE_CREATE, create);
  if (error && error != -ECONNRESET) return 13;

  const aiaccel_job turn = job(0, create.id);
  aiaccel_grant grant{};
  bool held = false;
  while (!error) {
    if (shared->stop) {
      munmap(address, kBytes);
      return 0;
    }
    held = false;
    error = aiaccel_acquire(device.handle(), &turn, AIACCEL_NEVER, -1, &grant);
    if (error) break;
    held = true;
    ++shared->turns;
    error = aiaccel_complete(device.handle(), &grant);
  }
  if (error != -ECONNRESET) return 14;
  ++shared->losses;
  if (!held) ++shared->waiting;

  // What it held is not taken for held any more, and nothing pretends to go on.
  if (held && aiaccel_complete(device.handle(), &grant) != -ECONNRESET) return 15;
  aiaccel_query query{};
  if (device.call(AIACCEL_IOC_QUERY, query) != -ECONNRESET) return 16;
  if (aiaccel_acquire(device.handle(), &turn, AIACCEL_NEVER, -1, &grant) != -ECONNRESET) return 17;
  if (device.destroy(create.id) != -ECONNRESET) return 18;
  // The memory is there, the same, for reading and writing, and can be mapped again.
  if (!all_are(bytes, mark)) return 19;
  void* again = nullptr;
  if (aiaccel_map(device.handle(), alloc.mmap_offset, kBytes, PROT_READ | PROT_WRITE, &again))
    return 20;
  std::memset(again, static_cast<unsigned char>(mark + 1), kBytes);
  munmap(again, kBytes);
  if (!all_are(bytes, static_cast<unsigned char>(mark + 1))) return 21;

  // What was kept of the one before is, too.
  if (*kept_bytes) {
    if (!all_are(*kept_bytes, mark)) return 22;
    munmap(*kept_bytes, kBytes);
  }
  *kept = std::move(own);  // closes the one before
  *kept_bytes = bytes;
  return 0;
}

int work_until_stopped(const SharedPage& shared) {
  std::unique_ptr<Device> kept;
  unsigned char* bytes = nullptr;
  for (unsigned char mark = 1; !shared->stop; ++mark) {
    aiaccel_device* handle = nullptr;
    if (open_again(shared, &handle)) return 9;
    if (!handle) break;
    if (int status = work(shared, std::make_unique<Device>(handle), mark, &kept, &bytes))
      return status;
    if (bytes) mark = bytes[0] - 1;
  }
  return 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(restart)

BOOST_AUTO_TEST_CASE(clients_outlive_any_number_of_brokers) {
  BrokerServer server;
  SharedPage shared;
  std::vector<std::unique_ptr<Child>> workers;
  for (int i = 0; i < kWorkers; ++i)
    workers.push_back(std::make_unique<Child>([&](Child&) {
      setenv("AIACCELD", "/nonexistent", 1);  // whoever starts one here is the test
      return work_until_stopped(shared);
    }));
  const uint32_t seed = std::random_device{}();
  std::mt19937 random(seed);
  BOOST_TEST_MESSAGE("seed " << seed);
  for (int i = 0; i < kKills; ++i) {
    const uint64_t seen = shared->turns;
    BOOST_REQUIRE(eventually([&] { return shared->turns > seen; }));
    const timespec moment{0, static_cast<long>(random() % 4'000'000)};
    nanosleep(&moment, nullptr);
    server.kill();
    server.start();
  }
  shared->stop = true;
  for (auto& worker : workers) BOOST_TEST(worker->wait() == 0);
  BOOST_TEST(server.others().empty());
  BOOST_TEST_MESSAGE(kKills << " brokers killed, " << shared->losses << " contexts lost, "
                            << shared->waiting << " of them in acquire(), " << shared->turns
                            << " turns");
  BOOST_TEST(shared->losses + 1 >= static_cast<uint64_t>(kKills));
  BOOST_TEST(shared->waiting > 0u);
  Device device;
  BOOST_TEST(eventually([&] { return device.own_tenant().contexts == 1; }));
  BOOST_TEST(device.engine_stats().slots_used == 0u);
}

// Nobody but the clients starts one: whoever comes first. There is one at a time, whichever sockets
// and locks the killed ones left.
BOOST_AUTO_TEST_CASE(clients_start_the_next_one_and_only_one) {
  BrokerServer server;
  SharedPage shared;
  std::vector<std::unique_ptr<Child>> workers;
  for (int i = 0; i < kWorkers; ++i)
    workers.push_back(std::make_unique<Child>([&](Child&) { return work_until_stopped(shared); }));
  pid_t serving = server.pid();
  for (int i = 0; i < kKills / 10; ++i) {
    const uint64_t seen = shared->turns;
    BOOST_REQUIRE(eventually([&] { return shared->turns > seen; }));
    if (i == 0)
      server.kill();
    else
      kill(serving, SIGKILL);
    // Those that came too late leave; one stays.
    std::vector<pid_t> others;
    BOOST_REQUIRE(eventually([&] {
      others = server.others();
      return others.size() == 1 && others[0] != serving;
    }));
    serving = others[0];
  }
  const uint64_t seen = shared->turns;
  BOOST_TEST(eventually([&] { return shared->turns > seen; }));
  shared->stop = true;
  for (auto& worker : workers) BOOST_TEST(worker->wait() == 0);
  for (pid_t pid : server.others()) kill(pid, SIGKILL);
}

BOOST_AUTO_TEST_SUITE_END()
