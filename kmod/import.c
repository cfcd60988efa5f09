// SPDX-License-Identifier: GPL-2.0-only
/*
 * IMPORT: what a dma-buf stands for, under an id of this context. One of our own exports is the
 * buffer that was exported; the dma-buf is not kept. Another driver's is held: the reference
 * keeps its memory, which the exporter pays for, and the exporter's module. Nothing is attached or
 * mapped: what engines do with it is between their runtimes and the exporter.
 *
 * A dma-buf refers to no context of ours, and a buffer to no export of its own, so that none can
 * hold itself.
 */
#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/module.h>

#include "buffer.h"
#include "compat.h"
#include "trace.h"

AIA_IMPORT_NS(DMA_BUF);

void aia_import_release(struct aia_buffer *buffer)
{
	if (IS_ENABLED(CONFIG_DMA_SHARED_BUFFER))
		dma_buf_put(buffer->dma_buf);
}

static struct aia_buffer *own(struct aia_buffer *buffer)
{
	if (!aia_buffer_is_revoked(buffer))
		return buffer;
	aia_buffer_put(buffer);
	return ERR_PTR(-ENODEV);
}

static struct aia_buffer *others(struct aia_context *ctx, struct dma_buf *dma_buf, u32 *refused_by)
{
	struct aia_buffer *buffer;

	buffer = aia_buffer_create(ctx, AIACCEL_BUFFER_IMPORTED, dma_buf->size, 0, refused_by);
	if (IS_ERR(buffer))
		return buffer;
	get_dma_buf(dma_buf);
	buffer->dma_buf = dma_buf;
	aia_buffer_filled(buffer);
	return buffer;
}

/* Counted for the caller. */
static struct aia_buffer *find(struct aia_call *call, int fd)
{
	struct dma_buf *dma_buf = dma_buf_get(fd);
	struct aia_buffer *buffer;

	if (IS_ERR(dma_buf))
		return ERR_CAST(dma_buf);
	buffer = aia_export_find(dma_buf);
	buffer = buffer ? own(buffer) : others(call->ctx, dma_buf, &call->refused_by);
	dma_buf_put(dma_buf);
	return buffer;
}

int aia_buffer_import(struct aia_call *call)
{
	struct aiaccel_import *arg = call->arg;
	struct aia_handle *handle;
	struct aia_buffer *buffer;
	int err;

	if (!IS_ENABLED(CONFIG_DMA_SHARED_BUFFER))
		return -EOPNOTSUPP;
	arg->refused_by = AIACCEL_REFUSED_NOT;
	err = aia_check_import(arg);
	if (err)
		return err;
	buffer = find(call, arg->fd);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	handle = aia_handle_create(call->ctx, buffer, true, &call->refused_by);
	if (IS_ERR(handle)) {
		aia_buffer_put(buffer);
		return PTR_ERR(handle);
	}
	trace_import(buffer);
	arg->id = handle->object.id;
	arg->length = buffer->length;
	return aia_handle_publish(call, handle);
}
