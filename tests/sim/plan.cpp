// SPDX-License-Identifier: MIT
//
// A workload by chance: plan.hpp.

#include "sim/plan.hpp"

#include <cmath>
#include <memory>

#include "sim/oracle.hpp"

namespace sim {

namespace {

constexpr Ns kLongest = 20 * kMs;
constexpr unsigned kTenants = 6;

std::uint32_t any_weight(Random& random) {
  static constexpr std::uint32_t kWeights[] = {0, 25, 100, 300, 1000};
  return kWeights[random.below(std::size(kWeights))];
}

// One of few lengths: what differs by little tells little.
Ns any_length(Random& random) {
  static constexpr Ns kLengths[] = {kMs / 20, kMs / 2, kMs, 3 * kMs, 10 * kMs, kLongest};
  return kLengths[random.below(std::size(kLengths))];
}

class Play {
 public:
  Play(Random who, Random what, unsigned streams)
      : who_(std::move(who)),
        host_(static_cast<std::uint32_t>(1 + who_.below(6)), std::move(what)),
        oracle_(host_, host_.engine, kLongest) {
    keeps_order_ = who_.below(2);
    for (unsigned i = 0; i < kTenants; i++) {
      aia_sched_node* parent = who_.below(2) && i ? tenants_[who_.below(i)] : nullptr;
      tenants_[i] = host_.tenant(any_weight(who_), parent);
    }
    enforce();
    if (who_.below(2)) another();
    for (unsigned i = 0; i < streams; i++) stream();
    if (who_.below(2)) gang();
    if (ends_turns_ && who_.below(3) == 0) promises();
  }

  void run(std::uint64_t events) {
    const auto enough = [&] {
      if (played_ % 64 == 32) administrate();
      return played_++ >= events;
    };
    do host_.run(AIACCEL_NEVER - 1, enough);
    while (played_ < events && thaw());
    if (played_ < events && host_.engine.waiting)
      throw Broken("work: jobs wait, and nothing will happen");
  }

  // Whatever was held back comes in again.
  void end() {
    host_.stop_all();
    thaw();
    for (aia_sched_node* node : tenants_) cap(node, AIACCEL_ENGINE_TIME_ALL, 0);
    host_.run(AIACCEL_NEVER - 1);
    oracle_.end();
    if (oracle_elsewhere_) oracle_elsewhere_->end();
  }

  std::uint64_t turns() const {
    return oracle_.turns() + (oracle_elsewhere_ ? oracle_elsewhere_->turns() : 0);
  }
  std::uint64_t events() const { return played_; }

 private:
  void enforce() {
    static constexpr std::uint32_t kEnforcements[] = {AIACCEL_ADVISORY, AIACCEL_GATED,
                                                      AIACCEL_PREEMPTIBLE};
    const std::uint32_t enforcement = kEnforcements[who_.below(std::size(kEnforcements))];
    host_.enforce(enforcement, kMs * who_.below(4), kMs / 4 * who_.below(8));
    host_.engine.gives_way = enforcement != AIACCEL_PREEMPTIBLE && who_.below(3) == 0;
    ends_turns_ = enforcement != AIACCEL_ADVISORY;
  }

  // A second engine, for jobs of its own, for those of any of both, and for a group's.
  void another() {
    aia_sched_node* root = host_.another(static_cast<std::uint32_t>(1 + who_.below(6)));
    aia_terms_set_engine(root->engine, ends_turns_ ? AIACCEL_GATED : AIACCEL_ADVISORY,
                         kMs * who_.below(4));
    for (aia_sched_node*& node : elsewhere_) node = host_.tenant(any_weight(who_), root);
    oracle_elsewhere_ = std::make_unique<Oracle>(host_, *root->engine, kLongest);
  }

  aia_sched_node* tenant_elsewhere() { return elsewhere_[who_.below(std::size(elsewhere_))]; }

  void stream() {
    Stream s{.tenant = tenants_[who_.below(kTenants)],
             .class_ = static_cast<std::uint32_t>(who_.below(AIACCEL_CLASS_REALTIME)),
             .weight = any_weight(who_),
             .contexts = 1 + who_.below(4),
             .claimed_ns = who_.below(3) ? 0 : any_length(who_)};
    if (ends_turns_) s.budget_ns = any_length(who_);
    if (oracle_elsewhere_ && who_.below(2)) {
      if (who_.below(2))
        s.tenant = tenant_elsewhere();
      else
        s.elsewhere = {tenant_elsewhere()};
    }
    // Narrow as a rule.
    const std::uint32_t slots = s.tenant->engine->slots;
    s.width = static_cast<std::uint32_t>(who_.below(3) ? 1 : 1 + who_.below(slots));
    if (who_.below(3) == 0) s.due_ns = any_length(who_);
    s.yields_ns = who_.below(2) * any_length(who_);
    s.renews = who_.below(2);
    s.fills = s.class_ <= AIACCEL_CLASS_LOW && who_.below(2);
    s.follows = who_.below(4) == 0;
    const Ns length_ns = any_length(who_);
    s.service = who_.below(2) ? constant(length_ns) : uniform(length_ns / 2, length_ns);
    if (who_.below(3)) {
      const std::size_t jobs = s.contexts;
      host_.saturate(std::move(s), jobs);
    } else {
      s.gap = uniform(length_ns / 2, 4 * length_ns);
      host_.open(std::move(s));
    }
  }

