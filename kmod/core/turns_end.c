// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The end of turns that their users did not ask for: the queue, the context or the engine goes, the
 * administrator revokes, the provider has stopped the work; see turns.h. The caller serialises.
 */
#include "turns.h"
#include "list.h"
#include "stop.h"
#include "turn.h"

#define job_of_engine(ptr) aia_container_of(ptr, struct aia_sched_job, of_engine)

static void end(struct aia_turn *turn, __u64 now_ns, struct aia_news *news)
{
	aia_turn_take_back(turn, AIACCEL_TURN_COMPLETED, AIACCEL_TURN_WITHDRAWN, now_ns, news);
	aia_turn_retire(turn->turns, turn, news);
}

void aia_turns_end_queue(struct aia_turns *turns, struct aia_sched_queue *queue, __u64 now_ns,
			 struct aia_news *news)
{
	struct aia_link completed, withdrawn;
	__u32 i;

	aia_list_init(&completed);
	aia_list_init(&withdrawn);
	for (i = 0; i < AIA_TURNS_MAX; i++) {
		struct aia_turn *turn = turns->hash[i];

		while (turn) {
			struct aia_turn *next = turn->next_hash;

			if (aia_turn_is_left_to(turn, queue, now_ns, news)) {
				aia_turn_move_all(&turn->followers,
						  aia_turn_waits(turn) ? &withdrawn : &completed);
				end(turn, now_ns, news);
			}
			turn = next;
		}
	}
	/* Telling hands turns back: not while others are looked through. */
	aia_turn_let_go_on(&completed, now_ns, news);
	aia_turn_fail_held(&withdrawn, now_ns, news);
}

/* Nobody has said that its work ended. */
static void leave_to_stop(struct aia_turn *turn, __u64 now_ns)
{
	if (turn->job.state != AIA_SCHED_GRANTED || !turn->job.queue->seat->engine->stops.possible)
		return;
	aia_turn_begin_stop(turn);
	aia_turn_record(turn, AIACCEL_TURN_COMPLETED, now_ns);
}

void aia_turns_end_all(struct aia_turns *turns, __u64 now_ns, struct aia_news *news)
{
	__u32 i;

	/* Followers leave the list of one that may be over; its memory is freed later. */
	for (i = 0; i < AIA_TURNS_MAX; i++)
		while (turns->hash[i]) {
			leave_to_stop(turns->hash[i], now_ns);
			end(turns->hash[i], now_ns, news);
		}
}

__u32 aia_turns_revoke(struct aia_sched_queue *queue, __u64 now_ns, struct aia_news *news)
{
	struct aia_sched_job *job = aia_sched_queue_turn(queue);

	if (!job)
		return 0;
	aia_turns_stir(queue->seat->engine, news);
	aia_turn_revoke(turn_of_job(job), aia_turn_may_run_on(turn_of_job(job)), now_ns, news);
	return 1;
}

void aia_turns_stopped(struct aia_stop *stop, __u64 now_ns, struct aia_news *news)
{
	struct aia_turn *turn = stop->job ? turn_of_job(stop->job) : NULL;

	aia_stop_end(stop, now_ns);
	aia_turns_stir(stop->engine, news);
	if (turn && turn->answered)
		aia_turn_retire(turn->turns, turn, news);
}

/* Those that are being stopped are on the list, too. */
static struct aia_turn *any_granted(const struct aia_sched_engine *engine)
{
	__u32 c;

	for (c = 0; c < AIACCEL_NR_CLASSES; c++) {
		const struct aia_link *link = engine->running[c].next;

		for (; link != &engine->running[c]; link = link->next)
			if (job_of_engine(link)->state == AIA_SCHED_GRANTED)
				return turn_of_job(job_of_engine(link));
	}
	return NULL;
}

bool aia_turns_fault_next(struct aia_sched_engine *engine, bool runs_on, __u64 now_ns,
			  struct aia_news *news)
{
	struct aia_turn *turn = any_granted(engine);

	if (!turn)
		return false;
	aia_turns_stir(engine, news);
	aia_turn_revoke(turn, runs_on && aia_turn_may_run_on(turn), now_ns, news);
	return true;
}

/* Takes the queue's held turns together. How many. */
static __u32 gather_held(struct aia_turns *turns, const struct aia_sched_queue *queue,
			 struct aia_link *held, __u64 now_ns, struct aia_news *news)
{
	struct aia_turn *turn;
	__u32 i, count = 0;

	for (i = 0; i < AIA_TURNS_MAX; i++)
		for (turn = turns->hash[i]; turn; turn = turn->next_hash) {
			if (turn->job.state != AIA_SCHED_HELD ||
			    !aia_turn_is_left_to(turn, queue, now_ns, news))
				continue;
			aia_turn_leave_group(turn, now_ns, news);
			if (turn->of_followed.next)
				aia_list_remove(&turn->of_followed);
			aia_list_add_last(held, &turn->of_followed);
			count++;
		}
	return count;
}

__u32 aia_turns_fail_waiting(struct aia_turns *turns, struct aia_sched_queue *queue, __u64 now_ns,
			     struct aia_news *news)
{
	struct aia_link held;
	struct aia_sched_job *job;
	__u32 count;

	aia_list_init(&held);
	count = gather_held(turns, queue, &held, now_ns, news);
	for (; (job = aia_sched_queue_first(queue)); count++) {
		struct aia_turn *turn = turn_of_job(job);

		aia_turn_take_back(turn, AIACCEL_TURN_REVOKED, AIACCEL_TURN_FAILED, now_ns, news);
		aia_turn_move_all(&turn->followers, &held);
		turn->note.last = true;
		aia_turn_tell(turn, AIACCEL_EVENT_FAILED, now_ns, news);
	}
	aia_turn_fail_held(&held, now_ns, news);
	return count;
}

void aia_turns_fail_queue(struct aia_turns *turns, struct aia_sched_queue *queue, __u64 now_ns,
			  struct aia_news *news)
{
	struct aia_sched_job *job = aia_sched_queue_turn(queue);

	aia_turns_stir(queue->seat->engine, news);
	if (job)
		aia_turn_revoke(turn_of_job(job), false, now_ns, news);
	aia_turns_fail_waiting(turns, queue, now_ns, news);
}
