// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The turns of one context, and what its user asks for; see turns.h. What becomes of one turn is in
 * turn.c, what happens at an engine in turns_dispatch.c, and ends that nobody asked for in
 * turns_end.c.
 *
 * Every live turn is in the hash, whatever its state, until aia_turn_retire() hands it back; one
 * whose failure waits to be told (note.last), or that waits for nothing but that its work is
 * stopped (answered), is not found by cookie any more.
 *
 * The caller serialises: turns of several contexts meet at an engine.
 */
#include "turns.h"
#include "any.h"
#include "explain.h"
#include "list.h"
#include "turn.h"

#define turn_of_note(ptr) aia_container_of(ptr, struct aia_turn, note)

void aia_turns_init(struct aia_turns *turns, void *ring_memory, const __u32 *consumed, __u64 seed)
{
	__u32 i;

	aia_ring_init(&turns->ring, ring_memory, consumed, AIA_TURNS_MAX);
	turns->next_woken = NULL;
	turns->woken = false;
	turns->live = 0;
	turns->generation = 0;
	turns->multiplier = seed | 1;
	for (i = 0; i < AIA_TURNS_MAX; i++) {
		turns->free_slots[i] = (__u16)(AIA_TURNS_MAX - 1 - i);
		turns->hash[i] = NULL;
	}
}

/* ---- names ---- */

/*
 * The top bits of a multiplication by a secret odd number (Dietzfelbinger et al., "A reliable
 * randomized algorithm for the closest-pair problem", 1997): whoever does not know it
 * cannot choose cookies that meet in one bucket and make every look-up long.
 */
static __u32 bucket_of(const struct aia_turns *turns, __u64 cookie)
{
	return (__u32)((cookie * turns->multiplier) >> (64 - AIA_TURNS_MAX_LOG2));
}

static struct aia_turn **bucket(struct aia_turns *turns, __u64 cookie)
{
	return &turns->hash[bucket_of(turns, cookie)];
}

static struct aia_turn *find(struct aia_turns *turns, __u64 cookie)
{
	struct aia_turn *turn = *bucket(turns, cookie);

	while (turn && (turn->note.cookie != cookie || turn->note.last || turn->answered))
		turn = turn->next_hash;
	return turn;
}

/* The end of a turn's life here. */
void aia_turn_retire(struct aia_turns *turns, struct aia_turn *turn, struct aia_news *news)
{
	struct aia_turn **link = bucket(turns, turn->note.cookie);

	while (*link != turn)
		link = &(*link)->next_hash;
	*link = turn->next_hash;
	aia_ring_forget(&turns->ring, &turn->note);
	turns->live--;
	turns->free_slots[AIA_TURNS_MAX - 1 - turns->live] = (__u16)turn->note.slot;
	turn->next_freed = news->freed;
	news->freed = turn;
}

bool aia_turns_flush(struct aia_turns *turns, struct aia_news *news)
{
	__u32 before = turns->ring.produced;
	struct aia_ring_note *done = aia_ring_flush(&turns->ring);

	while (done) {
		struct aia_ring_note *next = done->next_done;

		aia_turn_retire(turns, turn_of_note(done), news);
		done = next;
	}
	return turns->ring.produced != before;
}

/* ---- what users ask for ---- */

/* The turn that @arg is after, or NULL. */
static struct aia_turn *predecessor(struct aia_turns *turns, const struct aiaccel_job *arg)
{
	struct aia_turn *turn = NULL;

	if (arg->flags & AIACCEL_JOB_AFTER)
		turn = find(turns, arg->after);
	return turn && !turn->revoked ? turn : NULL;
}

/* That @arg is to be one of, if it is there. */
static struct aia_group *group_of(const struct aia_turns *turns, const struct aiaccel_job *arg)
{
	return arg->group ? aia_group_find(turns->groups, turns->tenant, arg->group) : NULL;
}

