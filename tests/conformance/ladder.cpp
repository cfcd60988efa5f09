// SPDX-License-Identifier: MIT
//
// The calling convention: numbers, sizes, tails, flags, reserved fields, ranges and ids of each
// call, in the order of errors that the UAPI header fixes.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <functional>
#include <vector>

#include "device.hpp"

using namespace conformance;

namespace {

// One call in raw bytes, with arguments that are taken.
struct Sample {
  const char* name;
  unsigned long request;
  std::vector<unsigned char> bytes;
  uint32_t first_size;  // of the struct's first version
};

template <typename T>
Sample sample(const char* name, unsigned long request, const T& arg,
              uint32_t first_size = sizeof(T)) {
  Sample made{name, request, std::vector<unsigned char>(sizeof arg), first_size};
  std::memcpy(made.bytes.data(), &arg, sizeof arg);
  return made;
}

void set_size(std::vector<unsigned char>& bytes, uint32_t size) {
  std::memcpy(bytes.data(), &size, sizeof size);
}

int raw(Device& device, unsigned long request, std::vector<unsigned char>& bytes) {
  return aiaccel_call(device.handle(), request, bytes.data());
}

// Anonymous memory: a static object may lie in a page of the program's file.
void* page() {
  static void* const page =
      mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page;
}

std::vector<Sample> samples(Device& device) {
  aiaccel_engine_info engine{};
  engine.id = device.engine().id;
  aiaccel_stats stats{};
  stats.kind = AIACCEL_STATS_ENGINES;
  stats.record_size = sizeof(aiaccel_stats_engine);
  aiaccel_destroy destroy{};
  destroy.id = device.must_queue();
  aiaccel_alloc alloc{};
  alloc.length = 1;
  aiaccel_pin pin{};
  pin.addr = reinterpret_cast<uintptr_t>(page());
  pin.length = 1;
  aiaccel_buffer_info info{};
  info.id = device.must_alloc(1).id;
  aiaccel_quota quota{};
  quota.kind = AIACCEL_BUFFER_ALLOCATED;
  aiaccel_export exported{};
  exported.id = info.id;
  aiaccel_buffer_revoke buffer_revoke{};
  buffer_revoke.id = device.must_alloc(1).id;
  aiaccel_reserve reserve{};
  reserve.engine = device.engine().id;
  aiaccel_control control{};
  control.state = AIACCEL_ENGINE_ACTIVE;
  aiaccel_revoke revoke{};
  revoke.tenant = device.query().tenant;
  aiaccel_policy policy{};
  policy.rule_size = sizeof(aiaccel_policy_rule);
  return {
      sample("QUERY", AIACCEL_IOC_QUERY, aiaccel_query{}),
      sample("ENGINE_LIST", AIACCEL_IOC_ENGINE_LIST, aiaccel_engine_list{}),
      sample("ENGINE_INFO", AIACCEL_IOC_ENGINE_INFO, engine),
      sample("STATS", AIACCEL_IOC_STATS, stats),
      sample("ALLOC", AIACCEL_IOC_ALLOC, alloc),
      sample("PIN", AIACCEL_IOC_PIN, pin),
      sample("BUFFER_INFO", AIACCEL_IOC_BUFFER_INFO, info, offsetof(aiaccel_buffer_info, tenant)),
      sample("QUOTA", AIACCEL_IOC_QUOTA, quota),
      sample("EXPORT", AIACCEL_IOC_EXPORT, exported),
      sample("BUFFER_REVOKE", AIACCEL_IOC_BUFFER_REVOKE, buffer_revoke),
      sample("RESERVE", AIACCEL_IOC_RESERVE, reserve),
      sample("QUEUE_CREATE", AIACCEL_IOC_QUEUE_CREATE, device.queue_arg()),
      sample("ENTER", AIACCEL_IOC_ENTER, aiaccel_enter{}),
      sample("CONTROL", AIACCEL_IOC_CONTROL, control),
      sample("REVOKE", AIACCEL_IOC_REVOKE, revoke),
      sample("POLICY", AIACCEL_IOC_POLICY, policy),
      sample("DESTROY", AIACCEL_IOC_DESTROY, destroy),
  };
}

// A change to an otherwise good argument, and the error it must bring.
template <typename T>
void refuses(Device& device, unsigned long request, const T& good, int error,
             const std::function<void(T&)>& spoil, const char* what) {
  T arg = good;
  spoil(arg);
  const T before = arg;
  BOOST_TEST_CONTEXT(what) {
    BOOST_TEST(device.call(request, arg) == -error);
    // Nothing is written back but size, which call() sets, and refused_by.
    if constexpr (requires { arg.refused_by; }) arg.refused_by = before.refused_by;
    arg.size = before.size;
    BOOST_TEST(std::memcmp(&arg, &before, sizeof arg) == 0);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(ladder)

BOOST_AUTO_TEST_CASE(unknown_number_is_enotty) {
  Device device;
  uint32_t size = 4;
  BOOST_TEST(aiaccel_call(device.handle(), _IO(AIACCEL_IOC_TYPE, 0x7f), &size) == -ENOTTY);
  BOOST_TEST(aiaccel_call(device.handle(), _IO(0x00, 0x00), &size) == -ENOTTY);
  BOOST_TEST(aiaccel_call(device.handle(), 0xffffff01UL, &size) == -ENOTTY);
}

BOOST_AUTO_TEST_CASE(no_struct_is_efault) {
  Device device;
  BOOST_TEST(aiaccel_call(device.handle(), AIACCEL_IOC_QUERY, nullptr) == -EFAULT);
}

BOOST_AUTO_TEST_CASE(short_struct_is_einval) {
  Device device;
  for (Sample& sample : samples(device)) {
    BOOST_TEST_CONTEXT(sample.name) {
      for (uint32_t wrong : {0u, 4u, sample.first_size - 1}) {
        set_size(sample.bytes, wrong);
        BOOST_TEST(raw(device, sample.request, sample.bytes) == -EINVAL);
      }
    }
  }
}

// What is beyond the caller's size is not touched.
BOOST_AUTO_TEST_CASE(a_struct_of_the_first_version_is_taken) {
  Device device;
  for (Sample& sample : samples(device)) {
    if (sample.first_size == sample.bytes.size()) continue;
    BOOST_TEST_CONTEXT(sample.name) {
      std::fill(sample.bytes.begin() + sample.first_size, sample.bytes.end(), 0x5a);
      set_size(sample.bytes, sample.first_size);
      const std::vector<unsigned char> before = sample.bytes;
      BOOST_TEST(raw(device, sample.request, sample.bytes) == 0);
      BOOST_TEST((sample.bytes != before));
      BOOST_TEST(std::equal(before.begin() + sample.first_size, before.end(),
                            sample.bytes.begin() + sample.first_size));
    }
  }
}

BOOST_AUTO_TEST_CASE(longer_struct_with_zeros_is_taken) {
  Device device;
  for (Sample& sample : samples(device)) {
    BOOST_TEST_CONTEXT(sample.name) {
      sample.bytes.resize(sample.bytes.size() + 256);
      set_size(sample.bytes, static_cast<uint32_t>(sample.bytes.size()));
      BOOST_TEST(raw(device, sample.request, sample.bytes) == 0);
      uint32_t size;
      std::memcpy(&size, sample.bytes.data(), sizeof size);
      BOOST_TEST(size == sample.bytes.size());
    }
  }
}

BOOST_AUTO_TEST_CASE(longer_struct_with_more_is_e2big) {
  Device device;
  for (Sample& sample : samples(device)) {
    BOOST_TEST_CONTEXT(sample.name) {
      sample.bytes.resize(sample.bytes.size() + 256);
      set_size(sample.bytes, static_cast<uint32_t>(sample.bytes.size()));
      sample.bytes.back() = 1;
      BOOST_TEST(raw(device, sample.request, sample.bytes) == -E2BIG);
    }
  }
}

BOOST_AUTO_TEST_CASE(alloc_arguments) {
  Device device;
  aiaccel_alloc good{};
  good.length = 4096;
  auto refused = [&](int error, std::function<void(aiaccel_alloc&)> spoil, const char* what) {
    refuses<aiaccel_alloc>(device, AIACCEL_IOC_ALLOC, good, error, spoil, what);
  };
  refused(
      EOPNOTSUPP, [](auto& a) { a.flags = 1; }, "flags");
  refused(
      EOPNOTSUPP, [](auto& a) { a.placement = AIACCEL_PLACE_NEAR + 1; }, "placement");
  refused(
      EINVAL, [](auto& a) { a.__reserved = 1; }, "reserved");
  refused(
      EINVAL, [](auto& a) { a.length = 0; }, "no length");
  refused(
      EINVAL, [](auto& a) { a.node = 1; }, "a node that is not asked for");
  refused(
      EINVAL, [](auto& a) { a.engine = 1; }, "an engine that is not asked for");
  refused(
      EOVERFLOW, [](auto& a) { a.length = ~0ULL; }, "a length that wraps in pages");
  refused(
      EOPNOTSUPP, [](auto& a) { a.flags = 1, a.length = 0; }, "flags come before ranges");
  refused(
      EINVAL, [](auto& a) { a.placement = AIACCEL_PLACE_STRICT, a.node = -1; }, "node -1");
  refused(
      EINVAL, [](auto& a) { a.placement = AIACCEL_PLACE_STRICT, a.node = 1 << 20; },
      "a node that does not exist");
  refused(
      EINVAL, [](auto& a) { a.placement = AIACCEL_PLACE_PREFER, a.node = 1 << 20; },
      "a preferred node that does not exist");
  refused(
      ENOENT, [](auto& a) { a.placement = AIACCEL_PLACE_NEAR, a.engine = 999999; },
      "an engine that does not exist");
}

BOOST_AUTO_TEST_CASE(pin_arguments) {
  Device device;
  aiaccel_pin good{};
  good.addr = reinterpret_cast<uintptr_t>(page());
  good.length = 4096;
  auto refused = [&](int error, std::function<void(aiaccel_pin&)> spoil, const char* what) {
    refuses<aiaccel_pin>(device, AIACCEL_IOC_PIN, good, error, spoil, what);
  };
  refused(
      EOPNOTSUPP, [](auto& a) { a.flags = 4; }, "flags");
  refused(
      EINVAL, [](auto& a) { a.length = 0; }, "no length");
  refused(
      EOVERFLOW, [](auto& a) { a.addr = ~0ULL - 10, a.length = 4096; }, "the end wraps");
  refused(
      EOVERFLOW, [](auto& a) { a.addr = 1, a.length = ~0ULL - 1; }, "the last page wraps");
}

BOOST_AUTO_TEST_CASE(reserve_arguments) {
  Device device;
  aiaccel_reserve good{};
  good.engine = device.engine().id;
  aiaccel_reserve held = good;
  BOOST_REQUIRE(device.call(AIACCEL_IOC_RESERVE, held) == 0);
  auto refused = [&](int error, std::function<void(aiaccel_reserve&)> spoil, const char* what) {
    refuses<aiaccel_reserve>(device, AIACCEL_IOC_RESERVE, good, error, spoil, what);
  };
  refused(
      EOPNOTSUPP, [](auto& a) { a.flags = 1; }, "flags");
  refused(
      EINVAL, [](auto& a) { a.__reserved = 1; }, "reserved");
  refused(
      EINVAL, [&](auto& a) { a.id = held.id; }, "both an engine and a reservation");
  refused(
      ENOENT, [](auto& a) { a.engine = 999999; }, "an engine that does not exist");
  refused(
      ENOENT, [](auto& a) { a.engine = 0; }, "neither");
  refused(
      ENOENT, [](auto& a) { a.engine = 0, a.id = 999999; }, "a reservation that does not exist");
  refused(
      ENOENT, [&](auto& a) { a.engine = 0, a.id = device.must_queue(); }, "a queue");
  refused(
      EOPNOTSUPP, [](auto& a) { a.flags = 1, a.engine = 999999; }, "flags come before ids");
}

BOOST_AUTO_TEST_CASE(control_arguments) {
  Device device;
  aiaccel_control good{};
  good.state = AIACCEL_ENGINE_ACTIVE;
  auto refused = [&](int error, std::function<void(aiaccel_control&)> spoil, const char* what) {
    refuses<aiaccel_control>(device, AIACCEL_IOC_CONTROL, good, error, spoil, what);
  };
  refused(
      EOPNOTSUPP, [](auto& a) { a.flags = 1; }, "flags");
  refused(
      EOPNOTSUPP, [](auto& a) { a.state = 0; }, "no state");
  refused(
      EOPNOTSUPP, [](auto& a) { a.state = AIACCEL_ENGINE_FAULTED; }, "faulted");
  refused(
      EINVAL, [](auto& a) { a.state = AIACCEL_ENGINE_LEAVING, a.engine = 999999; },
      "one engine that leaves");
  refused(
      ENOENT, [](auto& a) { a.engine = 999999; }, "an engine that does not exist");
}

BOOST_AUTO_TEST_CASE(revoke_arguments) {
  Device device;
  aiaccel_revoke good{};
  good.tenant = device.query().tenant;
  auto refused = [&](int error, std::function<void(aiaccel_revoke&)> spoil, const char* what) {
    refuses<aiaccel_revoke>(device, AIACCEL_IOC_REVOKE, good, error, spoil, what);
  };
  refused(
      EOPNOTSUPP, [](auto& a) { a.flags = 2; }, "flags");
  refused(
      EINVAL, [](auto& a) { a.tenant = 0; }, "neither");
  refused(
      EINVAL, [](auto& a) { a.context = 1; }, "both");
  refused(
      ENOENT, [](auto& a) { a.tenant = ~0ULL; }, "a tenant that does not exist");
  refused(
      ENOENT, [](auto& a) { a.tenant = 0, a.context = ~0ULL; }, "a context that does not exist");
  refused(
      ENOENT, [](auto& a) { a.engine = 999999; }, "an engine that does not exist");
}

// What a transport does not carry out it says before it looks at the arguments.
BOOST_AUTO_TEST_CASE(what_the_capabilities_leave_out_is_eopnotsupp) {
  Device device;
  const uint64_t capabilities = device.query().capabilities;
  aiaccel_engine_register made{};
  aiaccel_engine_unregister gone{};
  if (capabilities & AIACCEL_CAP_REGISTER) return;
  BOOST_TEST(device.call(AIACCEL_IOC_ENGINE_REGISTER, made) == -EOPNOTSUPP);
  BOOST_TEST(device.call(AIACCEL_IOC_ENGINE_UNREGISTER, gone) == -EOPNOTSUPP);
}

BOOST_AUTO_TEST_CASE(queue_arguments) {
  Device device;
  const aiaccel_queue_create good = device.queue_arg();
  auto refused = [&](int error, std::function<void(aiaccel_queue_create&)> spoil,
                     const char* what) {
    refuses<aiaccel_queue_create>(device, AIACCEL_IOC_QUEUE_CREATE, good, error, spoil, what);
  };
  refused(
      EOPNOTSUPP, [](auto& a) { a.flags = 2; }, "flags");
  refused(
      EINVAL, [](auto& a) { a.class_ = AIACCEL_CLASS_REALTIME; }, "realtime, and no promise");
  refused(
      EINVAL, [](auto& a) { a.period_ns = AIACCEL_BUDGET_MIN_NS; }, "a period without realtime");
  refused(
      EOPNOTSUPP, [](auto& a) { a.class_ = 5; }, "a class that does not exist");
  refused(
      EINVAL, [](auto& a) { a.budget_ns = 1; }, "a short budget");
  refused(
      EINVAL, [](auto& a) { a.budget_ns = AIACCEL_BUDGET_MAX_NS + 1; }, "a long budget");
  refused(
      EINVAL, [](auto& a) { a.flags = AIACCEL_QUEUE_FILL; }, "normal work that fills");
  refused(
      EINVAL, [](auto& a) { a.__reserved = 1; }, "reserved");
  refused(
      EINVAL, [](auto& a) { a.weight = AIACCEL_WEIGHT_MAX + 1; }, "weight");
  refused(
      EINVAL, [](auto& a) { std::memset(a.label, 'a', sizeof a.label); }, "label without NUL");
  refused(
      EINVAL, [](auto& a) { a.label[0] = '\n'; }, "label with a control character");
  refused(
      EINVAL, [](auto& a) { a.label[0] = '\xe9'; }, "label beyond ASCII");
  refused(
      EINVAL, [](auto& a) { a.label[40] = 'x'; }, "label with more after its NUL");
  refused(
      ENOENT, [](auto& a) { a.engine = 999999; }, "an engine that does not exist");
  refused(
      EINVAL, [](auto& a) { a.engine = 999999, a.__reserved = 1; }, "ranges come before ids");
}

BOOST_AUTO_TEST_CASE(stats_arguments) {
  Device device;
  aiaccel_stats good{};
  good.kind = AIACCEL_STATS_QUEUES;
  good.record_size = sizeof(aiaccel_stats_queue);
  auto refused = [&](int error, std::function<void(aiaccel_stats&)> spoil, const char* what) {
    refuses<aiaccel_stats>(device, AIACCEL_IOC_STATS, good, error, spoil, what);
  };
  refused(
      EOPNOTSUPP, [](auto& a) { a.kind = 0; }, "kind 0");
  refused(
      EOPNOTSUPP, [](auto& a) { a.kind = AIACCEL_STATS_SNAPSHOT + 1; }, "the next kind");
  for (uint32_t size : {0u, 4u, 12u, 4104u, ~0u})
    refused(
        EINVAL, [=](auto& a) { a.record_size = size; }, "record_size");
  refused(
      EINVAL, [](auto& a) { a.kind = AIACCEL_STATS_SNAPSHOT; }, "record_size of a snapshot");
}

BOOST_AUTO_TEST_CASE(enter_arguments) {
  Device device;
  const aiaccel_enter good{};
  auto refused = [&](int error, std::function<void(aiaccel_enter&)> spoil, const char* what) {
    refuses<aiaccel_enter>(device, AIACCEL_IOC_ENTER, good, error, spoil, what);
  };
  std::vector<aiaccel_job> jobs(2000);
  const uint32_t max_jobs = device.query().max_jobs;
  const auto at = reinterpret_cast<uintptr_t>(jobs.data());
  refused(
      EOPNOTSUPP, [](auto& a) { a.flags = 1; }, "flags");
  refused(
      EINVAL, [=](auto& a) { a.jobs = at, a.nr_jobs = AIACCEL_ENTER_MAX + 1; }, "jobs");
  refused(
      EINVAL, [=](auto& a) { a.completions = at, a.nr_completions = ~0u; }, "completions");
  refused(
      EINVAL, [=](auto& a) { a.min_events = max_jobs + 1; }, "min_events");
  refused(
      EFAULT, [](auto& a) { a.nr_jobs = 1; }, "jobs that are not there");
  refused(
      EFAULT, [](auto& a) { a.nr_completions = 1; }, "completions that are not there");
}

BOOST_AUTO_TEST_CASE(job_arguments) {
  Device device;
  const uint32_t queue = device.must_queue();
  const uint32_t slots = device.slots();
  auto refused = [&](int error, std::function<void(aiaccel_job&)> spoil, const char* what) {
    aiaccel_job arg = job(1, queue);
    spoil(arg);
    BOOST_TEST_CONTEXT(what) BOOST_TEST(device.submit(arg) == -error);
  };
  refused(
      EOPNOTSUPP, [](auto& j) { j.flags = 1U << 31; }, "flags");
  refused(
      EINVAL, [](auto& j) { j.group = 1; }, "group");
  refused(
      EINVAL, [](auto& j) { j.group_size = 1; }, "group_size");
  refused(
      EINVAL, [](auto& j) { j.after = 1; }, "after");
  refused(
      EINVAL, [](auto& j) { j.buffer = 1; }, "buffer of a job of no set");
  refused(
      EINVAL, [](auto& j) { j.__reserved = 1; }, "reserved");
  refused(
      EINVAL, [](auto& j) { j.width = 0; }, "no width");
  refused(
      EINVAL, [=](auto& j) { j.width = slots + 1; }, "wider than the engine");
  refused(
      EINVAL, [](auto& j) { j.width = ~0u; }, "very wide");
  refused(
      ENOENT, [](auto& j) { j.queue = 999999; }, "queue");
  refused(
      ENOENT, [&](auto& j) { j.queue = device.must_alloc(1).id; }, "a buffer as queue");
  BOOST_TEST(device.events().empty());
}

BOOST_AUTO_TEST_CASE(completion_arguments) {
  Device device;
  BOOST_TEST(device.complete(1, 1, 4) == -EOPNOTSUPP);
  BOOST_TEST(device.complete(1, 1, AIACCEL_COMPLETE_CANCEL | AIACCEL_COMPLETE_RENEW) == -EINVAL);
  BOOST_TEST(device.complete(1, 1) == -ENOENT);
  BOOST_TEST(device.cancel(1) == -ENOENT);
}

BOOST_AUTO_TEST_CASE(ids_that_name_nothing_are_enoent) {
  Device device;
  Device other;
  aiaccel_buffer_info info{};
  for (uint32_t id : {0u, 999999u, ~0u}) {
    BOOST_TEST(device.destroy(id) == -ENOENT);
    info.id = id;
    BOOST_TEST(device.call(AIACCEL_IOC_BUFFER_INFO, info) == -ENOENT);
    aiaccel_engine_info engine{};
    engine.id = id;
    BOOST_TEST(device.call(AIACCEL_IOC_ENGINE_INFO, engine) == -ENOENT);
  }
  // A queue is no buffer, a reservation neither, and what belongs to one context means nothing in
  // another.
  aiaccel_reserve reserve{};
  reserve.engine = device.engine().id;
  BOOST_REQUIRE(device.call(AIACCEL_IOC_RESERVE, reserve) == 0);
  for (const uint32_t other_kind : {device.must_queue(), reserve.id}) {
    info.id = other_kind;
    BOOST_TEST(device.call(AIACCEL_IOC_BUFFER_INFO, info) == -ENOENT);
  }
  for (int i = 0; i < 3; ++i) device.must_alloc(1);
  const uint32_t id = device.must_alloc(1).id;
  BOOST_TEST(other.destroy(id) == -ENOENT);
}

BOOST_AUTO_TEST_SUITE_END()
