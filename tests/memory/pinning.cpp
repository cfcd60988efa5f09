// SPDX-License-Identifier: MIT
//
// Pins made by a thread of the library: progress, the end, cancelling, errors.
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "memory.hpp"

using namespace aiaccel;
using namespace aiaccel::literals;
using namespace memory_test;

namespace {

bool readable(int fd, int wait_ms) {
  pollfd ready{fd, POLLIN, 0};
  return poll(&ready, 1, wait_ms) == 1;
}

constexpr int kLateMs = 60'000;  // only a hang

}  // namespace

BOOST_AUTO_TEST_SUITE(pinning)

BOOST_AUTO_TEST_CASE(it_ends_with_a_buffer) {
  const Device device = open_device();
  if (const std::string why = why_no_pin(device, 4_MiB); !why.empty()) SKIP(why);
  const Memory memory = map_anonymous(4_MiB, PROT_READ | PROT_WRITE);
  Pinning pinning = device.pin_async(memory.bytes().subspan(100, 3_MiB));
  BOOST_TEST(pinning.bytes() == 3_MiB + page);
  BOOST_REQUIRE(readable(pinning.fd(), kLateMs));
  BOOST_TEST(pinning.done());
  BOOST_TEST(pinning.bytes_done() == 3_MiB + page);
  Pinning moved = std::move(pinning);
  const Buffer buffer = moved.get();
  BOOST_TEST(buffer.bytes().data() == memory.bytes().data() + 100);
  BOOST_TEST(buffer.info().length == 3_MiB);
  BOOST_TEST(buffer.info().flags == AIACCEL_PIN_WRITE);
  BOOST_TEST(readable(moved.fd(), 0));
  BOOST_TEST(error_of([&] { moved.get(); }) == EINVAL);
}

BOOST_AUTO_TEST_CASE(const_memory_is_pinned_for_reading) {
  const Device device = open_device();
  const Memory memory = map_anonymous(8 * page, PROT_READ);
  const Buffer buffer = device.pin_async(std::span<const std::byte>(memory.bytes())).get();
  BOOST_TEST(buffer.info().flags == 0u);
}

BOOST_AUTO_TEST_CASE(get_waits_while_others_look) {
  const Device device = open_device();
  if (const std::string why = why_no_pin(device, 4_MiB); !why.empty()) SKIP(why);
  const Memory memory = map_anonymous(4_MiB, PROT_READ | PROT_WRITE);
  Pinning pinning = device.pin_async(memory.bytes(), {.threads = 2});
  std::jthread looker([&] {
    std::uint64_t last = 0;
    while (!pinning.done()) {
      const std::uint64_t now = pinning.bytes_done();
      if (now < last) std::abort();
      last = now;
    }
  });
  BOOST_TEST(pinning.get().info().length == 4_MiB);
}

BOOST_AUTO_TEST_CASE(it_can_be_cancelled) {
  const Device device = open_device();
  const std::uint64_t before = device.query().pinned_bytes;
  const Memory memory = map_anonymous(256_MiB, PROT_READ | PROT_WRITE);
  std::stop_source stop;
  stop.request_stop();
  Pinning stopped = device.pin_async(memory.bytes(), {.stop = stop.get_token()});
  BOOST_TEST(error_of([&] { stopped.get(); }) == ECANCELED);
  BOOST_TEST(error_of([&] { stopped.get(); }) == ECANCELED);
  BOOST_TEST(readable(stopped.fd(), 0));
  BOOST_TEST(stopped.bytes_done() == 0u);
  { const Pinning dropped = device.pin_async(memory.bytes()); }
  BOOST_TEST(device.query().pinned_bytes == before);
}

// Once some is there: unless all was touched by then, it ends without a pin.
BOOST_AUTO_TEST_CASE(it_can_be_cancelled_while_it_works) {
  const Device device = open_device();
  const std::uint64_t before = device.query().pinned_bytes;
  bool cancelled = false;
  for (int attempt = 0; attempt < 20 && !cancelled; ++attempt) {
    const Memory memory = map_anonymous(256_MiB, PROT_READ | PROT_WRITE);
    Pinning pinning = device.pin_async(memory.bytes());
    while (pinning.bytes_done() == 0 && !pinning.done()) std::this_thread::yield();
    pinning.cancel();
    const int error = error_of([&] { pinning.get(); });
    cancelled = error == ECANCELED;
    if (cancelled) {
      const std::size_t done = std::min<std::size_t>(pinning.bytes_done(), 64 * page);
      BOOST_TEST(done > 0u);
      BOOST_TEST(pages_there(memory.bytes().first(done)) == done / page);
    } else {
      // The other thread was that fast.
      BOOST_TEST(pinning.bytes_done() == 256_MiB);
      BOOST_TEST((error == 0 || error == ENOMEM));
    }
  }
  BOOST_TEST(cancelled);
  BOOST_TEST(device.query().pinned_bytes == before);
}

// Whoever's token it is need not outlive it, nor the other way round.
BOOST_AUTO_TEST_CASE(the_token_may_go_first_or_last) {
  const Device device = open_device();
  const Memory memory = map_anonymous(page, PROT_READ | PROT_WRITE);
  std::stop_source later;
  {
    std::optional<std::stop_source> sooner(std::in_place);
    Pinning one = device.pin_async(memory.bytes(), {.stop = sooner->get_token()});
    sooner.reset();
    BOOST_TEST(error_of([&] { one.get(); }) == 0);
    Pinning two = device.pin_async(memory.bytes(), {.stop = later.get_token()});
    BOOST_TEST(error_of([&] { two.get(); }) == 0);
  }
  BOOST_TEST(later.request_stop());
}

BOOST_AUTO_TEST_CASE(errors_are_of_whoever_gets_it) {
  const Device device = open_device();
  const Memory memory = map_anonymous(4 * page, PROT_READ);
  Pinning pinning = device.pin_async(memory.bytes());
  BOOST_REQUIRE(readable(pinning.fd(), kLateMs));
  BOOST_TEST(pinning.done());
  BOOST_TEST(error_of([&] { pinning.get(); }) == EFAULT);
  BOOST_TEST(error_of([&] { device.pin_async(memory.bytes().first(0)).get(); }) == EINVAL);
}

BOOST_AUTO_TEST_CASE(without_descriptors_there_is_none) {
  const Device device = open_device();
  const Memory memory = map_anonymous(page, PROT_READ | PROT_WRITE);
  rlimit limit{};
  BOOST_REQUIRE_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none{0, limit.rlim_max};
  BOOST_REQUIRE_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
  const int error = error_of([&] { device.pin_async(memory.bytes()); });
  BOOST_REQUIRE_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
  BOOST_TEST(error == EMFILE);
}

BOOST_AUTO_TEST_SUITE_END()
