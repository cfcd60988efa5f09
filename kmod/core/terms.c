// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The end of a turn against its holder's will; see terms.h. The caller serialises.
 */
#include "list.h"
#include "sched.h"
#include "terms.h"

#define job_of(timer) aia_container_of(timer, struct aia_sched_job, term)

void aia_terms_set_engine(struct aia_sched_engine *engine, __u32 enforcement, __u64 grace_ns)
{
	engine->budget_ns = enforcement == AIACCEL_ADVISORY ? 0 : AIACCEL_BUDGET_DEFAULT_NS;
	if (!grace_ns)
		grace_ns = enforcement == AIACCEL_PREEMPTIBLE ? AIA_TERMS_GRACE_PREEMPTIBLE_NS :
								AIA_TERMS_GRACE_NS;
	engine->grace_ns = grace_ns;
}

void aia_terms_set_queue(struct aia_sched_queue *queue, __u32 flags, __u64 budget_ns)
{
	queue->fill = flags & AIACCEL_QUEUE_FILL;
	queue->budget_ns = budget_ns ? budget_ns : queue->seat->engine->budget_ns;
}

__u64 aia_terms_longest_ns(const struct aia_sched_queue *queue)
{
	const struct aia_sched_engine *engine = queue->seat->engine;

	if (!engine->budget_ns)
		return 0;
	return queue->budget_ns + engine->grace_ns + aia_stops_longest_ns(engine);
}

/* ---- the trees ---- */

static struct aia_timers *tree_of(const struct aia_sched_job *job)
{
	struct aia_sched_engine *engine = job->queue->seat->engine;
	bool beside = engine->gives_way && job->class_ < AIACCEL_CLASS_NORMAL;

	return job->in_grace ? &engine->graces[beside] : &engine->asks[beside];
}

static void leave_tree(struct aia_sched_job *job)
{
	if (job->term.at_ns)
		aia_timer_set(tree_of(job), &job->term, 0);
}

void aia_terms_forget(struct aia_sched_job *job)
{
	leave_tree(job);
	if (job->of_spared.next)
		aia_list_remove(&job->of_spared);
}

static void look_at(struct aia_sched_job *job, bool in_grace, __u64 at_ns)
{
	leave_tree(job);
	job->in_grace = in_grace;
	aia_timer_set(tree_of(job), &job->term, at_ns);
}

static __u64 earlier(__u64 a_ns, __u64 b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

/* ---- the life of a turn ---- */

/* AIACCEL_NEVER: it has no end. */
static __u64 end_ns(const struct aia_sched_job *job)
{
	return job->queue->budget_ns ? job->begun_ns + job->queue->budget_ns : AIACCEL_NEVER;
}

static __u64 claim_ns(const struct aia_sched_job *job)
{
	return job->granted_ns + AIA_TERMS_CLAIM_NS;
}

void aia_terms_begin(struct aia_sched_job *job, __u64 now_ns)
{
	aia_terms_forget(job);
	job->begun_ns = now_ns;
	look_at(job, false, earlier(end_ns(job), claim_ns(job)));
}

void aia_terms_asked(struct aia_sched_job *job, __u64 now_ns)
{
	if (job->queue->fill && !job->in_grace)
		look_at(job, true, now_ns + job->queue->seat->engine->grace_ns);
}

/* It was asked to make room for a higher class, which has gone since. */
static void spare(struct aia_sched_job *job)
{
	job->in_grace = false;
	if (!job->of_spared.next)
		aia_list_add_last(&job->queue->seat->engine->spared[job->class_], &job->of_spared);
}

struct aia_sched_job *aia_terms_next_spared(struct aia_sched_engine *engine)
{
	const struct aia_sched_job *wanting = engine->wanting;
	__u32 c;

	if (!wanting || engine->line == AIA_LINE_AGES)
		return NULL;
	for (c = 0; c < AIACCEL_CLASS_NORMAL && c < wanting->queue->class_; c++) {
		struct aia_link *first = engine->spared[c].next;

		if (first == &engine->spared[c])
			continue;
		aia_list_remove(first);
		return aia_container_of(first, struct aia_sched_job, of_spared);
	}
	return NULL;
}

enum aia_terms_act aia_terms_look(struct aia_sched_job *job, bool claimed, __u64 now_ns)
{
	struct aia_sched_engine *engine = job->queue->seat->engine;
	bool over = now_ns >= end_ns(job);

	leave_tree(job);
	if (!claimed && now_ns >= claim_ns(job))
		return AIA_TERMS_REVOKE;
	if (job->in_grace && !over && engine->wanting->queue->class_ <= job->class_)
		spare(job);
	if (job->in_grace)
		return AIA_TERMS_REVOKE;
	if (over) {
		look_at(job, true, now_ns + engine->grace_ns);
		return AIA_TERMS_ASK;
	}
	if (!claimed)
		look_at(job, false, earlier(end_ns(job), claim_ns(job)));
	else if (job->queue->budget_ns)
		look_at(job, false, end_ns(job));
	return AIA_TERMS_LEAVE;
}

/* ---- who is in the way ---- */

static struct aia_timer *first_of(const struct aia_sched_engine *engine, __u32 trees)
{
	struct aia_timer *first = NULL;
	__u32 i;

	for (i = 0; i < trees; i++) {
		first = aia_timers_earlier(first, aia_timers_first(&engine->asks[i]));
		first = aia_timers_earlier(first, aia_timers_first(&engine->graces[i]));
	}
	return first;
}

/*
 * Nobody else is in its way: there is room for it once what is being stopped has been, or there is
 * and its group waits for another engine.
 */
static bool has_room(const struct aia_sched_engine *engine, const struct aia_sched_job *wanting)
{
	__u32 used = engine->slots_used - engine->stops.slots;

	return used < engine->slots && aia_group_width(wanting) <= engine->slots - used;
}

/* The turn that is due first of those in the way of the job that is next. */
static struct aia_timer *first_in_way(struct aia_sched_engine *engine)
{
	const struct aia_sched_job *wanting = engine->wanting;

	if (!wanting || has_room(engine, wanting))
		return NULL;
	return first_of(engine, wanting->queue->class_ < AIACCEL_CLASS_NORMAL ? 2 : 1);
}

struct aia_sched_job *aia_terms_due(struct aia_sched_engine *engine, __u64 now_ns)
{
	struct aia_timer *timer;

	if (!engine->wanting)
		return NULL;
	/* Most often nothing is due at all, which is found out soonest. */
	timer = first_of(engine, 2);
	if (!timer || timer->at_ns > now_ns)
		return NULL;
	timer = first_in_way(engine);
	return timer && timer->at_ns <= now_ns ? job_of(timer) : NULL;
}

__u64 aia_terms_next_ns(struct aia_sched_engine *engine)
{
	struct aia_timer *timer = first_in_way(engine);

	return timer ? timer->at_ns : AIACCEL_NEVER;
}
