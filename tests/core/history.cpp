// SPDX-License-Identifier: MIT
//
// What an engine's history says of each end that a turn can have, what it pushes out, what it
// counts in one record, and how it is read in pieces.

#include <tap/tap.hpp>

#include <cerrno>
#include <cstring>
#include <vector>

#include "core/turns_stage.hpp"

namespace {

using Records = std::vector<aia_history_record>;

struct Kept : Stage {
  explicit Kept(std::uint32_t slots, std::uint32_t capacity = 16) : Stage(slots), memory(capacity) {
    aia_history_init(&history, memory.data(), capacity);
    engine.history = &history;
  }
  Records read(__u64 from = 0, std::uint32_t at_once = 3) const {
    Records all;
    for (;;) {
      Records some(at_once);
      some.resize(aia_history_read(&history, &from, some.data(), at_once));
      if (some.empty()) return all;
      all.insert(all.end(), some.begin(), some.end());
    }
  }

  Records memory;
  aia_history history{};
};

Records live(const Context& context) {
  Records records(AIA_TURNS_MAX);
  records.resize(aia_turns_list(&context.turns, &context.queue, records.data(), 0));
  return records;
}

std::uint32_t generation_of(Context& context) {
  return context.read().back().generation;
}

constexpr std::uint64_t kGapNs = 10'000'000;

// One from its submission to its end, at once.
void turn(Stage& stage, Context& context) {
  BOOST_TEST_REQUIRE(context.submit(99) == 0);
  stage.dispatch();
  BOOST_TEST_REQUIRE(context.complete(99, generation_of(context)) == 0);
}

void withdraw(Context& context, std::uint32_t width = 1) {
  BOOST_TEST_REQUIRE(context.submit(98, width) == 0);
  BOOST_TEST_REQUIRE(context.cancel(98) == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(history)

BOOST_AUTO_TEST_CASE(each_end_has_its_state_and_its_times) {
  Kept stage(2);
  Context c(stage, AIACCEL_CLASS_HIGH);
  c.who.context = 7;
  c.who.tenant = 8;
  c.who.kind = AIACCEL_TENANT_CGROUP;
  c.who.source_id = 1234;
  c.who.queue = 9;
  c.who.pid = 10;
  std::strcpy(c.who.comm, "server");
  std::strcpy(c.who.label, "asr");

  stage.now = 100;
  for (std::uint64_t cookie : {1, 2, 3, 4, 5}) BOOST_TEST(c.submit(cookie, 2) == 0);
  BOOST_TEST(live(c).size() == 5u);
  for (const aia_history_record& r : live(c)) {
    BOOST_TEST(r.state == AIACCEL_TURN_WAITING);
    BOOST_TEST(r.granted_ns == 0u);
    BOOST_TEST(r.ended_ns == 0u);
  }
  stage.now = 110;
  stage.dispatch();
  std::uint32_t running = 0;
  for (const aia_history_record& r : live(c))
    running += r.state == AIACCEL_TURN_RUNNING && r.granted_ns == 110;
  BOOST_TEST(running == 1u);
  BOOST_TEST(stage.read().empty());
  stage.now = 120;
  BOOST_TEST(c.complete(1, generation_of(c)) == 0);
  BOOST_TEST(c.cancel(2) == 0);
  stage.dispatch();
  aia_news news{};
  aia_turns_revoke(&c.queue, 130, &news);
  stage.now = 140;
  stage.dispatch();
  aia_turns_fail_waiting(&c.turns, &c.queue, 150, &news);
  stage.free_all(news);
  stage.now = 160;
  c.end_queue();  // one is granted, one is revoked, one has failed
  BOOST_TEST(live(c).empty());

  const Records records = stage.read();
  BOOST_TEST_REQUIRE(records.size() == 5u);
  const struct {
    std::uint32_t state;
    std::uint64_t granted_ns, ended_ns;
    std::uint64_t wait_ns;
  } expected[] = {{AIACCEL_TURN_COMPLETED, 110, 120, 10},
                  {AIACCEL_TURN_WITHDRAWN, 0, 120, 20},
                  {AIACCEL_TURN_REVOKED, 120, 130, 20},
                  {AIACCEL_TURN_FAILED, 0, 150, 50},
                  {AIACCEL_TURN_COMPLETED, 140, 160, 40}};
  for (std::size_t i = 0; i < records.size(); ++i) {
    aiaccel_stats_turn told;
    aia_history_tell(&records[i], 3, 1000, &told);
    BOOST_TEST(told.state == expected[i].state, "record " << i);
    BOOST_TEST(told.submitted_ns == 1100u);
    BOOST_TEST(told.granted_ns == (expected[i].granted_ns ? expected[i].granted_ns + 1000 : 0));
    BOOST_TEST(told.ended_ns == expected[i].ended_ns + 1000);
    BOOST_TEST(told.capped_ns == 0u);
    BOOST_TEST(told.wait_ns == expected[i].wait_ns);
    BOOST_TEST(told.max_wait_ns == expected[i].wait_ns);
    BOOST_TEST(told.count == 1u);
    BOOST_TEST(told.class_ == 1u * AIACCEL_CLASS_HIGH);
    BOOST_TEST(told.width == 2u);
    BOOST_TEST(told.context == 7u);
    BOOST_TEST(told.tenant == 8u);
    BOOST_TEST(told.tenant_kind == 1u * AIACCEL_TENANT_CGROUP);
    BOOST_TEST(told.source_id == 1234u);
    BOOST_TEST(told.engine == 3u);
    BOOST_TEST(told.queue == 9u);
    BOOST_TEST(told.pid == 10);
    BOOST_TEST(told.comm == "server");
    BOOST_TEST(told.label == "asr");
  }
}

BOOST_AUTO_TEST_CASE(many_engines_keep_less_each) {
  const auto capacity = [](std::uint64_t engines, std::uint64_t kept = 0) {
    return aia_history_capacity(engines, 8 * AIA_HISTORY_RECORDS, kept);
  };
  BOOST_TEST(capacity(0) == 4096u);
  BOOST_TEST(capacity(8) == 4096u);
  BOOST_TEST(capacity(9) == 2048u);
  BOOST_TEST(capacity(17) == 1024u);
  BOOST_TEST(capacity(128) == 256u);
  BOOST_TEST(capacity(~0U) == 256u);
  BOOST_TEST(capacity(1, 7 * 4096) == 4096u);
  BOOST_TEST(capacity(1, 7 * 4096 + 1) == 2048u);
  BOOST_TEST(capacity(17, 7 * 4096) == 1024u);
  BOOST_TEST(capacity(1, 8 * 4096) == 256u);
  BOOST_TEST(capacity(1, ~0U) == 256u);

  // They come one by one, each with its first queue.
  std::uint64_t kept = 0;
  for (std::uint64_t engines = 1; engines <= 1024; ++engines) kept += capacity(engines, kept);
  BOOST_TEST(kept <= 8 * 4096 + 1024 * 256);
}

BOOST_AUTO_TEST_CASE(the_oldest_go_first_and_a_late_reader_goes_on_with_what_is_left) {
  Kept stage(1, 8);
  Context c(stage);
  for (std::uint64_t i = 0; i < 20; ++i) {
    stage.now = 100 + i;
    turn(stage, c);
    const Records records = stage.read();
    BOOST_TEST_REQUIRE(records.size() == (i < 8 ? i + 1 : 8));
    BOOST_TEST(records.back().ended_ns == 100 + i);
    BOOST_TEST(records.front().ended_ns == 100 + (i < 8 ? 0 : i - 7));
  }
  BOOST_TEST(stage.read(11).front().ended_ns == 112u);  // number 11 is gone
  BOOST_TEST(stage.read(15).front().ended_ns == 115u);
  BOOST_TEST(stage.read(20).empty());
}

BOOST_AUTO_TEST_CASE(refusals_in_a_row_are_one_record) {
  Kept stage(1, 8);
  Context c(stage), other(stage);
  c.who.context = 1;
  other.who.context = 2;
  stage.engine.state = AIACCEL_ENGINE_DRAINING;
  for (stage.now = 10; stage.now < 60; ++stage.now) {
    BOOST_TEST_REQUIRE(c.submit(1) == -ESHUTDOWN);
    BOOST_TEST_REQUIRE(other.submit(1) == -ESHUTDOWN);
  }
  stage.engine.state = AIACCEL_ENGINE_LEAVING;
  BOOST_TEST(c.submit(1) == -ENODEV);
  Records records = stage.read();
  BOOST_TEST_REQUIRE(records.size() == 2u);
  BOOST_TEST(records[0].state == AIACCEL_TURN_REFUSED);
  BOOST_TEST(records[0].submitted_ns == 10u);
  BOOST_TEST(records[0].granted_ns == 0u);
  BOOST_TEST(records[0].ended_ns == 60u);
  BOOST_TEST(records[0].count == 51u);
  BOOST_TEST(records[0].capped_ns == 0u);
  BOOST_TEST(records[1].who.context == 2u);
  BOOST_TEST(records[1].ended_ns == 59u);
  BOOST_TEST(records[1].count == 50u);

  // A turn ends the row.
  stage.engine.state = AIACCEL_ENGINE_ACTIVE;
  turn(stage, c);
  stage.engine.state = AIACCEL_ENGINE_DRAINING;
  BOOST_TEST(c.submit(1) == -ESHUTDOWN);
  BOOST_TEST(other.submit(1) == -ESHUTDOWN);
  records = stage.read();
  BOOST_TEST_REQUIRE(records.size() == 4u);
  BOOST_TEST(records[3].count == 1u);
  BOOST_TEST(records[1].count == 51u);

  // So does being pushed out: what is at that place now is somebody else's.
  for (std::uint64_t i = 0; i < 10; ++i) {
    Context passing(stage);
    passing.who.context = 10 + i;
    BOOST_TEST(passing.submit(1) == -ESHUTDOWN);
    aia_sched_queue_fini(&passing.queue);
  }
  stage.now = 99;
  BOOST_TEST(other.submit(1) == -ESHUTDOWN);
  records = stage.read();
  BOOST_TEST_REQUIRE(records.size() == 8u);
  BOOST_TEST(records.back().who.context == 2u);
  BOOST_TEST(records.back().submitted_ns == 99u);
  for (const aia_history_record& record : records) BOOST_TEST(record.count == 1u);
}

BOOST_AUTO_TEST_CASE(queues_that_were_refused_are_a_row_of_their_own) {
  Kept stage(1);
  Context c(stage);
  c.who.context = 1;
  c.who.queue = 5;
  aia_history_who none = c.who;
  none.queue = 0;
  stage.engine.state = AIACCEL_ENGINE_DRAINING;
  BOOST_TEST(c.submit(1) == -ESHUTDOWN);
  for (std::uint64_t now : {10, 20, 30})
    aia_history_refused(&stage.history, &none, AIACCEL_CLASS_LOW, 0, now);
  stage.now = 40;
  BOOST_TEST(c.submit(1) == -ESHUTDOWN);
  aia_history_refused(nullptr, &none, AIACCEL_CLASS_LOW, 0, 50);
  const Records records = stage.read();
  BOOST_TEST_REQUIRE(records.size() == 2u);
  BOOST_TEST(records[0].who.queue == 5u);
  BOOST_TEST(records[0].count == 2u);
  BOOST_TEST(records[0].ended_ns == 40u);
  BOOST_TEST(records[1].state == AIACCEL_TURN_REFUSED);
  BOOST_TEST(records[1].who.queue == 0u);
  BOOST_TEST(records[1].class_ == 1u * AIACCEL_CLASS_LOW);
  BOOST_TEST(records[1].width == 0u);
  BOOST_TEST(records[1].count == 3u);
  BOOST_TEST(records[1].submitted_ns == 10u);
  BOOST_TEST(records[1].ended_ns == 30u);
}

// Who submits and cancels in a loop pushes nobody's record out.
BOOST_AUTO_TEST_CASE(jobs_withdrawn_shortly_after_each_other_are_one_record) {
  Kept stage(1, 8);
  Context holder(stage), c(stage), other(stage);
  holder.who.context = 1;
  c.who.context = 2;
  other.who.context = 3;
  turn(stage, other);
  BOOST_TEST(holder.submit(1) == 0);
  stage.dispatch();
  for (int i = 0; i < 90; ++i) {
    BOOST_TEST_REQUIRE(c.submit(1) == 0);
    BOOST_TEST_REQUIRE(c.submit(2) == 0);
    stage.now += 1000;
    BOOST_TEST_REQUIRE(c.cancel(2) == 0);
    BOOST_TEST_REQUIRE(c.cancel(1) == 0);
    stage.now += kGapNs;
  }
  Records records = stage.read();
  BOOST_TEST_REQUIRE(records.size() == 2u);
  BOOST_TEST(records[0].who.context == 3u);
  BOOST_TEST(records[1].who.context == 2u);
  BOOST_TEST(records[1].state == AIACCEL_TURN_WITHDRAWN);
  BOOST_TEST(records[1].submitted_ns == 1u);
  BOOST_TEST(records[1].ended_ns == stage.now - kGapNs);
  BOOST_TEST(records[1].count == 180u);
  BOOST_TEST(records[1].wait_ns == 180'000u);
  BOOST_TEST(records[1].max_wait_ns == 1000u);

  // One that comes later is not part of it, nor is one of another label, or after a turn.
  ++stage.now;
  withdraw(c);
  BOOST_TEST(stage.read().size() == 3u);
  std::strcpy(c.who.label, "two");
  withdraw(c);
  BOOST_TEST(stage.read().size() == 4u);
  holder.complete(1, generation_of(holder));
  withdraw(holder);
  withdraw(holder);
  records = stage.read();
  BOOST_TEST_REQUIRE(records.size() == 6u);
  BOOST_TEST(records[4].state == AIACCEL_TURN_COMPLETED);
  BOOST_TEST(records[5].state == AIACCEL_TURN_WITHDRAWN);
  BOOST_TEST(records[5].count == 2u);
}

BOOST_AUTO_TEST_CASE(jobs_withdrawn_of_another_class_or_width_are_rows_of_their_own) {
  Kept stage(4, 8);
  Context low(stage, AIACCEL_CLASS_LOW), high(stage, AIACCEL_CLASS_HIGH);
  stage.engine.state = AIACCEL_ENGINE_DRAINING;
  BOOST_TEST(low.submit(1) == -ESHUTDOWN);
  BOOST_TEST(high.submit(1) == -ESHUTDOWN);
  stage.engine.state = AIACCEL_ENGINE_ACTIVE;
  for (int i = 0; i < 50; ++i) {
    withdraw(high);
    ++stage.now;
    withdraw(low);
    ++stage.now;
    withdraw(low, 2);
    ++stage.now;
  }
  const Records records = stage.read();
  BOOST_TEST_REQUIRE(records.size() == 5u);
  for (std::size_t i = 2; i < 5; ++i) BOOST_TEST(records[i].count == 50u);
  BOOST_TEST(records[0].class_ == 1u * AIACCEL_CLASS_LOW);
  BOOST_TEST(records[1].class_ == 1u * AIACCEL_CLASS_HIGH);
  BOOST_TEST(records[2].class_ == 1u * AIACCEL_CLASS_HIGH);
  BOOST_TEST(records[3].class_ == 1u * AIACCEL_CLASS_LOW);
  BOOST_TEST(records[4].width == 2u);
}

// A record that says how long, but not when, says little if it lasts for long.
BOOST_AUTO_TEST_CASE(a_row_lasts_a_second_longer_than_its_longest_wait) {
  Kept stage(1);
  Context holder(stage), c(stage);
  holder.who.context = 1;
  c.who.context = 2;
  BOOST_TEST(holder.submit(1) == 0);
  stage.dispatch();
  for (int i = 0; i < 300; ++i) {
    stage.now += kGapNs;
    withdraw(c);
  }
  BOOST_TEST(stage.read().size() == 3u);
  BOOST_TEST(stage.read()[0].count == 101u);
  BOOST_TEST(stage.read()[2].count == 98u);
  // 0.97 s were gone.
  BOOST_TEST(c.submit(1) == 0);
  stage.now += 1000 * kGapNs;
  BOOST_TEST(c.submit(2) == 0);
  BOOST_TEST(c.cancel(1) == 0);
  stage.now += 3 * kGapNs;
  BOOST_TEST(c.cancel(2) == 0);
  BOOST_TEST(stage.read().size() == 3u);
  BOOST_TEST(stage.read()[2].wait_ns == 1003 * kGapNs);
  BOOST_TEST(stage.read()[2].max_wait_ns == 1000 * kGapNs);
  withdraw(c);
  BOOST_TEST(stage.read().size() == 3u);
  ++stage.now;
  withdraw(c);
  BOOST_TEST(stage.read().size() == 4u);
}

BOOST_AUTO_TEST_CASE(jobs_withdrawn_together_each_waited_and_were_held_back) {
  Kept stage(2);
  aia_sched_node_set_caps(&stage.node, AIACCEL_ENGINE_TIME_ALL, 1, 0);
  Context holder(stage), c(stage);
  holder.who.context = 1;
  c.who.context = 2;
  BOOST_TEST(holder.submit(1) == 0);
  stage.dispatch();
  stage.now = 1000;
  for (const std::uint64_t cookie : {1, 2, 3}) BOOST_TEST(c.submit(cookie) == 0);
  stage.dispatch();
  stage.now = 1400;
  for (const std::uint64_t cookie : {1, 2}) BOOST_TEST(c.cancel(cookie) == 0);
  stage.now = 1500;
  BOOST_TEST(c.cancel(3) == 0);
  const Records records = stage.read();
  BOOST_TEST_REQUIRE(records.size() == 1u);
  BOOST_TEST(records[0].submitted_ns == 1000u);
  BOOST_TEST(records[0].ended_ns == 1500u);
  BOOST_TEST(records[0].wait_ns == 1300u);
  BOOST_TEST(records[0].max_wait_ns == 500u);
  BOOST_TEST(records[0].capped_ns == 1300u);
  BOOST_TEST(records[0].count == 3u);
}

// What others do meanwhile is looked through, up to a bound.
BOOST_AUTO_TEST_CASE(a_row_goes_on_past_the_records_of_others) {
  Kept stage(1, 1024);
  Context c(stage), other(stage);
  c.who.context = 1;
  other.who.context = 2;
  const auto beside = [&](int turns) {
    withdraw(c);
    for (int i = 0; i < turns; ++i) turn(stage, other);
    withdraw(c);
  };
  beside(63);
  BOOST_TEST(stage.read().size() == 64u);
  BOOST_TEST(stage.read()[0].count == 2u);
  turn(stage, c);
  beside(64);
  BOOST_TEST(stage.read().size() == 131u);
  BOOST_TEST(stage.read().back().count == 1u);
}

BOOST_AUTO_TEST_CASE(other_refusals_are_not_kept) {
  Kept stage(1);
  Context c(stage);
  BOOST_TEST(c.submit(1, 2) == -EINVAL);
  BOOST_TEST(c.submit(1) == 0);
  BOOST_TEST(c.submit(1) == -EEXIST);
  stage.dispatch();
  BOOST_TEST(c.submit(2) == -EDEADLK);
  BOOST_TEST(stage.read().empty());
}

BOOST_AUTO_TEST_SUITE_END()
