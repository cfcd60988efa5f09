// SPDX-License-Identifier: MIT
//
// The scheduler under any operations in any order. After each step the invariants of sched.h hold,
// and what was granted is what a search through everything finds by the rules.
//
// What happens is chosen by whoever makes a World: a random generator, or a fuzzer's bytes. Needs
// BOOST_TEST_REQUIRE, from <tap/tap.hpp> or from libfuzzer/fuzz.hpp. Single-threaded.
#pragma once

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "core/choices.hpp"
#include "core/sound.hpp"

inline bool is_below(const aia_share* share, const aia_share* ancestor) {
  for (; share; share = share->parent)
    if (share == ancestor) return true;
  return false;
}

// A small world: a tree of tenants, seats with some queues each, more jobs than fit.
class World {
 public:
  explicit World(Choices choices) : choices_(std::move(choices)) {
    aia_sched_engine_init(&engine_, 1 + pick(8));
    engine_.gives_way = pick(2);
    for (unsigned i = 0; i < kNodes; i++)
      aia_sched_node_init(&nodes_[i], &engine_, parent_of(i), weight());
    for (auto& seat : seats_) aia_sched_seat_init(&seat, &engine_);
    for (unsigned& node : node_of_) node = pick(kNodes);
    for (auto& queue : queues_) open(queue);
  }

