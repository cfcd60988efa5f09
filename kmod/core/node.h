/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A tenant's place at one engine: a share in each class's tree, and ceilings.
 *
 * The ceilings are of the turns that the tenant holds at once, its children's included, and of the
 * slots times time that they take (cap.h). While it is at one, it is held back: out of its parent's
 * tree, in all classes but REALTIME (what was admitted there is the ceiling; it counts), until a
 * turn ends or a timer of the engine rings. What it holds it keeps. Slots stay free for that alone.
 *
 * Invariant: a tenant is held back exactly while it holds turns_max turns, or its engine time was
 * used up when last looked at: at a change, and when its timer rang.
 *
 * Depth is the adapter's to bound. The caller serialises all calls on one engine.
 */
#ifndef AIA_CORE_NODE_H
#define AIA_CORE_NODE_H

#include <uapi/aiaccel.h>
#include "cap.h"
#include "histogram.h"
#include "share.h"
#include "timers.h"
#include "types.h"
#include "wide.h"

struct aia_sched_engine;

struct aia_sched_node {
	struct aia_sched_node *parent;
	struct aia_sched_engine *engine;
	struct aia_share share[AIACCEL_NR_CLASSES];
	__u64 granted;			/* its own queues', not its children's */
	__u64 busy_ns;
	struct aiaccel_histogram wait, run;

	/* Its ceilings; its children's turns count. */
	struct aia_cap cap;
	__u32 turns, turns_max;		/* held now; at once, 0: as many as it gets */
	__u32 stops;			/* of turns, those that stop.h has alone */
	bool held_back;
	struct aia_timer rested;	/* set while it is without engine time: when that ends */
	__u64 held_back_ns, since_ns;	/* aia_node_held_back_ns() */

	struct aia_wide_debt debt;	/* of a job of its own queues, not of its children's */
};

/* @parent is NULL for the root tenant's node. Weight 0 is the default, here and below. */
void aia_sched_node_init(struct aia_sched_node *node, struct aia_sched_engine *engine,
			 struct aia_sched_node *parent, __u32 weight);
void aia_sched_node_fini(struct aia_sched_node *node);	/* nothing lies below it */

/*
 * What the administrator changes while jobs wait and run; dispatch after. A new weight holds for
 * what runs, too. @engine_time is in 1/10000 of the engine, AIACCEL_ENGINE_TIME_ALL for no ceiling;
 * @turns are those held at once, 0 for no ceiling.
 */
void aia_sched_node_set_weight(struct aia_sched_node *node, __u32 weight);
void aia_sched_node_set_caps(struct aia_sched_node *node, __u32 engine_time, __u32 turns,
			     __u64 now_ns);

/*
 * Whether it is to be kept although nothing lies below it: it took engine time that has not come in
 * again, which would be forgotten with it, or it had more than others that are served beside it, or
 * it pays for work that is being stopped.
 * In the second case newcomers stand further on (aia_share_depart()).
 */
bool aia_sched_node_owes(struct aia_sched_node *node, __u64 now_ns);

/*
 * How long the node, or one above it, was held back so far. One that is held back has counted the
 * time of those above it up to then, and counts all time since; what those above it were held back
 * meanwhile is taken off when it is let go of, so that no time counts twice.
 */
__u64 aia_node_held_back_ns(const struct aia_sched_node *node, __u64 now_ns);

/* Whether the node, or one above it, is at a ceiling: nothing below begins. */
bool aia_node_is_held_back(const struct aia_sched_node *node);

/* Whether so many more turns are below the ceilings of turns of the node and of those above it. */
bool aia_node_has_room(const struct aia_sched_node *node, __u32 turns);

/*
 * So many @turns more below the node, modulo 2^32: its ceilings, and those above it, are charged
 * @paid slot-nanoseconds, and what is @booked until it is @returned.
 */
void aia_node_count_turns(struct aia_sched_node *node, __u32 turns, __u64 paid, __u64 booked,
			  __u64 returned, __u64 now_ns);

#endif
