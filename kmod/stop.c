// SPDX-License-Identifier: GPL-2.0-only
/*
 * Providers are told to stop the work of turns, and engines that are broken grant nothing.
 *
 * stop() is called by a work item of the engine, so for one turn at a time, and with no lock held.
 * Whoever goes meanwhile (the holder that completes, its queue, its context) leaves the core's
 * entry behind; the engine goes after the work was waited for (aia_stop_finish). A watchdog runs
 * beside each call.
 *
 * What an engine's state is comes from what the administrator told it (`told`) and from what is
 * wrong with it (`faults`):
 *   GONE	it is unregistered: faulted for ever
 *   PROVIDER	the provider said so; until it says that it works again
 *   STOP	a stop() took too long; until the provider says so, or the administrator tells it to
 *		be active after that stop() has returned
 * One that is told to leave is leaving, faulted or not: neither grants anything.
 *
 * Locking: all of it is under aia_turn_lock.
 */
#include <linux/export.h>
#include <linux/ktime.h>
#include <linux/printk.h>
#include <linux/workqueue.h>

#include "aia.h"

/* ---- what state it is in ---- */

static void settle_locked(struct aia_engine *engine)
{
	u32 state = engine->told;

	lockdep_assert_held(&aia_turn_lock);
	if (engine->faults && state != AIACCEL_ENGINE_LEAVING)
		state = AIACCEL_ENGINE_FAULTED;
	if (engine->faults & AIA_FAULT_GONE)
		state = AIACCEL_ENGINE_FAULTED;
	WRITE_ONCE(engine->sched.state, state);
}

static bool is_stuck_locked(const struct aia_engine *engine)
{
	return (engine->faults & AIA_FAULT_PROVIDER) || engine->overdue;
}

bool aia_engine_is_stuck_locked(const struct aia_engine *engine)
{
	lockdep_assert_held(&aia_turn_lock);
	return is_stuck_locked(engine);
}

void aia_engine_tell_locked(struct aia_engine *engine, u32 state)
{
	lockdep_assert_held(&aia_turn_lock);
	engine->told = state;
	if (state == AIACCEL_ENGINE_ACTIVE && !is_stuck_locked(engine))
		engine->faults &= AIA_FAULT_GONE;
	settle_locked(engine);
}

void aia_engine_go_locked(struct aia_engine *engine)
{
	lockdep_assert_held(&aia_turn_lock);
	engine->faults |= AIA_FAULT_GONE;
	settle_locked(engine);
}

/* ---- faults ---- */

static void fault_locked(struct aia_engine *engine, u32 fault)
{
	lockdep_assert_held(&aia_turn_lock);
	engine->faults |= fault;
	settle_locked(engine);
}

/* False when none is left, or the engine works again. */
static bool revoke_next(struct aia_engine *engine, u32 fault, bool runs_on)
{
	struct aia_news news = {};
	bool any;

	spin_lock(&aia_turn_lock);
	any = (engine->faults & fault) &&
	      aia_turns_fault_next(&engine->sched, runs_on, ktime_get_ns(), &news);
	aia_turn_unlock(&news);
	return any;
}

void aia_engine_fault(struct aia_engine *engine)
{
	spin_lock(&aia_turn_lock);
	fault_locked(engine, AIA_FAULT_PROVIDER);
	spin_unlock(&aia_turn_lock);
	while (revoke_next(engine, AIA_FAULT_PROVIDER, false))
		cond_resched();
}
EXPORT_SYMBOL_GPL(aia_engine_fault);

int aia_engine_recover(struct aia_engine *engine)
{
	struct aia_news news = {};
	int err = 0;

	spin_lock(&aia_turn_lock);
	if (engine->overdue) {
		err = -EBUSY;
	} else {
		engine->faults &= AIA_FAULT_GONE;
		settle_locked(engine);
		aia_turns_stir(&engine->sched, &news);
	}
	aia_turn_unlock(&news);
	return err;
}
EXPORT_SYMBOL_GPL(aia_engine_recover);

/* ---- stopping ---- */

static void watch(struct work_struct *work)
{
	struct aia_engine *engine = container_of(to_delayed_work(work), struct aia_engine,
						 watchdog);

	pr_warn_ratelimited("aiaccel: %s: its driver did not stop a turn within %u ms; faulted\n",
			    engine->name, AIA_STOP_MS);
	spin_lock(&aia_turn_lock);
	engine->overdue = true;
	fault_locked(engine, AIA_FAULT_STOP);
	spin_unlock(&aia_turn_lock);
	/* The others' work may run on: it is stopped once this one is. */
	while (revoke_next(engine, AIA_FAULT_STOP, true))
		cond_resched();
}

static struct aia_stop *next_stop(struct aia_engine *engine, struct aia_engine_turn *turn)
{
	struct aia_stop *stop = NULL;

	spin_lock(&aia_turn_lock);
	if (!(engine->faults & AIA_FAULT_GONE))
		stop = aia_stop_next(&engine->sched);
	if (stop)
		*turn = (struct aia_engine_turn){
			.context = stop->context,
			.cookie = stop->cookie,
			.generation = stop->generation,
			.width = stop->width,
			.pid = stop->pid,
		};
	spin_unlock(&aia_turn_lock);
	return stop;
}

static void end_stop(struct aia_engine *engine, struct aia_stop *stop)
{
	struct aia_news news = {};

	spin_lock(&aia_turn_lock);
	engine->overdue = false;
	aia_turns_stopped(stop, ktime_get_ns(), &news);
	aia_turn_unlock(&news);
}

static void stop_all(struct work_struct *work)
{
	struct aia_engine *engine = container_of(work, struct aia_engine, stop_work);
	struct aia_engine_turn turn;
	struct aia_stop *stop;

	while ((stop = next_stop(engine, &turn))) {
		queue_delayed_work(aia_workqueue, &engine->watchdog, msecs_to_jiffies(AIA_STOP_MS));
		engine->stop(engine->data, &turn);
		cancel_delayed_work_sync(&engine->watchdog);
		end_stop(engine, stop);
	}
}

void aia_stop_init(struct aia_engine *engine, u64 stop_ns)
{
	INIT_WORK(&engine->stop_work, stop_all);
	INIT_DELAYED_WORK(&engine->watchdog, watch);
	if (engine->stop)
		aia_stops_init(&engine->sched, engine->stops, stop_ns);
}

void aia_stop_kick_locked(struct aia_engine *engine)
{
	lockdep_assert_held(&aia_turn_lock);
	if (aia_stop_is_due(&engine->sched) && !(engine->faults & AIA_FAULT_GONE))
		queue_work(aia_workqueue, &engine->stop_work);
}

static struct aia_stop *next_left(struct aia_engine *engine)
{
	struct aia_stop *stop;

	spin_lock(&aia_turn_lock);
	stop = aia_stop_next(&engine->sched);
	spin_unlock(&aia_turn_lock);
	return stop;
}

void aia_stop_finish(struct aia_engine *engine)
{
	struct aia_stop *stop;

	cancel_work_sync(&engine->stop_work);
	while ((stop = next_left(engine)))
		end_stop(engine, stop);
}
