// SPDX-License-Identifier: GPL-2.0-only
/*
 * PIN: holds the caller's own pages in place.
 *
 * What may be pinned is decided by the mapping (check_vma): anonymous memory, and shared
 * mappings of shmem and hugetlbfs. Pages of other file systems can be truncated or written
 * back under a device's hands, and private file pages go stale when they are copied.
 * A mapping is checked and its pages are pinned in one hold of mmap_lock, so that it cannot
 * be replaced in between; a batch never crosses a mapping.
 *
 * Private memory is always pinned as for writing, which breaks copy-on-write first: what is pinned
 * is then what the caller has and keeps, on every kernel.
 *
 * Nothing is pinned in part: what fails on the way is undone.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "aia.h"
#include "compat.h"

#define BATCH_PAGES 512UL

/* ---- what may be pinned ---- */

/* Regular files only: device nodes lie on a tmpfs too, with whatever behind them. */
static bool is_shared_memory(const struct vm_area_struct *vma)
{
	const struct inode *inode;
	unsigned long magic;

	if (!vma->vm_file || !(vma->vm_flags & VM_MAYSHARE))
		return false;
	inode = file_inode(vma->vm_file);
	if (!S_ISREG(inode->i_mode))
		return false;
	magic = inode->i_sb->s_magic;
	return magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC;
}

/* Private huge pages of no mounted file system: nameless ones, and those of a memfd. */
static bool is_anonymous_huge(const struct vm_area_struct *vma)
{
	return vma->vm_file && !(vma->vm_flags & VM_MAYSHARE) &&
	       (vma->vm_flags & VM_HUGETLB) &&
	       (vma->vm_file->f_path.mnt->mnt_flags & MNT_INTERNAL);
}

/* 0 and how to pin it, or an error. The caller holds mmap_lock. */
static int check_vma(struct vm_area_struct *vma, u32 flags, unsigned int *gup)
{
	bool private;

	if (!(vma->vm_flags & VM_READ) ||
	    ((flags & AIACCEL_PIN_WRITE) && !(vma->vm_flags & VM_WRITE)))
		return -EFAULT;
	private = vma_is_anonymous(vma) || is_anonymous_huge(vma);
	if (!private && !is_shared_memory(vma))
		return -EOPNOTSUPP;
	*gup = FOLL_LONGTERM;
	if (private || (flags & AIACCEL_PIN_WRITE))
		*gup |= FOLL_WRITE;
	if (private && !(vma->vm_flags & VM_WRITE)) {
		if (vma->vm_flags & VM_HUGETLB) /* not with FOLL_FORCE */
			return -EOPNOTSUPP;
		*gup |= FOLL_FORCE;
	}
	return 0;
}

static struct vm_area_struct *find(unsigned long addr)
{
	struct vm_area_struct *vma = find_vma(current->mm, addr);

	return vma && vma->vm_start <= addr ? vma : NULL;
}

/* Errors of the mapping come before those of ceilings. */
static int check_range(unsigned long start, unsigned long end, u32 flags)
{
	struct vm_area_struct *vma;
	unsigned int gup;
	int err = 0;

	if (mmap_read_lock_killable(current->mm))
		return -EINTR;
	while (!err && start < end) {
		vma = find(start);
		err = vma ? check_vma(vma, flags, &gup) : -EFAULT;
		if (vma)
			start = vma->vm_end;
		cond_resched();
	}
	mmap_read_unlock(current->mm);
	return err;
}

/* ---- pinning ---- */

/* How many pages it pinned, one at least, or an error. */
static long pin_batch(unsigned long start, unsigned long end, u32 flags, struct page **pages)
{
	struct vm_area_struct *vma;
	unsigned int gup;
	long got;

	if (fatal_signal_pending(current) || mmap_read_lock_killable(current->mm))
		return -EINTR;
	vma = find(start);
	got = vma ? check_vma(vma, flags, &gup) : -EFAULT;
	if (!got) {
		unsigned long nr = (min(end, vma->vm_end) - start) >> PAGE_SHIFT;

		got = aia_pin_user_pages(start, min(nr, BATCH_PAGES), gup, pages);
		if (got == 0)
			got = -EFAULT;
	}
	mmap_read_unlock(current->mm);
	return got;
}

