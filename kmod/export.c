// SPDX-License-Identifier: GPL-2.0-only
/*
 * EXPORT: a buffer as a dma-buf, which other drivers take, and other contexts (import.c).
 *
 * Each call makes a dma-buf of its own, which refers to the buffer and never to a context. The
 * buffer lists its exports, without a reference, so that revoke.c finds who is attached to them.
 *
 * The pages never move, so this is a static exporter, which pins nothing when it is attached to.
 * What is mapped for devices is listed by the buffer: caches are synchronised for all devices that
 * have it, through whichever export the caller came. Whoever maps a buffer that was revoked
 * for a device gets -ENODEV; what was mapped before stays until it is unmapped.
 *
 * Of a buffer that was pinned, whole pages are exported: also what lies beside it in the first
 * and in the last one. CPUs reach it where it was pinned, so it cannot be mapped by mmap or vmap.
 *
 * Locking: callers of map and unmap hold the reservation lock of the dma-buf on some kernels, and
 * on others not, so that nothing here relies on it. Inside it: aia_buffer.lock. Outside of it:
 * aia_buffer.export_lock, which guards the list of exports. release() takes that: the kernel
 * puts the last reference of a file off until the task holds no lock.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/iosys-map.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "buffer.h"
#include "trace.h"

/* An array of them is as long as kvmalloc() allocates. */
#define MAX_VMAP_PAGES (INT_MAX / sizeof(struct page *))

/* For one device. */
struct mapping {
	struct list_head of_buffer;	/* aia_buffer.lock */
	struct sg_table table;
	struct device *dev;
	enum dma_data_direction direction;
};

static struct aia_buffer *buffer_of(const struct dma_buf *dma_buf)
{
	const struct aia_export *export = dma_buf->priv;

	return export->buffer;
}

/* ---- devices ---- */

static int attach(struct dma_buf *dma_buf, struct dma_buf_attachment *attachment)
{
	return aia_buffer_join(buffer_of(dma_buf));
}

static void detach(struct dma_buf *dma_buf, struct dma_buf_attachment *attachment)
{
	aia_buffer_leave(buffer_of(dma_buf));
}

static int list_mapping(struct aia_buffer *buffer, struct mapping *mapping)
{
	int err;

	down_write(&buffer->lock);
	err = buffer->revoked ? -ENODEV : 0;
	if (!err)
		list_add(&mapping->of_buffer, &buffer->mapped_for);
	up_write(&buffer->lock);
	return err;
}

static int map_for(struct aia_buffer *buffer, struct mapping *mapping)
{
	int err;

	err = aia_pages_map(&buffer->pages, mapping->dev, 0, buffer->nr_pages,
			    mapping->direction, &mapping->table);
	if (err)
		return err;
	err = list_mapping(buffer, mapping);
	if (err)
		aia_pages_unmap(mapping->dev, mapping->direction, &mapping->table);
	return err;
}

static struct sg_table *map(struct dma_buf_attachment *attachment,
			    enum dma_data_direction direction)
{
	struct aia_buffer *buffer = buffer_of(attachment->dmabuf);
	struct mapping *mapping;
	int err;

	if (aia_buffer_is_read_only(buffer) && direction != DMA_TO_DEVICE)
		return ERR_PTR(-EACCES);
	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL_ACCOUNT);
	if (!mapping)
		return ERR_PTR(-ENOMEM);
	mapping->dev = attachment->dev;
	mapping->direction = direction;
	err = map_for(buffer, mapping);
	if (err) {
		kfree(mapping);
		return ERR_PTR(err);
	}
	trace_dma_map(buffer);
	return &mapping->table;
}

static void unmap(struct dma_buf_attachment *attachment, struct sg_table *table,
		  enum dma_data_direction direction)
{
	struct mapping *mapping = container_of(table, struct mapping, table);
	struct aia_buffer *buffer = buffer_of(attachment->dmabuf);

	down_write(&buffer->lock);
	list_del(&mapping->of_buffer);
	up_write(&buffer->lock);
	aia_pages_unmap(mapping->dev, mapping->direction, table);
	kfree(mapping);
	trace_dma_unmap(buffer);
}

