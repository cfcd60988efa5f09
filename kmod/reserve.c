// SPDX-License-Identifier: GPL-2.0-only
/*
 * RESERVE: an engine's own bytes, leased to a context until DESTROY, or the end of its address
 * space (aia_reservations_empty()) or of its file.
 *
 * A reservation charges the chain of limits from its tenant's place at the engine (struct
 * aia_node) up to the engine itself. So an engine's reservations never add up to more than it has,
 * nor a tenant's to more than its ceiling. The places live as long as what charges them.
 *
 * Locking: sizes, and whether an engine still gives, under aia_limit_lock. A reservation leaves
 * the index of all reservations, and its id names it no more, before the last time that its
 * destruction takes this lock: one found under the lock is there until it is let go.
 */
#include <linux/slab.h>

#include "aia.h"

DEFINE_XARRAY_ALLOC1(aia_reservations);
static u32 next_number;

/* ---- sizes ---- */

static int set_bytes_locked(struct aia_reservation *reservation, u64 bytes, u32 *refused_by)
{
	struct aia_limit *limit = &reservation->node->bytes, *refused;

	lockdep_assert_held(&aia_limit_lock);
	if (bytes < reservation->bytes) {
		aia_limit_uncharge(limit, reservation->bytes - bytes);
	} else {
		if (reservation->engine->gone)
			return -ENODEV;
		refused = aia_limit_charge(limit, bytes - reservation->bytes);
		if (refused) {
			*refused_by = refused == &reservation->engine->bytes ?
					      AIACCEL_REFUSED_ENGINE :
					      AIACCEL_REFUSED_TENANT;
			return -EDQUOT;
		}
	}
	reservation->ctx->reserved_bytes += bytes - reservation->bytes;
	reservation->bytes = bytes;
	return 0;
}

/* Sets the size and says what else could be had. */
static int take_locked(struct aia_reservation *reservation, struct aia_call *call)
{
	struct aiaccel_reserve *arg = call->arg;
	int err;

	err = set_bytes_locked(reservation, arg->bytes, &call->refused_by);
	if (!err)
		aia_limit_room(&reservation->node->bytes, &arg->max_bytes, &arg->free_bytes);
	return err;
}

/* ---- life ---- */

static int join_engine(struct aia_reservation *reservation)
{
	if (mutex_lock_killable(&aia_config_lock))
		return -EINTR;
	reservation->node = aia_node_get_locked(reservation->ctx->tenant, reservation->engine);
	mutex_unlock(&aia_config_lock);
	return reservation->node ? 0 : -ENOMEM;
}

static void leave_engine(struct aia_reservation *reservation)
{
	spin_lock(&aia_limit_lock);
	reservation->ctx->reserved_bytes -= reservation->bytes;
	aia_limit_uncharge(&reservation->node->bytes, reservation->bytes);
	spin_unlock(&aia_limit_lock);
	mutex_lock(&aia_config_lock);
	aia_node_put_locked(reservation->node);
	mutex_unlock(&aia_config_lock);
}

void aia_reservation_destroy(struct aia_reservation *reservation)
{
	xa_erase(&aia_reservations, reservation->number);
	leave_engine(reservation);
	aia_tenant_uncharge(reservation->ctx->tenant, AIA_CEILING_QUEUES, 1);
	aia_engine_put(reservation->engine);
	kfree(reservation);
}