static int pin_all(struct aia_buffer *buffer, unsigned long start, u32 *refused_by)
{
	unsigned long end = start + (buffer->nr_pages << PAGE_SHIFT);

	while (buffer->nr_held < buffer->nr_pages) {
		long got = pin_batch(start + (buffer->nr_held << PAGE_SHIFT), end, buffer->flags,
				     buffer->pages + buffer->nr_held);

		switch (got) {
		case -ENOMEM:
			*refused_by = AIACCEL_REFUSED_MEMORY;
			return got;
		case -EOPNOTSUPP:
			return got;
		}
		if (got < 0)
			return fatal_signal_pending(current) ? -EINTR : -EFAULT;
		buffer->nr_held += got;
		cond_resched();
	}
	return 0;
}

void aia_pin_release(struct aia_buffer *buffer)
{
	unsigned long i, nr;

	for (i = 0; i < buffer->nr_held; i += nr) {
		nr = min(buffer->nr_held - i, BATCH_PAGES);
		unpin_user_pages_dirty_lock(buffer->pages + i, nr,
					    buffer->flags & AIACCEL_PIN_WRITE);
		cond_resched();
	}
	if (buffer->user) {
		atomic_long_sub(buffer->nr_pages, &buffer->user->locked_vm);
		free_uid(buffer->user);
	}
	if (buffer->mm) {
		atomic64_sub(buffer->nr_pages, &buffer->mm->pinned_vm);
		mmdrop(buffer->mm);
	}
}

/* ---- RLIMIT_MEMLOCK, by user: forking gains nothing ---- */

static int charge_user(struct aia_buffer *buffer)
{
	struct user_struct *user = current_user();
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	long before, after;

	/* Not audited: most callers have not got it, and would fill the audit log. */
	if (!ns_capable_noaudit(&init_user_ns, CAP_IPC_LOCK)) {
		before = atomic_long_read(&user->locked_vm);
		do {
			after = before + buffer->nr_pages;
			if (after > limit)
				return -ENOMEM;
		} while (!atomic_long_try_cmpxchg(&user->locked_vm, &before, after));
		buffer->user = get_uid(user);
	}
	buffer->mm = current->mm;
	mmgrab(buffer->mm);
	atomic64_add(buffer->nr_pages, &buffer->mm->pinned_vm);
	return 0;
}

int aia_buffer_pin(struct aia_call *call)
{
	struct aiaccel_pin *arg = call->arg;
	struct aia_buffer *buffer;
	unsigned long start, end;
	int err;

	arg->refused_by = AIACCEL_REFUSED_NOT;
	arg->addr = untagged_addr(arg->addr);
	err = aia_check_pin(arg);
	if (err)
		return err;
	if (arg->addr + arg->length > TASK_SIZE)
		return -EFAULT;
	start = arg->addr & PAGE_MASK;
	end = PAGE_ALIGN(arg->addr + arg->length);
	err = check_range(start, end, arg->flags);
	if (err)
		return err;
	buffer = aia_buffer_create(call->ctx, AIACCEL_BUFFER_PINNED, arg->length,
				   (end - start) >> PAGE_SHIFT, &call->refused_by);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	buffer->flags = arg->flags;
	err = charge_user(buffer);
	if (err) {
		call->refused_by = AIACCEL_REFUSED_RLIMIT;
		goto err_abort;
	}
	if (!aia_buffer_make_room(buffer)) {
		call->refused_by = AIACCEL_REFUSED_MEMORY;
		err = -ENOMEM;
		goto err_abort;
	}
	err = pin_all(buffer, start, &call->refused_by);
	if (err)
		goto err_abort;
	arg->id = buffer->object.id;
	return aia_buffer_publish(call, buffer);

err_abort:
	aia_buffer_abort(call->ctx, buffer);
	return err;
}
