/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Who is at an engine, and in which order they get its turns; choice.h chooses.
 *
 *   engine ── class ── tenant ── tenant ── … ── queue ── job
 *
 * Free slots go to the highest class with an eligible job, but for what lower classes are owed
 * (classes.h); inside the class down
 * the share tree, at each level to the member with the least virtual time (what
 * it had, divided by its weight); inside a queue to the earliest deadline, then to the
 * oldest job. The job so chosen is granted when its width fits the free slots. When it
 * does not fit, those slots are kept free for it, for a bounded time (wide.h): narrow jobs cannot
 * starve a wide one.
 *
 * The administrator may want another order than shares; see order.h.
 *
 * A turn is charged with an estimate when it begins. That is the queue's own average of measured
 * turns; for the first a client's expected cost stands in, but no less than AIA_SCHED_FIRST_NS.
 *
 * An engine may give way: a CPU, whose own scheduler stops background work, that of idle and
 * low, as soon as other work comes. There a job of another class does not wait for
 * background turns, which keep running beside it: it would wait for work that itself
 * waits for a processor. Background jobs find room only beside all that runs.
 *
 * Jobs of a group begin together (group.h), on engines that are next to each other in no order: one
 * that chooses looks at what the others' last choices came to.
 *
 * A seat is a context's place at an engine. It holds one turn at most; while it does,
 * the queues of the seat are not eligible.
 *
 * Invariants
 *  - slots_used is the sum of the widths of granted jobs, and of those being stopped (stop.h), and
 *    at most slots; on an engine that gives way this holds for background turns and for the others,
 *    each by themselves.
 *  - Every job is in one state; waiting jobs are in their queue; granted ones on their engine's
 *    list of their class: those asked to yield, or not to be asked since they were owed, then the
 *    others, by begun_ns.
 * The caller serialises all calls on one engine and what hangs below it.
 */
#ifndef AIA_CORE_SCHED_H
#define AIA_CORE_SCHED_H

#include <uapi/aiaccel.h>
#include "classes.h"
#include "histogram.h"
#include "group.h"
#include "history.h"
#include "node.h"
#include "rbtree.h"
#include "realtime.h"
#include "share.h"
#include "stop.h"
#include "terms.h"
#include "timers.h"
#include "types.h"
#include "wide.h"

#define AIA_SCHED_FIRST_NS 1000000ULL

/*
 * Bounds that keep width times time in 64 bits: an adapter refuses engines with more slots, and
 * a turn longer than three days pays for three days.
 */
#define AIA_SCHED_SLOTS_MAX 65535
#define AIA_SCHED_TURN_MAX_NS ((1ULL << 48) - 1)

struct aia_any;
struct aia_turn;

/* What queues stand in line by; see order.h. */
enum aia_line {
	AIA_LINE_SHARES = 0,
	AIA_LINE_DEADLINES,
	AIA_LINE_AGES,
};

struct aia_sched_engine {
	__u32 slots;
	__u32 slots_used;
	__u32 slots_yielding;		/* of them, held by jobs asked to yield */
	__u32 background_yielding;	/* of them, of classes idle and low */
	bool gives_way;			/* set after init, before the first job */
	__u32 number;			/* set after init, as is its node; see any.h */
	__s32 numa_node;		/* -1: of none */
	__u32 state;			/* enum aiaccel_engine_state */
	__u32 order;			/* enum aiaccel_order; what is to be */
	enum aia_line line;		/* what is */
	struct aia_history *history;	/* set after init; NULL: none is kept */
	/* set after init, NULL: none; see turns.h */
	void (*witness)(const struct aia_turn *turn, __u32 state, __u64 now_ns);
	__u32 waiting;			/* jobs without a turn */
	__u64 granted;			/* turns begun */
	__u64 busy_ns;			/* slots x ns of ended turns */
	struct aiaccel_histogram wait, run;
	__u32 contended;		/* slots of revoked turns that go on; not in used */
	__u64 budget_ns;		/* of queues that have none of their own; 0: no end */
	__u64 grace_ns;
	struct aia_stops stops;
	__u64 seq;			/* numbers jobs, for their order */
	struct aia_share root[AIACCEL_NR_CLASSES];
	/* Granted jobs, by the class that they were granted in. */
	struct aia_link running[AIACCEL_NR_CLASSES];
	struct aia_link in_line, parked;	/* queues; see order.h */
	struct aia_timer reorder;
	struct aia_realtime realtime;
	struct aia_timers timers;
	struct aia_sched_engine *next_stirred;	/* turns.h: chain of those to dispatch */
	bool stirred;
	struct aia_timer put_off;	/* turns.h: what was stirred is dispatched then */
	struct aia_classes classes;
	__u32 wide_stirs;		/* classes whose wide is not at rest, as bits */
	struct aia_wide wide[AIACCEL_NR_CLASSES];
	struct aia_sched_job *wanting;	/* after grant_next said NULL: is next, does not fit */
	/* Granted jobs by when they are due, see terms.h. [1]: background where it gives way. */
	struct aia_timers asks[2], graces[2];
	struct aia_link spared[AIACCEL_CLASS_NORMAL];
};

