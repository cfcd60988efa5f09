// SPDX-License-Identifier: GPL-2.0-only
/*
 * A context: one open file, for the address space that opened it.
 *
 * What ends when:
 *  - The address space begins to go away (exit, exec, a kill): the notifier's release
 *    ends all turns, sets all reservations to 0 bytes, and has the engines go that are bound to it.
 *    This comes before its memory is torn down, which may take seconds.
 *  - The last reference to the file goes: turns (where the address space lives on), then
 *    queues, then buffers, then the ring. Mappings of the ring hold the file. Mapped
 *    buffers do not: they have a file of their own (mapping.c).
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/time_namespace.h>

#include "aia.h"
#include "compat.h"

static atomic64_t last_number;
static u32 next_index;
DEFINE_XARRAY_ALLOC1(aia_contexts);

s64 aia_time_offset_ns(void)
{
#ifdef CONFIG_TIME_NS
	return timespec64_to_ns(&current->nsproxy->time_ns->offsets.monotonic);
#else
	return 0;
#endif
}

struct aia_context *aia_context_next_locked(unsigned long *index)
{
	struct aia_context *ctx;

	lockdep_assert_held(&aia_turn_lock);
	ctx = xa_find(&aia_contexts, index, U32_MAX, XA_PRESENT);
	++*index;
	return ctx;
}

/* ---- the ring's pages ---- */

u64 aia_ring_map_bytes(void)
{
	return PAGE_ALIGN(aia_ring_bytes(AIA_TURNS_MAX));
}

static int ring_order(void)
{
	return get_order(aia_ring_map_bytes() + PAGE_SIZE);
}

static int map_ring(struct aia_context *ctx, struct vm_area_struct *vma)
{
	unsigned long ring_nr = aia_ring_map_bytes() >> PAGE_SHIFT;
	bool consumed = vma->vm_pgoff;
	struct page *page = ctx->ring_pages + (consumed ? ring_nr : 0);
	unsigned long i;
	int err;

	if (vma_pages(vma) > (consumed ? 1 : ring_nr))
		return -EINVAL;
	if (!consumed && (vma->vm_flags & VM_WRITE))
		return -EACCES;
	aia_vma_flags(vma, VM_DONTCOPY | VM_DONTEXPAND, consumed ? 0 : VM_MAYWRITE);
	for (i = 0; i < vma_pages(vma); i++) {
		err = vm_insert_page(vma, vma->vm_start + i * PAGE_SIZE, page + i);
		if (err)
			return err;
	}
	return 0;
}

static int context_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct aia_context *ctx = file->private_data;

	if (current->mm != ctx->mm || (current->flags & PF_KTHREAD))
		return -EPERM;
	/* VM_SHARED is also missing where the file was opened for reading only. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_pgoff == AIACCEL_RING_OFFSET >> PAGE_SHIFT ||
	    vma->vm_pgoff == AIACCEL_CONSUMED_OFFSET >> PAGE_SHIFT)
		return map_ring(ctx, vma);
	return aia_buffer_mmap(ctx, vma);
}

static __poll_t context_poll(struct file *file, poll_table *table)
{
	struct aia_context *ctx = file->private_data;

	poll_wait(file, &ctx->wait, table);
	return aia_turn_unread(ctx) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* ---- birth and end ---- */

static void release_mm(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct aia_context *ctx = container_of(notifier, struct aia_context, notifier);

	aia_turn_end_context(ctx);
	aia_engine_end_bound(ctx);
	aia_reservations_empty(ctx);
}

static const struct mmu_notifier_ops notifier_ops = {
	.release = release_mm,
};

/*
 * Not done by open(), which misc_open() calls with a lock held that all misc devices of the host
 * share: registering waits for mmap_lock, and with it for whatever the caller's other
 * threads do.
 */
int aia_context_watch(struct aia_context *ctx)
{
	int err = 0;

	if (mutex_lock_killable(&ctx->watch_lock))
		return -EINTR;
	if (!ctx->watched)
		err = mmu_notifier_register(&ctx->notifier, ctx->mm);
	if (!err)
		ctx->watched = true;
	mutex_unlock(&ctx->watch_lock);
	/* It gives up for any signal. Nothing was done yet: the call is made again. */
	if (err == -EINTR && !fatal_signal_pending(current))
		err = -ERESTARTNOINTR;
	return err;
}

