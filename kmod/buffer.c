// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers: what allocated (alloc.c), pinned (pin.c) and imported (import.c) ones have in common,
 * and mmap.
 *
 * A mapped buffer outlives its id, its context and the file of its context: each mapping has
 * a file of its own that refers to the buffer alone, so that closing the device ends the
 * context although its memory is still mapped. Split, moved and inherited mappings share
 * that file. When the last reference goes, pages are freed and charges given back.
 *
 * Pages that others refer to at that moment (a pipe that was fed by vmsplice, a
 * transfer in flight) stay charged to the memory cgroup until these let go, and are no
 * longer charged to the tenant.
 *
 * A context never uses an mmap offset twice, so that a stale one finds nothing. Each context has
 * its own count, and learns nothing of what others allocate.
 *
 * Locking: constant once published. aia_context.offsets has its xa_lock.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "aia.h"
#include "compat.h"

#define FIRST_OFFSET ((1ULL << 32) >> PAGE_SHIFT)

/* ---- life ---- */

/* Reserved and charged, without pages. The callers fill it and publish, or destroy it. */
struct aia_buffer *aia_buffer_create(struct aia_context *ctx, u32 kind, u64 length, u64 nr_pages,
				     u32 *refused_by)
{
	struct aia_buffer *buffer;
	int err;

	buffer = kzalloc(sizeof(*buffer), GFP_KERNEL_ACCOUNT);
	if (!buffer) {
		*refused_by = AIACCEL_REFUSED_MEMCG;
		return ERR_PTR(-ENOMEM);
	}
	kref_init(&buffer->ref);
	buffer->kind = kind;
	buffer->length = length;
	buffer->nr_pages = nr_pages;
	err = aia_object_reserve(ctx, &buffer->object, AIA_OBJECT_BUFFER, refused_by);
	if (err)
		goto err_free;
	err = aia_tenant_charge_bytes(ctx->tenant, kind, nr_pages << PAGE_SHIFT, refused_by);
	if (err)
		goto err_abort;
	buffer->tenant = aia_tenant_get(ctx->tenant);
	atomic64_add(length, &ctx->bytes[kind - 1]);
	return buffer;

err_abort:
	aia_object_abort(ctx, &buffer->object);
err_free:
	kfree(buffer);
	return ERR_PTR(err);
}

/*
 * kvmalloc_array() refuses more than 2 GiB, which is 1 TiB of memory: larger buffers are for the
 * caller to divide.
 */
