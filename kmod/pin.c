// SPDX-License-Identifier: GPL-2.0-only
/*
 * PIN: holds the caller's own pages in place.
 *
 * What may be pinned is decided by the mapping (check_vma): anonymous memory, and shared
 * mappings of shmem and hugetlbfs. Pages of other file systems can be truncated or written
 * back under a device's hands, and private file pages go stale when they are copied.
 *
 * The pages of a mapping are pinned without mmap_lock, in batches. Another thread may put another
 * mapping there meanwhile: so each page is looked at as well (is_expected), and what is of no
 * kind that may be pinned is refused. Whether the caller then has what it meant is its own
 * affair.
 *
 * Private memory is always pinned as for writing, which breaks copy-on-write first: what is pinned
 * is then what the caller has and keeps, on every kernel.
 *
 * A memfd that is sealed against writing is not pinned for writing, through whatever mapping from
 * before. That it is not sealed later, while it is pinned, is the kernel's doing.
 *
 * Nothing is pinned in part: what fails on the way is undone.
 *
 * What the caller wants to be cached is kept by pin_cache.c, and found there without any of this.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/shmem_fs.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "buffer.h"
#include "compat.h"
#include "trace.h"

#define BATCH_PAGES 512UL	/* one page of pointers */

/* ---- what may be pinned ---- */

/* A part of the range that one mapping has. */
struct part {
	unsigned long end;
	unsigned int gup;	/* how to pin it */
	bool private;
	struct file *file;	/* counted: its seals matter; or NULL */
};

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
static int check_vma(struct vm_area_struct *vma, u32 flags, struct part *part)
{
	bool write = flags & AIACCEL_PIN_WRITE;

	if (!(vma->vm_flags & VM_READ) || (write && !(vma->vm_flags & VM_WRITE)))
		return -EFAULT;
	part->private = vma_is_anonymous(vma) || is_anonymous_huge(vma);
	if (!part->private && !is_shared_memory(vma))
		return -EOPNOTSUPP;
	part->end = vma->vm_end;
	part->file = !part->private && write ? vma->vm_file : NULL;
	part->gup = FOLL_LONGTERM;
	if (part->private || write)
		part->gup |= FOLL_WRITE;
	if (part->private && !(vma->vm_flags & VM_WRITE)) {
		if (vma->vm_flags & VM_HUGETLB) /* not with FOLL_FORCE */
			return -EOPNOTSUPP;
		part->gup |= FOLL_FORCE;
	}
	return 0;
}

static unsigned int seals_of(struct inode *inode)
{
#ifdef CONFIG_HUGETLBFS
	if (inode->i_sb->s_magic == HUGETLBFS_MAGIC)
		return HUGETLBFS_I(inode)->seals;
#endif
	return SHMEM_I(inode)->seals;
}

/* mmap_lock must not be held: it is taken inside the inode's by who writes to the file. */
static int check_seals(const struct part *part)
{
	struct inode *inode;
	unsigned int seals;

	if (!part->file)
		return 0;
	if (!(part->file->f_mode & FMODE_WRITE))
		return -EPERM;
	inode = file_inode(part->file);
	inode_lock_shared(inode);
	seals = seals_of(inode);
	inode_unlock_shared(inode);
	return seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) ? -EPERM : 0;
}

/* What maps @start. */
static int find_part(unsigned long start, u32 flags, struct part *part)
{
	struct vm_area_struct *vma;
	int err;

	if (mmap_read_lock_killable(current->mm))
		return -EINTR;
	vma = find_vma(current->mm, start);
	err = vma && vma->vm_start <= start ? check_vma(vma, flags, part) : -EFAULT;
	if (!err && part->file)
		get_file(part->file);
	mmap_read_unlock(current->mm);
	if (err)
		return err;
	err = check_seals(part);
	if (part->file)
		fput(part->file);
	return err;
}

