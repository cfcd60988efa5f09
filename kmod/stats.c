// SPDX-License-Identifier: GPL-2.0-only
/*
 * STATS: records of one kind, one after the other (a SNAPSHOT is in snapshot.c). Each is filled in
 * under its lock and copied out under none, so that a caller whose memory is slow to fault in holds
 * up nobody; records of one call need not be of one moment.
 */
#include <linux/capability.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "aia.h"

/* Where records go. */
struct listing {
	void __user *to;
	u32 fit;		/* how many */
	u32 record_size;
	u32 count;		/* how many there are */
};

static int put_record(struct listing *listing, const void *record, u32 size)
{
	void __user *to = listing->to + (u64)listing->count * listing->record_size;
	u32 bytes = min(size, listing->record_size);

	if (listing->count++ >= listing->fit)
		return 0;
	if (copy_to_user(to, record, bytes) ||
	    clear_user(to + bytes, listing->record_size - bytes))
		return -EFAULT;
	return 0;
}

void aia_stats_engine_locked(struct aiaccel_stats_engine *out, struct aia_engine *engine)
{
	lockdep_assert_held(&aia_turn_lock);
	*out = (struct aiaccel_stats_engine){
		.id = engine->id,
		.state = engine->sched.state,
		.slots = engine->sched.slots,
		.slots_used = engine->sched.slots_used,
		.jobs_waiting = engine->sched.waiting,
		.queues = engine->nr_queues,
		.granted = engine->sched.granted,
		.busy_ns = engine->sched.busy_ns,
		.device_bytes = engine->bytes.max,
		.reserved_bytes = aia_engine_reserved_bytes(engine),
		.wait = engine->sched.wait,
		.run = engine->sched.run,
	};
}

static int list_engines(struct listing *listing)
{
	struct aiaccel_stats_engine record;
	struct aia_engine *engine;
	u32 id = 0;
	int err = 0;

	while (!err && (engine = aia_engine_next(&id))) {
		spin_lock(&aia_turn_lock);
		aia_stats_engine_locked(&record, engine);
		spin_unlock(&aia_turn_lock);
		aia_engine_put(engine);
		err = put_record(listing, &record, sizeof(record));
	}
	return err;
}

static int put_tenant(struct listing *listing, struct aia_tenant *tenant, char *path)
{
	struct aiaccel_stats_tenant record;

	int err = aia_policy_settle(tenant);

	if (err)
		return err;
	aia_tenant_stats(tenant, &record, path);
	return put_record(listing, &record, sizeof(record));
}

static int list_tenants(struct listing *listing, struct aia_tenant *only)
{
	struct aia_tenant *tenant;
	u64 id = 0;
	char *path;
	int err = 0;

	path = kmalloc(AIA_PATH_BYTES, GFP_KERNEL_ACCOUNT);
	if (!path)
		return -ENOMEM;
	if (only)
		err = put_tenant(listing, only, path);
	while (!only && !err && (tenant = aia_tenant_next(&id))) {
		err = put_tenant(listing, tenant, path);
		aia_tenant_put(tenant);
		cond_resched();
	}
	kfree(path);
	return err;
}

void aia_stats_queue_locked(struct aiaccel_stats_queue *record, const struct aia_queue *queue,
			    struct pid_namespace *pids)
{
	const struct aia_sched_queue *sched = &queue->sched;
	const struct aia_sched_job *turn = aia_sched_queue_turn(sched);
	const struct aia_context *ctx = queue->ctx;

	lockdep_assert_held(&aia_turn_lock);
	*record = (struct aiaccel_stats_queue){
		.context = ctx->number,
		.tenant = ctx->tenant->id,
		.engine = queue->engine->id,
		.id = queue->object.id,
		.class_ = sched->class_,
		.weight = queue->weight,
		.waiting = sched->waiting,
		.slots_held = turn ? turn->width : 0,
		.pid = pid_nr_ns(ctx->pid, pids),
		.submitted = sched->submitted,
		.granted = sched->granted,
		.completed = sched->completed,
		.wait_ns = sched->wait_ns,
		.run_ns = sched->run_ns,
		.max_wait_ns = sched->max_wait_ns,
		.wait = sched->wait,
		.run = sched->run,
	};
	memcpy(record->comm, ctx->comm, sizeof(record->comm));
	memcpy(record->label, queue->who.label, sizeof(record->label));
}

