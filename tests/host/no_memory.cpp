// SPDX-License-Identifier: MIT
//
// No memory for the arbiter: each of its allocations fails once, in turn. A call that says so has
// changed nothing; one that did a part says which, and nobody waits for what that set free.
#include <cerrno>
#include <memory>

#include "arbiter.hpp"
#include "conformance/fail_new.hpp"

using namespace arbiter;

namespace {

// What of it is in use, as the administrator sees it.
struct Use {
  uint32_t queues = 0;
  uint32_t waiting = 0;
  uint64_t reserved_bytes = 0;
  uint64_t allocated_bytes = 0;
  size_t tenants = 0;

  explicit Use(Client& root) {
    for (const auto& engine : root.stats<aiaccel_stats_engine>(AIACCEL_STATS_ENGINES)) {
      queues += engine.queues;
      waiting += engine.jobs_waiting;
      reserved_bytes += engine.reserved_bytes;
    }
    const auto all = root.stats<aiaccel_stats_tenant>(AIACCEL_STATS_TENANTS);
    allocated_bytes = all[0].allocated_bytes;
    tenants = all.size();
  }
  bool operator==(const Use&) const = default;
};

bool is_no_memory(int result, bool failed) {
  return failed && result == -ENOMEM;
}

// Makes it and destroys it again: more often than the ceilings allow, where something stays
// charged.
template <typename T>
void make_and_destroy(unsigned long request, const T& wanted) {
  Arbiter host({.tenant_bytes = 40960, .tenant_lines = 8, .tenant_buffers = 8});
  Client root(host, 0, true);
  Client client(host);
  const Use before(root);
  T arg{};
  for (int round = 0; round < 10; ++round)
    fail_new::each_allocation(
        [&] {
          arg = wanted;
          return client.call(request, arg);
        },
        [&](int result, bool failed) {
          if (result == 0)
            BOOST_TEST(client.destroy(arg.id) == 0);
          else
            BOOST_TEST(is_no_memory(result, failed));
          BOOST_TEST((Use(root) == before));
        });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(no_memory)

BOOST_AUTO_TEST_CASE(what_is_not_made_is_not_charged) {
  aiaccel_reserve lease{};
  lease.engine = kGpu;
  lease.bytes = 600;
  make_and_destroy(AIACCEL_IOC_RESERVE, lease);
  aiaccel_queue_create queue{};
  queue.engine = kCpu;
  queue.class_ = AIACCEL_CLASS_NORMAL;
  std::strcpy(queue.label, "test@1");
  make_and_destroy(AIACCEL_IOC_QUEUE_CREATE, queue);
  aiaccel_alloc buffer{};
  buffer.length = 4096;
  make_and_destroy(AIACCEL_IOC_ALLOC, buffer);
}

BOOST_AUTO_TEST_CASE(what_is_not_passed_on_is_not_known) {
  constexpr aiaccel::host::Mark kMark{1, 2};
  Arbiter host({.tenant_lines = 2});
  Client root(host, 0, true);
  Client maker(host), other(host, 1001);
  aiaccel_alloc made{};
  made.length = 4096;
  BOOST_REQUIRE(maker.call(AIACCEL_IOC_ALLOC, made) == 0);
  aiaccel_export passed{};
  passed.id = made.id;
  aiaccel_import arg{};
  fail_new::each_allocation(
      [&] { return maker.call(AIACCEL_IOC_EXPORT, passed, nullptr, kMark); },
      [&](int result, bool failed) {
        if (result == 0) return;
        BOOST_TEST(is_no_memory(result, failed));
        BOOST_TEST(other.call(AIACCEL_IOC_IMPORT, arg, nullptr, kMark) == -EINVAL);
      });
  for (int round = 0; round < 5; ++round)
    fail_new::each_allocation([&] { return other.call(AIACCEL_IOC_IMPORT, arg, nullptr, kMark); },
                              [&](int result, bool failed) {
                                if (result == 0)
                                  BOOST_TEST(other.destroy(arg.id) == 0);
                                else
                                  BOOST_TEST(is_no_memory(result, failed));
                                aiaccel_buffer_info info{};
                                info.id = made.id;
                                BOOST_REQUIRE(maker.call(AIACCEL_IOC_BUFFER_INFO, info) == 0);
                                BOOST_TEST(info.handles == 1u);
                              });
}

BOOST_AUTO_TEST_CASE(who_cannot_be_remembered_leaves_no_tenant) {
  Arbiter host;
  Client root(host, 0, true);
  const Use before(root);
  fail_new::each_allocation(
      [&] {
        std::unique_ptr<aiaccel::host::Context> context;
        return aiaccel::host::Context::create(
            host, {1000, 1, "test", false}, [] {}, &context);
      },
      [&](int result, bool failed) {
        BOOST_TEST((result == 0 || is_no_memory(result, failed)));
        BOOST_TEST((Use(root) == before));
      });
}

// One call completes a turn, for whose slot another user waits, and submits the next job.
BOOST_AUTO_TEST_CASE(what_enter_did_before_it_failed_is_told_and_holds) {
  Arbiter host;
  Client holder(host);
  Client waiter(host, 1001);
  const uint32_t own = holder.queue(kGpu);
  const uint32_t others = waiter.queue(kGpu, AIACCEL_CLASS_HIGH);  // next, whoever had more time
  uint64_t cookie = 0;
  aiaccel_event held{};
  aiaccel_enter arg{};
  auto hold = [&] {
    BOOST_REQUIRE(holder.submit(++cookie, own) == 0);
    held = holder.must_event(cookie, AIACCEL_EVENT_GRANTED);
    BOOST_REQUIRE(waiter.submit(cookie, others) == 0);
    BOOST_REQUIRE(waiter.events().empty());
    holder.must_event(cookie, AIACCEL_EVENT_YIELD);
  };
  hold();
  fail_new::each_allocation(
      [&] {
        const aiaccel_completion completion{held.cookie, held.generation, 0};
        aiaccel_job job{};
        job.cookie = cookie + 1;
        job.queue = own;
        job.width = 1;
        arg = {};
        arg.completions = reinterpret_cast<uintptr_t>(&completion);
        arg.nr_completions = 1;
        arg.jobs = reinterpret_cast<uintptr_t>(&job);
        arg.nr_jobs = 1;
        return holder.call(AIACCEL_IOC_ENTER, arg);
      },
      [&](int result, bool failed) {
        if (result) {
          BOOST_TEST(is_no_memory(result, failed));
          BOOST_TEST(waiter.events().empty());  // the turn goes on
          return;
        }
        BOOST_TEST(arg.nr_completions == 1u);
        BOOST_TEST(arg.nr_jobs == (failed ? 0u : 1u));
        const aiaccel_event granted = waiter.must_event(cookie, AIACCEL_EVENT_GRANTED);
        BOOST_TEST(waiter.complete(granted.cookie, granted.generation) == 0);
        if (failed) hold();
      });
  holder.must_event(cookie + 1, AIACCEL_EVENT_GRANTED);
}

// Who ends turns because all goes wrong is not to be told that there is no memory for it.
BOOST_AUTO_TEST_CASE(turns_are_ended_without_any) {
  Arbiter host;
  Client root(host, 0, true);
  Client holder(host);
  Client waiter(host, 1001);
  BOOST_REQUIRE(holder.submit(1, holder.queue(kGpu)) == 0);
  BOOST_REQUIRE(waiter.submit(2, waiter.queue(kGpu)) == 0);
  aiaccel_revoke arg{};
  arg.tenant = holder.query().tenant;
  fail_new::g_until_failure = 0;
  const int result = root.call(AIACCEL_IOC_REVOKE, arg);
  fail_new::g_until_failure = fail_new::kNever;
  BOOST_TEST(result == 0);
  BOOST_TEST(arg.count == 1u);
  waiter.must_event(2, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(rules_that_cannot_be_taken_change_nothing) {
  Arbiter host;
  Client root(host, 0, true);
  Client client(host);
  std::vector<aiaccel_policy_rule> rules(10);
  for (aiaccel_policy_rule& rule : rules) {
    rule.match = AIACCEL_MATCH_USER;
    rule.uid = 1000;
    rule.sets = AIACCEL_SETS_DEVICE_BYTES;
    rule.device_bytes = 100;
  }
  fail_new::each_allocation(
      [&] {
        aiaccel_policy arg{};
        arg.flags = AIACCEL_POLICY_REPLACE;
        arg.rules = reinterpret_cast<uintptr_t>(rules.data());
        arg.count = static_cast<uint32_t>(rules.size());
        arg.rule_size = sizeof rules[0];
        return root.call(AIACCEL_IOC_POLICY, arg);
      },
      [&](int result, bool failed) {
        BOOST_TEST((result == 0 || is_no_memory(result, failed)));
        BOOST_TEST(client.query().max_device_bytes == (result ? AIACCEL_UNLIMITED : uint64_t{100}));
      });
}

BOOST_AUTO_TEST_SUITE_END()
