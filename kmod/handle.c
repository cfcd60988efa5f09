// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handles: ids of buffers in a context, and their offsets for mmap.
 *
 * A context never uses an mmap offset twice, so that a stale one finds nothing. Each context has
 * its own count, and learns nothing of what others allocate.
 *
 * Locking: the xa_lock of aia_context.objects and of aia_context.offsets. A handle leaves both
 * before it is freed: one found under either lock is there until that is let go. It is constant.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "buffer.h"

#define FIRST_OFFSET ((1ULL << 32) >> PAGE_SHIFT)

/* By PIN_CACHED: it uses a pin of the context's cache. */
static bool is_cached(const struct aia_handle *handle)
{
	return !handle->foreign && handle->buffer->cached;
}

static void count_bytes(struct aia_context *ctx, const struct aia_handle *handle, s64 sign)
{
	u32 kind = handle->foreign ? AIACCEL_BUFFER_IMPORTED : handle->buffer->kind;

	if (!is_cached(handle)) /* which the cache counts */
		atomic64_add(sign * (s64)handle->buffer->length, &ctx->bytes[kind - 1]);
}

static unsigned long last_offset(const struct aia_handle *handle)
{
	return handle->offset + handle->buffer->nr_pages - 1;
}

static int reserve_offset(struct aia_context *ctx, struct aia_handle *handle, u32 *refused_by)
{
	int err;

	handle->offset = FIRST_OFFSET + atomic64_fetch_add(handle->buffer->nr_pages, &ctx->offered);
	err = xa_reserve(&ctx->offsets, last_offset(handle), GFP_KERNEL_ACCOUNT);
	if (err)
		*refused_by = AIACCEL_REFUSED_MEMCG;
	return err;
}

/* Has no id, unless it could not be had in spite of it. */
static void free_handle(struct aia_context *ctx, struct aia_handle *handle)
{
	struct aia_object *object = &handle->object;

	if (!READ_ONCE(ctx->spare_handle) &&
	    (object->id || aia_object_number(ctx, object, GFP_NOWAIT | __GFP_NOWARN)))
		handle = xchg(&ctx->spare_handle, handle);
	if (handle && handle->object.id)
		aia_object_unnumber(ctx, &handle->object);
	kfree(handle);
}

void aia_handle_free_spare(struct aia_context *ctx)
{
	struct aia_handle *handle = ctx->spare_handle;

	ctx->spare_handle = NULL;
	if (handle)
		aia_object_unnumber(ctx, &handle->object);
	kfree(handle);
}

struct aia_handle *aia_handle_create(struct aia_context *ctx, struct aia_buffer *buffer,
				     bool foreign, u32 *refused_by)
{
	struct aia_handle *handle;
	int err;

	handle = xchg(&ctx->spare_handle, NULL) ?: kzalloc(sizeof(*handle), GFP_KERNEL_ACCOUNT);
	if (!handle) {
		*refused_by = AIACCEL_REFUSED_MEMCG;
		return ERR_PTR(-ENOMEM);
	}
	handle->buffer = buffer;
	handle->foreign = foreign;
	handle->offset = 0;
	err = aia_object_reserve(ctx, &handle->object, AIA_OBJECT_BUFFER, refused_by);
	if (err)
		goto err_free;
	/* What it keeps may be a file, which RLIMIT_NOFILE does not count. */
	if (foreign)
		err = aia_tenant_charge(ctx->tenant, AIA_CEILING_QUEUES, 1, refused_by);
	if (err)
		goto err_abort;
	if (buffer->kind == AIACCEL_BUFFER_ALLOCATED)
		err = reserve_offset(ctx, handle, refused_by);
	if (err)
		goto err_uncharge;
	atomic_inc(&buffer->nr_handles);
	count_bytes(ctx, handle, 1);
	return handle;

err_uncharge:
	if (foreign)
		aia_tenant_uncharge(ctx->tenant, AIA_CEILING_QUEUES, 1);
err_abort:
	aia_object_abort(ctx, &handle->object);
err_free:
	free_handle(ctx, handle);
	return ERR_PTR(err);
}

void aia_handle_destroy(struct aia_context *ctx, struct aia_handle *handle)
{
	struct aia_buffer *buffer = handle->buffer;

	if (handle->offset)
		xa_erase(&ctx->offsets, last_offset(handle));
	count_bytes(ctx, handle, -1);
	if (handle->foreign)
		aia_tenant_uncharge(ctx->tenant, AIA_CEILING_QUEUES, 1);
	atomic_dec(&buffer->nr_handles);
	if (is_cached(handle))
		aia_cache_put(buffer);
	handle->object.id = 0; /* which it has lost */
	free_handle(ctx, handle);
	aia_buffer_put(buffer);
}

void aia_handle_abort(struct aia_context *ctx, struct aia_handle *handle)
{
	aia_object_abort(ctx, &handle->object);
	aia_handle_destroy(ctx, handle);
}

int aia_handle_publish(struct aia_call *call, struct aia_handle *handle)
{
	struct aia_context *ctx = call->ctx;
	int err = aia_reply(call);

	if (err) {
		aia_handle_abort(ctx, handle);
		return err;
	}
	if (is_cached(handle)) /* not before: what fails leaves nothing */
		aia_cache_add(handle->buffer);
	if (handle->offset) /* reserved: cannot fail */
		xa_store(&ctx->offsets, last_offset(handle), handle, 0);
	aia_object_publish(ctx, &handle->object);
	return 0;
}

/* ---- looking up ---- */

static struct aia_handle *find_locked(struct aia_context *ctx, u32 id)
{
	struct aia_object *object = xa_load(&ctx->objects, id);

	lockdep_assert_held(&ctx->objects.xa_lock);
	return object && object->kind == AIA_OBJECT_BUFFER ?
		       container_of(object, struct aia_handle, object) :
		       NULL;
}

struct aia_buffer *aia_handle_find(struct aia_context *ctx, u32 id, struct aia_handle *copy)
{
	struct aia_buffer *buffer = NULL;
	struct aia_handle *handle;

	xa_lock(&ctx->objects);
	handle = find_locked(ctx, id);
	if (handle) {
		buffer = aia_buffer_get(handle->buffer);
		*copy = *handle;
	}
	xa_unlock(&ctx->objects);
	return buffer;
}

int aia_buffer_node(struct aia_context *ctx, u32 id, int *node)
{
	struct aia_handle *handle;

	xa_lock(&ctx->objects);
	handle = find_locked(ctx, id);
	if (handle)
		*node = handle->buffer->pages.node;
	xa_unlock(&ctx->objects);
	return handle ? 0 : -ENOENT;
}

struct aia_buffer *aia_handle_find_offset(struct aia_context *ctx, unsigned long offset,
					  unsigned long *index)
{
	struct aia_buffer *buffer = NULL;
	struct aia_handle *handle;
	unsigned long last = offset;

	xa_lock(&ctx->offsets);
	handle = xa_find(&ctx->offsets, &last, ULONG_MAX, XA_PRESENT);
	if (handle && handle->offset <= offset) {
		buffer = aia_buffer_get(handle->buffer);
		*index = offset - handle->offset;
	}
	xa_unlock(&ctx->offsets);
	return buffer;
}
