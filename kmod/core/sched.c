// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Who is next at an engine; sched.h has the rules and the invariants. In three parts: the
 * share tree, the life of a job, the choice.
 *
 * The caller serialises all calls on one engine and what hangs below it.
 */
#include "sched.h"
#include "list.h"

#define job_of(rb) aia_container_of(rb, struct aia_sched_job, of_queue)
#define share_of(rb) aia_container_of(rb, struct aia_sched_share, node)

/* ---- the share tree ---- */

static void share_init(struct aia_sched_share *share, struct aia_sched_share *parent, __u32 weight)
{
	*share = (struct aia_sched_share){
		.parent = parent,
		.weight = weight ? weight : AIACCEL_WEIGHT_DEFAULT,
		/* Not 0: who stands at 0 was never in line, nor can the lag lead below. */
		.floor = {1, AIA_SCHED_LAG_NS},
	};
	share->slowness = aia_vtime_slowness(share->weight);
}

static bool had_less(const struct aia_rb_node *a, const struct aia_rb_node *b)
{
	return aia_vtime_before(share_of(a)->vtime, share_of(b)->vtime);
}

/* Puts a share among its siblings, not further behind them than the lag allows. */
static void insert(struct aia_sched_share *share)
{
	struct aia_vtime lag = {0, AIA_SCHED_LAG_NS};
	struct aia_vtime start = share->parent->floor;

	if (share->vtime.high)
		start = aia_vtime_sub(start, lag);
	share->vtime = aia_vtime_later(share->vtime, start);
	aia_rb_insert(&share->parent->members, &share->node, had_less);
}

/* An eligible job lies below: into line, and all above that are not in line yet. */
static void join(struct aia_sched_share *share)
{
	for (; share->parent && !share->queued; share = share->parent) {
		insert(share);
		share->queued = true;
	}
}

/* No eligible job lies below any more: out of line, and all above that are left empty. */
static void leave(struct aia_sched_share *share)
{
	for (; share->parent && share->queued; share = share->parent) {
		aia_rb_remove(&share->parent->members, &share->node);
		share->queued = false;
		if (aia_rb_first(&share->parent->members))
			break;
	}
}

/* A turn begins below @share: the members' time moves up to those it passes. */
static void move_floors(struct aia_sched_share *share)
{
	for (; share->parent; share = share->parent)
		share->parent->floor = aia_vtime_later(share->parent->floor, share->vtime);
}

/* Charges @share and all above it @paid slot-nanoseconds and gives @returned back. */
static void charge(struct aia_sched_share *share, __u64 paid, __u64 returned)
{
	for (; share->parent; share = share->parent) {
		struct aia_vtime more = aia_vtime_cost(paid, share->slowness);
		struct aia_vtime less = aia_vtime_cost(returned, share->slowness);

		if (share->queued)
			aia_rb_remove(&share->parent->members, &share->node);
		share->vtime = aia_vtime_sub(aia_vtime_add(share->vtime, more), less);
		if (share->queued)
			insert(share);
	}
}

/*
 * A share goes for good. What it had above the others would be forgotten, and a short-lived
 * successor would stand before those who wait, time and again. So the others' time
 * moves on by the debt, but past none of them.
 */
static void retire(const struct aia_sched_share *share)
{
	struct aia_sched_share *parent = share->parent;
	struct aia_rb_node *first = aia_rb_first(&parent->members);
	struct aia_vtime floor = share->vtime;

	if (first && aia_vtime_before(share_of(first)->vtime, floor))
		floor = share_of(first)->vtime;
	parent->floor = aia_vtime_later(parent->floor, floor);
}

void aia_sched_engine_init(struct aia_sched_engine *engine, __u32 slots)
{
	__u32 c;

	*engine = (struct aia_sched_engine){.slots = slots, .state = AIACCEL_ENGINE_ACTIVE};
	for (c = 0; c < AIACCEL_NR_CLASSES; c++) {
		share_init(&engine->root[c], NULL, 0);
		aia_list_init(&engine->running[c]);
	}
}

void aia_sched_node_init(struct aia_sched_node *node, struct aia_sched_engine *engine,
			 struct aia_sched_node *parent, __u32 weight)
{
	__u32 c;

	node->parent = parent;
	node->granted = 0;
	node->busy_ns = 0;
	for (c = 0; c < AIACCEL_NR_CLASSES; c++)
		share_init(&node->share[c], parent ? &parent->share[c] : &engine->root[c], weight);
}