/* ---- CPUs ---- */

static int begin_cpu_access(struct dma_buf *dma_buf, enum dma_data_direction direction)
{
	struct aia_buffer *buffer = buffer_of(dma_buf);
	struct mapping *mapping;
	int err;

	down_read(&buffer->lock);
	err = buffer->revoked ? -ENODEV : 0;
	if (!err)
		list_for_each_entry(mapping, &buffer->mapped_for, of_buffer)
			dma_sync_sgtable_for_cpu(mapping->dev, &mapping->table, mapping->direction);
	up_read(&buffer->lock);
	return err;
}

/* Also when it was revoked since: the devices still have it. */
static int end_cpu_access(struct dma_buf *dma_buf, enum dma_data_direction direction)
{
	struct aia_buffer *buffer = buffer_of(dma_buf);
	struct mapping *mapping;

	down_read(&buffer->lock);
	list_for_each_entry(mapping, &buffer->mapped_for, of_buffer)
		dma_sync_sgtable_for_device(mapping->dev, &mapping->table, mapping->direction);
	up_read(&buffer->lock);
	return 0;
}

static int map_allocated(struct dma_buf *dma_buf, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	return aia_mapping_create(buffer_of(dma_buf), vma, vma->vm_pgoff);
}

static int refuse_pinned(struct dma_buf *dma_buf, struct vm_area_struct *vma)
{
	return -EOPNOTSUPP;
}

static void *map_in_kernel(const struct aia_buffer *buffer)
{
	struct page **pages;
	void *address;

	pages = kvmalloc_array(buffer->nr_pages, sizeof(*pages), GFP_KERNEL | __GFP_NOWARN);
	if (!pages)
		return NULL;
	aia_pages_copy(&buffer->pages, 0, pages, buffer->nr_pages);
	address = vmap(pages, buffer->nr_pages, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	return address;
}

/*
 * Also of one that was revoked: the kernel warns where vmap fails, which a revocation shall not
 * bring about (a host without memory still may).
 * The driver finds what was there when the buffer was revoked, as no user can write to it.
 */
static int export_vmap(struct dma_buf *dma_buf, struct iosys_map *map)
{
	void *address = map_in_kernel(buffer_of(dma_buf));

	if (!address)
		return -ENOMEM;
	iosys_map_set_vaddr(map, address);
	return 0;
}

static void export_vunmap(struct dma_buf *dma_buf, struct iosys_map *map)
{
	vunmap(map->vaddr);
}

/* ---- life ---- */

static void free_export(struct aia_export *export)
{
	struct aia_buffer *buffer = export->buffer;

	mutex_lock(&buffer->export_lock);
	list_del(&export->of_buffer);
	mutex_unlock(&buffer->export_lock);
	atomic_dec(&buffer->nr_exports);
	kfree(export);
	aia_buffer_put(buffer);
}

static void release(struct dma_buf *dma_buf)
{
	free_export(dma_buf->priv);
}

static const struct dma_buf_ops allocated_ops = {
	.attach = attach,
	.detach = detach,
	.map_dma_buf = map,
	.unmap_dma_buf = unmap,
	.begin_cpu_access = begin_cpu_access,
	.end_cpu_access = end_cpu_access,
	.mmap = map_allocated,
	.vmap = export_vmap,
	.vunmap = export_vunmap,
	.release = release,
};

static const struct dma_buf_ops pinned_ops = {
	.attach = attach,
	.detach = detach,
	.map_dma_buf = map,
	.unmap_dma_buf = unmap,
	.begin_cpu_access = begin_cpu_access,
	.end_cpu_access = end_cpu_access,
	.mmap = refuse_pinned,
	.release = release,
};

/* Of 1 TiB and more the kernel allocates no array of pages, and would warn of vmap. */
static const struct dma_buf_ops vast_ops = {
	.attach = attach,
	.detach = detach,
	.map_dma_buf = map,
	.unmap_dma_buf = unmap,
	.begin_cpu_access = begin_cpu_access,
	.end_cpu_access = end_cpu_access,
	.mmap = map_allocated,
	.release = release,
};

static const struct dma_buf_ops *ops_of(const struct aia_buffer *buffer)
{
	if (buffer->kind == AIACCEL_BUFFER_PINNED)
		return &pinned_ops;
	return buffer->nr_pages > MAX_VMAP_PAGES ? &vast_ops : &allocated_ops;
}

/* Exports hold the module, so that these are the operations of nobody else's. */
struct aia_buffer *aia_export_find(const struct dma_buf *dma_buf)
{
	if (dma_buf->ops->release != release)
		return NULL;
	return aia_buffer_get(buffer_of(dma_buf));
}

static struct aia_export *make_export(struct aia_buffer *buffer)
{
	struct aia_export *export = kzalloc(sizeof(*export), GFP_KERNEL_ACCOUNT);

	if (!export)
		return NULL;
	INIT_LIST_HEAD(&export->of_buffer);
	export->buffer = aia_buffer_get(buffer);
	atomic_inc(&buffer->nr_exports);
	return export;
}

/* It is listed first: either who revokes finds it there, or it is found to be revoked here. */
static int list_export(struct aia_export *export, struct dma_buf *dma_buf)
{
	struct aia_buffer *buffer = export->buffer;

	mutex_lock(&buffer->export_lock);
	export->dma_buf = dma_buf;
	list_add(&export->of_buffer, &buffer->exports);
	mutex_unlock(&buffer->export_lock);
	return aia_buffer_is_revoked(buffer) ? -ENODEV : 0;
}

static struct dma_buf *export_pages(struct aia_buffer *buffer)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct aia_export *export = make_export(buffer);
	struct dma_buf *dma_buf;
	int err;

	if (!export)
		return ERR_PTR(-ENOMEM);
	info.ops = ops_of(buffer);
	info.size = buffer->nr_pages << PAGE_SHIFT;
	info.flags = aia_buffer_is_read_only(buffer) ? O_RDONLY : O_RDWR;
	info.priv = export;
	dma_buf = dma_buf_export(&info);
	if (IS_ERR(dma_buf)) {
		free_export(export);
		return dma_buf;
	}
	err = list_export(export, dma_buf);
	if (err) {
		dma_buf_put(dma_buf);
		return ERR_PTR(err);
	}
	return dma_buf;
}

