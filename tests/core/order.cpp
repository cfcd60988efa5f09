// SPDX-License-Identifier: MIT
//
// The orders of an engine, and that one follows the other while jobs wait: in steps of bounded
// work, with turns granted meanwhile and nobody lost. sched_world.hpp has all orders at random.

#include <tap/tap.hpp>

#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "core/sound.hpp"

namespace {

constexpr std::uint64_t kMs = 1000000;

// Queues, each of a context of its own, with one job that the test names.
struct Line {
  struct Place {
    aia_sched_seat seat{};
    aia_sched_queue queue{};
    aia_sched_job job{};
    bool had_turn = false;
  };

  aia_sched_engine engine{};
  std::deque<aia_sched_node> nodes;
  std::deque<Place> places;
  std::uint64_t now = 1;

  explicit Line(std::uint32_t order = AIACCEL_ORDER_FAIR, unsigned tenants = 3) {
    aia_sched_engine_init(&engine, 1);
    aia_sched_set_order(&engine, order, now);
    nodes.resize(tenants);
    // The last one is below the one before it.
    for (unsigned i = 0; i < tenants; i++)
      aia_sched_node_init(&nodes[i], &engine, i && i + 1 == tenants ? &nodes[i - 1] : nullptr, 0);
  }

  Place& place(unsigned tenant, std::uint32_t class_ = AIACCEL_CLASS_NORMAL) {
    Place& p = places.emplace_back();
    aia_sched_seat_init(&p.seat, &engine);
    aia_sched_queue_init(&p.queue, &p.seat, &nodes[tenant], class_, 0);
    return p;
  }
  void submit(Place& p, aia_sched_job& job, std::uint64_t deadline_ns = 0) {
    job.width = 1;
    job.deadline_ns = deadline_ns;
    BOOST_TEST_REQUIRE(aia_sched_submit(&p.queue, &job, now) == 0);
  }
  Place& waiting(unsigned tenant, std::uint32_t class_, std::uint64_t deadline_ns = 0) {
    Place& p = place(tenant, class_);
    submit(p, p.job, deadline_ns);
    return p;
  }

