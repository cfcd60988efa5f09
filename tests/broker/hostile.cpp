// SPDX-License-Identifier: MIT
//
// Clients that mean harm: whatever they send, leave unread or hold on to, the broker lives, its
// other clients are served, and nothing stays behind. Each case has a server of its own.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <vector>

#include "broker/fds.h"
#include "broker/wire.h"
#include "conformance/device.hpp"
#include "server.hpp"

using namespace conformance;
using aiaccel::Fd;
namespace wire = aiaccel::wire;

namespace {

using Bytes = std::vector<unsigned char>;

Bytes message(uint32_t word, const void* data, uint32_t struct_bytes, uint32_t array_bytes = 0) {
  wire::Header header{};
  header.word = word;
  header.struct_bytes = struct_bytes;
  header.array_bytes = array_bytes;
  header.bytes = static_cast<uint32_t>(sizeof header) + struct_bytes + array_bytes;
  Bytes bytes(sizeof header + struct_bytes);
  std::memcpy(bytes.data(), &header, sizeof header);
  if (struct_bytes) std::memcpy(bytes.data() + sizeof header, data, struct_bytes);
  return bytes;
}

Bytes query_message() {
  aiaccel_query query{};
  query.size = sizeof query;
  return message(AIACCEL_IOC_QUERY, &query, sizeof query);
}

// So many contexts, once the server saw those go that were closed (as those that looked whether it
// is up).
bool settles(Device& device, uint32_t contexts) {
  return eventually([&] { return device.own_tenant().contexts == contexts; });
}

// A client that speaks for itself.
class RawClient {
 public:
  explicit RawClient(const BrokerServer& server) : fd(server.must_connect()) {
    unsigned char hello[sizeof(wire::Header) + sizeof(wire::Hello)];
    BOOST_REQUIRE(recv(fd.get(), hello, sizeof hello, MSG_WAITALL) ==
                  static_cast<ssize_t>(sizeof hello));
  }

  bool send(const Bytes& bytes) {
    return ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }

  // The status that a message is answered with, -1 when the server hangs up.
  int ask(const Bytes& bytes) {
    if (!send(bytes)) return -1;
    wire::Header header;
    if (recv(fd.get(), &header, sizeof header, MSG_WAITALL) != static_cast<ssize_t>(sizeof header))
      return -1;
    Bytes rest(header.bytes - sizeof header);
    if (!rest.empty() &&
        recv(fd.get(), rest.data(), rest.size(), MSG_WAITALL) != static_cast<ssize_t>(rest.size()))
      return -1;
    return static_cast<int>(header.word);
  }

