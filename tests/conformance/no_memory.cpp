// SPDX-License-Identifier: MIT
//
// No memory for the library: each of its allocations fails once, in turn. A call that says so has
// changed nothing.
#include <sys/mman.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <vector>

#include "device.hpp"
#include "fail_new.hpp"

using namespace conformance;

namespace {

constexpr const char* kOwnProcess =
    "what cannot be allocated is the embedded arbiter's or the broker's client's";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kLockedKib = 0;  // sanitizers make mlock do nothing
#else
constexpr uint64_t kLockedKib = 4;  // of a page
#endif

size_t open_descriptors() {
  const std::filesystem::path folder = "/proc/self/fd";
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder),
                                           std::filesystem::directory_iterator()));
}

uint64_t locked_kib() {
  uint64_t kib = 0;
  FILE* status = std::fopen("/proc/self/status", "re");
  char line[256];
  while (std::fgets(line, sizeof line, status)) std::sscanf(line, "VmLck: %lu", &kib);
  std::fclose(status);
  return kib;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(no_memory)

BOOST_AUTO_TEST_CASE(a_buffer_that_is_refused_leaves_nothing) {
  if (!on("embedded")) SKIP(kOwnProcess);
  Device device;
  const size_t descriptors = open_descriptors();
  aiaccel_alloc arg{};
  fail_new::each_allocation(
      [&] {
        arg = {};
        arg.size = sizeof arg;
        arg.length = 8192;
        return aiaccel_call(device.handle(), AIACCEL_IOC_ALLOC, &arg);
      },
      [&](int result, bool failed) {
        if (result == 0) {
          BOOST_TEST(device.destroy(arg.id) == 0);
        } else {
          BOOST_TEST(failed);
          BOOST_TEST(result == -ENOMEM);
        }
        BOOST_TEST(device.query().pinned_bytes == 0u);
        BOOST_TEST(open_descriptors() == descriptors);
      });
}

BOOST_AUTO_TEST_CASE(a_pin_that_is_refused_leaves_nothing) {
  if (!on("embedded")) SKIP(kOwnProcess);
  Device device;
  const uint64_t locked = locked_kib();
  void* memory =
      mmap(nullptr, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  BOOST_REQUIRE(memory != MAP_FAILED);
  // With the page in the middle held, there are ranges to be split and made.
  aiaccel_pin middle{};
  middle.addr = reinterpret_cast<uintptr_t>(memory) + 4096;
  middle.length = 4096;
  BOOST_REQUIRE(device.call(AIACCEL_IOC_PIN, middle) == 0);
  aiaccel_pin arg{};
  fail_new::each_allocation(
      [&] {
        arg = {};
        arg.size = sizeof arg;
        arg.addr = reinterpret_cast<uintptr_t>(memory);
        arg.length = 3 * 4096;
        return aiaccel_call(device.handle(), AIACCEL_IOC_PIN, &arg);
      },
      [&](int result, bool failed) {
        if (result == 0) {
          BOOST_TEST(device.destroy(arg.id) == 0);
        } else {
          BOOST_TEST(failed);
          BOOST_TEST(result == -ENOMEM);
        }
        BOOST_TEST(device.query().pinned_bytes == 4096u);
        BOOST_TEST(locked_kib() == locked + kLockedKib);
      });
  BOOST_TEST(device.destroy(middle.id) == 0);
  BOOST_TEST(locked_kib() == locked);
  munmap(memory, 3 * 4096);
}

BOOST_AUTO_TEST_CASE(an_acquire_that_fails_leaves_no_job_and_loses_no_event) {
  if (!on("embedded")) SKIP(kOwnProcess);
  Device device;
  const uint32_t queue = device.must_queue();
  uint64_t last_cookie = 0;
  aiaccel_grant grant{};
  auto events_of_others = [&] {
    // More of them than fit into what is allocated already.
    for (int i = 0; i < 40; ++i) {
      BOOST_REQUIRE(device.submit(job(++last_cookie, queue)) == 0);
      BOOST_REQUIRE(device.cancel(last_cookie) == 0);
    }
  };
  events_of_others();
  fail_new::each_allocation(
      [&] {
        const aiaccel_job own = job(0, queue);
        return aiaccel_acquire(device.handle(), &own, late(), -1, &grant);
      },
      [&](int result, bool failed) {
        if (result == 0) {
          BOOST_TEST(aiaccel_complete(device.handle(), &grant) == 0);
        } else {
          BOOST_TEST(failed);
          BOOST_TEST(result == -ENOMEM);
        }
        const aiaccel_stats_engine engine = device.engine_stats();
        BOOST_TEST(engine.slots_used == 0u);
        BOOST_TEST(engine.jobs_waiting == 0u);
        const std::vector<aiaccel_event> events = device.events();
        BOOST_REQUIRE(events.size() == 40u);
        for (size_t i = 0; i < events.size(); ++i)
          BOOST_TEST(events[i].cookie == last_cookie - 39 + i);
        events_of_others();
      });
}

BOOST_AUTO_TEST_CASE(a_descriptor_that_is_refused_leaves_no_answer_to_another_call) {
  if (!on("broker")) SKIP("only the broker's client asks another process for it");
  std::optional<Device> device(std::in_place);
  fail_new::each_allocation([&] { return aiaccel_fd(device->handle()); },
                            [&](int result, bool failed) {
                              if (result < 0) {
                                BOOST_TEST(failed);
                                BOOST_TEST(result == -ENOMEM);
                                aiaccel_query query{};
                                const int asked = device->call(AIACCEL_IOC_QUERY, query);
                                BOOST_TEST((asked == -ECONNRESET || query.nr_engines > 0));
                              }
                              device.emplace();
                            });
}

BOOST_AUTO_TEST_SUITE_END()
