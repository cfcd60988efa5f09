// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What becomes of one turn; see turn.h. The caller serialises.
 */
#include "turn.h"
#include "any.h"
#include "list.h"

void aia_turn_witness(const struct aia_turn *turn, __u32 state, __u64 now_ns)
{
	const struct aia_sched_engine *engine = turn->job.queue->seat->engine;

	if (engine->witness)
		engine->witness(turn, state, now_ns);
}

void aia_turn_record(const struct aia_turn *turn, enum aiaccel_turn_state state, __u64 now_ns)
{
	aia_history_add(&turn->job, state, now_ns);
	aia_turn_witness(turn, state, now_ns);
}

/* ---- telling ---- */

static void wake(struct aia_turns *turns, struct aia_news *news)
{
	if (turns->woken)
		return;
	turns->woken = true;
	turns->next_woken = news->woken;
	news->woken = turns;
}

void aia_turn_tell(struct aia_turn *turn, __u32 event, __u64 now_ns, struct aia_news *news)
{
	struct aia_turns *turns = turn->turns;

	aia_ring_note(&turns->ring, &turn->note, event, now_ns);
	aia_turns_flush(turns, news);
	wake(turns, news);
}

/* ---- groups ---- */

static void put_group_in_line(struct aia_group *group, __u64 now_ns, struct aia_news *news)
{
	struct aia_link *link;

	for (link = group->members.next; link != &group->members; link = link->next) {
		struct aia_sched_job *job = aia_group_job(link);

		aia_sched_put_in_line(job, now_ns);
		aia_turns_stir(job->queue->seat->engine, news);
	}
}

void aia_turn_leave_group(struct aia_turn *turn, __u64 now_ns, struct aia_news *news)
{
	struct aia_group *group = turn->job.group;
	bool in_line = turn->job.state == AIA_SCHED_WAITING;
	struct aia_link *link;

	if (!group)
		return;
	for (link = group->members.next; in_line && link != &group->members; link = link->next) {
		struct aia_sched_job *job = aia_group_job(link);

		if (job == &turn->job)
			continue;
		aia_sched_take_back(job, now_ns);
		aia_turns_stir(job->queue->seat->engine, news);
	}
	if (!turn->of_followed.next)
		group->ready--;
	aia_group_leave(turn->turns->groups, &turn->job);
}

/* ---- jobs of sets ---- */

void aia_turn_stir_set(const struct aia_any *any, struct aia_news *news)
{
	__u32 i;

	for (i = 0; i < any->count; i++)
		if (any->places[i].queue)
			aia_turns_stir(any->places[i].queue->seat->engine, news);
}

bool aia_turn_is_left_to(struct aia_turn *turn, const struct aia_sched_queue *queue,
			 __u64 now_ns, struct aia_news *news)
{
	struct aia_sched_job *place;

	if (!turn->job.any || turn->job.state != AIA_SCHED_HELD)
		return turn->job.queue == queue;
	place = aia_any_place(&turn->job, queue);
	if (!place)
		return false;
	aia_turns_stir(queue->seat->engine, news);
	return !aia_any_give_up(place, now_ns);
}

/* ---- the life of a job ---- */

void aia_turn_make_ready(struct aia_turn *turn, __u64 now_ns, struct aia_news *news)
{
	struct aia_group *group = turn->job.group;

	if (turn->job.any) {
		aia_any_put_in_line(&turn->job, now_ns);
		aia_turn_stir_set(turn->job.any, news);
	} else if (!group) {
		aia_sched_put_in_line(&turn->job, now_ns);
		aia_turns_stir(turn->job.queue->seat->engine, news);
	} else if (aia_group_ready(turn->turns->groups, group)) {
		put_group_in_line(group, now_ns, news);
	}
}

void aia_turn_take_back(struct aia_turn *turn, enum aiaccel_turn_state if_granted,
			enum aiaccel_turn_state if_waiting, __u64 now_ns, struct aia_news *news)
{
	enum aiaccel_turn_state state = if_waiting;

