// SPDX-License-Identifier: MIT
//
// What must hold whatever the workload: oracle.hpp.

#include "sim/oracle.hpp"

#include <algorithm>
#include <cmath>

namespace sim {

namespace {

void must(bool holds, const std::string& what) {
  if (!holds) throw Broken(what);
}

// The queue of its turn.
const aia_sched_queue& queue_of(const Client& c) {
  return *c.job().queue;
}

bool is_below(const Client& c, const aia_sched_node* node) {
  const aia_sched_node* n = queue_of(c).node;
  while (n && n != node) n = n->parent;
  return n;
}

// What has to be free for it.
std::uint32_t width_of(const Client& c) {
  if (!c.gang) return c.width;
  std::uint32_t width = 0;
  for (const Client* member : c.gang->members)
    if (member->seat.engine == c.seat.engine) width += member->width;
  return width;
}

// Whether it waits for room at another engine, too.
bool spans(const Client& c) {
  return c.gang && std::any_of(c.gang->members.begin(), c.gang->members.end(),
                               [&](const Client* m) { return m->seat.engine != c.seat.engine; });
}

bool is_background(std::uint32_t class_) {
  return class_ < AIACCEL_CLASS_NORMAL;
}

}  // namespace

Oracle::Oracle(Host& host, const aia_sched_engine& engine, Ns longest_ns)
    : host_(host), engine_(engine), longest_ns_(std::max<Ns>(longest_ns, AIA_SCHED_FIRST_NS)) {
  const auto tell = [this](std::function<void(Client&)>& told, void (Oracle::*what)(Client&)) {
    told = [this, what, before = std::move(told)](Client& c) {
      if (before) before(c);
      if (queue_of(c).seat->engine == &engine_) (this->*what)(c);
    };
  };
  tell(host.granted, &Oracle::granted);
  tell(host.renewed, &Oracle::renewed);
  tell(host.ended, &Oracle::ended);
  tell(host.released, &Oracle::released);
  host.settled = [this, before = std::move(host.settled)] {
    if (before) before();
    settled();
  };
}

// Nothing but a lack of room keeps it from its turn here.
bool Oracle::is_eligible(const Client& c) const {
  const aia_sched_queue& queue = *c.queue_at(engine_);
  const aia_sched_job* job = c.job_in(queue);
  if (!job || job->state != AIA_SCHED_WAITING || queue.seat->turn || queue.promise.release.at_ns)
    return false;
  return queue.class_ == AIACCEL_CLASS_REALTIME || !aia_node_is_held_back(queue.node);
}

// Here.
std::vector<const aia_sched_node*> Oracle::tenants() const {
  std::vector<const aia_sched_node*> all;
  for (const aia_sched_node& n : host_.tenants())
    if (n.engine == &engine_) all.push_back(&n);
  return all;
}

void Oracle::granted(Client& c) {
  must(running_.insert(&c).second, "slots: a job that runs was granted again");
  turns_++;
  free_since_ns_ = AIACCEL_NEVER;
  ceilings(c);
  if (debts_[c.queue.node].job == &c.job()) debts_.erase(c.queue.node);
}

void Oracle::renewed(Client& c) {
  took(c, c.begun_ns);
  free_since_ns_ = AIACCEL_NEVER;
  ceilings(c);
  if (engine_.order != AIACCEL_ORDER_STRICT || !aia_list_empty(&engine_.parked)) return;
  for (const Client* other : clients())
    must(other->queue.class_ <= c.queue.class_ || other->width > 1 || other->gang ||
             !is_eligible(*other),
         "terms: a turn was renewed before one of a higher class");
}

void Oracle::ended(Client& c) {
  must(running_.erase(&c) == 1, "slots: a turn ended that had not begun");
  const Ns had_ns = (host_.now_ns - c.job().granted_ns) * c.width;
  ended_ns_ += had_ns;
  of_tenant_[queue_of(c).node] += had_ns;
  took(c, c.begun_ns);
  if (c.killed_ns) left_ns_.push_back(c.killed_ns);
  if (c.overruns()) overrunning_.insert(&c);
}

void Oracle::released(Client& c) {
  must(overrunning_.erase(&c) == 1, "slots: work ended that did not overrun");
  took(c, c.revoked_ns);
}

// A turn, or work that went on after it.
void Oracle::took(const Client& c, Ns since_ns) {
  const Ns ns = host_.now_ns - since_ns, had_ns = ns * c.width;
  longest_ns_ = std::max(longest_ns_, ns);
  for (const aia_share* s = &queue_of(c).share; s->parent; s = s->parent) {
    accounts_[s].had_ns += had_ns;
    accounts_[s].longest_ns = std::max(accounts_[s].longest_ns, ns);
  }
  for (const aia_sched_node* n = queue_of(c).node; n; n = n->parent)
    if (const auto w = windows_.find(n); w != windows_.end() && w->second.since_ns <= since_ns)
      w->second.had_ns += had_ns;
  for (std::uint32_t b = c.job().class_ + 1; b < AIACCEL_NR_CLASSES; b++)
    if (c.job().class_ != AIACCEL_CLASS_IDLE && below_[b].since_ns <= since_ns)
      below_[b].had_ns += had_ns;
}

void Oracle::settled() {
  for (const Client* c : running_)
    longest_ns_ = std::max<Ns>(longest_ns_, host_.now_ns - c->begun_ns);
  slots();
  time();
  work();
  terms();
  groups();
  starvation();
  debts();
  lags();
  structure();
}

void Oracle::slots() const {
  std::uint32_t used = 0, background = 0;
  for (const Client* c : running_) {
    used += c->width;
    if (is_background(c->job().class_)) background += c->width;
  }
  const aia_sched_engine& e = engine_;
  must(used == e.slots_used, "slots: those of turns are not those in use");
  std::uint32_t contended = 0;
  for (const Client* c : overrunning_) {
    contended += c->width;
    must(queue_of(*c).seat->turn == &c->job(),
         "slots: a context could have a turn beside work that overruns");
  }
  must(contended == e.contended, "slots: those of work that overruns are not contended");
  std::uint32_t stopping = 0;
  for (const Client* c : running_) {
    if (!c->revoked_ns && !c->killed_ns) continue;
    stopping += c->width;
    must(c->killed_ns || queue_of(*c).seat->turn == &c->job(),
         "slots: a context could have a turn beside work that is being stopped");
  }
  must(stopping == e.stops.slots, "slots: those of work that is being stopped are not kept");
  must(!e.stops.possible || !contended, "slots: contended, and work can be stopped");
  for (const aia_sched_node* n : tenants()) {
    std::uint32_t turns = 0;
    for (const Client* c : running_) turns += is_below(*c, n);
    must(turns == n->turns, "slots: a tenant's turns are not those that have slots");
  }
  if (e.gives_way)
    must(background <= e.slots && used - background <= e.slots, "slots: more than there are");
  else
    must(used <= e.slots, "slots: more than there are");
}

void Oracle::time() const {
  // Who went has paid up to then.
  Ns ended_ns = ended_ns_;
  auto of_tenant = of_tenant_;
  for (const Client* c : running_) {
    if (!c->killed_ns) continue;
    const Ns had_ns = (c->killed_ns - c->job().granted_ns) * c->width;
    ended_ns += had_ns;
    of_tenant[queue_of(*c).node] += had_ns;
  }
  must(engine_.busy_ns == ended_ns, "time: the engine's is not that of its turns");
  for (const auto& [node, had_ns] : of_tenant)
    must(node->busy_ns == had_ns, "time: a tenant's is not that of its turns");
}

void Oracle::work() {
  const aia_sched_engine& e = engine_;
  if (!aia_list_empty(&e.parked)) return;  // they come into line without a wait
  std::uint32_t used = 0, foreground = 0;
  for (const Client* c : running_) {
    used += c->width;
    if (!is_background(c->job().class_)) foreground += c->width;
  }
  bool could_begin = false, reserved = false;
  Ns longest_ns = longest_ns_;
  for (const Client* c : clients()) {
    if (!is_eligible(*c)) continue;
    const std::uint32_t in_way = e.gives_way && !is_background(c->queue.class_) ? foreground : used;
    const std::uint32_t room = in_way < e.slots ? e.slots - in_way : 0;
    (width_of(*c) <= room && !spans(*c) ? could_begin : reserved) = true;
    // What a group waits for elsewhere is not known here, but for how long in vain.
    if (spans(*c)) longest_ns = std::max<Ns>(longest_ns, AIA_WIDE_MAX_NS);
  }
  must(!could_begin || reserved, "work: a slot is free, and a job that fits waits");
  if (!could_begin) {
    free_since_ns_ = AIACCEL_NEVER;
  } else {
    free_since_ns_ = std::min(free_since_ns_, host_.now_ns);
    must(host_.now_ns - free_since_ns_ <= longest_ns,
         "work: a slot stays free for a wide job for longer than the longest turn");
  }
}

// Twice (now, and when both came into line): how far the scheduler lets members differ, which is
// the lag and a charge of each; and how far its charges, which are estimates while turns run, are
// from what these took.
double Oracle::lag_ns(const aia_share& a, const aia_share& b) {
  return 2 * (AIA_SHARE_LAG_NS + 2 * (accounts_[&a].charge_ns() + accounts_[&b].charge_ns()));
}

// Its work goes on, and is not in what was had.
void Oracle::runs(const Client& c, Ns since_ns) {
  const Ns ns = host_.now_ns - since_ns;
  for (const aia_share* s = &queue_of(c).share; s->parent; s = s->parent) {
    Account& account = accounts_[s];
    account.longest_ns = std::max({account.longest_ns, ns, c.claimed_ns});
    account.running_ns += ns * c.width;
    account.slots += c.width;
    account.most_slots = std::max(account.most_slots, account.slots);
    account.least_weight = std::min(account.least_weight, s->weight);
  }
}

void Oracle::debts() {
  for (const aia_sched_node& node : host_.tenants()) {
    Debt& before = debts_[&node];
    const aia_wide_debt& debt = node.debt;
    if (before.job && (debt.job != before.job || debt.slot_ns < before.slot_ns)) {
      const Ns paid_ns = before.slot_ns + before.slots * (host_.now_ns - before.since_ns);
      for (const aia_share* s = before.share; s->parent; s = s->parent) {
        accounts_[s].had_ns += paid_ns;
        accounts_[s].most_paid_ns = std::max(accounts_[s].most_paid_ns, paid_ns);
        accounts_[s].least_weight = std::min(accounts_[s].least_weight, s->weight);
      }
    }
    before = {};
    if (!debt.job) continue;
    const aia_sched_queue& queue = *debt.job->queue;
    const aia_wide& wide = node.engine->wide[queue.class_];
    before = {debt.job, &queue.share, debt.slot_ns, wide.owed_since_ns,
              wide.job == debt.job ? wide.owed_slots : 0};
  }
}

void Oracle::lags() {
  const aia_sched_engine& e = engine_;
  for (auto& [share, account] : accounts_) account.running_ns = account.slots = 0;
  for (const Client* c : running_) runs(*c, c->begun_ns);
  for (const Client* c : overrunning_) {
    runs(*c, c->revoked_ns);
    for (const aia_share* s = &queue_of(*c).share; s->parent; s = s->parent)
      accounts_[s].longest_ns = std::max<Ns>(accounts_[s].longest_ns, AIA_TERMS_PAY_NS);
  }
  if (e.line != AIA_LINE_SHARES || !aia_list_empty(&e.parked) || any_spans()) return pairs_.clear();
  std::map<const aia_share*, std::vector<const aia_share*>> in_line;
  for (const Client* c : clients())
    if (const aia_share& s = c->queue_at(engine_)->share; s.queued) in_line[s.parent].push_back(&s);
  for (const aia_sched_node* node : tenants())
    for (const aia_share& s : node->share)
      if (s.queued) in_line[s.parent].push_back(&s);

  decltype(pairs_) pairs;
  for (const auto& [parent, members] : in_line)
    for (std::size_t i = 0; !parent->root->by_key && i < members.size(); i++)
      for (std::size_t j = i + 1; j < members.size(); j++) {
        const aia_share &a = *members[i], &b = *members[j];
        const double apart = accounts_[&a].virtual_ns(a) - accounts_[&b].virtual_ns(b);
        const auto before = pairs_.find({&a, &b});
        const double at_first = before == pairs_.end() ? apart : before->second;
        must(std::abs(apart - at_first) <= lag_ns(a, b),
             "lag: a member got too much or too little");
        pairs[{&a, &b}] = at_first;
      }
  pairs_ = std::move(pairs);
}

void Oracle::ceilings(const Client& c) const {
  if (c.queue.class_ == AIACCEL_CLASS_REALTIME) return;
  for (const aia_sched_node* n = queue_of(c).node; n; n = n->parent) {
    std::uint32_t turns = 0;
    for (const Client* other : running_) turns += is_below(*other, n);
    must(!n->turns_max || turns <= n->turns_max, "ceilings: a turn more than a tenant may hold");
    const auto w = windows_.find(n);
    if (!n->cap.refill || w == windows_.end()) continue;
    const Ns in_ns = host_.now_ns - w->second.since_ns + AIA_CAP_BURST_NS;
    must(w->second.had_ns * AIACCEL_ENGINE_TIME_ALL <= in_ns * n->cap.refill,
         "ceilings: a turn begins without engine time");
  }
}

bool Oracle::any_spans() const {
  const std::vector<const Client*> all = clients();
  return std::any_of(all.begin(), all.end(), [](const Client* c) { return spans(*c); });
}

void Oracle::terms() {
  const aia_sched_engine& e = engine_;
  bool waits = false, foreground_waits = false, waits_elsewhere = false;
  for (const Client* c : clients())
    if (is_eligible(*c)) {
      waits = true;
      foreground_waits |= !is_background(c->queue.class_);
      waits_elsewhere |= spans(*c);
    }
  // There may be room for a group that is next here: then nobody is in its way.
  if (!aia_list_empty(&e.parked) || waits_elsewhere) waits = false;
  // Where it gives way, background turns are in the way of their like alone.
  const bool in_way[2] = {waits, waits && !(e.gives_way && foreground_waits)};
  for (int i = 0; i < 2; i++) {
    Ns& since_ns = in_way_since_ns_[i];
    since_ns = in_way[i] ? std::min(since_ns, host_.now_ns) : AIACCEL_NEVER;
  }
  for (const Client* c : running_) {
    const Ns since_ns = in_way_since_ns_[is_background(c->job().class_)];
    if (!c->queue.budget_ns || since_ns == AIACCEL_NEVER) continue;
    const Ns over_ns = std::max<Ns>(c->begun_ns + c->queue.budget_ns, since_ns);
    const Ns end_ns = over_ns + e.grace_ns + stops_ns(*c, over_ns);
    must(host_.now_ns < end_ns || (e.stops.possible && host_.now_ns == end_ns),
         "terms: a turn in the way goes on after its grace");
  }
}

// What stops may make of a turn that is over: those of all others, until it is asked and until it
// is revoked; then those before its own, and that one. And those of processes that were killed.
Ns Oracle::stops_ns(const Client& c, Ns over_ns) const {
  const aia_sched_engine& e = engine_;
  if (!e.stops.possible) return 0;
  const Ns since_ns = over_ns - std::min<Ns>(over_ns, 3 * e.slots * e.stops.longest_ns);
  Ns stops = 2 * (e.slots - 1);
  if (c.revoked_ns || c.killed_ns) stops += e.slots;
  for (const Ns ns : left_ns_) stops += ns >= since_ns;
  for (const Client* other : running_) stops += other->killed_ns >= since_ns;
  return stops * e.stops.longest_ns;
}

void Oracle::groups() const {
  for (const Client* c : running_)
    if (c->gang && c->job().granted_ns == host_.now_ns)
      for (const Client* member : c->gang->members)
        must(member->job().granted_ns == host_.now_ns, "groups: one began without another");
}

void Oracle::starvation() {
  const aia_sched_engine& e = engine_;
  const bool owed = e.line != AIA_LINE_AGES && e.order != AIACCEL_ORDER_STRICT && !e.gives_way &&
                    aia_list_empty(&e.parked) && !e.realtime.nr;
  bool waits[AIACCEL_NR_CLASSES] = {}, wide = false;
  for (const Client* c : clients())
    if (is_eligible(*c)) {
      waits[c->queue.class_] = true;
      wide |= width_of(*c) > 1 || spans(*c);
    }
  bool below = false;
  for (std::uint32_t b = AIACCEL_CLASS_NORMAL; b < AIACCEL_NR_CLASSES; b++) {
    Window& w = below_[b];
    below |= waits[b - 1];
    if (!owed || wide || !below) {
      w = {};
      continue;
    }
    if (w.since_ns == AIACCEL_NEVER) w = {host_.now_ns};
    const std::uint32_t parts = b - AIACCEL_CLASS_LOW;
    const Ns gap_ns = AIA_CLASSES_GAP_NS + AIA_CLASSES_PARTS * longest_ns_;
    const Ns ns = host_.now_ns - w.since_ns;
    if (ns < gap_ns) continue;
    must(
        w.had_ns + 2 * e.slots * longest_ns_ >= parts * e.slots * (ns - gap_ns) / AIA_CLASSES_PARTS,
        "starvation: a lower class has less than it is owed");
  }
}

void Oracle::structure() const {
  std::vector<const aia_sched_queue*> queues;
  for (const Client* c : clients()) queues.push_back(c->queue_at(engine_));
  const char* why = "";
  // A group that slots are held for passes others, and moves the floor to where it stands.
  const Ns ahead_ns = any_spans() ? engine_.slots * AIA_GROUP_AHEAD_NS : 0;
  const bool sound = is_sound(engine_, tenants(), queues, &why, AIA_SHARE_LAG_NS + ahead_ns);
  must(sound, std::string("structure: ") + why);
}

void Oracle::end() const {
  must(running_.empty() && engine_.slots_used == 0, "end: a turn does not end");
  must(engine_.waiting == 0, "end: a job waits that nothing keeps from running");
  must(overrunning_.empty() && engine_.contended == 0, "end: a slot stays contended");
  for (const aia_sched_node* n : tenants())
    must(n->turns == 0 && n->cap.booked == 0, "end: a tenant's turns stay booked");
  for (const Client* c : host_.clients())
    must(aia_turns_empty(&c->turns), "end: a turn stays with its context");
}

std::vector<const Client*> Oracle::clients() const {
  std::vector<const Client*> all;
  for (const Client* c : host_.clients())
    if (!c->killed_ns && c->queue_at(engine_)) all.push_back(c);
  return all;
}

}  // namespace sim