  aia_sched_job* grant() {
    aia_timers_run(&engine.timers, now);
    return aia_choice_grant_next(&engine, now);
  }
  // Whoever is next has a turn of a millisecond.
  aia_sched_job* turn(std::uint64_t ns = kMs) {
    aia_sched_job* job = grant();
    now += ns;
    if (job) aia_sched_complete(job, now);
    return job;
  }
  void is_sound_now() {
    std::vector<const aia_sched_node*> all_nodes;
    std::vector<const aia_sched_queue*> all_queues;
    for (const auto& node : nodes) all_nodes.push_back(&node);
    for (const auto& p : places) all_queues.push_back(&p.queue);
    const char* why;
    BOOST_TEST_REQUIRE(is_sound(engine, all_nodes, all_queues, &why), why);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(order)

BOOST_AUTO_TEST_CASE(edf_is_over_all_tenants_of_a_class) {
  Line line(AIACCEL_ORDER_EDF);
  auto& none = line.waiting(0, AIACCEL_CLASS_NORMAL);
  auto& late = line.waiting(0, AIACCEL_CLASS_NORMAL, 300);
  auto& soon = line.waiting(2, AIACCEL_CLASS_NORMAL, 100);
  auto& then = line.waiting(1, AIACCEL_CLASS_NORMAL, 200);
  auto& again = line.waiting(2, AIACCEL_CLASS_NORMAL, 200);
  auto& high = line.waiting(1, AIACCEL_CLASS_HIGH, 900);
  for (auto* next : {&high, &soon, &then, &again, &late, &none}) {
    line.is_sound_now();
    BOOST_TEST(line.turn() == &next->job);
  }
}

BOOST_AUTO_TEST_CASE(fifo_is_over_all_classes) {
  Line line(AIACCEL_ORDER_FIFO);
  auto& idle = line.waiting(2, AIACCEL_CLASS_IDLE);
  auto& low = line.waiting(0, AIACCEL_CLASS_LOW);
  auto& realtime = line.waiting(1, AIACCEL_CLASS_REALTIME, 5);
  auto& high = line.waiting(2, AIACCEL_CLASS_HIGH);
  BOOST_TEST(line.grant() == &idle.job);
  BOOST_TEST(aia_choice_yield_next(&line.engine) == nullptr);  // a higher class has no more right
  aia_sched_complete(&idle.job, line.now);
  for (auto* next : {&low, &realtime, &high}) BOOST_TEST(line.turn() == &next->job);
}

BOOST_AUTO_TEST_CASE(realtime_goes_by_deadline_but_under_fifo) {
  for (std::uint32_t order = AIACCEL_ORDER_FAIR; order <= AIACCEL_ORDER_FIFO; order++) {
    Line line(order);
    auto& late = line.waiting(0, AIACCEL_CLASS_REALTIME, 300);
    auto& soon = line.waiting(2, AIACCEL_CLASS_REALTIME, 100);
    auto& then = line.waiting(1, AIACCEL_CLASS_REALTIME, 200);
    const auto expected = order == AIACCEL_ORDER_FIFO ? std::vector{&late, &soon, &then}
                                                      : std::vector{&soon, &then, &late};
    BOOST_TEST_CONTEXT("order " << order) {
      for (auto* next : expected) BOOST_TEST(line.turn() == &next->job);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_tenant_stands_where_the_first_of_its_jobs_does) {
  Line line(AIACCEL_ORDER_EDF);
  auto& a = line.waiting(1, AIACCEL_CLASS_NORMAL, 300);
  auto& b = line.waiting(0, AIACCEL_CLASS_NORMAL, 200);
  auto& below = line.waiting(2, AIACCEL_CLASS_NORMAL, 500);  // a's tenant is above its own
  aia_sched_job sooner{};
  line.submit(below, sooner, 100);
  line.is_sound_now();
  BOOST_TEST(aia_share_first(&line.engine.root[AIACCEL_CLASS_NORMAL]) == &below.queue.share);
  aia_sched_withdraw(&sooner, line.now);
  line.is_sound_now();
  // Held back, it is passed; what comes meanwhile counts when it is let go.
  aia_sched_node_set_caps(&line.nodes[2], AIACCEL_ENGINE_TIME_ALL, 1, line.now);
  auto& holder = line.waiting(2, AIACCEL_CLASS_HIGH);
  BOOST_TEST(line.grant() == &holder.job);
  line.submit(below, sooner, 100);
  line.is_sound_now();
  BOOST_TEST(aia_share_first(&line.engine.root[AIACCEL_CLASS_NORMAL]) == &b.queue.share);
  aia_sched_complete(&holder.job, line.now);
  line.is_sound_now();
  for (auto* next : {&sooner, &b.job, &a.job, &below.job}) BOOST_TEST(line.turn() == next);
}

// Ten thousand queues wait when another order is wanted.
BOOST_AUTO_TEST_CASE(a_switch_goes_in_steps_and_loses_nobody) {
  constexpr unsigned kQueues = 10000;
  for (std::uint32_t order : {AIACCEL_ORDER_EDF, AIACCEL_ORDER_FIFO}) {
    Line line(AIACCEL_ORDER_FAIR, 10);
    std::mt19937_64 random(order);
    for (unsigned i = 0; i < kQueues; i++)
      line.waiting(static_cast<unsigned>(random() % 10),
                   static_cast<std::uint32_t>(random() % AIACCEL_NR_CLASSES), 1 + random() % 500);
    const auto count_parked = [&] {
      unsigned n = 0;
      for (const aia_link* l = line.engine.parked.next; l != &line.engine.parked; l = l->next) n++;
      return n;
    };
    unsigned steps = 1, granted = 0, parked = 0;
    aia_sched_set_order(&line.engine, order, line.now);
    while (aia_timers_next_ns(&line.engine.timers) != AIACCEL_NEVER) {
      const unsigned before = parked;
      parked = count_parked();
      BOOST_TEST_REQUIRE((parked > before ? parked - before : before - parked) <=
                         AIA_ORDER_STEP + 1u);
      if (steps % 50 == 0) line.is_sound_now();
      if (line.turn()) granted++;
      // Others come meanwhile; one of them goes at once.
      if (steps % 3 == 0) {
        line.waiting(steps % 10, AIACCEL_CLASS_LOW, steps);
        aia_sched_withdraw(&line.waiting(0, AIACCEL_CLASS_HIGH).job, line.now);
      }
      BOOST_TEST_REQUIRE(++steps < 3 * kQueues / AIA_ORDER_STEP);
    }
    line.is_sound_now();
    BOOST_TEST(count_parked() == 0u);
    // All the while: the trees are empty between the two halves alone.
    BOOST_TEST(granted >= steps - 3);

    const std::uint32_t still = line.engine.waiting;
    const aia_sched_job* before = nullptr;
    for (std::uint32_t i = 0; i < still; i++) {
      const aia_sched_job* job = line.turn();
      BOOST_TEST_REQUIRE(job);
      if (before && order == AIACCEL_ORDER_FIFO) BOOST_TEST_REQUIRE(before->seq < job->seq);
      if (before && order == AIACCEL_ORDER_EDF && before->class_ == job->class_)
        BOOST_TEST_REQUIRE(before->deadline_ns <= job->deadline_ns);
      before = job;
    }
    BOOST_TEST(line.engine.waiting == 0u);
    BOOST_TEST(line.engine.granted >= kQueues);
  }
}

BOOST_AUTO_TEST_CASE(a_switch_that_is_taken_back_loses_nobody) {
  Line line(AIACCEL_ORDER_FAIR, 5);
  std::mt19937_64 random(7);
  for (unsigned i = 0; i < 1000; i++)
    line.waiting(static_cast<unsigned>(random() % 5), AIACCEL_CLASS_NORMAL, 1 + random() % 500);
  for (unsigned i = 0; i < 300; i++) {
    aia_sched_set_order(&line.engine, 1 + static_cast<std::uint32_t>(random() % 4), line.now++);
    for (auto steps = random() % 40; steps-- > 0; line.now++)
      aia_timers_run(&line.engine.timers, line.now);
    line.is_sound_now();
  }
  unsigned granted = 0;
  while (line.turn()) granted++;
  BOOST_TEST(granted == 1000u);
}

// Half a minute under deadlines, of which one tenant had all.
BOOST_AUTO_TEST_CASE(of_what_was_had_under_another_order_the_lag_counts) {
  Line line(AIACCEL_ORDER_EDF);
  auto& favoured = line.place(0);
  auto& other = line.place(1);
  aia_sched_job theirs{};
  line.submit(other, theirs, 0);
  for (unsigned i = 0; i < 3600; i++) {
    line.submit(favoured, favoured.job, 1);
    BOOST_TEST_REQUIRE(line.turn(10 * kMs) == &favoured.job);
  }
  aia_sched_set_order(&line.engine, AIACCEL_ORDER_FAIR, line.now);
  line.submit(favoured, favoured.job, 1);
  std::uint64_t waited = 0;
  for (const std::uint64_t began = line.now; line.turn() == &theirs; waited = line.now - began)
    line.submit(other, theirs);
  BOOST_TEST(waited > 0u);
  BOOST_TEST(waited <= AIA_SHARE_LAG_NS + 12 * kMs);
}

BOOST_AUTO_TEST_SUITE_END()
