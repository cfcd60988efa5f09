// SPDX-License-Identifier: MIT
//
// What the C interface makes of a broker that refuses, and of one that goes while a turn is waited
// for. Each case has a server of its own.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <thread>

#include "broker/address.h"
#include "broker/fds.h"
#include "broker/wire.h"
#include "conformance/child.hpp"
#include "conformance/device.hpp"
#include "server.hpp"

using namespace conformance;
using aiaccel::Fd;

namespace {

constexpr const char* kModule = "the kernel's arbiter is here, which comes first";

bool have_module() {
  return access("/dev/aiaccel", F_OK) == 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(refusal)

BOOST_AUTO_TEST_CASE(auto_does_not_go_round_a_broker_that_refuses) {
  if (have_module()) SKIP(kModule);
  BrokerServer server;  // for its folder and $AIACCEL_BROKER
  const std::string path = server.path() + "2";
  sockaddr_un name;
  BOOST_REQUIRE(aiaccel::socket_name(path, &name) == 0);
  const Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  BOOST_REQUIRE(bind(listener.get(), reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
  BOOST_REQUIRE(listen(listener.get(), 8) == 0);
  setenv("AIACCEL_BROKER", path.c_str(), 1);
  for (int error : {EMFILE, ENOMEM, EDQUOT, EACCES}) {
    std::thread refuser([&] {
      const Fd client(accept(listener.get(), nullptr, nullptr));
      const aiaccel::wire::Header header{sizeof header, static_cast<uint32_t>(error), 0, 0};
      send(client.get(), &header, sizeof header, MSG_NOSIGNAL);
    });
    aiaccel_device* device = nullptr;
    BOOST_TEST(aiaccel_open("auto", &device) == -error);
    aiaccel_close(device);
    refuser.join();
  }
}

BOOST_AUTO_TEST_CASE(an_empty_name_in_the_environment_is_none) {
  if (have_module()) SKIP(kModule);
  BrokerServer server;
  setenv("AIACCEL_TRANSPORT", "", 1);
  aiaccel_device* device = nullptr;
  const int error = aiaccel_open(nullptr, &device);
  unsetenv("AIACCEL_TRANSPORT");
  BOOST_REQUIRE(error == 0);
  BOOST_TEST(aiaccel_transport(device) == std::string("broker"));
  aiaccel_close(device);
}

BOOST_AUTO_TEST_CASE(a_broker_that_goes_ends_an_acquire_as_gone) {
  BrokerServer server;
  Device holder;
  Device device;
  holder.must_hold(1, holder.must_queue(), holder.slots());
  const uint32_t queue = device.must_queue();
  int result = 1;
  std::thread acquirer([&] {
    const aiaccel_job own = job(0, queue);
    aiaccel_grant grant;
    result = aiaccel_acquire(device.handle(), &own, AIACCEL_NEVER, -1, &grant);
  });
  BOOST_TEST(eventually([&] { return holder.engine_stats().jobs_waiting == 1; }));
  server.kill();
  acquirer.join();
  BOOST_TEST(result == -ECONNRESET);
}

BOOST_AUTO_TEST_SUITE_END()
