// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registration cache: pins by PIN with AIACCEL_PIN_CACHED, which stay after the last DESTROY
 * and are found by the next PIN of the same range.
 *
 * A cache is a context's, which serves one address space only. Each pin in it is watched by an
 * interval notifier from before its pages are taken: whatever changes what is mapped there (munmap,
 * mremap, mprotect, madvise, fork, truncation of the file, migration, the end of the address space)
 * tells before it does so. The pin is stale from then on, and never handed out again: who maps anew
 * and pins after that gets the new pages.
 *
 *	in use	ids by PIN refer to it
 *	unused	on `unused`, the one that was let go of last at its end
 *	doomed	stale and unused: on `doomed` until somebody frees it
 *
 * Only what is in the tree is found, and all that is unused is there. A pin enters it when its
 * pages are known to be those that are mapped. It leaves it when it is stale or revoked, or to be
 * freed, and never enters it again: in use until then, it is freed with its last id.
 *
 * The notifier only marks: it is called where nothing may sleep, and from reclaim. Pages are let
 * go of by a work item, by who evicts or destroys, and by who would be refused otherwise. Whoever
 * took a pin out of the tree and off its list has it alone. The work item does not count the
 * context: the context's end takes all pins, removes their notifiers, and so nobody is left to
 * queue the work, which is then cancelled, or waited for with the pins that it took.
 *
 * What is kept counts among the context's bytes, once however many ids it has, and is charged to
 * whom it was when it was pinned.
 *
 * Locking: aia_cache.lock, a spinlock inside all that notifiers are called with (mmap_lock, the
 * locks of file mappings and reclaim); under it nothing is allocated and no lock of ours taken.
 * aia_cache.freeing, a mutex outside aia_config_lock, is held while the work item frees, and
 * whoever was refused: he waits for what the work is about to give back. Removing a notifier
 * waits for its callers, so no lock is held then that these may want.
 */
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/userfaultfd_k.h>
#include <linux/workqueue.h>

#include "buffer.h"

struct aia_cached {
	struct mmu_interval_notifier notifier;
	struct aia_context *ctx;
	struct aia_buffer *buffer;	/* counted */
	u64 addr;			/* found by it, and the buffer's length and flags */
	unsigned long seq;		/* of who pins it: since when changes count */
	bool added;			/* set once, by who pinned it */

	/* aia_cache.lock */
	struct rb_node node;		/* empty: not in the tree */
	struct list_head idle;		/* on unused or doomed, or of who frees it */
	unsigned int users;		/* ids by PIN, those about to be as well */
};

static struct workqueue_struct *workqueue;

/* ---- the tree, and who is in it ---- */

static int compare(u64 addr, u64 length, u32 flags, const struct aia_cached *with)
{
	if (addr != with->addr)
		return addr < with->addr ? -1 : 1;
	if (length != with->buffer->length)
		return length < with->buffer->length ? -1 : 1;
	return flags == with->buffer->flags ? 0 : flags < with->buffer->flags ? -1 : 1;
}

static struct aia_cached *find_locked(const struct aia_cache *cache, u64 addr, u64 length,
				      u32 flags)
{
	struct rb_node *node = cache->pins.rb_node;

	while (node) {
		struct aia_cached *cached = rb_entry(node, struct aia_cached, node);
		int order = compare(addr, length, flags, cached);

		if (!order)
			return cached;
		node = order < 0 ? node->rb_left : node->rb_right;
	}
	return NULL;
}

/* Unless there is one like it: another thread pinned the same meanwhile. */
static void insert_locked(struct aia_cache *cache, struct aia_cached *cached)
{
	const struct aia_buffer *buffer = cached->buffer;
	struct rb_node **link = &cache->pins.rb_node, *parent = NULL;

	while (*link) {
		int order = compare(cached->addr, buffer->length, buffer->flags,
				    rb_entry(*link, struct aia_cached, node));

		if (!order)
			return;
		parent = *link;
		link = order < 0 ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&cached->node, parent, link);
	rb_insert_color(&cached->node, &cache->pins);
}

static void forget_locked(struct aia_cache *cache, struct aia_cached *cached)
{
	rb_erase(&cached->node, &cache->pins);
	RB_CLEAR_NODE(&cached->node);
}

/* Out of the tree, and onto a list of who will free it. */
static void take_locked(struct aia_cache *cache, struct aia_cached *cached, struct list_head *to)
{
	lockdep_assert_held(&cache->lock);
	forget_locked(cache, cached);
	list_move_tail(&cached->idle, to);
	cache->nr_unused--;
}

/* ---- freeing; no lock is held ---- */

