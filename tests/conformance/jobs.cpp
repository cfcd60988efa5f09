// SPDX-License-Identifier: MIT
//
// Jobs that are submitted now and waited for later, and those after others, through
// <aiaccel/queue.hpp>.
#include <aiaccel/device.hpp>

#include <cerrno>
#include <optional>
#include <utility>

#include "child.hpp"
#include "device.hpp"
#include "gated_engine.hpp"

using namespace conformance;

namespace {

struct Fixture {
  aiaccel::Device device = aiaccel::Device::open(transport());
  aiaccel::Engine engine = device.engine("cpu0");
  aiaccel::Queue queue = engine.queue();
  Device reader;
  const aiaccel::Clock::time_point hang{std::chrono::nanoseconds(late())};
};

template <typename Call>
int code_of(Call call) {
  try {
    call();
    return 0;
  } catch (const aiaccel::Error& error) {
    return error.code().value();
  }
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(jobs, Fixture)

BOOST_AUTO_TEST_CASE(one_is_in_line_once_the_one_before_it_is_completed) {
  aiaccel::Job first = queue.submit();
  aiaccel::Job second = queue.submit({.after = first.cookie()});
  BOOST_TEST(reader.engine_stats().jobs_waiting == 0u);
  aiaccel::Grant grant = first.wait(hang);
  aiaccel::Job third = queue.submit({.after = grant.cookie()});  // beside a turn on its engine
  grant.complete();
  second.wait(hang).complete();
  third.wait(hang).complete();
}

BOOST_AUTO_TEST_CASE(one_fails_with_the_one_before_it) {
  Device holder;
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), engine.slots());
  std::optional<aiaccel::Job> first = queue.submit();
  aiaccel::Job second = queue.submit({.after = first->cookie()});
  aiaccel::Job third = queue.submit({.after = second.cookie()});
  first.reset();
  BOOST_TEST(code_of([&] { third.wait(hang); }) == ENODEV);
  BOOST_TEST(code_of([&] { second.wait(hang); }) == ENODEV);
  BOOST_TEST(holder.complete(1, generation) == 0);
  BOOST_TEST(code_of([&] { queue.submit({.after = 12345}); }) == ENOENT);
}

BOOST_AUTO_TEST_CASE(what_is_told_of_one_is_kept_until_it_is_waited_for) {
  aiaccel::Job job = queue.submit();
  BOOST_REQUIRE(eventually([&] { return reader.engine_stats().slots_used == 1; }));
  aiaccel_event event;
  BOOST_TEST(aiaccel_read_events(device.handle(), &event, 1) == 0u);
  BOOST_TEST(aiaccel_read_events(device.handle(), &event, 1) == 0u);
  aiaccel::Grant grant = job.wait(hang);
  grant.complete();
  BOOST_TEST(aiaccel_read_events(device.handle(), &event, 1) == 0u);
}

BOOST_AUTO_TEST_CASE(two_engines_are_waited_for_in_any_order) {
  GatedEngine gated;
  if (!gated) SKIP(kNoGatedEngine);
  aiaccel::Queue other = device.engine(gated.name()).queue();
  aiaccel::Job here = queue.submit();
  aiaccel::Job there = other.submit();
  aiaccel::Grant second = there.wait(hang);  // meets what is told of the other
  aiaccel::Grant first = here.wait(hang);
  BOOST_TEST(first.cookie() == here.cookie());
  BOOST_TEST(second.cookie() == there.cookie());
}

BOOST_AUTO_TEST_CASE(who_does_not_wait_gives_back_or_withdraws) {
  { const aiaccel::Job granted = queue.submit(); }
  BOOST_TEST(reader.engine_stats().slots_used == 0u);
  Device holder;
  holder.must_hold(1, holder.must_queue(), engine.slots());
  {
    const aiaccel::Job waiting = queue.submit();
    BOOST_TEST(reader.engine_stats().jobs_waiting == 1u);
  }
  BOOST_TEST(reader.engine_stats().jobs_waiting == 0u);
}