  // Sees whether the server hung up, within the time that only a hang reaches.
  bool hung_up() {
    pollfd wait{fd.get(), POLLIN, 0};
    if (poll(&wait, 1, 30'000) != 1) return false;
    unsigned char byte;
    return recv(fd.get(), &byte, 1, 0) <= 0;
  }

  Fd fd;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(hostile)

BOOST_AUTO_TEST_CASE(what_cannot_be_parsed_ends_the_connection_and_no_other) {
  BrokerServer server;
  Device bystander;
  aiaccel_enter enter{};
  enter.size = sizeof enter;
  enter.nr_jobs = 3;
  aiaccel_query query{};
  query.size = 5000;
  // Of a newer header, but no multiple of 8 bytes: what follows is not where a job can be.
  unsigned char odd[sizeof enter + 4]{};
  aiaccel_enter one_job{};
  one_job.size = sizeof odd;
  one_job.nr_jobs = 1;
  std::memcpy(odd, &one_job, sizeof one_job);
  Bytes unaligned = message(AIACCEL_IOC_ENTER, odd, sizeof odd, sizeof(aiaccel_job));
  unaligned.resize(unaligned.size() + sizeof(aiaccel_job));
  auto header = [](uint32_t bytes, uint32_t word, uint32_t of_struct, uint32_t array) {
    const wire::Header made{bytes, word, of_struct, array};
    Bytes raw(sizeof made);
    std::memcpy(raw.data(), &made, sizeof made);
    return raw;
  };
  aiaccel_export exported{};
  exported.size = sizeof exported;
  aiaccel_import imported{};
  imported.size = sizeof imported;
  Bytes long_mark = message(AIACCEL_IOC_IMPORT, &imported, sizeof imported, 24);
  long_mark.resize(long_mark.size() + 24);
  const Bytes garbage[] = {
      header(0, 0, 0, 0),
      header(15, AIACCEL_IOC_QUERY, 0, 0),
      header(0xffffffff, AIACCEL_IOC_QUERY, 0xfffffff0, 0xffffffff),
      header(16, AIACCEL_IOC_QUERY, 0xffffffff, 1),
      header(0x7fffffff, AIACCEL_IOC_ENTER, 56, 0x7fffffff - 72),
      header(wire::kMaxRequest + 1, AIACCEL_IOC_ENTER, 56, wire::kMaxRequest + 1 - 72),
      header(16, AIACCEL_IOC_QUERY, 0, 0),
      message(AIACCEL_IOC_QUERY, "\1\0", 2),
      message(AIACCEL_IOC_ENTER, &enter, sizeof enter),  // counts without their arrays
      message(AIACCEL_IOC_QUERY, &query, sizeof query),  // longer than what was sent
      unaligned,
      message(AIACCEL_IOC_EXPORT, &exported, sizeof exported),  // no mark
      message(AIACCEL_IOC_IMPORT, &imported, sizeof imported),
      long_mark,
  };
  for (const Bytes& bytes : garbage) {
    RawClient client(server);
    BOOST_TEST(client.send(bytes));
    BOOST_TEST(client.hung_up());
    BOOST_REQUIRE(server.running());
    BOOST_TEST(bystander.query().abi == 1u);
  }
}

BOOST_AUTO_TEST_CASE(what_can_be_parsed_gets_its_error) {
  BrokerServer server;
  RawClient client(server);
  uint32_t size = 4;
  BOOST_TEST(client.ask(message(0x1234, &size, 4)) == ENOTTY);
  BOOST_TEST(client.ask(message(AIACCEL_IOC_QUERY, &size, 4)) == EINVAL);
  aiaccel_pin pin{};
  pin.size = sizeof pin;
  pin.addr = ~0ULL - 5;
  pin.length = 100;
  BOOST_TEST(client.ask(message(AIACCEL_IOC_PIN, &pin, sizeof pin)) == EOVERFLOW);
  aiaccel_alloc alloc{};
  alloc.size = sizeof alloc;
  alloc.length = 1ULL << 62;
  BOOST_TEST(client.ask(message(AIACCEL_IOC_ALLOC, &alloc, sizeof alloc)) == ENOMEM);
  BOOST_TEST(client.ask(query_message()) == 0);
}

BOOST_AUTO_TEST_CASE(random_bytes) {
  BrokerServer server;
  Device bystander;
  const uint32_t seed = std::random_device{}();
  std::mt19937 random(seed);
  BOOST_TEST_CONTEXT("seed " << seed) {
    for (int round = 0; round < 300; ++round) {
      RawClient client(server);
      Bytes bytes(random() % 400);
      for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random());
      if (round % 2 && bytes.size() > sizeof(wire::Header)) {  // with a header that fits
        const auto rest = static_cast<uint32_t>(bytes.size() - sizeof(wire::Header));
        const uint32_t struct_bytes = static_cast<uint32_t>(random()) % (rest + 1);
        const wire::Header header{static_cast<uint32_t>(bytes.size()),
                                  static_cast<uint32_t>(_IO(AIACCEL_IOC_TYPE, random() % 0x24)),
                                  struct_bytes, rest - struct_bytes};
        std::memcpy(bytes.data(), &header, sizeof header);
        if (struct_bytes >= 4)
          std::memcpy(bytes.data() + sizeof header, &struct_bytes, sizeof struct_bytes);
      }
      client.send(bytes);
    }
    BOOST_TEST(bystander.query().abi == 1u);
    BOOST_TEST(server.running());
  }
}

BOOST_AUTO_TEST_CASE(a_message_may_come_byte_by_byte_and_many_at_once) {
  BrokerServer server;
  RawClient client(server);
  const Bytes query = query_message();
  for (size_t i = 0; i + 1 < query.size(); ++i) BOOST_REQUIRE(client.send({query[i]}));
  BOOST_TEST(client.ask({query.back()}) == 0);
  Bytes many;
  for (int i = 0; i < 50; ++i) many.insert(many.end(), query.begin(), query.end());
  BOOST_REQUIRE(client.send(many));
  for (int i = 0; i < 50; ++i) {
    Bytes answer(sizeof(wire::Header) + sizeof(aiaccel_query));
    BOOST_REQUIRE(recv(client.fd.get(), answer.data(), answer.size(), MSG_WAITALL) ==
                  static_cast<ssize_t>(answer.size()));
  }
}

BOOST_AUTO_TEST_CASE(half_a_message_holds_up_nobody) {
  BrokerServer server;
  RawClient half(server);
  Bytes query = query_message();
  query.resize(query.size() / 2);
  BOOST_REQUIRE(half.send(query));
  Device device;
  const uint32_t generation = device.must_hold(1, device.must_queue(), device.slots());
  BOOST_TEST(device.complete(1, generation) == 0);
}

BOOST_AUTO_TEST_CASE(a_client_that_never_reads_holds_up_nobody) {
  BrokerServer server;
  RawClient deaf(server);
  fcntl(deaf.fd.get(), F_SETFL, O_NONBLOCK);
  // Until neither side takes any more.
  const Bytes query = query_message();
  size_t sent = 0;
  BOOST_REQUIRE(eventually([&] {
    while (deaf.send(query)) ++sent;
    Device device;  // gives the server a turn
    const bool more = deaf.send(query);
    return !more;
  }));
  BOOST_TEST(sent > 100u);
  Device device;
  const uint32_t generation = device.must_hold(1, device.must_queue(), device.slots());
  BOOST_TEST(device.complete(1, generation) == 0);
  BOOST_TEST(server.running());
}

BOOST_AUTO_TEST_CASE(passed_descriptors_are_not_kept) {
  BrokerServer server;
  RawClient client(server);
  Device bystander;
  Fd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  BOOST_REQUIRE(settles(bystander, 2));
  const size_t before = server.open_descriptors();
  for (int i = 0; i < 50; ++i) {
    const Bytes query = query_message();
    BOOST_REQUIRE(aiaccel::send_with_fds(client.fd.get(), query.data(), query.size(),
                                         {file.get(), file.get(), file.get()}, 0) > 0);
    BOOST_REQUIRE(client.ask({}) == 0);
  }
  BOOST_TEST(server.open_descriptors() == before);
}

// Each would be another descriptor of the broker's until the client reads.
BOOST_AUTO_TEST_CASE(asking_for_the_poll_descriptor_again_ends_the_connection) {
  BrokerServer server;
  RawClient client(server);
  Device bystander;
  BOOST_REQUIRE(client.ask(message(wire::kPollRequest, nullptr, 0)) == 0);
  BOOST_TEST(client.ask(query_message()) == 0);
  BOOST_TEST(client.ask(message(wire::kPollRequest, nullptr, 0)) == -1);
  BOOST_TEST(settles(bystander, 1));
}

// Who takes all of the broker's descriptors keeps new clients out for that long, and no longer;
// those that are there are served.
BOOST_AUTO_TEST_CASE(a_flood_of_connections) {
  BrokerServer server({}, 40);
  Device device;
  {
    std::vector<Fd> flood;
    for (int i = 0; i < 100; ++i) flood.emplace_back(server.must_connect());
    BOOST_TEST(eventually([&] { return server.open_descriptors() >= 32; }));
    for (int i = 0; i < 20; ++i) {
      const uint32_t queue = device.must_queue();
      const uint32_t generation = device.must_hold(1, queue, device.slots());
      BOOST_REQUIRE(device.complete(1, generation) == 0);
      BOOST_REQUIRE(device.destroy(queue) == 0);
    }
  }
  Device fresh;
  BOOST_TEST(fresh.query().abi == 1u);
  BOOST_TEST(settles(fresh, 2));
}

// Where it was not the broker's own clients who had it all: nobody need go for the next to come.
BOOST_AUTO_TEST_CASE(a_shortage_that_passes_keeps_nobody_out) {
  BrokerServer server;
  Device device;
  BOOST_REQUIRE(settles(device, 1));
  rlimit before{};
  BOOST_REQUIRE(prlimit(server.pid(), RLIMIT_NOFILE, nullptr, &before) == 0);
  const rlimit taken{server.open_descriptors(), before.rlim_max};
  BOOST_REQUIRE(prlimit(server.pid(), RLIMIT_NOFILE, &taken, nullptr) == 0);
  const Fd late(server.must_connect());
  // Long enough for the broker to try, and to give up for now.
  BOOST_REQUIRE(device.query().abi == 1u);
  const timespec pause{0, 20'000'000};
  nanosleep(&pause, nullptr);
  char hello[sizeof(wire::Header) + sizeof(wire::Hello)];
  BOOST_TEST(recv(late.get(), hello, sizeof hello, MSG_DONTWAIT) == -1);
  BOOST_REQUIRE(prlimit(server.pid(), RLIMIT_NOFILE, &before, nullptr) == 0);
  BOOST_TEST(eventually([&] {
    return recv(late.get(), hello, sizeof hello, MSG_DONTWAIT) ==
           static_cast<ssize_t>(sizeof hello);
  }));
  BOOST_TEST(settles(device, 2));
}

BOOST_AUTO_TEST_CASE(clients_that_go_leave_nothing) {
  BrokerServer server;
  Device device;
  BOOST_REQUIRE(aiaccel_fd(device.handle()) >= 0);
  BOOST_REQUIRE(settles(device, 1));
  const size_t before = server.open_descriptors();
  const uint64_t bytes = device.query().pinned_bytes;
  for (int i = 0; i < 100; ++i) {
    Device other;
    other.must_alloc(4096);
    BOOST_REQUIRE(aiaccel_fd(other.handle()) >= 0);
    BOOST_REQUIRE(other.submit(job(1, other.must_queue())) == 0);
  }
  BOOST_TEST(eventually([&] { return server.open_descriptors() == before; }));
  BOOST_TEST(device.query().pinned_bytes == bytes);
  BOOST_TEST(settles(device, 1));
  BOOST_TEST(device.engine_stats().slots_used == 0u);
  BOOST_TEST(device.engine_stats().jobs_waiting == 0u);
  BOOST_TEST(device.engine_stats().queues == 0u);
}

BOOST_AUTO_TEST_CASE(one_user_has_so_many_contexts) {
  BrokerServer server;
  std::vector<Device> devices;
  aiaccel_device* next = nullptr;
  int result = 0;
  while (devices.size() < 2000 && (result = aiaccel_open("broker", &next)) == 0)
    devices.emplace_back(next);
  BOOST_TEST(result == -EDQUOT);
  BOOST_TEST(devices.size() >= 64u);
  devices.pop_back();
  BOOST_TEST(eventually([&] {
    if (aiaccel_open("broker", &next)) return false;
    aiaccel_close(next);
    return true;
  }));
}

BOOST_AUTO_TEST_SUITE_END()
