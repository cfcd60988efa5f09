// SPDX-License-Identifier: GPL-2.0-only
/*
 * BUFFER_REVOKE: a buffer is taken back from all who have it.
 *
 *  1. `revoked` is set under the buffer's lock. From then on nobody begins to use it: those who
 *     were about to have been seen, by being where the next steps look, or see it.
 *  2. Its pages are taken out of all mappings. Faults put in none any more.
 *  3. Importers that listen are told. What devices have mapped stays theirs until their drivers
 *     let go, and so do the pages, and who pays for them.
 *
 * Once more does the same again, and changes nothing: it returns when all is done, also where
 * another thread is just doing it.
 *
 * Locking: aia_buffer.lock for the first step, export_lock for the third, which keeps a dma-buf
 * of the list from being freed meanwhile, with the reservation lock of each dma-buf inside.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>

#include "buffer.h"
#include "compat.h"
#include "trace.h"

static void set_revoked(struct aia_buffer *buffer)
{
	down_write(&buffer->lock);
	WRITE_ONCE(buffer->revoked, true); /* which the cache reads without the lock */
	up_write(&buffer->lock);
}

static void tell_importers(struct aia_buffer *buffer)
{
	struct aia_export *export;

	mutex_lock(&buffer->export_lock);
	list_for_each_entry(export, &buffer->exports, of_buffer) {
		dma_resv_lock(export->dma_buf->resv, NULL);
		aia_dma_buf_invalidate(export->dma_buf);
		dma_resv_unlock(export->dma_buf->resv);
	}
	mutex_unlock(&buffer->export_lock);
}

static void revoke(struct aia_buffer *buffer)
{
	set_revoked(buffer);
	aia_mapping_zap(buffer);
	if (IS_ENABLED(CONFIG_DMA_SHARED_BUFFER))
		tell_importers(buffer);
}

static int reply(struct aia_call *call, struct aia_buffer *buffer)
{
	struct aiaccel_buffer_revoke *arg = call->arg;

	arg->importers = atomic_read(&buffer->nr_importers);
	return aia_reply(call);
}

int aia_buffer_revoke(struct aia_call *call)
{
	const struct aiaccel_buffer_revoke *arg = call->arg;
	struct aia_buffer *buffer;
	struct aia_handle handle;
	int err;

	err = aia_check_buffer_revoke(arg);
	if (err)
		return err;
	buffer = aia_handle_find(call->ctx, arg->id, &handle);
	if (!buffer)
		return -ENOENT;
	err = handle.foreign ? -EPERM : 0;
	/* Whether the count can be told is found out before there is anything to tell. */
	if (!err)
		err = reply(call, buffer);
	if (!err) {
		trace_take_back(buffer);
		revoke(buffer);
		err = reply(call, buffer);
	}
	aia_buffer_put(buffer);
	return err;
}
