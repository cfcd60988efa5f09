/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The share tree of one class at one engine: tenants below tenants, queues below the last.
 * At each level the member with the least virtual time (what it had, divided by its weight) is
 * first in line.
 *
 * A turn is charged twice: with an estimate when it begins, so that one member cannot take all free
 * slots at once, and with the difference to what was measured when it ends.
 *
 * A member that slept comes back with a virtual time at most AIA_SHARE_LAG_NS (at
 * weight AIACCEL_WEIGHT_DEFAULT, one slot) behind its siblings: it is served soon, and
 * cannot save up. A member seen for the first time has slept for nothing, and one that goes
 * for good in debt moves the floor on: closing and opening again gains no turn over those
 * who wait.
 *
 * Invariants
 *  - A share is in its parent's tree exactly while an eligible job lies below it, with nothing held
 *    back on the way there, itself included.
 *  - A member in a tree is at most the lag behind its parent's floor.
 * The caller serialises.
 */
#ifndef AIA_CORE_SHARE_H
#define AIA_CORE_SHARE_H

#include "rbtree.h"
#include "types.h"
#include "vtime.h"

#define AIA_SHARE_LAG_NS 20000000ULL

struct aia_share {
	struct aia_share *parent;	/* NULL: a class's root */
	struct aia_rb_node node;	/* in parent->members */
	struct aia_rb_root members;	/* by vtime; empty in a queue's share */
	struct aia_vtime vtime;		/* what it had; zero before it was first in line */
	struct aia_vtime floor;		/* the members' time: where the latest one served stood */
	__u32 weight;
	__u32 slowness;			/* its inverse */
	__u64 booked;			/* estimates of running turns below, slot-ns, in vtime */
	bool queued;
	bool held_back;			/* kept out of line; who says so queues it again after */
};

/* Weight 0 is the default, here and below. */
void aia_share_init(struct aia_share *share, struct aia_share *parent, __u32 weight);

/*
 * A share goes for good. What it had above the others would be forgotten, and a short-lived
 * successor would stand before those who wait, time and again. So the others' time
 * moves on by the debt, but past none of them.
 */
void aia_share_retire(const struct aia_share *share);

/* A new weight holds for what is booked, too. */
void aia_share_set_weight(struct aia_share *share, __u32 weight);

/* An eligible job lies below: into line, and all above that are neither there nor held back. */
void aia_share_join(struct aia_share *share);

/* No eligible job lies below any more: out of line, and all above that are left empty. */
void aia_share_leave(struct aia_share *share);

/* A turn begins below @share: the members' time moves up to those it passes. */
void aia_share_serve(struct aia_share *share);

/*
 * Charges @share and all above it @paid slot-nanoseconds. What is @booked counts likewise until it is
 * @returned. Who was never in line stands where the members do.
 */
void aia_share_charge(struct aia_share *share, __u64 paid, __u64 booked, __u64 returned);

/* The queue's share that is first in line below a class's root, or NULL. */
struct aia_share *aia_share_first(const struct aia_share *root);

#endif