/* Its queues are of one node. */
struct aia_sched_seat {
	struct aia_sched_engine *engine;
	struct aia_sched_job *turn;	/* the job that holds it, granted or revoked, or NULL */
	__u64 busy_held_back_ns;	/* how long its tenant was, while it had turns */
	__u64 granted, busy_ns;		/* turns begun; slots x ns of those ended */
	struct aia_link queues;
};

struct aia_sched_queue {
	/*
	 * What each turn touches, on five cache lines (it begins one), of a thousand queues each
	 * time anew.
	 */
	struct aia_share share;
	struct aia_sched_seat *seat;
	struct aia_sched_node *node;
	struct aia_link of_seat;
	struct aia_link of_line;	/* in_line or parked of its engine, or wide[].passed */
	__u32 class_;
	__u32 waiting;
	struct aia_rb_root due;		/* waiting jobs with a deadline, by it and age */
	struct aia_link undated;	/* those without, by age; they come after */
	__u64 estimate_ns;		/* moving average of measured turns, 0 before the first */
	__u64 submitted, granted, completed;
	__u64 wait_ns, run_ns, max_wait_ns;
	__u64 budget_ns;		/* of its turns; 0: no end */
	const struct aia_history_who *who;	/* set after init, where a history is kept */
	bool fill;			/* its turns give way to higher classes after the grace */
	struct aia_promise promise;	/* of it, the beginning */
	struct aia_link of_set;		/* any.h */
	struct aiaccel_histogram wait, run;
} __attribute__((aligned(64)));

enum aia_sched_state {
	AIA_SCHED_IDLE = 0,		/* not with the scheduler */
	AIA_SCHED_HELD,			/* taken, and not in line yet */
	AIA_SCHED_WAITING,
	AIA_SCHED_GRANTED,
	AIA_SCHED_CONTENDED,		/* revoked; its holder did not say that it ended */
	AIA_SCHED_STOPPING,		/* revoked, or its context ended; see stop.h */
};

struct aia_sched_job {
	struct aia_sched_queue *queue;
	union {
		struct aia_rb_node of_due;
		struct aia_link of_undated;
	};
	struct aia_link of_engine;
	enum aia_sched_state state;
	bool yield_asked;
	bool owed;			/* its turn (classes.h): it is not asked to yield */
	__u32 class_;			/* that of its queue when it was granted */
	__u32 width;
	__u64 deadline_ns;		/* 0: none */
	__u64 cost_ns;
	__u64 seq;
	__u64 submitted_ns, granted_ns;
	__u64 begun_ns;			/* granted, or renewed last */
	__u64 paid_until_ns;
	__u64 charged_ns;		/* the estimate it was charged with */
	__u64 cap_charged_ns;		/* the estimate that ceilings were charged with */
	__u64 capped_ns;		/* aia_sched_capped_ns() */
	struct aia_timer term;		/* terms.h; contended: when it pays next */
	bool in_grace;			/* terms.h: in which tree */
	struct aia_link of_spared;
	struct aia_any *any;		/* that it has places of, or is one of, or NULL */
	struct aia_group *group;	/* that it is to begin with, or NULL */
	struct aia_link of_group;
	struct aia_group founded;	/* memory for one */
	struct aia_stop *stop;		/* stop.h; while it is being stopped */
};

/* What an engine that gives way runs beside other work. */
static inline bool aia_sched_is_background(__u32 class_)
{
	return class_ < AIACCEL_CLASS_NORMAL;
}

/* @slots: 1 to AIA_SCHED_SLOTS_MAX. */
void aia_sched_engine_init(struct aia_sched_engine *engine, __u32 slots);

void aia_sched_seat_init(struct aia_sched_seat *seat, struct aia_sched_engine *engine);