bool aia_buffer_make_room(struct aia_buffer *buffer)
{
	buffer->pages = kvmalloc_array(buffer->nr_pages, sizeof(*buffer->pages),
				       GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
	return buffer->pages;
}

static void buffer_free(struct kref *ref)
{
	struct aia_buffer *buffer = container_of(ref, struct aia_buffer, ref);

	switch (buffer->kind) {
	case AIACCEL_BUFFER_ALLOCATED:
		aia_alloc_release(buffer);
		break;
	case AIACCEL_BUFFER_PINNED:
		aia_pin_release(buffer);
		break;
	case AIACCEL_BUFFER_IMPORTED:
		aia_import_release(buffer);
		break;
	}
	kvfree(buffer->pages);
	aia_tenant_uncharge_bytes(buffer->tenant, buffer->kind,
				  (u64)buffer->nr_pages << PAGE_SHIFT);
	aia_tenant_put(buffer->tenant);
	kfree(buffer);
}

void aia_buffer_put(struct aia_buffer *buffer)
{
	kref_put(&buffer->ref, buffer_free);
}

static unsigned long last_offset(const struct aia_buffer *buffer)
{
	return buffer->offset + buffer->nr_pages - 1;
}

void aia_buffer_destroy(struct aia_context *ctx, struct aia_buffer *buffer)
{
	if (buffer->offset)
		xa_erase(&ctx->offsets, last_offset(buffer));
	atomic64_sub(buffer->length, &ctx->bytes[buffer->kind - 1]);
	aia_buffer_put(buffer);
}

/* What BUFFER_INFO tells of the pages; they do not change any more. */
static void measure(struct aia_buffer *buffer)
{
	unsigned long run = 0, i;

	buffer->numa_node = page_to_nid(buffer->pages[0]);
	for (i = 0; i < buffer->nr_pages; i++) {
		if (page_to_nid(buffer->pages[i]) != buffer->numa_node)
			buffer->numa_node = NUMA_NO_NODE;
		if (i && page_to_pfn(buffer->pages[i]) == page_to_pfn(buffer->pages[i - 1]) + 1) {
			run++;
		} else {
			run = 1;
			buffer->nr_runs++;
		}
		buffer->largest_run_bytes = max_t(u64, buffer->largest_run_bytes,
						  (u64)run << PAGE_SHIFT);
		if (!(i % SZ_64K))
			cond_resched();
	}
}

/* ---- publishing ---- */

/* For a buffer that nobody has seen. */
void aia_buffer_abort(struct aia_context *ctx, struct aia_buffer *buffer)
{
	aia_object_abort(ctx, &buffer->object);
	aia_buffer_destroy(ctx, buffer);
}

int aia_buffer_offer(struct aia_context *ctx, struct aia_buffer *buffer, u32 *refused_by)
{
	int err;

	buffer->offset = FIRST_OFFSET + atomic64_fetch_add(buffer->nr_pages, &ctx->offered);
	err = xa_reserve(&ctx->offsets, last_offset(buffer), GFP_KERNEL_ACCOUNT);
	if (err) {
		buffer->offset = 0;
		*refused_by = AIACCEL_REFUSED_MEMCG;
	}
	return err;
}

int aia_buffer_publish(struct aia_call *call, struct aia_buffer *buffer)
{
	struct aia_context *ctx = call->ctx;
	int err;

	if (buffer->nr_pages)
		measure(buffer);
	err = aia_reply(call);
	if (err) {
		aia_buffer_abort(ctx, buffer);
		return err;
	}
	if (buffer->offset) /* reserved: cannot fail */
		xa_store(&ctx->offsets, last_offset(buffer), buffer, 0);
	aia_object_publish(ctx, &buffer->object);
	return 0;
}

/* ---- INFO ---- */

static struct aia_buffer *find_id(struct aia_context *ctx, u32 id)
{
	struct aia_buffer *buffer = NULL;
	struct aia_object *object;

	xa_lock(&ctx->objects);
	object = xa_load(&ctx->objects, id);
	if (object && object->kind == AIA_OBJECT_BUFFER) {
		buffer = container_of(object, struct aia_buffer, object);
		kref_get(&buffer->ref);
	}
	xa_unlock(&ctx->objects);
	return buffer;
}

int aia_buffer_node(struct aia_context *ctx, u32 id, int *node)
{
	struct aia_object *object;
	int err = -ENOENT;

	xa_lock(&ctx->objects);
	object = xa_load(&ctx->objects, id);
	if (object && object->kind == AIA_OBJECT_BUFFER) {
		*node = container_of(object, struct aia_buffer, object)->numa_node;
		err = 0;
	}
	xa_unlock(&ctx->objects);
	return err;
}

int aia_buffer_info(struct aia_call *call)
{
	struct aiaccel_buffer_info *arg = call->arg;
	struct aia_buffer *buffer;
	int err;

	err = aia_check_buffer_info(arg);
	if (err)
		return err;
	buffer = find_id(call->ctx, arg->id);
	if (!buffer)
		return -ENOENT;
	*arg = (struct aiaccel_buffer_info){
		.size = arg->size,
		.id = arg->id,
		.kind = buffer->kind,
		.flags = buffer->flags,
		.length = buffer->length,
		.charged_bytes = (u64)buffer->nr_pages << PAGE_SHIFT,
		.mmap_offset = (u64)buffer->offset << PAGE_SHIFT,
		.numa_node = buffer->numa_node,
		.nr_runs = buffer->nr_runs,
		.largest_run_bytes = buffer->largest_run_bytes,
	};
	aia_buffer_put(buffer);
	return aia_reply(call);
}

/* ---- mmap ---- */

static int release_mapping(struct inode *inode, struct file *file)
{
	aia_buffer_put(file->private_data);
	return 0;
}

static const struct file_operations mapping_fops = {
	.owner = THIS_MODULE,
	.release = release_mapping,
};

/* All pages are there from the start; this is for what madvise(MADV_DONTNEED) took out. */
static vm_fault_t fault(struct vm_fault *vmf)
{
	struct aia_buffer *buffer = vmf->vma->vm_private_data;

	return vmf_insert_page(vmf->vma, vmf->address, buffer->pages[vmf->pgoff - buffer->offset]);
}

static const struct vm_operations_struct mapping_ops = {
	.fault = fault,
};

/* As page table entries, also of large pages: a huge entry of a driver's page breaks GUP. */
static int insert_pages(struct vm_area_struct *vma, struct page **pages)
{
	unsigned long at = vma->vm_start;

	while (at < vma->vm_end) {
		unsigned long nr = min((vma->vm_end - at) >> PAGE_SHIFT, 512UL), left = nr;
		int err;

		if (fatal_signal_pending(current))
			return -EINTR;
		err = vm_insert_pages(vma, at, pages, &left);
		if (err) /* -EFAULT: an upper level of page tables could not be had */
			return err == -EFAULT ? -ENOMEM : err;
		pages += nr;
		at += nr << PAGE_SHIFT;
		cond_resched();
	}
	return 0;
}

/* Counted. mmap_lock is held: nothing but the xa_lock may be taken. */
static struct aia_buffer *find_offset(struct aia_context *ctx, unsigned long offset)
{
	struct aia_buffer *buffer;
	unsigned long last = offset;

	xa_lock(&ctx->offsets);
	buffer = xa_find(&ctx->offsets, &last, ULONG_MAX, XA_PRESENT);
	if (buffer && buffer->offset <= offset)
		kref_get(&buffer->ref);
	else
		buffer = NULL;
	xa_unlock(&ctx->offsets);
	return buffer;
}

/*
 * VM_DONTEXPAND: mremap must not reach beyond the buffer. Not VM_DONTDUMP: the contents are
 * the program's own, and it can leave them out of core dumps by MADV_DONTDUMP.
 */
int aia_buffer_mmap(struct aia_context *ctx, struct vm_area_struct *vma)
{
	struct aia_buffer *buffer = find_offset(ctx, vma->vm_pgoff);
	struct file *file;
	unsigned long first;

	if (!buffer)
		return -EINVAL;
	first = array_index_nospec(vma->vm_pgoff - buffer->offset, buffer->nr_pages);
	if (vma_pages(vma) > buffer->nr_pages - first) {
		aia_buffer_put(buffer);
		return -EINVAL;
	}
	file = anon_inode_getfile("[aiaccel]", &mapping_fops, buffer, O_RDWR);
	if (IS_ERR(file)) {
		aia_buffer_put(buffer);
		return PTR_ERR(file);
	}
	vma_set_file(vma, file);
	fput(file); /* the mapping has its own; the file keeps the buffer */
	vma->vm_private_data = buffer;
	vma->vm_ops = &mapping_ops;
	aia_vma_flags(vma, VM_DONTEXPAND, 0);
	return insert_pages(vma, buffer->pages + first);
}
