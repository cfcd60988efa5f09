// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Which job is next at an engine, and what is in its way; see choice.h. The caller serialises.
 */
#include "any.h"
#include "choice.h"
#include "list.h"
#include "order.h"
#include "sched.h"

/* The job that is next, and the slots that are free for it. */
struct choice {
	struct aia_sched_job *job;	/* NULL: there is none */
	__u32 room;
	__u32 crossed;			/* the boundaries that it passes as owed */
};

/* The first of a class, or NULL. */
static struct aia_sched_job *first_of_class(struct aia_sched_engine *engine, __u32 class_)
{
	struct aia_sched_job *held = aia_wide_held(engine, class_);
	struct aia_share *share;

	if (held)
		return held;
	share = aia_share_first(&engine->root[class_]);
	return share ? aia_sched_queue_first(aia_container_of(share, struct aia_sched_queue,
							      share)) : NULL;
}

static __u32 background_used(const struct aia_sched_engine *engine)
{
	return engine->classes.held[AIACCEL_CLASS_IDLE] + engine->classes.held[AIACCEL_CLASS_LOW];
}

/* Whether turns of @holder are in the way of jobs of @class_. */
static bool stands_in_way(const struct aia_sched_engine *engine, __u32 holder, __u32 class_)
{
	return !engine->gives_way || aia_sched_is_background(class_) ||
	       !aia_sched_is_background(holder);
}

const struct aia_sched_job *aia_choice_in_way(const struct aia_sched_engine *engine, __u32 class_)
{
	__u32 c;

	for (c = 0; c < AIACCEL_NR_CLASSES; c++)
		if (stands_in_way(engine, c, class_) && !aia_list_empty(&engine->running[c]))
			return aia_container_of(engine->running[c].next, struct aia_sched_job,
						of_engine);
	return NULL;
}

/* What is free for a class, or will be once those asked to yield have done so. */
static __u32 room(const struct aia_sched_engine *engine, __u32 class_, bool after_yields)
{
	__u32 used = engine->slots_used;

	if (after_yields)
		used -= engine->slots_yielding;
	if (!stands_in_way(engine, AIACCEL_CLASS_IDLE, class_)) {
		used -= background_used(engine);
		if (after_yields)
			used += engine->background_yielding;
	}
	return used < engine->slots ? engine->slots - used : 0;
}

static struct choice first_in_line(struct aia_sched_engine *engine, __u32 class_, __u32 crossed)
{
	return (struct choice){
		.job = first_of_class(engine, class_),
		.room = room(engine, class_, false),
		.crossed = crossed,
	};
}

/* Where background work stands in nobody's way, what it is owed is a turn beside all that runs. */
static struct choice owed_beside(struct aia_sched_engine *engine)
{
	struct choice choice = {.room = engine->slots - background_used(engine)};
	struct aia_sched_job *job;

	if (!engine->gives_way || !aia_classes_owed(engine, AIACCEL_CLASS_NORMAL, false))
		return choice;
	job = first_of_class(engine, AIACCEL_CLASS_LOW);
	if (job->width <= choice.room) {
		choice.job = job;
		choice.crossed = 1U << AIACCEL_CLASS_NORMAL;
	}
	return choice;
}

/* Faulted, or about to be no more. */
static bool grants_none(const struct aia_sched_engine *engine)
{
	return engine->state == AIACCEL_ENGINE_FAULTED || engine->state == AIACCEL_ENGINE_LEAVING;
}

static struct choice choose(struct aia_sched_engine *engine)
{
	__u32 c = AIACCEL_NR_CLASSES, crossed = 0;
	struct choice beside;

	if (grants_none(engine))
		return (struct choice){};
	if (engine->line == AIA_LINE_AGES) {
		c = aia_order_oldest_class(engine);
		return c < AIACCEL_NR_CLASSES ? first_in_line(engine, c, 0) : (struct choice){};
	}
	beside = owed_beside(engine);
	if (beside.job)
		return beside;
	while (c-- > 0) {
		if (!aia_rb_first(&engine->root[c].members))
			continue;
		if (!aia_classes_owed(engine, c, crossed) ||
		    (engine->gives_way && c == AIACCEL_CLASS_NORMAL))
			return first_in_line(engine, c, crossed);
		crossed |= 1U << c;
	}
	return (struct choice){};
}

/*
 * Whether an engine's choice is a job of the group: the choice itself, or what the last one came
 * to. That was nobody where all that wait are passed: then the group may begin in the pause.
 */
static bool is_next(const struct aia_sched_job *job, const struct choice *choice)
{
	const struct aia_sched_engine *engine = job->queue->seat->engine;

	if (engine == choice->job->queue->seat->engine)
		return true;
	if (!aia_sched_is_settled(engine) || grants_none(engine))
		return false;
	return engine->wanting ? engine->wanting->group == job->group :
				 engine->wide[job->queue->class_].paused;
}

/*
 * Whether all of the group can begin: next at each of its engines, and there is room for all there.
 */
