// SPDX-License-Identifier: GPL-2.0-only
/*
 * What one context has and had, as STATS lists it and as its fdinfo shows it to whoever may look
 * into the process (which needs what ptrace needs). fdinfo is described in docs/fdinfo.
 */
#include <linux/moduleparam.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/seq_file.h>

#include "aia.h"

static void count_queue_locked(struct aiaccel_stats_context *out, const struct aia_queue *queue)
{
	const struct aia_sched_job *turn = aia_sched_queue_turn(&queue->sched);

	out->queues++;
	out->waiting += queue->sched.waiting;
	if (!turn)
		return;
	out->turns++;
	out->slots_held += turn->width;
}

/* Its queues at one engine have one seat: it is looked at with the first of them. */
static bool is_first_of_seat(const struct aia_queue *queue)
{
	return queue->sched.seat->queues.next == &queue->sched.of_seat;
}

void aia_usage_locked(struct aia_context *ctx, struct aiaccel_stats_context *out,
		      struct pid_namespace *pids)
{
	const struct aia_queue *queue;

	lockdep_assert_held(&aia_turn_lock);
	BUILD_BUG_ON(sizeof(out->comm) != TASK_COMM_LEN);
	*out = (struct aiaccel_stats_context){
		.context = ctx->number,
		.tenant = ctx->tenant->id,
		.pid = pid_nr_ns(ctx->pid, pids),
		.events_unread = aia_ring_unread(&ctx->turns.ring),
		.granted = ctx->granted_before,
		.busy_ns = ctx->busy_ns_before,
		.allocated_bytes = atomic64_read(&ctx->bytes[AIACCEL_BUFFER_ALLOCATED - 1]),
		.pinned_bytes = atomic64_read(&ctx->bytes[AIACCEL_BUFFER_PINNED - 1]),
		.imported_bytes = atomic64_read(&ctx->bytes[AIACCEL_BUFFER_IMPORTED - 1]),
	};
	memcpy(out->comm, ctx->comm, sizeof(out->comm));
	list_for_each_entry(queue, &ctx->queues, of_context) {
		count_queue_locked(out, queue);
		if (!is_first_of_seat(queue))
			continue;
		out->granted += queue->sched.seat->granted;
		out->busy_ns += queue->sched.seat->busy_ns;
	}
	spin_lock(&aia_limit_lock);
	out->reserved_bytes = ctx->reserved_bytes;
	spin_unlock(&aia_limit_lock);
}

static bool drm_fdinfo;
module_param(drm_fdinfo, bool, 0644);
MODULE_PARM_DESC(drm_fdinfo, "fdinfo has drm- keys as well, for tools that know no others");

/* At most AIA_MAX_QUEUES lines: they go to memory of the kernel's, which waits for nobody. */
static void show_engines_locked(struct seq_file *file, const struct aia_context *ctx)
{
	const struct aia_queue *queue;

	lockdep_assert_held(&aia_turn_lock);
	list_for_each_entry(queue, &ctx->queues, of_context)
		if (is_first_of_seat(queue))
			seq_printf(file, "aiaccel-engine-%u:\t%llu ns\n", queue->engine->id,
				   queue->sched.seat->busy_ns);
}

/*
 * The keys of Documentation/gpu/drm-usage-stats.rst, by which tools such as htop find engines.
 * Slots are what they call an engine's capacity; names of engines may have colons, and so are no
 * keys.
 */
static void show_drm_engines_locked(struct seq_file *file, const struct aia_context *ctx)
{
	const struct aia_queue *queue;

	lockdep_assert_held(&aia_turn_lock);
	list_for_each_entry(queue, &ctx->queues, of_context) {
		if (!is_first_of_seat(queue))
			continue;
		seq_printf(file, "drm-engine-engine%u:\t%llu ns\n", queue->engine->id,
			   queue->sched.seat->busy_ns);
		if (queue->engine->sched.slots > 1)
			seq_printf(file, "drm-engine-capacity-engine%u:\t%u\n",
				   queue->engine->id, queue->engine->sched.slots);
	}
}

static void show_drm_memory(struct seq_file *file, const struct aiaccel_stats_context *usage)
{
	u64 held = usage->allocated_bytes + usage->pinned_bytes;

	seq_printf(file, "drm-total-system:\t%llu KiB\n", held >> 10);
	seq_printf(file, "drm-resident-system:\t%llu KiB\n", held >> 10);
	seq_printf(file, "drm-total-vram:\t%llu KiB\n", usage->reserved_bytes >> 10);
}

void aia_usage_show(struct seq_file *file, struct file *opened)
{
	struct aia_context *ctx = opened->private_data;
	struct aiaccel_stats_context usage;
	bool drm = READ_ONCE(drm_fdinfo);

	if (drm) { /* htop wants to know whose an engine's line is when it reads that */
		seq_puts(file, "drm-driver:\taiaccel\n");
		seq_printf(file, "drm-client-id:\t%llu\n", ctx->number);
	}
	spin_lock(&aia_turn_lock);
	aia_usage_locked(ctx, &usage, &init_pid_ns);
	show_engines_locked(file, ctx);
	if (drm)
		show_drm_engines_locked(file, ctx);
	spin_unlock(&aia_turn_lock);
	if (drm)
		show_drm_memory(file, &usage);
	seq_printf(file, "aiaccel-context:\t%llu\n", usage.context);
	seq_printf(file, "aiaccel-tenant:\t%llu\n", usage.tenant);
	seq_printf(file, "aiaccel-queues:\t%u\n", usage.queues);
	seq_printf(file, "aiaccel-jobs-waiting:\t%u\n", usage.waiting);
	seq_printf(file, "aiaccel-turns:\t%u\n", usage.turns);
	seq_printf(file, "aiaccel-slots:\t%u\n", usage.slots_held);
	seq_printf(file, "aiaccel-events-unread:\t%u\n", usage.events_unread);
	seq_printf(file, "aiaccel-granted:\t%llu\n", usage.granted);
	seq_printf(file, "aiaccel-busy:\t%llu ns\n", usage.busy_ns);
	seq_printf(file, "aiaccel-memory-allocated:\t%llu bytes\n", usage.allocated_bytes);
	seq_printf(file, "aiaccel-memory-pinned:\t%llu bytes\n", usage.pinned_bytes);
	seq_printf(file, "aiaccel-memory-imported:\t%llu bytes\n", usage.imported_bytes);
	seq_printf(file, "aiaccel-memory-reserved:\t%llu bytes\n", usage.reserved_bytes);
}
