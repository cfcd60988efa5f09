// SPDX-License-Identifier: GPL-2.0-only
/*
 * A SNAPSHOT: all that STATS has of one moment, told in one hold of aia_turn_lock. Memory is had
 * before, and copied out after it.
 *
 * The hold is bounded by AIACCEL_SNAPSHOT_MAX looks: a record is one, and so is each engine at
 * which a tenant has a place, as its counts are added up. Whoever is not the administrator waits,
 * after a hold of that kind, until eight times as long has gone by: all users together keep others
 * from at most a ninth of the lock's time by this, however many they are and however often they
 * ask.
 *
 * Locking: aia_config_lock around all of it, so that tenants and engines stay; snapshot_lock
 * outside of it, for users only. A holder of that one may wait for the time to come, for eight
 * holds at most.
 */
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "aia.h"

#define REST 8 /* times as long as a hold */

struct snapshot {
	const struct aia_tenant *only;	/* NULL: all are to be seen */
	struct pid_namespace *pids;
	s64 offset_ns;
	u64 now_ns;
	void *to;
	size_t room, bytes;		/* that there are; that it takes */
	u32 looks;
};

static DEFINE_MUTEX(snapshot_lock);
static u64 rested_ns; /* snapshot_lock */

/* ---- records ---- */

static bool too_much(const struct snapshot *snapshot)
{
	return snapshot->looks > AIACCEL_SNAPSHOT_MAX;
}

/* Where a record goes; NULL where there is no room, and then it is only counted. */
static void *add_record(struct snapshot *snapshot, u32 kind, u32 size)
{
	struct aiaccel_stats_head *head = snapshot->to + snapshot->bytes;
	u32 bytes = sizeof(*head) + size;

	snapshot->looks++;
	snapshot->bytes += bytes;
	if (snapshot->bytes > snapshot->room)
		return NULL;
	*head = (struct aiaccel_stats_head){ .kind = kind, .bytes = bytes };
	return head + 1;
}

static bool is_wanted(const struct snapshot *snapshot, const struct aia_tenant *tenant)
{
	return !snapshot->only || tenant == snapshot->only;
}

static void add_turn_locked(struct snapshot *snapshot, const struct aia_turn *turn, s32 pid)
{
	struct aiaccel_stats_turn *out;

	lockdep_assert_held(&aia_turn_lock);
	out = add_record(snapshot, AIACCEL_STATS_TURNS, sizeof(*out));
	if (!out)
		return;
	aia_turns_tell(turn,
		       container_of(turn->job.queue->seat->engine, struct aia_engine, sched)->id,
		       snapshot->only ? snapshot->only->id : 0, snapshot->offset_ns,
		       snapshot->now_ns, out);
	out->pid = pid;
}

static void add_context_locked(struct snapshot *snapshot, struct aia_context *ctx)
{
	s32 pid = pid_nr_ns(ctx->pid, snapshot->pids);
	const struct aia_turn *turn = NULL;
	struct aiaccel_stats_context *context;
	struct aiaccel_stats_queue *record;
	struct aia_queue *queue;

	lockdep_assert_held(&aia_turn_lock);
	context = add_record(snapshot, AIACCEL_STATS_CONTEXTS, sizeof(*context));
	if (context)
		aia_usage_locked(ctx, context, snapshot->pids);
	list_for_each_entry(queue, &ctx->queues, of_context) {
		record = add_record(snapshot, AIACCEL_STATS_QUEUES, sizeof(*record));
		if (record)
			aia_stats_queue_locked(record, queue, snapshot->pids);
	}
	if (!ctx->turns.live)
		return;
	while ((turn = aia_turns_next(&ctx->turns, turn)))
		if (aia_turns_state(turn))
			add_turn_locked(snapshot, turn, pid);
}

static void add_engines_locked(struct snapshot *snapshot)
{
	struct aiaccel_stats_engine *record;
	struct aia_engine *engine;
	u32 id = 0;

	lockdep_assert_held(&aia_turn_lock);
	/* None goes under aia_config_lock, so that putting one never frees it. */
	while (!too_much(snapshot) && (engine = aia_engine_next(&id))) {
		record = add_record(snapshot, AIACCEL_STATS_ENGINES, sizeof(*record));
		if (record)
			aia_stats_engine_locked(record, engine);
		aia_engine_put(engine);
	}
}

/* ---- tenants ---- */

/* The record that describe_tenants_locked() left for one, or NULL. */
static struct aiaccel_stats_tenant *next_described(struct snapshot *snapshot, size_t *at)
{
	const struct aiaccel_stats_head *head = snapshot->to + *at;
	struct aiaccel_stats_tenant *record = (void *)(head + 1);

	*at += sizeof(*head) + sizeof(*record);
	return *at > snapshot->room ? NULL : record;
}

