// SPDX-License-Identifier: GPL-2.0-only
/*
 * CONTROL and REVOKE: what the administrator does to engines and to the turns of others.
 *
 * Both go through all queues one at a time, and hold aia_turn_lock for one queue: no longer than a
 * context's exit does. So other calls come between. CONTROL looks at the engine's state each time;
 * REVOKE leaves alone turns that began after it did, unless waiting jobs are to end as well.
 */
#include <linux/capability.h>
#include <linux/ktime.h>

#include "aia.h"

/* The first queue from *number on, which is moved past it; false when there is none. */
static bool fail_next_waiting(unsigned long *number)
{
	struct aia_news news = {};
	struct aia_queue *queue;

	spin_lock(&aia_turn_lock);
	queue = aia_queue_next_locked(number);
	if (queue && queue->engine->sched.state == AIACCEL_ENGINE_LEAVING)
		aia_turns_fail_waiting(&queue->ctx->turns, &queue->sched, ktime_get_ns(),
				       &news);
	aia_turn_unlock(&news);
	return queue;
}

/* A leaving engine took its last job before this is called. */
static void fail_waiting(void)
{
	unsigned long number = 0;

	while (fail_next_waiting(&number))
		cond_resched();
}

int aia_control(struct aia_call *call)
{
	struct aiaccel_control *arg = call->arg;
	struct aia_engine *engine = NULL;
	int err;

	err = aia_check_control(arg);
	if (err)
		return err;
	if (arg->engine) {
		engine = aia_engine_get(arg->engine);
		if (!engine)
			return -ENOENT;
	}
	if (!capable(CAP_SYS_ADMIN)) {
		err = -EPERM;
	} else if (engine) {
		err = aia_engine_control(engine, arg->state, arg->order);
	} else {
		aia_engine_control_all(arg->state, arg->order);
		if (arg->state == AIACCEL_ENGINE_LEAVING)
			fail_waiting();
	}
	if (engine)
		aia_engine_put(engine);
	return err;
}

/* ---- revoking ---- */

/* Whose turns are meant; what is NULL or 0 does not matter. */
struct target {
	u64 context;
	struct aia_tenant *tenant;
	struct aia_engine *engine;
};

static bool is_below(const struct aia_tenant *tenant, const struct aia_tenant *top)
{
	while (tenant && tenant != top)
		tenant = tenant->parent;
	return tenant;
}

static bool is_owned(const struct aia_queue *queue, const struct target *target)
{
	return target->tenant ? is_below(queue->ctx->tenant, target->tenant) :
				queue->ctx->number == target->context;
}

/* Jobs that are to fail do so in a pass before the @last one: freed slots would go to them. */
static u32 revoke_locked(struct aia_queue *queue, u32 flags, bool last, u64 began_ns,
			 struct aia_news *news)
{
	const struct aia_sched_job *turn = queue->sched.seat->turn;
	struct aia_turns *turns = &queue->ctx->turns;
	u64 now_ns = ktime_get_ns();
	u32 count = 0;

	lockdep_assert_held(&aia_turn_lock);
	if (flags & AIACCEL_REVOKE_WAITING)
		count += aia_turns_fail_waiting(turns, &queue->sched, now_ns, news);
	if (!last)
		return count;
	if (turn && ((flags & AIACCEL_REVOKE_WAITING) || turn->granted_ns <= began_ns))
		count += aia_turns_revoke(&queue->sched, now_ns, news);
	return count;
}

/* What a walk over all queues has come to. */
struct walk {
	u64 began_ns;
	unsigned long number;	/* of the next queue */
	bool found;
	u32 count;
};

/* False when there is no queue left. */
static bool revoke_next(const struct target *target, u32 flags, bool last, struct walk *walk)
{
	struct aia_news news = {};
	struct aia_queue *queue;

	spin_lock(&aia_turn_lock);
	queue = aia_queue_next_locked(&walk->number);
	if (queue && is_owned(queue, target)) {
		walk->found = true;
		if (!target->engine || queue->engine == target->engine)
			walk->count += revoke_locked(queue, flags, last, walk->began_ns, &news);
	}
	aia_turn_unlock(&news);
	return queue;
}

/* -ENOENT when the context has no queue. */
static int revoke(const struct target *target, u32 flags, bool last, u32 *count)
{
	struct walk walk = {
		.began_ns = ktime_get_ns(),
		.found = target->tenant || *count,
	};

	while (revoke_next(target, flags, last, &walk))
		cond_resched();
	*count += walk.count;
	return walk.found ? 0 : -ENOENT;
}

static int find_tenant(u64 id, struct aia_tenant **tenant)
{
	u64 next = id;

	*tenant = aia_tenant_next(&next);
	if (*tenant && (*tenant)->id == id)
		return 0;
	if (*tenant)
		aia_tenant_put(*tenant);
	return -ENOENT;
}

int aia_revoke(struct aia_call *call)
{
	struct aiaccel_revoke *arg = call->arg;
	struct target target = {.context = arg->context};
	int err;

	err = aia_check_revoke(arg);
	if (err)
		return err;
	/* Before anything is looked for: what others have is not for everybody to find out. */
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (arg->tenant) {
		err = find_tenant(arg->tenant, &target.tenant);
		if (err)
			return err;
	}
	if (arg->engine) {
		target.engine = aia_engine_get(arg->engine);
		err = target.engine ? 0 : -ENOENT;
	}
	arg->count = 0;
	/* Whether the count can be told is found out before there is anything to tell. */
	if (!err)
		err = aia_reply(call);
	if (!err && (arg->flags & AIACCEL_REVOKE_WAITING))
		err = revoke(&target, arg->flags, false, &arg->count);
	if (!err)
		err = revoke(&target, arg->flags, true, &arg->count);
	if (target.engine)
		aia_engine_put(target.engine);
	if (target.tenant)
		aia_tenant_put(target.tenant);
	return err ?: aia_reply(call);
}
