// SPDX-License-Identifier: GPL-2.0-only
/*
 * IMPORT: holds another driver's dma-buf. The reference keeps its memory, which the exporter
 * pays for, and the exporter's module. Nothing is attached or mapped: what engines do with it is
 * between their runtimes and the exporter.
 *
 * A dma-buf refers to no context of ours, so that none can hold itself.
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

int aia_buffer_import(struct aia_call *call)
{
	struct aiaccel_import *arg = call->arg;
	struct aia_handle *handle;
	struct aia_buffer *buffer;
	struct dma_buf *dma_buf;
	int err;

	if (!IS_ENABLED(CONFIG_DMA_SHARED_BUFFER))
		return -EOPNOTSUPP;
	arg->refused_by = AIACCEL_REFUSED_NOT;
	err = aia_check_import(arg);
	if (err)
		return err;
	dma_buf = dma_buf_get(arg->fd);
	if (IS_ERR(dma_buf))
		return PTR_ERR(dma_buf);
	buffer = aia_buffer_create(call->ctx, AIACCEL_BUFFER_IMPORTED, dma_buf->size, 0,
				   &call->refused_by);
	if (IS_ERR(buffer)) {
		dma_buf_put(dma_buf);
		return PTR_ERR(buffer);
	}
	buffer->dma_buf = dma_buf;
	handle = aia_handle_create(call->ctx, buffer, true, &call->refused_by);
	if (IS_ERR(handle)) {
		aia_buffer_put(buffer);
		return PTR_ERR(handle);
	}
	aia_buffer_filled(buffer);
	trace_import(buffer);
	arg->id = handle->object.id;
	arg->length = buffer->length;
	return aia_handle_publish(call, handle);
}