void aia_sched_node_fini(struct aia_sched_node *node)
{
	__u32 c;

	for (c = 0; c < AIACCEL_NR_CLASSES; c++)
		retire(&node->share[c]);
}

void aia_sched_seat_init(struct aia_sched_seat *seat, struct aia_sched_engine *engine)
{
	seat->engine = engine;
	seat->turn = NULL;
	aia_list_init(&seat->queues);
}

void aia_sched_queue_init(struct aia_sched_queue *queue, struct aia_sched_seat *seat,
			  struct aia_sched_node *node, __u32 class_, __u32 weight)
{
	*queue = (struct aia_sched_queue){.seat = seat, .node = node, .class_ = class_};
	share_init(&queue->share, &node->share[class_], weight);
	aia_list_add_last(&seat->queues, &queue->of_seat);
}

void aia_sched_queue_fini(struct aia_sched_queue *queue)
{
	aia_list_remove(&queue->of_seat);
	retire(&queue->share);
}

/* ---- the life of a job ---- */

static bool is_earlier(const struct aia_rb_node *a, const struct aia_rb_node *b)
{
	/* No deadline is the latest of all. */
	__u64 a_last = job_of(a)->deadline_ns - 1;
	__u64 b_last = job_of(b)->deadline_ns - 1;

	return a_last != b_last ? a_last < b_last : job_of(a)->seq < job_of(b)->seq;
}

int aia_sched_takes_work(const struct aia_sched_engine *engine)
{
	switch (engine->state) {
	case AIACCEL_ENGINE_ACTIVE:
		return 0;
	case AIACCEL_ENGINE_LEAVING:
		return -ENODEV;
	default:
		return -ESHUTDOWN;
	}
}

int aia_sched_submit(struct aia_sched_queue *queue, struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_sched_engine *engine = queue->seat->engine;
	int err;

	if (!job->width || job->width > engine->slots)
		return -EINVAL;
	err = aia_sched_takes_work(engine);
	if (err)
		return err;
	if (queue->seat->turn)
		return -EDEADLK;

	job->queue = queue;
	job->state = AIA_SCHED_WAITING;
	job->yield_asked = false;
	job->seq = engine->seq++;
	job->submitted_ns = now_ns;
	aia_rb_insert(&queue->jobs, &job->of_queue, is_earlier);
	queue->submitted++;
	queue->waiting++;
	engine->waiting++;
	join(&queue->share);
	return 0;
}

static void take_out_of_line(struct aia_sched_job *job)
{
	struct aia_sched_queue *queue = job->queue;

	aia_rb_remove(&queue->jobs, &job->of_queue);
	queue->waiting--;
	queue->seat->engine->waiting--;
	if (!queue->waiting)
		leave(&queue->share);
}

void aia_sched_withdraw(struct aia_sched_job *job)
{
	take_out_of_line(job);
	job->state = AIA_SCHED_IDLE;
}