BOOST_AUTO_TEST_CASE(a_wait_ends_as_that_of_acquire_does) {
  Device holder;
  holder.must_hold(1, holder.must_queue(), engine.slots());
  std::stop_source stop;
  stop.request_stop();
  aiaccel::Job stopped = queue.submit();
  BOOST_TEST(code_of([&] { stopped.wait(hang, stop.get_token()); }) == ECANCELED);
  BOOST_TEST(code_of([&] { stopped.wait(hang); }) == ENOENT);
  aiaccel::Job late = queue.submit();
  BOOST_TEST(code_of([&] { late.wait(aiaccel::Clock::now()); }) == ETIMEDOUT);
  BOOST_TEST(reader.engine_stats().jobs_waiting == 0u);
}

BOOST_AUTO_TEST_CASE(a_job_whose_queue_was_destroyed_is_not_waited_for) {
  Device holder;
  const uint32_t held = holder.must_queue();
  holder.must_hold(1, held, engine.slots());
  Device own;
  const auto submit_and_destroy = [&] {
    const uint32_t line = own.must_queue();
    const aiaccel_job wanted = job(0, line);
    uint64_t cookie = 0;
    BOOST_REQUIRE(aiaccel_submit(own.handle(), &wanted, &cookie) == 0);
    BOOST_TEST(own.destroy(line) == 0);
    return cookie;
  };
  aiaccel_grant grant;
  for (const int cancel_fd : {-1, 0})
    BOOST_TEST(aiaccel_wait(own.handle(), submit_and_destroy(), AIACCEL_NEVER, cancel_fd, &grant) ==
               -ENOENT);
  // One that had begun.
  BOOST_TEST(holder.destroy(held) == 0);
  BOOST_TEST(aiaccel_wait(own.handle(), submit_and_destroy(), late(), -1, &grant) == 0);
  BOOST_TEST(aiaccel_complete(own.handle(), &grant) == -ENOENT);
  BOOST_TEST(reader.engine_stats().slots_used == 0u);
}

BOOST_AUTO_TEST_CASE(a_turn_that_nobody_looked_for_in_a_second_is_lost) {
  aiaccel::Job job = queue.submit({.width = engine.slots()});
  Device rival;
  rival.must_hold(1, rival.must_queue(), 1);
  BOOST_CHECK_THROW(job.wait(hang), aiaccel::Revoked);
  BOOST_TEST(reader.engine().contended == 0u);
  queue.acquire({.timeout = hang}).complete();  // beside the rival
}

BOOST_AUTO_TEST_CASE(who_was_stopped_as_its_turn_came_has_another) {
  if (on("embedded")) SKIP("a process alone");
  Device holder;
  const uint32_t generation = holder.must_hold(1, holder.must_queue(), engine.slots());
  Child child([this](Child&) {
    const aiaccel::Device own = aiaccel::Device::open(transport());
    aiaccel::Queue line = own.engine("cpu0").queue();
    for (;;) try {
        aiaccel::Grant grant = line.acquire({.width = engine.slots()});
        std::error_code error;
        grant.complete(error);
        return error.value();
      } catch (const aiaccel::Error& error) {
        if (error.code().value() != EINTR) throw;  // in the module being stopped ends a wait
      }
  });
  BOOST_REQUIRE(eventually([&] { return reader.engine_stats().jobs_waiting == 1; }));
  child.kill(SIGSTOP);
  BOOST_TEST(holder.complete(1, generation) == 0);
  queue.acquire({.timeout = hang}).complete();  // once the child's turn is revoked
  child.kill(SIGCONT);
  BOOST_TEST(child.wait() == 0);
}

BOOST_AUTO_TEST_CASE(a_job_of_the_callers_name_is_waited_for_once) {
  aiaccel_job own = job(7, queue.id());
  uint64_t cookie = 0;
  BOOST_REQUIRE(aiaccel_submit(device.handle(), &own, &cookie) == 0);
  BOOST_TEST(cookie == 7u);
  BOOST_TEST(aiaccel_submit(device.handle(), &own, &cookie) == -EEXIST);
  aiaccel_grant grant;
  BOOST_TEST(aiaccel_wait(device.handle(), 8, late(), -1, &grant) == -ENOENT);
  BOOST_TEST(aiaccel_wait(device.handle(), 7, late(), -1, &grant) == 0);
  BOOST_TEST(aiaccel_wait(device.handle(), 7, late(), -1, &grant) == -ENOENT);
  BOOST_TEST(aiaccel_complete(device.handle(), &grant) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
