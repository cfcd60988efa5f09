// SPDX-License-Identifier: MIT
//
// Every invariant, with the reason that is told where it does not hold.

#include "core/sound.hpp"

#include <algorithm>
#include <cstdint>

namespace {

// Asked to yield, or not to be asked.
bool is_put_first(const aia_sched_job& job) {
  return job.yield_asked || job.owed;
}

std::uint32_t width_of(const aia_link& head, bool only_asked, bool* sound) {
  std::uint32_t sum = 0;
  const aia_sched_job* before = nullptr;
  for (const aia_link* l = head.next; l != &head; l = l->next) {
    const aia_sched_job* job = aia_container_of(l, const aia_sched_job, of_engine);
    *sound &= job->state == AIA_SCHED_GRANTED || job->state == AIA_SCHED_STOPPING;
    *sound &= job->queue->seat->turn == job;
    if (before && !is_put_first(*before))
      *sound &= !is_put_first(*job) && before->begun_ns <= job->begun_ns;
    before = job;
    if (!only_asked || job->yield_asked) sum += job->width;
  }
  return sum;
}

std::uint32_t stopping_of(const aia_link& head) {
  std::uint32_t sum = 0;
  for (const aia_link* l = head.next; l != &head; l = l->next) {
    const aia_sched_job* job = aia_container_of(l, const aia_sched_job, of_engine);
    if (job->state == AIA_SCHED_STOPPING) sum += job->width;
  }
  return sum;
}

// The members of a share: as many as it counts, all say so, in order; none too far behind, or each
// with its first one's key.
bool members_are_sound(const aia_share& parent, std::uint64_t behind_ns) {
  const bool by_key = parent.root->by_key;
  const aia_share* before = nullptr;
  std::uint32_t count = 0;
  for (const aia_rb_node* i = aia_rb_first(&parent.members); i; i = aia_rb_next(i), count++) {
    const aia_share* s = aia_container_of(i, const aia_share, node);
    if (s->parent != &parent || s->root != parent.root || !s->queued) return false;
    if (const aia_rb_node* first = aia_rb_first(&s->members); by_key && first) {
      const aia_vtime key = aia_container_of(first, const aia_share, node)->key;
      if (key.high != s->key.high || key.low != s->key.low) return false;
    }
    if (before &&
        aia_vtime_before(by_key ? s->key : s->vtime, by_key ? before->key : before->vtime))
      return false;
    before = s;
    if (by_key) continue;
    aia_vtime least = aia_vtime_sub(parent.floor, {0, behind_ns});
    if (aia_vtime_before(s->vtime, least)) return false;
  }
  return count == parent.lined;
}

}  // namespace

