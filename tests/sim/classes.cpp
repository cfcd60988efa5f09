// SPDX-License-Identifier: MIT
//
// Workloads of the table about what bounds the order of classes and of widths: guarantees of the
// lower ones, and slots kept free for wide jobs and for groups.

#include <tap/tap.hpp>

#include "sim/workloads.hpp"

namespace sim {

namespace {

constexpr Ns kLength = 100 * kSecond;

}  // namespace

void guarantees() {
  for (const std::uint32_t order : {AIACCEL_ORDER_FAIR, AIACCEL_ORDER_STRICT})
    for (const Ns background_ns : {kMs / 10, 5 * kMs, 100 * kMs})
      BOOST_TEST_CONTEXT("order " << order << ", turns of lower classes: " << background_ns
                                  << " ns") {
        Host host(2);
        aia_sched_set_order(&host.engine, order, host.now_ns);
        const auto stream = [&](std::uint32_t class_, Ns length_ns) -> const Stream& {
          return host.saturate(
              {.tenant = host.tenant(), .class_ = class_, .service = constant(length_ns)}, 4);
        };
        const Stream &high = stream(AIACCEL_CLASS_HIGH, kMs),
                     &normal = stream(AIACCEL_CLASS_NORMAL, background_ns),
                     &low = stream(AIACCEL_CLASS_LOW, background_ns);
        host.run(host.now_ns + kLength);
        const Ns all_ns = 2 * kLength;
        if (order == AIACCEL_ORDER_STRICT) {
          BOOST_TEST(normal.had_ns + low.had_ns == 0u);
          continue;
        }
        // Less what the bounds of classes.h leave open: a window, and turns that run.
        const Ns owed_ns = all_ns - 2 * (AIA_CLASSES_GAP_NS + kMs);
        BOOST_TEST(low.had_ns + 2 * background_ns >= owed_ns / AIA_CLASSES_PARTS);
        BOOST_TEST(normal.had_ns + low.had_ns + 4 * background_ns >=
                   2 * owed_ns / AIA_CLASSES_PARTS);
        BOOST_TEST(ratio(high.had_ns, all_ns) >= 0.88);
      }
}

void wide_against_narrow() {
  constexpr std::uint32_t kSlots = 8;
  Host host(kSlots);
  std::vector<const Stream*> narrow;
  for (int i = 0; i < 16; i++)
    narrow.push_back(
        &host.saturate({.tenant = host.tenant(), .service = uniform(kMs, 2 * kMs)}, 1));
  Ns waited_ns = 0;
  const Stream& wide =
      host.saturate({.tenant = host.tenant(),
                     .width = kSlots,
                     .service = constant(kMs),
                     .began = [&](Ns wait_ns) { waited_ns = std::max(waited_ns, wait_ns); }},
                    1);
  host.run(host.now_ns + kLength);
  Ns of_narrow_ns = 0;
  for (const Stream* s : narrow) of_narrow_ns += s->had_ns;
  // A 17th is its share. What is kept free for it is lost to all alike.
  BOOST_TEST(part(wide.had_ns, of_narrow_ns) >= 0.95 / 17);
  BOOST_TEST(waited_ns <= AIA_WIDE_FIRST_NS);
  BOOST_TEST(ratio(wide.had_ns + of_narrow_ns, kSlots * kLength) >= 0.9);
}

// The wide job's turn never comes, since one of the slots is never given back.
void wide_in_vain() {
  constexpr std::uint32_t kSlots = 8;
  Host host(kSlots);
  Client& holder = host.client(host.tenant(), {.turn_ns = 10 * kLength});
  host.start(holder);
  const Stream& narrow =
      host.saturate({.tenant = host.tenant(), .service = uniform(kMs, 2 * kMs)}, 16);
  const Stream& wide =
      host.saturate({.tenant = host.tenant(), .width = kSlots, .service = constant(kMs)}, 1);
  host.run(host.now_ns + kLength);
  BOOST_TEST(wide.turns == 0u);
  BOOST_TEST(ratio(narrow.had_ns, (kSlots - 1) * (kLength - AIA_WIDE_MAX_NS)) >= 0.5);
}

namespace {

constexpr std::size_t kGroup = 8;
constexpr Ns kLongest = 2 * kMs;
constexpr Ns kShort = 15 * kSecond;

// A group of 8, one at each of as many engines with `slots` slots, or all at one; each engine is
// saturated by 2 singles a slot, each of a tenant of its own.
void group_beside_singles(std::size_t engines, std::uint32_t slots) {
  Host host(slots);
  std::vector<aia_sched_node*> roots{host.root};
  while (roots.size() < engines) roots.push_back(host.another(slots));
  std::vector<Client*> group;
  std::vector<const Stream*> singles;
  for (aia_sched_node* root : roots) {
    aia_sched_node* tenant = host.tenant(0, root);
    for (std::size_t i = 0; i < kGroup / engines; i++) group.push_back(&host.client(tenant));
    for (std::uint32_t i = 0; i < 2 * slots; i++)
      singles.push_back(
          &host.saturate({.tenant = host.tenant(0, root), .service = uniform(kMs, kLongest)}, 1));
  }
  std::uint64_t apart = 0;
  host.ended = [&](const Client& c) {
    if (!c.gang) return;
    for (const Client* other : group) apart += other->job().granted_ns != c.job().granted_ns;
  };
  host.gang(group);
  host.run(host.now_ns + kShort);
  Ns of_group_ns = 0, of_singles_ns = 0, waited_ns = 0;
  for (const Client* c : group) {
    of_group_ns += c->had_ns;
    waited_ns = std::max(waited_ns, c->longest_wait_ns);
    BOOST_TEST(c->turns_had == group.front()->turns_had);
  }
  for (const Stream* s : singles) of_singles_ns += s->had_ns;
  BOOST_TEST(apart == 0u);
  // At each engine it counts as one of the tenants.
  BOOST_TEST(part(of_group_ns, of_singles_ns) >= 0.95 / (2 * slots + 1));
  BOOST_TEST(waited_ns <= AIA_WIDE_FIRST_NS);
  // For each of its turns slots are kept free until the longest of those that run has ended.
  const Ns all_ns = engines * slots * kShort, used_ns = of_group_ns + of_singles_ns;
  BOOST_TEST(all_ns - used_ns <= group.front()->turns_had * engines * slots * kLongest);
}

}  // namespace

void group_against_singles() {
  for (const std::size_t engines : {1, 2, 8})
    for (const std::uint32_t slots : {8u / static_cast<std::uint32_t>(engines), 16u})
      BOOST_TEST_CONTEXT(engines << " engines, " << slots << " slots each")
  group_beside_singles(engines, slots);
}

}  // namespace sim
