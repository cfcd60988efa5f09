// SPDX-License-Identifier: MIT
//
// What one client of the broker must not feel of another one. Each case has a server of its own.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <deque>
#include <fstream>
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

bool greeted(const Fd& socket) {
  char hello[sizeof(wire::Header) + sizeof(wire::Hello)];
  return recv(socket.get(), hello, sizeof hello, MSG_WAITALL) == static_cast<ssize_t>(sizeof hello);
}

// Sends a call without arrays and takes the answer, `array` included: its status, -1 on a hang-up.
template <typename T>
int ask(const Fd& socket, unsigned long request, T* arg, std::vector<std::byte>* array = nullptr) {
  struct {
    wire::Header header{sizeof(wire::Header) + sizeof(T), 0, sizeof(T), 0};
    T arg;
  } message;
  message.header.word = static_cast<uint32_t>(request);
  arg->size = sizeof(T);
  std::memcpy(&message.arg, arg, sizeof(T));
  if (send(socket.get(), &message, message.header.bytes, MSG_NOSIGNAL) < 0) return -1;
  wire::Header answer;
  if (recv(socket.get(), &answer, sizeof answer, MSG_WAITALL) !=
      static_cast<ssize_t>(sizeof answer))
    return -1;
  std::vector<std::byte> rest(answer.struct_bytes + answer.array_bytes);
  if (!rest.empty() && recv(socket.get(), rest.data(), rest.size(), MSG_WAITALL) !=
                           static_cast<ssize_t>(rest.size()))
    return -1;
  if (answer.struct_bytes == sizeof(T)) std::memcpy(arg, rest.data(), sizeof(T));
  if (array) array->assign(rest.begin() + answer.struct_bytes, rest.end());
  return static_cast<int>(answer.word);
}

// Asks what statistics of the kind there are, and for no record.
void ask_stats(const Fd& socket, uint32_t kind) {
  struct {
    wire::Header header;
    aiaccel_stats stats;
  } message{};
  message.header = {sizeof message, static_cast<uint32_t>(AIACCEL_IOC_STATS), sizeof(aiaccel_stats),
                    0};
  message.stats.size = sizeof(aiaccel_stats);
  message.stats.kind = kind;
  message.stats.record_size = 8;
  BOOST_REQUIRE(send(socket.get(), &message, sizeof message, MSG_NOSIGNAL) ==
                static_cast<ssize_t>(sizeof message));
}

// When the broker answered.
uint64_t stats_time(const Fd& socket) {
  struct {
    wire::Header header;
    aiaccel_stats stats;
  } answer{};
  BOOST_REQUIRE(recv(socket.get(), &answer, sizeof answer, MSG_WAITALL) ==
                static_cast<ssize_t>(sizeof answer));
  BOOST_REQUIRE(answer.header.word == 0u);
  return answer.stats.time_ns;
}

// As root.
Fd connect_as(const BrokerServer& server, uid_t uid) {
  BOOST_REQUIRE(seteuid(uid) == 0);
  Fd socket(server.must_connect());
  BOOST_REQUIRE(seteuid(0) == 0);
  BOOST_REQUIRE(greeted(socket));
  return socket;
}

bool is_stopped(pid_t pid) {
  std::string stat;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/stat"), stat);
  return stat.find(") T ") != std::string::npos;
}

