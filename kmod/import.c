// SPDX-License-Identifier: GPL-2.0-only
/*
 * IMPORT: holds another driver's dma-buf. The reference keeps its memory, which the exporter
 * pays for, and the exporter's module. Nothing is attached or mapped: what engines do with it is
 * between their runtimes and the exporter.
 *
 * It holds a file that RLIMIT_NOFILE does not count: it counts as a queue of its tenant.
 *
 * A dma-buf refers to no context of ours, so that none can hold itself.
 */
#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/module.h>

#include "aia.h"
#include "compat.h"

AIA_IMPORT_NS(DMA_BUF);

void aia_import_release(struct aia_buffer *buffer)
{
	if (IS_ENABLED(CONFIG_DMA_SHARED_BUFFER))
		dma_buf_put(buffer->dma_buf);
	aia_tenant_uncharge(buffer->tenant, AIA_CEILING_QUEUES, 1);
}

int aia_buffer_import(struct aia_call *call)
{
	struct aiaccel_import *arg = call->arg;
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
	err = aia_tenant_charge(call->ctx->tenant, AIA_CEILING_QUEUES, 1, &call->refused_by);
	if (err)
		goto err_put;
	buffer = aia_buffer_create(call->ctx, AIACCEL_BUFFER_IMPORTED, dma_buf->size, 0,
				   &call->refused_by);
	if (IS_ERR(buffer)) {
		err = PTR_ERR(buffer);
		goto err_uncharge;
	}
	buffer->dma_buf = dma_buf;
	buffer->numa_node = NUMA_NO_NODE;
	arg->id = buffer->object.id;
	arg->length = buffer->length;
	return aia_buffer_publish(call, buffer);

err_uncharge:
	aia_tenant_uncharge(call->ctx->tenant, AIA_CEILING_QUEUES, 1);
err_put:
	dma_buf_put(dma_buf);
	return err;
}
