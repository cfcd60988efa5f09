// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The turns of one context; see turns.h. Every live turn is in the hash, whatever its
 * state, until retire() hands it back; one whose failure waits to be told (note.last), or that waits
 * for nothing but that its work is stopped (answered), is not found by cookie any more.
 *
 * The caller serialises: turns of several contexts meet at an engine, and dispatch
 * reaches them all.
 */
#include "turns.h"
#include "any.h"
#include "choice.h"
#include "explain.h"
#include "list.h"

#define turn_of_job(ptr) aia_container_of(ptr, struct aia_turn, job)
#define turn_of_followed(ptr) aia_container_of(ptr, struct aia_turn, of_followed)
#define job_of_engine(ptr) aia_container_of(ptr, struct aia_sched_job, of_engine)
#define job_of_group(ptr) aia_container_of(ptr, struct aia_sched_job, of_group)
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

/* ---- engines to look at ---- */

void aia_turns_stir(struct aia_sched_engine *engine, struct aia_news *news)
{
	if (engine->stirred)
		return;
	engine->stirred = true;
	engine->next_stirred = news->stirred;
	news->stirred = engine;
}

struct aia_sched_engine *aia_turns_next_stirred(struct aia_news *news)
{
	struct aia_sched_engine *engine = news->stirred;