static int list_queues(struct listing *listing, const struct aia_tenant *only)
{
	struct pid_namespace *pids = task_active_pid_ns(current);
	struct aiaccel_stats_queue record;
	struct aia_queue *queue;
	unsigned long number = 0;
	bool wanted;
	int err = 0;

	BUILD_BUG_ON(sizeof(record.comm) != TASK_COMM_LEN);
	while (!err) {
		spin_lock(&aia_turn_lock);
		queue = aia_queue_next_locked(&number);
		wanted = queue && (!only || queue->ctx->tenant == only);
		if (wanted)
			aia_stats_queue_locked(&record, queue, pids);
		spin_unlock(&aia_turn_lock);
		if (!queue)
			break;
		if (wanted)
			err = put_record(listing, &record, sizeof(record));
		cond_resched();
	}
	return err;
}

static int list_contexts(struct listing *listing, const struct aia_tenant *only)
{
	struct pid_namespace *pids = task_active_pid_ns(current);
	struct aiaccel_stats_context record;
	struct aia_context *ctx;
	unsigned long index = 0;
	bool wanted;
	int err = 0;

	while (!err) {
		spin_lock(&aia_turn_lock);
		ctx = aia_context_next_locked(&index);
		wanted = ctx && (!only || ctx->tenant == only);
		if (wanted)
			aia_usage_locked(ctx, &record, pids);
		spin_unlock(&aia_turn_lock);
		if (!ctx)
			break;
		if (wanted)
			err = put_record(listing, &record, sizeof(record));
		cond_resched();
	}
	return err;
}

static void fill_reservation_locked(struct aiaccel_stats_reservation *record,
				    const struct aia_reservation *reservation,
				    struct pid_namespace *pids)
{
	const struct aia_context *ctx = reservation->ctx;

	lockdep_assert_held(&aia_limit_lock);
	*record = (struct aiaccel_stats_reservation){
		.context = ctx->number,
		.tenant = ctx->tenant->id,
		.engine = reservation->engine->id,
		.id = reservation->object.id,
		.bytes = reservation->bytes,
		.pid = pid_nr_ns(ctx->pid, pids),
	};
	memcpy(record->comm, ctx->comm, sizeof(record->comm));
}

static int list_reservations(struct listing *listing, const struct aia_tenant *only)
{
	struct pid_namespace *pids = task_active_pid_ns(current);
	struct aiaccel_stats_reservation record;
	struct aia_reservation *reservation;
	unsigned long number;
	bool wanted;
	int err = 0;

	for (number = 0; !err; number++) {
		spin_lock(&aia_limit_lock);
		reservation = xa_find(&aia_reservations, &number, U32_MAX, XA_PRESENT);
		wanted = reservation && (!only || reservation->ctx->tenant == only);
		if (wanted)
			fill_reservation_locked(&record, reservation, pids);
		spin_unlock(&aia_limit_lock);
		if (!reservation)
			break;
		if (wanted)
			err = put_record(listing, &record, sizeof(record));
		cond_resched();
	}
	return err;
}

/* ---- turns: those of each queue, then those of each engine that ended ---- */

/* As many are copied in one hold of aia_turn_lock. */
#define RECORDS AIA_TURNS_MAX

/*
 * Of a cgroup also what it did when it was there before, under another number. A uid may be another
 * one's by now; a cgroup's number is given to no other.
 */
static bool is_of(const struct aia_history_who *who, const struct aia_tenant *tenant)
{
	if (tenant->kind != AIACCEL_TENANT_CGROUP)
		return who->tenant == tenant->id;
	return who->kind == tenant->kind && who->source_id == tenant->source_id;
}

