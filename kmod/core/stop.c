// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Turns whose work a provider is told to stop; see stop.h. The caller serialises.
 */
#include "stop.h"
#include "list.h"
#include "sched.h"

static struct aia_stop *take_first(struct aia_link *list)
{
	struct aia_stop *stop = aia_container_of(list->next, struct aia_stop, of_stops);

	aia_list_remove(&stop->of_stops);
	return stop;
}

void aia_stops_init(struct aia_sched_engine *engine, struct aia_stop *entries, __u64 longest_ns)
{
	__u32 i;

	aia_list_init(&engine->stops.free);
	aia_list_init(&engine->stops.due);
	engine->stops.possible = true;
	engine->stops.longest_ns = longest_ns;
	for (i = 0; i < engine->slots; i++)
		aia_list_add_last(&engine->stops.free, &entries[i].of_stops);
}

__u64 aia_stops_longest_ns(const struct aia_sched_engine *engine)
{
	return (3ULL * (engine->slots - 1) + 1) * engine->stops.longest_ns;
}

struct aia_stop *aia_stop_begin(struct aia_sched_job *job)
{
	struct aia_sched_engine *engine = job->queue->seat->engine;
	struct aia_stop *stop = take_first(&engine->stops.free);

	stop->engine = engine;
	stop->job = job;
	stop->class_ = job->class_;
	stop->width = job->width;
	aia_list_add_last(&engine->stops.due, &stop->of_stops);
	engine->stops.slots += job->width;
	aia_terms_forget(job);
	aia_sched_ask(job); /* nobody else needs to make room for who waits for these slots */
	job->state = AIA_SCHED_STOPPING;
	job->stop = stop;
	return stop;
}

void aia_stop_leave(struct aia_sched_job *job, __u64 now_ns)
{
	struct aia_stop *stop = job->stop;
	struct aia_sched_engine *engine = stop->engine;

	stop->job = NULL;
	stop->node = job->queue->node;
	stop->left_ns = now_ns;
	aia_sched_complete(job, now_ns);
	stop->node->stops++;
	aia_node_count_turns(stop->node, 1, 0, 0, 0, now_ns);
	engine->slots_used += stop->width;
	engine->slots_yielding += stop->width;
	engine->classes.held[stop->class_] += stop->width;
}

/* Its slots go, for a job whose queue went. */
static void end_left(struct aia_stop *stop, __u64 now_ns)
{
	struct aia_sched_engine *engine = stop->engine;
	struct aia_sched_node *node = stop->node;
	__u64 ns = aia_since_ns(stop->left_ns, now_ns);
	__u64 paid = (ns < AIA_SCHED_TURN_MAX_NS ? ns : AIA_SCHED_TURN_MAX_NS) * stop->width;

	engine->slots_used -= stop->width;
	engine->slots_yielding -= stop->width;
	engine->classes.held[stop->class_] -= stop->width;
	engine->busy_ns += paid;
	node->busy_ns += paid;
	node->stops--;
	aia_share_charge(&node->share[stop->class_], paid, 0, 0);
	aia_node_count_turns(node, -1U, paid, 0, 0, now_ns);
}

void aia_stop_end(struct aia_stop *stop, __u64 now_ns)
{
	struct aia_sched_engine *engine = stop->engine;

	if (stop->job)
		aia_sched_complete(stop->job, now_ns);
	else
		end_left(stop, now_ns);
	engine->stops.slots -= stop->width;
	aia_list_add_last(&engine->stops.free, &stop->of_stops);
}

bool aia_stop_is_due(const struct aia_sched_engine *engine)
{
	return engine->stops.possible && !aia_list_empty(&engine->stops.due);
}

struct aia_stop *aia_stop_next(struct aia_sched_engine *engine)
{
	return aia_stop_is_due(engine) ? take_first(&engine->stops.due) : NULL;
}