	if (engine) {
		news->stirred = engine->next_stirred;
		engine->stirred = false;
	} else {
		news->steps = 0;
	}
	return engine;
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
static void retire(struct aia_turns *turns, struct aia_turn *turn, struct aia_news *news)
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

static void witness(const struct aia_turn *turn, __u32 state, __u64 now_ns)
{
	const struct aia_sched_engine *engine = turn->job.queue->seat->engine;

	if (engine->witness)
		engine->witness(turn, state, now_ns);
}

static void record(const struct aia_turn *turn, enum aiaccel_turn_state state, __u64 now_ns)
{
	aia_history_add(&turn->job, state, now_ns);
	witness(turn, state, now_ns);
}

/* ---- groups ---- */

static void put_group_in_line(struct aia_group *group, __u64 now_ns, struct aia_news *news)
{
	struct aia_link *link;

	for (link = group->members.next; link != &group->members; link = link->next) {
		struct aia_sched_job *job = job_of_group(link);

		aia_sched_put_in_line(job, now_ns);
		aia_turns_stir(job->queue->seat->engine, news);
	}
}

/* The others, if they are in line, are held again. */
static void leave_group(struct aia_turn *turn, __u64 now_ns, struct aia_news *news)
{
	struct aia_group *group = turn->job.group;
	bool in_line = turn->job.state == AIA_SCHED_WAITING;
	struct aia_link *link;

	if (!group)
		return;
	for (link = group->members.next; in_line && link != &group->members; link = link->next) {
		struct aia_sched_job *job = job_of_group(link);

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

static void stir_set(const struct aia_any *any, struct aia_news *news)
{
	__u32 i;

	for (i = 0; i < any->count; i++)
		if (any->places[i].queue)
			aia_turns_stir(any->places[i].queue->seat->engine, news);
}

/* Whether the turn is the queue's, and no other's. It may be one that can go on without the queue: then it does. */
static bool is_left_to(struct aia_turn *turn, const struct aia_sched_queue *queue,
		       struct aia_news *news)
{
	struct aia_sched_job *place;

	if (!turn->job.any || turn->job.state != AIA_SCHED_HELD)
		return turn->job.queue == queue;
	place = aia_any_place(&turn->job, queue);
	if (!place)
		return false;
	aia_turns_stir(queue->seat->engine, news);
	return !aia_any_give_up(place);
}

/* ---- the life of a job ---- */

/* Nothing but its group keeps it from the line. */
static void make_ready(struct aia_turn *turn, __u64 now_ns, struct aia_news *news)
{
	struct aia_group *group = turn->job.group;

	if (turn->job.any) {
		aia_any_put_in_line(&turn->job, now_ns);
		stir_set(turn->job.any, news);
	} else if (!group) {
		aia_sched_put_in_line(&turn->job, now_ns);
		aia_turns_stir(turn->job.queue->seat->engine, news);
	} else if (aia_group_ready(turn->turns->groups, group)) {
		put_group_in_line(group, now_ns, news);
	}
}

/* Out of the scheduler's hands, whatever the job's state, and into the history. */
static void take_back(struct aia_turn *turn, enum aiaccel_turn_state if_granted,
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
		leave_group(turn, now_ns, news);
		if (turn->job.any) {
			aia_any_withdraw(&turn->job);
			stir_set(turn->job.any, news);
		}
		if (turn->of_followed.next)
			aia_list_remove(&turn->of_followed);
		turn->job.state = AIA_SCHED_IDLE;
		break;
	case AIA_SCHED_WAITING:
		leave_group(turn, now_ns, news);
		aia_sched_withdraw(&turn->job, now_ns);
		break;
	case AIA_SCHED_GRANTED:
		aia_sched_complete(&turn->job, now_ns);
		state = if_granted;
		break;
	}
	aia_turns_stir(turn->job.queue->seat->engine, news);
	record(turn, state, now_ns);
}

/* Its slots stay taken until its provider has stopped its work. */
static void begin_stop(struct aia_turn *turn)
{
	const struct aia_history_who *who = turn->job.queue->who;
	struct aia_stop *stop = aia_stop_begin(&turn->job);

	stop->context = who->context;
	stop->pid = who->pid;
	stop->cookie = turn->note.cookie;
	stop->generation = turn->note.generation;
}

static bool waits(const struct aia_turn *turn)
{
	return aia_turns_state(turn) == AIACCEL_TURN_WAITING;
}

/* ---- telling ---- */

bool aia_turns_flush(struct aia_turns *turns, struct aia_news *news)
{
	__u32 before = turns->ring.produced;
	struct aia_ring_note *done = aia_ring_flush(&turns->ring);

	while (done) {
		struct aia_ring_note *next = done->next_done;

		retire(turns, turn_of_note(done), news);
		done = next;
	}
	return turns->ring.produced != before;
}

static void wake(struct aia_turns *turns, struct aia_news *news)
{
	if (turns->woken)
		return;
	turns->woken = true;
	turns->next_woken = news->woken;
	news->woken = turns;
}

static void tell(struct aia_turns *turns, struct aia_turn *turn, __u32 event, __u64 now_ns,
		 struct aia_news *news)
{
	aia_ring_note(&turns->ring, &turn->note, event, now_ns);
	aia_turns_flush(turns, news);
	wake(turns, news);
}

/* ---- jobs after others ---- */

static void move_all(struct aia_link *from, struct aia_link *to)
{
	while (!aia_list_empty(from)) {
		struct aia_link *link = from->next;

		aia_list_remove(link);
		aia_list_add_last(to, link);
	}
}

/* Turns that are held, and those held for them. */
static void fail_held(struct aia_link *held, __u64 now_ns, struct aia_news *news)
{
	while (!aia_list_empty(held)) {
		struct aia_turn *turn = turn_of_followed(held->next);

		take_back(turn, AIACCEL_TURN_FAILED, AIACCEL_TURN_FAILED, now_ns, news);
		move_all(&turn->followers, held);
		turn->note.last = true;
		tell(turn->turns, turn, AIACCEL_EVENT_FAILED, now_ns, news);
	}
}

static void let_go_on(struct aia_link *held, __u64 now_ns, struct aia_news *news)
{
	while (!aia_list_empty(held)) {
		struct aia_turn *turn = turn_of_followed(held->next);

		aia_list_remove(&turn->of_followed);
		turn->after = NULL;
		make_ready(turn, now_ns, news);
	}
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
	witness(turn, AIACCEL_TURN_WAITING, now_ns);
	if (arg->group)
		aia_group_join(turns->groups, group_of(turns, arg), &turn->job, turns->tenant,
			       arg->group, arg->group_size);
	if (after) {
		aia_list_add_last(&after->followers, &turn->of_followed);
		turn->after = after;
	} else {
		make_ready(turn, now_ns, news);
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
	if (waits(turn) && !cancel)
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
		take_back(turn, AIACCEL_TURN_REVOKED, AIACCEL_TURN_FAILED, now_ns, news);
		if (first)
			retire(turns, turn, news);
		return -ESTALE;
	}
	if (arg->flags & AIACCEL_COMPLETE_RENEW)
		return renew(turns, turn, now_ns, news);
	had_turn = turn->job.state == AIA_SCHED_GRANTED;
	take_back(turn, AIACCEL_TURN_COMPLETED, AIACCEL_TURN_WITHDRAWN, now_ns, news);
	if (had_turn)
		let_go_on(&turn->followers, now_ns, news);
	else
		fail_held(&turn->followers, now_ns, news);
	retire(turns, turn, news);
	return 0;
}

/* ---- the choice ---- */

static bool has_steps(const struct aia_news *news)
{
	return news->steps < AIA_TURNS_STEPS;
}

static void tell_granted(struct aia_turn *turn, __u64 now_ns, struct aia_news *news)
{
	if (!++turn->turns->generation)
		turn->turns->generation = 1;
	news->steps++;
	turn->note.generation = turn->turns->generation;
	turn->note.queue = turn->job.queue->who ? turn->job.queue->who->queue : 0;
	witness(turn, AIACCEL_TURN_RUNNING, now_ns);
	tell(turn->turns, turn, AIACCEL_EVENT_GRANTED, now_ns, news);
}

/* All of its group have begun. */
static void tell_group(struct aia_turn *turn, __u64 now_ns, struct aia_news *news)
{
	struct aia_group *group = turn->job.group;
	struct aia_link *link;

	for (link = group->members.next; link != &group->members; link = link->next) {
		struct aia_sched_job *job = job_of_group(link);

		aia_turns_stir(job->queue->seat->engine, news);
		tell_granted(turn_of_job(job), now_ns, news);
	}
	aia_group_dissolve(turn->turns->groups, group);
}

/* An engine waits for the others of a group. */
static void claim(struct aia_sched_job *wanting, struct aia_news *news)
{
	struct aia_link *members = &wanting->group->members;
	struct aia_link *link;

	for (link = members->next; link != members; link = link->next) {
		struct aia_sched_engine *engine = aia_group_claim(wanting, job_of_group(link));

		if (engine)
			aia_turns_stir(engine, news);
	}
}

/* Ends a granted turn. Where its work may run on, it is stopped, or the slots are contended. */
static void revoke(struct aia_turn *turn, bool runs_on, __u64 now_ns, struct aia_news *news)
{
	if (runs_on && turn->job.queue->seat->engine->stops.possible)
		begin_stop(turn);
	else if (runs_on)
		aia_sched_contend(&turn->job, now_ns);
	else
		aia_sched_complete(&turn->job, now_ns);
	record(turn, AIACCEL_TURN_REVOKED, now_ns);
	turn->revoked = true;
	tell(turn->turns, turn, AIACCEL_EVENT_REVOKED, now_ns, news);
	fail_held(&turn->followers, now_ns, news);
}

static void ask(struct aia_turn *turn, __u64 now_ns, struct aia_news *news)
{
	witness(turn, AIA_TURN_ASKED, now_ns);
	aia_ring_ask_yield(&turn->turns->ring, turn->note.slot, turn->note.generation);
	tell(turn->turns, turn, AIACCEL_EVENT_YIELD, now_ns, news);
}

static bool is_claimed(const struct aia_turn *turn)
{
	return turn->renewed || aia_ring_read_granted(&turn->turns->ring, &turn->note);
}

/* To stop what does not run costs little; who has not read of its turn may do so at this moment. */
static bool may_run_on(const struct aia_turn *turn)
{
	return turn->job.queue->seat->engine->stops.possible || is_claimed(turn);
}

/* One turn whose time is over; false when there is none. */
static bool end_next(struct aia_sched_engine *engine, __u64 now_ns, struct aia_news *news)
{
	struct aia_sched_job *job = aia_terms_due(engine, now_ns);
	struct aia_turn *turn;
	bool claimed;

	if (!job)
		return false;
	turn = turn_of_job(job);
	claimed = is_claimed(turn);
	switch (aia_terms_look(job, claimed, now_ns)) {
	case AIA_TERMS_ASK:
		if (aia_sched_ask(job))
			ask(turn, now_ns, news);
		break;
	case AIA_TERMS_REVOKE:
		revoke(turn, may_run_on(turn), now_ns, news);
		break;
	case AIA_TERMS_LEAVE:
		break;
	}
	return true;
}

static void grant_all(struct aia_sched_engine *engine, __u64 now_ns, struct aia_news *news)
{
	struct aia_sched_job *job;

	news->steps++;
	while (has_steps(news) && (job = aia_choice_grant_next(engine, now_ns))) {
		struct aia_turn *turn = turn_of_job(job);

		if (job->any)
			stir_set(job->any, news);
		if (job->group)
			tell_group(turn, now_ns, news);
		else
			tell_granted(turn, now_ns, news);
	}
	if (has_steps(news) && engine->wanting && engine->wanting->group)
		claim(engine->wanting, news);
}

void aia_turns_dispatch(struct aia_sched_engine *engine, __u64 now_ns, struct aia_news *news)
{
	struct aia_sched_job *job;
	__u32 left = AIA_TIMERS_RUN;

	if (has_steps(news)) {
		aia_timer_set(&engine->timers, &engine->put_off, 0);
		aia_timers_run(&engine->timers, now_ns);
		do
			grant_all(engine, now_ns, news);
		while (left-- && has_steps(news) && end_next(engine, now_ns, news));
	}
	for (; has_steps(news) && (job = aia_choice_yield_next(engine)); news->steps++) {
		aia_terms_asked(job, now_ns);
		ask(turn_of_job(job), now_ns, news);
	}
	if (!has_steps(news))
		aia_timer_set(&engine->timers, &engine->put_off, now_ns);
}

__u64 aia_turns_next_ns(struct aia_sched_engine *engine)
{
	__u64 timers_ns = aia_timers_next_ns(&engine->timers);
	__u64 terms_ns = aia_terms_next_ns(engine);

	return timers_ns < terms_ns ? timers_ns : terms_ns;
}

/* ---- the end of a queue ---- */

static void end(struct aia_turn *turn, __u64 now_ns, struct aia_news *news)
{
	take_back(turn, AIACCEL_TURN_COMPLETED, AIACCEL_TURN_WITHDRAWN, now_ns, news);
	retire(turn->turns, turn, news);
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

			if (is_left_to(turn, queue, news)) {
				move_all(&turn->followers, waits(turn) ? &withdrawn : &completed);
				end(turn, now_ns, news);
			}
			turn = next;
		}
	}
	/* Telling hands turns back: not while others are looked through. */
	let_go_on(&completed, now_ns, news);
	fail_held(&withdrawn, now_ns, news);
}