	switch (turn->job.state) {
	case AIA_SCHED_IDLE:
		return;
	case AIA_SCHED_STOPPING:
		aia_stop_leave(&turn->job, now_ns);
		aia_turns_stir(turn->job.queue->seat->engine, news);
		return;
	case AIA_SCHED_CONTENDED:
		aia_sched_release(&turn->job, now_ns);
		aia_turns_stir(turn->job.queue->seat->engine, news);
		return;
	case AIA_SCHED_HELD:
		aia_turn_leave_group(turn, now_ns, news);
		if (turn->job.any) {
			aia_any_withdraw(&turn->job, now_ns);
			aia_turn_stir_set(turn->job.any, news);
		}
		if (turn->of_followed.next)
			aia_list_remove(&turn->of_followed);
		turn->job.state = AIA_SCHED_IDLE;
		break;
	case AIA_SCHED_WAITING:
		aia_turn_leave_group(turn, now_ns, news);
		aia_sched_withdraw(&turn->job, now_ns);
		break;
	case AIA_SCHED_GRANTED:
		aia_sched_complete(&turn->job, now_ns);
		state = if_granted;
		break;
	}
	aia_turns_stir(turn->job.queue->seat->engine, news);
	aia_turn_record(turn, state, now_ns);
}

/* ---- jobs after others ---- */

void aia_turn_move_all(struct aia_link *from, struct aia_link *to)
{
	while (!aia_list_empty(from)) {
		struct aia_link *link = from->next;

		aia_list_remove(link);
		aia_list_add_last(to, link);
	}
}

void aia_turn_fail_held(struct aia_link *held, __u64 now_ns, struct aia_news *news)
{
	while (!aia_list_empty(held)) {
		struct aia_turn *turn = turn_of_followed(held->next);

		aia_turn_take_back(turn, AIACCEL_TURN_FAILED, AIACCEL_TURN_FAILED, now_ns, news);
		aia_turn_move_all(&turn->followers, held);
		turn->note.last = true;
		aia_turn_tell(turn, AIACCEL_EVENT_FAILED, now_ns, news);
	}
}

void aia_turn_let_go_on(struct aia_link *held, __u64 now_ns, struct aia_news *news)
{
	while (!aia_list_empty(held)) {
		struct aia_turn *turn = turn_of_followed(held->next);

		aia_list_remove(&turn->of_followed);
		turn->after = NULL;
		aia_turn_make_ready(turn, now_ns, news);
	}
}

/* ---- revoked ---- */

bool aia_turn_is_claimed(const struct aia_turn *turn)
{
	return turn->renewed || aia_ring_read_granted(&turn->turns->ring, &turn->note);
}

/* To stop what does not run costs little; who has not read of its turn may do so at this moment. */
bool aia_turn_may_run_on(const struct aia_turn *turn)
{
	return turn->job.queue->seat->engine->stops.possible || aia_turn_is_claimed(turn);
}

void aia_turn_begin_stop(struct aia_turn *turn)
{
	const struct aia_history_who *who = turn->job.queue->who;
	struct aia_stop *stop = aia_stop_begin(&turn->job);

	stop->context = who->context;
	stop->pid = who->pid;
	stop->cookie = turn->note.cookie;
	stop->generation = turn->note.generation;
}

void aia_turn_revoke(struct aia_turn *turn, bool runs_on, __u64 now_ns, struct aia_news *news)
{
	if (runs_on && turn->job.queue->seat->engine->stops.possible)
		aia_turn_begin_stop(turn);
	else if (runs_on)
		aia_sched_contend(&turn->job, now_ns);
	else
		aia_sched_complete(&turn->job, now_ns);
	aia_turn_record(turn, AIACCEL_TURN_REVOKED, now_ns);
	turn->revoked = true;
	aia_turn_tell(turn, AIACCEL_EVENT_REVOKED, now_ns, news);
	aia_turn_fail_held(&turn->followers, now_ns, news);
}
