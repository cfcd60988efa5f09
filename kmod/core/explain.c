// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What is in a waiting job's way; see explain.h. The caller serialises.
 */
#include "explain.h"
#include "any.h"
#include "choice.h"

static struct aia_explanation because(__u32 why, const struct aia_sched_job *waits_for)
{
	return (struct aia_explanation){.why = why, .waits_for = waits_for};
}

struct aia_explanation aia_explain(const struct aia_sched_job *job)
{
	const struct aia_sched_queue *queue = job->queue;
	const struct aia_sched_engine *engine = queue->seat->engine;
	const struct aia_sched_job *next = engine->wanting;

	if (job->state == AIA_SCHED_HELD && job->any && job == job->any->job)
		return aia_explain(aia_any_place(job, job->queue));
	if (job->state == AIA_SCHED_HELD && job->group)
		return because(AIACCEL_WAIT_GROUP, NULL);
	if (job->state == AIA_SCHED_HELD) /* by another of its context */
		return because(AIACCEL_WAIT_AFTER, job);
	if (job->state != AIA_SCHED_WAITING)
		return because(AIACCEL_WAIT_NOT, NULL);
	if (engine->state == AIACCEL_ENGINE_FAULTED || engine->state == AIACCEL_ENGINE_LEAVING)
		return because(AIACCEL_WAIT_ENGINE, NULL);
	if (queue->seat->turn)
		return because(queue->seat->turn->state != AIA_SCHED_GRANTED ?
				       AIACCEL_WAIT_CONTENDED : AIACCEL_WAIT_OWN,
			       queue->seat->turn);
	if (aia_node_is_held_back(queue->node))
		return because(AIACCEL_WAIT_CEILING, NULL);
	if (engine->wide[queue->class_].paused && !queue->share.queued)
		return because(AIACCEL_WAIT_PASSED, aia_choice_in_way(engine, queue->class_));
	if (next == job)
		return because(AIACCEL_WAIT_SLOTS, aia_choice_in_way(engine, queue->class_));
	if (next && engine->wide[next->queue->class_].keeping)
		return because(AIACCEL_WAIT_KEPT, next);
	return because(AIACCEL_WAIT_ORDER, next);
}
