// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ids of a context. An id is reserved first, told to the caller next, and published last: it
 * names nothing before the caller can have seen it, and what nobody saw is aborted.
 * Ids rise, so that a stale one does not soon name something new.
 *
 * Whoever has destroyed one may have the next one's id reserved ahead (aia_object_number).
 *
 * Locking: the xa_lock of aia_context.objects; see also the rules at aia_queues and
 * aia_reservations in aia.h.
 */
#include "buffer.h"

static const int max_objects[AIA_NR_OBJECT_KINDS] = {
	[AIA_OBJECT_QUEUE] = AIA_MAX_QUEUES,
	[AIA_OBJECT_BUFFER] = AIA_MAX_BUFFERS,
};

/* What counts as what: a reservation as a queue. */
static enum aia_object_kind counted_as(enum aia_object_kind kind)
{
	return kind == AIA_OBJECT_RESERVATION ? AIA_OBJECT_QUEUE : kind;
}

static void uncount(struct aia_context *ctx, enum aia_object_kind kind)
{
	atomic_dec(&ctx->nr_objects[counted_as(kind)]);
}

bool aia_object_number(struct aia_context *ctx, struct aia_object *object, gfp_t gfp)
{
	object->kind = 0;
	if (xa_alloc_cyclic(&ctx->objects, &object->id, object, xa_limit_32b, &ctx->next_id,
			    gfp) >= 0)
		return true;
	object->id = 0;
	return false;
}

int aia_object_reserve(struct aia_context *ctx, struct aia_object *object,
		       enum aia_object_kind kind, u32 *refused_by)
{
	enum aia_object_kind as = counted_as(kind);

	object->reserved_as = kind;
	if (atomic_inc_return(&ctx->nr_objects[as]) > max_objects[as]) {
		*refused_by = AIACCEL_REFUSED_CONTEXT;
		uncount(ctx, kind);
		return -EDQUOT;
	}
	if (!object->id && !aia_object_number(ctx, object, GFP_KERNEL_ACCOUNT)) {
		*refused_by = AIACCEL_REFUSED_MEMCG;
		uncount(ctx, kind);
		return -ENOMEM;
	}
	return 0;
}

void aia_object_publish(struct aia_context *ctx, struct aia_object *object)
{
	xa_lock(&ctx->objects);
	object->kind = object->reserved_as;
	xa_unlock(&ctx->objects);
}

void aia_object_unnumber(struct aia_context *ctx, struct aia_object *object)
{
	xa_erase(&ctx->objects, object->id);
	object->id = 0;
}

void aia_object_abort(struct aia_context *ctx, struct aia_object *object)
{
	aia_object_unnumber(ctx, object);
	uncount(ctx, object->reserved_as);
}

/* An object is taken out before it is freed: until xa_lock is let go, its kind can be read. */
struct aia_object *aia_object_find(struct aia_context *ctx, u32 id, enum aia_object_kind kind)
{
	struct aia_object *object;

	xa_lock(&ctx->objects);
	object = xa_load(&ctx->objects, id);
	if (object && object->kind != kind)
		object = NULL;
	xa_unlock(&ctx->objects);
	return object;
}

/*
 * One id of the last ones that were vacated stays reserved. So a program that makes and destroys
 * one thing in a loop does not have the nodes of the tree, which lie by rising ids, made and
 * freed each time.
 */
static void vacate_locked(struct aia_context *ctx, u32 id)
{
	if (ctx->vacant && ctx->vacant / XA_CHUNK_SIZE == id / XA_CHUNK_SIZE) {
		__xa_erase(&ctx->objects, id);
		return;
	}
	__xa_store(&ctx->objects, id, NULL, 0);
	if (ctx->vacant)
		__xa_erase(&ctx->objects, ctx->vacant);
	ctx->vacant = id;
}

struct aia_object *aia_object_take(struct aia_context *ctx, u32 id)
{
	struct aia_object *object;

	xa_lock(&ctx->objects);
	object = xa_load(&ctx->objects, id);
	if (object && !object->kind)
		object = NULL;
	if (object) {
		object->kind = 0;
		vacate_locked(ctx, id);
	}
	xa_unlock(&ctx->objects);
	if (object)
		uncount(ctx, object->reserved_as);
	return object;
}

void aia_object_destroy(struct aia_context *ctx, struct aia_object *object)
{
	switch (object->reserved_as) {
	case AIA_OBJECT_QUEUE:
		aia_queue_destroy(container_of(object, struct aia_queue, object));
		break;
	case AIA_OBJECT_RESERVATION:
		aia_reservation_destroy(container_of(object, struct aia_reservation, object));
		break;
	default:
		aia_handle_destroy(ctx, container_of(object, struct aia_handle, object));
	}
}