/* What may take time: their names and settings. */
static void describe_tenants_locked(struct snapshot *snapshot, char *path)
{
	struct aiaccel_stats_tenant *record;
	struct aia_tenant *tenant;
	u64 id = 0;

	lockdep_assert_held(&aia_config_lock);
	while (!too_much(snapshot) && (tenant = aia_tenant_next_locked(&id))) {
		if (!is_wanted(snapshot, tenant))
			continue;
		record = add_record(snapshot, AIACCEL_STATS_TENANTS, sizeof(*record));
		if (record)
			aia_tenant_describe_locked(tenant, record, path);
	}
}

static void add_tenants_locked(struct snapshot *snapshot)
{
	struct aiaccel_stats_tenant *record;
	struct aia_tenant *tenant;
	struct aia_context *ctx;
	size_t at = 0;
	u64 id = 0;

	lockdep_assert_held(&aia_turn_lock);
	while (!too_much(snapshot) && (tenant = aia_tenant_next_locked(&id))) {
		if (!is_wanted(snapshot, tenant))
			continue;
		record = next_described(snapshot, &at);
		if (record)
			snapshot->looks += aia_tenant_count_locked(tenant, record);
		list_for_each_entry(ctx, &tenant->open, of_tenant) {
			if (too_much(snapshot))
				break;
			add_context_locked(snapshot, ctx);
		}
	}
}

/* ---- taking it ---- */

/* Returns how long others waited. */
static u64 hold(struct snapshot *snapshot)
{
	lockdep_assert_held(&aia_config_lock);
	spin_lock(&aia_turn_lock);
	snapshot->now_ns = ktime_get_ns();
	add_engines_locked(snapshot);
	add_tenants_locked(snapshot);
	spin_unlock(&aia_turn_lock);
	return ktime_get_ns() - snapshot->now_ns;
}

static int take(struct snapshot *snapshot, char *path, u64 *held_ns)
{
	if (mutex_lock_killable(&aia_config_lock))
		return -EINTR;
	describe_tenants_locked(snapshot, path);
	*held_ns = too_much(snapshot) ? 0 : hold(snapshot);
	mutex_unlock(&aia_config_lock);
	return too_much(snapshot) ? -EMSGSIZE : 0;
}

static int wait_until(u64 ns)
{
	ktime_t time = ns_to_ktime(ns);

	while (ktime_get_ns() < ns) {
		if (fatal_signal_pending(current))
			return -EINTR;
		set_current_state(TASK_KILLABLE);
		schedule_hrtimeout(&time, HRTIMER_MODE_ABS);
	}
	return 0;
}

static int take_as_user(struct snapshot *snapshot, char *path)
{
	u64 held_ns = 0;
	int err;

	if (mutex_lock_killable(&snapshot_lock))
		return -EINTR;
	err = wait_until(rested_ns) ?: take(snapshot, path, &held_ns);
	if (held_ns)
		rested_ns = ktime_get_ns() + REST * held_ns;
	mutex_unlock(&snapshot_lock);
	return err;
}

static int settle(struct aia_tenant *only)
{
	struct aia_tenant *tenant;
	u64 id = 0;
	int err = 0;

	if (only)
		return aia_policy_settle(only);
	while (!err && (tenant = aia_tenant_next(&id))) {
		err = aia_policy_settle(tenant);
		aia_tenant_put(tenant);
		cond_resched();
	}
	return err;
}

int aia_snapshot(struct aiaccel_stats *arg, struct aia_tenant *only)
{
	struct snapshot snapshot = {
		.only = only,
		.pids = task_active_pid_ns(current),
		.offset_ns = aia_time_offset_ns(),
		/* No record is longer than a tenant's. */
		.room = min_t(u64, (u64)arg->count * 8,
			      AIACCEL_SNAPSHOT_MAX * (sizeof(struct aiaccel_stats_head) +
						      sizeof(struct aiaccel_stats_tenant))),
	};
	char *path = kmalloc(AIA_PATH_BYTES, GFP_KERNEL_ACCOUNT);
	u64 held_ns;
	int err;

	snapshot.to = kvmalloc(snapshot.room, GFP_KERNEL_ACCOUNT);
	err = path && snapshot.to ? settle(only) : -ENOMEM;
	if (!err)
		err = only ? take_as_user(&snapshot, path) : take(&snapshot, path, &held_ns);
	if (!err) {
		arg->count = snapshot.bytes / 8;
		arg->time_ns = snapshot.now_ns + snapshot.offset_ns;
		if (snapshot.bytes <= snapshot.room &&
		    copy_to_user(u64_to_user_ptr(arg->records), snapshot.to, snapshot.bytes))
			err = -EFAULT;
	}
	kvfree(snapshot.to);
	kfree(path);
	return err;
}