  // Of a tenant that has no ceiling: where it is at one, slots are kept in vain, which wide.h
  // bounds.
  void gang() {
    aia_sched_node* tenant = host_.tenant(any_weight(who_));
    aia_sched_node* elsewhere = oracle_elsewhere_ && who_.below(2) ? elsewhere_[0] : nullptr;
    Host::Options options{.class_ = static_cast<std::uint32_t>(who_.below(AIACCEL_CLASS_REALTIME)),
                          .turn_ns = any_length(who_)};
    if (ends_turns_) options.budget_ns = any_length(who_);
    std::vector<Client*> members;
    std::uint32_t room = host_.engine.slots;
    for (auto left = 2 + who_.below(3); left > 0 && room; left--) {
      options.width = static_cast<std::uint32_t>(1 + who_.below(2) * who_.below(room));
      room -= options.width;
      members.push_back(&host_.client(tenant, options));
    }
    options.width = 1;
    if (elsewhere) members.push_back(&host_.client(elsewhere, options));
    host_.gang(std::move(members));
  }

  // As long as they are kept nobody asks for another order.
  void promises() {
    for (auto left = 1 + who_.below(4); left > 0; left--) {
      const Ns period_ns = kMs * (20 + who_.below(100)), budget_ns = kMs * (1 + who_.below(8));
      const bool was_promised = host_.promise(
          {.tenant = tenants_[who_.below(kTenants)],
           .width = static_cast<std::uint32_t>(1 + who_.below(2) * who_.below(host_.engine.slots)),
           .budget_ns = budget_ns,
           .service = uniform(budget_ns / 2, budget_ns + host_.engine.grace_ns),
           .ended =
               [period_ns](Ns sojourn_ns) {
                 if (sojourn_ns > period_ns) throw Broken("promises: a deadline is missed");
               }},
          period_ns);
      if (was_promised) keeps_order_ = true;
    }
  }

  void cap(aia_sched_node* node, std::uint32_t time, std::uint32_t turns) {
    aia_sched_node_set_caps(node, time, turns, host_.now_ns);
    oracle_.capped(node);
  }

  // False when nobody was frozen.
  bool thaw() {
    bool any = false;
    for (Client* c : host_.clients())
      if (c->frozen) {
        any = true;
        host_.thaw(*c);
      }
    return any;
  }

  // Something happens to a process that has a job. One of a group is not killed: the others would
  // wait for ever.
  void strike() {
    const std::vector<Client*> all = host_.clients();
    Client& c = *all[who_.below(all.size())];
    if (c.killed_ns || !c.turn->owner || c.queue.class_ == AIACCEL_CLASS_REALTIME) return;
    if (c.frozen)
      host_.thaw(c);
    else if (who_.below(8) == 0 && !c.gang)
      host_.kill(c);
    else if (ends_turns_)
      host_.freeze(c);
  }

  // What the administrator changes while jobs wait and run.
  void administrate() {
    aia_sched_node* node = tenants_[who_.below(kTenants)];
    switch (who_.below(8)) {
      case 0:
        aia_sched_node_set_weight(node, any_weight(who_));
        oracle_.reweighted();
        break;
      case 1: {
        const auto time = static_cast<std::uint32_t>(
            who_.below(2) ? AIACCEL_ENGINE_TIME_ALL : 1 + who_.below(AIACCEL_ENGINE_TIME_ALL));
        cap(node, time, static_cast<std::uint32_t>(who_.below(4)));
        break;
      }
      case 2:
        if (keeps_order_) break;
        aia_sched_set_order(&host_.engine, static_cast<std::uint32_t>(1 + who_.below(4)),
                            host_.now_ns);
        break;
      case 3:
      case 4:
        strike();
        break;
      default:
        break;
    }
    host_.look();
  }

  Random who_;
  Host host_;
  Oracle oracle_;
  std::unique_ptr<Oracle> oracle_elsewhere_;  // of the second engine, where there is one
  aia_sched_node* tenants_[kTenants] = {};
  aia_sched_node* elsewhere_[2] = {};
  std::uint64_t played_ = 0;
  bool ends_turns_ = false;
  bool keeps_order_ = false;
};

}  // namespace

Outcome play(Random who, Random what, Size size) {
  Play play(std::move(who), std::move(what), size.streams);
  try {
    play.run(size.events);
    play.end();
  } catch (const std::exception& broken) {
    return {broken.what(), play.turns(), play.events()};
  }
  return {"", play.turns(), play.events()};
}

}  // namespace sim
