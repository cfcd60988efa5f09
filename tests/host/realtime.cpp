// SPDX-License-Identifier: MIT
//
// Promises of time as a client meets them: who gets one, who is refused for another's, and that a
// job has its turn once a period. The test behind it is tests/core/realtime.cpp's.
#include <cerrno>

#include "arbiter.hpp"

using namespace arbiter;

namespace {

constexpr uint64_t kMs = 1000000;

aiaccel_queue_create queue_arg(uint32_t class_, uint64_t budget_ns, uint64_t period_ns = 0) {
  aiaccel_queue_create arg{};
  arg.engine = kGpu;  // gated: its grace is 100 ms
  arg.class_ = class_;
  arg.budget_ns = budget_ns;
  arg.period_ns = period_ns;
  arg.width = period_ns ? 1 : 0;
  return arg;
}
int create(Client& client, aiaccel_queue_create& arg) {
  return client.call(AIACCEL_IOC_QUEUE_CREATE, arg);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(realtime)

BOOST_AUTO_TEST_CASE(a_promise_is_given_where_it_can_be_kept) {
  Arbiter host;
  Client root(host, 0, true);
  Client user(host, 1000);
  aiaccel_queue_create arg = queue_arg(AIACCEL_CLASS_REALTIME, 10 * kMs, 300 * kMs);
  BOOST_TEST(create(user, arg) == -EPERM);
  BOOST_TEST(arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_CLASS));
  BOOST_REQUIRE(create(root, arg) == 0);  // 110 / 190
  BOOST_TEST(create(root, arg) == -EDQUOT);
  BOOST_TEST(arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_DEADLINES));

  // What others want is refused where it could delay the promised turn.
  aiaccel_queue_create other = queue_arg(AIACCEL_CLASS_NORMAL, 0);  // a second
  BOOST_TEST(create(user, other) == -EDQUOT);
  BOOST_TEST(other.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_DEADLINES));
  other = queue_arg(AIACCEL_CLASS_NORMAL, 10 * kMs);
  BOOST_TEST(create(user, other) == 0);
  aiaccel_destroy destroy{};
  destroy.id = arg.id;
  BOOST_REQUIRE(root.call(AIACCEL_IOC_DESTROY, destroy) == 0);
  other = queue_arg(AIACCEL_CLASS_NORMAL, 0);
  BOOST_TEST(create(user, other) == 0);
}

BOOST_AUTO_TEST_CASE(none_is_given_where_turns_need_not_end) {
  Arbiter host;
  Client root(host, 0, true);
  aiaccel_queue_create arg = queue_arg(AIACCEL_CLASS_REALTIME, 10 * kMs, 300 * kMs);
  arg.engine = kCpu;
  BOOST_TEST(create(root, arg) == -EOPNOTSUPP);
  arg.engine = kGpu;
  arg.width = 2;
  BOOST_TEST(create(root, arg) == -EINVAL);
  BOOST_TEST(root.queue(kGpu) != 0u);
}

BOOST_AUTO_TEST_CASE(one_job_a_period) {
  Arbiter host;
  Client root(host, 0, true);
  aiaccel_queue_create arg = queue_arg(AIACCEL_CLASS_REALTIME, 10 * kMs, 3000 * kMs);
  BOOST_REQUIRE(create(root, arg) == 0);
  BOOST_REQUIRE(root.submit(1, arg.id) == 0);
  const uint32_t generation = root.must_event(1, AIACCEL_EVENT_GRANTED).generation;
  BOOST_REQUIRE(root.complete(1, generation) == 0);
  BOOST_REQUIRE(root.submit(2, arg.id) == 0);
  BOOST_TEST(host.engines[1]->sched.slots_used == 0u);  // though nobody else wants it
  host.tick(aiaccel::host::monotonic_ns() + 3100 * kMs);
  root.must_event(2, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_SUITE_END()
