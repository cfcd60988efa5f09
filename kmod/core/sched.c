// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Who is at an engine, and the life of a job there; sched.h has the rules and the invariants.
 *
 * The caller serialises all calls on one engine and what hangs below it.
 */
#include "sched.h"
#include "choice.h"
#include "list.h"
#include "order.h"

#define job_of(rb) aia_container_of(rb, struct aia_sched_job, of_due)

/* ---- who is there ---- */

/* That somebody dispatches then is all. */
static void ring_put_off(struct aia_timer *timer, __u64 now_ns)
{
	(void)timer;
	(void)now_ns;
}

void aia_sched_engine_init(struct aia_sched_engine *engine, __u32 slots)
{
	__u32 c;

	*engine = (struct aia_sched_engine){
		.slots = slots,
		.state = AIACCEL_ENGINE_ACTIVE,
		.put_off.ring = ring_put_off,
		.numa_node = -1,
	};
	for (c = 0; c < AIACCEL_NR_CLASSES; c++) {
		aia_share_init(&engine->root[c], NULL, 0);
		aia_list_init(&engine->running[c]);
		if (c < AIACCEL_CLASS_NORMAL)
			aia_list_init(&engine->spared[c]);
		aia_wide_init(&engine->wide[c]);
	}
	aia_classes_init(engine);
	aia_order_init(engine);
	aia_realtime_init(engine);
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
	aia_share_init(&queue->share, &node->share[class_], weight);
	aia_list_init(&queue->undated);
	aia_list_init(&queue->of_set);
	aia_list_add_last(&seat->queues, &queue->of_seat);
}

void aia_sched_queue_fini(struct aia_sched_queue *queue)
{
	aia_realtime_leave(queue);
	aia_list_remove(&queue->of_set);
	aia_list_remove(&queue->of_seat);
	aia_share_retire(&queue->share);
}

static void line_up(struct aia_sched_queue *queue)
{
	if (queue->waiting && !queue->seat->turn && !queue->promise.release.at_ns)
		aia_order_line_up(queue);
}

void aia_sched_queue_set_class(struct aia_sched_queue *queue, __u32 class_, __u64 now_ns)
{
	struct aia_share *share = &queue->share;
	__u64 booked = share->booked;

	if (class_ == queue->class_)
		return;
	aia_wide_leave_class(queue, now_ns);
	aia_order_drop_out(queue);
	aia_share_charge(share, 0, 0, booked);
	aia_share_retire(share);
	queue->class_ = class_;
	queue->promise.deadline_ns = 0;
	aia_share_init(share, &queue->node->share[class_], share->weight);
	aia_share_charge(share, 0, booked, 0);
	line_up(queue);
}

/* ---- the life of a job ---- */

static bool is_earlier(const struct aia_rb_node *a, const struct aia_rb_node *b)
{
	__u64 a_ns = job_of(a)->deadline_ns, b_ns = job_of(b)->deadline_ns;

	return a_ns != b_ns ? a_ns < b_ns : job_of(a)->seq < job_of(b)->seq;
}

/*
 * Most jobs have no deadline, and there may be a hundred thousand: a list costs no more then than
 * with ten.
 */
static void enqueue(struct aia_sched_job *job)
{
	if (job->deadline_ns)
		aia_rb_insert(&job->queue->due, &job->of_due, is_earlier);
	else
		aia_list_add_last(&job->queue->undated, &job->of_undated);
}

/*
 * It is needed when the queue is next again: among many queues so late that the processor would
 * wait for it then.
 */
static void fetch_ahead(const struct aia_link *undated)
{
	const struct aia_sched_job *job =
		aia_container_of(undated, struct aia_sched_job, of_undated);
	size_t at;

	for (at = 0; at < sizeof(*job); at += 64)
		__builtin_prefetch((const char *)job + at, 1);
}

