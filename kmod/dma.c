// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers mapped for the devices of providers (provider.h).
 *
 * Who may: the process whose context it is, while the context has a turn on the engine. That is
 * looked at once, under aia_turn_lock. Whatever ends the turn later has the provider's stop()
 * called after that.
 *
 * Invariants
 *  - A mapping holds its buffer and its engine, and neither the context nor the file.
 *  - It is on its engine's list until it is undone: by its driver, or as the engine is
 *    unregistered, after which the driver may be unbound from the device and only has memory left
 *    to give back.
 *  - It counts as an importer of the buffer from before `revoked` was read until it is undone.
 *
 * Locking: dma_lock of the engine, for the list and while a mapping is undone, so that whoever has
 * waited for it finds it undone. Outside the dma_resv of another driver's dma-buf. Making one takes
 * it for a moment at the end; nothing else is held then.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "buffer.h"
#include "compat.h"

struct mapping {
	struct aia_dma dma;		/* what its driver sees */
	struct aia_engine *engine;	/* counted */
	struct aia_buffer *buffer;	/* counted, also as an importer */
	struct device *dev;		/* while it is on the list */
	enum dma_data_direction direction;
	struct sg_table pages;		/* of a buffer of ours */
	struct dma_buf_attachment *attachment; /* of another driver's dma-buf; or NULL */
	struct list_head of_engine;	/* dma_lock; empty once it is undone */
};

/* ---- whether it may be ---- */

static bool writes(enum dma_data_direction direction)
{
	return direction != DMA_TO_DEVICE;
}

static bool may_be_written(const struct aia_buffer *buffer)
{
	if (buffer->dma_buf)
		return buffer->dma_buf->file->f_mode & FMODE_WRITE;
	return !aia_buffer_is_read_only(buffer);
}

/* All queues of a context at an engine have one seat; a turn that is granted has a generation. */
static bool has_turn(struct aia_context *ctx, const struct aia_engine *engine, u32 generation)
{
	const struct aia_sched_job *job = NULL;
	const struct aia_queue *queue;
	bool found;

	spin_lock(&aia_turn_lock);
	list_for_each_entry(queue, &ctx->queues, of_context)
		if (queue->engine == engine)
			job = queue->seat->sched.turn;
	found = job && generation && job->state == AIA_SCHED_GRANTED &&
		container_of(job, const struct aia_turn, job)->note.generation == generation;
	spin_unlock(&aia_turn_lock);
	return found;
}

/* The context that the caller has open, or an error. */
static struct aia_context *context_of(const struct file *file)
{
	struct aia_context *ctx;

	if (file->f_op != &aia_context_fops)
		return ERR_PTR(-EINVAL);
	ctx = file->private_data;
	if (current->mm != ctx->mm || (current->flags & PF_KTHREAD))
		return ERR_PTR(-EPERM);
	return ctx;
}

int aia_engine_check_turn(struct aia_engine *engine, const struct file *file, u32 generation)
{
	struct aia_context *ctx = context_of(file);

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	return has_turn(ctx, engine, generation) ? 0 : -ESTALE;
}
EXPORT_SYMBOL_GPL(aia_engine_check_turn);

static int check(struct aia_context *ctx, struct aia_buffer *buffer,
		 const struct aia_engine *engine, const struct aia_dma_desc *desc)
{
	if (desc->offset > buffer->length || desc->length > buffer->length - desc->offset)
		return -EINVAL;
	if (writes(desc->direction) && !may_be_written(buffer))
		return -EACCES;
	return has_turn(ctx, engine, desc->generation) ? 0 : -ESTALE;
}

/* ---- mapping ---- */

static int map_pages(struct mapping *mapping, u64 offset)
{
	struct aia_buffer *buffer = mapping->buffer;
	u64 begin = buffer->skip + offset, end = begin + mapping->dma.length;
	unsigned long first = begin >> PAGE_SHIFT;
	int err;

	err = aia_pages_map(&buffer->pages, mapping->dev, first,
			    DIV_ROUND_UP_ULL(end, PAGE_SIZE) - first, mapping->direction,
			    &mapping->pages);
	if (err)
		return err;
	mapping->dma.table = &mapping->pages;
	mapping->dma.skip = offset_in_page(begin);
	return 0;
}

static int map_foreign(struct mapping *mapping, u64 offset)
{
	struct dma_buf *dma_buf = mapping->buffer->dma_buf;
	bool write = writes(mapping->direction);
	struct sg_table *table;

	if (!dma_resv_test_signaled(dma_buf->resv, dma_resv_usage_rw(write)))
		return -EBUSY;
	mapping->attachment = dma_buf_attach(dma_buf, mapping->dev);
	if (IS_ERR(mapping->attachment))
		return PTR_ERR(mapping->attachment);
	table = aia_dma_buf_map(mapping->attachment, mapping->direction);
	if (IS_ERR(table)) {
		dma_buf_detach(dma_buf, mapping->attachment);
		return PTR_ERR(table);
	}
	mapping->dma.table = table;
	mapping->dma.skip = offset;
	return 0;
}

