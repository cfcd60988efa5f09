// SPDX-License-Identifier: GPL-2.0-only
/*
 * Turns: ENTER, and what must happen when the core grants, ends and tells.
 *
 * The core does the work under aia_turn_lock and hands back chains of engines to dispatch, of
 * contexts to wake and of turns to free (struct aia_news). aia_turn_unlock() is the only way to let
 * go of the lock after a call that may have filled one. User memory is read, and turns are
 * allocated, before it is taken.
 */
#include <linux/fault-inject-usercopy.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "aia.h"
#include "compat.h"

#define FEW 2 /* entries of each kind for which nothing is allocated */

struct aia_groups aia_groups;

static struct kmem_cache *turn_cache;
struct workqueue_struct *aia_workqueue;

int aia_turn_init(void)
{
	turn_cache = kmem_cache_create("aia_turn", sizeof(struct aia_turn), 0, SLAB_HWCACHE_ALIGN,
				       NULL);
	if (!turn_cache)
		return -ENOMEM;
	/* Who overruns shall not delay the end of its turn by keeping the CPUs busy. */
	aia_workqueue = alloc_workqueue("aiaccel", WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (aia_workqueue)
		return 0;
	kmem_cache_destroy(turn_cache);
	return -ENOMEM;
}

void aia_turn_exit(void)
{
	destroy_workqueue(aia_workqueue);
	kmem_cache_destroy(turn_cache);
}

void aia_turn_free_spare(struct aia_context *ctx)
{
	if (ctx->spare)
		kmem_cache_free(turn_cache, ctx->spare);
}

/* ---- acting on what the core says ---- */

static void free_turns(struct aia_turn *turn)
{
	struct aia_turn *next;

	for (; turn; turn = next) {
		next = turn->next_freed;
		kfree(turn->job.any);
		kmem_cache_free(turn_cache, turn);
	}
}

static enum hrtimer_restart ring(struct hrtimer *alarm)
{
	struct aia_engine *engine = container_of(alarm, struct aia_engine, alarm);

	queue_work(aia_workqueue, &engine->work);
	return HRTIMER_NORESTART;
}

static void work(struct work_struct *work)
{
	struct aia_engine *engine = container_of(work, struct aia_engine, work);

	spin_lock(&aia_turn_lock);
	engine->armed_ns = AIACCEL_NEVER;
	spin_unlock(&aia_turn_lock);
	aia_turn_dispatch(engine);
}

void aia_turn_init_alarm(struct aia_engine *engine)
{
	aia_hrtimer_setup(&engine->alarm, ring, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	INIT_WORK(&engine->work, work);
	engine->armed_ns = AIACCEL_NEVER;
}

void aia_turn_stop_alarm(struct aia_engine *engine)
{
	hrtimer_cancel(&engine->alarm);
	cancel_work_sync(&engine->work);
}

/*
 * The core looks at AIA_TIMERS_RUN timers at most in one dispatch: the next one is past then, and
 * the rest comes at once. An alarm that rings too early, since nobody waits any more, sets the next
 * one.
 */
static void arm_locked(struct aia_engine *engine)
{
	u64 next_ns = aia_turns_next_ns(&engine->sched);

	lockdep_assert_held(&aia_turn_lock);
	if (next_ns >= engine->armed_ns || (engine->faults & AIA_FAULT_GONE))
		return;
	engine->armed_ns = next_ns;
	hrtimer_start(&engine->alarm, next_ns, HRTIMER_MODE_ABS);
}

static void dispatch_stirred_locked(struct aia_news *news)
{
	struct aia_sched_engine *engine;
	u64 now_ns;

	lockdep_assert_held(&aia_turn_lock);
	if (!news->stirred)
		return;
	now_ns = ktime_get_ns();
	while ((engine = aia_turns_next_stirred(news))) {
		aia_turns_dispatch(engine, now_ns, news);
		arm_locked(container_of(engine, struct aia_engine, sched));
		aia_stop_kick_locked(container_of(engine, struct aia_engine, sched));
	}
}

void aia_turn_dispatch(struct aia_engine *engine)
{
	struct aia_news news = {};

	spin_lock(&aia_turn_lock);
	aia_turns_stir(&engine->sched, &news);
	aia_turn_unlock(&news);
}

/* A turn that nobody has any more, and that counts for nobody: to be used again, or freed. */
static void put_turn_locked(struct aia_turn *turn, struct aia_news *news)
{
	struct aia_context *ctx = container_of(turn->turns, struct aia_context, turns);

	lockdep_assert_held(&aia_turn_lock);
	news->freed = turn->next_freed;
	if (!turn->job.any && !cmpxchg(&ctx->spare, NULL, turn))
		return;
	turn->next_freed = news->uncharged;
	news->uncharged = turn;
}

/* Under the lock, as the owner and the context may go as soon as it is free. */
static void uncharge_locked(struct aia_news *news)
{
	struct aia_turn *turn;

	lockdep_assert_held(&aia_turn_lock);
	while ((turn = news->freed)) {
		aia_tenant_uncharge(turn->owner, AIA_CEILING_JOBS, 1);
		put_turn_locked(turn, news);
	}
}

/*
 * Leaves on the chain, and holds, the contexts on which somebody waits: waiters stand in line
 * before they look at the ring under the lock, so who is not there yet will see what was written.
 */
static void hold_waited_for_locked(struct aia_news *news)
{
	struct aia_turns **link = &news->woken;
	struct aia_context *ctx;

	lockdep_assert_held(&aia_turn_lock);
	while (*link) {
		ctx = container_of(*link, struct aia_context, turns);
		/* Needs no barrier: waiters look at the ring under the lock that is held here. */
		if (waitqueue_active(&ctx->wait)) {
			/* It has a turn or a queue, so its file is not released yet. */
			kref_get(&ctx->ref);
			link = &ctx->turns.next_woken;
		} else {
			ctx->turns.woken = false;
			*link = ctx->turns.next_woken;
		}
	}
}

void aia_turn_unlock(struct aia_news *news)
	__releases(&aia_turn_lock)
{
	struct aia_context *ctx;
	struct aia_turns *turns;

	dispatch_stirred_locked(news);
	hold_waited_for_locked(news);
	uncharge_locked(news);
	/*
	 * Users choose how many wait on a context, so nobody is woken under the lock. Those still
	 * on the chain are marked as woken: nobody else puts them on a chain meanwhile.
	 */
	while ((turns = news->woken)) {
		news->woken = turns->next_woken;
		turns->woken = false;
		spin_unlock(&aia_turn_lock);
		ctx = container_of(turns, struct aia_context, turns);
		wake_up_interruptible_poll(&ctx->wait, EPOLLIN | EPOLLRDNORM);
		aia_context_put(ctx);
		spin_lock(&aia_turn_lock);
	}
	spin_unlock(&aia_turn_lock);
	free_turns(news->uncharged);
}

void aia_turn_end_context(struct aia_context *ctx)
{
	struct aia_news news = {};

	spin_lock(&aia_turn_lock);
	aia_turns_end_all(&ctx->turns, ktime_get_ns(), &news);
	aia_turn_unlock(&news);
}

u32 aia_turn_unread(struct aia_context *ctx)
{
	struct aia_news news = {};
	u32 unread;

	spin_lock(&aia_turn_lock);
	aia_turns_flush(&ctx->turns, &news);
	unread = aia_ring_unread(&ctx->turns.ring);
	aia_turn_unlock(&news);
	return unread;
}

/* ---- reading the caller's arrays ---- */

/*
 * What one call brings, read before aia_turn_lock is taken: all entries are taken in one hold of
 * it, so that none of the context's other jobs gets a turn between them. Otherwise a job
 * submitted beside the completion that frees the seat could meet EDEADLK by chance.
 */
struct entries {
	struct aiaccel_completion *completions;
	struct aiaccel_job *jobs;
	u32 nr_completions, nr_jobs;	/* that could be read */
	struct aia_turn *turns;		/* of each job, in their order, as memory went */
	struct aiaccel_completion few_completions[FEW];
	struct aiaccel_job few_jobs[FEW];
};

/*
 * How many entries could be read. By words in one go: for so few bytes a call of copy_from_user()
 * for each would take longer than the copy. Entries are whole words. Faults are injected as they
 * would be there.
 */
static __always_inline u32 read_words(void *to, const void __user *from, u32 nr, size_t entry)
{
	const unsigned long __user *user = from;
	unsigned long *words = to;
	u32 i, nr_words;

	for (i = 0; i < nr; i++)
		if (should_fail_usercopy())
			nr = i;
	while (nr && !user_read_access_begin(user, nr * entry))
		nr--;
	if (!nr)
		return 0;
	nr_words = nr * entry / sizeof(*words);
	for (i = 0; i < nr_words; i++)
		unsafe_get_user(words[i], &user[i], err_fault);
	user_read_access_end();
	return nr;

err_fault:
	user_read_access_end();
	return i * sizeof(*words) / entry;
}

/*
 * Returns @few, or an array of its own, or NULL; *nr becomes how many entries could be read.
 * Inlined, so that the length of an entry is known.
 */
static __always_inline void *read_array(void *few, u64 from, u32 *nr, size_t entry)
{
	void *to = *nr <= FEW ? few : kvmalloc_array(*nr, entry, GFP_KERNEL_ACCOUNT);

	if (to)
		*nr = read_words(to, u64_to_user_ptr(from), *nr, entry);
	return to;
}

/* The turn that the context's last completion left, or a new one. */
static struct aia_turn *get_turn(struct aia_context *ctx)
{
	struct aia_turn *turn = xchg(&ctx->spare, NULL);

	if (!turn)
		return kmem_cache_zalloc(turn_cache, GFP_KERNEL_ACCOUNT);
	memset(turn, 0, sizeof(*turn));
	return turn;
}

/* In the order of the jobs, as those of a set have their places with them. */
static void allocate_turns(struct aia_context *ctx, struct entries *entries)
{
	struct aia_turn **last = &entries->turns;
	struct aia_turn *turn;
	u32 i;

	for (i = 0; i < entries->nr_jobs; i++) {
		turn = get_turn(ctx);
		if (!turn)
			return;
		*last = turn;
		if (entries->jobs[i].flags & AIACCEL_JOB_ANY) {
			turn->job.any = kmalloc(sizeof(*turn->job.any), GFP_KERNEL_ACCOUNT);
			if (!turn->job.any) {
				free_turns(turn);
				*last = NULL;
				return;
			}
		}
		last = &turn->next_freed;
	}
}

static void free_entries(struct entries *entries)
{
	free_turns(entries->turns);
	if (entries->jobs != entries->few_jobs)
		kvfree(entries->jobs);
	if (entries->completions != entries->few_completions)
		kvfree(entries->completions);
}

static int read_entries(struct aia_context *ctx, struct entries *entries,
			const struct aiaccel_enter *arg)
{
	entries->turns = NULL;
	entries->nr_completions = arg->nr_completions;
	entries->nr_jobs = arg->nr_jobs;
	entries->completions = read_array(entries->few_completions, arg->completions,
					  &entries->nr_completions, sizeof(*entries->completions));
	entries->jobs = read_array(entries->few_jobs, arg->jobs, &entries->nr_jobs,
				   sizeof(*entries->jobs));
	if (!entries->completions || !entries->jobs) {
		free_entries(entries);
		return -ENOMEM;
	}
	allocate_turns(ctx, entries);
	return 0;
}

/* The caller's times to the host's; 0 stays none. */
static u64 host_time(u64 user_ns)
{
	s64 offset_ns;

	if (!user_ns)
		return 0;
	offset_ns = aia_time_offset_ns();
	if (user_ns > KTIME_MAX)
		user_ns = KTIME_MAX;
	if (offset_ns > 0 && user_ns <= offset_ns)
		return 1; /* long gone by */
	if (offset_ns < 0 && user_ns > KTIME_MAX + offset_ns)
		return KTIME_MAX;
	return user_ns - offset_ns;
}

/* ---- taking the entries ---- */

static int complete_locked(struct aia_context *ctx, const struct aiaccel_completion *completion,
			   bool first, u64 now_ns, struct aia_news *news)
{
	lockdep_assert_held(&aia_turn_lock);
	return aia_check_completion(completion) ?:
	       aia_turns_complete(&ctx->turns, completion, first, now_ns, news);
}

/*
 * What was completed in the same call makes room for what is submitted: that one's charge goes on
 * for this one.
 */
static int charge_locked(struct aia_context *ctx, struct aia_news *news)
{
	u32 refused_by;

	lockdep_assert_held(&aia_turn_lock);
	if (!news->freed)
		return aia_tenant_charge(ctx->tenant, AIA_CEILING_JOBS, 1, &refused_by);
	put_turn_locked(news->freed, news);
	return 0;
}

static int submit_locked(struct aia_context *ctx, struct aiaccel_job *job, struct entries *entries,
			 u64 now_ns, struct aia_news *news)
{
	struct aia_turn *turn = entries->turns;
	struct aia_object *object;
	struct aia_queue *queue;
	int node = NUMA_NO_NODE;
	int err;

	lockdep_assert_held(&aia_turn_lock);
	err = aia_check_job(job);
	if (err)
		return err;
	object = aia_object_find(ctx, job->queue, AIA_OBJECT_QUEUE);
	if (!object)
		return -ENOENT;
	queue = container_of(object, struct aia_queue, object);
	err = aia_turns_check(&ctx->turns, &queue->sched, job) ?:
	      (job->buffer ? aia_buffer_node(ctx, job->buffer, &node) : 0) ?:
	      charge_locked(ctx, news);
	if (err)
		return err;
	err = -ENOMEM;
	if (!turn)
		goto err_uncharge;
	entries->turns = turn->next_freed;
	turn->owner = ctx->tenant;
	if (turn->job.any)
		turn->job.any->numa_node = node;
	job->deadline_ns = host_time(job->deadline_ns);
	err = aia_turns_submit(&ctx->turns, &queue->sched, turn, job, now_ns, news);
	if (err)
		goto err_give_back;
	return 0;

err_give_back:
	entries->turns = turn;
err_uncharge:
	aia_tenant_uncharge(ctx->tenant, AIA_CEILING_JOBS, 1);
	return err;
}

static int complete_all_locked(struct aia_context *ctx, const struct entries *entries,
			       const struct aiaccel_enter *arg, u64 now_ns, struct aia_news *news,
			       u32 *taken)
{
	int err;

	for (; *taken < entries->nr_completions; ++*taken) {
		err = complete_locked(ctx, &entries->completions[*taken], !*taken, now_ns, news);
		if (err)
			return err;
	}
	return *taken < arg->nr_completions ? -EFAULT : 0;
}

static int submit_all_locked(struct aia_context *ctx, struct entries *entries,
			     const struct aiaccel_enter *arg, u64 now_ns, struct aia_news *news,
			     u32 *taken)
{
	int err;

	for (; *taken < entries->nr_jobs; ++*taken) {
		err = submit_locked(ctx, &entries->jobs[*taken], entries, now_ns, news);
		if (err)
			return err;
	}
	return *taken < arg->nr_jobs ? -EFAULT : 0;
}

/* What a call has done, and what it found in the ring after that. */
struct progress {
	u32 completed, submitted;
	u32 unread;
};

static int take_entries(struct aia_context *ctx, struct entries *entries,
			const struct aiaccel_enter *arg, struct progress *progress)
{
	struct aia_news news = {};
	u64 now_ns;
	int err;

	spin_lock(&aia_turn_lock);
	now_ns = ktime_get_ns();
	err = complete_all_locked(ctx, entries, arg, now_ns, &news, &progress->completed);
	if (!err)
		err = submit_all_locked(ctx, entries, arg, now_ns, &news, &progress->submitted);
	dispatch_stirred_locked(&news);
	aia_turns_flush(&ctx->turns, &news);
	progress->unread = aia_ring_unread(&ctx->turns.ring);
	aia_turn_unlock(&news);
	return err;
}

static int take(struct aia_context *ctx, const struct aiaccel_enter *arg,
		struct progress *progress)
{
	struct entries entries;
	int err;

	if (!arg->nr_completions && !arg->nr_jobs) {
		progress->unread = aia_turn_unread(ctx);
		return 0;
	}
	err = read_entries(ctx, &entries, arg);
	if (err)
		return err;
	err = take_entries(ctx, &entries, arg, progress);
	free_entries(&entries);
	return err;
}

/* ---- waiting ---- */

/* 0, -ETIMEDOUT, or what makes an interrupted call go on unless a handler ran. */
static int wait_for_events(struct aia_context *ctx, u32 min_events, u64 timeout_ns, u32 *unread)
{
	ktime_t expires = host_time(timeout_ns);
	ktime_t *until = timeout_ns > KTIME_MAX ? NULL : &expires;
	bool timed_out = false;
	DEFINE_WAIT(wait);
	int err = 0;

	for (;;) {
		prepare_to_wait(&ctx->wait, &wait, TASK_INTERRUPTIBLE);
		*unread = aia_turn_unread(ctx);
		if (*unread >= min_events)
			break;
		err = timed_out ? -ETIMEDOUT : signal_pending(current) ? -ERESTARTNOHAND : 0;
		if (err)
			break;
		timed_out = !schedule_hrtimeout(until, HRTIMER_MODE_ABS);
	}
	finish_wait(&ctx->wait, &wait);
	return err;
}

/*
 * Writes back what the call answers, which is less than aia_reply() would; a path that is walked
 * for each turn.
 */
static int tell(const struct aia_call *call)
{
	struct aiaccel_enter __user *user = call->user;
	const struct aiaccel_enter *arg = call->arg;

	if (!user_write_access_begin(user, sizeof(*user)))
		return -EFAULT;
	unsafe_put_user(arg->nr_completions, &user->nr_completions, err_fault);
	unsafe_put_user(arg->nr_jobs, &user->nr_jobs, err_fault);
	unsafe_put_user(arg->nr_events, &user->nr_events, err_fault);
	user_write_access_end();
	return 0;

err_fault:
	user_write_access_end();
	return -EFAULT;
}

int aia_enter(struct aia_call *call)
{
	struct aia_context *ctx = call->ctx;
	struct aiaccel_enter *arg = call->arg;
	struct progress progress = {};
	int err;

	err = aia_check_enter(arg);
	/* Whether the counts can be told is found out before there is anything to tell. */
	if (!err)
		err = tell(call);
	if (!err)
		err = take(ctx, arg, &progress);
	if (!err && progress.unread < arg->min_events)
		err = wait_for_events(ctx, arg->min_events, arg->timeout_ns, &progress.unread);
	if (err && !progress.completed && !progress.submitted)
		return err;
	arg->nr_completions = progress.completed;
	arg->nr_jobs = progress.submitted;
	arg->nr_events = progress.unread;
	return tell(call);
}