static void dequeue(struct aia_sched_job *job)
{
	if (job->deadline_ns) {
		aia_rb_remove(&job->queue->due, &job->of_due);
		return;
	}
	aia_list_remove(&job->of_undated);
	if (!aia_list_empty(&job->queue->undated))
		fetch_ahead(job->queue->undated.next);
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

static int check(const struct aia_sched_queue *queue, const struct aia_sched_job *job)
{
	const struct aia_sched_engine *engine = queue->seat->engine;

	if (!job->width || job->width > engine->slots)
		return -EINVAL;
	if (queue->promise.period_ns && (job->width != queue->promise.width || job->deadline_ns))
		return -EINVAL;
	return aia_sched_takes_work(engine);
}

void aia_sched_take(struct aia_sched_queue *queue, struct aia_sched_job *job, __u64 now_ns)
{
	job->queue = queue;
	job->state = AIA_SCHED_HELD;
	job->yield_asked = false;
	job->submitted_ns = now_ns;
	job->granted_ns = 0;
	job->term = (struct aia_timer){};
	job->capped_ns = 0;
	queue->submitted++;
}

int aia_sched_hold(struct aia_sched_queue *queue, struct aia_sched_job *job, __u64 now_ns)
{
	int err = check(queue, job);

	if (!err)
		aia_sched_take(queue, job, now_ns);
	return err;
}

void aia_sched_put_in_line(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_sched_queue *queue = job->queue;
	struct aia_sched_seat *seat = queue->seat;

	job->state = AIA_SCHED_WAITING;
	job->seq = seat->engine->seq++;
	job->submitted_ns = now_ns;
	job->capped_ns = (seat->turn ? 0 : aia_node_held_back_ns(queue->node, now_ns)) -
			 seat->busy_held_back_ns;
	enqueue(job);
	queue->waiting++;
	seat->engine->waiting++;
	if (seat->turn)
		return;
	if (!aia_realtime_release(queue, now_ns))
		return;
	aia_wide_recall(queue);
	if (!queue->of_line.next)
		aia_order_line_up(queue);
	else if (aia_sched_queue_first(queue) == job)
		aia_order_follow_first(queue);
}

int aia_sched_submit(struct aia_sched_queue *queue, struct aia_sched_job *job, __u64 now_ns)
{
	int err = check(queue, job);

	if (err)
		return err;
	if (queue->seat->turn)
		return -EDEADLK;
	aia_sched_take(queue, job, now_ns);
	aia_sched_put_in_line(job, now_ns);
	return 0;
}

static void take_out_of_line(struct aia_sched_job *job, bool begins, __u64 now_ns)
{
	struct aia_sched_queue *queue = job->queue;
	struct aia_sched_engine *engine = queue->seat->engine;

	dequeue(job);
	queue->waiting--;
	engine->waiting--;
	if (!queue->waiting)
		aia_order_drop_out(queue);
	else
		aia_order_follow_first(queue);
	aia_wide_forget(job, begins, now_ns);
	if (engine->wanting == job)
		engine->wanting = NULL;
}

void aia_sched_withdraw(struct aia_sched_job *job, __u64 now_ns)
{
	take_out_of_line(job, false, now_ns);
	aia_wide_recall(job->queue);
	line_up(job->queue);
	job->state = AIA_SCHED_IDLE;
}

void aia_sched_take_back(struct aia_sched_job *job, __u64 now_ns)
{
	aia_sched_withdraw(job, now_ns);
	job->state = AIA_SCHED_HELD;
	job->capped_ns = 0;
}

void aia_sched_replace(struct aia_sched_job *place, struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_sched_engine *engine = place->queue->seat->engine;

	dequeue(place);
	aia_wide_forget(place, true, now_ns);
	if (engine->wanting == place)
		engine->wanting = NULL;
	place->state = AIA_SCHED_HELD;

	job->queue = place->queue;
	job->capped_ns = place->capped_ns;
	job->state = AIA_SCHED_WAITING;
	enqueue(job);
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

__u64 aia_sched_capped_ns(const struct aia_sched_job *job, __u64 now_ns)
{
	const struct aia_sched_queue *queue = job->queue;
	const struct aia_sched_seat *seat = queue->seat;

	if (job->granted_ns || job->state == AIA_SCHED_HELD)
		return job->capped_ns;
	return (seat->turn ? 0 : aia_node_held_back_ns(queue->node, now_ns)) -
	       seat->busy_held_back_ns - job->capped_ns;
}

/* Charges an estimate of what runs from now on. */
static void book(struct aia_sched_job *job, __u32 begun, __u64 now_ns)
{
	struct aia_sched_queue *queue = job->queue;

	job->paid_until_ns = now_ns;
	job->charged_ns = estimate(job);
	job->cap_charged_ns = cap_estimate(job);
	aia_share_charge(&queue->share, 0, job->charged_ns * job->width, 0);
	aia_node_count_turns(queue->node, begun, 0, job->cap_charged_ns * job->width, 0, now_ns);
}

/* Charges what ran, in place of the estimate. */
static void settle(struct aia_sched_job *job, __u32 ended, __u64 now_ns)
{
	struct aia_sched_queue *queue = job->queue;
	__u64 ran_ns = at_most(aia_since_ns(job->paid_until_ns, now_ns), AIA_SCHED_TURN_MAX_NS);

	aia_share_charge(&queue->share, ran_ns * job->width, 0, job->charged_ns * job->width);
	aia_node_count_turns(queue->node, -ended, ran_ns * job->width, 0,
			     job->cap_charged_ns * job->width, now_ns);
	job->charged_ns = 0;
	job->cap_charged_ns = 0;
	job->paid_until_ns = now_ns;
}

void aia_sched_begin(struct aia_sched_job *job, bool owed, __u64 now_ns)
{
	struct aia_sched_queue *queue = job->queue;
	struct aia_sched_seat *seat = queue->seat;
	struct aia_sched_engine *engine = seat->engine;
	__u64 wait_ns = aia_since_ns(job->submitted_ns, now_ns);
	__u64 held_back_ns;
	struct aia_link *link;

	/* As of aia_sched_capped_ns(). */
	held_back_ns = aia_node_held_back_ns(queue->node, now_ns) - seat->busy_held_back_ns;
	job->capped_ns = held_back_ns - job->capped_ns;
	seat->busy_held_back_ns = -held_back_ns;
	aia_realtime_begin(queue, now_ns);
	take_out_of_line(job, true, now_ns);
	seat->turn = job;
	for (link = seat->queues.next; link != &seat->queues; link = link->next)
		aia_order_drop_out(aia_container_of(link, struct aia_sched_queue, of_seat));

	job->state = AIA_SCHED_GRANTED;
	job->granted_ns = now_ns;
	job->class_ = queue->class_;
	job->owed = owed;
	book(job, 1, now_ns);
	aia_terms_begin(job, now_ns);
	if (owed)
		aia_list_add_first(&engine->running[job->class_], &job->of_engine);
	else
		aia_list_add_last(&engine->running[job->class_], &job->of_engine);
	engine->slots_used += job->width;
	engine->classes.held[job->class_] += job->width;
	engine->classes.pledged = 0;

	engine->granted++;
	seat->granted++;
	queue->node->granted++;
	queue->granted++;
	queue->wait_ns += wait_ns;
	if (wait_ns > queue->max_wait_ns)
		queue->max_wait_ns = wait_ns;
	aia_histogram_add(&engine->wait, wait_ns);
	aia_histogram_add(&queue->node->wait, wait_ns);
	aia_histogram_add(&queue->wait, wait_ns);
}

static void learn(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_sched_queue *queue = job->queue;
	__u64 ran_ns = at_most(aia_since_ns(job->begun_ns, now_ns), AIA_SCHED_TURN_MAX_NS);
	__u64 old = queue->estimate_ns;
	__u64 average = old ? old - old / 8 + ran_ns / 8 : ran_ns;

	queue->estimate_ns = average ? average : 1;
}

static void unask(struct aia_sched_job *job)
{
	struct aia_sched_engine *engine = job->queue->seat->engine;

	if (!job->yield_asked)
		return;
	job->yield_asked = false;
	engine->slots_yielding -= job->width;
	if (aia_sched_is_background(job->class_))
		engine->background_yielding -= job->width;
}

bool aia_sched_ask(struct aia_sched_job *job)
{
	struct aia_sched_engine *engine = job->queue->seat->engine;

	if (job->yield_asked)
		return false;
	job->yield_asked = true;
	aia_list_remove(&job->of_engine);
	aia_list_add_first(&engine->running[job->class_], &job->of_engine);
	engine->slots_yielding += job->width;
	if (aia_sched_is_background(job->class_))
		engine->background_yielding += job->width;
	return true;
}

/* The slots are free, and what ran is paid; the seat is still taken. */
static void end_turn(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_sched_queue *queue = job->queue;
	struct aia_sched_engine *engine = queue->seat->engine;
	__u64 ran_ns = aia_since_ns(job->granted_ns, now_ns);

	aia_terms_forget(job);
	unask(job);
	aia_list_remove(&job->of_engine);
	engine->slots_used -= job->width;
	engine->classes.held[job->class_] -= job->width;

	settle(job, 1, now_ns);
	learn(job, now_ns);
	engine->busy_ns += ran_ns * job->width;
	queue->seat->busy_ns += ran_ns * job->width;
	queue->node->busy_ns += ran_ns * job->width;
	queue->completed++;
	queue->run_ns += ran_ns;
	aia_histogram_add(&engine->run, ran_ns);
	aia_histogram_add(&queue->node->run, ran_ns);
	aia_histogram_add(&queue->run, ran_ns);
}

static void free_seat(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_sched_queue *queue = job->queue;
	struct aia_sched_seat *seat = queue->seat;
	struct aia_link *link;

	job->state = AIA_SCHED_IDLE;
	seat->turn = NULL;
	seat->busy_held_back_ns += aia_node_held_back_ns(queue->node, now_ns);
	for (link = seat->queues.next; link != &seat->queues; link = link->next) {
		struct aia_sched_queue *other =
			aia_container_of(link, struct aia_sched_queue, of_seat);

		if (other->waiting && aia_realtime_release(other, now_ns))
			aia_order_line_up(other);
	}
}

void aia_sched_complete(struct aia_sched_job *job, __u64 now_ns)
{
	end_turn(job, now_ns);
	free_seat(job, now_ns);
}

/* ---- revoked, while its holder works on ---- */

static void pay(struct aia_sched_job *job, __u64 now_ns)
{
	aia_timer_set(&job->queue->seat->engine->timers, &job->term, now_ns + AIA_TERMS_PAY_NS);
	settle(job, 0, now_ns);
}

static void ring_pay(struct aia_timer *timer, __u64 now_ns)
{
	pay(aia_container_of(timer, struct aia_sched_job, term), now_ns);
}

void aia_sched_contend(struct aia_sched_job *job, __u64 now_ns)
{
	end_turn(job, now_ns);
	job->state = AIA_SCHED_CONTENDED;
	job->queue->seat->engine->contended += job->width;
	job->term.ring = ring_pay;
	pay(job, now_ns);
}

void aia_sched_release(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_sched_engine *engine = job->queue->seat->engine;

	pay(job, now_ns);
	aia_timer_set(&engine->timers, &job->term, 0);
	engine->contended -= job->width;
	free_seat(job, now_ns);
}

struct aia_sched_job *aia_sched_queue_first(struct aia_sched_queue *queue)
{
	struct aia_rb_node *due = aia_rb_first(&queue->due);

	if (due)
		return job_of(due);
	if (aia_list_empty(&queue->undated))
		return NULL;
	return aia_container_of(queue->undated.next, struct aia_sched_job, of_undated);
}

/* Puts a job that holds its turn in line as if it did not, and tells whether it is next. */
static bool is_next_again(struct aia_sched_job *job)
{
	struct aia_sched_queue *queue = job->queue;
	bool next;

	job->seq = queue->seat->engine->seq++;
	enqueue(job);
	aia_order_line_up(queue);
	next = aia_choice_is_next(job);
	if (next)
		aia_share_serve(&queue->share);
	aia_order_drop_out(queue);
	dequeue(job);
	return next;
}

int aia_sched_renew(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_sched_engine *engine = job->queue->seat->engine;
	bool next;

	settle(job, 1, now_ns);
	next = job->class_ != AIACCEL_CLASS_REALTIME && !aia_sched_takes_work(engine) &&
	       is_next_again(job);
	if (next)
		learn(job, now_ns);
	book(job, 1, now_ns);
	if (!next)
		return -EAGAIN;
	unask(job);
	job->owed = false;
	aia_list_remove(&job->of_engine);
	aia_list_add_last(&engine->running[job->class_], &job->of_engine);
	aia_terms_begin(job, now_ns);
	return 0;
}
