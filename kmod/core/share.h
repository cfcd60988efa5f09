/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The share tree of one class at one engine: tenants below tenants, queues below the last.
 * At each level the member with the least virtual time (what it had, divided by its weight) is
 * first in line; in a tree by keys the one with the least key. A queue's key is that of its first
 * job, a tenant's the least below it. What is had is counted in either.
 *
 * A turn is charged twice: with an estimate when it begins, so that one member cannot take all free
 * slots at once, and with the difference to what was measured when it ends.
 *
 * A member that slept comes back with a virtual time at most AIA_SHARE_LAG_NS (at weight
 * AIACCEL_WEIGHT_DEFAULT, one slot) behind its siblings: it is served soon, and cannot save up. A
 * member seen for the first time has slept for nothing, and one that goes for good in debt moves
 * the floor on: closing and opening again gains no turn over those who wait. But past none of them,
 * and among them may be other newcomers. So newcomers have a time of their own, which those that go
 * move on by what each of the rest has part in: however many come, one after the other or several
 * at a time, who stays has about half of its share beside them at least, where weights are alike
 * and turns no longer than AIA_SHARE_ENTRY_NS (tests/core/sched_shares.cpp plays it). A newcomer
 * stands no more than that (at weight AIACCEL_WEIGHT_DEFAULT, one slot) beyond the floor, whatever
 * others owed who went.
 *
 * Under keys the floor moves on with whoever is served: of what one had then, the lag and the last
 * turn are all that count once the tree goes by virtual time again.
 *
 * Invariants
 *  - A share is in its parent's tree exactly while an eligible job lies below it, with nothing held
 *    back on the way there, itself included.
 *  - In a tree by virtual time a member is at most the lag behind its parent's floor, or what a
 *    group may be ahead where one went before it (group.h). That much of what it was behind is lost
 *    when it leaves the line and comes back.
 *  - In a tree by keys the key of a share that has members is that of the first one.
 * The caller serialises.
 */
#ifndef AIA_CORE_SHARE_H
#define AIA_CORE_SHARE_H

#include "rbtree.h"
#include "types.h"
#include "vtime.h"

#define AIA_SHARE_LAG_NS 20000000ULL
#define AIA_SHARE_ENTRY_NS 1000000000ULL

struct aia_share {
	/* What a look at a member touches, on one cache line. */
	struct aia_rb_node node;	/* in parent->members */
	struct aia_vtime vtime;		/* what it had; zero before it was first in line */

	struct aia_share *parent;	/* NULL: a class's root */
	struct aia_share *root;
	struct aia_rb_root members;	/* in the order of the tree; empty in a queue's share */
	struct aia_vtime floor;		/* the members' time: where the latest one served stood */
	struct aia_vtime entry;		/* where newcomers stand, if that is beyond the floor */
	struct aia_vtime key;
	__u32 weight;
	__u32 slowness;			/* its inverse */
	__u64 booked;			/* estimates of running turns below, slot-ns, in vtime */
	__u32 lined;			/* members in line */
	bool queued;
	bool held_back;			/* kept out of line; who says so queues it again after */
	bool gone;			/* departed, and not in line since */
	bool by_key;			/* of a root: its tree's order; changed while empty */
};

/* Weight 0 is the default, here and below. */
void aia_share_init(struct aia_share *share, struct aia_share *parent, __u32 weight);

/*
 * Nothing lies below a share any more, maybe for good. Whoever is new stands further on by what it
 * had above where newcomers stood, divided by how many compete.
 */
void aia_share_depart(struct aia_share *share);

/*
 * Likewise, and it is gone for good. What it had above the others would be forgotten, and a
 * short-lived successor would stand before those who wait. So the members' time moves on by the
 * debt, too, but past none of those in line.
 */
void aia_share_retire(struct aia_share *share);

/* A new weight holds for what is booked, too. */
void aia_share_set_weight(struct aia_share *share, __u32 weight);

/* An eligible job lies below: into line, and all above that are neither there nor held back. */
void aia_share_join(struct aia_share *share);

/* The key of a queue's share; in its tree it moves to its place. */
void aia_share_set_key(struct aia_share *share, struct aia_vtime key);

/* No eligible job lies below any more: out of line, and all above that are left empty. */
void aia_share_leave(struct aia_share *share);

/* Whether an eligible job below @share can be chosen. */
bool aia_share_is_in_line(const struct aia_share *share);

/*
 * Whether @share, or one above it, had more than the first in line beside it, by more than @slot_ns
 * cost at the default weight. Never in a tree by keys.
 */
bool aia_share_is_ahead(const struct aia_share *share, __u64 slot_ns);

/* Whether nobody else is in line in its whole tree; it is. */
bool aia_share_is_alone(const struct aia_share *share);

/* A turn begins below @share: the members' time moves up to those it passes. */
void aia_share_serve(struct aia_share *share);

/*
 * Charges @share and all above it @paid slot-nanoseconds. What is @booked counts likewise until it
 * is @returned. Who was never in line stands where the members do.
 */
void aia_share_charge(struct aia_share *share, __u64 paid, __u64 booked, __u64 returned);

/* The queue's share that is first in line below a class's root, or NULL. */
struct aia_share *aia_share_first(const struct aia_share *root);

#endif
