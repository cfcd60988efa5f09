/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Slots kept free for a job that is next and finds too few: a wide one, or a group's.
 *
 * While slots are kept for it nothing else of its class or below begins, so that narrow jobs cannot
 * starve it; higher classes pass. But where turns last, what is kept free is lost, and where one
 * never ends, lost for nothing. So each class of an engine counts the time in which slots were kept
 * free, less the time in which none were, as spent. When that comes to a limit, the class pauses
 * until all that was spent is made up for: then whoever does not fit is passed, its queue out of
 * line. After it the limit is twice as long, up to AIA_WIDE_MAX_NS; when the job begins, or leaves,
 * it is AIA_WIDE_FIRST_NS again.
 *
 * Bounds
 *  - Of any time T, slots are kept free for jobs of one class in half of it at most, and once
 *    AIA_WIDE_MAX_NS.
 *  - Where turns last T at most, T up to AIA_WIDE_MAX_NS, a job that is next of all waits for the
 *    end of a pause, if there is one, and then AIA_WIDE_FIRST_NS or 5 T at most, the longer of
 *    both: it needs one stretch of T, the limits before it sum up to less than 2 T, the pauses as
 *    well. A job of a lower class has this in the time that is its class's.
 *  - One choice passes or lets pay, and takes back into line, twice AIA_WIDE_STEP queues at most; a
 *    timer that is due at once goes on with the rest.
 *
 * REALTIME never pauses: what its turns may take was counted when they were promised (realtime.h).
 * So it is always at rest; nothing is held for it, since it is in no group.
 *
 * AIA_WIDE_MAX_NS is longer than any turn that has an end: the largest budget, and its grace.
 *
 * What is kept in vain counts as had, for the share and the ceilings of its tenant: a job may wait
 * for ever by its tenant's own doing, for a turn of its own, or for what happens elsewhere, or
 * leave just before it could begin. So what is kept free while somebody else is in line is counted
 * as a debt of the job's tenant (struct aia_wide_debt).
 *  - The job begins: it is forgiven, and the job pays for its turn alone.
 *  - It leaves the line without, or slots are to be kept for another job of its tenant: it is paid.
 *  - Slots are kept for it no more for now, in a pause or since another tenant's job is next: it
 *    stays, and is paid once it comes from AIA_WIDE_MAX_NS. The stretches before the first one of
 *    AIA_WIDE_MAX_NS are shorter than that together. Not while the job may still begin: it would be
 *    next no more, and what was kept so far lost.
 * A place of a set (any.h) is a job of its own: what was kept where the job does not begin is paid.
 *
 * So a tenant, and each below it by itself, owes for less than two times AIA_WIDE_MAX_NS. Whom
 * slots are kept for is served by it (share.h): nobody saves up what it paid, where that kept
 * nobody from a turn. And
 *  - in an order by shares (order.h) slots kept in vain for jobs of a tenant come to no more than
 *    what is its share of them, and that once. tests/core/sched_wide.cpp, any.cpp and groups.cpp
 *    play it.
 *  - For jobs that begin in the end, however little they want then, and in other orders, half of
 *    the time bounds it alone. What is kept from lower classes their tenants have by classes.h.
 *
 * Nobody is passed for nothing: while no job is in line, those passed may begin in a pause, too. A
 * queue that was passed comes back like one that slept (share.h), and at once when its jobs change.
 *
 * Invariants
 *  - A class is at rest, out of wide_stirs of its engine, only while nothing is kept, spent, passed
 *    or held.
 *  - REALTIME is at rest.
 *  - A queue is on a list of passed ones by its of_line, with its share out of its tree.
 * The caller serialises.
 */
#ifndef AIA_CORE_WIDE_H
#define AIA_CORE_WIDE_H

#include "timers.h"
#include "types.h"

#define AIA_WIDE_FIRST_NS 100000000ULL
#define AIA_WIDE_MAX_NS (AIA_WIDE_FIRST_NS << 7)
#define AIA_WIDE_STEP 64

struct aia_sched_engine;
struct aia_sched_job;
struct aia_sched_queue;

/* Of one tenant at one engine: what was kept for one of its jobs, in vain so far. */
struct aia_wide_debt {
	struct aia_sched_job *job;	/* that waits; NULL: there is no debt */
	__u64 kept_ns, slot_ns;
};

/* Of one class at one engine. */
struct aia_wide {
	__u64 counted_ns;
	__u64 spent_ns;
	__u64 limit_ns;
	bool keeping;			/* slots were kept free since it was counted */
	__u32 owed_slots;		/* that its job owes for since */
	__u64 owed_since_ns;
	bool paused;
	struct aia_sched_job *job;	/* for whom slots were kept last, while it waits */
	struct aia_sched_job *held;	/* aia_wide_hold() */
	struct aia_link passed;
	struct aia_timer timer;
};

void aia_wide_init(struct aia_wide *wide);

/*
 * Slots of its engine are kept for a waiting job, as if it were first of its class, until it
 * begins, leaves the line or is released; for one job of a class at a time, the last one. False
 * while the class pauses, which ends it, too. Dispatch after.
 */
bool aia_wide_hold(struct aia_sched_job *job);
void aia_wide_release(struct aia_sched_job *job);

/* The job that slots are held for, if it can have a turn, or NULL. */
struct aia_sched_job *aia_wide_held(const struct aia_sched_engine *engine, __u32 class_);

/* Counts the time up to now, begins and ends pauses. */
void aia_wide_count(struct aia_sched_engine *engine, __u64 now_ns);

/*
 * Slots are to be kept free for the job, and no more for another one of its class or tenant. True
 * where one was paid for now: choose again.
 */
bool aia_wide_supersede(struct aia_sched_job *job, __u64 now_ns);

/* So many slots are kept free for @job, NULL for nobody, from now on. */
void aia_wide_note(struct aia_sched_engine *engine, struct aia_sched_job *job, __u32 slots,
		   __u64 now_ns);

/* Takes a queue whose class pauses out of line. */
void aia_wide_pass(struct aia_sched_queue *queue);

/*
 * More queues are to be passed in a pause of the job's class, or to pay before it, than one step
 * takes.
 */
void aia_wide_go_on(struct aia_sched_job *job, __u64 now_ns);

/* Nobody is in line: those passed may try again, in their pause. False when there is none. */
bool aia_wide_retry(struct aia_sched_engine *engine);

/* The job begins, or leaves the line without. */
void aia_wide_forget(struct aia_sched_job *job, bool begins, __u64 now_ns);

/* A queue that was passed is so no more; line it up. */
void aia_wide_recall(struct aia_sched_queue *queue);

/* Before the class of the queue changes; line it up after. */
void aia_wide_leave_class(struct aia_sched_queue *queue, __u64 now_ns);

#endif
