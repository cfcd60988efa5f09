/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The turns of one context: names jobs by cookie, numbers grants by generation, and
 * puts what happens to them in the context's ring. It stands between the
 * scheduler, which knows no names, and the adapters, which only copy, lock, allocate,
 * wake and free.
 *
 * Life of a turn: the adapter allocates it, submit takes it; from then on it belongs
 * to its aia_turns, and comes back to be freed through the news: when it is completed,
 * withdrawn, told of its failure, or the context ends.
 *
 * What a call changes at an engine may let another job begin there, and what is done at one engine
 * may change others. So every call puts the engines that it stirred on a chain, and an adapter
 * dispatches each of them (and sets its clock for the engine's timers) until the chain is empty,
 * before it lets go of its lock.
 *
 * Users choose how many turns one change lets begin: a wide turn that ends may make room for
 * thousands, or for groups at many engines. So what is done in one hold of the lock is counted:
 * choices, turns that begin and holders asked to yield. Past AIA_TURNS_STEPS of them, what is left
 * on the chain is put off to a timer that is due at once; a group begins all the same. So a hold
 * takes AIA_TURNS_STEPS - 1 steps and those of one group at most, and AIA_TIMERS_RUN timers for
 * each engine on the chain that was not put off.
 *
 * A job after another is held outside the scheduler, on its predecessor's list, until that one is
 * completed; then it is put in line, and its wait begins. When the predecessor ends otherwise, it
 * has FAILED, and those after it. A chain of them takes one call at most AIA_TURNS_MAX steps, and
 * no recursion.
 *
 * A job of a set of queues is held, while it has places in the lines of all of them (any.h).
 *
 * A job of a group is held until all of the group are ready (group.h), then they come into line
 * together. One that is after another is ready once that one is completed. A job after one of its
 * own group, or after one that is, and so on, would wait for itself: it is refused, which takes a
 * look at each of those before it. Two groups whose jobs are after each other's are not looked for:
 * they may lie in any number of contexts. They wait until one is cancelled, out of every line, and
 * hold nothing.
 *
 * Invariants: at most AIA_TURNS_MAX turns live; each has a cookie and a ring slot
 * (index of its yield word) of its own; generations are never 0 and never repeat
 * within 2^32 grants of the context.
 */
#ifndef AIA_CORE_TURNS_H
#define AIA_CORE_TURNS_H

#include <uapi/aiaccel.h>
#include "ring.h"
#include "sched.h"
#include "types.h"

#define AIA_TURNS_MAX_LOG2 8
#define AIA_TURNS_MAX (1 << AIA_TURNS_MAX_LOG2) /* also the entries of the ring */

#define AIA_TURNS_STEPS 512

struct aia_turn {
	struct aia_sched_job job;
	struct aia_ring_note note;
	struct aia_turns *turns;
	struct aia_turn *next_hash;
	struct aia_turn *next_freed;
	struct aia_link followers;	/* turns held until this one is completed */
	struct aia_link of_followed;	/* while it is held for another one: among them */
	struct aia_turn *after;		/* that one, then */
	bool revoked;			/* kept until its completion was answered */
	bool answered;			/* its completion was, while its work is being stopped */
	bool renewed;			/* its holder knows of its turn */
	void *owner;			/* the adapter's: what it was charged to */
};

/*
 * An engine's witness is told of each decision on a turn there, in their order: its new state, of
 * enum aiaccel_turn_state, or AIA_TURN_ASKED when the holder is asked to yield. It must not call
 * back.
 */
#define AIA_TURN_ASKED 0

struct aia_turns {
	struct aia_ring ring;
	struct aia_turns *next_woken;	/* chain of those with news */
	bool woken;
	struct aia_groups *groups;	/* set after init, with the tenant that names them */
	const void *tenant;
	__u32 live;
	__u32 generation;
	__u64 multiplier;		/* of the hash; secret, since users choose the cookies */
	__u16 free_slots[AIA_TURNS_MAX];	/* a stack; its top is AIA_TURNS_MAX - live */
	struct aia_turn *hash[AIA_TURNS_MAX];
};

/* What the adapter is to do; zero before the first call that is given it. */
struct aia_news {
	struct aia_turns *woken;	/* contexts to wake, each once; clear their `woken` then */
	struct aia_turn *freed;		/* turns to free */
	struct aia_turn *uncharged;	/* the adapter's: taken from `freed`, to be freed later */
	struct aia_sched_engine *stirred;	/* to dispatch: aia_turns_next_stirred() */
	__u32 steps;			/* taken since the chain was empty */
};

/* @seed: a number that the context's user cannot know. */
void aia_turns_init(struct aia_turns *turns, void *ring_memory, const __u32 *consumed, __u64 seed);

/*
 * What can be said of a job before ceilings: 0; -EINVAL: it is too wide, or its group takes none of
 * its kind; -ENOENT: it is after none that could be completed. @arg was checked by aia_check_job().
 */
int aia_turns_check(struct aia_turns *turns, const struct aia_sched_queue *queue,
		    const struct aiaccel_job *arg);

/*
 * @arg was checked by aia_turns_check(); @turn is zeroed, but for job.any: memory for the places of
 * an ANY job, whose node is set. On 0 the turn is taken. Errors as struct aiaccel_job lists them,
 * in this order: -EAGAIN, -EEXIST, those of aia_sched_submit(), and those of aia_group_takes() or
 * -EDEADLK for a job that is after one of its group. A job refused for the engine's state is in its
 * history.
 */
int aia_turns_submit(struct aia_turns *turns, struct aia_sched_queue *queue, struct aia_turn *turn,
		     const struct aiaccel_job *arg, __u64 now_ns, struct aia_news *news);

/*
 * Completes or withdraws one job. 0, or -ENOENT, -EBUSY, -ESTALE.
 *
 * @first: nothing was taken before in the same call, so that the caller is told of an
 * error. A revoked turn is forgotten with its -ESTALE only then; else asking again, as
 * ENTER's users do, could not find out.
 */
int aia_turns_complete(struct aia_turns *turns, const struct aiaccel_completion *arg, bool first,
		       __u64 now_ns, struct aia_news *news);

/*
 * Grants what can be granted at @engine, asks those to yield who should, and tells the
 * contexts concerned.
 */
void aia_turns_dispatch(struct aia_sched_engine *engine, __u64 now_ns, struct aia_news *news);

/* Something else may be granted at the engine now. */
void aia_turns_stir(struct aia_sched_engine *engine, struct aia_news *news);

/* Takes the first one off the chain; NULL when it is empty. */
struct aia_sched_engine *aia_turns_next_stirred(struct aia_news *news);

/* When to dispatch the engine again, at the latest; AIACCEL_NEVER: when something changes. */
__u64 aia_turns_next_ns(struct aia_sched_engine *engine);

/*
 * Ends the queue's turns without a word: waiting, granted, revoked and failed ones, so that
 * none refers to it any more.
 */
void aia_turns_end_queue(struct aia_turns *turns, struct aia_sched_queue *queue, __u64 now_ns,
			 struct aia_news *news);

/* The same for all that the context has. */
void aia_turns_end_all(struct aia_turns *turns, __u64 now_ns, struct aia_news *news);

/*
 * The queue's waiting jobs FAILED, those that are held as well; its turn is REVOKED, if it has one.
 * They say how many these were.
 */
__u32 aia_turns_fail_waiting(struct aia_turns *turns, struct aia_sched_queue *queue, __u64 now_ns,
			     struct aia_news *news);
__u32 aia_turns_revoke(struct aia_sched_queue *queue, __u64 now_ns, struct aia_news *news);

/* The adapter took it by aia_stop_next(), and the provider has stopped what it names. */
void aia_turns_stopped(struct aia_stop *stop, __u64 now_ns, struct aia_news *news);

/*
 * The engine is in state FAULTED now: one of its turns is REVOKED; false when it has none. For each
 * a hold of the lock: users choose how many jobs come after it, which have FAILED then.
 */
bool aia_turns_fault_next(struct aia_sched_engine *engine, bool runs_on, __u64 now_ns,
			  struct aia_news *news);

/* Both, because its engine goes: nothing runs on it any more. */
void aia_turns_fail_queue(struct aia_turns *turns, struct aia_sched_queue *queue, __u64 now_ns,
			  struct aia_news *news);

/* Describes the queue's jobs that wait or run; @records has room for AIA_TURNS_MAX. How many. */
__u32 aia_turns_list(const struct aia_turns *turns, const struct aia_sched_queue *queue,
		     struct aia_history_record *records, __u64 now_ns);

/*
 * AIACCEL_TURN_WAITING or AIACCEL_TURN_RUNNING; 0 for one that does neither, since it was revoked
 * or failed.
 */
__u32 aia_turns_state(const struct aia_turn *turn);

/*
 * As STATS tells of one that waits or runs; @offset_ns is added to times. Whom it waits for is told
 * where that is of the tenant @only, or of any where this is 0.
 */
void aia_turns_tell(const struct aia_turn *turn, __u32 engine, __u64 only, __s64 offset_ns,
		    __u64 now_ns, struct aiaccel_stats_turn *out);

/* One live turn after the other, beginning with NULL; NULL at the end. */
const struct aia_turn *aia_turns_next(const struct aia_turns *turns, const struct aia_turn *turn);

/* Looks for room in the ring. True when something was written. */
bool aia_turns_flush(struct aia_turns *turns, struct aia_news *news);

/* True when the context can be forgotten: no turn is live and no note waits. */
bool aia_turns_empty(const struct aia_turns *turns);

#endif