  void step() {
    pass(pick(3) ? pick(pick(20) ? 2000000 : pick(4) ? 200000000 : 2000000000) : 0);
    switch (pick(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        submit(jobs_[pick(kJobs)], queues_[pick(kQueues)]);
        break;
      case 4:
        withdraw(jobs_[pick(kJobs)]);
        break;
      case 5:
      case 6:
        complete(*any_granted());
        break;
      case 7:
        reopen(queues_[pick(kQueues)]);
        break;
      case 8:
        engine_.state = pick(5) ? 1u * AIACCEL_ENGINE_ACTIVE : 1 + pick(3);
        break;
      case 9:
        change_caps(nodes_[pick(kNodes)]);
        break;
      case 10:
        aia_sched_node_set_weight(&nodes_[pick(kNodes)], weight());
        break;
      case 11:
        change_class(queues_[pick(kQueues)]);
        break;
      case 12:
        aia_sched_set_order(&engine_, 1 + pick(AIACCEL_ORDER_FIFO), now_);
        break;
      default:
        grant_all();
        ask_to_yield();
        break;
    }
    const char* why;
    BOOST_TEST_REQUIRE(is_sound(engine_, pointers(nodes_), pointers(queues_), &why), why);
    BOOST_TEST_REQUIRE(waits_are_accounted());
  }

  std::uint64_t granted() const { return engine_.granted; }
  std::uint64_t asked() const { return asked_; }
  std::uint64_t held_back() const { return held_back_; }
  std::uint64_t owed() const { return owed_; }
  std::uint64_t in_pauses() const { return in_pauses_; }
  std::uint64_t paid() const { return paid_; }

  // Everything can be taken down from any state.
  void end() {
    for (auto& job : jobs_) withdraw(job), complete(job);
    for (auto& queue : queues_) aia_sched_queue_fini(&queue);
    for (unsigned i = kNodes; i-- > 0;) aia_sched_node_fini(&nodes_[i]);
    BOOST_TEST_REQUIRE(engine_.slots_used == 0u);
    BOOST_TEST_REQUIRE(engine_.waiting == 0u);
    for (const auto& seat : seats_) BOOST_TEST_REQUIRE(aia_list_empty(&seat.queues));
    for (const auto& node : nodes_) BOOST_TEST_REQUIRE(node.debt.job == nullptr);
    for (const auto& share : engine_.root)
      BOOST_TEST_REQUIRE(aia_rb_first(&share.members) == nullptr);
  }

 private:
  static constexpr unsigned kNodes = 9, kSeats = 10, kQueues = 24, kJobs = 40;

  template <typename T, std::size_t N>
  static std::vector<const T*> pointers(const T (&array)[N]) {
    std::vector<const T*> result;
    for (const T& item : array) result.push_back(&item);
    return result;
  }

  unsigned pick(unsigned below) { return static_cast<unsigned>(choices_() % below); }
  std::uint32_t weight() { return pick(4) ? 1 + pick(AIACCEL_WEIGHT_MAX) : 0; }
  aia_sched_node* parent_of(unsigned i) { return i ? &nodes_[(i - 1) / 2] : nullptr; }

  void open(aia_sched_queue& queue) {
    const unsigned seat = pick(kSeats);
    aia_sched_queue_init(&queue, &seats_[seat], &nodes_[node_of_[seat]], pick(AIACCEL_NR_CLASSES),
                         weight());
  }

  void reopen(aia_sched_queue& queue) {
    if (queue.waiting || (queue.seat->turn && queue.seat->turn->queue == &queue)) return;
    aia_sched_queue_fini(&queue);
    open(queue);
  }

  void submit(aia_sched_job& job, aia_sched_queue& queue) {
    if (job.state != AIA_SCHED_IDLE) return;
    job.width = 1 + pick(engine_.slots);
    job.deadline_ns = pick(2) ? 0 : 1 + pick(5);
    job.cost_ns = pick(3) ? pick(5000000) : choices_();
    int err = aia_sched_submit(&queue, &job, now_);
    int expected = engine_.state != AIACCEL_ENGINE_ACTIVE ? -ESHUTDOWN
                   : queue.seat->turn                     ? -EDEADLK
                                                          : 0;
    BOOST_TEST_REQUIRE(err == expected);
    capped_[&job - jobs_] = 0;
  }

  // Time goes by, and is counted for those who wait because of ceilings alone.
  void pass(std::uint64_t ns) {
    now_ += ns;
    for (const auto& job : jobs_)
      if (job.state == AIA_SCHED_WAITING && !job.queue->seat->turn && is_held_back(job.queue->node))
        capped_[&job - jobs_] += ns;
  }
  static bool is_held_back(const aia_sched_node* node) {
    for (; node; node = node->parent)
      if (node->held_back) return true;
    return false;
  }
  bool waits_are_accounted() const {
    for (const auto& job : jobs_)
      if (job.state != AIA_SCHED_IDLE && aia_sched_capped_ns(&job, now_) != capped_[&job - jobs_])
        return false;
    return true;
  }

  void change_caps(aia_sched_node& node) {
    const std::uint32_t time =
        pick(5) ? AIACCEL_ENGINE_TIME_ALL : 1 + pick(AIACCEL_ENGINE_TIME_ALL);
    aia_sched_node_set_caps(&node, time, pick(4) ? 0 : 1 + pick(4), now_);
    held_back_ += node.held_back;
  }
  void change_class(aia_sched_queue& queue) {
    aia_sched_queue_set_class(&queue, pick(AIACCEL_NR_CLASSES), now_);
  }
  // A random one of those that have a turn, or one that has none.
  aia_sched_job* any_granted() {
    unsigned i = pick(kJobs), end = i + kJobs;
    while (i < end && jobs_[i % kJobs].state != AIA_SCHED_GRANTED) i++;
    return &jobs_[i % kJobs];
  }
  void withdraw(aia_sched_job& job) {
    if (job.state == AIA_SCHED_WAITING) aia_sched_withdraw(&job, now_);
  }
  void complete(aia_sched_job& job) {
    if (job.state == AIA_SCHED_GRANTED) aia_sched_complete(&job, now_);
  }

  static bool is_eligible(const aia_sched_queue& q) {
    return q.waiting && !q.seat->turn && !is_passed(q) &&
           (q.class_ == AIACCEL_CLASS_REALTIME || !is_held_back(q.node));
  }

  static bool is_passed(const aia_sched_queue& q) { return q.of_line.next && !q.share.queued; }

  bool in_line(std::uint32_t class_) const {
    return std::any_of(std::begin(queues_), std::end(queues_),
                       [class_](const auto& q) { return q.class_ == class_ && is_eligible(q); });
  }

  // Whether those between `lowest` and the boundary go before it, for what they are owed.
  bool is_owed(std::uint32_t boundary, std::uint32_t lowest, bool inside) const {
    const aia_classes& classes = engine_.classes;
    if (boundary < AIACCEL_CLASS_NORMAL || boundary == lowest) return false;
    if (engine_.order == AIACCEL_ORDER_STRICT) return false;
    if (classes.boundary[boundary].credit <= 0 && !(classes.pledged & 1u << boundary)) return false;
    std::uint32_t held = 0, waits = 0;
    for (std::uint32_t c = lowest; c < boundary; c++) waits += in_line(c);
    for (const auto& job : jobs_)
      if (job.state == AIA_SCHED_GRANTED && job.class_ >= lowest && job.class_ < boundary)
        held += job.width;
    return waits && (inside || held * AIA_CLASSES_PARTS < engine_.slots * (boundary - lowest));
  }

  // The class whose turn it is; kNobody where nobody is in line.
  static constexpr std::uint32_t kNobody = AIACCEL_NR_CLASSES;
  std::uint32_t next_class() const {
    const std::uint32_t lowest = engine_.gives_way ? AIACCEL_CLASS_NORMAL : AIACCEL_CLASS_LOW;
    bool inside = false;
    for (std::uint32_t c = AIACCEL_NR_CLASSES; c-- > 0;) {
      if (!in_line(c)) continue;
      if (!is_owed(c, lowest, inside)) return c;
      inside = true;
    }
    return kNobody;
  }
  // Where background work stands in nobody's way, LOW may have a turn beside the rest.
  bool is_owed_beside(const aia_sched_job& job) const {
    return engine_.gives_way && engine_.order != AIACCEL_ORDER_FIFO &&
           job.queue->class_ == AIACCEL_CLASS_LOW &&
           is_owed(AIACCEL_CLASS_NORMAL, AIACCEL_CLASS_LOW, false) &&
           job.width <= engine_.slots - background();
  }
  std::uint32_t background() const {
    std::uint32_t held = 0;
    for (const auto& job : jobs_)
      if (job.state == AIA_SCHED_GRANTED && job.class_ < AIACCEL_CLASS_NORMAL) held += job.width;
    return held;
  }

  // Of the children of `parent` below which somebody is eligible, is `chosen` one that had least?
  bool had_least(const aia_share* parent, const aia_share* chosen) const {
    for (const auto& q : queues_) {
      if (!is_eligible(q) || !is_below(&q.share, parent)) continue;
      const aia_share* child = &q.share;
      while (child->parent != parent) child = child->parent;
      if (aia_vtime_before(child->vtime, chosen->vtime)) return false;
    }
    return true;
  }

  static bool is_earlier(const aia_sched_job& a, const aia_sched_job& b) {
    const std::uint64_t a_last = a.deadline_ns ? a.deadline_ns : ~0ULL;
    const std::uint64_t b_last = b.deadline_ns ? b.deadline_ns : ~0ULL;
    return a_last != b_last ? a_last < b_last : a.seq < b.seq;
  }
  const aia_sched_job& first_of(const aia_sched_queue& queue) const {
    const aia_sched_job* first = nullptr;
    for (const auto& job : jobs_)
      if (job.state == AIA_SCHED_WAITING && job.queue == &queue &&
          (!first || is_earlier(job, *first)))
        first = &job;
    return *first;
  }

  // Is this the job that the rules name?
  bool is_next(const aia_sched_job& job) const {
    if (job.state != AIA_SCHED_WAITING || !is_eligible(*job.queue)) return false;
    const aia_sched_queue& queue = *job.queue;
    if (&first_of(queue) != &job) return false;
    const bool by_age = engine_.order == AIACCEL_ORDER_FIFO;
    if (!by_age && queue.class_ != next_class() && !is_owed_beside(job)) return false;
    for (const auto& q : queues_) {
      if (!is_eligible(q)) continue;
      const aia_sched_job& other = first_of(q);
      if (by_age && other.seq < job.seq) return false;
      if (by_age || q.class_ != queue.class_) continue;
      if (engine_.order != AIACCEL_ORDER_EDF && queue.class_ != AIACCEL_CLASS_REALTIME) continue;
      if (is_earlier(other, job)) return false;
    }
    if (queue.share.root->by_key) return true;
    for (const aia_share* s = &queue.share; s->parent; s = s->parent)
      if (!had_least(s->parent, s)) return false;
    return true;
  }

  // Whether turns of `holder` are in the way of jobs of `class_`.
  bool in_way(std::uint32_t holder, std::uint32_t class_) const {
    return !engine_.gives_way || holder >= AIACCEL_CLASS_NORMAL || class_ < AIACCEL_CLASS_NORMAL;
  }

  std::uint32_t room_for(const aia_sched_job& wanting, bool after_yields) const {
    if (!after_yields && is_owed_beside(wanting)) return engine_.slots - background();
    std::uint32_t used = 0;
    for (const auto& job : jobs_)
      if (job.state == AIA_SCHED_GRANTED && !(after_yields && job.yield_asked) &&
          in_way(job.class_, wanting.queue->class_))
        used += job.width;
    return used < engine_.slots ? engine_.slots - used : 0;
  }

  void wake_rested() {
    aia_timers_run(&engine_.timers, now_);
    BOOST_TEST_REQUIRE(aia_timers_next_ns(&engine_.timers) > now_);
    for (auto& node : nodes_) BOOST_TEST_REQUIRE(node.held_back == is_at_ceiling(node));
  }
  bool is_at_ceiling(aia_sched_node& node) const {
    std::uint32_t turns = 0;
    for (const auto& job : jobs_)
      turns += job.state == AIA_SCHED_GRANTED && is_below(&job.queue->node->share[0], node.share);
    return (node.turns_max && turns >= node.turns_max) || aia_cap_clear_ns(&node.cap, now_);
  }

  // Whether jobs that do not fit may be passed now, or come back into line.
  bool is_passing() const {
    return std::any_of(std::begin(engine_.wide), std::end(engine_.wide), [](const auto& wide) {
      return wide.paused || !aia_list_empty(&wide.passed);
    });
  }

  // Whoever is next and does not fit: others for whom slots were kept so far may have to pay first,
  // and then somebody else may be next. Whether there was one.
  bool supersede() {
    for (auto& job : jobs_) {
      if (!is_next(job) || engine_.wide[job.queue->class_].paused) continue;
      const std::uint32_t room = room_for(job, false);
      if (room && room < job.width && aia_wide_supersede(&job, now_)) return true;
    }
    return false;
  }

  void grant_all() {
    wake_rested();
    for (;;) {
      aia_classes_count(&engine_, now_);
      aia_wide_count(&engine_, now_);
      while (engine_.state != AIACCEL_ENGINE_FAULTED && supersede()) paid_++;
      const bool passing = is_passing();
      std::vector<const aia_sched_job*> candidates;
      for (const auto& job : jobs_)
        if (is_next(job)) candidates.push_back(&job);
      std::uint32_t free[kJobs] = {};
      for (const auto* job : candidates) free[job - jobs_] = room_for(*job, false);
      const aia_sched_job* got = aia_choice_grant_next(&engine_, now_);
      for (auto& node : nodes_) held_back_ += node.held_back;
      if (got) owed_ += got->owed;
      if (passing && got) {
        in_pauses_++;
        BOOST_TEST_REQUIRE(!is_passed(*got->queue));
        continue;
      }
      if (!got) {
        // Nobody waits, or one that is next does not fit.
        bool blocked = candidates.empty() || engine_.state == AIACCEL_ENGINE_FAULTED;
        for (const auto* job : candidates) blocked |= job->width > free[job - jobs_];
        BOOST_TEST_REQUIRE((blocked || passing));
        return;
      }
      BOOST_TEST_REQUIRE(
          (std::find(candidates.begin(), candidates.end(), got) != candidates.end()));
      BOOST_TEST_REQUIRE(got->width <= free[got - jobs_]);
      BOOST_TEST_REQUIRE(engine_.state != AIACCEL_ENGINE_FAULTED);
    }
  }

  // Only lower classes are asked, each once, and none after there is room enough.
  void ask_to_yield() {
    for (;;) {
      std::uint32_t coming[kJobs] = {};
      bool asked_before[kJobs];
      for (unsigned i = 0; i < kJobs; i++) {
        asked_before[i] = jobs_[i].yield_asked;
        if (is_next(jobs_[i])) coming[i] = room_for(jobs_[i], true);
      }
      aia_sched_job* holder = aia_choice_yield_next(&engine_);
      if (!holder) return;
      asked_++;
      BOOST_TEST_REQUIRE(holder->state == AIA_SCHED_GRANTED);
      BOOST_TEST_REQUIRE((!asked_before[holder - jobs_] && !holder->owed));
      bool wanted = false;
      for (const auto& job : jobs_)
        wanted |= engine_.order != AIACCEL_ORDER_FIFO && is_next(job) &&
                  job.width > coming[&job - jobs_] && job.queue->class_ > holder->class_ &&
                  in_way(holder->class_, job.queue->class_);
      BOOST_TEST_REQUIRE(wanted);
      for (const auto& job : jobs_) {
        if (job.state != AIA_SCHED_GRANTED || job.yield_asked || job.owed) continue;
        if (!in_way(job.class_, holder->class_)) continue;
        BOOST_TEST_REQUIRE(job.class_ >= holder->class_);
      }
    }
  }

  Choices choices_;
  std::uint64_t now_ = 1;
  std::uint64_t asked_ = 0;
  std::uint64_t held_back_ = 0;
  std::uint64_t owed_ = 0;
  std::uint64_t in_pauses_ = 0;
  std::uint64_t paid_ = 0;
  std::uint64_t capped_[kJobs] = {};
  unsigned node_of_[kSeats] = {};
  aia_sched_engine engine_{};
  aia_sched_node nodes_[kNodes]{};
  aia_sched_seat seats_[kSeats]{};
  aia_sched_queue queues_[kQueues]{};
  aia_sched_job jobs_[kJobs]{};
};