static __u64 since(__u64 then_ns, __u64 now_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

static __u64 at_most(__u64 ns, __u64 max_ns)
{
	return ns < max_ns ? ns : max_ns;
}

static __u64 estimate(const struct aia_sched_job *job)
{
	__u64 ns = job->queue->estimate_ns;

	if (!ns)
		ns = job->cost_ns > AIA_SCHED_FIRST_NS ? job->cost_ns : AIA_SCHED_FIRST_NS;
	return at_most(ns, AIA_SCHED_TURN_MAX_NS);
}

static bool is_background(__u32 class_)
{
	return class_ < AIACCEL_CLASS_NORMAL;
}

static void begin(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_sched_queue *queue = job->queue;
	struct aia_sched_seat *seat = queue->seat;
	struct aia_sched_engine *engine = seat->engine;
	__u64 wait_ns = since(job->submitted_ns, now_ns);
	struct aia_link *link;

	move_floors(&queue->share);
	take_out_of_line(job);
	seat->turn = job;
	for (link = seat->queues.next; link != &seat->queues; link = link->next)
		leave(&aia_container_of(link, struct aia_sched_queue, of_seat)->share);

	job->state = AIA_SCHED_GRANTED;
	job->granted_ns = now_ns;
	job->charged_ns = estimate(job);
	charge(&queue->share, job->charged_ns * job->width, 0);
	aia_list_add_last(&engine->running[queue->class_], &job->of_engine);
	engine->slots_used += job->width;
	if (is_background(queue->class_))
		engine->background_used += job->width;

	engine->granted++;
	queue->node->granted++;
	queue->granted++;
	queue->wait_ns += wait_ns;
	if (wait_ns > queue->max_wait_ns)
		queue->max_wait_ns = wait_ns;
}

static void learn(struct aia_sched_queue *queue, __u64 ran_ns)
{
	__u64 old = queue->estimate_ns;
	__u64 average = old ? old - old / 8 + ran_ns / 8 : ran_ns;

	queue->estimate_ns = average ? average : 1;
}

void aia_sched_complete(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_sched_queue *queue = job->queue;
	struct aia_sched_seat *seat = queue->seat;
	struct aia_sched_engine *engine = seat->engine;
	__u64 ran_ns = since(job->granted_ns, now_ns);
	__u64 paid_ns = at_most(ran_ns, AIA_SCHED_TURN_MAX_NS);
	struct aia_link *link;

	aia_list_remove(&job->of_engine);
	engine->slots_used -= job->width;
	if (job->yield_asked)
		engine->slots_yielding -= job->width;
	if (is_background(queue->class_)) {
		engine->background_used -= job->width;
		if (job->yield_asked)
			engine->background_yielding -= job->width;
	}
	job->state = AIA_SCHED_IDLE;

	charge(&queue->share, paid_ns * job->width, job->charged_ns * job->width);
	learn(queue, paid_ns);
	seat->turn = NULL;
	for (link = seat->queues.next; link != &seat->queues; link = link->next) {
		struct aia_sched_queue *other =
			aia_container_of(link, struct aia_sched_queue, of_seat);

		if (other->waiting)
			join(&other->share);
	}

	engine->busy_ns += ran_ns * job->width;
	queue->node->busy_ns += ran_ns * job->width;
	queue->completed++;
	queue->run_ns += ran_ns;
}

struct aia_sched_job *aia_sched_queue_first(struct aia_sched_queue *queue)
{
	struct aia_rb_node *first = aia_rb_first(&queue->jobs);

	return first ? job_of(first) : NULL;
}

/* ---- the choice ---- */

/* The job that is next, whether there is room for it or not. None where no turn may begin. */
static struct aia_sched_job *next_in_line(struct aia_sched_engine *engine)
{
	__u32 c = AIACCEL_NR_CLASSES;

	if (engine->state == AIACCEL_ENGINE_FAULTED || engine->state == AIACCEL_ENGINE_LEAVING)
		return NULL;
	while (c-- > 0) {
		struct aia_sched_share *share = &engine->root[c];
		struct aia_rb_node *first = aia_rb_first(&share->members);

		if (!first)
			continue;
		for (; first; first = aia_rb_first(&share->members))
			share = share_of(first);
		return aia_sched_queue_first(aia_container_of(share, struct aia_sched_queue,
							       share));
	}
	return NULL;
}

/* Whether turns of @holder are in the way of jobs of @class_. */
static bool stands_in_way(const struct aia_sched_engine *engine, __u32 holder, __u32 class_)
{
	return !engine->gives_way || is_background(class_) || !is_background(holder);
}

/* What is free for a class, or will be once those asked to yield have done so. */
static __u32 room(const struct aia_sched_engine *engine, __u32 class_, bool after_yields)
{
	__u32 used = engine->slots_used;

	if (after_yields)
		used -= engine->slots_yielding;
	if (!stands_in_way(engine, AIACCEL_CLASS_IDLE, class_)) {
		used -= engine->background_used;
		if (after_yields)
			used += engine->background_yielding;
	}
	return used < engine->slots ? engine->slots - used : 0;
}

struct aia_sched_job *aia_sched_grant_next(struct aia_sched_engine *engine, __u64 now_ns)
{
	struct aia_sched_job *job = next_in_line(engine);

	if (!job || job->width > room(engine, job->queue->class_, false))
		return NULL;
	begin(job, now_ns);
	return job;
}

struct aia_sched_job *aia_sched_yield_next(struct aia_sched_engine *engine)
{
	struct aia_sched_job *wanting = next_in_line(engine);
	__u32 c;

	if (!wanting || wanting->width <= room(engine, wanting->queue->class_, true))
		return NULL;
	for (c = 0; c < wanting->queue->class_; c++) {
		struct aia_link *head = &engine->running[c];
		struct aia_link *link;

		if (!stands_in_way(engine, c, wanting->queue->class_))
			continue;
		for (link = head->prev; link != head; link = link->prev) {
			struct aia_sched_job *job =
				aia_container_of(link, struct aia_sched_job, of_engine);

			if (job->yield_asked)
				continue;
			job->yield_asked = true;
			engine->slots_yielding += job->width;
			if (is_background(c))
				engine->background_yielding += job->width;
			return job;
		}
	}
	return NULL;
}
