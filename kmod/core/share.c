// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The share tree of one class at one engine; share.h has the rules and the invariants.
 * The caller serialises.
 */
#include "share.h"

#define share_of(rb) aia_container_of(rb, struct aia_share, node)

void aia_share_init(struct aia_share *share, struct aia_share *parent, __u32 weight)
{
	*share = (struct aia_share){
		.parent = parent,
		.root = parent ? parent->root : share,
		.weight = weight ? weight : AIACCEL_WEIGHT_DEFAULT,
		/* Not 0: who stands at 0 was never in line, nor can the lag lead below. */
		.floor = {1, AIA_SHARE_LAG_NS},
	};
	share->slowness = aia_vtime_slowness(share->weight);
}

static bool had_less(const struct aia_rb_node *a, const struct aia_rb_node *b)
{
	return aia_vtime_before(share_of(a)->vtime, share_of(b)->vtime);
}

static bool has_less_key(const struct aia_rb_node *a, const struct aia_rb_node *b)
{
	return aia_vtime_before(share_of(a)->key, share_of(b)->key);
}

/* Not further behind its siblings than the lag allows. */
static inline void catch_up(struct aia_share *share)
{
	struct aia_vtime lag = {0, AIA_SHARE_LAG_NS};
	struct aia_vtime start = share->parent->floor;

	if (!aia_vtime_before(share->vtime, start))
		return;
	if (share->vtime.high)
		start = aia_vtime_sub(start, lag);
	else
		start = aia_vtime_later(start, share->parent->entry);
	share->vtime = aia_vtime_later(share->vtime, start);
}

static void insert(struct aia_share *share)
{
	catch_up(share);
	if (share->root->by_key)
		aia_rb_insert(&share->parent->members, &share->node, has_less_key);
	else
		aia_rb_insert(&share->parent->members, &share->node, had_less);
}

/* A member's time has changed: to its place. */
static void move(struct aia_share *share)
{
	catch_up(share);
	if (!share->root->by_key)
		aia_rb_move(&share->parent->members, &share->node, had_less);
}

/* In a tree by keys: the first one below may be another, or have another key. */
static void follow_first(struct aia_share *share)
{
	struct aia_rb_node *first;

	for (; share->parent && (first = aia_rb_first(&share->members)); share = share->parent) {
		if (!aia_vtime_before(share->key, share_of(first)->key) &&
		    !aia_vtime_before(share_of(first)->key, share->key))
			break;
		if (share->queued)
			aia_rb_remove(&share->parent->members, &share->node);
		share->key = share_of(first)->key;
		if (!share->queued)
			break;
		insert(share);
	}
}

void aia_share_set_key(struct aia_share *share, struct aia_vtime key)
{
	bool moves = share->queued && share->root->by_key;

	if (moves)
		aia_rb_remove(&share->parent->members, &share->node);
	share->key = key;
	if (!moves)
		return;
	insert(share);
	follow_first(share->parent);
}

void aia_share_join(struct aia_share *share)
{
	bool by_key = share->root->by_key;

	for (; share->parent && !share->queued && !share->held_back; share = share->parent) {
		if (by_key)
			follow_first(share);
		insert(share);
		share->queued = true;
		share->gone = false;
		share->parent->lined++;
	}
	if (by_key)
		follow_first(share);
}

void aia_share_leave(struct aia_share *share)
{
	for (; share->parent && share->queued; share = share->parent) {
		aia_rb_remove(&share->parent->members, &share->node);
		share->queued = false;
		share->parent->lined--;
		if (share->parent->lined) {
			if (share->root->by_key)
				follow_first(share->parent);
			break;
		}
	}
}

bool aia_share_is_in_line(const struct aia_share *share)
{
	while (share->parent && share->queued)
		share = share->parent;
	return !share->parent;
}

bool aia_share_is_ahead(const struct aia_share *share, __u64 slot_ns)
{
	struct aia_vtime lead = {0, slot_ns};

	if (share->root->by_key)
		return false;
	for (; share->parent; share = share->parent) {
		const struct aia_rb_node *first = aia_rb_first(&share->parent->members);

		if (first && aia_vtime_before(aia_vtime_add(share_of(first)->vtime, lead),
					      share->vtime))
			return true;
	}
	return false;
}

bool aia_share_is_alone(const struct aia_share *share)
{
	for (; share->parent; share = share->parent)
		if (share->parent->lined > 1)
			return false;
	return true;
}

void aia_share_serve(struct aia_share *share)
{
	for (; share->parent; share = share->parent)
		if (aia_vtime_before(share->parent->floor, share->vtime))
			share->parent->floor = share->vtime;
}

void aia_share_charge(struct aia_share *share, __u64 paid, __u64 booked, __u64 returned)
{
	for (; share->parent; share = share->parent) {
		if (!share->vtime.high && booked && !share->queued)
			share->vtime = share->parent->floor;
		share->vtime = aia_vtime_add(share->vtime,
					     aia_vtime_cost(paid + booked, share->slowness));
		if (returned)
			share->vtime = aia_vtime_sub(share->vtime,
						     aia_vtime_cost(returned, share->slowness));
		share->booked += booked - returned;
		if (share->queued)
			move(share);
	}
}

/* What is booked has the cost that it will be returned at. */
void aia_share_set_weight(struct aia_share *share, __u32 weight)
{
	struct aia_vtime before = aia_vtime_cost(share->booked, share->slowness);
	struct aia_vtime after;

	share->weight = weight ? weight : AIACCEL_WEIGHT_DEFAULT;
	share->slowness = aia_vtime_slowness(share->weight);
	after = aia_vtime_cost(share->booked, share->slowness);
	share->vtime = aia_vtime_sub(aia_vtime_add(share->vtime, after), before);
	if (share->queued)
		move(share);
}

void aia_share_depart(struct aia_share *share)
{
	struct aia_share *parent = share->parent;
	struct aia_vtime entry = aia_vtime_later(parent->entry, parent->floor), over;
	struct aia_vtime limit = {0, AIA_SHARE_ENTRY_NS};
	__u32 others = parent->lined + !!parent->booked;

	if (share->gone || share->root->by_key || !aia_vtime_before(entry, share->vtime))
		return;
	share->gone = true;
	over = aia_vtime_sub(share->vtime, entry);
	over = (struct aia_vtime){0, aia_div(over.high ? ~0ULL : over.low, others + 1)};
	entry = aia_vtime_add(entry, over);
	limit = aia_vtime_add(parent->floor, limit);
	parent->entry = aia_vtime_before(limit, entry) ? limit : entry;
}

void aia_share_retire(struct aia_share *share)
{
	struct aia_share *parent = share->parent;
	struct aia_rb_node *first = aia_rb_first(&parent->members);
	struct aia_vtime floor = share->vtime;

	if (first && aia_vtime_before(share_of(first)->vtime, floor))
		floor = share_of(first)->vtime;
	parent->floor = aia_vtime_later(parent->floor, floor);
	aia_share_depart(share);
}

struct aia_share *aia_share_first(const struct aia_share *root)
{
	struct aia_rb_node *first = aia_rb_first(&root->members);
	struct aia_share *share = NULL;

	for (; first; first = aia_rb_first(&share->members))
		share = share_of(first);
	return share;
}
