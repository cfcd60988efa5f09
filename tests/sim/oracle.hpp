// SPDX-License-Identifier: MIT
//
// What must hold whatever the workload at one of a host's engines: looked at after each event, by
// an account of its own. What does not hold is thrown, as Broken.
//
// - slots: what runs is what was granted and has not ended; none is lost, none is given twice;
//   those of revoked turns are contended until the work has ended, or stay taken until it was
//   stopped, whoever goes meanwhile.
// - time: what the engine and its tenants were paid is what their turns took, until they were
//   stopped.
// - work: no slot stays free for a job that could begin; but for a wider one that is in line, and
//   then another turn begins before the longest turn is over.
// - lag: of members of one share that were in line all the while, none got more beyond its weight
//   than lag_ns() says; work that overruns counts.
// - ceilings: no turn begins beyond a tenant's ceiling of turns, or while more engine time was used
//   than came in; REALTIME apart.
// - terms: no turn goes on beyond budget and grace, or the grace after somebody came, while a job
//   is in line; but where work is stopped for what stop.h says. A renewed turn begins anew, and is
//   not renewed before one of a higher class where these go first.
// - groups: their jobs begin together; they are as a wide job to those beside them,
//   one that keeps slots for longer where they are at several engines.
// - starvation: what lies below a class has what it is owed (classes.h), where all are one slot
//   wide.
// - structure: the invariants of sched.h (core/sound.hpp).
//
// A job that would be forgotten shows in the end: whoever plays stops the streams, plays on, and
// calls end().
#pragma once

#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/sound.hpp"
#include "sim/host.hpp"

namespace sim {

struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Oracle {
 public:
  // No turn is said to be longer than `longest_ns`.
  Oracle(Host& host, const aia_sched_engine& engine, Ns longest_ns);
  Oracle(const Oracle&) = delete;

  // Weights have changed: what was before does not count for lags.
  void reweighted() { pairs_.clear(); }
  // A tenant has another ceiling.
  void capped(const aia_sched_node* node) { windows_[node] = {host_.now_ns}; }
  // Nothing is left: streams were stopped, and time was played for long enough.
  void end() const;

  std::uint64_t turns() const { return turns_; }

 private:
  // What a share got, and how much it may be charged at once: for its longest turn, seen or said,
  // on all the slots that it ever held, at the least weight that it had then.
  struct Account {
    Ns had_ns = 0;
    Ns longest_ns = AIA_SCHED_FIRST_NS;
    std::uint32_t slots = 0, most_slots = 0;  // of work that goes on
    Ns running_ns = 0;                        // of that
    Ns most_paid_ns = 0;                      // at once, for slots kept in vain
    std::uint32_t least_weight = ~0U;
    double virtual_ns(const aia_share& share) const {
      return weighted(had_ns + running_ns, share.weight);
    }
    double charge_ns() const {
      return weighted(most_slots * longest_ns + most_paid_ns, least_weight);
    }
    static double weighted(Ns ns, std::uint32_t weight) {
      return static_cast<double>(ns) * AIACCEL_WEIGHT_DEFAULT / weight;
    }
  };

  void granted(Client& c);
  void renewed(Client& c);
  void ended(Client& c);
  void released(Client& c);
  void took(const Client& c, Ns since_ns);
  void settled();
  void slots() const;
  void time() const;
  void work();
  void debts();
  void lags();
  void ceilings(const Client& c) const;
  void terms();
  Ns stops_ns(const Client& c, Ns over_ns) const;
  void starvation();
  void groups() const;
  void structure() const;
  void runs(const Client& c, Ns since_ns);
  double lag_ns(const aia_share& a, const aia_share& b);
  bool is_eligible(const Client& c) const;
  bool any_spans() const;
  std::vector<const Client*> clients() const;
  std::vector<const aia_sched_node*> tenants() const;

  Host& host_;
  const aia_sched_engine& engine_;
  Ns longest_ns_;  // seen, or said
  std::uint64_t turns_ = 0;
  std::set<const Client*> running_;  // or are being stopped
  std::set<const Client*> overrunning_;
  std::vector<Ns> left_ns_;                       // when who was killed whose work was stopped then
  Ns ended_ns_ = 0;                               // slots times time of turns that ended
  std::map<const aia_share*, Account> accounts_;  // of queues, and of tenants by class
  std::map<const aia_sched_node*, Ns> of_tenant_;  // of its own queues
  Ns free_since_ns_ = AIACCEL_NEVER;
  // Since when somebody waits of those in whose way turns are: of all, of background ones.
  Ns in_way_since_ns_[2] = {AIACCEL_NEVER, AIACCEL_NEVER};
  // What was had since then.
  struct Window {
    Ns since_ns = AIACCEL_NEVER;
    Ns had_ns = 0;
  };
  std::map<const aia_sched_node*, Window> windows_;  // of ceilings
  Window below_[AIACCEL_NR_CLASSES];                 // of what lies below a class, while it waits
  // What was kept for a job in vain, until it begins or its tenant pays: then it counts as had.
  struct Debt {
    const aia_sched_job* job = nullptr;
    const aia_share* share = nullptr;
    Ns slot_ns = 0, since_ns = 0;
    std::uint32_t slots = 0;  // that are kept since then
  };
  std::map<const aia_sched_node*, Debt> debts_;
  // The difference of two siblings when both were in line first.
  std::map<std::pair<const aia_share*, const aia_share*>, double> pairs_;
};

}  // namespace sim
