// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A tenant's place at one engine; node.h has the rules. The caller serialises.
 */
#include "node.h"
#include "sched.h"

__u64 aia_node_held_back_ns(const struct aia_sched_node *node, __u64 now_ns)
{
	__u64 sum = 0;

	for (; node; node = node->parent) {
		sum += node->held_back_ns;
		if (node->held_back)
			return sum + aia_since_ns(node->since_ns, now_ns);
	}
	return sum;
}

static void hold_back(struct aia_sched_node *node, __u64 now_ns)
{
	__u32 c;

	node->held_back_ns += aia_node_held_back_ns(node->parent, now_ns);
	node->since_ns = now_ns;
	node->held_back = true;
	for (c = 0; c < AIACCEL_CLASS_REALTIME; c++) {
		aia_share_leave(&node->share[c]);
		node->share[c].held_back = true;
	}
}

static void let_go(struct aia_sched_node *node, __u64 now_ns)
{
	__u32 c;

	node->held_back_ns += aia_since_ns(node->since_ns, now_ns) -
			      aia_node_held_back_ns(node->parent, now_ns);
	node->held_back = false;
	for (c = 0; c < AIACCEL_CLASS_REALTIME; c++) {
		node->share[c].held_back = false;
		if (node->share[c].lined)
			aia_share_join(&node->share[c]);
	}
}

/* Looks at a node's ceilings again, after what they are held against has changed. */
static void review(struct aia_sched_node *node, __u64 now_ns)
{
	bool full = node->turns_max && node->turns >= node->turns_max;
	bool at_ceiling;

	aia_timer_set(&node->engine->timers, &node->rested, aia_cap_clear_ns(&node->cap, now_ns));
	at_ceiling = full || node->rested.at_ns;
	if (at_ceiling && !node->held_back)
		hold_back(node, now_ns);
	else if (!at_ceiling && node->held_back)
		let_go(node, now_ns);
}

static void ring_rested(struct aia_timer *timer, __u64 now_ns)
{
	review(aia_container_of(timer, struct aia_sched_node, rested), now_ns);
}

void aia_node_count_turns(struct aia_sched_node *node, __u32 turns, __u64 paid, __u64 booked,
			  __u64 returned, __u64 now_ns)
{
	for (; node; node = node->parent) {
		node->turns += turns;
		aia_cap_charge(&node->cap, paid, booked, returned, now_ns);
		if (node->turns_max || node->cap.refill)
			review(node, now_ns);
	}
}

bool aia_node_is_held_back(const struct aia_sched_node *node)
{
	for (; node; node = node->parent)
		if (node->held_back)
			return true;
	return false;
}

bool aia_node_has_room(const struct aia_sched_node *node, __u32 turns)
{
	for (; node; node = node->parent)
		if (node->turns_max && node->turns + turns > node->turns_max)
			return false;
	return true;
}

void aia_sched_node_init(struct aia_sched_node *node, struct aia_sched_engine *engine,
			 struct aia_sched_node *parent, __u32 weight)
{
	__u32 c;

	*node = (struct aia_sched_node){
		.parent = parent,
		.engine = engine,
		.rested.ring = ring_rested,
	};
	for (c = 0; c < AIACCEL_NR_CLASSES; c++)
		aia_share_init(&node->share[c], parent ? &parent->share[c] : &engine->root[c],
			       weight);
}

void aia_sched_node_fini(struct aia_sched_node *node)
{
	__u32 c;

	aia_timer_set(&node->engine->timers, &node->rested, 0);
	for (c = 0; c < AIACCEL_NR_CLASSES; c++)
		aia_share_retire(&node->share[c]);
}

void aia_sched_node_set_weight(struct aia_sched_node *node, __u32 weight)
{
	__u32 c;

	for (c = 0; c < AIACCEL_NR_CLASSES; c++)
		aia_share_set_weight(&node->share[c], weight);
}

void aia_sched_node_set_caps(struct aia_sched_node *node, __u32 engine_time, __u32 turns,
			     __u64 now_ns)
{
	node->turns_max = turns;
	aia_cap_set(&node->cap, node->engine->slots, engine_time, now_ns);
	review(node, now_ns);
}

/* In a tree by keys nothing is had more than by others. */
static bool had_more(const struct aia_share *share)
{
	const struct aia_share *parent = share->parent;

	return !share->root->by_key && (parent->lined || parent->booked) &&
	       aia_vtime_before(parent->floor, share->vtime);
}

bool aia_sched_node_owes(struct aia_sched_node *node, __u64 now_ns)
{
	bool more = false;
	__u32 c;

	for (c = 0; c < AIACCEL_NR_CLASSES; c++)
		if (had_more(&node->share[c])) {
			aia_share_depart(&node->share[c]);
			more = true;
		}
	return more || node->stops || aia_cap_owes(&node->cap, now_ns);
}
