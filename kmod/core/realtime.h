/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Promises of time: what class REALTIME is told when a queue is made, and what keeps it.
 *
 * A queue of it says how long its turns last at most (C: its budget, the engine's grace, and where
 * work is stopped what that may take, see stop.h), how often it has one (T, its period) and how
 * wide they are (w). It has one job a period: a job is released when it comes, or at the deadline
 * of the one before where that is later, and until then it is out of line; its deadline is T after
 * its release. So coming early gains nothing, and lower classes keep what admission left. REALTIME
 * goes by deadline (order.h), over all tenants.
 *
 * The promise: a turn that lasts C at most ends by its deadline. It is given where, with S slots, B
 * the longest turn of any queue at the engine, W the widest promised one, and M = S - W + 1,
 *
 *   V = C / (T - B)   sum of w V  <=  M - max of (M - w) V, where w < M
 *                     sum of w V  <=  M AIA_REALTIME_PARTS / AIA_CLASSES_PARTS
 *
 * and refused otherwise; so is a queue of any class whose turns would make B too long.
 *
 * Where all are one slot wide the first line is the test of Baruah, "The non-preemptive scheduling
 * of periodic tasks upon multiprocessors", Real-Time Systems 32 (2006). In full: let a fluid
 * schedule work on each job at the rate w V from its release to B before its deadline. For the jobs
 * D with deadlines up to any d, at B + t the engine has done no less of D than the fluid had at t.
 * For let t be the first time when it did less after: less of some job j, and less of D since j's
 * release r than the fluid did between r and t. From r + B to t + B, while j waits, the first in
 * line waits, too, and is in D: fewer than W slots are free. What is no job of D began before r and
 * has ended, since REALTIME goes by deadline and nothing of another class begins while a job of it
 * waits. So D runs on M slots at least. While j runs, D runs on w, which is less than the share V
 * of that time, for j lags behind. Together D had at least M - (M - w) V of it, no less than the
 * sum of w V, which is what the fluid did: a contradiction. With t = d - B, D is done at d.
 *
 * The second line leaves the lower classes what they are owed (classes.h) of each M slots: no
 * guarantee of theirs passes REALTIME, nor need it.
 *
 * What the proof takes: turns end within C (budgets do that, and on an engine that is not
 * preemptible the slots go on, whoever works there still); the ceilings of tenants do not hold
 * REALTIME back (node.h: what was admitted is the ceiling); a job that becomes eligible late, since
 * its context had another turn, is released then. A queue that closes may leave a job's window
 * behind: those made after it are released after that. Not under FIFO. What timers take comes on
 * top.
 *
 * Cost: QUEUE_CREATE looks at AIA_REALTIME_MAX queues at most. The caller serialises.
 */
#ifndef AIA_CORE_REALTIME_H
#define AIA_CORE_REALTIME_H

#include "classes.h"
#include "rbtree.h"
#include "timers.h"
#include "types.h"

#define AIA_REALTIME_MAX 64	/* promised queues at an engine */
/* LOW, NORMAL and HIGH are owed one part each. */
#define AIA_REALTIME_PARTS (AIA_CLASSES_PARTS - 3)

struct aia_sched_engine;
struct aia_sched_queue;

/* Of an engine. */
struct aia_realtime {
	struct aia_rb_root turns;	/* queues by their longest turns, longest first */
	struct aia_link promised;
	__u32 nr;
	__u64 closed_ns;		/* when the last window of those that closed ends */
};

/* Of a queue. */
struct aia_promise {
	__u64 period_ns;		/* 0: it was promised nothing */
	__u64 turn_ns;			/* its longest turn; 0: it has not joined */
	__u32 width;
	__u64 deadline_ns;		/* of the job that is first, while in line; 0: none */
	__u64 next_ns;			/* no release before */
	struct aia_timer release;	/* set while the first job waits for it, out of line */
	struct aia_rb_node of_turns;
	struct aia_link of_promised;
};

void aia_realtime_init(struct aia_sched_engine *engine);

/*
 * Before the queue's first job. @turn_ns: its longest turn with the grace, 0 where that has no end.
 * @period_ns and @width: 0, or what it wants to be promised. -EOPNOTSUPP: nothing can be promised
 * where turns have no end. -EINVAL: wider than the engine. -EDQUOT: it cannot be, or what others
 * were promised could not be kept.
 */
int aia_realtime_join(struct aia_sched_queue *queue, __u64 turn_ns, __u64 period_ns, __u32 width,
		      __u64 now_ns);
void aia_realtime_leave(struct aia_sched_queue *queue);

/* Whether a queue that became eligible lines up now; else its timer does that later. */
bool aia_realtime_release(struct aia_sched_queue *queue, __u64 now_ns);

/* Its first job has its turn. */
void aia_realtime_begin(struct aia_sched_queue *queue, __u64 now_ns);

#endif