static struct dma_buf *export_buffer(struct aia_buffer *buffer)
{
	if (buffer->kind != AIACCEL_BUFFER_IMPORTED)
		return export_pages(buffer);
	get_dma_buf(buffer->dma_buf);
	return buffer->dma_buf;
}

/* Nobody can use the descriptor before the caller was told. Takes over the reference. */
static int hand_out(struct aia_call *call, struct dma_buf *dma_buf)
{
	struct aiaccel_export *arg = call->arg;
	int fd = get_unused_fd_flags(O_CLOEXEC), err = fd;

	if (fd >= 0) {
		arg->fd = fd;
		err = aia_reply(call);
		if (!err) {
			fd_install(fd, dma_buf->file);
			return 0;
		}
		put_unused_fd(fd);
	}
	dma_buf_put(dma_buf);
	return err;
}

int aia_buffer_export(struct aia_call *call)
{
	struct aiaccel_export *arg = call->arg;
	struct aia_buffer *buffer;
	struct aia_handle handle;
	struct dma_buf *dma_buf;
	int err;

	err = aia_check_export(arg);
	if (err)
		return err;
	if (!IS_ENABLED(CONFIG_DMA_SHARED_BUFFER))
		return -EOPNOTSUPP;
	buffer = aia_handle_find(call->ctx, arg->id, &handle);
	if (!buffer)
		return -ENOENT;
	dma_buf = export_buffer(buffer);
	err = PTR_ERR_OR_ZERO(dma_buf);
	if (!err) {
		trace_export(buffer);
		err = hand_out(call, dma_buf);
	}
	aia_buffer_put(buffer);
	return err;
}
