/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Virtual time: slot-nanoseconds that a member of the share tree had, times
 * AIACCEL_WEIGHT_DEFAULT, over its weight. Kept in 128 bits: a member of weight 1 alone on
 * 128 slots would send 64 bits round in two weeks, and a comparison that is wrong
 * once starves somebody. No division and no 128-bit type, which some kernels lack.
 *
 * Values only; nothing to lock.
 */
#ifndef AIA_CORE_VTIME_H
#define AIA_CORE_VTIME_H

#include <uapi/aiaccel.h>
#include "types.h"

struct aia_vtime {
	__u64 high, low;
};

static inline bool aia_vtime_before(struct aia_vtime a, struct aia_vtime b)
{
	return a.high != b.high ? a.high < b.high : a.low < b.low;
}

static inline struct aia_vtime aia_vtime_later(struct aia_vtime a, struct aia_vtime b)
{
	return aia_vtime_before(a, b) ? b : a;
}

static inline struct aia_vtime aia_vtime_add(struct aia_vtime a, struct aia_vtime b)
{
	struct aia_vtime sum = {a.high + b.high, a.low + b.low};

	sum.high += sum.low < a.low;
	return sum;
}

static inline struct aia_vtime aia_vtime_sub(struct aia_vtime a, struct aia_vtime b)
{
	struct aia_vtime rest = {a.high - b.high, a.low - b.low};

	rest.high -= a.low < b.low;
	return rest;
}

/* The slowness of AIACCEL_WEIGHT_DEFAULT, which most have. */
#define AIA_VTIME_USUAL (1U << 24)

/* AIACCEL_WEIGHT_DEFAULT / @weight with 24 bits after the point; @weight is not 0. */
static inline __u32 aia_vtime_slowness(__u32 weight)
{
	return ((__u32)AIACCEL_WEIGHT_DEFAULT << 24) / weight;
}

/* The exact product. */
static inline struct aia_vtime aia_vtime_times(__u64 a, __u32 b)
{
	__u64 upper = (a >> 32) * b;
	struct aia_vtime high = {upper >> 32, upper << 32};
	struct aia_vtime low = {0, (a & 0xffffffff) * b};

	return aia_vtime_add(high, low);
}

/* What @slot_ns cost a member of that slowness. */
static inline struct aia_vtime aia_vtime_cost(__u64 slot_ns, __u32 slowness)
{
	struct aia_vtime high, low;
	__u64 upper;

	if (slowness == AIA_VTIME_USUAL)
		return (struct aia_vtime){0, slot_ns};
	upper = (slot_ns >> 32) * slowness;
	high = (struct aia_vtime){upper >> 56, upper << 8};
	low = (struct aia_vtime){0, (slot_ns & 0xffffffff) * slowness >> 24};
	return aia_vtime_add(high, low);
}

#endif
