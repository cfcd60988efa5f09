// SPDX-License-Identifier: MIT
//
// Promises of time: who gets one, who is refused for another's sake, when its jobs have their
// turns, and what is left of a promise whose queue is gone. That what was admitted is kept is
// core/realtime.cpp's and sim's: here nothing fails for being slow.
#include <aiaccel/device.hpp>

#include <cerrno>
#include <optional>
#include <string>

#include "device.hpp"
#include "gated_engine.hpp"

using namespace conformance;
using namespace std::chrono_literals;

namespace {

constexpr uint64_t kMs = 1'000'000;

// On a gated engine, whose grace is 100 ms, such turns are 110 ms at most: V is 110 / (500 - 110).
constexpr uint64_t kBudget = 10 * kMs;
constexpr uint64_t kPeriod = 500 * kMs;

aiaccel_queue_create promise_arg(uint32_t engine, uint64_t period_ns = kPeriod) {
  aiaccel_queue_create arg{};
  arg.engine = engine;
  arg.class_ = AIACCEL_CLASS_REALTIME;
  arg.budget_ns = kBudget;
  arg.period_ns = period_ns;
  arg.width = 1;
  return arg;
}
aiaccel_queue_create other_arg(uint32_t engine, uint32_t class_, uint64_t budget_ns) {
  aiaccel_queue_create arg{};
  arg.engine = engine;
  arg.class_ = class_;
  arg.budget_ns = budget_ns;
  return arg;
}
int create(Device& device, aiaccel_queue_create arg, uint32_t* id = nullptr) {
  const int result = device.call(AIACCEL_IOC_QUEUE_CREATE, arg);
  const auto expected = result == -EDQUOT ? AIACCEL_REFUSED_DEADLINES : AIACCEL_REFUSED_NOT;
  BOOST_TEST(arg.refused_by == static_cast<uint32_t>(expected));
  if (id) *id = arg.id;
  return result;
}
uint32_t must_create(Device& device, const aiaccel_queue_create& arg) {
  uint32_t id = 0;
  BOOST_REQUIRE(create(device, arg, &id) == 0);
  return id;
}
// Whether it was in time: a machine that is slow may take longer for it than the budget and the
// grace.
bool end(Device& device, uint64_t cookie, uint32_t generation) {
  const int result = device.complete(cookie, generation);
  BOOST_TEST((result == 0 || result == -ESTALE));
  return result == 0;
}
uint64_t end_turn(Device& device, uint64_t cookie) {
  aiaccel_event granted;
  do granted = device.must_event();
  while (granted.cookie != cookie || !(granted.events & AIACCEL_EVENT_GRANTED));
  end(device, cookie, granted.generation);
  return granted.time_ns;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(realtime)

BOOST_AUTO_TEST_CASE(none_is_promised_where_turns_need_not_end) {
  Device device;
  BOOST_TEST(create(device, promise_arg(device.engine().id)) == -EOPNOTSUPP);
}

BOOST_AUTO_TEST_CASE(what_can_be_kept_is_promised_and_no_more) {
  Device device;
  Device other;
  GatedEngine gpu;
  if (!gpu) SKIP(kNoGatedEngine);
  aiaccel_queue_create wide = promise_arg(gpu.id());
  wide.width = 2;
  BOOST_TEST(create(device, wide) == -EINVAL);
  const uint32_t first = must_create(device, promise_arg(gpu.id()));             // 110 / 390
  const uint32_t second = must_create(other, promise_arg(gpu.id(), 600 * kMs));  // and 110 / 490
  const uint32_t third = must_create(other, promise_arg(gpu.id(), 600 * kMs));
  BOOST_TEST(create(device, promise_arg(gpu.id())) == -EDQUOT);  // 1.01; 17 / 20 are to be had
  // Longer turns of others would delay them.
  for (const uint32_t class_ : {AIACCEL_CLASS_IDLE, AIACCEL_CLASS_HIGH}) {
    BOOST_TEST(create(other, other_arg(gpu.id(), class_, 0)) == -EDQUOT);  // a second
    BOOST_TEST(create(other, other_arg(gpu.id(), class_, 100 * kMs)) == -EDQUOT);
    BOOST_TEST(create(other, other_arg(gpu.id(), class_, kBudget)) == 0);
  }
  BOOST_TEST(device.destroy(first) == 0);
  BOOST_TEST(other.destroy(second) == 0);
  BOOST_TEST(create(other, other_arg(gpu.id(), AIACCEL_CLASS_LOW, 0)) == -EDQUOT);
  BOOST_TEST(other.destroy(third) == 0);
  BOOST_TEST(create(other, other_arg(gpu.id(), AIACCEL_CLASS_LOW, 0)) == 0);
  BOOST_TEST(create(device, promise_arg(gpu.id())) == -EDQUOT);
}

BOOST_AUTO_TEST_CASE(it_goes_first_and_once_a_period) {
  Device device;
  Device holder;
  Device high;
  GatedEngine gpu;
  if (!gpu) SKIP(kNoGatedEngine);
  const uint32_t queue = must_create(device, promise_arg(gpu.id()));
  const aiaccel_queue_create beside = other_arg(gpu.id(), AIACCEL_CLASS_HIGH, kBudget);
  const uint32_t generation = holder.must_hold(1, must_create(holder, beside), 1);
  BOOST_REQUIRE(high.submit(job(2, must_create(high, beside))) == 0);
  const uint64_t from = now_ns();
  BOOST_REQUIRE(device.submit(job(3, queue)) == 0);
  // Else the one of class high may have come while it was alone in line.
  const bool were_both_in_line = end(holder, 1, generation);
  const uint64_t first = end_turn(device, 3);
  const uint64_t second = end_turn(high, 2);
  BOOST_TEST((second >= first || !were_both_in_line));
  // It may come early, and has its turn when its period is over.
  BOOST_REQUIRE(device.submit(job(4, queue)) == 0);
  BOOST_TEST(end_turn(device, 4) >= from + kPeriod);
}

BOOST_AUTO_TEST_CASE(its_jobs_are_as_promised) {
  Device device;
  GatedEngine gpu;
  if (!gpu) SKIP(kNoGatedEngine);
  const uint32_t queue = must_create(device, promise_arg(gpu.id()));
  BOOST_TEST(device.submit(job(1, queue, {.deadline_ns = now_ns()})) == -EINVAL);
  aiaccel_job grouped = job(1, queue);
  grouped.group = 7;
  grouped.group_size = 1;
  BOOST_TEST(device.submit(grouped) == -EINVAL);
  const uint32_t generation = device.must_hold(1, queue, 1);
  BOOST_TEST(device.complete(1, generation, AIACCEL_COMPLETE_RENEW) == -EAGAIN);
  BOOST_TEST(device.complete(1, generation) == 0);
}

// Opening and closing leaves nothing behind but the period of a job that was taken.
BOOST_AUTO_TEST_CASE(a_promise_ends_with_its_queue) {
  Device device;
  Device other;
  GatedEngine gpu;
  if (!gpu) SKIP(kNoGatedEngine);
  const uint64_t period = 250 * kMs;
  const aiaccel_queue_create whole = promise_arg(gpu.id(), period);  // 110 / 140
  for (uint64_t i = 1; i <= 200; ++i) {
    const uint32_t queue = must_create(device, whole);
    BOOST_REQUIRE(create(other, whole) == -EDQUOT);
    BOOST_REQUIRE(device.submit(job(i, queue)) == 0);
    BOOST_REQUIRE(device.destroy(queue) == 0);
    device.events();
  }
  std::optional<Device> dead;
  dead.emplace();
  const uint64_t taken = now_ns();
  dead->must_hold(1, must_create(*dead, whole), 1);
  BOOST_TEST(create(other, whole) == -EDQUOT);
  dead.reset();
  aiaccel_queue_create again = whole;
  BOOST_REQUIRE(eventually([&] { return other.call(AIACCEL_IOC_QUEUE_CREATE, again) == 0; }));
  BOOST_REQUIRE(other.submit(job(1, again.id)) == 0);
  BOOST_TEST(end_turn(other, 1) >= taken + period);
}

BOOST_AUTO_TEST_CASE(ten_thousand_are_refused_and_nothing_is_left) {
  Device device;
  GatedEngine gpu;
  if (!gpu) SKIP(kNoGatedEngine);
  const uint32_t queue = must_create(device, promise_arg(gpu.id(), 240 * kMs));  // 0.846
  const uint32_t before = device.own_tenant().queues;
  int refused = 0;
  for (uint64_t i = 0; i < 10'000; ++i) {
    aiaccel_queue_create arg = promise_arg(gpu.id(), kPeriod + i * kMs);  // 0.01 at least
    refused += device.call(AIACCEL_IOC_QUEUE_CREATE, arg) == -EDQUOT &&
               arg.refused_by == AIACCEL_REFUSED_DEADLINES;
  }
  BOOST_TEST(refused == 10'000);
  BOOST_TEST(device.own_tenant().queues == before);
  BOOST_REQUIRE(device.submit(job(1, queue)) == 0);
  end_turn(device, 1);
}

BOOST_AUTO_TEST_CASE(the_classes_ask_for_it_too) {
  GatedEngine gpu;
  if (!gpu) SKIP(kNoGatedEngine);
  const aiaccel::Device device = aiaccel::Device::open(transport());
  const aiaccel::Engine engine = device.engine(gpu.name());
  const aiaccel::QueueOptions options{.label = "control-loop",
                                      .priority = aiaccel::Class::realtime,
                                      .budget = 10ms,
                                      .period = 250ms};
  aiaccel::Queue queue = engine.queue(options);
  try {
    engine.queue(options);
    BOOST_ERROR("promised twice");
  } catch (const aiaccel::Error& error) {
    BOOST_TEST(error.code().value() == EDQUOT);
    BOOST_TEST(std::string(error.what()).find("REALTIME") != std::string::npos);
  }
  BOOST_CHECK_THROW(engine.queue({.priority = aiaccel::Class::realtime}), aiaccel::Error);
  const auto from = aiaccel::Clock::now();
  queue.acquire();
  BOOST_TEST((queue.acquire().since() >= from + 250ms));
}

BOOST_AUTO_TEST_SUITE_END()
