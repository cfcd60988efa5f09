/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Jobs that may have their turn at any engine of a set.
 *
 * A set is of queues of one context, each at another engine. A job of it stands in line at all of
 * them, in a place for each that looks to the scheduler like a job of its own; itself it is held.
 * When one of the engines chooses its place, the job takes that place and begins there, and the
 * others are given up, all in one step: a turn is never begun twice, and no engine waits for a
 * place of a job that began.
 *
 * Where several engines could begin it at once, it goes to the one on its buffer's node, then to
 * the lower number: a place that is chosen looks whether it is next, and fits, at an engine that
 * goes before its own and was not dispatched yet; those that were could not begin it. (What is next
 * after others that begin there in the same step is not seen.)
 *
 * An engine that takes no new work, or is narrower than the job, is left out when it is submitted.
 * A queue that goes, or whose waiting jobs fail, takes its places with it: its jobs wait for the
 * others of their set, and fail, or end, with the last. While it waits a job counts as of the queue
 * that it was submitted to, or of the first one left where that has no place.
 *
 * Bounds, asserted by tests/core/any.cpp
 *  - It waits at no engine of its set longer than a plain job in its place: it has its share, its
 *    order, its ceilings and its slots kept free (wide.h) at each. So no engine of the set has room
 *    for it, and nobody before it, while it waits.
 *  - A choice costs AIACCEL_ANY_MAX looks more at most, and beginning it as many withdrawals.
 * The price: while it waits, a wide job keeps slots free at each of its engines, which its tenant
 * pays where it does not begin (wide.h), and one of a higher class may ask holders at several to
 * yield.
 *
 * Invariants
 *  - A set is a ring of its queues by the numbers of their engines; one queue alone is a set.
 *  - Places have the job's width, cost and deadline. They mean something while the job is held; one
 *    without a queue was given up for good. The job's queue has one of them.
 * The caller serialises.
 */
#ifndef AIA_CORE_ANY_H
#define AIA_CORE_ANY_H

#include <uapi/aiaccel.h>
#include "sched.h"
#include "types.h"

/* Of one job, from its adapter. */
struct aia_any {
	struct aia_sched_job *job;
	__s32 numa_node;		/* set before it is submitted; -1: of no buffer */
	__u32 count;
	struct aia_sched_job places[AIACCEL_ANY_MAX];	/* the first goes before the others */
};

/*
 * Whether the set of @other takes a queue at the engine: 0; -EINVAL: it has one there, or
 * AIACCEL_ANY_MAX of them, or one that is promised turns at its engine.
 */
int aia_any_takes(const struct aia_sched_queue *other, const struct aia_sched_engine *engine);

/* A queue that has no job yet, and is a set of its own, joins that of @other. */
void aia_any_join(struct aia_sched_queue *queue, struct aia_sched_queue *other);

/* The widest engine of the set. */
__u32 aia_any_slots(const struct aia_sched_queue *queue);

/*
 * As aia_sched_hold(), at all engines of the set. Errors where none takes it; @after: whatever the
 * seats hold now, else -EDEADLK where all of them hold a turn.
 */
int aia_any_hold(struct aia_sched_queue *queue, struct aia_sched_job *job, bool after,
		 __u64 now_ns);

/* The job is held: its wait begins now. */
void aia_any_put_in_line(struct aia_sched_job *job, __u64 now_ns);

/* Takes a held job out of every line. */
void aia_any_withdraw(struct aia_sched_job *job, __u64 now_ns);

/* The job's place in the queue, or NULL. */
struct aia_sched_job *aia_any_place(const struct aia_sched_job *job,
				    const struct aia_sched_queue *queue);

/* It leaves its line for good; false when it was the last, which stays the job's. */
bool aia_any_give_up(struct aia_sched_job *place, __u64 now_ns);

/* The job, now waiting in place of this one alone, to begin at once. */
struct aia_sched_job *aia_any_take(struct aia_sched_job *place, __u64 now_ns);

#endif
