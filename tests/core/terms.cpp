// SPDX-License-Identifier: MIT
//
// The end of a turn against its holder's will: when it is asked, when it is revoked, who pays, what
// renews it. Time is the core's own: dispatched exactly when it says.

#include <tap/tap.hpp>

#include <cerrno>
#include <memory>
#include <vector>

#include "core/turns_stage.hpp"

namespace {

constexpr std::uint64_t kMs = 1000000, kBudget = 50 * kMs;
constexpr std::uint32_t kGranted = AIACCEL_EVENT_GRANTED, kYield = AIACCEL_EVENT_YIELD,
                        kRevoked = AIACCEL_EVENT_REVOKED;

// One slot unless told otherwise; grace is 100 ms.
struct Terms : Stage {
  explicit Terms(std::uint32_t slots = 1, std::uint32_t enforcement = AIACCEL_ADVISORY)
      : Stage(slots) {
    aia_terms_set_engine(&engine, enforcement, 0);
  }
  std::uint64_t next() { return aia_turns_next_ns(&engine); }
  // Goes on until then as an adapter's timer does.
  void pass(std::uint64_t until) {
    for (dispatch(); next() <= until; dispatch()) now = std::max(now, next());
    now = until;
  }
  static constexpr std::uint64_t kGrace = AIA_TERMS_GRACE_NS;
};

struct Holder : Context {
  Holder(Terms& terms, std::uint64_t budget, std::uint32_t flags = 0,
         std::uint32_t class_ = AIACCEL_CLASS_NORMAL)
      : Context(terms, class_) {
    aia_terms_set_queue(&queue, flags, budget);
  }
  // All that was told since, in one.
  std::uint32_t told() {
    std::uint32_t bits = 0;
    for (const aiaccel_event& e : read()) {
      bits |= e.events;
      generation = e.generation;
      slot = e.slot;
    }
    return bits;
  }
  int renew() { return complete(1, generation, AIACCEL_COMPLETE_RENEW); }
  std::uint32_t generation = 0, slot = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(terms)

BOOST_AUTO_TEST_CASE(who_stays_over_the_budget_is_asked_and_then_revoked) {
  Terms t;
  Holder holder(t, kBudget), other(t, 0);
  BOOST_TEST(holder.submit(1) == 0);
  BOOST_TEST(holder.submit(2) == 0);
  t.dispatch();
  BOOST_TEST(holder.told() == kGranted);
  BOOST_TEST(t.next() == AIACCEL_NEVER);
  BOOST_TEST(other.submit(1) == 0);
  t.dispatch();
  BOOST_TEST(t.next() == 1 + kBudget);
  t.pass(kBudget);
  BOOST_TEST(holder.told() == 0u);
  t.pass(1 + kBudget);
  t.dispatch();
  BOOST_TEST(holder.told() == kYield);
  BOOST_TEST(holder.yield_word(holder.slot) == holder.generation);
  t.pass(kBudget + t.kGrace);
  BOOST_TEST(holder.told() == 0u);
  BOOST_TEST(other.told() == 0u);
  t.pass(1 + kBudget + t.kGrace);
  t.dispatch();
  BOOST_TEST(holder.told() == kRevoked);
  BOOST_TEST(other.told() == kGranted);
  BOOST_TEST(t.engine.contended == 1u);
  BOOST_TEST(t.engine.slots_used == 1u);
  // It gets no other turn before it has said that it ended.
  BOOST_TEST(holder.submit(3) == -EDEADLK);
  BOOST_TEST(other.complete(1, other.generation) == 0);
  t.dispatch();
  BOOST_TEST(holder.told() == 0u);
  BOOST_TEST(holder.complete(1, holder.generation) == -ESTALE);
  BOOST_TEST(holder.wants_dispatch);
  BOOST_TEST(t.engine.contended == 0u);
  t.dispatch();
  BOOST_TEST(holder.told() == kGranted);
  BOOST_TEST(holder.complete(2, holder.generation) == 0);
  BOOST_TEST(t.engine.slots_used == 0u);
}

BOOST_AUTO_TEST_CASE(while_nobody_waits_a_turn_goes_on) {
  Terms t;
  Holder holder(t, kBudget), other(t, 0);
  BOOST_TEST(holder.submit(1) == 0);
  t.dispatch();
  BOOST_TEST(holder.told() == kGranted);
  t.now = 1000 * kBudget;
  t.dispatch();
  BOOST_TEST(holder.told() == 0u);
  BOOST_TEST(other.submit(1) == 0);
  t.dispatch();
  BOOST_TEST(holder.told() == kYield);
  BOOST_TEST(t.next() == t.now + t.kGrace);
  // Who waited goes: no timer is left, and the turn goes on.
  BOOST_TEST(other.cancel(1) == 0);
  t.dispatch();
  BOOST_TEST(t.next() == AIACCEL_NEVER);
  t.now += 10 * t.kGrace;
  t.dispatch();
  BOOST_TEST(holder.told() == 0u);
  BOOST_TEST(holder.complete(1, holder.generation) == 0);
}

BOOST_AUTO_TEST_CASE(budgets_are_the_engines_where_the_queue_has_none) {
  for (std::uint32_t enforcement : {AIACCEL_ADVISORY, AIACCEL_GATED, AIACCEL_PREEMPTIBLE}) {
    Terms t(1, enforcement);
    Holder holder(t, 0), own(t, 7 * kMs);
    BOOST_TEST(own.queue.budget_ns == 7 * kMs);
    BOOST_TEST(holder.queue.budget_ns ==
               (enforcement == AIACCEL_ADVISORY ? 0 : AIACCEL_BUDGET_DEFAULT_NS));
    BOOST_TEST(t.engine.grace_ns ==
               (enforcement == AIACCEL_PREEMPTIBLE ? AIA_TERMS_GRACE_PREEMPTIBLE_NS : t.kGrace));
  }
}

BOOST_AUTO_TEST_CASE(without_a_budget_it_has_no_end_once_it_was_claimed) {
  Terms t;
  Holder holder(t, 0), other(t, 0);
  BOOST_TEST(holder.submit(1) == 0);
  t.dispatch();
  BOOST_TEST(holder.told() == kGranted);
  BOOST_TEST(other.submit(1) == 0);
  t.pass(1000 * AIA_TERMS_CLAIM_NS);
  BOOST_TEST(holder.told() == 0u);
  BOOST_TEST(t.next() == AIACCEL_NEVER);
}

BOOST_AUTO_TEST_CASE(a_turn_that_nobody_claims_is_revoked_and_nothing_is_contended) {
  for (std::uint64_t budget : {0 * kMs, 5000 * kMs, 0 + kBudget}) {
    Terms t;
    Holder holder(t, budget), other(t, 0);
    BOOST_TEST(holder.submit(1) == 0);
    BOOST_TEST(holder.submit(2) == 0);
    t.dispatch();
    BOOST_TEST(other.submit(1) == 0);
    const std::uint64_t end = 1 + (budget == kBudget ? kBudget + t.kGrace : AIA_TERMS_CLAIM_NS);
    t.pass(end - 1);
    BOOST_TEST(other.told() == 0u);
    t.pass(end);
    t.dispatch();
    BOOST_TEST(other.told() == kGranted);
    BOOST_TEST(t.engine.contended == 0u);
    BOOST_TEST(holder.complete(1, ~0U, AIACCEL_COMPLETE_CANCEL) == -ESTALE);
  }
}

BOOST_AUTO_TEST_CASE(renewing_what_was_revoked_says_nothing_of_its_work) {
  Terms t;
  Holder holder(t, kBudget), other(t, 0);
  BOOST_TEST(holder.submit(1) == 0);
  t.dispatch();
  BOOST_TEST(holder.told() == kGranted);
  BOOST_TEST(other.submit(1) == 0);
  t.pass(1 + kBudget + t.kGrace);
  BOOST_TEST(other.told() == kGranted);
  BOOST_TEST(t.engine.contended == 1u);
  BOOST_TEST(holder.renew() == -ESTALE);
  BOOST_TEST(t.engine.contended == 1u);
  BOOST_TEST(holder.complete(1, holder.generation) == -ESTALE);
  BOOST_TEST(t.engine.contended == 0u);
  BOOST_TEST(holder.renew() == -ENOENT);
}

BOOST_AUTO_TEST_CASE(renewed_if_it_would_be_next_again) {
  Terms t;
  Holder holder(t, kBudget, 0, AIACCEL_CLASS_HIGH), lower(t, 0), equal(t, 0, 0, AIACCEL_CLASS_HIGH);
  BOOST_TEST(holder.submit(1) == 0);
  BOOST_TEST(holder.renew() == -EBUSY);
  t.dispatch();
  BOOST_TEST(holder.told() == kGranted);
  BOOST_TEST(holder.complete(1, holder.generation + 1, AIACCEL_COMPLETE_RENEW) == -ESTALE);
  BOOST_TEST(holder.renew() == 0);  // nobody waits
  BOOST_TEST(lower.submit(1) == 0);
  t.pass(1 + kBudget);
  t.dispatch();
  BOOST_TEST(holder.told() == kYield);
  BOOST_TEST(holder.renew() == 0);  // a lower class waits
  BOOST_TEST(holder.yield_word(holder.slot) != holder.generation);
  BOOST_TEST(t.engine.slots_yielding == 0u);
  t.dispatch();
  BOOST_TEST(t.next() == t.now + kBudget);
  t.pass(t.now + kBudget - 1);
  BOOST_TEST(holder.told() == 0u);
  BOOST_TEST(equal.submit(1) == 0);
  BOOST_TEST(holder.renew() == -EAGAIN);  // its like waits, and had less
  t.pass(t.now + 1);
  t.dispatch();
  BOOST_TEST(holder.told() == kYield);
  BOOST_TEST(holder.renew() == -EAGAIN);
  t.pass(t.now + t.kGrace);
  t.dispatch();
  BOOST_TEST(holder.told() == kRevoked);
  BOOST_TEST(holder.renew() == -ESTALE);
  BOOST_TEST(equal.told() == kGranted);
}

BOOST_AUTO_TEST_CASE(renewing_pays_and_needs_an_engine_that_takes_work) {
  Terms t;
  Holder holder(t, kBudget), other(t, 0);
  BOOST_TEST(holder.submit(1) == 0);
  t.dispatch();
  holder.told();
  t.now += kBudget;
  BOOST_TEST(holder.renew() == 0);
  t.engine.state = AIACCEL_ENGINE_DRAINING;
  BOOST_TEST(holder.renew() == -EAGAIN);
  t.engine.state = AIACCEL_ENGINE_ACTIVE;
  // As often as it likes: no more and no less is paid.
  for (int i = 0; i < 10; i++) {
    t.now += kMs;
    BOOST_TEST(holder.renew() == 0);
  }
  BOOST_TEST(holder.complete(1, holder.generation) == 0);
  aia_vtime once{};
  {
    Terms straight;
    Holder one(straight, kBudget);
    BOOST_TEST(one.submit(1) == 0);
    straight.dispatch();
    one.told();
    straight.now += kBudget + 10 * kMs;
    BOOST_TEST(one.complete(1, one.generation) == 0);
    once = one.queue.share.vtime;
    BOOST_TEST(straight.engine.busy_ns == t.engine.busy_ns);
  }
  BOOST_TEST(!aia_vtime_before(once, holder.queue.share.vtime));
  BOOST_TEST(!aia_vtime_before(holder.queue.share.vtime, once));
  BOOST_TEST(holder.queue.granted == 1u);
  BOOST_TEST(holder.queue.completed == 1u);
}

BOOST_AUTO_TEST_CASE(a_tenant_at_its_ceiling_of_turns_renews_its_own) {
  Terms t;
  Holder holder(t, kBudget), other(t, 0);
  aia_sched_node_set_caps(&t.node, AIACCEL_ENGINE_TIME_ALL, 1, t.now);
  BOOST_TEST(holder.submit(1) == 0);
  t.dispatch();
  holder.told();
  t.now += kBudget;
  BOOST_TEST(holder.renew() == 0);
  BOOST_TEST(t.node.turns == 1u);
  BOOST_TEST(t.node.held_back);
}

BOOST_AUTO_TEST_CASE(what_fills_is_revoked_after_the_grace_when_a_higher_class_waits) {
  Terms t(2);
  Holder fill(t, 0, AIACCEL_QUEUE_FILL, AIACCEL_CLASS_LOW), plain(t, 0, 0, AIACCEL_CLASS_LOW),
      low(t, 0, 0, AIACCEL_CLASS_LOW), normal(t, 0);
  BOOST_TEST(fill.submit(1) == 0);
  BOOST_TEST(plain.submit(1) == 0);
  t.dispatch();
  BOOST_TEST((fill.told() & plain.told()) == kGranted);
  BOOST_TEST(low.submit(1) == 0);
  t.pass(100 * t.kGrace);
  BOOST_TEST(fill.told() == 0u);
  BOOST_TEST(normal.submit(1, 2) == 0);
  t.dispatch();
  BOOST_TEST(fill.told() == kYield);
  BOOST_TEST(plain.told() == kYield);
  t.pass(t.now + t.kGrace);
  t.dispatch();
  BOOST_TEST(fill.told() == kRevoked);
  t.pass(t.now + 100 * t.kGrace);
  BOOST_TEST(plain.told() == 0u);  // it is only asked
}

BOOST_AUTO_TEST_CASE(what_fills_goes_on_when_the_higher_class_goes) {
  Terms t;
  Holder fill(t, 1000 * kBudget, AIACCEL_QUEUE_FILL, AIACCEL_CLASS_LOW),
      low(t, 0, 0, AIACCEL_CLASS_LOW), normal(t, 0);
  BOOST_TEST(fill.submit(1) == 0);
  t.dispatch();
  fill.told();
  BOOST_TEST(low.submit(1) == 0);
  BOOST_TEST(normal.submit(1) == 0);
  t.dispatch();
  BOOST_TEST(fill.told() == kYield);
  BOOST_TEST(normal.cancel(1) == 0);
  t.pass(t.now + 10 * t.kGrace);
  BOOST_TEST(fill.told() == 0u);
  t.pass(1 + 1000 * kBudget);
  t.dispatch();
  BOOST_TEST(fill.told() == 0u);  // it knows
  t.pass(t.now + t.kGrace);
  t.dispatch();
  BOOST_TEST(fill.told() == kRevoked);
}

// That was asked for one that has gone makes room for the next one, within the grace.
BOOST_AUTO_TEST_CASE(what_fills_gives_way_again_though_it_was_spared) {
  for (const std::uint64_t budget : {0 * kMs, 1000 * kBudget})
    for (const bool renews : {false, true}) {
      Terms t;
      Holder fill(t, budget, AIACCEL_QUEUE_FILL, AIACCEL_CLASS_LOW),
          low(t, 0, 0, AIACCEL_CLASS_LOW), normal(t, 0);
      BOOST_TEST(fill.submit(1) == 0);
      t.dispatch();
      fill.told();
      BOOST_TEST(low.submit(1) == 0);
      for (int i = 0; i < 3; i++) {
        BOOST_TEST(normal.submit(1) == 0);
        t.dispatch();
        BOOST_TEST(fill.told() == (i && !renews ? 0u : kYield));
        t.pass(t.now + t.kGrace / 2);
        BOOST_TEST(normal.cancel(1) == 0);
        t.pass(t.now + t.kGrace);
        BOOST_TEST(fill.told() == 0u);
        if (!renews) continue;
        BOOST_TEST(low.cancel(1) == 0);
        BOOST_TEST(fill.renew() == 0);
        BOOST_TEST(low.submit(1) == 0);
        t.pass(t.now + t.kGrace);
      }
      BOOST_TEST(normal.submit(1) == 0);
      t.pass(t.now + t.kGrace - 1);
      BOOST_TEST(fill.told() == (renews ? kYield : 0u));
      t.pass(t.now + 1);
      t.dispatch();
      BOOST_TEST(fill.told() == kRevoked);
      BOOST_TEST(normal.told() == kGranted);
    }
}

BOOST_AUTO_TEST_CASE(nobody_is_revoked_for_whom_it_is_not_in_the_way) {
  Terms t;
  t.engine.gives_way = true;
  Holder low(t, kBudget, 0, AIACCEL_CLASS_LOW), normal(t, kBudget), other(t, 0),
      idle(t, 0, 0, AIACCEL_CLASS_IDLE);
  BOOST_TEST(low.submit(1) == 0);
  t.dispatch();
  BOOST_TEST(normal.submit(1) == 0);  // beside it
  t.dispatch();
  BOOST_TEST((low.told() & normal.told()) == kGranted);
  BOOST_TEST(other.submit(1) == 0);
  t.pass(10 * (kBudget + t.kGrace));
  BOOST_TEST(low.told() == 0u);
  BOOST_TEST(normal.told() == (kYield | kRevoked));
  BOOST_TEST(other.told() == kGranted);
  BOOST_TEST(idle.submit(1) == 0);
  t.pass(20 * (kBudget + t.kGrace));
  BOOST_TEST(low.told() == (kYield | kRevoked));
}

BOOST_AUTO_TEST_CASE(whose_slots_are_contended_pays_on) {
  Terms t;
  Holder holder(t, kBudget), other(t, 0);
  BOOST_TEST(holder.submit(1) == 0);
  t.dispatch();
  holder.told();
  BOOST_TEST(other.submit(1) == 0);
  t.pass(kBudget + t.kGrace + 10 * AIA_TERMS_PAY_NS);
  BOOST_TEST(t.engine.contended == 1u);
  const aia_vtime had = holder.queue.share.vtime;
  const aia_vtime most = aia_vtime_add(other.queue.share.vtime, {0, 1});
  t.pass(t.now + 2 * AIA_TERMS_PAY_NS);
  BOOST_TEST(aia_vtime_before(had, holder.queue.share.vtime));
  BOOST_TEST(aia_vtime_before(most, holder.queue.share.vtime));
  holder.end_queue();  // as when its process ends
  BOOST_TEST(t.engine.contended == 0u);
  BOOST_TEST(t.next() == AIACCEL_NEVER);
}

// The bound at the head of terms.h, for holders that never end by themselves.
BOOST_AUTO_TEST_CASE(nobody_lasts_longer_than_budget_and_grace_while_others_wait) {
  for (std::uint32_t slots : {1u, 3u, 8u}) {
    Terms t(slots);
    std::vector<std::unique_ptr<Holder>> holders;
    std::vector<std::uint64_t> began(40);
    std::uint32_t revoked = 0;
    for (unsigned i = 0; i < began.size(); i++) {
      holders.push_back(std::make_unique<Holder>(t, (1 + i % 7) * kMs));
      BOOST_TEST_REQUIRE(holders.back()->submit(1, 1 + i % slots) == 0);
    }
    for (; t.engine.waiting; t.now = std::max(t.now, t.next())) {
      t.dispatch();
      for (unsigned i = 0; i < began.size(); i++) {
        const std::uint32_t told = holders[i]->told();
        if (told & kGranted) began[i] = t.now;
        if (!(told & kRevoked)) continue;
        revoked++;
        // All were full from the start, and each stood in somebody's way, if only in part: the
        // next may need several to end.
        BOOST_TEST(t.now - began[i] >= holders[i]->queue.budget_ns + t.kGrace);
        BOOST_TEST(t.now - began[i] <= holders[i]->queue.budget_ns + t.kGrace);
      }
    }
    BOOST_TEST(revoked >= began.size() - slots);
  }
}

BOOST_AUTO_TEST_SUITE_END()
