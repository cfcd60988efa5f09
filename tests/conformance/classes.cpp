// SPDX-License-Identifier: MIT
//
// The C interface beyond calls, and the C++ classes over it.
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <aiaccel/buffer.hpp>
#include <aiaccel/device.hpp>
#include <aiaccel/queue.hpp>
#include <aiaccel/units.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "device.hpp"

using namespace aiaccel::literals;
namespace conf = conformance;

namespace {

aiaccel_job any_job(uint32_t queue, uint32_t width) {
  return conf::job(0, queue, {.width = width});
}

int error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const aiaccel::Error& error) {
    return error.code().value();
  }
  return 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(c_interface)

BOOST_AUTO_TEST_CASE(opening_by_name) {
  aiaccel_device* device = nullptr;
  BOOST_TEST(aiaccel_open("nonsense", &device) == -EINVAL);
  BOOST_TEST(aiaccel_open("", &device) == -EINVAL);
  BOOST_TEST(!device);
  aiaccel_close(nullptr);
  conf::Device opened;
  BOOST_TEST(std::string(aiaccel_transport(opened.handle())) == conf::transport());
  setenv("AIACCEL_TRANSPORT", conf::transport().c_str(), 1);
  BOOST_REQUIRE(aiaccel_open(nullptr, &device) == 0);
  BOOST_TEST(std::string(aiaccel_transport(device)) == conf::transport());
  aiaccel_close(device);
  unsetenv("AIACCEL_TRANSPORT");
  BOOST_TEST(std::string(aiaccel_version()) == AIACCEL_VERSION);
}

BOOST_AUTO_TEST_CASE(auto_takes_the_first_that_answers) {
  const bool module_here = access("/dev/aiaccel", F_OK) == 0;
  if (module_here && !conf::on("kernel")) SKIP("the module answers first");
  const char* broker = getenv("AIACCEL_BROKER");
  const std::string was = broker ? broker : "";
  if (conf::on("embedded")) {  // nobody listens there, and nobody can
    setenv("AIACCEL_BROKER", "/proc/none/broker.sock", 1);
  }
  aiaccel_device* device = nullptr;
  BOOST_REQUIRE(aiaccel_open("auto", &device) == 0);
  BOOST_TEST(std::string(aiaccel_transport(device)) == conf::transport());
  aiaccel_close(device);
  if (was.empty())
    unsetenv("AIACCEL_BROKER");
  else
    setenv("AIACCEL_BROKER", was.c_str(), 1);
}

BOOST_AUTO_TEST_CASE(refusals_have_names) {
  for (uint32_t refusal = 0; refusal <= AIACCEL_REFUSED_DEADLINES; ++refusal)
    BOOST_TEST(std::strlen(aiaccel_refusal_name(refusal)) > 3u);
  BOOST_TEST(std::string(aiaccel_refusal_name(AIACCEL_REFUSED_RLIMIT)) == "RLIMIT_MEMLOCK");
  BOOST_TEST(std::string(aiaccel_refusal_name(12345)) != "");
}

BOOST_AUTO_TEST_CASE(acquire_and_complete) {
  conf::Device device;
  const uint32_t queue = device.must_queue();
  for (int i = 0; i < 300; ++i) {
    const aiaccel_job job = any_job(queue, device.slots());
    aiaccel_grant grant{};
    const uint64_t before = conf::now_ns();
    BOOST_REQUIRE(aiaccel_acquire(device.handle(), &job, AIACCEL_NEVER, -1, &grant) == 0);
    BOOST_REQUIRE((grant.cookie >> 63) == 1u);
    BOOST_REQUIRE(grant.generation != 0u);
    BOOST_REQUIRE(grant.granted_ns >= before);
    BOOST_REQUIRE(*grant.yield_word != grant.generation);
    BOOST_REQUIRE(aiaccel_complete(device.handle(), &grant) == 0);
    BOOST_REQUIRE(aiaccel_complete(device.handle(), &grant) == -ENOENT);
  }
  BOOST_TEST(device.events().empty());
}

