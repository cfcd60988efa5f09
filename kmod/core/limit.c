// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Ceilings along the tree of tenants; see limit.h. Looks at the whole chain before
 * it changes any of it, so that a refusal has nothing to undo.
 *
 * The caller serialises all that shares a root.
 */
#include "limit.h"

void aia_limit_init(struct aia_limit *limit, struct aia_limit *parent, __u64 max)
{
	limit->parent = parent;
	limit->max = max;
	limit->used = 0;
}

/* max may lie below used. */
static __u64 room_at(const struct aia_limit *limit)
{
	return limit->used < limit->max ? limit->max - limit->used : 0;
}

struct aia_limit *aia_limit_charge(struct aia_limit *limit, __u64 amount)
{
	struct aia_limit *l;

	for (l = limit; l; l = l->parent)
		if (amount > room_at(l))
			return l;
	for (l = limit; l; l = l->parent)
		l->used += amount;
	return NULL;
}

void aia_limit_room(const struct aia_limit *limit, __u64 *max, __u64 *room)
{
	*max = AIA_LIMIT_NONE;
	*room = AIA_LIMIT_NONE;
	for (; limit; limit = limit->parent) {
		if (limit->max < *max)
			*max = limit->max;
		if (room_at(limit) < *room)
			*room = room_at(limit);
	}
}

__u64 aia_limit_left(const struct aia_limit *limit)
{
	return limit->max == AIA_LIMIT_NONE ? AIA_LIMIT_NONE : room_at(limit);
}

void aia_limit_uncharge(struct aia_limit *limit, __u64 amount)
{
	for (; limit; limit = limit->parent)
		limit->used -= amount;
}