void aia_sched_queue_init(struct aia_sched_queue *queue, struct aia_sched_seat *seat,
			  struct aia_sched_node *node, __u32 class_, __u32 weight);
void aia_sched_queue_fini(struct aia_sched_queue *queue);	/* it has no job */

/*
 * What the queue counts as from now on. Its turn, if it has one, is paid for there; it goes on to
 * be asked to yield, or not, as what it was granted as.
 */
void aia_sched_queue_set_class(struct aia_sched_queue *queue, __u32 class_, __u64 now_ns);

/* Another order (enum aiaccel_order), while jobs wait and run; dispatch after. See order.h. */
void aia_sched_set_order(struct aia_sched_engine *engine, __u32 order, __u64 now_ns);

/* Whether what the last dispatch came to still holds. */
static inline bool aia_sched_is_settled(const struct aia_sched_engine *engine)
{
	return !engine->stirred && !engine->put_off.at_ns;
}

/* 0; -ESHUTDOWN: the engine drains or is faulted; -ENODEV: it leaves. */
int aia_sched_takes_work(const struct aia_sched_engine *engine);

/*
 * Puts a job in line; width, cost_ns and deadline_ns are set. -EINVAL: width is 0 or above the
 * engine's slots, or of a promised queue another than was promised; or it has a deadline there.
 * Those of aia_sched_takes_work(). -EDEADLK: the seat holds a turn.
 */
int aia_sched_submit(struct aia_sched_queue *queue, struct aia_sched_job *job, __u64 now_ns);

/*
 * The same for a job that is to be put in line later, whatever the seat and the engine do until
 * then: nothing but -EDEADLK is different.
 */
int aia_sched_hold(struct aia_sched_queue *queue, struct aia_sched_job *job, __u64 now_ns);

/* The job is the queue's, held; it was checked otherwise. */
void aia_sched_take(struct aia_sched_queue *queue, struct aia_sched_job *job, __u64 now_ns);

/* The job is held: its wait begins now. */
void aia_sched_put_in_line(struct aia_sched_job *job, __u64 now_ns);

/* Takes a waiting job out of line. */
void aia_sched_withdraw(struct aia_sched_job *job, __u64 now_ns);

/* Takes it out of line, held again. */
void aia_sched_take_back(struct aia_sched_job *job, __u64 now_ns);

/*
 * A held job comes into line where the place waits, which leaves. To begin before the next choice.
 */
void aia_sched_replace(struct aia_sched_job *place, struct aia_sched_job *job, __u64 now_ns);

/*
 * How long ceilings of its tenant, or of one above it, have held a job back, of the time that it
 * waited and its seat was free. For a job that was submitted; @now_ns counts until it is granted.
 */
__u64 aia_sched_capped_ns(const struct aia_sched_job *job, __u64 now_ns);

/* Marks a granted job as asked to yield; false when it was before. */
bool aia_sched_ask(struct aia_sched_job *job);

/*
 * A waiting job, whose share was served, has its turn from now on; @owed: passing higher classes
 * (classes.h).
 */
void aia_sched_begin(struct aia_sched_job *job, bool owed, __u64 now_ns);

/* Ends a granted job's turn, frees its slots, settles its cost. */
void aia_sched_complete(struct aia_sched_job *job, __u64 now_ns);

/*
 * Likewise against its holder's will, who works on: the seat stays taken, and its tenant pays,
 * until the job is released.
 */
void aia_sched_contend(struct aia_sched_job *job, __u64 now_ns);
void aia_sched_release(struct aia_sched_job *job, __u64 now_ns);

/*
 * A granted job's turn begins anew, if it were next again as the youngest of its queue's, else
 * -EAGAIN. What ran is settled in both cases. What was promised to REALTIME is not for more than
 * one budget.
 */
int aia_sched_renew(struct aia_sched_job *job, __u64 now_ns);

/* The first of the queue's waiting jobs, or NULL. */
struct aia_sched_job *aia_sched_queue_first(struct aia_sched_queue *queue);

/*
 * The queue's job that has its turn, or NULL; one that was revoked has none, even if its work goes
 * on.
 */
static inline struct aia_sched_job *aia_sched_queue_turn(const struct aia_sched_queue *queue)
{
	struct aia_sched_job *turn = queue->seat->turn;

	return turn && turn->queue == queue && turn->state == AIA_SCHED_GRANTED ? turn : NULL;
}

#endif
