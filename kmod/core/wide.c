// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Slots kept free for wide jobs and groups; wide.h has the rules and the bounds. The caller
 * serialises.
 */
#include "wide.h"
#include "list.h"
#include "order.h"
#include "sched.h"

/* That somebody calls for a choice is all: it counts. */
static void ring(struct aia_timer *timer, __u64 now_ns)
{
	(void)timer;
	(void)now_ns;
}

void aia_wide_init(struct aia_wide *wide)
{
	*wide = (struct aia_wide){.limit_ns = AIA_WIDE_FIRST_NS, .timer.ring = ring};
	aia_list_init(&wide->passed);
}

static struct aia_wide *wide_of(const struct aia_sched_job *job)
{
	return &job->queue->seat->engine->wide[job->queue->class_];
}

/* ---- what is paid ---- */

static struct aia_wide_debt *debt_of(const struct aia_sched_job *job)
{
	return &job->queue->node->debt;
}

/* Counts the time up to now; a clock that jumps costs no more than the longest debt of a class. */
static void owe(struct aia_wide *wide, __u64 now_ns)
{
	__u64 ns = aia_since_ns(wide->owed_since_ns, now_ns);

	wide->owed_since_ns = now_ns;
	if (!wide->owed_slots)
		return;
	if (ns > AIA_CLASSES_DEBT_NS)
		ns = AIA_CLASSES_DEBT_NS;
	debt_of(wide->job)->kept_ns += ns;
	debt_of(wide->job)->slot_ns += wide->owed_slots * ns;
}

/*
 * Nothing is kept for the job from now on, and it owes nothing. What it did, in slots times time.
 */
static __u64 clear(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_wide *wide = wide_of(job);
	__u64 slot_ns;

	if (debt_of(job)->job != job)
		return 0;
	owe(wide, now_ns);
	if (wide->job == job)
		wide->owed_slots = 0;
	slot_ns = debt_of(job)->slot_ns;
	*debt_of(job) = (struct aia_wide_debt){};
	return slot_ns;
}

/* Whether there was anything to be paid. */
static bool pay(struct aia_sched_job *job, __u64 now_ns)
{
	__u64 slot_ns = clear(job, now_ns);

	if (!slot_ns)
		return false;
	aia_share_charge(&job->queue->share, slot_ns, 0, 0);
	aia_node_count_turns(job->queue->node, 0, slot_ns, 0, 0, now_ns);
	return true;
}

/* Slots are kept for the job no more, at least for now. Whether it has paid. */
static bool pay_if_long(struct aia_sched_job *job, __u64 now_ns)
{
	const struct aia_wide_debt *debt = debt_of(job);

	owe(wide_of(job), now_ns);
	return debt->job == job && debt->kept_ns >= AIA_WIDE_MAX_NS && pay(job, now_ns);
}

/* ---- for whom slots are kept ---- */

bool aia_wide_hold(struct aia_sched_job *job)
{
	struct aia_wide *wide = wide_of(job);

	if (wide->paused)
		return false;
	wide->held = job;
	job->queue->seat->engine->wide_stirs |= 1U << job->queue->class_;
	return true;
}

void aia_wide_release(struct aia_sched_job *job)
{
	struct aia_wide *wide = wide_of(job);

	if (wide->held == job)
		wide->held = NULL;
}

struct aia_sched_job *aia_wide_held(const struct aia_sched_engine *engine, __u32 class_)
{
	struct aia_sched_job *held;

	if (!(engine->wide_stirs >> class_ & 1))
		return NULL;
	held = engine->wide[class_].held;
	return held && aia_share_is_in_line(&held->queue->share) ? held : NULL;
}

void aia_wide_recall(struct aia_sched_queue *queue)
{
	if (!queue->share.queued)
		aia_order_drop_out(queue);
}

/* As many as one step takes. How many are left of it. */
static __u32 take_back(struct aia_wide *wide, __u32 left)
{
	for (; left && !aia_list_empty(&wide->passed); left--) {
		struct aia_sched_queue *queue =
			aia_container_of(wide->passed.next, struct aia_sched_queue, of_line);

		aia_order_drop_out(queue);
		aia_order_line_up(queue);
	}
	return left;
}

static bool is_at_rest(const struct aia_wide *wide)
{
	return !wide->keeping && !wide->spent_ns && aia_list_empty(&wide->passed) && !wide->job &&
	       !wide->held;
}

