// SPDX-License-Identifier: GPL-2.0-only
/*
 * Turns: ENTER, and what must happen when the core grants, ends and tells.
 *
 * The core does the work under aia_turn_lock and hands back chains of contexts to wake and
 * of turns to free (struct aia_news). aia_turn_unlock() is the only way to let go of the lock
 * after a call that may have filled one. User memory is read in batches outside the
 * lock, and turns are allocated before it is taken.
 */
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "aia.h"

#define BATCH 8

static struct kmem_cache *turn_cache;

int aia_turn_init(void)
{
	turn_cache = kmem_cache_create("aia_turn", sizeof(struct aia_turn), 0, SLAB_HWCACHE_ALIGN,
				       NULL);
	return turn_cache ? 0 : -ENOMEM;
}

void aia_turn_exit(void)
{
	kmem_cache_destroy(turn_cache);
}

/* ---- acting on what the core says ---- */

void aia_turn_dispatch_locked(struct aia_engine *engine, u64 now_ns, struct aia_news *news)
{
	lockdep_assert_held(&aia_turn_lock);
	aia_turns_dispatch(&engine->sched, now_ns, &news->woken, &news->freed);
}

void aia_turn_unlock(struct aia_news *news)
{
	struct aia_turns *turns, *next;
	struct aia_turn *turn;

	lockdep_assert_held(&aia_turn_lock);
	for (turns = news->woken; turns; turns = next) {
		struct aia_context *ctx = container_of(turns, struct aia_context, turns);

		next = turns->next_woken;
		turns->woken = false;
		wake_up_interruptible_poll(&ctx->wait, EPOLLIN | EPOLLRDNORM);
	}
	/* Here, as the owner may go as soon as the lock is free. */
	for (turn = news->freed; turn; turn = turn->next_freed)
		aia_uncharge(turn->owner, AIA_CEILING_JOBS, 1);
	spin_unlock(&aia_turn_lock);
	while ((turn = news->freed)) {
		news->freed = turn->next_freed;
		kmem_cache_free(turn_cache, turn);
	}
}

void aia_turn_end_context(struct aia_context *ctx)
{
	struct aia_news news = {};
	struct aia_queue *queue;
	u64 now_ns;

	spin_lock(&aia_turn_lock);
	now_ns = ktime_get_ns();
	list_for_each_entry(queue, &ctx->queues, of_context)
		aia_turns_end_queue(&ctx->turns, &queue->sched, now_ns, &news.freed);
	list_for_each_entry(queue, &ctx->queues, of_context)
		aia_turn_dispatch_locked(queue->engine, now_ns, &news);
	aia_turn_unlock(&news);
}

u32 aia_turn_unread(struct aia_context *ctx)
{
	struct aia_news news = {};
	u32 unread;

	spin_lock(&aia_turn_lock);
	aia_turns_flush(&ctx->turns, &news.freed);
	unread = aia_ring_unread(&ctx->turns.ring);
	aia_turn_unlock(&news);
	return unread;
}

/* ---- reading the caller's arrays ---- */

/* Reads up to @nr entries; how many whole ones could be read. */
static u32 read_entries(void *to, u64 from, u32 nr, size_t entry)
{
	unsigned long missing = copy_from_user(to, u64_to_user_ptr(from), nr * entry);

	return nr - DIV_ROUND_UP(missing, entry);
}

/* The caller's times to the host's; 0 stays none. */
static u64 host_time(u64 user_ns)
{
	s64 offset_ns = aia_time_offset_ns();

	if (!user_ns)
		return 0;
	if (user_ns > KTIME_MAX)
		user_ns = KTIME_MAX;
	if (offset_ns > 0 && user_ns <= offset_ns)
		return 1; /* long gone by */
	if (offset_ns < 0 && user_ns > KTIME_MAX + offset_ns)
		return KTIME_MAX;
	return user_ns - offset_ns;
}

/* ---- completing ---- */

static int complete_batch(struct aia_context *ctx, const struct aiaccel_completion *entries,
			  u32 nr, u32 *taken)
{
	struct aia_sched_engine *engine;
	struct aia_news news = {};
	u64 now_ns;
	int err = 0;
	u32 i;

	spin_lock(&aia_turn_lock);
	now_ns = ktime_get_ns();
	for (i = 0; i < nr && !err; i++) {
		err = aia_check_completion(&entries[i]);
		if (err)
			break;
		engine = NULL;
		err = aia_turns_complete(&ctx->turns, &entries[i], now_ns, &news.freed, &engine);
		if (engine)
			aia_turns_dispatch(engine, now_ns, &news.woken, &news.freed);
		if (!err)
			++*taken;
	}
	aia_turn_unlock(&news);
	return err;
}

static int complete_entries(struct aia_context *ctx, const struct aiaccel_enter *arg, u32 *taken)
{
	struct aiaccel_completion entries[BATCH];
	int err = 0;

	while (!err && *taken < arg->nr_completions) {
		u32 nr = min_t(u32, BATCH, arg->nr_completions - *taken);
		u32 got = read_entries(entries, arg->completions + *taken * sizeof(*entries), nr,
				       sizeof(*entries));

		err = complete_batch(ctx, entries, got, taken);
		if (!err && got < nr)
			err = -EFAULT;
	}
	return err;
}

