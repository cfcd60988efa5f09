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
	aia_sched_complete(job, now_ns);
	engine->slots_used += stop->width;
	engine->slots_yielding += stop->width;
	engine->classes.held[stop->class_] += stop->width;
}

void aia_stop_end(struct aia_stop *stop, __u64 now_ns)
{
	struct aia_sched_engine *engine = stop->engine;

	if (stop->job) {
		aia_sched_complete(stop->job, now_ns);
	} else {
		engine->slots_used -= stop->width;
		engine->slots_yielding -= stop->width;
		engine->classes.held[stop->class_] -= stop->width;
	}
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
