// SPDX-License-Identifier: MIT
//
// What one client of the broker must not feel of another one. Each case has a server of its own.
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>
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

}  // namespace

BOOST_AUTO_TEST_SUITE(others)

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

BOOST_AUTO_TEST_SUITE_END()