bool is_sound(const aia_sched_engine& engine, const std::vector<const aia_sched_node*>& nodes,
              const std::vector<const aia_sched_queue*>& queues, const char** why,
              std::uint64_t behind_ns) {
  std::uint32_t used = 0, yielding = 0, background = 0, background_yielding = 0, waiting = 0;
  bool sound = true;
  for (std::uint32_t c = 0; c < AIACCEL_NR_CLASSES; c++) {
    const aia_link& head = engine.running[c];
    used += width_of(head, false, &sound);
    yielding += width_of(head, true, &sound);
    if (c >= AIACCEL_CLASS_NORMAL) continue;
    background += width_of(head, false, &sound);
    background_yielding += width_of(head, true, &sound);
  }
  *why = "a running job is not its seat's turn, or out of order";
  if (!sound) return false;
  // Of turns whose queues went, whose work is being stopped.
  std::uint32_t left = engine.stops.slots;
  for (const aia_link& head : engine.running) left -= stopping_of(head);
  used += left;
  yielding += left;
  *why = "slots_used";
  if (used != engine.slots_used) return false;
  if (engine.gives_way ? background > engine.slots || used - background > engine.slots
                       : used > engine.slots)
    return false;
  *why = "slots_yielding";
  if (yielding != engine.slots_yielding) return false;
  if (background_yielding != engine.background_yielding) return false;

  for (std::uint32_t c = 0; c < AIACCEL_NR_CLASSES; c++)
    left -= engine.classes.held[c] - width_of(engine.running[c], false, &sound);
  if (left) return false;

  *why = "a turn that is spared does not fill, or was not asked to yield";
  for (std::uint32_t c = 0; c < AIACCEL_CLASS_NORMAL; c++)
    for (const aia_link* l = engine.spared[c].next; l != &engine.spared[c]; l = l->next) {
      const aia_sched_job* job = aia_container_of(l, const aia_sched_job, of_spared);
      if (job->state != AIA_SCHED_GRANTED || job->class_ != c) return false;
      if (!job->queue->fill || !job->yield_asked) return false;
    }

  *why = "a queue's jobs";
  for (const aia_sched_queue* q : queues) {
    std::vector<const aia_sched_job*> jobs;
    for (const aia_rb_node* i = aia_rb_first(&q->due); i; i = aia_rb_next(i))
      jobs.push_back(aia_container_of(i, const aia_sched_job, of_due));
    for (const aia_link* i = q->undated.next; i != &q->undated; i = i->next)
      jobs.push_back(aia_container_of(i, const aia_sched_job, of_undated));
    if (jobs.size() != q->waiting) return false;
    const aia_sched_job* before = nullptr;
    for (const aia_sched_job* job : jobs) {
      if (job->state != AIA_SCHED_WAITING || job->queue != q) return false;
      if (before && (job->deadline_ns - 1 < before->deadline_ns - 1 ||
                     (job->deadline_ns == before->deadline_ns && job->seq < before->seq)))
        return false;
      before = job;
    }
    waiting += q->waiting;
  }
  *why = "jobs waiting at the engine";
  if (waiting != engine.waiting) return false;

  *why = "what is booked";
  for (const aia_sched_queue* q : queues) {
    const aia_sched_job* turn = q->seat->turn;
    if (q->share.booked != (turn && turn->queue == q ? turn->charged_ns * turn->width : 0))
      return false;
  }
  for (const aia_sched_node* n : nodes)
    for (const aia_share& s : n->share) {
      std::uint64_t booked = 0;
      for (const aia_sched_queue* q : queues)
        for (const aia_share* up = q->share.parent; up; up = up->parent)
          if (up == &s) booked += q->share.booked;
      if (s.booked != booked) return false;
    }
  *why = "what is booked against ceilings";
  for (const aia_sched_node* n : nodes) {
    std::uint64_t booked = 0;
    for (const aia_sched_queue* q : queues)
      for (const aia_sched_node* up = q->node; up; up = up->parent)
        if (const aia_sched_job* turn = q->seat->turn; up == n && turn && turn->queue == q)
          booked += turn->cap_charged_ns * turn->width;
    if (n->cap.booked != booked) return false;
  }
  *why = "a queue is in line exactly while it has an eligible job";
  for (const aia_sched_queue* q : queues)
    if ((q->of_line.next != nullptr) != (q->waiting && !q->seat->turn && !q->promise.release.at_ns))
      return false;
  *why = "a queue is in its tree exactly while it is in line and neither parked nor passed";
  std::uint32_t in_line = 0, away = 0, parked = 0, queued = 0, lined = 0;
  for (const aia_link* l = engine.in_line.next; l != &engine.in_line; l = l->next, in_line++) {
    const aia_sched_queue* q = aia_container_of(l, const aia_sched_queue, of_line);
    const auto* first = aia_sched_queue_first(const_cast<aia_sched_queue*>(q));
    if (!q->share.queued) return false;
    if (q->share.root->by_key && q->share.key.low != first->seq) return false;
  }
  for (const aia_link* l = engine.parked.next; l != &engine.parked; l = l->next) parked++;
  for (const aia_wide& wide : engine.wide)
    for (const aia_link* l = wide.passed.next; l != &wide.passed; l = l->next) away++;
  for (const aia_sched_queue* q : queues) {
    queued += q->share.queued;
    lined += q->of_line.next != nullptr;
  }
  if (in_line != queued || in_line + parked + away != lined) return false;
  *why = "REALTIME pauses, or slots are held for it";
  if (engine.wide_stirs >> AIACCEL_CLASS_REALTIME & 1) return false;
  *why = "a debt is of a job of the tenant that waits";
  for (const aia_sched_node* n : nodes) {
    const aia_wide_debt& debt = n->debt;
    if (debt.job && (debt.job->state != AIA_SCHED_WAITING || debt.job->queue->node != n))
      return false;
    if (!debt.job && (debt.kept_ns || debt.slot_ns)) return false;
  }
  *why = "what is kept counts for nobody";
  for (const aia_wide& wide : engine.wide)
    if (wide.owed_slots && (!wide.job || wide.job->queue->node->debt.job != wide.job)) return false;
  *why = "parked, and no timer set";
  if (parked && !engine.reorder.at_ns) return false;
  *why = "a tenant is in line exactly while somebody below it is, and it is not held back";
  for (const aia_sched_node* n : nodes)
    for (const aia_share& s : n->share) {
      const bool exempt = &s == &n->share[AIACCEL_CLASS_REALTIME];
      if (s.held_back != (n->held_back && !exempt)) return false;
      if (s.queued != (aia_rb_first(&s.members) && !s.held_back)) return false;
    }

  *why = "the members of a share";
  for (const aia_share& s : engine.root)
    if (!members_are_sound(s, behind_ns)) return false;
  for (const aia_sched_node* n : nodes)
    for (const aia_share& s : n->share)
      if (!members_are_sound(s, behind_ns)) return false;
  *why = "";
  return true;
}