/* Nobody has said that its work ended. */
static void leave_to_stop(struct aia_turn *turn, __u64 now_ns)
{
	if (turn->job.state != AIA_SCHED_GRANTED || !turn->job.queue->seat->engine->stops.possible)
		return;
	begin_stop(turn);
	record(turn, AIACCEL_TURN_COMPLETED, now_ns);
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
	revoke(turn_of_job(job), may_run_on(turn_of_job(job)), now_ns, news);
	return 1;
}

void aia_turns_stopped(struct aia_stop *stop, __u64 now_ns, struct aia_news *news)
{
	struct aia_turn *turn = stop->job ? turn_of_job(stop->job) : NULL;

	aia_stop_end(stop, now_ns);
	aia_turns_stir(stop->engine, news);
	if (turn && turn->answered)
		retire(turn->turns, turn, news);
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
	revoke(turn, runs_on && may_run_on(turn), now_ns, news);
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
			if (turn->job.state != AIA_SCHED_HELD || !is_left_to(turn, queue, news))
				continue;
			leave_group(turn, now_ns, news);
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

		take_back(turn, AIACCEL_TURN_REVOKED, AIACCEL_TURN_FAILED, now_ns, news);
		move_all(&turn->followers, &held);
		turn->note.last = true;
		tell(turns, turn, AIACCEL_EVENT_FAILED, now_ns, news);
	}
	fail_held(&held, now_ns, news);
	return count;
}

void aia_turns_fail_queue(struct aia_turns *turns, struct aia_sched_queue *queue, __u64 now_ns,
			  struct aia_news *news)
{
	struct aia_sched_job *job = aia_sched_queue_turn(queue);

	aia_turns_stir(queue->seat->engine, news);
	if (job)
		revoke(turn_of_job(job), false, now_ns, news);
	aia_turns_fail_waiting(turns, queue, now_ns, news);
}

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