static void count(struct aia_wide *wide, __u64 now_ns)
{
	__u64 ns = aia_since_ns(wide->counted_ns, now_ns);

	wide->counted_ns = now_ns;
	if (wide->keeping)
		wide->spent_ns += ns;
	else
		wide->spent_ns = aia_since_ns(ns, wide->spent_ns);

	if (wide->spent_ns >= wide->limit_ns && !wide->paused) {
		wide->paused = true;
		wide->held = NULL;
		if (wide->job && wide->limit_ns < AIA_WIDE_MAX_NS)
			wide->limit_ns *= 2;
	} else if (!wide->spent_ns) {
		wide->paused = false;
	}
	if (wide->job && (wide->paused || !wide->keeping))
		pay_if_long(wide->job, now_ns);
	if (!wide->paused)
		take_back(wide, AIA_WIDE_STEP);
}

void aia_wide_count(struct aia_sched_engine *engine, __u64 now_ns)
{
	__u32 c;

	for (c = 0; engine->wide_stirs >> c; c++) {
		if (!(engine->wide_stirs >> c & 1))
			continue;
		count(&engine->wide[c], now_ns);
		if (is_at_rest(&engine->wide[c])) {
			engine->wide_stirs &= ~(1U << c);
			aia_timer_set(&engine->timers, &engine->wide[c].timer, 0);
		}
	}
}

static __u64 next_look_ns(const struct aia_wide *wide)
{
	if (wide->paused)
		return wide->counted_ns + wide->spent_ns;
	if (!aia_list_empty(&wide->passed))
		return wide->counted_ns;
	return wide->keeping ? wide->counted_ns + wide->limit_ns - wide->spent_ns : 0;
}

bool aia_wide_supersede(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_sched_job *before = wide_of(job)->job, *other = debt_of(job)->job;
	bool paid;

	if (job->queue->class_ == AIACCEL_CLASS_REALTIME)
		return false;
	paid = other && other != job && pay(other, now_ns);
	if (before && before != job) {
		paid |= pay_if_long(before, now_ns);
		wide_of(job)->owed_slots = 0;
	}
	return paid;
}

void aia_wide_note(struct aia_sched_engine *engine, struct aia_sched_job *job, __u32 slots,
		   __u64 now_ns)
{
	__u32 c;

	if (job && job->queue->class_ == AIACCEL_CLASS_REALTIME)
		job = NULL;
	if (job) {
		engine->wide_stirs |= 1U << job->queue->class_;
		wide_of(job)->counted_ns = now_ns;
		wide_of(job)->job = job;
	}
	for (c = 0; engine->wide_stirs >> c; c++) {
		struct aia_wide *wide = &engine->wide[c];
		__u64 at_ns;

		if (!(engine->wide_stirs >> c & 1))
			continue;
		wide->keeping = job && wide == wide_of(job);
		owe(wide, now_ns);
		wide->owed_slots = 0;
		if (wide->keeping && !aia_share_is_alone(&job->queue->share)) {
			if (wide->held != job)
				aia_share_serve(&job->queue->share);
			wide->owed_slots = slots;
			debt_of(job)->job = job;
		}
		at_ns = next_look_ns(wide);
		if (at_ns != wide->timer.at_ns)
			aia_timer_set(&engine->timers, &wide->timer, at_ns);
	}
}

void aia_wide_pass(struct aia_sched_queue *queue)
{
	aia_order_drop_out(queue);
	aia_list_add_last(&queue->seat->engine->wide[queue->class_].passed, &queue->of_line);
}

bool aia_wide_retry(struct aia_sched_engine *engine)
{
	struct aia_wide *wide;
	__u32 left = AIA_WIDE_STEP;

	if (!engine->wide_stirs)
		return false;
	for (wide = engine->wide; wide < engine->wide + AIACCEL_NR_CLASSES; wide++)
		left = take_back(wide, left);
	return left < AIA_WIDE_STEP;
}

void aia_wide_go_on(struct aia_sched_job *job, __u64 now_ns)
{
	aia_timer_set(&job->queue->seat->engine->timers, &wide_of(job)->timer, now_ns);
}

void aia_wide_forget(struct aia_sched_job *job, bool begins, __u64 now_ns)
{
	struct aia_wide *wide = wide_of(job);

	if (begins)
		clear(job, now_ns);
	else
		pay(job, now_ns);
	if (!(job->queue->seat->engine->wide_stirs >> job->queue->class_ & 1))
		return;
	aia_wide_release(job);
	if (wide->job != job)
		return;
	wide->job = NULL;
	wide->limit_ns = AIA_WIDE_FIRST_NS;
}

void aia_wide_leave_class(struct aia_sched_queue *queue, __u64 now_ns)
{
	struct aia_wide *wide = &queue->seat->engine->wide[queue->class_];

	if (wide->job && wide->job->queue == queue)
		aia_wide_forget(wide->job, false, now_ns);
	if (wide->held && wide->held->queue == queue)
		aia_wide_forget(wide->held, false, now_ns);
	aia_wide_recall(queue);
}
