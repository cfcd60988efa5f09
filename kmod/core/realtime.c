// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Promises of time; realtime.h has the test, its proof and the bounds. The caller serialises.
 */
#include "list.h"
#include "order.h"
#include "realtime.h"
#include "sched.h"

/* Shares of a slot, V, have 20 bits after the point, and are rounded up. */
#define ONE (1ULL << 20)

#define promise_of(link) aia_container_of(link, struct aia_promise, of_promised)

static bool is_longer(const struct aia_rb_node *a, const struct aia_rb_node *b)
{
	return aia_container_of(a, struct aia_promise, of_turns)->turn_ns >
	       aia_container_of(b, struct aia_promise, of_turns)->turn_ns;
}

/* V; more than ONE where there is none. In microseconds, of which a period has 32 bits. */
static __u64 share_of_slot(const struct aia_promise *promise, __u64 longest_ns)
{
	__u64 turn_us = aia_div(promise->turn_ns + 999, 1000);
	__u64 left_us;

	if (promise->period_ns <= longest_ns)
		return ONE + 1;
	left_us = aia_div(promise->period_ns - longest_ns, 1000);
	if (left_us < turn_us)
		return ONE + 1;
	return aia_div(turn_us * ONE + left_us - 1, left_us);
}

static bool can_be_kept(const struct aia_sched_engine *engine)
{
	const struct aia_realtime *realtime = &engine->realtime;
	const struct aia_rb_node *longest = aia_rb_first(&realtime->turns);
	const struct aia_link *link;
	__u64 longest_ns = aia_container_of(longest, struct aia_promise, of_turns)->turn_ns;
	__u64 sum = 0, lost = 0, slots;
	__u32 widest = 0;

	for (link = realtime->promised.next; link != &realtime->promised; link = link->next)
		if (promise_of(link)->width > widest)
			widest = promise_of(link)->width;
	slots = engine->slots - widest + 1;
	for (link = realtime->promised.next; link != &realtime->promised; link = link->next) {
		const struct aia_promise *promise = promise_of(link);
		__u64 share = share_of_slot(promise, longest_ns);

		if (share > ONE)
			return false;
		sum += share * promise->width;
		if (promise->width < slots && (slots - promise->width) * share > lost)
			lost = (slots - promise->width) * share;
	}
	return sum + lost <= slots * ONE &&
	       sum * AIA_CLASSES_PARTS <= slots * ONE * AIA_REALTIME_PARTS;
}

/*
 * Late or not, its deadline is as if it had been in time: else a queue would drift away from its
 * period.
 */
static void ring_release(struct aia_timer *timer, __u64 now_ns)
{
	struct aia_promise *promise = aia_container_of(timer, struct aia_promise, release);
	struct aia_sched_queue *queue = aia_container_of(promise, struct aia_sched_queue, promise);

	(void)now_ns;
	if (!queue->waiting || queue->seat->turn)
		return;
	promise->deadline_ns = promise->next_ns + promise->period_ns;
	aia_order_line_up(queue);
}

void aia_realtime_init(struct aia_sched_engine *engine)
{
	aia_list_init(&engine->realtime.promised);
}

int aia_realtime_join(struct aia_sched_queue *queue, __u64 turn_ns, __u64 period_ns, __u32 width,
		      __u64 now_ns)
{
	struct aia_sched_engine *engine = queue->seat->engine;
	struct aia_realtime *realtime = &engine->realtime;
	struct aia_promise *promise = &queue->promise;

	if (!turn_ns)
		return period_ns ? -EOPNOTSUPP : 0;
	if (width > engine->slots)
		return -EINVAL;
	*promise = (struct aia_promise){
		.turn_ns = turn_ns,
		.period_ns = period_ns,
		.width = width,
		.next_ns = realtime->closed_ns > now_ns ? realtime->closed_ns : 0,
		.release.ring = ring_release,
	};
	aia_rb_insert(&realtime->turns, &promise->of_turns, is_longer);
	if (period_ns) {
		aia_list_add_last(&realtime->promised, &promise->of_promised);
		realtime->nr++;
	}
	if (realtime->nr <= AIA_REALTIME_MAX && (!realtime->nr || can_be_kept(engine)))
		return 0;
	aia_realtime_leave(queue);
	return -EDQUOT;
}

void aia_realtime_leave(struct aia_sched_queue *queue)
{
	struct aia_sched_engine *engine = queue->seat->engine;
	struct aia_realtime *realtime = &engine->realtime;
	struct aia_promise *promise = &queue->promise;

	if (!promise->turn_ns)
		return;
	aia_rb_remove(&realtime->turns, &promise->of_turns);
	if (promise->period_ns) {
		aia_list_remove(&promise->of_promised);
		realtime->nr--;
		aia_timer_set(&engine->timers, &promise->release, 0);
		if (promise->next_ns > realtime->closed_ns)
			realtime->closed_ns = promise->next_ns;
	}
	*promise = (struct aia_promise){0};
}

bool aia_realtime_release(struct aia_sched_queue *queue, __u64 now_ns)
{
	struct aia_timers *timers = &queue->seat->engine->timers;
	struct aia_promise *promise = &queue->promise;

	if (!promise->period_ns || queue->of_line.next)
		return true;
	if (now_ns < promise->next_ns) {
		aia_timer_set(timers, &promise->release, promise->next_ns);
		return false;
	}
	aia_timer_set(timers, &promise->release, 0);
	promise->deadline_ns = now_ns + promise->period_ns;
	return true;
}

void aia_realtime_begin(struct aia_sched_queue *queue, __u64 now_ns)
{
	struct aia_promise *promise = &queue->promise;

	if (promise->period_ns)
		promise->next_ns = promise->deadline_ns ? promise->deadline_ns :
							  now_ns + promise->period_ns;
}
