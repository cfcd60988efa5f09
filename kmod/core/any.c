// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Sets of queues, and the places of a job in them; any.h has the rules. choice.c says which
 * place is chosen, turns.c tells and stirs engines. The caller serialises.
 */
#include "any.h"
#include "list.h"

static struct aia_sched_queue *next_of(const struct aia_sched_queue *queue)
{
	return aia_container_of(queue->of_set.next, struct aia_sched_queue, of_set);
}

static struct aia_sched_engine *engine_of(const struct aia_sched_queue *queue)
{
	return queue->seat->engine;
}

/* ---- sets ---- */

int aia_any_takes(const struct aia_sched_queue *other, const struct aia_sched_engine *engine)
{
	const struct aia_sched_queue *member = other;
	__u32 count = 0;

	do {
		if (engine_of(member) == engine || member->promise.period_ns ||
		    ++count == AIACCEL_ANY_MAX)
			return -EINVAL;
		member = next_of(member);
	} while (member != other);
	return 0;
}

void aia_any_join(struct aia_sched_queue *queue, struct aia_sched_queue *other)
{
	aia_list_remove(&queue->of_set);
	aia_list_add_last(&other->of_set, &queue->of_set);
}

__u32 aia_any_slots(const struct aia_sched_queue *queue)
{
	const struct aia_sched_queue *member = queue;
	__u32 most = 0;

	do {
		if (engine_of(member)->slots > most)
			most = engine_of(member)->slots;
		member = next_of(member);
	} while (member != queue);
	return most;
}

/* ---- a job's places ---- */

static bool is_near(const struct aia_any *any, const struct aia_sched_queue *queue)
{
	return any->numa_node >= 0 && engine_of(queue)->numa_node == any->numa_node;
}

static bool goes_before(const struct aia_any *any, const struct aia_sched_queue *a,
			const struct aia_sched_queue *b)
{
	bool near = is_near(any, a);

	return near != is_near(any, b) ? near : engine_of(a)->number < engine_of(b)->number;
}

/* Where the job can be taken, in the order of the places. */
static __u32 gather(const struct aia_any *any, struct aia_sched_queue *queue, __u32 width,
		    struct aia_sched_queue **queues)
{
	struct aia_sched_queue *member = queue;
	__u32 count = 0, i;

	do {
		if (width <= engine_of(member)->slots && !aia_sched_takes_work(engine_of(member))) {
			for (i = count++; i && goes_before(any, member, queues[i - 1]); i--)
				queues[i] = queues[i - 1];
			queues[i] = member;
		}
		member = next_of(member);
	} while (member != queue);
	return count;
}

int aia_any_hold(struct aia_sched_queue *queue, struct aia_sched_job *job, bool after,
		 __u64 now_ns)
{
	struct aia_sched_queue *queues[AIACCEL_ANY_MAX];
	struct aia_any *any = job->any;
	bool may_begin = after, is_home = false;
	__u32 i;

	any->job = job;
	any->count = gather(any, queue, job->width, queues);
	if (!any->count)
		return aia_sched_takes_work(engine_of(queue)) ?: -ESHUTDOWN;
	for (i = 0; i < any->count; i++) {
		may_begin |= !queues[i]->seat->turn;
		is_home |= queues[i] == queue;
	}
	if (!may_begin)
		return -EDEADLK;
	for (i = 0; i < any->count; i++)
		any->places[i] = (struct aia_sched_job){
			.queue = queues[i],
			.state = AIA_SCHED_HELD,
			.any = any,
			.width = job->width,
			.cost_ns = job->cost_ns,
			.deadline_ns = job->deadline_ns,
		};
	aia_sched_take(is_home ? queue : queues[0], job, now_ns);
	return 0;
}

void aia_any_put_in_line(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_any *any = job->any;
	__u32 i;

	job->submitted_ns = now_ns;
	for (i = 0; i < any->count; i++)
		if (any->places[i].queue)
			aia_sched_put_in_line(&any->places[i], now_ns);
}

static void leave_line(struct aia_sched_job *place, __u64 now_ns)
{
	if (place->state == AIA_SCHED_WAITING)
		aia_sched_take_back(place, now_ns);
}

void aia_any_withdraw(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_any *any = job->any;
	__u32 i;

	for (i = 0; i < any->count; i++)
		leave_line(&any->places[i], now_ns);
}

struct aia_sched_job *aia_any_place(const struct aia_sched_job *job,
				    const struct aia_sched_queue *queue)
{
	struct aia_any *any = job->any;
	__u32 i;

	for (i = 0; i < any->count; i++)
		if (any->places[i].queue == queue)
			return &any->places[i];
	return NULL;
}

bool aia_any_give_up(struct aia_sched_job *place, __u64 now_ns)
{
	struct aia_any *any = place->any;
	struct aia_sched_queue *other = NULL;
	__u32 i;

	for (i = 0; i < any->count && !other; i++)
		if (&any->places[i] != place)
			other = any->places[i].queue;
	leave_line(place, now_ns);
	if (!other)
		return false;
	if (any->job->queue == place->queue)
		any->job->queue = other;
	place->queue = NULL;
	return true;
}

struct aia_sched_job *aia_any_take(struct aia_sched_job *place, __u64 now_ns)
{
	struct aia_any *any = place->any;
	__u32 i;

	for (i = 0; i < any->count; i++)
		if (&any->places[i] != place)
			leave_line(&any->places[i], now_ns);
	aia_sched_replace(place, any->job, now_ns);
	return any->job;
}