BOOST_AUTO_TEST_CASE(acquire_gives_up_in_time_and_when_cancelled) {
  conf::Device holder;
  conf::Device device;
  const uint32_t slots = holder.slots();
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots);
  const uint32_t queue = device.must_queue();
  const aiaccel_job job = any_job(queue, slots);
  aiaccel_grant grant{};
  BOOST_TEST(aiaccel_acquire(device.handle(), &job, conf::now_ns() + 5'000'000, -1, &grant) ==
             -ETIMEDOUT);
  BOOST_TEST(aiaccel_acquire(device.handle(), &job, 0, -1, &grant) == -ETIMEDOUT);
  const int cancel = eventfd(0, EFD_CLOEXEC);
  BOOST_TEST(aiaccel_acquire(device.handle(), &job, conf::now_ns() + 5'000'000, cancel, &grant) ==
             -ETIMEDOUT);
  ssize_t written = 0;  // Boost's assertions are for one thread
  std::thread canceller([&] {
    const uint64_t one = 1;
    written = write(cancel, &one, sizeof one);
  });
  BOOST_TEST(aiaccel_acquire(device.handle(), &job, conf::late(), cancel, &grant) == -ECANCELED);
  canceller.join();
  BOOST_TEST(written == 8);
  BOOST_TEST(device.engine_stats().jobs_waiting == 0u);
  uint64_t drained;
  BOOST_TEST(read(cancel, &drained, sizeof drained) == 8);

  BOOST_REQUIRE(holder.complete(1, generation) == 0);
  BOOST_TEST(aiaccel_acquire(device.handle(), &job, conf::late(), cancel, &grant) == 0);
  BOOST_TEST(aiaccel_complete(device.handle(), &grant) == 0);
  close(cancel);
}

BOOST_AUTO_TEST_CASE(a_signal_withdraws_what_was_to_be_acquired) {
  conf::Device holder;
  conf::Device device;
  const uint32_t slots = holder.slots();
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots);
  const aiaccel_job job = any_job(device.must_queue(), slots);
  struct sigaction action {};
  struct sigaction old;
  action.sa_handler = [](int) {};
  BOOST_REQUIRE(sigaction(SIGALRM, &action, &old) == 0);
  const itimerval often{{0, 20'000}, {0, 20'000}};
  setitimer(ITIMER_REAL, &often, nullptr);
  aiaccel_grant grant{};
  const int result = aiaccel_acquire(device.handle(), &job, conf::late(), -1, &grant);
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &old, nullptr);
  BOOST_TEST(result == -EINTR);
  BOOST_TEST(device.engine_stats().jobs_waiting == 0u);
  BOOST_REQUIRE(holder.complete(1, generation) == 0);
  BOOST_TEST(device.events().empty());
}

BOOST_AUTO_TEST_CASE(a_turn_that_comes_later_is_taken_with_a_cancel_descriptor) {
  conf::Device holder;
  conf::Device device;
  const uint32_t slots = holder.slots();
  const uint32_t queue = device.must_queue();
  const int cancel = eventfd(0, EFD_CLOEXEC);
  for (int i = 0; i < 20; ++i) {
    const uint32_t generation = holder.must_hold(1, holder.must_queue(), slots);
    int completed = 1;
    std::thread later([&] { completed = holder.complete(1, generation); });
    const aiaccel_job job = any_job(queue, slots);
    aiaccel_grant grant{};
    BOOST_REQUIRE(aiaccel_acquire(device.handle(), &job, conf::late(), cancel, &grant) == 0);
    later.join();
    BOOST_REQUIRE(completed == 0);
    BOOST_REQUIRE(aiaccel_complete(device.handle(), &grant) == 0);
  }
  close(cancel);
}

