/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The end of a turn against its holder's will.
 *
 * A turn may have a budget. When it is over and a job is next that finds no room, the holder is
 * asked to yield, and has the engine's grace to complete, or to renew; then the turn is revoked.
 * While nobody is in its way it goes on, and is looked at again when somebody comes. A turn that
 * fills is asked when a higher class wants its slots, and has the grace from then on. When that has
 * gone by the end of it, the turn is spared until its budget is over, or a higher class wants its
 * slots again: then it has another grace, and is told no more, since it was asked. A turn whose
 * holder has not even taken notice of it after AIA_TERMS_CLAIM_NS (a stopped or a frozen process)
 * is revoked at once.
 *
 * Bound: a turn that stands in the way of a job that is next, alone or as the one that was over
 * first, is revoked at most budget + grace after it began, or grace after the job came where that
 * is later, plus what the adapter is late. Where work is stopped, its slots go on as much later as
 * that takes.
 *
 * The turns of an engine lie in trees by when they are due: those that go on in `asks`, those asked
 * because of their terms in `graces`. The trees count as timers only while a job is next that finds
 * no room, so that nobody is woken for turns that are in nobody's way. On an engine that gives way
 * background turns have trees of their own, since they are in the way of their like alone.
 *
 * Where the provider can stop work (stop.h) the slots go on once it has.
 *
 * Where revoked work cannot be stopped its slots go on, and are contended until the holder says
 * that it ended, which it must before it gets another turn there: the seat stays taken. Its tenant
 * pays for that time, at the latest every AIA_TERMS_PAY_NS.
 *
 * Invariants
 *  - A granted job with a budget, or not claimed yet, is in one of the trees of its engine; others
 *    in none.
 *  - A job on engine->spared has its turn, fills, and was asked to yield; it is there by the class
 *    of its turn.
 *  - engine->contended is the sum of the widths of contended jobs; each is its seat's turn.
 * The caller serialises.
 */
#ifndef AIA_CORE_TERMS_H
#define AIA_CORE_TERMS_H

#include <uapi/aiaccel.h>
#include "types.h"

#define AIA_TERMS_CLAIM_NS 1000000000ULL
#define AIA_TERMS_PAY_NS 100000000ULL
#define AIA_TERMS_GRACE_PREEMPTIBLE_NS 10000000ULL
#define AIA_TERMS_GRACE_NS 100000000ULL	/* where work is not stopped */

struct aia_sched_engine;
struct aia_sched_job;
struct aia_sched_queue;

/* After the engine's init. @grace_ns: 0 for what its enforcement implies. */
void aia_terms_set_engine(struct aia_sched_engine *engine, __u32 enforcement, __u64 grace_ns);

/* After the queue's init, with what QUEUE_CREATE was given. */
void aia_terms_set_queue(struct aia_sched_queue *queue, __u32 flags, __u64 budget_ns);

/*
 * The queue's longest turn, with the grace and what stopping it may take; 0 on an advisory engine,
 * where turns need no end.
 */
__u64 aia_terms_longest_ns(const struct aia_sched_queue *queue);

/* ---- for sched.c ---- */

/* A turn, or its next budget, begins. */
void aia_terms_begin(struct aia_sched_job *job, __u64 now_ns);
/* It ends, or goes on with nothing set. */
void aia_terms_forget(struct aia_sched_job *job);

/* ---- for turns.c ---- */

/* What is to be done to a turn that is due. */
enum aia_terms_act {
	AIA_TERMS_LEAVE,		/* nothing now */
	AIA_TERMS_ASK,			/* to yield; unless it was asked before */
	AIA_TERMS_REVOKE,
};

/*
 * After aia_choice_grant_next() said NULL: a turn that is due and stands in the way of the job that
 * is next, or NULL. Call aia_terms_look() on it.
 */
struct aia_sched_job *aia_terms_due(struct aia_sched_engine *engine, __u64 now_ns);

/* @claimed: its holder has taken notice of the turn. */
enum aia_terms_act aia_terms_look(struct aia_sched_job *job, bool claimed, __u64 now_ns);

/*
 * One that was spared while no higher class was next, as one is now; NULL: none is left. It is
 * asked again.
 */
struct aia_sched_job *aia_terms_next_spared(struct aia_sched_engine *engine);

/* Its holder was asked because a higher class is next. */
void aia_terms_asked(struct aia_sched_job *job, __u64 now_ns);

/* When aia_terms_due() has the next one; AIACCEL_NEVER where none is in anybody's way. */
__u64 aia_terms_next_ns(struct aia_sched_engine *engine);

#endif
