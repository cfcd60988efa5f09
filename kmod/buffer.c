// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a buffer (buffer.h): it is charged first, filled by alloc.c, pin.c or import.c,
 * and published by a handle. When the last reference goes, pages are let go of and charges
 * given back, by whoever that is.
 *
 * Pages that others refer to at that moment (a pipe that was fed by vmsplice, a
 * transfer in flight) stay charged to the memory cgroup until these let go, and are no
 * longer charged to the tenant.
 */
#include <linux/slab.h>

#include "buffer.h"
#include "trace.h"

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
	err = aia_tenant_charge_bytes(ctx->tenant, kind, nr_pages << PAGE_SHIFT, refused_by);
	if (err && aia_cache_give_back(ctx)) {
		*refused_by = AIACCEL_REFUSED_NOT;
		err = aia_tenant_charge_bytes(ctx->tenant, kind, nr_pages << PAGE_SHIFT,
					      refused_by);
	}
	if (err) {
		kfree(buffer);
		return ERR_PTR(err);
	}
	kref_init(&buffer->ref);
	init_rwsem(&buffer->lock);
	INIT_LIST_HEAD(&buffer->mapped_for);
	mutex_init(&buffer->export_lock);
	INIT_LIST_HEAD(&buffer->exports);
	buffer->kind = kind;
	buffer->length = length;
	buffer->maker = ctx->number;
	buffer->nr_pages = nr_pages;
	buffer->pages.node = NUMA_NO_NODE;
	buffer->tenant = aia_tenant_get(ctx->tenant);
	return buffer;
}

void aia_buffer_filled(struct aia_buffer *buffer)
{
	aia_pages_trim(&buffer->pages);
	aia_held_add(buffer->kind, &buffer->pages);
	buffer->filled = true;
}

struct aia_buffer *aia_buffer_get(struct aia_buffer *buffer)
{
	kref_get(&buffer->ref);
	return buffer;
}

bool aia_buffer_is_revoked(struct aia_buffer *buffer)
{
	bool revoked;

	down_read(&buffer->lock);
	revoked = buffer->revoked;
	up_read(&buffer->lock);
	return revoked;
}

int aia_buffer_join(struct aia_buffer *buffer)
{
	int err = 0;

	down_read(&buffer->lock);
	if (buffer->revoked)
		err = -ENODEV;
	else
		atomic_inc(&buffer->nr_importers);
	up_read(&buffer->lock);
	return err;
}

void aia_buffer_leave(struct aia_buffer *buffer)
{
	atomic_dec(&buffer->nr_importers);
}

bool aia_buffer_is_read_only(const struct aia_buffer *buffer)
{
	return buffer->kind == AIACCEL_BUFFER_PINNED && !(buffer->flags & AIACCEL_PIN_WRITE);
}

static void buffer_free(struct kref *ref)
{
	struct aia_buffer *buffer = container_of(ref, struct aia_buffer, ref);

	if (buffer->filled) {
		trace_free(buffer);
		aia_held_sub(buffer->kind, &buffer->pages);
	}
	aia_mapping_free(buffer);
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
	aia_pages_free(&buffer->pages);
	aia_tenant_uncharge_bytes(buffer->tenant, buffer->kind,
				  (u64)buffer->nr_pages << PAGE_SHIFT);
	aia_tenant_put(buffer->tenant);
	kfree(buffer);
}

void aia_buffer_put(struct aia_buffer *buffer)
{
	kref_put(&buffer->ref, buffer_free);
}