BOOST_AUTO_TEST_CASE(events_of_other_jobs_are_kept) {
  conf::Device device;
  const uint32_t queue = device.must_queue();
  BOOST_REQUIRE(device.submit(conf::job(5, queue)) == 0);
  BOOST_REQUIRE(device.cancel(5) == 0);  // leaves its event
  const aiaccel_job job = any_job(queue, 1);
  aiaccel_grant grant{};
  BOOST_REQUIRE(aiaccel_acquire(device.handle(), &job, conf::late(), -1, &grant) == 0);
  BOOST_REQUIRE(aiaccel_complete(device.handle(), &grant) == 0);
  const auto events = device.events();
  BOOST_REQUIRE(events.size() == 1u);
  BOOST_TEST(events[0].cookie == 5u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(classes)

BOOST_AUTO_TEST_CASE(device_and_engines) {
  const aiaccel::Device device = aiaccel::Device::open(conf::transport());
  BOOST_TEST(device.transport() == conf::transport());
  const auto engines = device.engines();
  BOOST_REQUIRE(engines.size() == device.query().nr_engines);
  const aiaccel::Engine engine = device.engine("cpu0");
  BOOST_TEST(engine.slots() >= 1u);
  BOOST_TEST(device.engine(std::string(engines[0].name())).id() == engines[0].id());
  BOOST_TEST(error_of([&] { device.engine("gpu77"); }) == ENOENT);
  BOOST_TEST(error_of([] { aiaccel::Device::open("nonsense"); }) == EINVAL);
}

BOOST_AUTO_TEST_CASE(buffers) {
  const aiaccel::Device device = aiaccel::Device::open(conf::transport());
  const uint64_t before = device.query().pinned_bytes;
  {
    aiaccel::Buffer buffer = device.alloc(1_MiB, near(device.engine("cpu0")));
    BOOST_TEST(buffer.size() == 1_MiB);
    buffer.bytes()[1_MiB - 1] = std::byte{1};
    aiaccel::Buffer moved = std::move(buffer);
    BOOST_TEST(moved.info().length == 1_MiB);
    void* memory = std::aligned_alloc(4096, 64_KiB);
    std::memset(memory, 1, 64_KiB);
    {
      aiaccel::Buffer pinned = device.pin(std::span(static_cast<std::byte*>(memory), 64_KiB));
      BOOST_TEST(pinned.info().charged_bytes == 64_KiB);
      BOOST_TEST(device.query().pinned_bytes == before + 1_MiB + 64_KiB);
    }
    std::free(memory);
  }
  BOOST_TEST(device.query().pinned_bytes == before);
  try {
    device.alloc(1ULL << 45);
    BOOST_TEST(false);
  } catch (const aiaccel::Error& error) {
    BOOST_TEST(error.refused_by() != static_cast<uint32_t>(AIACCEL_REFUSED_NOT));
    BOOST_TEST(std::string(error.what()).find(aiaccel_refusal_name(error.refused_by())) !=
               std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(queues_and_grants) {
  const aiaccel::Device device = aiaccel::Device::open(conf::transport());
  const aiaccel::Device rival = aiaccel::Device::open(conf::transport());
  aiaccel::Queue queue =
      device.engine("cpu0").queue({.label = "c++@1", .width = device.engine("cpu0").slots()});
  aiaccel::Queue urgent = rival.engine("cpu0").queue({.priority = aiaccel::Class::high});
  aiaccel::Grant grant = queue.acquire();
  BOOST_TEST(!grant.yield_wanted());
  BOOST_TEST(error_of([&] { queue.acquire(); }) == EDEADLK);
  BOOST_TEST(error_of([&] {
               urgent.acquire({.timeout = aiaccel::Clock::now() + std::chrono::milliseconds(5)});
             }) == ETIMEDOUT);
  std::stop_source stop;
  std::jthread stopper([&] {
    conf::eventually([&] { return grant.yield_wanted(); });
    stop.request_stop();
  });
  BOOST_TEST(error_of([&] { urgent.acquire({}, stop.get_token()); }) == ECANCELED);
  stopper.join();
  BOOST_TEST(grant.yield_wanted());
  grant.complete();
  grant.complete();
  BOOST_TEST(error_of([&] { urgent.acquire({.width = 100000}); }) == EINVAL);
  BOOST_TEST(error_of([&] { device.engine("cpu0").queue({.label = "line\nbreak"}); }) == EINVAL);
  BOOST_TEST(error_of([&] { device.engine("cpu0").queue({.label = std::string(64, 'a')}); }) ==
             EINVAL);
  { aiaccel::Grant again = urgent.acquire(); }
  aiaccel::Grant last = queue.acquire();
}

BOOST_AUTO_TEST_CASE(what_was_made_outlives_the_device) {
  std::optional<aiaccel::Queue> queue;
  {
    const aiaccel::Device device = aiaccel::Device::open(conf::transport());
    queue.emplace(device.engine("cpu0").queue());
  }
  aiaccel::Grant grant = queue->acquire();
  grant.complete();
}

BOOST_AUTO_TEST_SUITE_END()