/* Errors of the mapping come before those of ceilings. */
static int check_range(unsigned long start, unsigned long end, u32 flags)
{
	struct part part;
	int err;

	for (; start < end; start = part.end) {
		err = find_part(start, flags, &part);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

static bool is_expected(struct folio *folio, const struct part *part)
{
	if (part->private)
		return folio_test_anon(folio);
	return !folio_test_anon(folio) &&
	       (folio_test_swapbacked(folio) || folio_test_hugetlb(folio));
}

/* ---- pinning ---- */

/* How many of the folio, the first one's, follow each other. */
static unsigned long count_in_folio(struct folio *folio, struct page **pages, unsigned long nr)
{
	unsigned long first, count = 1;

	if (!folio_test_large(folio))
		return 1;
	first = folio_page_idx(folio, pages[0]);
	nr = min(nr, folio_nr_pages(folio) - first);
	while (count < nr && pages[count] == folio_page(folio, first + count))
		count++;
	return count;
}

/* All are noted in the buffer; or those before the one that failed, and the others let go. */
static int note(struct aia_buffer *buffer, struct page **pages, unsigned long nr,
		const struct part *part)
{
	while (nr) {
		struct folio *folio = page_folio(pages[0]);
		unsigned long count = count_in_folio(folio, pages, nr);
		int err = 0;

		if (!is_expected(folio, part))
			err = -EOPNOTSUPP;
		else if (!aia_pages_add(&buffer->pages, pages[0], count))
			err = -ENOMEM;
		if (err) {
			unpin_user_pages(pages, nr);
			return err;
		}
		pages += count;
		nr -= count;
	}
	return 0;
}

static int pin_batch(struct aia_buffer *buffer, unsigned long at, unsigned long nr,
		     const struct part *part, struct page **pages)
{
	int got;

	if (fatal_signal_pending(current))
		return -EINTR;
	got = pin_user_pages_fast(at, min(nr, BATCH_PAGES), part->gup, pages);
	if (got > 0)
		return note(buffer, pages, got, part);
	if (fatal_signal_pending(current))
		return -EINTR;
	return got == -ENOMEM ? -ENOMEM : -EFAULT;
}

static int pin_all(struct aia_buffer *buffer, unsigned long start, struct page **pages)
{
	unsigned long end = start + (buffer->nr_pages << PAGE_SHIFT), at = start;
	struct part part = { .end = start };
	int err;

	while (at < end) {
		err = at < part.end ? 0 : find_part(at, buffer->flags, &part);
		if (!err)
			err = pin_batch(buffer, at, (min(end, part.end) - at) >> PAGE_SHIFT, &part,
					pages);
		if (err)
			return err;
		at = start + (buffer->pages.nr << PAGE_SHIFT);
		cond_resched();
	}
	return 0;
}

static int fill(struct aia_buffer *buffer, unsigned long start, u32 *refused_by)
{
	struct page **pages = (struct page **)__get_free_page(GFP_KERNEL);
	int err;

	BUILD_BUG_ON(BATCH_PAGES * sizeof(*pages) > PAGE_SIZE);
	err = pages ? pin_all(buffer, start, pages) : -ENOMEM;
	if (err == -ENOMEM)
		*refused_by = AIACCEL_REFUSED_MEMORY;
	free_page((unsigned long)pages);
	return err;
}

static void unpin(const struct aia_buffer *buffer)
{
	const struct aia_pages *pages = &buffer->pages;
	bool dirty = buffer->flags & AIACCEL_PIN_WRITE;
	unsigned long run, i, nr, done = 0;

	for (run = 0; run < pages->nr_runs; run++) {
		unsigned long length = aia_pages_run_length(pages, run);

		for (i = 0; i < length; i += nr) {
			nr = min(length - i, 8 * BATCH_PAGES);
			unpin_user_page_range_dirty_lock(aia_pages_nth(pages->runs[run].page, i),
							 nr, dirty);
			done += nr;
			if (done >= BATCH_PAGES) {
				done = 0;
				cond_resched();
			}
		}
	}
}

/*
 * Pinning may itself change what is mapped: it breaks copy-on-write, and moves pages out of where
 * they cannot stay. Once that is done it changes nothing more. So what was changed meanwhile is
 * pinned once again; and is no worse for not being kept if it was changed then too, by others.
 */
static int fill_watched(struct aia_buffer *buffer, unsigned long start, u32 *refused_by)
{
	int err;

	aia_cache_watch(buffer);
	err = fill(buffer, start, refused_by);
	if (err || !aia_cache_changed(buffer))
		return err;
	unpin(buffer);
	aia_pages_free(&buffer->pages);
	buffer->pages = (struct aia_pages){ .node = NUMA_NO_NODE };
	aia_cache_watch(buffer);
	return fill(buffer, start, refused_by);
}

void aia_pin_release(struct aia_buffer *buffer)
{
	unpin(buffer);
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

u64 aia_pin_room(void)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	long used = atomic_long_read(&current_user()->locked_vm);

	if (rlimit(RLIMIT_MEMLOCK) == RLIM_INFINITY ||
	    ns_capable_noaudit(&init_user_ns, CAP_IPC_LOCK))
		return AIACCEL_UNLIMITED;
	return used < limit ? (u64)(limit - used) << PAGE_SHIFT : 0;
}

/* ---- the call ---- */

static int charge_user_or_room(struct aia_call *call, struct aia_buffer *buffer)
{
	int err = charge_user(buffer);

	if (err && aia_cache_give_back(call->ctx))
		err = charge_user(buffer);
	if (err)
		call->refused_by = AIACCEL_REFUSED_RLIMIT;
	return err;
}

/* Takes over the caller's reference, and use of what is cached. */
static struct aia_handle *create_handle(struct aia_call *call, struct aia_buffer *buffer)
{
	struct aia_handle *handle;

	handle = aia_handle_create(call->ctx, buffer, false, &call->refused_by);
	if (IS_ERR(handle)) {
		if (buffer->cached)
			aia_cache_put(buffer);
		aia_buffer_put(buffer);
	}
	return handle;
}

static struct aia_handle *pin(struct aia_call *call)
{
	const struct aiaccel_pin *arg = call->arg;
	unsigned long start = arg->addr & PAGE_MASK, end = PAGE_ALIGN(arg->addr + arg->length);
	struct aia_handle *handle;
	struct aia_buffer *buffer;
	int err;

	err = check_range(start, end, arg->flags);
	if (err)
		return ERR_PTR(err);
	buffer = aia_buffer_create(call->ctx, AIACCEL_BUFFER_PINNED, arg->length,
				   (end - start) >> PAGE_SHIFT, &call->refused_by);
	if (IS_ERR(buffer))
		return ERR_CAST(buffer);
	buffer->flags = arg->flags;
	buffer->skip = arg->addr - start;
	if (arg->flags & AIACCEL_PIN_CACHED) {
		err = aia_cache_begin(call->ctx, buffer, arg->addr, &call->refused_by);
		if (err) {
			aia_buffer_put(buffer);
			return ERR_PTR(err);
		}
	}
	handle = create_handle(call, buffer);
	if (IS_ERR(handle))
		return handle;
	err = charge_user_or_room(call, buffer);
	if (!err)
		err = buffer->cached ? fill_watched(buffer, start, &call->refused_by) :
				       fill(buffer, start, &call->refused_by);
	if (err) {
		aia_handle_abort(call->ctx, handle);
		return ERR_PTR(err);
	}
	aia_buffer_filled(buffer);
	trace_pin(buffer);
	return handle;
}

static struct aia_handle *find(struct aia_call *call)
{
	const struct aiaccel_pin *arg = call->arg;
	struct aia_buffer *buffer = NULL;

	if (arg->flags & AIACCEL_PIN_CACHED)
		buffer = aia_cache_find(call->ctx, arg->addr, arg->length, arg->flags);
	return buffer ? create_handle(call, buffer) : NULL;
}

int aia_buffer_pin(struct aia_call *call)
{
	struct aiaccel_pin *arg = call->arg;
	struct aia_handle *handle;
	int err;

	arg->refused_by = AIACCEL_REFUSED_NOT;
	arg->addr = untagged_addr(arg->addr);
	err = aia_check_pin(arg);
	if (err)
		return err;
	if (arg->addr + arg->length > TASK_SIZE)
		return -EFAULT;
	handle = find(call) ?: pin(call);
	if (IS_ERR(handle))
		return PTR_ERR(handle);
	arg->id = handle->object.id;
	return aia_handle_publish(call, handle);
}