/* A caller in another pid namespace is told no numbers that mean others there. */
static int put_turns(struct listing *listing, const struct aia_history_record *records, u32 count,
		     u32 engine, const struct aia_tenant *only, const s32 *pid)
{
	struct aiaccel_stats_turn turn;
	s64 offset_ns = aia_time_offset_ns();
	u32 i;
	int err = 0;

	for (i = 0; i < count && !err; i++) {
		if (only && !is_of(&records[i].who, only))
			continue;
		aia_history_tell(&records[i], engine, offset_ns, &turn);
		if (pid)
			turn.pid = *pid;
		err = put_record(listing, &turn, sizeof(turn));
	}
	return err;
}

static int list_live_turns(struct listing *listing, const struct aia_tenant *only,
			   struct aia_history_record *records)
{
	struct pid_namespace *pids = task_active_pid_ns(current);
	struct aia_queue *queue;
	unsigned long number = 0;
	u32 count, engine;
	int err = 0;
	s32 pid;

	while (!err) {
		count = 0;
		spin_lock(&aia_turn_lock);
		queue = aia_queue_next_locked(&number);
		if (queue && (!only || queue->ctx->tenant == only)) {
			count = aia_turns_list(&queue->ctx->turns, &queue->sched, records,
					       ktime_get_ns());
			engine = queue->engine->id;
			pid = pid_nr_ns(queue->ctx->pid, pids);
		}
		spin_unlock(&aia_turn_lock);
		if (!queue)
			break;
		if (count)
			err = put_turns(listing, records, count, engine, only, &pid);
		cond_resched();
	}
	return err;
}

/* What is added meanwhile is left out. */
static int list_ended_turns(struct listing *listing, const struct aia_tenant *only,
			    struct aia_history_record *records, struct aia_engine *engine)
{
	const s32 none = 0;
	const s32 *pid = task_active_pid_ns(current) == &init_pid_ns ? NULL : &none;
	u64 from = 0, end = 0;
	u32 count;
	int err;

	do {
		spin_lock(&aia_turn_lock);
		end = end ?: engine->history.added;
		count = aia_history_read(&engine->history, &from, records, RECORDS);
		spin_unlock(&aia_turn_lock);
		err = put_turns(listing, records, count, engine->id, only, pid);
		cond_resched();
	} while (!err && count && from < end);
	return err;
}

static int list_turns(struct listing *listing, const struct aia_tenant *only)
{
	struct aia_history_record *records;
	struct aia_engine *engine;
	u32 id = 0;
	int err;

	records = kvmalloc_array(RECORDS, sizeof(*records), GFP_KERNEL_ACCOUNT);
	if (!records)
		return -ENOMEM;
	err = list_live_turns(listing, only, records);
	while (!err && (engine = aia_engine_next(&id))) {
		err = list_ended_turns(listing, only, records, engine);
		aia_engine_put(engine);
	}
	kvfree(records);
	return err;
}

int aia_stats(struct aia_call *call)
{
	struct aiaccel_stats *arg = call->arg;
	struct aia_tenant *only = NULL;
	struct listing listing;
	int err;

	err = aia_check_stats(arg);
	if (err)
		return err;
	/* Not audited: every watcher asks, and most have not got it. */
	if (arg->kind != AIACCEL_STATS_ENGINES &&
	    !ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN))
		only = call->ctx->tenant;
	listing = (struct listing){
		.to = u64_to_user_ptr(arg->records),
		.fit = arg->count,
		.record_size = arg->record_size,
	};
	arg->time_ns = ktime_get_ns() + aia_time_offset_ns();
	switch (arg->kind) {
	case AIACCEL_STATS_ENGINES:
		err = list_engines(&listing);
		break;
	case AIACCEL_STATS_TENANTS:
		err = list_tenants(&listing, only);
		break;
	case AIACCEL_STATS_QUEUES:
		err = list_queues(&listing, only);
		break;
	case AIACCEL_STATS_RESERVATIONS:
		err = list_reservations(&listing, only);
		break;
	case AIACCEL_STATS_SNAPSHOT:
		err = aia_snapshot(arg, only);
		return err ?: aia_reply(call);
	case AIACCEL_STATS_CONTEXTS:
		err = list_contexts(&listing, only);
		break;
	case AIACCEL_STATS_TURNS:
		err = list_turns(&listing, only);
		break;
	}
	if (err)
		return err;
	arg->count = listing.count;
	return aia_reply(call);
}
