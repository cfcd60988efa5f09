/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Ceilings along the tree of tenants: a charge counts against a node and all above
 * it, and is taken whole or not at all.
 *
 * Invariant: used <= max unless max was lowered since; the sum of the children's
 * `used` is at most the parent's. No sum overflows.
 */
#ifndef AIA_CORE_LIMIT_H
#define AIA_CORE_LIMIT_H

#include "types.h"

#define AIA_LIMIT_NONE (~0ULL)

struct aia_limit {
	struct aia_limit *parent;	/* NULL at the root */
	__u64 max;
	__u64 used;
};

void aia_limit_init(struct aia_limit *limit, struct aia_limit *parent, __u64 max);

/* NULL when charged; else the limit, nearest first, that refused. */
struct aia_limit *aia_limit_charge(struct aia_limit *limit, __u64 amount);

/* The lowest ceiling up the chain, and how much could be charged now. */
void aia_limit_room(const struct aia_limit *limit, __u64 *max, __u64 *room);

/* How much this one alone, without those above, would take now; AIA_LIMIT_NONE where all. */
__u64 aia_limit_left(const struct aia_limit *limit);

/* @amount was charged before. */
void aia_limit_uncharge(struct aia_limit *limit, __u64 amount);

#endif