/* ---- submitting ---- */

static int submit_locked(struct aia_context *ctx, const struct aiaccel_job *job,
			 struct aia_turn *turn, u64 now_ns, struct aia_engine **engine)
{
	struct aia_object *object = xa_load(&ctx->objects, job->queue);
	struct aia_queue *queue;
	u32 refused_by;
	int err;

	lockdep_assert_held(&aia_turn_lock);
	if (!object || object->kind != AIA_OBJECT_QUEUE)
		return -ENOENT;
	queue = container_of(object, struct aia_queue, object);
	err = aia_charge(ctx->tenant, AIA_CEILING_JOBS, 1, &refused_by);
	if (err)
		return err;
	turn->owner = ctx->tenant;
	err = aia_turns_submit(&ctx->turns, &queue->sched, turn, job, now_ns);
	if (err)
		aia_uncharge(ctx->tenant, AIA_CEILING_JOBS, 1);
	else
		*engine = queue->engine;
	return err;
}

/*
 * Dispatches when the engine changes and at the end: the jobs of a batch are all in line
 * before the first is granted. *turns has one for each entry; those not used stay.
 */
static int submit_batch(struct aia_context *ctx, struct aiaccel_job *jobs, u32 nr,
			struct aia_turn **turns, u32 *taken)
{
	struct aia_engine *engine = NULL, *last = NULL;
	struct aia_news news = {};
	u64 now_ns;
	int err = 0;
	u32 i;

	spin_lock(&aia_turn_lock);
	now_ns = ktime_get_ns();
	for (i = 0; i < nr; i++) {
		err = aia_check_job(&jobs[i]);
		if (err)
			break;
		jobs[i].deadline_ns = host_time(jobs[i].deadline_ns);
		err = submit_locked(ctx, &jobs[i], turns[i], now_ns, &engine);
		if (err)
			break;
		turns[i] = NULL;
		++*taken;
		if (last && last != engine)
			aia_turn_dispatch_locked(last, now_ns, &news);
		last = engine;
	}
	if (last)
		aia_turn_dispatch_locked(last, now_ns, &news);
	aia_turn_unlock(&news);
	return err;
}

static int submit_entries(struct aia_context *ctx, const struct aiaccel_enter *arg, u32 *taken)
{
	struct aia_turn *turns[BATCH] = {};
	struct aiaccel_job jobs[BATCH];
	int err = 0;
	u32 i;

	while (!err && *taken < arg->nr_jobs) {
		u32 nr = min_t(u32, BATCH, arg->nr_jobs - *taken);
		u32 got = read_entries(jobs, arg->jobs + *taken * sizeof(*jobs), nr,
				       sizeof(*jobs));

		if (got < nr)
			err = -EFAULT;
		for (i = 0; i < got; i++) {
			turns[i] = kmem_cache_zalloc(turn_cache, GFP_KERNEL_ACCOUNT);
			if (!turns[i]) {
				got = i;
				err = -ENOMEM;
			}
		}
		err = submit_batch(ctx, jobs, got, turns, taken) ?: err;
		for (i = 0; i < BATCH; i++) {
			if (turns[i])
				kmem_cache_free(turn_cache, turns[i]);
			turns[i] = NULL;
		}
	}
	return err;
}

/* ---- waiting ---- */

/* 0, -ETIMEDOUT, or what makes an interrupted call go on unless a handler ran. */
static int wait_for_events(struct aia_context *ctx, u32 min_events, u64 timeout_ns)
{
	ktime_t expires = host_time(timeout_ns);
	ktime_t *until = timeout_ns > KTIME_MAX ? NULL : &expires;
	bool timed_out = false;
	DEFINE_WAIT(wait);
	int err = 0;

	for (;;) {
		prepare_to_wait(&ctx->wait, &wait, TASK_INTERRUPTIBLE);
		if (aia_turn_unread(ctx) >= min_events)
			break;
		err = timed_out ? -ETIMEDOUT : signal_pending(current) ? -ERESTARTNOHAND : 0;
		if (err)
			break;
		timed_out = !schedule_hrtimeout(until, HRTIMER_MODE_ABS);
	}
	finish_wait(&ctx->wait, &wait);
	return err;
}

int aia_enter(struct aia_call *call)
{
	struct aia_context *ctx = call->ctx;
	struct aiaccel_enter *arg = call->arg;
	u32 completed = 0, submitted = 0;
	int err;

	err = aia_check_enter(arg);
	/* Whether the counts can be told is found out before there is anything to tell. */
	if (!err)
		err = aia_reply(call);
	if (!err)
		err = complete_entries(ctx, arg, &completed);
	if (!err)
		err = submit_entries(ctx, arg, &submitted);
	if (!err && arg->min_events)
		err = wait_for_events(ctx, arg->min_events, arg->timeout_ns);
	if (err && !completed && !submitted)
		return err;
	arg->nr_completions = completed;
	arg->nr_jobs = submitted;
	arg->nr_events = aia_turn_unread(ctx);
	return aia_reply(call);
}