static bool group_fits(const struct aia_group *group, const struct choice *choice)
{
	const struct aia_sched_engine *last = NULL;
	__u32 width = 0, turns = 0;
	const struct aia_link *link;

	for (link = group->members.next; link != &group->members; link = link->next) {
		const struct aia_sched_job *job = aia_group_job(link);
		const struct aia_sched_queue *queue = job->queue;
		const struct aia_sched_engine *engine = queue->seat->engine;

		if (engine != last) {
			if (!is_next(job, choice))
				return false;
			last = engine;
			width = 0;
			turns = 0;
		}
		width += job->width;
		if (queue->seat->turn || aia_node_is_held_back(queue->node) ||
		    !aia_node_has_room(queue->node, ++turns) ||
		    width > room(engine, queue->class_, false))
			return false;
	}
	return true;
}

static bool fits(const struct choice *choice)
{
	const struct aia_sched_job *job = choice->job;

	return job->width <= choice->room && (!job->group || group_fits(job->group, choice));
}

/* Where several engines could begin the job now, the place that goes before the others. */
static struct choice prefer(const struct choice *choice, __u64 now_ns)
{
	struct aia_sched_job *place;

	for (place = choice->job->any->places; place < choice->job; place++) {
		struct aia_sched_engine *engine;
		struct choice other;

		if (place->state != AIA_SCHED_WAITING)
			continue;
		engine = place->queue->seat->engine;
		if (aia_sched_is_settled(engine)) /* it could not, when it was dispatched */
			continue;
		aia_classes_count(engine, now_ns);
		aia_wide_count(engine, now_ns);
		other = choose(engine);
		if (other.job == place && fits(&other))
			return other;
	}
	return *choice;
}

static void begin_all(const struct choice *choice, __u64 now_ns)
{
	const struct aia_sched_engine *here = choice->job->queue->seat->engine, *last = NULL;
	const struct aia_group *group = choice->job->group;
	struct aia_link *link;
	bool owed = false;

	if (!group) {
		aia_share_serve(&choice->job->queue->share);
		aia_sched_begin(choice->job, choice->crossed, now_ns);
		return;
	}
	/*
	 * All before any is charged: what one brings their tenant to is not where the next one
	 * stood.
	 */
	for (link = group->members.next; link != &group->members; link = link->next)
		aia_share_serve(&aia_group_job(link)->queue->share);
	for (link = group->members.next; link != &group->members; link = link->next) {
		struct aia_sched_job *job = aia_group_job(link);
		const struct aia_sched_engine *engine = job->queue->seat->engine;

		if (engine != last) {
			last = engine;
			owed = engine == here ? choice->crossed : engine->classes.pledged;
		}
		aia_sched_begin(job, owed, now_ns);
	}
}

struct aia_sched_job *aia_choice_grant_next(struct aia_sched_engine *engine, __u64 now_ns)
{
	struct aia_sched_job *passed = NULL;
	__u32 passes = 0;
	bool retried = false, paused;
	struct choice choice;

	aia_classes_count(engine, now_ns);
	if (engine->wide_stirs)
		aia_wide_count(engine, now_ns);
	for (;;) {
		choice = engine->waiting ? choose(engine) : (struct choice){};
		if (!choice.job) {
			if (retried || !aia_wide_retry(engine))
				break;
			retried = true;
			passes = 0;
			continue;
		}
		if (fits(&choice)) {
			if (choice.job->any) {
				choice = prefer(&choice, now_ns);
				choice.job = aia_any_take(choice.job, now_ns);
			}
			begin_all(&choice, now_ns);
			return choice.job;
		}
		if (!choice.room)
			break;
		paused = engine->wide[choice.job->queue->class_].paused;
		if (!paused && !aia_wide_supersede(choice.job, now_ns))
			break;
		if (passes++ == AIA_WIDE_STEP) {
			aia_wide_go_on(choice.job, now_ns);
			return NULL;
		}
		if (paused) {
			passed = choice.job;
			aia_wide_pass(passed->queue);
		}
	}
	/* Nobody keeps slots free in a pause, but who overruns still ends for who waits. */
	engine->wanting = choice.job ? choice.job : passed;
	aia_wide_note(engine, choice.room ? choice.job : NULL, choice.room, now_ns);
	aia_classes_note(engine, choice.crossed, choice.room);
	return NULL;
}

struct aia_sched_job *aia_choice_yield_next(struct aia_sched_engine *engine)
{
	struct aia_sched_job *wanting = engine->wanting;
	__u32 c;

	if (!wanting || !wanting->queue->share.queued || engine->line == AIA_LINE_AGES ||
	    aia_group_width(wanting) <= room(engine, wanting->queue->class_, true))
		return NULL;
	for (c = 0; c < wanting->queue->class_; c++) {
		struct aia_link *running = &engine->running[c];
		struct aia_sched_job *job =
			aia_container_of(running->prev, struct aia_sched_job, of_engine);

		if (!stands_in_way(engine, c, wanting->queue->class_))
			continue;
		if (!aia_list_empty(running) && !job->owed && aia_sched_ask(job))
			return job;
	}
	return NULL;
}

bool aia_choice_is_next(struct aia_sched_job *job)
{
	return choose(job->queue->seat->engine).job == job;
}