static void free_cached(struct aia_cached *cached)
{
	struct aia_context *ctx = cached->ctx;

	mmu_interval_notifier_remove(&cached->notifier);
	atomic64_sub(cached->buffer->length, &ctx->bytes[AIACCEL_BUFFER_PINNED - 1]);
	aia_buffer_put(cached->buffer);
	kfree(cached);
	atomic_dec(&ctx->cache.nr);
}

static void free_list(struct list_head *list)
{
	struct aia_cached *cached, *next;

	list_for_each_entry_safe(cached, next, list, idle) {
		free_cached(cached);
		cond_resched();
	}
}

static void free_doomed(struct work_struct *work)
{
	struct aia_cache *cache = container_of(work, struct aia_cache, work);
	LIST_HEAD(taken);

	mutex_lock(&cache->freeing);
	spin_lock(&cache->lock);
	list_splice_init(&cache->doomed, &taken);
	spin_unlock(&cache->lock);
	free_list(&taken);
	mutex_unlock(&cache->freeing);
}

static void free_unused(struct aia_cache *cache)
{
	struct aia_cached *cached, *next;
	LIST_HEAD(taken);

	spin_lock(&cache->lock);
	list_splice_init(&cache->doomed, &taken);
	list_for_each_entry_safe(cached, next, &cache->unused, idle)
		take_locked(cache, cached, &taken);
	spin_unlock(&cache->lock);
	free_list(&taken);
}

bool aia_cache_give_back(struct aia_context *ctx)
{
	struct aia_cache *cache = &ctx->cache;

	if (!atomic_read(&cache->nr) || mutex_lock_killable(&cache->freeing))
		return false;
	free_unused(cache);
	mutex_unlock(&cache->freeing);
	return true;
}

/* ---- going stale ---- */

/*
 * Whether somebody may have asked to be told of accesses to what is pinned: a userfaultfd, which
 * must see to it that the next PIN asks for the pages again. mmap_lock is held for reading.
 */
static bool is_tracked(const struct mmu_interval_notifier *notifier,
		       const struct mmu_notifier_range *range)
{
	unsigned long at = max(range->start, notifier->interval_tree.start);
	unsigned long last = min(range->end - 1, notifier->interval_tree.last);

	while (at <= last) {
		struct vm_area_struct *vma = find_vma(range->mm, at);

		if (!vma || vma->vm_start > at || userfaultfd_armed(vma))
			return true;
		at = vma->vm_end;
	}
	return false;
}

/*
 * NUMA balancing takes access to pages away for a while, to see who uses them: they stay, and so do
 * the rights. It tells so as mprotect() does, but that has mmap_lock for writing, and as the write
 * protection of a userfaultfd does. What it then tries to move, in vain, is stale.
 */
static bool changes(const struct mmu_interval_notifier *notifier,
		    const struct mmu_notifier_range *range)
{
	bool tracked;

	if (range->event != MMU_NOTIFY_PROTECTION_VMA || !mmap_read_trylock(range->mm))
		return true;
	tracked = is_tracked(notifier, range);
	mmap_read_unlock(range->mm);
	return tracked;
}

static bool invalidate(struct mmu_interval_notifier *notifier,
		       const struct mmu_notifier_range *range, unsigned long seq)
{
	struct aia_cached *cached = container_of(notifier, struct aia_cached, notifier);
	struct aia_cache *cache = &cached->ctx->cache;

	if (!changes(notifier, range))
		return true;
	spin_lock(&cache->lock);
	mmu_interval_set_seq(notifier, seq);
	WRITE_ONCE(cached->buffer->stale, true);
	if (!RB_EMPTY_NODE(&cached->node)) {
		if (cached->users) {
			forget_locked(cache, cached);
		} else {
			take_locked(cache, cached, &cache->doomed);
			queue_work(workqueue, &cache->work);
		}
	}
	spin_unlock(&cache->lock);
	return true;
}

static const struct mmu_interval_notifier_ops notifier_ops = {
	.invalidate = invalidate,
};

/* ---- pinning ---- */

