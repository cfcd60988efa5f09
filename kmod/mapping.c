// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap of allocated buffers, through a context or through a dma-buf.
 *
 * Each mapping has a file of its own, which refers to the buffer alone, so that closing
 * the device ends the context although its memory is still mapped. Split, moved and inherited
 * mappings share that file. All files of a buffer have one address_space, in which the kernel
 * finds every place where the buffer is mapped, in whatever process, when it is revoked.
 *
 * Pages are put in by faults alone, each under the buffer's lock and not once it is revoked. So
 * whoever revokes it and then takes out what is there leaves no page behind: a mapping that is
 * just being made has none yet. A fault puts in what is around it too, as single pages: a huge
 * entry of a driver's page breaks GUP.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "buffer.h"
#include "compat.h"

#define AROUND_PAGES 512UL	/* one page of pointers, one table of entries */

/* ---- faults ---- */

/*
 * Those around the fault that this mapping has and that one table of entries can hold. Others may
 * fault there at the same time: what is in already stays.
 */
static int insert_around(struct vm_area_struct *vma, unsigned long address, struct page **around)
{
	struct aia_buffer *buffer = vma->vm_private_data;
	unsigned long bytes = AROUND_PAGES << PAGE_SHIFT;
	unsigned long at = max(vma->vm_start, ALIGN_DOWN(address, bytes));
	unsigned long end = min(vma->vm_end, ALIGN_DOWN(address, bytes) + bytes);
	unsigned long left = (end - at) >> PAGE_SHIFT, nr = left;
	int err;

	aia_pages_copy(&buffer->pages, vma->vm_pgoff + ((at - vma->vm_start) >> PAGE_SHIFT), around,
		       nr);
	do {
		err = vm_insert_pages(vma, end - (left << PAGE_SHIFT), around + nr - left, &left);
		if (err == -EBUSY)
			left--;
	} while (err == -EBUSY && left);
	return err == -EBUSY ? 0 : err;
}

static int insert(struct vm_area_struct *vma, unsigned long address)
{
	struct page **around = (struct page **)__get_free_page(GFP_KERNEL);
	int err;

	BUILD_BUG_ON(AROUND_PAGES * sizeof(*around) > PAGE_SIZE);
	if (!around)
		return -ENOMEM;
	err = insert_around(vma, address, around);
	free_page((unsigned long)around);
	return err;
}

static vm_fault_t fault(struct vm_fault *vmf)
{
	struct aia_buffer *buffer = vmf->vma->vm_private_data;
	int err;

	down_read(&buffer->lock);
	err = buffer->revoked ? -ENODEV : insert(vmf->vma, vmf->address);
	up_read(&buffer->lock);
	switch (err) {
	case 0:
		return VM_FAULT_NOPAGE;
	case -ENODEV:
		return VM_FAULT_SIGBUS;
	default: /* -EFAULT: an upper level of page tables could not be had */
		return VM_FAULT_OOM;
	}
}

static const struct vm_operations_struct mapping_ops = {
	.fault = fault,
};

/* ---- life ---- */

static int release_mapping(struct inode *inode, struct file *file)
{
	struct aia_buffer *buffer = file->private_data;

	atomic_dec(&buffer->nr_mappings);
	aia_buffer_put(buffer);
	return 0;
}

static const struct file_operations mapping_fops = {
	.owner = THIS_MODULE,
	.release = release_mapping,
};

/* Where all mappings of the buffer are found. */
static struct address_space *make_space(struct inode *host)
{
	struct address_space *space = kzalloc(sizeof(*space), GFP_KERNEL_ACCOUNT);

	if (!space)
		return NULL;
	address_space_init_once(space);
	space->host = host;
	space->a_ops = &empty_aops;
	mapping_set_gfp_mask(space, GFP_USER);
	return space;
}

/* 0, or why there can be no new mapping. */
static int join_space(struct aia_buffer *buffer, struct file *file)
{
	int err = 0;

	down_write(&buffer->lock);
	if (buffer->revoked)
		err = -ENODEV;
	else if (!buffer->mapped)
		buffer->mapped = make_space(file_inode(file));
	if (!err && !buffer->mapped)
		err = -ENOMEM;
	if (!err)
		file->f_mapping = buffer->mapped;
	up_write(&buffer->lock);
	return err;
}

/* It has a reference to the buffer once it is made. */
static struct file *make_file(struct aia_buffer *buffer)
{
	struct file *file = anon_inode_getfile("[aiaccel]", &mapping_fops, buffer, O_RDWR);

	if (IS_ERR(file))
		return file;
	aia_buffer_get(buffer);
	atomic_inc(&buffer->nr_mappings);
	return file;
}

/*
 * VM_DONTEXPAND: mremap must not reach beyond the buffer. VM_MIXEDMAP: vm_insert_pages() may not
 * set it in a fault. Not VM_DONTDUMP: the contents are the program's own, and it can leave them
 * out of core dumps by MADV_DONTDUMP.
 */
int aia_mapping_create(struct aia_buffer *buffer, struct vm_area_struct *vma, unsigned long index)
{
	struct file *file;
	int err;

	if (index >= buffer->nr_pages)
		return -EINVAL;
	index = array_index_nospec(index, buffer->nr_pages);
	if (vma_pages(vma) > buffer->nr_pages - index)
		return -EINVAL;
	file = make_file(buffer);
	if (IS_ERR(file))
		return PTR_ERR(file);
	err = join_space(buffer, file);
	if (!err) {
		vma_set_file(vma, file); /* has its own reference */
		vma->vm_pgoff = index;
		vma->vm_private_data = buffer;
		vma->vm_ops = &mapping_ops;
		aia_vma_flags(vma, VM_DONTEXPAND | VM_MIXEDMAP, 0);
	}
	fput(file);
	return err;
}

int aia_buffer_mmap(struct aia_context *ctx, struct vm_area_struct *vma)
{
	struct aia_buffer *buffer;
	unsigned long index;
	int err;

	buffer = aia_handle_find_offset(ctx, vma->vm_pgoff, &index);
	if (!buffer)
		return -EINVAL;
	err = aia_mapping_create(buffer, vma, index);
	aia_buffer_put(buffer);
	return err;
}

void aia_mapping_zap(struct aia_buffer *buffer)
{
	struct address_space *space;

	down_read(&buffer->lock);
	WARN_ON_ONCE(!buffer->revoked);
	space = buffer->mapped; /* from now on it does not change */
	up_read(&buffer->lock);
	if (space)
		unmap_mapping_range(space, 0, 0, 1);
}

void aia_mapping_free(struct aia_buffer *buffer)
{
	kfree(buffer->mapped);
}
