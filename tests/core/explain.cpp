// SPDX-License-Identifier: MIT
//
// What is said to be in a waiting job's way, cause by cause.
#include <deque>
#include <tap/tap.hpp>

extern "C" {
#include "core/choice.h"
#include "core/explain.h"
#include "core/group.h"
}

BOOST_AUTO_TEST_SUITE(explain)

namespace {

// An engine with two slots; each job has a tenant, a seat and a queue of its own, unless said.
struct Scene {
  aia_sched_engine engine;
  struct Line {
    aia_sched_node node;
    aia_sched_seat seat;
    aia_sched_queue queue;
  };
  std::deque<Line> lines;
  std::deque<aia_sched_job> jobs;
  std::uint64_t now_ns = 1'000'000'000;

  Scene() { aia_sched_engine_init(&engine, 2); }

  Line& line(std::uint32_t class_ = AIACCEL_CLASS_NORMAL, aia_sched_node* above = nullptr) {
    Line& made = lines.emplace_back();
    aia_sched_node_init(&made.node, &engine, above, 0);
    aia_sched_seat_init(&made.seat, &engine);
    aia_sched_queue_init(&made.queue, &made.seat, &made.node, class_, 0);
    return made;
  }

  aia_sched_job& submit(aia_sched_queue& queue, std::uint32_t width = 1) {
    aia_sched_job& job = jobs.emplace_back(aia_sched_job{});
    job.width = width;
    BOOST_TEST_REQUIRE(aia_sched_submit(&queue, &job, now_ns++) == 0);
    return job;
  }

  void dispatch() {
    aia_timers_run(&engine.timers, now_ns);
    while (aia_choice_grant_next(&engine, now_ns)) {
    }
    while (aia_choice_yield_next(&engine)) {
    }
  }

  void expect(const aia_sched_job& job, std::uint32_t why, const aia_sched_job* waits_for) {
    dispatch();
    const aia_explanation because = aia_explain(&job);
    BOOST_TEST(because.why == why);
    BOOST_TEST(because.waits_for == waits_for);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_turn_waits_for_nothing) {
  Scene scene;
  scene.expect(scene.submit(scene.line().queue), AIACCEL_WAIT_NOT, nullptr);
}

BOOST_AUTO_TEST_CASE(slots_are_held) {
  Scene scene;
  const auto& low = scene.submit(scene.line(AIACCEL_CLASS_LOW).queue);
  scene.dispatch();
  const auto& normal = scene.submit(scene.line().queue);
  scene.dispatch();
  const auto& next = scene.submit(scene.line().queue);
  scene.expect(next, AIACCEL_WAIT_SLOTS, &low);  // who is asked to yield
  aia_sched_complete(&scene.jobs[0], scene.now_ns);
  scene.dispatch();
  const auto& wide = scene.submit(scene.line().queue, 2);
  scene.expect(wide, AIACCEL_WAIT_SLOTS, &normal);  // who has had its turn longest
}

BOOST_AUTO_TEST_CASE(background_gives_way_on_a_cpu) {
  Scene scene;
  scene.engine.gives_way = true;
  scene.submit(scene.line(AIACCEL_CLASS_IDLE).queue, 2);
  scene.dispatch();
  const auto& holder = scene.submit(scene.line().queue, 2);
  scene.dispatch();
  scene.expect(scene.submit(scene.line().queue), AIACCEL_WAIT_SLOTS, &holder);
}

BOOST_AUTO_TEST_CASE(others_come_first) {
  Scene scene;
  scene.submit(scene.line().queue, 2);
  scene.dispatch();
  Scene::Line& line = scene.line(AIACCEL_CLASS_HIGH);
  const auto& first = scene.submit(line.queue);
  scene.expect(first, AIACCEL_WAIT_SLOTS, &scene.jobs[0]);
  scene.expect(scene.submit(line.queue), AIACCEL_WAIT_ORDER, &first);  // of the same queue
  scene.expect(scene.submit(scene.line().queue), AIACCEL_WAIT_ORDER, &first);
}

BOOST_AUTO_TEST_CASE(slots_are_kept_for_a_wide_one_and_narrow_ones_pass) {
  Scene scene;
  aia_sched_engine_init(&scene.engine, 3);
  const auto& holder = scene.submit(scene.line().queue);
  scene.dispatch();
  const auto& wide = scene.submit(scene.line().queue, 3);
  const auto& narrow = scene.submit(scene.line().queue);
  scene.expect(wide, AIACCEL_WAIT_SLOTS, &holder);
  scene.expect(narrow, AIACCEL_WAIT_KEPT, &wide);
  scene.now_ns += AIA_WIDE_FIRST_NS + 1;
  scene.expect(narrow, AIACCEL_WAIT_NOT, nullptr);
  scene.expect(wide, AIACCEL_WAIT_PASSED, &holder);
}

BOOST_AUTO_TEST_CASE(its_context_has_a_turn) {
  Scene scene;
  Scene::Line& line = scene.line();
  const auto& holder = scene.submit(line.queue);
  const auto& other = scene.submit(line.queue);  // there would be room
  scene.expect(other, AIACCEL_WAIT_OWN, &holder);
}

BOOST_AUTO_TEST_CASE(its_context_lost_a_turn_and_did_not_say_that_it_stopped) {
  Scene scene;
  Scene::Line& line = scene.line();
  auto& late = scene.submit(line.queue);
  const auto& other = scene.submit(line.queue);
  scene.dispatch();
  aia_sched_contend(&late, scene.now_ns);
  scene.expect(other, AIACCEL_WAIT_CONTENDED, &late);
  aia_sched_release(&late, scene.now_ns);
  scene.expect(other, AIACCEL_WAIT_NOT, nullptr);
}

BOOST_AUTO_TEST_CASE(a_tenant_is_at_its_ceiling) {
  Scene scene;
  Scene::Line& above = scene.line();
  aia_sched_node_set_caps(&above.node, AIACCEL_ENGINE_TIME_ALL, 1, scene.now_ns);
  scene.submit(scene.line(AIACCEL_CLASS_NORMAL, &above.node).queue);
  scene.dispatch();
  Scene::Line& below = scene.line(AIACCEL_CLASS_HIGH, &above.node);
  scene.expect(scene.submit(below.queue), AIACCEL_WAIT_CEILING, nullptr);
}

BOOST_AUTO_TEST_CASE(it_is_not_in_line_yet) {
  Scene scene;
  aia_sched_job job{};
  aia_group group{};
  job.state = AIA_SCHED_HELD;
  job.queue = &scene.line().queue;
  scene.expect(job, AIACCEL_WAIT_AFTER, &job);
  job.group = &group;
  scene.expect(job, AIACCEL_WAIT_GROUP, nullptr);
}

BOOST_AUTO_TEST_CASE(an_engine_that_is_faulted_grants_nothing) {
  Scene scene;
  const auto& job = scene.submit(scene.line().queue);
  scene.engine.state = AIACCEL_ENGINE_FAULTED;
  scene.expect(job, AIACCEL_WAIT_ENGINE, nullptr);
  scene.engine.state = AIACCEL_ENGINE_DRAINING;  // what waits is granted
  scene.expect(job, AIACCEL_WAIT_NOT, nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
