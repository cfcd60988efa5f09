// SPDX-License-Identifier: MIT
//
// Jobs that may have their turn at any engine of a set of queues: the first engine of this machine
// and the gated one. What many engines make of many sets is in core/any.cpp.
#include <aiaccel.hpp>

#include <cerrno>
#include <cstring>
#include <optional>

#include "device.hpp"
#include "gated_engine.hpp"

using namespace conformance;

namespace {

aiaccel_job any(uint64_t cookie, uint32_t queue, uint32_t width = 1) {
  aiaccel_job arg = job(cookie, queue, {.width = width});
  arg.flags = AIACCEL_JOB_ANY;
  return arg;
}

// A queue at the engine, in the set of another one (0: of none). 0 or -errno. Its turns are not
// over before a machine that is slow has got on with the test.
int try_queue(Device& device, uint32_t engine, uint32_t any_of, uint32_t* id = nullptr,
              const char* label = "") {
  aiaccel_queue_create arg = device.queue_arg();
  arg.engine = engine;
  arg.any_of = any_of;
  arg.budget_ns = AIACCEL_BUDGET_MAX_NS;
  std::strncpy(arg.label, label, sizeof arg.label - 1);
  const int error = device.call(AIACCEL_IOC_QUEUE_CREATE, arg);
  if (id) *id = arg.id;
  return error;
}

// A context with a queue at each of two engines.
struct Pair {
  Pair(const GatedEngine& gated, bool is_set) {
    aiaccel_engine_info info;
    BOOST_REQUIRE_EQUAL(aiaccel_find_engine(device.handle(), gated.name().c_str(), &info), 0);
    gated_engine = info.id;
    const char* const label = is_set ? "of a set" : "";
    BOOST_REQUIRE_EQUAL(try_queue(device, device.engine().id, 0, &first, label), 0);
    BOOST_REQUIRE_EQUAL(try_queue(device, info.id, is_set ? first : 0, &second, label), 0);
  }
  Device device;
  uint32_t gated_engine = 0;
  uint32_t first = 0, second = 0;  // queues: of the first engine, of the gated one
};

// Of such a context; another one's have the same numbers.
template <typename Record>
bool is_of_a_set(const Record& record) {
  return !std::strcmp(record.label, "of a set");
}

// Somebody who has all slots of both: turns 1 and 2.
struct Holder : Pair {
  explicit Holder(const GatedEngine& gated) : Pair(gated, false) {
    generations[0] = device.must_hold(1, first, device.slots());
    generations[1] = device.must_hold(2, second, 1);
  }
  void let_go(uint64_t cookie) {
    BOOST_TEST_REQUIRE(device.complete(cookie, generations[cookie - 1]) == 0);
  }
  uint32_t generations[2];
};

}  // namespace

#define NEED_GATED_ENGINE(gated) \
  if (!(gated)) SKIP(kNoGatedEngine)

BOOST_AUTO_TEST_SUITE(any_of_a_set)

BOOST_AUTO_TEST_CASE(a_set_of_one) {
  Device device;
  const uint32_t queue = device.must_queue();
  const aiaccel_alloc buffer = device.must_alloc(4096);
  aiaccel_job near = any(1, queue);
  near.buffer = buffer.id;
  BOOST_TEST(device.submit(near) == 0);
  const aiaccel_event event = device.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(event.queue == queue);
  BOOST_TEST(device.submit(any(2, queue)) == -EDEADLK);
  BOOST_TEST(device.complete(1, event.generation) == 0);
}

BOOST_AUTO_TEST_CASE(what_is_refused) {
  Device device;
  Device other;
  const uint32_t queue = device.must_queue();
  const uint32_t engine = device.engine().id;
  const aiaccel_alloc buffer = device.must_alloc(4096);
  BOOST_TEST(try_queue(device, engine, queue) == -EINVAL);  // both of one engine
  for (const uint32_t id : {buffer.id, 999999u})
    BOOST_TEST(try_queue(device, engine, id) == -ENOENT);
  BOOST_TEST(try_queue(other, engine, queue) == -ENOENT);  // of another context

  aiaccel_job odd = any(1, queue);
  odd.buffer = queue;
  BOOST_TEST(device.submit(odd) == -ENOENT);
  odd.buffer = buffer.id;
  odd.flags = 0;
  BOOST_TEST(device.submit(odd) == -EINVAL);
  odd = any(1, queue);
  odd.group = 7;
  odd.group_size = 1;
  BOOST_TEST(device.submit(odd) == -EINVAL);
  BOOST_TEST(device.submit(any(1, queue, device.slots() + 1)) == -EINVAL);
  BOOST_TEST(device.cancel(1) == -ENOENT);
}

