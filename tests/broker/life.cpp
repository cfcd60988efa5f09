// SPDX-License-Identifier: MIT
//
// The broker's life: how it is started and ends, what its clients see when it is killed, who may
// reach it, and its ceilings. Each case has a server of its own.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "broker/address.h"
#include "broker/fds.h"
#include "conformance/child.hpp"
#include "conformance/device.hpp"
#include "server.hpp"

using namespace conformance;
using aiaccel::Fd;

BOOST_AUTO_TEST_SUITE(life)

BOOST_AUTO_TEST_CASE(ceilings_of_memory) {
  for (const char* option : {"--tenant-bytes", "--host-bytes"}) {
    BrokerServer server({option, "1MiB"});
    Device device;
    Device other;
    device.must_alloc(512 << 10);
    aiaccel_alloc arg{};
    arg.length = (512 << 10) + 1;
    BOOST_TEST(other.call(AIACCEL_IOC_ALLOC, arg) == -EDQUOT);
    BOOST_TEST(arg.refused_by == static_cast<uint32_t>(option[2] == 't' ? AIACCEL_REFUSED_TENANT
                                                                        : AIACCEL_REFUSED_MODULE));
    arg.length = 512 << 10;
    BOOST_TEST(other.call(AIACCEL_IOC_ALLOC, arg) == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_killed_server_is_told_of_and_memory_stays) {
  BrokerServer server;
  Device device;
  Device waiting;
  const aiaccel_alloc buffer = device.must_alloc(8192);
  void* address = nullptr;
  BOOST_REQUIRE(aiaccel_map(device.handle(), buffer.mmap_offset, 8192, PROT_READ | PROT_WRITE,
                            &address) == 0);
  auto* bytes = static_cast<unsigned char*>(address);
  bytes[0] = 7;
  const int fd = aiaccel_fd(device.handle());
  const uint32_t queue = device.must_queue();
  device.must_hold(1, queue, device.slots());
  int waited = 0;
  std::thread waiter([&] {
    aiaccel_enter arg{};
    arg.min_events = 1;
    arg.timeout_ns = AIACCEL_NEVER;
    waited = waiting.enter(arg);
  });

  server.kill();
  waiter.join();
  BOOST_TEST(waited == -ECONNRESET);
  pollfd poll_fd{fd, POLLIN, 0};
  BOOST_TEST(poll(&poll_fd, 1, 30'000) == 1);
  aiaccel_query query{};
  for (int i = 0; i < 2; ++i) {
    BOOST_TEST(device.call(AIACCEL_IOC_QUERY, query) == -ECONNRESET);
    BOOST_TEST(device.cancel(1) == -ECONNRESET);
  }
  bytes[0] += 1;
  BOOST_TEST(static_cast<int>(bytes[0]) == 8);
  void* again = nullptr;
  BOOST_TEST(aiaccel_map(device.handle(), buffer.mmap_offset, 4096, PROT_READ, &again) == 0);
  munmap(again, 4096);

  server.start();
  Device fresh;
  BOOST_TEST(fresh.engine_stats().slots_used == 0u);
  BOOST_TEST(device.call(AIACCEL_IOC_QUERY, query) == -ECONNRESET);
  munmap(address, 8192);
}

// As data loaders are forked, that know nothing of what they have.
BOOST_AUTO_TEST_CASE(a_forked_child_does_not_keep_a_context_that_is_closed) {
  BrokerServer server;
  Device other;
  std::unique_ptr<Child> child;
  {
    Device device;
    device.must_alloc(1 << 20);
    device.must_hold(1, device.must_queue(), device.slots());
    child = std::make_unique<Child>([](Child& self) {
      self.sleep();
      return 0;
    });
  }
  other.must_hold(2, other.must_queue(), other.slots());
  BOOST_TEST(eventually([&] { return other.own_tenant().contexts == 1; }));
  BOOST_TEST(other.own_tenant().allocated_bytes == 0u);
  child->go_on();
  BOOST_TEST(child->wait() == 0);
}

BOOST_AUTO_TEST_CASE(it_ends_when_told_to_and_leaves_no_socket) {
  BrokerServer server;
  BOOST_TEST(server.stop() == 0);
  BOOST_TEST(access(server.path().c_str(), F_OK) == -1);
}

BOOST_AUTO_TEST_CASE(only_its_user_can_reach_it) {
  BrokerServer server;
  struct stat info;
  BOOST_REQUIRE(stat(server.path().c_str(), &info) == 0);
  BOOST_TEST((info.st_mode & 077) == 0u);
}

BOOST_AUTO_TEST_CASE(it_is_started_on_first_need_and_once) {
  BrokerServer server;
  server.kill();  // leaves its socket behind
  std::vector<std::unique_ptr<Child>> children;
  for (int i = 0; i < 4; ++i)
    children.push_back(std::make_unique<Child>([](Child& self) {
      Device device;
      self.tell(1);
      self.sleep();
      return device.own_tenant().contexts == 4 ? 0 : 1;
    }));
  for (auto& child : children) BOOST_REQUIRE(child->must_hear() == 1u);
  // All four met in one broker.
  children[0]->go_on();
  BOOST_TEST(children[0]->wait() == 0);
  const std::vector<pid_t> started = server.others();
  BOOST_REQUIRE(started.size() == 1u);
  kill(started[0], SIGTERM);
  BOOST_TEST(eventually([&] { return server.others().empty(); }));
}

namespace {

// A socket as systemd has it: there before the broker is, whose descriptor 3 it will be, and after.
class SystemdSocket {
 public:
  explicit SystemdSocket(const std::string& path)
      : listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un name;
    BOOST_REQUIRE(aiaccel::socket_name(path, &name) == 0);
    BOOST_REQUIRE(bind(listener_.get(), reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
    BOOST_REQUIRE(listen(listener_.get(), 8) == 0);
    setenv("AIACCEL_BROKER", path.c_str(), 1);
  }

  std::unique_ptr<Child> start() const {
    return std::make_unique<Child>([this](Child&) {
      // Even where it is 3: not closed on exec.
      dup2(fcntl(listener_.get(), F_DUPFD_CLOEXEC, 100), 3);
      setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
      setenv("LISTEN_FDS", "1", 1);
      execl(BrokerServer::program().c_str(), "aiacceld", nullptr);
      return 127;
    });
  }

  // Somebody connected whom nobody accepted.
  bool is_waited_at() const {
    pollfd ready{listener_.get(), POLLIN, 0};
    return poll(&ready, 1, 0) == 1;
  }

 private:
  const Fd listener_;
};

void must_end(Child& broker) {
  broker.kill(SIGTERM);
  BOOST_TEST(broker.wait() == 0);
}

}  // namespace

BOOST_AUTO_TEST_CASE(it_takes_a_socket_that_systemd_made) {
  BrokerServer server;
  const std::string path = server.path() + "2";
  const SystemdSocket socket(path);
  const auto broker = socket.start();
  {
    Device device;
    BOOST_TEST(device.own_tenant().contexts == 1u);
  }
  must_end(*broker);
  BOOST_TEST(access(path.c_str(), F_OK) == 0);  // systemd's, not ours to remove
}

// As `systemctl restart` has it.
BOOST_AUTO_TEST_CASE(who_comes_between_two_brokers_of_a_socket_is_served_by_the_second) {
  BrokerServer server;
  const SystemdSocket socket(server.path() + "2");
  const auto first = socket.start();
  Device running;
  running.must_hold(1, running.must_queue(), running.slots());
  must_end(*first);
  aiaccel_query query{};
  BOOST_TEST(running.call(AIACCEL_IOC_QUERY, query) == -ECONNRESET);

  Child comes([](Child& self) {
    Device device;
    const uint32_t generation = device.must_hold(1, device.must_queue(), device.slots());
    self.tell(device.own_tenant().contexts);
    self.sleep();
    return device.complete(1, generation) ? 1 : 0;
  });
  BOOST_REQUIRE(eventually([&] { return socket.is_waited_at(); }));
  const auto second = socket.start();
  BOOST_TEST(comes.must_hear() == 1u);
  Device again;
  BOOST_REQUIRE(again.submit(job(1, again.must_queue())) == 0);
  comes.go_on();
  again.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(comes.wait() == 0);
  must_end(*second);
}

BOOST_AUTO_TEST_CASE(users_are_tenants_and_see_their_own) {
  if (geteuid() != 0) SKIP("needs root, to be several users");
  BrokerServer server({"--tenant-bytes", "1MiB"});
  server.open_to_all();
  Device root;
  root.must_alloc(1 << 20);
  root.must_queue(AIACCEL_CLASS_NORMAL, 0, "root@1");
  Child other([](Child& self) {
    if (setgid(65534) || setuid(65534)) return 10;
    Device device;
    device.must_alloc(1 << 20);  // what another user has does not count
    device.must_queue(AIACCEL_CLASS_NORMAL, 0, "other@1");
    aiaccel_alloc more{};
    more.length = 1;
    if (device.call(AIACCEL_IOC_ALLOC, more) != -EDQUOT) return 11;
    if (std::string(device.own_tenant().name) != "uid:65534") return 12;
    const auto queues = device.queue_stats();
    if (queues.size() != 1 || std::string(queues[0].label) != "other@1") return 13;
    self.tell(device.query().tenant);
    self.sleep();
    return 0;
  });
  BOOST_TEST(other.must_hear() != root.query().tenant);
  BOOST_TEST(root.queue_stats().size() == 2u);  // root sees all
  other.go_on();
  BOOST_TEST(other.wait() == 0);
}

// However many queues and contexts a user has, another user's one gets its half.
BOOST_AUTO_TEST_CASE(many_contexts_gain_a_user_nothing) {
  if (geteuid() != 0) SKIP("needs root, to be several users");
  BrokerServer server;
  server.open_to_all();
  Device holder;
  const uint32_t slots = holder.slots();
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots);
  // Takes turns of 2 ms on so many contexts, in the order in which they come, until it is killed.
  auto greedy = [=](uid_t uid, size_t contexts, const char* label) {
    return [=](Child& self) {
      if (setgid(uid) || setuid(uid)) return 10;
      std::vector<Device> devices(contexts);
      for (Device& device : devices) {
        const uint32_t queue = device.must_queue(AIACCEL_CLASS_NORMAL, 0, label);
        for (uint64_t cookie = 1; cookie <= 100; ++cookie)
          if (device.submit(job(cookie, queue, {.width = slots}))) return 11;
      }
      self.tell(1);
      for (;;) {
        for (Device& device : devices) {
          for (const aiaccel_event& event : device.events()) {
            const timespec work{0, 2'000'000};
            nanosleep(&work, nullptr);
            if (device.complete(event.cookie, event.generation)) return 12;
          }
        }
        const timespec pause{0, 200'000};
        nanosleep(&pause, nullptr);
      }
    };
  };
  Child one(greedy(65533, 1, "one"));
  Child many(greedy(65534, 8, "many"));
  BOOST_REQUIRE(one.must_hear() == 1u);
  BOOST_REQUIRE(many.must_hear() == 1u);
  BOOST_REQUIRE(holder.complete(1, generation) == 0);
  uint64_t one_ns = 0;
  uint64_t many_ns = 0;
  BOOST_REQUIRE(eventually([&] {
    one_ns = many_ns = 0;
    uint64_t turns = 0;
    for (const aiaccel_stats_queue& record : holder.queue_stats()) {
      if (std::string(record.label) == "one") one_ns += record.run_ns;
      if (std::string(record.label) == "many") many_ns += record.run_ns;
      turns += record.completed;
    }
    return turns >= 80;
  }));
  BOOST_TEST_CONTEXT("one " << one_ns << " ns, many " << many_ns << " ns") {
    const double share = static_cast<double>(one_ns) / static_cast<double>(one_ns + many_ns);
    BOOST_TEST(share > 0.35);
    BOOST_TEST(share < 0.65);
  }
}

BOOST_AUTO_TEST_SUITE_END()
