// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * In which order an engine's queues stand in line; order.h has the rules and the invariants.
 * The caller serialises.
 */
#include "list.h"
#include "order.h"

#define queue_of(link) aia_container_of(link, struct aia_sched_queue, of_line)

static enum aia_line line_for(__u32 order)
{
	switch (order) {
	case AIACCEL_ORDER_EDF:
		return AIA_LINE_DEADLINES;
	case AIACCEL_ORDER_FIFO:
		return AIA_LINE_AGES;
	default:
		return AIA_LINE_SHARES;
	}
}

static bool is_switching(const struct aia_sched_engine *engine)
{
	return engine->line != line_for(engine->order);
}

/* The trees are empty. */
static void set_line(struct aia_sched_engine *engine, enum aia_line line)
{
	__u32 c;

	engine->line = line;
	for (c = 0; c < AIACCEL_NR_CLASSES; c++)
		engine->root[c].by_key = line != AIA_LINE_SHARES || c == AIACCEL_CLASS_REALTIME;
}

static __u64 deadline_of(const struct aia_sched_queue *queue, const struct aia_sched_job *first)
{
	bool promised = queue->promise.period_ns && queue->class_ == AIACCEL_CLASS_REALTIME;

	return promised ? queue->promise.deadline_ns : first->deadline_ns;
}

static void set_key(struct aia_sched_queue *queue)
{
	const struct aia_sched_job *first;
	struct aia_vtime key = {0};

	/* A look at the job would bring it into the cache, long before it is needed. */
	if (!queue->share.root->by_key)
		return;
	first = aia_sched_queue_first(queue);
	key.low = first->seq;
	if (queue->seat->engine->line != AIA_LINE_AGES)
		key.high = deadline_of(queue, first) - 1; /* none: the last */
	aia_share_set_key(&queue->share, key);
}

static void join(struct aia_sched_queue *queue)
{
	aia_list_add_last(&queue->seat->engine->in_line, &queue->of_line);
	set_key(queue);
	aia_share_join(&queue->share);
}

static void park(struct aia_sched_queue *queue)
{
	aia_list_add_last(&queue->seat->engine->parked, &queue->of_line);
}

void aia_order_line_up(struct aia_sched_queue *queue)
{
	if (queue->of_line.next)
		return;
	if (is_switching(queue->seat->engine))
		park(queue);
	else
		join(queue);
}

void aia_order_drop_out(struct aia_sched_queue *queue)
{
	if (!queue->of_line.next)
		return;
	aia_list_remove(&queue->of_line);
	if (queue->share.queued)
		aia_share_leave(&queue->share);
}

void aia_order_follow_first(struct aia_sched_queue *queue)
{
	if (queue->share.queued)
		set_key(queue);
}

/* Moves one queue; false when none is left to be moved. */
static bool move_one(struct aia_sched_engine *engine)
{
	bool parking = is_switching(engine);
	struct aia_link *from = parking ? &engine->in_line : &engine->parked;
	struct aia_sched_queue *queue = queue_of(from->next);

	if (aia_list_empty(from)) {
		if (parking)
			set_line(engine, line_for(engine->order));
		return parking;
	}
	aia_order_drop_out(queue);
	if (parking)
		park(queue);
	else
		join(queue);
	return true;
}

/* The time after this one: with it, this run of the engine's timers would go on and on. */
static void step(struct aia_timer *timer, __u64 now_ns)
{
	struct aia_sched_engine *engine =
		aia_container_of(timer, struct aia_sched_engine, reorder);
	__u32 left = AIA_ORDER_STEP;

	while (left && move_one(engine))
		left--;
	aia_timer_set(&engine->timers, timer, left ? 0 : now_ns + 1);
}

void aia_sched_set_order(struct aia_sched_engine *engine, __u32 order, __u64 now_ns)
{
	engine->order = order;
	step(&engine->reorder, now_ns);
}

void aia_order_init(struct aia_sched_engine *engine)
{
	aia_list_init(&engine->in_line);
	aia_list_init(&engine->parked);
	engine->reorder.ring = step;
	engine->order = AIACCEL_ORDER_FAIR;
	set_line(engine, AIA_LINE_SHARES);
}

__u32 aia_order_oldest_class(const struct aia_sched_engine *engine)
{
	__u32 oldest = AIACCEL_NR_CLASSES, c;
	struct aia_vtime least = {~0ULL, ~0ULL};

	for (c = 0; c < AIACCEL_NR_CLASSES; c++) {
		struct aia_rb_node *first = aia_rb_first(&engine->root[c].members);
		const struct aia_share *share;

		if (!first)
			continue;
		share = aia_container_of(first, struct aia_share, node);
		if (aia_vtime_before(share->key, least)) {
			least = share->key;
			oldest = c;
		}
	}
	return oldest;
}