static int group_takes(const struct aia_turns *turns, const struct aia_sched_queue *queue,
		       const struct aiaccel_job *arg)
{
	const struct aia_group *group = group_of(turns, arg);

	return group ? aia_group_takes(group, queue, arg->width, arg->group_size) : 0;
}

int aia_turns_check(struct aia_turns *turns, const struct aia_sched_queue *queue,
		    const struct aiaccel_job *arg)
{
	__u32 slots = queue->seat->engine->slots;

	if (arg->flags & AIACCEL_JOB_ANY)
		slots = queue->promise.period_ns ? 0 : aia_any_slots(queue);
	if (arg->width > slots ||
	    group_takes(turns, queue, arg) == -EINVAL)
		return -EINVAL;
	/* What a group waits for, and keeps free meanwhile, no promise counts. */
	if (arg->group && queue->promise.period_ns)
		return -EINVAL;
	if ((arg->flags & AIACCEL_JOB_AFTER) && !predecessor(turns, arg))
		return -ENOENT;
	return 0;
}

/* Whether a job is after one of the group, or after one that is, and so on. */
static bool awaits(const struct aia_turn *after, const struct aia_group *group)
{
	while (after && after->job.group != group)
		after = after->after;
	return after;
}

static int hold(struct aia_turns *turns, struct aia_sched_queue *queue, struct aia_turn *turn,
		const struct aiaccel_job *arg, __u64 now_ns)
{
	const struct aia_group *group = group_of(turns, arg);
	bool after = arg->flags & AIACCEL_JOB_AFTER;
	int err = group_takes(turns, queue, arg);

	if (turn->job.any)
		return aia_any_hold(queue, &turn->job, after, now_ns);
	if (group && awaits(predecessor(turns, arg), group))
		err = -EDEADLK;
	if (!after && queue->seat->turn)
		err = -EDEADLK;
	return err && !aia_sched_takes_work(queue->seat->engine) ?
		       err : aia_sched_hold(queue, &turn->job, now_ns);
}

int aia_turns_submit(struct aia_turns *turns, struct aia_sched_queue *queue, struct aia_turn *turn,
		     const struct aiaccel_job *arg, __u64 now_ns, struct aia_news *news)
{
	struct aia_turn **link = bucket(turns, arg->cookie);
	struct aia_turn *after = predecessor(turns, arg);
	int err;

	if (turns->live == AIA_TURNS_MAX)
		return -EAGAIN;
	if (find(turns, arg->cookie))
		return -EEXIST;
	turn->job.width = arg->width;
	turn->job.cost_ns = arg->cost_ns;
	turn->job.deadline_ns = arg->deadline_ns;
	err = hold(turns, queue, turn, arg, now_ns);
	if (err == -ESHUTDOWN || err == -ENODEV)
		aia_history_refused(queue->seat->engine->history, queue->who, queue->class_,
				    arg->width, now_ns);
	if (err)
		return err;

	turn->turns = turns;
	aia_list_init(&turn->followers);
	turn->note.cookie = arg->cookie;
	turn->note.slot = turns->free_slots[AIA_TURNS_MAX - 1 - turns->live];
	turns->live++;
	turn->next_hash = *link;
	*link = turn;
	aia_turn_witness(turn, AIACCEL_TURN_WAITING, now_ns);
	if (arg->group)
		aia_group_join(turns->groups, group_of(turns, arg), &turn->job, turns->tenant,
			       arg->group, arg->group_size);
	if (after) {
		aia_list_add_last(&after->followers, &turn->of_followed);
		turn->after = after;
	} else {
		aia_turn_make_ready(turn, now_ns, news);
	}
	return 0;
}

static int renew(struct aia_turns *turns, struct aia_turn *turn, __u64 now_ns,
		 struct aia_news *news)
{
	int err = aia_sched_renew(&turn->job, now_ns);

	aia_turns_stir(turn->job.queue->seat->engine, news);
	turn->renewed = true;
	if (!err)
		aia_ring_ask_yield(&turns->ring, turn->note.slot, 0);
	return err;
}