// The least time from one SNAPSHOT to the next, by the broker's clock, of one who asks for nothing
// else.
uint64_t least_pause_ns(Device& device) {
  uint64_t least = AIACCEL_NEVER;
  uint64_t last = 0;
  for (int i = 0; i < 30; ++i) {
    aiaccel_stats arg{};
    arg.kind = AIACCEL_STATS_SNAPSHOT;
    arg.record_size = 8;
    if (device.call(AIACCEL_IOC_STATS, arg)) return 0;
    if (i) least = std::min<uint64_t>(least, arg.time_ns - last);
    last = arg.time_ns;
  }
  return least;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(others)

// A SNAPSHOT keeps everybody, so that those of users are followed by a pause of eight times as
// long. What an administrator asks for is not: here it tells how long one takes.
BOOST_AUTO_TEST_CASE(users_snapshots_have_pauses_between_them) {
  if (geteuid() != 0) SKIP("needs root, to be several users");
  BrokerServer server;
  server.open_to_all();
  Device root;
  Child user([](Child& self) {
    if (setgid(65534) || setuid(65534)) return 10;
    std::vector<Device> devices(40);
    for (Device& device : devices)
      for (int i = 0; i < 60; ++i) device.must_queue();
    self.tell(least_pause_ns(devices[0]));
    self.sleep();
    self.tell(least_pause_ns(devices[0]));
    return 0;
  });
  const uint64_t users_ns = user.must_hear();
  const uint64_t roots_ns = least_pause_ns(root);
  BOOST_TEST_MESSAGE("user " << users_ns << " ns, root " << roots_ns << " ns");
  BOOST_TEST(roots_ns > 0u);
  BOOST_TEST(users_ns > 3 * roots_ns);
  // Two who ask at once have theirs one after the other, and one who goes meanwhile is no matter.
  Child gone([](Child& self) {
    if (setgid(65533) || setuid(65533)) return 10;
    Device device;
    self.tell(1);
    return least_pause_ns(device) ? 0 : 11;
  });
  BOOST_REQUIRE(gone.must_hear() == 1u);
  user.go_on();
  gone.kill(SIGKILL);
  BOOST_TEST(user.must_hear() > 3 * roots_ns);
  BOOST_TEST(user.wait() == 0);
  BOOST_TEST(root.query().size != 0u);
}

// Users take turns where their SNAPSHOTs wait, however many connections one has.
BOOST_AUTO_TEST_CASE(many_who_wait_for_snapshots_are_one_user) {
  if (geteuid() != 0) SKIP("needs root, to be several users");
  constexpr uid_t kMany = 65534, kOne = 65533;
  const BrokerServer server;
  server.open_to_all();
  std::vector<Fd> many;
  for (int i = 0; i < 60; ++i) many.push_back(connect_as(server, kMany));
  const Fd one = connect_as(server, kOne);
  for (const Fd& socket : many) ask_stats(socket, AIACCEL_STATS_SNAPSHOT);
  ask_stats(one, AIACCEL_STATS_SNAPSHOT);
  const uint64_t answered_ns = stats_time(one);
  int after = 0;
  for (const Fd& socket : many) after += stats_time(socket) > answered_ns;
  BOOST_TEST(after > 0);  // each of them waits for a millisecond at least
}

// Nor is the broker without clients for less than its idle time then.
BOOST_AUTO_TEST_CASE(whose_snapshot_waits_may_go) {
  if (geteuid() != 0) SKIP("needs root, to be another user");
  BrokerServer server({"--idle", "60"});
  server.open_to_all();
  std::vector<Fd> all;
  all.push_back(connect_as(server, 65534));
  const size_t with_one = server.open_descriptors();
  while (all.size() < 60) all.push_back(connect_as(server, 65534));
  // All have asked, and gone, before it looks.
  BOOST_REQUIRE(::kill(server.pid(), SIGSTOP) == 0);
  BOOST_REQUIRE(eventually([&] { return is_stopped(server.pid()); }));
  for (const Fd& socket : all) ask_stats(socket, AIACCEL_STATS_SNAPSHOT);
  all.clear();
  BOOST_REQUIRE(::kill(server.pid(), SIGCONT) == 0);
  BOOST_TEST(eventually([&] { return server.open_descriptors() < with_one; }));
  usleep(500'000);
  BOOST_TEST(server.running());
}

// The server sees at once that a client's socket closed, that another client came, whose
// descriptors get the same numbers, and that the first one's process ended.
BOOST_AUTO_TEST_CASE(news_of_a_client_that_went_is_not_taken_for_the_next_ones) {
  BrokerServer server;
  Device bystander;
  BOOST_REQUIRE(eventually([&] { return bystander.own_tenant().contexts == 1; }));
  Child old([&](Child& self) {
    {
      const Fd socket(server.must_connect());
      if (!greeted(socket)) return 1;
      self.tell(1);
      self.sleep();
    }
    self.tell(2);
    self.sleep();
    return 0;
  });
  BOOST_REQUIRE(old.must_hear() == 1u);

  BOOST_REQUIRE(kill(server.pid(), SIGSTOP) == 0);
  BOOST_REQUIRE(waitpid(server.pid(), nullptr, WUNTRACED) == server.pid());
  old.go_on();
  BOOST_REQUIRE(old.must_hear() == 2u);
  const Fd fresh(server.must_connect());
  old.go_on();
  BOOST_REQUIRE(old.wait() == 0);
  BOOST_REQUIRE(kill(server.pid(), SIGCONT) == 0);

  BOOST_REQUIRE(greeted(fresh));
  aiaccel_query query{};
  for (int i = 0; i < 3; ++i) BOOST_TEST(ask(fresh, AIACCEL_IOC_QUERY, &query) == 0);
}

// The filling that a caller of STATS may ask for is the client's own work.
BOOST_AUTO_TEST_CASE(records_come_without_filling) {
  BrokerServer server;
  const Fd socket(server.must_connect());
  BOOST_REQUIRE(greeted(socket));
  aiaccel_stats stats{};
  stats.kind = AIACCEL_STATS_ENGINES;
  stats.record_size = 4096;
  stats.count = 1;
  std::vector<std::byte> records;
  BOOST_REQUIRE(ask(socket, AIACCEL_IOC_STATS, &stats, &records) == 0);
  BOOST_TEST(stats.record_size == sizeof(aiaccel_stats_engine));
  BOOST_TEST(records.size() == sizeof(aiaccel_stats_engine));

  Device device;
  std::vector<std::byte> wide(4096, std::byte{0xff});
  stats.record_size = 4096;
  stats.count = 1;
  stats.records = reinterpret_cast<uintptr_t>(wide.data());
  BOOST_REQUIRE(device.call(AIACCEL_IOC_STATS, stats) == 0);
  BOOST_TEST(std::memcmp(wide.data(), records.data(), sizeof(uint32_t)) == 0);
  for (size_t at = sizeof(aiaccel_stats_engine); at < wide.size(); ++at)
    BOOST_REQUIRE(wide[at] == std::byte{0});
}

// However many of its contexts ask for all that there is to know, and never read it.
BOOST_AUTO_TEST_CASE(statistics_of_many_queues_hold_up_nobody) {
  BrokerServer server;
  std::vector<Device> devices(64);
  for (Device& device : devices)
    for (int i = 0; i < 64; ++i) device.must_queue();
  std::vector<Fd> askers;
  for (int i = 0; i < 5; ++i) {  // their answers are below what one user may leave unread
    askers.emplace_back(server.must_connect());
    BOOST_REQUIRE(greeted(askers.back()));
    struct {
      wire::Header header;
      aiaccel_stats stats;
    } message{};
    message.header = {sizeof message, static_cast<uint32_t>(AIACCEL_IOC_STATS),
                      sizeof(aiaccel_stats), 0};
    message.stats.size = sizeof(aiaccel_stats);
    message.stats.kind = AIACCEL_STATS_QUEUES;
    message.stats.record_size = sizeof(aiaccel_stats_queue);
    message.stats.count = 1 << 20;
    BOOST_REQUIRE(send(askers.back().get(), &message, sizeof message, MSG_NOSIGNAL) ==
                  static_cast<ssize_t>(sizeof message));
  }
  Device device;
  BOOST_TEST(device.query().abi == 1u);
  // Each gets its whole answer in the end.
  for (const Fd& asker : askers) {
    wire::Header answer;
    BOOST_REQUIRE(recv(asker.get(), &answer, sizeof answer, MSG_WAITALL) ==
                  static_cast<ssize_t>(sizeof answer));
    std::vector<std::byte> rest(answer.struct_bytes + answer.array_bytes);
    BOOST_REQUIRE(recv(asker.get(), rest.data(), rest.size(), MSG_WAITALL) ==
                  static_cast<ssize_t>(rest.size()));
    BOOST_TEST(answer.array_bytes == 64 * 64 * sizeof(aiaccel_stats_queue));
  }
}

// Each such answer is short, and the broker went through all histories for it.
BOOST_AUTO_TEST_CASE(who_asks_for_turns_by_many_connections_is_answered_once_a_round) {
  if (geteuid() != 0) SKIP("needs root, to be several users");
  BrokerServer server;
  server.open_to_all();
  std::deque<Fd> askers;
  for (int i = 0; i < 3; ++i) askers.emplace_back(server.must_connect());
  BOOST_REQUIRE(seteuid(65534) == 0);
  const Fd other(server.must_connect());
  BOOST_REQUIRE(seteuid(0) == 0);
  for (const Fd& asker : askers) BOOST_REQUIRE(greeted(asker));
  BOOST_REQUIRE(greeted(other));

  // They have all asked before it looks.
  BOOST_REQUIRE(::kill(server.pid(), SIGSTOP) == 0);
  BOOST_REQUIRE(eventually([&] { return is_stopped(server.pid()); }));
  for (const Fd& asker : askers) ask_stats(asker, AIACCEL_STATS_TURNS);
  ask_stats(other, AIACCEL_STATS_ENGINES);
  BOOST_REQUIRE(::kill(server.pid(), SIGCONT) == 0);
  const uint64_t first_ns = stats_time(askers[0]);
  const uint64_t other_ns = stats_time(other);
  BOOST_TEST(first_ns < other_ns);
  BOOST_TEST(other_ns < stats_time(askers[1]));
  BOOST_TEST(other_ns < stats_time(askers[2]));
}

BOOST_AUTO_TEST_CASE(one_user_has_so_many_queues_and_buffers) {
  BrokerServer server;
  uint64_t queues = 0;
  uint64_t buffers = 0;
  uint32_t refused_by = AIACCEL_REFUSED_CONTEXT;
  std::vector<Fd> contexts;
  while (refused_by == AIACCEL_REFUSED_CONTEXT && contexts.size() < 100) {
    contexts.emplace_back(server.must_connect());
    BOOST_REQUIRE(greeted(contexts.back()));
    aiaccel_alloc alloc{};
    for (alloc.length = 1; ask(contexts.back(), AIACCEL_IOC_ALLOC, &alloc) == 0; alloc.length = 1)
      ++buffers;
    refused_by = alloc.refused_by;
  }
  BOOST_TEST(refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_TENANT));
  BOOST_TEST(buffers == 16384u);
  contexts.clear();

  std::deque<Device> devices;
  aiaccel_queue_create arg{};
  for (refused_by = AIACCEL_REFUSED_CONTEXT;
       refused_by == AIACCEL_REFUSED_CONTEXT && devices.size() < 100; refused_by = arg.refused_by) {
    Device& device = devices.emplace_back();
    for (arg = device.queue_arg(); device.call(AIACCEL_IOC_QUEUE_CREATE, arg) == 0;) ++queues;
  }
  BOOST_TEST(refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_TENANT));
  BOOST_TEST(queues == 4096u);
  BOOST_TEST(devices[0].own_tenant().queues == 4096u);

  // What went is given back.
  devices.pop_front();
  Device& last = devices.back();
  BOOST_TEST(eventually([&] { return last.call(AIACCEL_IOC_QUEUE_CREATE, arg) == 0; }));
  BOOST_TEST(last.must_alloc(1).id != 0u);
}

BOOST_AUTO_TEST_SUITE_END()
