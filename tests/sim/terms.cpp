// SPDX-License-Identifier: MIT
//
// Workloads of the table about turns whose holders do not end them: who overruns, and who is
// stopped, frozen or killed.

#include <tap/tap.hpp>

#include "sim/workloads.hpp"

namespace sim {

namespace {

constexpr double kError = 0.005;
constexpr Ns kLength = 200 * kSecond;
constexpr Ns kHour = 3600 * kSecond;

// Two slots; a tenant whose work takes `work_ns`, whatever its turns' budget, against one that
// keeps to its own. What both had is what they are to have paid for.
void overruns(std::uint32_t enforcement, Ns work_ns, Ns budget_ns, Ns longest_ns) {
  BOOST_TEST_CONTEXT("enforcement " << enforcement << ", work of " << work_ns << " ns, budget of "
                                    << budget_ns << " ns") {
    Host host(2);
    host.enforce(enforcement);
    const Stream& adversary = host.saturate(
        {.tenant = host.tenant(), .budget_ns = budget_ns, .service = constant(work_ns)}, 8);
    const Stream& honest =
        host.saturate({.tenant = host.tenant(), .service = exponential(2 * kMs)}, 4);
    host.run(host.now_ns + kLength);
    Ns longest_turn_ns = 0;
    for (const Client& c : adversary.clients)
      longest_turn_ns = std::max(longest_turn_ns, c.longest_turn_ns);
    BOOST_TEST(longest_turn_ns == longest_ns);
    BOOST_TEST(adversary.revoked == adversary.turns);
    BOOST_TEST(honest.revoked == 0u);
    BOOST_TEST((adversary.overran_ns == 0) == (enforcement == AIACCEL_PREEMPTIBLE));
    BOOST_TEST(std::abs(part(adversary.had_ns + adversary.overran_ns, honest.had_ns) - 0.5) <=
               kError);
    BOOST_TEST(ratio(adversary.had_ns + honest.had_ns, 2 * kLength) > 0.98);
  }
}

}  // namespace

void overruns_preemptible() {
  overruns(AIACCEL_PREEMPTIBLE, kHour, 5 * kMs, 5 * kMs + AIA_TERMS_GRACE_PREEMPTIBLE_NS);
  overruns(AIACCEL_PREEMPTIBLE, kHour, 0,
           AIACCEL_BUDGET_DEFAULT_NS + AIA_TERMS_GRACE_PREEMPTIBLE_NS);
}

void overruns_gated() {
  overruns(AIACCEL_GATED, 400 * kMs, 5 * kMs, 5 * kMs + AIA_TERMS_GRACE_NS);
}

// Long turns fill what work of a higher class leaves, and give way to it, time and again.
void fills() {
  constexpr Ns kGrace = 3 * kMs, kStop = kMs;
  for (const std::uint32_t enforcement : {AIACCEL_GATED, AIACCEL_PREEMPTIBLE})
    BOOST_TEST_CONTEXT("enforcement " << enforcement) {
      Host host(2);
      host.enforce(enforcement, kGrace, kStop);
      const Stream& filling = host.saturate({.tenant = host.tenant(),
                                             .class_ = AIACCEL_CLASS_LOW,
                                             .budget_ns = AIACCEL_BUDGET_MAX_NS,
                                             .fills = true,
                                             .service = exponential(200 * kMs)},
                                            6);
      Client* above[2];
      for (Ns i = 0; i < 2; i++) {
        above[i] = &host.client(host.tenant(), {.turn_ns = kMs, .think_ns = (7 + 4 * i) * kMs});
        host.start(*above[i]);
      }
      host.run(host.now_ns + kLength);
      BOOST_TEST(filling.revoked > 1000u);
      for (const Client* c : above)
        BOOST_TEST(c->longest_wait_ns <=
                   kGrace + kMs + (enforcement == AIACCEL_PREEMPTIBLE ? 2 * kStop : 0));
    }
}

// Processes of one tenant end as soon as they have their turns, and leave it to the provider to
// stop their work.
void leaves() {
  Host host(1);
  host.enforce(AIACCEL_PREEMPTIBLE, kMs, 40 * kMs);
  aia_sched_node* tenant = host.tenant();
  const Stream& other =
      host.saturate({.tenant = host.tenant(), .service = exponential(5 * kMs)}, 2);
  const Ns start_ns = host.now_ns;
  while (host.now_ns < start_ns + kLength) {
    Client& c = host.client(tenant);
    host.start(c);
    host.run(AIACCEL_NEVER - 1, [&] { return c.is_engaged(); });
    host.kill(c);
  }
  BOOST_TEST(std::abs(ratio(other.had_ns, host.now_ns - start_ns) - 0.5) <= kError);
}

// Work that is asked to yield renews its turn instead, time and again.
void renews() {
  for (const std::uint32_t slots : {1u, 3u}) {
    Host host(slots);
    host.enforce(AIACCEL_GATED, 3 * kMs);
    const Stream& renewing = host.saturate({.tenant = host.tenant(),
                                            .budget_ns = 2 * kMs,
                                            .yields_ns = kMs,
                                            .renews = true,
                                            .service = exponential(50 * kMs)},
                                           slots + 1);
    const Stream& other =
        host.saturate({.tenant = host.tenant(), .service = exponential(kMs)}, slots + 1);
    host.run(host.now_ns + kLength);
    BOOST_TEST(std::abs(part(renewing.had_ns, other.had_ns) - 0.5) <= kError);
  }
}

// The process is stopped in its turn, and goes on after ten seconds.
void stopped() {
  for (const std::uint32_t enforcement : {AIACCEL_GATED, AIACCEL_PREEMPTIBLE})
    BOOST_TEST_CONTEXT("enforcement " << enforcement) {
      Host host(1);
      host.enforce(enforcement);
      Client& holder = host.client(host.tenant());
      Client& other = host.client(host.tenant());
      host.start(holder);
      host.start(other);
      host.freeze(holder);
      BOOST_TEST_REQUIRE(holder.is_engaged());
      host.run(host.now_ns + 10 * kSecond);
      BOOST_TEST(other.longest_wait_ns == AIACCEL_BUDGET_DEFAULT_NS + host.engine.grace_ns);
      BOOST_TEST(holder.turns_had == 1u);
      BOOST_TEST(host.engine.contended == (enforcement == AIACCEL_GATED ? 1u : 0u));
      host.thaw(holder);
      BOOST_TEST(host.engine.contended == 0u);
      // It paid for all of its time.
      const Ns paid_ns = holder.had_ns + holder.overran_ns, before_ns = other.had_ns;
      host.run(host.now_ns + 10 * kSecond);
      BOOST_TEST(holder.turns_had > 1u);
      BOOST_TEST(holder.had_ns + holder.overran_ns - paid_ns <=
                 other.had_ns - before_ns + AIA_SHARE_LAG_NS + 2 * kMs);
    }
}

// All of a tenant's processes are frozen while they wait: their turns come, and nobody takes them.
void frozen() {
  constexpr std::size_t kProcesses = 8;
  constexpr Ns kTurn = 5 * kMs;
  Host host(1);
  aia_sched_node* tenant = host.tenant();
  std::vector<Client*> processes;
  for (std::size_t i = 0; i < kProcesses; i++) {
    processes.push_back(&host.client(tenant, {.turn_ns = kTurn}));
    host.start(*processes.back());
  }
  Client& other = host.client(host.tenant(), {.turn_ns = kTurn});
  host.start(other);
  const auto had_ns = [&] {
    Ns sum = 0;
    for (const Client* c : processes) sum += c->had_ns;
    return sum;
  };
  host.run(host.now_ns + 200 * kMs);
  host.run(AIACCEL_NEVER - 1, [&] { return other.is_engaged(); });
  for (Client* c : processes) host.freeze(*c);
  const Ns start_ns = host.now_ns, before_ns = had_ns(), other_before_ns = other.had_ns;
  for (int i = 0; i < 300; i++) {
    host.run(host.now_ns + 100 * kMs);
    BOOST_TEST_REQUIRE(had_ns() - before_ns <=
                       other.had_ns - other_before_ns + AIA_SHARE_LAG_NS + AIA_TERMS_CLAIM_NS);
  }
  for (const Client* c : processes) {
    BOOST_TEST(c->revoked == 1u);
    BOOST_TEST(c->longest_turn_ns == AIA_TERMS_CLAIM_NS);
  }
  BOOST_TEST(other.longest_wait_ns == AIA_TERMS_CLAIM_NS);
  BOOST_TEST(host.engine.contended == 0u);
  BOOST_TEST(had_ns() - before_ns + other.had_ns - other_before_ns + 2 * kTurn >=
             host.now_ns - start_ns);

  for (Client* c : processes) host.thaw(*c);
  const Ns thawed_ns = had_ns(), other_thawed_ns = other.had_ns;
  host.run(host.now_ns + kLength);
  BOOST_TEST(std::abs(part(had_ns() - thawed_ns, other.had_ns - other_thawed_ns) - 0.5) <= kError);
}

// Processes end anywhere: while they wait, in their turns, and in work that goes on after those.
void killed() {
  constexpr std::uint32_t kSlots = 3;
  Random random(1);
  Host host(kSlots);
  host.enforce(AIACCEL_GATED, 2 * kMs);
  aia_sched_node* tenant = host.tenant();
  std::uint64_t waiting = 0, engaged = 0, overrunning = 0;
  const Ns start_ns = host.now_ns;
  Ns had_ns = 0;
  host.ended = [&](const Client& c) { had_ns += (host.now_ns - c.job().granted_ns) * c.width; };
  std::vector<Client*> processes;
  for (int i = 0; i < 2000; i++) {
    while (processes.size() < 12) {
      processes.push_back(
          &host.client(tenant, {.turn_ns = (1 + random.below(12)) * kMs, .budget_ns = 4 * kMs}));
      host.start(*processes.back());
    }
    host.run(host.now_ns + random.below(3 * kMs));
    const std::size_t which = random.below(processes.size());
    Client& c = *processes[which];
    const std::uint32_t contended = host.engine.contended;
    (c.is_engaged() ? engaged : c.overruns() ? overrunning : waiting)++;
    const bool overran = c.overruns();
    host.kill(c);
    BOOST_TEST_REQUIRE(host.engine.contended == contended - overran);
    // Others wait: what it had is granted on in the same moment.
    BOOST_TEST_REQUIRE(host.engine.slots_used == kSlots);
    processes[which] = processes.back();
    processes.pop_back();
  }
  BOOST_TEST((waiting > 100 && engaged > 100 && overrunning > 100));
  for (Client* c : processes) host.kill(*c);
  BOOST_TEST(host.engine.slots_used + host.engine.contended + host.engine.waiting == 0u);
  BOOST_TEST(had_ns == kSlots * (host.now_ns - start_ns));
}

}  // namespace sim