int aia_cache_begin(struct aia_context *ctx, struct aia_buffer *buffer, u64 addr, u32 *refused_by)
{
	struct aia_cached *cached = kzalloc(sizeof(*cached), GFP_KERNEL_ACCOUNT);
	int err;

	if (!cached) {
		*refused_by = AIACCEL_REFUSED_MEMCG;
		return -ENOMEM;
	}
	cached->ctx = ctx;
	cached->addr = addr;
	RB_CLEAR_NODE(&cached->node);
	INIT_LIST_HEAD(&cached->idle);
	cached->users = 1;
	cached->buffer = buffer;
	err = mmu_interval_notifier_insert(&cached->notifier, ctx->mm, addr & PAGE_MASK,
					   buffer->nr_pages << PAGE_SHIFT, &notifier_ops);
	if (err)
		goto err_free;
	aia_buffer_get(buffer);
	buffer->cached = cached;
	atomic_inc(&ctx->cache.nr);
	atomic64_add(buffer->length, &ctx->bytes[AIACCEL_BUFFER_PINNED - 1]);
	return 0;

err_free:
	kfree(cached);
	if (err == -ENOMEM)
		*refused_by = AIACCEL_REFUSED_MEMCG;
	/* The first one of an address space gives up for any signal: the call is made again. */
	return err == -EINTR && !fatal_signal_pending(current) ? -ERESTARTNOINTR : err;
}

void aia_cache_watch(struct aia_buffer *buffer)
{
	buffer->cached->seq = mmu_interval_read_begin(&buffer->cached->notifier);
}

bool aia_cache_changed(struct aia_buffer *buffer)
{
	return mmu_interval_check_retry(&buffer->cached->notifier, buffer->cached->seq);
}

void aia_cache_add(struct aia_buffer *buffer)
{
	struct aia_cached *cached = buffer->cached;
	struct aia_cache *cache = &cached->ctx->cache;
	bool stale;

	if (cached->added)
		return;
	spin_lock(&cache->lock);
	cached->added = true;
	stale = mmu_interval_read_retry(&cached->notifier, cached->seq);
	WRITE_ONCE(buffer->stale, stale); /* not for what was before it was pinned */
	if (!stale)
		insert_locked(cache, cached);
	spin_unlock(&cache->lock);
}

/*
 * Revoking takes no lock of ours. A buffer that was revoked before the call began is seen to be; of
 * one that is revoked meanwhile an id is no use.
 */
struct aia_buffer *aia_cache_find(struct aia_context *ctx, u64 addr, u64 length, u32 flags)
{
	struct aia_cache *cache = &ctx->cache;
	struct aia_buffer *buffer = NULL;
	struct aia_cached *cached;
	LIST_HEAD(taken);

	spin_lock(&cache->lock);
	cached = find_locked(cache, addr, length, flags);
	if (cached && !READ_ONCE(cached->buffer->revoked)) {
		buffer = aia_buffer_get(cached->buffer);
		if (!cached->users++) {
			list_del_init(&cached->idle);
			cache->nr_unused--;
		}
	} else if (cached && cached->users) {
		forget_locked(cache, cached);
	} else if (cached) {
		take_locked(cache, cached, &taken);
	}
	spin_unlock(&cache->lock);
	free_list(&taken);
	return buffer;
}

void aia_cache_put(struct aia_buffer *buffer)
{
	struct aia_cached *cached = buffer->cached;
	struct aia_cache *cache = &cached->ctx->cache;
	LIST_HEAD(taken);

	spin_lock(&cache->lock);
	if (!--cached->users) {
		if (RB_EMPTY_NODE(&cached->node)) {
			list_add(&cached->idle, &taken);
		} else {
			list_add_tail(&cached->idle, &cache->unused);
			cache->nr_unused++;
			if (READ_ONCE(buffer->revoked))
				take_locked(cache, cached, &taken);
			else if (cache->nr_unused > AIACCEL_CACHED_MAX)
				take_locked(cache,
					    list_first_entry(&cache->unused, struct aia_cached,
							     idle),
					    &taken);
		}
	}
	spin_unlock(&cache->lock);
	free_list(&taken);
}

/* ---- birth and end ---- */

void aia_cache_open(struct aia_context *ctx)
{
	struct aia_cache *cache = &ctx->cache;

	spin_lock_init(&cache->lock);
	mutex_init(&cache->freeing);
	cache->pins = RB_ROOT;
	INIT_LIST_HEAD(&cache->unused);
	INIT_LIST_HEAD(&cache->doomed);
	INIT_WORK(&cache->work, free_doomed);
}

/* No id is left. What the work item has taken, it frees; all else is freed here. */
void aia_cache_close(struct aia_context *ctx)
{
	free_unused(&ctx->cache);
	cancel_work_sync(&ctx->cache.work);
	WARN_ON_ONCE(atomic_read(&ctx->cache.nr));
}

/* Not that of turns: it takes long to let go of much memory, and turns shall not wait for it. */
int aia_cache_init(void)
{
	workqueue = alloc_workqueue("aiaccel_cache", WQ_UNBOUND, 0);
	return workqueue ? 0 : -ENOMEM;
}

void aia_cache_exit(void)
{
	destroy_workqueue(workqueue);
}