static void context_free(struct kref *ref)
{
	kfree(container_of(ref, struct aia_context, ref));
}

void aia_context_put(struct aia_context *ctx)
{
	kref_put(&ctx->ref, context_free);
}

static int context_open(struct inode *inode, struct file *file)
{
	struct aia_context *ctx;
	void *ring;
	int err;

	if (!current->mm || (current->flags & PF_KTHREAD))
		return -EPERM;
	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL_ACCOUNT);
	if (!ctx)
		return -ENOMEM;
	ctx->ring_pages = alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_COMP, ring_order());
	if (!ctx->ring_pages) {
		err = -ENOMEM;
		goto err_free;
	}
	ctx->tenant = aia_tenant_open();
	if (IS_ERR(ctx->tenant)) {
		err = PTR_ERR(ctx->tenant);
		goto err_ring;
	}
	ctx->number = atomic64_inc_return(&last_number);
	kref_init(&ctx->ref);
	ctx->mm = current->mm;
	mmgrab(ctx->mm);
	mutex_init(&ctx->watch_lock);
	ctx->pid = get_pid(task_tgid(current));
	strscpy(ctx->comm, current->comm, sizeof(ctx->comm));
	init_waitqueue_head(&ctx->wait);
	xa_init_flags(&ctx->objects, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
	xa_init_flags(&ctx->offsets, XA_FLAGS_ACCOUNT);
	aia_cache_open(ctx);
	INIT_LIST_HEAD(&ctx->seats);
	INIT_LIST_HEAD(&ctx->queues);
	INIT_LIST_HEAD(&ctx->engines);
	ring = page_address(ctx->ring_pages);
	aia_turns_init(&ctx->turns, ring, ring + aia_ring_map_bytes(), get_random_u64());
	ctx->turns.ring.time_offset_ns = aia_time_offset_ns();
	ctx->turns.groups = &aia_groups;
	ctx->turns.tenant = ctx->tenant;
	ctx->notifier.ops = &notifier_ops;
	err = xa_alloc_cyclic(&aia_contexts, &ctx->index, ctx, xa_limit_32b, &next_index,
			      GFP_KERNEL_ACCOUNT);
	if (err < 0)
		goto err_tenant;
	spin_lock(&aia_turn_lock);
	list_add_tail(&ctx->of_tenant, &ctx->tenant->open);
	spin_unlock(&aia_turn_lock);
	file->private_data = ctx;
	return nonseekable_open(inode, file);

err_tenant:
	put_pid(ctx->pid);
	mmdrop(ctx->mm);
	aia_tenant_close(ctx->tenant);
err_ring:
	__free_pages(ctx->ring_pages, ring_order());
err_free:
	kfree(ctx);
	return err;
}

static int context_release(struct inode *inode, struct file *file)
{
	struct aia_context *ctx = file->private_data;
	struct aia_object *object;
	unsigned long id;

	/* Calls release_mm() unless it was called before, and waits for it. */
	if (ctx->watched)
		mmu_notifier_unregister(&ctx->notifier, ctx->mm);
	xa_for_each(&ctx->objects, id, object) {
		if (aia_object_take(ctx, id))
			aia_object_destroy(ctx, object);
		cond_resched();
	}
	aia_cache_close(ctx);
	spin_lock(&aia_turn_lock); /* whoever found it has done */
	xa_erase(&aia_contexts, ctx->index);
	list_del(&ctx->of_tenant);
	spin_unlock(&aia_turn_lock);
	WARN_ON_ONCE(!aia_turns_empty(&ctx->turns));
	aia_turn_free_spare(ctx);
	aia_handle_free_spare(ctx);
	xa_destroy(&ctx->objects);
	xa_destroy(&ctx->offsets);
	put_pid(ctx->pid);
	aia_tenant_close(ctx->tenant);
	__free_pages(ctx->ring_pages, ring_order());
	mmdrop(ctx->mm);
	aia_context_put(ctx);
	return 0;
}

const struct file_operations aia_context_fops = {
	.owner = THIS_MODULE,
	.open = context_open,
	.release = context_release,
	.unlocked_ioctl = aia_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = context_mmap,
	.poll = context_poll,
	.show_fdinfo = aia_usage_show,
};
