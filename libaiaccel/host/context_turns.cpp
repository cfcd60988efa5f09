// SPDX-License-Identifier: MIT
//
// A context's queues and turns: QUEUE_CREATE and ENTER but for its wait. All under the Host's
// mutex.
//
// Engines are dispatched at the end of an ENTER, after all of its entries: several jobs can so
// be submitted to one engine in one call, although the first of them will hold the only turn.
// Nothing throws between the first entry and that: what was done is told and holds.
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "host/context.h"

namespace aiaccel::host {

int Context::queue_create(aiaccel_queue_create& arg) {
  arg.refused_by = AIACCEL_REFUSED_NOT;
  if (int error = aia_check_queue_create(&arg)) return error;
  Engine* engine = host_.find_engine(arg.engine);
  if (!engine) return -ENOENT;
  const auto set = queues_.find(arg.any_of);
  if (arg.any_of && set == queues_.end()) return -ENOENT;
  if (arg.any_of)
    if (int error = aia_any_takes(&set->second->sched, &engine->sched)) return error;
  aia_history_who who = who_;
  std::memcpy(who.label, arg.label, sizeof who.label);
  if (int error = aia_sched_takes_work(&engine->sched)) {
    aia_history_refused(&engine->history, &who, arg.class_, 0, monotonic_ns());
    return error;
  }
  // What CAP_SYS_NICE is to the module.
  const bool unbounded = client_.uid == 0;
  if (arg.class_ > tenant_->highest_class() && !unbounded) {
    arg.refused_by = AIACCEL_REFUSED_CLASS;
    return -EPERM;
  }

  auto queue = std::make_unique<Queue>();
  queue->class_ = arg.class_;
  queue->unbounded = unbounded;
  queue->engine = engine;
  queue->weight = arg.weight ? arg.weight : AIACCEL_WEIGHT_DEFAULT;
  queue->who = who;

  auto& seat = seats_[engine];
  if (!seat) {
    seat = std::make_unique<Seat>();
    aia_sched_seat_init(&seat->sched, &engine->sched);
  }
  const uint32_t id = new_id();
  Queue& made = *queues_.emplace(id, std::move(queue)).first->second;
  if (int error = charge_line(&arg.refused_by)) {
    queues_.erase(id);
    return error;
  }
  aia_sched_queue_init(&made.sched, &seat->sched, &tenant_->nodes[host_.place(*engine)], arg.class_,
                       made.weight);
  aia_terms_set_queue(&made.sched, arg.flags, arg.budget_ns);
  if (int error = aia_realtime_join(&made.sched, aia_terms_longest_ns(&made.sched), arg.period_ns,
                                    arg.width, monotonic_ns())) {
    if (error == -EDQUOT) arg.refused_by = AIACCEL_REFUSED_DEADLINES;
    aia_sched_queue_fini(&made.sched);
    aia_limit_uncharge(&tenant_->lines, 1);
    queues_.erase(id);
    return error;
  }
  if (arg.any_of) aia_any_join(&made.sched, &queues_.at(arg.any_of)->sched);
  ++tenant_->queues;
  made.who.queue = id;
  made.sched.who = &made.who;
  ++engine->queues;
  arg.id = id;
  return 0;
}

void Context::end_queue(Queue& queue, uint64_t now_ns, aia_news& news) {
  aia_turns_end_queue(&turns_.core, &queue.sched, now_ns, &news);
  aia_sched_queue_fini(&queue.sched);
  --queue.engine->queues;
  --tenant_->queues;
  aia_limit_uncharge(&tenant_->lines, 1);
}

int Context::complete(const aiaccel_completion& completion, bool first, uint64_t now_ns,
                      aia_news& news) {
  if (int error = aia_check_completion(&completion)) return error;
  return aia_turns_complete(&turns_.core, &completion, first, now_ns, &news);
}

int Context::submit(const aiaccel_job& job, uint64_t now_ns, aia_news& news) {
  if (int error = aia_check_job(&job)) return error;
  const auto found = queues_.find(job.queue);
  if (found == queues_.end()) return -ENOENT;
  Queue& queue = *found->second;
  if (int error = aia_turns_check(&turns_.core, &queue.sched, &job)) return error;
  if (job.buffer && !buffers_.contains(job.buffer)) return -ENOENT;
  std::unique_ptr<aia_turn> turn(new (std::nothrow) aia_turn());
  std::unique_ptr<aia_any> any;
  if (job.flags & AIACCEL_JOB_ANY) any.reset(new (std::nothrow) aia_any());
  if (!turn || (!any && job.flags & AIACCEL_JOB_ANY)) return -ENOMEM;
  if (any) any->numa_node = -1;  // which node a client's memory is on is not known here
  turn->job.any = any.get();
  turn->owner = tenant_;
  if (aia_limit_charge(&tenant_->jobs, 1)) return -EDQUOT;
  const int error = aia_turns_submit(&turns_.core, &queue.sched, turn.get(), &job, now_ns, &news);
  if (error) {
    aia_limit_uncharge(&tenant_->jobs, 1);
    return error;
  }
  (void)any.release();
  (void)turn.release();  // the core's, until it comes back in a chain of freed ones
  return 0;
}

int Context::enter(aiaccel_enter& arg) {
  if (int error = aia_check_enter(&arg)) return error;
  const auto* completions = reinterpret_cast<const aiaccel_completion*>(arg.completions);
  const auto* jobs = reinterpret_cast<const aiaccel_job*>(arg.jobs);
  if ((arg.nr_completions && !completions) || (arg.nr_jobs && !jobs)) return -EFAULT;

  const uint64_t now = monotonic_ns();
  aia_news news{};
  uint32_t completed = 0;
  uint32_t submitted = 0;
  int error = 0;
  while (!error && completed < arg.nr_completions) {
    error = complete(completions[completed], completed == 0, now, news);
    if (!error) ++completed;
  }
  host_.free_turns(news);  // what was completed makes room for what is submitted
  while (!error && submitted < arg.nr_jobs) {
    error = submit(jobs[submitted], now, news);
    if (!error) ++submitted;
  }
  host_.act(news, now);

  const bool written = aia_turns_flush(&turns_.core, &news);
  // Nothing in it: the client asks whether its descriptor is to be readable. Events that were
  // written before it had one count as well.
  if (written || (!arg.nr_completions && !arg.nr_jobs && unread())) on_events_();
  host_.free_turns(news);

  if (error && completed == 0 && submitted == 0) return error;
  arg.nr_completions = completed;
  arg.nr_jobs = submitted;
  arg.nr_events = unread();
  return 0;
}

}  // namespace aiaccel::host
