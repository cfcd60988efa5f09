// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Who is next at an engine; sched.h has the rules and the invariants. In five parts: the
 * share tree, tenants held back, who is there, the life of a job, the choice.
 *
 * The caller serialises all calls on one engine and what hangs below it.
 */
#include "sched.h"
#include "list.h"

#define job_of(rb) aia_container_of(rb, struct aia_sched_job, of_queue)
#define share_of(rb) aia_container_of(rb, struct aia_sched_share, node)
#define resting_of(rb) aia_container_of(rb, struct aia_sched_node, of_engine)

static __u64 since(__u64 then_ns, __u64 now_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

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

/* An eligible job lies below: into line, and all above that are neither there nor held back. */
static void join(struct aia_sched_share *share)
{
	for (; share->parent && !share->queued && !share->held_back; share = share->parent) {
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

/*
 * Charges @share and all above it @paid slot-nanoseconds. What is @booked counts likewise until it is
 * @returned. Who was never in line stands where the members do.
 */
static void charge(struct aia_sched_share *share, __u64 paid, __u64 booked, __u64 returned)
{
	for (; share->parent; share = share->parent) {
		struct aia_vtime more = aia_vtime_cost(paid + booked, share->slowness);
		struct aia_vtime less = aia_vtime_cost(returned, share->slowness);

		if (share->queued)
			aia_rb_remove(&share->parent->members, &share->node);
		else if (booked && !share->vtime.high)
			share->vtime = share->parent->floor;
		share->vtime = aia_vtime_sub(aia_vtime_add(share->vtime, more), less);
		share->booked += booked - returned;
		if (share->queued)
			insert(share);
	}
}

/* What is booked has the cost that it will be returned at. */
static void set_weight(struct aia_sched_share *share, __u32 weight)
{
	struct aia_vtime before = aia_vtime_cost(share->booked, share->slowness);
	struct aia_vtime after;

	share->weight = weight ? weight : AIACCEL_WEIGHT_DEFAULT;
	share->slowness = aia_vtime_slowness(share->weight);
	after = aia_vtime_cost(share->booked, share->slowness);
	if (share->queued)
		aia_rb_remove(&share->parent->members, &share->node);
	share->vtime = aia_vtime_sub(aia_vtime_add(share->vtime, after), before);
	if (share->queued)
		insert(share);
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

/* ---- tenants held back ---- */

/*
 * How long the node, or one above it, was held back so far. One that is held back has counted the time of
 * those above it up to then, and counts all time since; what those above it were held back
 * meanwhile is taken off when it is let go of, so that no time counts twice.
 */
static __u64 held_back_ns(const struct aia_sched_node *node, __u64 now_ns)
{
	__u64 sum = 0;

	for (; node; node = node->parent) {
		sum += node->held_back_ns;
		if (node->held_back)
			return sum + since(node->since_ns, now_ns);
	}
	return sum;
}

static void hold_back(struct aia_sched_node *node, __u64 now_ns)
{
	__u32 c;

	node->held_back_ns += held_back_ns(node->parent, now_ns);
	node->since_ns = now_ns;
	node->held_back = true;
	for (c = 0; c < AIACCEL_NR_CLASSES; c++) {
		leave(&node->share[c]);
		node->share[c].held_back = true;
	}
}

static void let_go(struct aia_sched_node *node, __u64 now_ns)
{
	__u32 c;

	node->held_back_ns += since(node->since_ns, now_ns) - held_back_ns(node->parent, now_ns);
	node->held_back = false;
	for (c = 0; c < AIACCEL_NR_CLASSES; c++) {
		node->share[c].held_back = false;
		if (aia_rb_first(&node->share[c].members))
			join(&node->share[c]);
	}
}

static bool rests_less(const struct aia_rb_node *a, const struct aia_rb_node *b)
{
	return resting_of(a)->rests_until_ns < resting_of(b)->rests_until_ns;
}

static void rest(struct aia_sched_node *node, __u64 until_ns)
{
	if (node->rests)
		aia_rb_remove(&node->engine->resting, &node->of_engine);
	node->rests = until_ns;
	node->rests_until_ns = until_ns;
	if (node->rests)
		aia_rb_insert(&node->engine->resting, &node->of_engine, rests_less);
}

/* Looks at a node's ceilings again, after what they are held against has changed. */
static void review(struct aia_sched_node *node, __u64 now_ns)
{
	bool full = node->turns_max && node->turns >= node->turns_max;
	bool at_ceiling;

	rest(node, aia_cap_clear_ns(&node->cap, now_ns));
	at_ceiling = full || node->rests;
	if (at_ceiling && !node->held_back)
		hold_back(node, now_ns);
	else if (!at_ceiling && node->held_back)
		let_go(node, now_ns);
}

/* A turn begins or ends below: one of them is 1. */
static void count_turn(struct aia_sched_node *node, __u32 begun, __u32 ended, __u64 paid,
		       __u64 booked, __u64 returned, __u64 now_ns)
{
	for (; node; node = node->parent) {
		node->turns += begun - ended;
		aia_cap_charge(&node->cap, paid, booked, returned, now_ns);
		if (node->turns_max || node->cap.refill)
			review(node, now_ns);
	}
}

/* ---- who is there ---- */

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

	*node = (struct aia_sched_node){.parent = parent, .engine = engine};
	for (c = 0; c < AIACCEL_NR_CLASSES; c++)
		share_init(&node->share[c], parent ? &parent->share[c] : &engine->root[c], weight);
}

void aia_sched_node_fini(struct aia_sched_node *node)
{
	__u32 c;

	rest(node, 0);
	for (c = 0; c < AIACCEL_NR_CLASSES; c++)
		retire(&node->share[c]);
}

void aia_sched_node_set_weight(struct aia_sched_node *node, __u32 weight)
{
	__u32 c;

	for (c = 0; c < AIACCEL_NR_CLASSES; c++)
		set_weight(&node->share[c], weight);
}

void aia_sched_node_set_caps(struct aia_sched_node *node, __u32 engine_time, __u32 turns,
			     __u64 now_ns)
{
	node->turns_max = turns;
	aia_cap_set(&node->cap, node->engine->slots, engine_time, now_ns);
	review(node, now_ns);
}

bool aia_sched_node_owes(struct aia_sched_node *node, __u64 now_ns)
{
	return aia_cap_owes(&node->cap, now_ns);
}

void aia_sched_seat_init(struct aia_sched_seat *seat, struct aia_sched_engine *engine)
{
	*seat = (struct aia_sched_seat){.engine = engine};
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

void aia_sched_queue_set_class(struct aia_sched_queue *queue, __u32 class_)
{
	struct aia_sched_share *share = &queue->share;
	__u64 booked = share->booked;
	bool queued = share->queued;

	if (class_ == queue->class_)
		return;
	leave(share);
	charge(share, 0, 0, booked);
	retire(share);
	queue->class_ = class_;
	share_init(share, &queue->node->share[class_], share->weight);
	charge(share, 0, booked, 0);
	if (queued)
		join(share);
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
	job->granted_ns = 0;
	job->capped_ns = held_back_ns(queue->node, now_ns) - queue->seat->busy_held_back_ns;
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

/* Ceilings believe no client: a false claim would hold back the others of its tenant. */
static __u64 cap_estimate(const struct aia_sched_job *job)
{
	__u64 ns = job->queue->estimate_ns;

	return at_most(ns ? ns : AIA_SCHED_FIRST_NS, AIA_SCHED_TURN_MAX_NS);
}

static bool is_background(__u32 class_)
{
	return class_ < AIACCEL_CLASS_NORMAL;
}

__u64 aia_sched_capped_ns(const struct aia_sched_job *job, __u64 now_ns)
{
	const struct aia_sched_queue *queue = job->queue;
	const struct aia_sched_seat *seat = queue->seat;

	if (job->granted_ns)
		return job->capped_ns;
	return (seat->turn ? 0 : held_back_ns(queue->node, now_ns)) - seat->busy_held_back_ns -
	       job->capped_ns;
}

static void begin(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_sched_queue *queue = job->queue;
	struct aia_sched_seat *seat = queue->seat;
	struct aia_sched_engine *engine = seat->engine;
	__u64 wait_ns = since(job->submitted_ns, now_ns);
	struct aia_link *link;

	job->capped_ns = aia_sched_capped_ns(job, now_ns);
	seat->busy_held_back_ns -= held_back_ns(queue->node, now_ns);
	move_floors(&queue->share);
	take_out_of_line(job);
	seat->turn = job;
	for (link = seat->queues.next; link != &seat->queues; link = link->next)
		leave(&aia_container_of(link, struct aia_sched_queue, of_seat)->share);

	job->state = AIA_SCHED_GRANTED;
	job->granted_ns = now_ns;
	job->class_ = queue->class_;
	job->charged_ns = estimate(job);
	job->cap_charged_ns = cap_estimate(job);
	charge(&queue->share, 0, job->charged_ns * job->width, 0);
	count_turn(queue->node, 1, 0, 0, job->cap_charged_ns * job->width, 0, now_ns);
	aia_list_add_last(&engine->running[job->class_], &job->of_engine);
	engine->slots_used += job->width;
	if (is_background(job->class_))
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
	if (is_background(job->class_)) {
		engine->background_used -= job->width;
		if (job->yield_asked)
			engine->background_yielding -= job->width;
	}
	job->state = AIA_SCHED_IDLE;

	charge(&queue->share, paid_ns * job->width, 0, job->charged_ns * job->width);
	count_turn(queue->node, 0, 1, paid_ns * job->width, 0, job->cap_charged_ns * job->width,
		   now_ns);
	learn(queue, paid_ns);
	seat->turn = NULL;
	seat->busy_held_back_ns += held_back_ns(queue->node, now_ns);
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

__u64 aia_sched_next_ns(const struct aia_sched_engine *engine)
{
	struct aia_rb_node *first = aia_rb_first(&engine->resting);

	return first ? resting_of(first)->rests_until_ns : AIACCEL_NEVER;
}

/* How many there may be is nobody's promise. */
void aia_sched_review_rested(struct aia_sched_engine *engine, __u64 now_ns)
{
	struct aia_rb_node *first;
	__u32 left = AIA_SCHED_REVIEWS;

	while (left-- && (first = aia_rb_first(&engine->resting)) &&
	       resting_of(first)->rests_until_ns <= now_ns)
		review(resting_of(first), now_ns);
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
		struct aia_link *running = &engine->running[c];
		struct aia_sched_job *job =
			aia_container_of(running->prev, struct aia_sched_job, of_engine);

		if (!stands_in_way(engine, c, wanting->queue->class_))
			continue;
		if (aia_list_empty(running) || job->yield_asked)
			continue;
		job->yield_asked = true;
		aia_list_remove(&job->of_engine);
		aia_list_add_first(running, &job->of_engine);
		engine->slots_yielding += job->width;
		if (is_background(c))
			engine->background_yielding += job->width;
		return job;
	}
	return NULL;
}