static int map(struct mapping *mapping, u64 offset)
{
	if (!mapping->buffer->dma_buf)
		return map_pages(mapping, offset);
	return IS_ENABLED(CONFIG_DMA_SHARED_BUFFER) ? map_foreign(mapping, offset) : -EOPNOTSUPP;
}

static void undo_locked(struct mapping *mapping)
{
	lockdep_assert_held(&mapping->engine->dma_lock);
	if (list_empty(&mapping->of_engine))
		return;
	list_del_init(&mapping->of_engine);
	if (IS_ENABLED(CONFIG_DMA_SHARED_BUFFER) && mapping->attachment) {
		aia_dma_buf_unmap(mapping->attachment, mapping->dma.table, mapping->direction);
		dma_buf_detach(mapping->buffer->dma_buf, mapping->attachment);
	} else {
		aia_pages_unmap(mapping->dev, mapping->direction, &mapping->pages);
	}
	aia_buffer_leave(mapping->buffer);
}

/* Takes over the caller's reference to the buffer, unless it fails. */
static struct aia_dma *make(struct aia_engine *engine, struct aia_buffer *buffer,
			    const struct aia_dma_desc *desc)
{
	struct mapping *mapping;
	int err;

	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL_ACCOUNT);
	if (!mapping)
		return ERR_PTR(-ENOMEM);
	mapping->dma.length = desc->length;
	mapping->engine = engine;
	mapping->buffer = buffer;
	mapping->dev = desc->dev;
	mapping->direction = desc->direction;
	err = aia_buffer_join(buffer);
	if (err)
		goto err_free;
	err = map(mapping, desc->offset);
	if (err)
		goto err_leave;
	kref_get(&engine->ref);
	mutex_lock(&engine->dma_lock);
	list_add_tail(&mapping->of_engine, &engine->dmas);
	mutex_unlock(&engine->dma_lock);
	return &mapping->dma;

err_leave:
	aia_buffer_leave(buffer);
err_free:
	kfree(mapping);
	return ERR_PTR(err);
}

struct aia_dma *aia_dma_map(struct aia_engine *engine, const struct aia_dma_desc *desc)
{
	struct aia_buffer *buffer;
	struct aia_handle handle;
	struct aia_context *ctx;
	struct aia_dma *dma;
	int err;

	if (!desc->length)
		return ERR_PTR(-EINVAL);
	ctx = context_of(desc->file);
	if (IS_ERR(ctx))
		return ERR_CAST(ctx);
	if (desc->offset + desc->length < desc->offset)
		return ERR_PTR(-EOVERFLOW);
	buffer = aia_handle_find(ctx, desc->buffer, &handle);
	if (!buffer)
		return ERR_PTR(-ENOENT);
	err = check(ctx, buffer, engine, desc);
	dma = err ? ERR_PTR(err) : make(engine, buffer, desc);
	if (IS_ERR(dma))
		aia_buffer_put(buffer);
	return dma;
}
EXPORT_SYMBOL_GPL(aia_dma_map);

void aia_dma_unmap(struct aia_dma *dma)
{
	struct mapping *mapping = container_of(dma, struct mapping, dma);
	struct aia_engine *engine = mapping->engine;

	mutex_lock(&engine->dma_lock);
	undo_locked(mapping);
	mutex_unlock(&engine->dma_lock);
	aia_buffer_put(mapping->buffer);
	kfree(mapping);
	aia_engine_put(engine);
}
EXPORT_SYMBOL_GPL(aia_dma_unmap);

void aia_dma_end_all(struct aia_engine *engine)
{
	struct mapping *mapping, *next;

	mutex_lock(&engine->dma_lock);
	list_for_each_entry_safe(mapping, next, &engine->dmas, of_engine)
		undo_locked(mapping);
	mutex_unlock(&engine->dma_lock);
}

u64 aia_dma_at(const struct aia_dma *dma, u64 offset, dma_addr_t *at)
{
	u64 skip = dma->skip + offset;
	struct scatterlist *segment;
	unsigned int i;

	for_each_sgtable_dma_sg(dma->table, segment, i) {
		u64 length = sg_dma_len(segment);

		if (skip < length) {
			*at = sg_dma_address(segment) + skip;
			return min(length - skip, dma->length - offset);
		}
		skip -= length;
	}
	return 0; /* another driver's, which has mapped less than it says to have */
}
EXPORT_SYMBOL_GPL(aia_dma_at);