static int create(struct aia_call *call, struct aia_engine *engine)
{
	struct aiaccel_reserve *arg = call->arg;
	struct aia_context *ctx = call->ctx;
	struct aia_reservation *reservation;
	int err;

	err = aia_context_watch(ctx);
	if (err)
		return err;
	reservation = kzalloc(sizeof(*reservation), GFP_KERNEL_ACCOUNT);
	if (!reservation) {
		call->refused_by = AIACCEL_REFUSED_MEMCG;
		return -ENOMEM;
	}
	reservation->ctx = ctx;
	reservation->engine = engine;
	err = aia_object_reserve(ctx, &reservation->object, AIA_OBJECT_RESERVATION,
				 &call->refused_by);
	if (err)
		goto err_free;
	err = aia_tenant_charge(ctx->tenant, AIA_CEILING_QUEUES, 1, &call->refused_by);
	if (err)
		goto err_abort;
	err = join_engine(reservation);
	if (err)
		goto err_uncharge;
	err = xa_alloc_cyclic(&aia_reservations, &reservation->number, reservation, xa_limit_32b,
			      &next_number, GFP_KERNEL_ACCOUNT);
	if (err < 0) {
		call->refused_by = AIACCEL_REFUSED_MEMCG;
		goto err_leave;
	}
	spin_lock(&aia_limit_lock);
	err = take_locked(reservation, call);
	spin_unlock(&aia_limit_lock);
	if (err == -ENODEV) /* it went just now, and its id names nothing */
		err = -ENOENT;
	if (err)
		goto err_number;
	arg->id = reservation->object.id;
	err = aia_reply(call);
	if (err)
		goto err_number;
	aia_object_publish(ctx, &reservation->object);
	return 0;

err_number:
	xa_erase(&aia_reservations, reservation->number);
err_leave:
	leave_engine(reservation);
err_uncharge:
	aia_tenant_uncharge(ctx->tenant, AIA_CEILING_QUEUES, 1);
err_abort:
	aia_object_abort(ctx, &reservation->object);
err_free:
	kfree(reservation);
	return err;
}

/*
 * The address space went: whatever it had at its engines went with it, while the file may live on
 * in a child that inherited it. Nobody can make a size larger again.
 */
void aia_reservations_empty(struct aia_context *ctx)
{
	struct aia_reservation *reservation;
	struct aia_object *object;
	unsigned long id;

	for (id = 0;; id++) {
		spin_lock(&aia_limit_lock);
		object = xa_find(&ctx->objects, &id, U32_MAX, XA_PRESENT);
		if (object && object->kind == AIA_OBJECT_RESERVATION) {
			reservation = container_of(object, struct aia_reservation, object);
			ctx->reserved_bytes -= reservation->bytes;
			aia_limit_uncharge(&reservation->node->bytes, reservation->bytes);
			reservation->bytes = 0;
		}
		spin_unlock(&aia_limit_lock);
		if (!object)
			break;
	}
}

/* ---- resizing ---- */

static struct aia_reservation *find_locked(struct aia_context *ctx, u32 id)
{
	struct aia_object *object = aia_object_find(ctx, id, AIA_OBJECT_RESERVATION);

	lockdep_assert_held(&aia_limit_lock);
	return object ? container_of(object, struct aia_reservation, object) : NULL;
}

static bool is_there(struct aia_context *ctx, u32 id)
{
	bool there;

	spin_lock(&aia_limit_lock);
	there = find_locked(ctx, id);
	spin_unlock(&aia_limit_lock);
	return there;
}

/* Whether the answer can be told is found out before there is anything to tell. */
static int resize(struct aia_call *call)
{
	struct aiaccel_reserve *arg = call->arg;
	struct aia_reservation *reservation;
	int err;

	if (!is_there(call->ctx, arg->id))
		return -ENOENT;
	err = aia_reply(call);
	if (err)
		return err;
	spin_lock(&aia_limit_lock);
	reservation = find_locked(call->ctx, arg->id);
	err = reservation ? take_locked(reservation, call) : -ENOENT;
	spin_unlock(&aia_limit_lock);
	return err ?: aia_reply(call);
}

int aia_reserve(struct aia_call *call)
{
	struct aiaccel_reserve *arg = call->arg;
	struct aia_engine *engine;
	int err;

	arg->refused_by = AIACCEL_REFUSED_NOT;
	err = aia_check_reserve(arg);
	if (err)
		return err;
	if (arg->id)
		return resize(call);
	engine = aia_engine_get(arg->engine);
	if (!engine)
		return -ENOENT;
	err = create(call, engine);
	if (err)
		aia_engine_put(engine); /* else the reservation keeps it */
	/* The notifier and the nodes are not charged to a memory cgroup. */
	if (err == -ENOMEM && call->refused_by == AIACCEL_REFUSED_NOT)
		call->refused_by = AIACCEL_REFUSED_MEMORY;
	return err;
}
