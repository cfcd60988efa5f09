// SPDX-License-Identifier: MIT
//
// What waits, why, and for whom: of snapshots made up for it, and how they are read.
#include "aiaccel/waiting.hpp"

#include <cstring>
#include <set>

#include "tap/tap.hpp"

namespace {

using namespace tools;

aiaccel_stats_turn turn(std::uint64_t context, const char* label, std::uint32_t state,
                        std::uint64_t at_ns) {
  aiaccel_stats_turn made{};
  made.context = context;
  made.engine = 1;
  made.state = state;
  made.class_ = AIACCEL_CLASS_NORMAL;
  made.width = 2;
  made.pid = static_cast<std::int32_t>(context) * 100;
  made.tenant_kind = AIACCEL_TENANT_USER;
  made.source_id = context * 10;
  made.submitted_ns = at_ns;
  if (state == AIACCEL_TURN_RUNNING) made.granted_ns = at_ns;
  std::strcpy(made.label, label);
  std::strcpy(made.comm, "python3");
  return made;
}

aiaccel_stats_turn waiter(std::uint64_t context, const char* label, std::uint32_t why,
                          std::uint64_t waits_for, std::uint64_t at_ns = 500) {
  aiaccel_stats_turn made = turn(context, label, AIACCEL_TURN_WAITING, at_ns);
  made.why = why;
  made.waits_for = waits_for;
  made.wait_ns = 1000 - at_ns;
  return made;
}

std::vector<Waiting> all_of(const std::vector<aiaccel_stats_turn>& turns) {
  Snapshot snapshot;
  snapshot.time_ns = 1000;
  snapshot.turns = turns;
  for (std::uint64_t number : {1, 2, 3}) {
    aiaccel_stats_context& context = snapshot.contexts.emplace_back();
    context.context = number;
    context.tenant = number + 20;
    context.pid = static_cast<std::int32_t>(number) * 100;
    std::strcpy(context.comm, "opener");
    aiaccel_stats_tenant& tenant = snapshot.tenants.emplace_back();
    tenant.tenant = number + 20;
    tenant.kind = AIACCEL_TENANT_USER;
    tenant.source_id = number * 10;
  }
  return find_waiting(snapshot, [](const aiaccel_stats_turn&) { return true; });
}

template <typename Record>
void put(std::vector<std::uint64_t>& units, std::uint32_t kind, const Record& record,
         std::size_t more = 0) {
  const std::size_t words = sizeof(Record) / 8 + more;
  const aiaccel_stats_head head{kind, static_cast<std::uint32_t>((words + 1) * 8)};
  const std::size_t at = units.size();
  units.resize(at + 1 + words, 0x5a5a5a5a5a5a5a5a);
  std::memcpy(&units[at], &head, sizeof head);
  std::memcpy(&units[at + 1], &record, sizeof record);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(waiting)

BOOST_AUTO_TEST_CASE(a_turn_is_in_the_way) {
  const auto found = all_of({turn(1, "holds", AIACCEL_TURN_RUNNING, 100),
                             waiter(1, "more", AIACCEL_WAIT_OWN, 1, 900),
                             waiter(2, "next", AIACCEL_WAIT_SLOTS, 1)});
  BOOST_TEST_REQUIRE(found.size() == 2u);
  const Waiting& next = found[0];  // it waits longest
  BOOST_TEST(next.who.label == "next");
  BOOST_TEST(next.who.pid == 200);
  BOOST_TEST(next.width == 2u);
  BOOST_TEST(next.wait_ns == 500u);
  BOOST_TEST_REQUIRE(next.in_way.has_value());
  BOOST_TEST(next.in_way->who.label == "holds");
  BOOST_TEST(next.in_way->who.unit->second == 10u);
  BOOST_TEST(next.in_way->ran_ns.value() == 900u);
  BOOST_TEST(found[1].in_way->who.label == "holds");
}

BOOST_AUTO_TEST_CASE(one_that_waits_itself_is_in_the_way) {
  const auto found = all_of({waiter(1, "second", AIACCEL_WAIT_ORDER, 1, 300),
                             waiter(1, "first", AIACCEL_WAIT_SLOTS, 0, 200),
                             waiter(2, "last", AIACCEL_WAIT_KEPT, 1)});
  BOOST_TEST(found[0].who.label == "first");
  BOOST_TEST(!found[0].in_way);  // somebody that is not to be seen
  const Obstacle& obstacle = found[2].in_way.value();
  BOOST_TEST(obstacle.who.label == "first");
  BOOST_TEST(obstacle.class_.value() == std::uint32_t{AIACCEL_CLASS_NORMAL});
  BOOST_TEST(!obstacle.ran_ns);
}

// The same context's turn at another engine is in nobody's way here.
BOOST_AUTO_TEST_CASE(where_no_turn_is_meant_the_context_is_named) {
  aiaccel_stats_turn elsewhere = turn(1, "elsewhere", AIACCEL_TURN_RUNNING, 100);
  elsewhere.engine = 2;
  for (const std::uint32_t why : {AIACCEL_WAIT_SLOTS, AIACCEL_WAIT_CONTENDED, AIACCEL_WAIT_AFTER}) {
    const auto found = all_of({elsewhere, waiter(2, "waits", why, 1)});
    const Obstacle& obstacle = found.at(0).in_way.value();
    BOOST_TEST(obstacle.who.comm == "opener");
    BOOST_TEST(obstacle.who.pid == 100);
    BOOST_TEST(obstacle.who.unit->second == 10u);
    BOOST_TEST(!obstacle.class_);
  }
  const auto after = all_of(
      {turn(1, "other", AIACCEL_TURN_RUNNING, 100), waiter(1, "held", AIACCEL_WAIT_AFTER, 1)});
  BOOST_TEST(after.at(0).in_way->who.label == "");
  BOOST_TEST(!all_of({waiter(2, "waits", AIACCEL_WAIT_SLOTS, 77)}).at(0).in_way);
}

BOOST_AUTO_TEST_CASE(each_cause_has_words_of_its_own) {
  std::set<std::string> names, sentences;
  for (std::uint32_t why = AIACCEL_WAIT_NOT; why <= AIACCEL_WAIT_CONTENDED; why++) {
    BOOST_TEST(names.insert(wait_name(why)).second);
    BOOST_TEST(sentences.insert(wait_sentence(why)).second);
  }
  BOOST_TEST(wait_name(AIACCEL_WAIT_CONTENDED) == "contended");
  BOOST_TEST(wait_name(AIACCEL_WAIT_GROUP) == "group");
  BOOST_TEST(wait_name(99) == "99");
  BOOST_TEST(wait_sentence(99) == "a cause that this version does not know");
}

BOOST_AUTO_TEST_CASE(a_snapshot_is_read_by_kinds_and_lengths) {
  std::vector<std::uint64_t> units;
  aiaccel_stats_engine engine{};
  engine.id = 7;
  put(units, AIACCEL_STATS_ENGINES, engine, 3);  // a newer arbiter's, with a longer tail
  put(units, 99, std::uint64_t{1});
  const std::uint64_t context = 42;  // an older one's, of one field
  put(units, AIACCEL_STATS_CONTEXTS, context);
  put(units, AIACCEL_STATS_TURNS, turn(5, "runs", AIACCEL_TURN_RUNNING, 1));
  const Snapshot snapshot = parse_snapshot(units.data(), units.size());
  BOOST_TEST(snapshot.engines.at(0).id == 7u);
  BOOST_TEST(snapshot.contexts.at(0).context == 42u);
  BOOST_TEST(snapshot.contexts.at(0).tenant == 0u);
  BOOST_TEST(snapshot.turns.at(0).context == 5u);
  BOOST_TEST(snapshot.tenants.empty());
}

BOOST_AUTO_TEST_CASE(a_snapshot_that_breaks_off_ends_there) {
  std::vector<std::uint64_t> units;
  put(units, AIACCEL_STATS_TURNS, turn(5, "runs", AIACCEL_TURN_RUNNING, 1));
  BOOST_TEST(parse_snapshot(units.data(), units.size() - 1).turns.empty());
  units[0] = AIACCEL_STATS_TURNS;  // no length
  BOOST_TEST(parse_snapshot(units.data(), units.size()).turns.empty());
}

BOOST_AUTO_TEST_CASE(nothing_behind_a_snapshot_is_read) {
  std::vector<std::uint64_t> units;
  put(units, AIACCEL_STATS_CONTEXTS, std::uint64_t{42});
  const std::size_t count = units.size();
  units.push_back(~0ull);
  const aiaccel_stats_head head{AIACCEL_STATS_CONTEXTS, 16 + 7};  // no multiple of 8
  std::memcpy(units.data(), &head, sizeof head);
  const Snapshot snapshot = parse_snapshot(units.data(), count);
  BOOST_TEST(snapshot.contexts.at(0).context == 42u);
  BOOST_TEST(snapshot.contexts.at(0).tenant == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
