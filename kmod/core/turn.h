/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What becomes of one turn, for turns.c, turns_dispatch.c and turns_end.c alone: it goes through
 * the scheduler's hands, its context is told, and what hangs on it (those of its group, of its set,
 * after it) follows.
 *
 * The caller serialises.
 */
#ifndef AIA_CORE_TURN_H
#define AIA_CORE_TURN_H

#include "turns.h"

#define turn_of_job(ptr) aia_container_of(ptr, struct aia_turn, job)
#define turn_of_followed(ptr) aia_container_of(ptr, struct aia_turn, of_followed)

static inline bool aia_turn_waits(const struct aia_turn *turn)
{
	return aia_turns_state(turn) == AIACCEL_TURN_WAITING;
}

/* Its engine's witness is told of a decision. */
void aia_turn_witness(const struct aia_turn *turn, __u32 state, __u64 now_ns);

/* The same of its end, which goes into the history. */
void aia_turn_record(const struct aia_turn *turn, enum aiaccel_turn_state state, __u64 now_ns);

/* Its context is to be woken for an event. */
void aia_turn_tell(struct aia_turn *turn, __u32 event, __u64 now_ns, struct aia_news *news);

/* It is handed back to be freed. In turns.c, whose hash it leaves. */
void aia_turn_retire(struct aia_turns *turns, struct aia_turn *turn, struct aia_news *news);

/* Nothing but its group keeps it from the line. */
void aia_turn_make_ready(struct aia_turn *turn, __u64 now_ns, struct aia_news *news);

/* Out of the scheduler's hands, whatever the job's state, and into the history. */
void aia_turn_take_back(struct aia_turn *turn, enum aiaccel_turn_state if_granted,
			enum aiaccel_turn_state if_waiting, __u64 now_ns, struct aia_news *news);

/* The others of its group, if they are in line, are held again. */
void aia_turn_leave_group(struct aia_turn *turn, __u64 now_ns, struct aia_news *news);

/* All engines of a set are looked at. */
void aia_turn_stir_set(const struct aia_any *any, struct aia_news *news);

/*
 * Whether the turn is the queue's, and no other's. It may be one that can go on without the queue:
 * then it does.
 */
bool aia_turn_is_left_to(struct aia_turn *turn, const struct aia_sched_queue *queue,
			 __u64 now_ns, struct aia_news *news);

/* Turns that are held, linked by of_followed: they failed, and those after them; or may go on. */
void aia_turn_fail_held(struct aia_link *held, __u64 now_ns, struct aia_news *news);
void aia_turn_let_go_on(struct aia_link *held, __u64 now_ns, struct aia_news *news);
void aia_turn_move_all(struct aia_link *from, struct aia_link *to);

/* Whether its holder knows of it. */
bool aia_turn_is_claimed(const struct aia_turn *turn);

/* Whether its work may go on when it is revoked. */
bool aia_turn_may_run_on(const struct aia_turn *turn);

/* Its slots stay taken until its provider has stopped its work. */
void aia_turn_begin_stop(struct aia_turn *turn);

/* Ends a granted turn. Where its work may run on, it is stopped, or the slots are contended. */
void aia_turn_revoke(struct aia_turn *turn, bool runs_on, __u64 now_ns, struct aia_news *news);

#endif