BOOST_AUTO_TEST_CASE(the_first_engine_that_has_room) {
  GatedEngine gated;
  NEED_GATED_ENGINE(gated);
  Holder holder(gated);
  Pair mine(gated, true);
  BOOST_REQUIRE(mine.device.submit(any(7, mine.first)) == 0);
  BOOST_REQUIRE(mine.device.submit(any(8, mine.first)) == 0);
  BOOST_TEST(mine.device.complete(7, 0) == -EBUSY);
  BOOST_TEST(mine.device.events().empty());
  // Listed once, though it waits at both.
  unsigned listed = 0;
  for (const auto& turn : mine.device.turn_stats())
    listed += turn.state == AIACCEL_TURN_WAITING && is_of_a_set(turn);
  BOOST_TEST(listed == 2u);
  for (const auto& queue : mine.device.queue_stats())
    if (is_of_a_set(queue)) BOOST_TEST(queue.waiting == 2u);

  holder.let_go(2);
  const aiaccel_event second = mine.device.must_event(7, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(second.queue == mine.second);
  BOOST_TEST(mine.device.events().empty());
  holder.let_go(1);
  const aiaccel_event first = mine.device.must_event(8, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(first.queue == mine.first);
  BOOST_TEST(mine.device.submit(any(9, mine.first)) == -EDEADLK);
  BOOST_TEST(mine.device.complete(7, second.generation) == 0);
  // Both are in the histories of the engines that had them.
  BOOST_TEST(mine.device.complete(8, first.generation) == 0);
  for (const auto& turn : mine.device.turn_stats())
    if (turn.state == AIACCEL_TURN_COMPLETED && is_of_a_set(turn))
      BOOST_TEST((turn.engine == mine.gated_engine) == (turn.queue == mine.second));
}

BOOST_AUTO_TEST_CASE(the_lower_number_first_where_both_have_room) {
  GatedEngine gated;
  NEED_GATED_ENGINE(gated);
  Pair mine(gated, true);
  const bool is_lower = mine.device.engine().id < mine.gated_engine;
  for (const uint32_t queue : {mine.first, mine.second}) {
    BOOST_REQUIRE(mine.device.submit(any(1, queue)) == 0);
    const aiaccel_event event = mine.device.must_event(1, AIACCEL_EVENT_GRANTED);
    BOOST_TEST(event.queue == (is_lower ? mine.first : mine.second));
    BOOST_TEST(mine.device.complete(1, event.generation) == 0);
  }
}

BOOST_AUTO_TEST_CASE(it_outlives_one_queue_of_its_set) {
  GatedEngine gated;
  NEED_GATED_ENGINE(gated);
  Holder holder(gated);
  Pair mine(gated, true);
  BOOST_REQUIRE(mine.device.submit(any(1, mine.first)) == 0);
  aiaccel_job next = any(2, mine.first);
  next.flags |= AIACCEL_JOB_AFTER;
  next.after = 1;
  BOOST_REQUIRE(mine.device.submit(next) == 0);
  BOOST_TEST(mine.device.destroy(mine.first) == 0);
  holder.let_go(2);
  const aiaccel_event event = mine.device.must_event(1, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(event.queue == mine.second);
  BOOST_TEST(mine.device.complete(1, event.generation) == 0);
  mine.device.must_event(2, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(mine.device.destroy(mine.second) == 0);
  BOOST_TEST(mine.device.complete(2, 0) == -ENOENT);
  BOOST_TEST(mine.device.events().empty());
}

BOOST_AUTO_TEST_CASE(cancelled_it_is_gone_from_both) {
  GatedEngine gated;
  NEED_GATED_ENGINE(gated);
  Holder holder(gated);
  Pair mine(gated, true);
  BOOST_REQUIRE(mine.device.submit(any(1, mine.second)) == 0);
  BOOST_TEST(mine.device.cancel(1) == 0);
  for (const auto& queue : mine.device.queue_stats())
    if (is_of_a_set(queue)) BOOST_TEST(queue.waiting == 0u);
  holder.let_go(1);
  holder.let_go(2);
  BOOST_TEST(mine.device.events().empty());
}

BOOST_AUTO_TEST_CASE(with_the_classes) {
  GatedEngine gated;
  NEED_GATED_ENGINE(gated);
  Holder holder(gated);
  const aiaccel::Device device = aiaccel::Device::open(transport());
  const aiaccel::Engine gated_engine = device.engine(gated.name());
  aiaccel::Queue first = device.engine("cpu0").queue();
  const aiaccel::Queue second = gated_engine.queue({.any_of = first.id()});
  BOOST_CHECK_EXCEPTION(gated_engine.queue({.any_of = first.id()}), aiaccel::Error,
                        [](const aiaccel::Error& error) { return error.code().value() == EINVAL; });
  const aiaccel::Buffer buffer = device.alloc(4096);
  aiaccel::Job job = first.submit({.any = true, .buffer = buffer.id()});
  holder.let_go(2);
  const aiaccel::Grant grant =
      job.wait(aiaccel::Clock::time_point(std::chrono::nanoseconds(late())));
  BOOST_TEST(grant.queue() == second.id());
  holder.let_go(1);
  BOOST_TEST(first.acquire().queue() == first.id());
}

BOOST_AUTO_TEST_CASE(it_goes_on_without_an_engine_that_leaves) {
  std::optional<GatedEngine> gated(std::in_place);
  NEED_GATED_ENGINE(*gated);
  if (!(Device().query().capabilities & AIACCEL_CAP_REGISTER)) SKIP("the engine cannot leave");
  Holder holder(*gated);
  Pair mine(*gated, true);
  BOOST_REQUIRE(mine.device.submit(any(1, mine.second)) == 0);
  gated.reset();
  BOOST_TEST(mine.device.events().empty());
  holder.let_go(1);
  BOOST_TEST(mine.device.must_event(1, AIACCEL_EVENT_GRANTED).queue == mine.first);
}

BOOST_AUTO_TEST_SUITE_END()
