// SPDX-License-Identifier: MIT
//
// Jobs of a set begin at the engine on the node where their buffer lies: real pages on two nodes,
// and an engine on each. The order of many engines is in core/any.cpp.
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "account.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(near)

namespace {

uint32_t allocated(const Context& context, uint32_t placement, int node) {
  aiaccel_alloc alloc{};
  alloc.length = 2 * kPage;
  alloc.placement = placement;
  alloc.node = node;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ALLOC, alloc), 0);
  return alloc.id;
}

// Pages of this process that lie on the node.
Map bound(int node) {
  Map map = anonymous(2 * kPage);
  const unsigned long mask = 1UL << node;
  BOOST_REQUIRE_EQUAL(
      syscall(SYS_mbind, map.data(), map.size(), MPOL_BIND, &mask, sizeof mask * 8, 0), 0);
  memset(map.data(), 1, map.size());
  return map;
}

uint32_t pinned(const Context& context, const Map& map) {
  aiaccel_pin pin = pin_of(map);
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, pin), 0);
  return pin.id;
}

// An engine on either node; the one on `first` has the lower number.
class Engines {
 public:
  Engines(const Context& context, int first)
      : first_(first), lower_(context, 0, 1, first), higher_(context, 0, 1, 1 - first) {
    BOOST_REQUIRE_LT(lower_.id(), higher_.id());
    for (const int node : {0, 1}) BOOST_REQUIRE_EQUAL(on(node).info().numa_node, node);
  }
  const Engine& on(int node) const { return node == first_ ? lower_ : higher_; }

 private:
  const int first_;
  const Engine lower_, higher_;
};

// A context with a queue at both.
class Party {
 public:
  Party(const Engines& engines, bool is_set) {
    for (const int node : {0, 1}) {
      aiaccel_queue_create create{};
      create.engine = engines.on(node).id();
      create.class_ = AIACCEL_CLASS_NORMAL;
      create.budget_ns = AIACCEL_BUDGET_MAX_NS;
      create.any_of = is_set && node == 1 ? queues_[0] : 0;
      strcpy(create.label, is_set ? "of a set" : "");
      BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_QUEUE_CREATE, create), 0);
      queues_[node] = create.id;
    }
  }
  uint32_t queue(int node) const { return queues_[node]; }
  // One job, submitted to the queue at that node.
  int submit(int node, uint32_t buffer) const {
    aiaccel_job job = job_of(queues_[node], 1);
    job.flags = AIACCEL_JOB_ANY;
    job.buffer = buffer;
    return raw::submit(context, job);
  }
  int end() const {
    const aiaccel_completion turn{1, 0, AIACCEL_COMPLETE_CANCEL};
    aiaccel_enter enter{};
    enter.completions = address(&turn);
    enter.nr_completions = 1;
    return context(AIACCEL_IOC_ENTER, enter);
  }

  const Context context;

 private:
  uint32_t queues_[2] = {};
};

// The engine that has a turn of a set, 0 where none has.
uint32_t engine_of_turn(const Context& watcher) {
  for (const auto& turn : list<aiaccel_stats_turn>(watcher, AIACCEL_STATS_TURNS))
    if (turn.state == AIACCEL_TURN_RUNNING && !strcmp(turn.label, "of a set")) return turn.engine;
  return 0;
}

// Both turns of who holds both, in one call.
int end_both(const Party& holder, const uint32_t (&generations)[2]) {
  const aiaccel_completion both[] = {{1, generations[0], 0}, {2, generations[1], 0}};
  aiaccel_enter enter{};
  enter.completions = address(both);
  enter.nr_completions = 2;
  return holder.context(AIACCEL_IOC_ENTER, enter);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_job_begins_where_its_buffer_lies) {
  NEED_DEVICE();
  if (!has_node(1)) SKIP("one NUMA node; tests/vm/run --numa has two");
  const Map pages[] = {bound(0), bound(1)};
  const Context watcher;
  for (const int first : {0, 1}) {
    const Engines engines(watcher, first);
    const Party holder(engines, false), party(engines, true);
    // Its buffer, and the node that it lies on.
    std::vector<std::pair<uint32_t, int>> buffers{
        {0, first}, {allocated(party.context, AIACCEL_PLACE_INTERLEAVE, 0), first}};
    for (const int node : {0, 1}) {
      buffers.emplace_back(allocated(party.context, AIACCEL_PLACE_STRICT, node), node);
      buffers.emplace_back(pinned(party.context, pages[node]), node);
    }
    for (const auto& [buffer, node] : buffers)
      for (const int through : {0, 1}) {
        BOOST_TEST_CONTEXT("lower number on " << first << ", buffer " << buffer << " on " << node
                                              << ", submitted on " << through) {
          const uint32_t wanted = engines.on(node).id();
          BOOST_TEST_REQUIRE(party.submit(through, buffer) == 0);  // both have room
          BOOST_TEST(engine_of_turn(watcher) == wanted);
          BOOST_TEST_REQUIRE(party.end() == 0);

          uint32_t generations[2];  // they come to have room in one step
          for (const int at : {0, 1})
            generations[at] = holder.context.take_turn(holder.queue(at), at + 1u);
          BOOST_TEST_REQUIRE(party.submit(through, buffer) == 0);
          BOOST_TEST(engine_of_turn(watcher) == 0u);
          BOOST_TEST_REQUIRE(end_both(holder, generations) == 0);
          BOOST_TEST(engine_of_turn(watcher) == wanted);
          BOOST_TEST_REQUIRE(party.end() == 0);
        }
      }
  }
}

// It prefers that node, and does not insist.
BOOST_AUTO_TEST_CASE(it_does_not_wait_for_the_near_one) {
  NEED_DEVICE();
  if (!has_node(1)) SKIP("one NUMA node; tests/vm/run --numa has two");
  const Context watcher;
  for (const int first : {0, 1}) {
    const Engines engines(watcher, first);
    const Party holder(engines, false), party(engines, true);
    const uint32_t buffer = allocated(party.context, AIACCEL_PLACE_STRICT, 1);
    holder.context.take_turn(holder.queue(1), 1);
    BOOST_TEST_REQUIRE(party.submit(1, buffer) == 0);
    BOOST_TEST(engine_of_turn(watcher) == engines.on(0).id());
  }
}

BOOST_AUTO_TEST_SUITE_END()