/* Who held a turn knows that it has none any more; it goes once its work was stopped. */
static void answer(struct aia_turn *turn, bool first)
{
	turn->answered = first;
	if (first)
		aia_ring_forget(&turn->turns->ring, &turn->note);
}

int aia_turns_complete(struct aia_turns *turns, const struct aiaccel_completion *arg, bool first,
		       __u64 now_ns, struct aia_news *news)
{
	bool cancel = arg->flags & AIACCEL_COMPLETE_CANCEL;
	struct aia_turn *turn = find(turns, arg->cookie);
	bool had_turn;

	if (!turn)
		return -ENOENT;
	if (aia_turn_waits(turn) && !cancel)
		return -EBUSY;
	if (turn->note.generation != arg->generation && !cancel)
		return -ESTALE;
	/* Who would renew it has work under way, which its completion will say is over. */
	if (turn->revoked && arg->flags & AIACCEL_COMPLETE_RENEW)
		return -ESTALE;
	if (turn->revoked) {
		if (turn->job.state == AIA_SCHED_STOPPING) {
			answer(turn, first);
			return -ESTALE;
		}
		aia_turn_take_back(turn, AIACCEL_TURN_REVOKED, AIACCEL_TURN_FAILED, now_ns, news);
		if (first)
			aia_turn_retire(turns, turn, news);
		return -ESTALE;
	}
	if (arg->flags & AIACCEL_COMPLETE_RENEW)
		return renew(turns, turn, now_ns, news);
	had_turn = turn->job.state == AIA_SCHED_GRANTED;
	aia_turn_take_back(turn, AIACCEL_TURN_COMPLETED, AIACCEL_TURN_WITHDRAWN, now_ns, news);
	if (had_turn)
		aia_turn_let_go_on(&turn->followers, now_ns, news);
	else
		aia_turn_fail_held(&turn->followers, now_ns, news);
	aia_turn_retire(turns, turn, news);
	return 0;
}

/* ---- looking at them ---- */

const struct aia_turn *aia_turns_next(const struct aia_turns *turns, const struct aia_turn *turn)
{
	__u32 i = 0;

	if (turn && turn->next_hash)
		return turn->next_hash;
	if (turn)
		i = bucket_of(turns, turn->note.cookie) + 1;
	while (i < AIA_TURNS_MAX && !turns->hash[i])
		i++;
	return i < AIA_TURNS_MAX ? turns->hash[i] : NULL;
}

bool aia_turns_empty(const struct aia_turns *turns)
{
	return !turns->live;
}

__u32 aia_turns_state(const struct aia_turn *turn)
{
	switch (turn->job.state) {
	case AIA_SCHED_HELD:
	case AIA_SCHED_WAITING:
		return AIACCEL_TURN_WAITING;
	case AIA_SCHED_GRANTED:
		return AIACCEL_TURN_RUNNING;
	default:
		return 0;
	}
}

__u32 aia_turns_list(const struct aia_turns *turns, const struct aia_sched_queue *queue,
		     struct aia_history_record *records, __u64 now_ns)
{
	const struct aia_turn *turn = NULL;
	__u32 count = 0;

	while ((turn = aia_turns_next(turns, turn))) {
		__u32 state = aia_turns_state(turn);

		if (state && turn->job.queue == queue)
			aia_history_describe(&records[count++], &turn->job, state, now_ns);
	}
	return count;
}

void aia_turns_tell(const struct aia_turn *turn, __u32 engine, __u64 only, __s64 offset_ns,
		    __u64 now_ns, struct aiaccel_stats_turn *out)
{
	struct aia_explanation because = aia_explain(&turn->job);
	struct aia_history_record record;

	aia_history_describe(&record, &turn->job, aia_turns_state(turn), now_ns);
	aia_history_tell(&record, engine, (__u64)offset_ns, out);
	out->why = because.why;
	if (because.waits_for && (!only || because.waits_for->queue->who->tenant == only))
		out->waits_for = because.waits_for->queue->who->context;
}
