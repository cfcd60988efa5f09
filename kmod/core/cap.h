/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A ceiling of engine time: how much of an engine's slots times time a tenant may take. A bucket
 * of tokens, told by what is missing from it. It fills with the allowed part of all that the
 * engine has, and holds what comes in AIA_CAP_BURST_NS; a turn may begin while there is
 * something in it, whatever it will cost. What a turn took is paid like its share (sched.h): an
 * estimate when it begins, the difference when it ends.
 *
 * So over any time T a tenant's turns take at most the allowed part of T and of
 * AIA_CAP_BURST_NS, and beyond it the turns that run when T begins or ends.
 *
 * Exact: all is counted in ten-thousandths of a slot-nanosecond, in 128 bits. The caller
 * serialises, and its clock does not go back.
 */
#ifndef AIA_CORE_CAP_H
#define AIA_CORE_CAP_H

#include "types.h"
#include "vtime.h"

#define AIA_CAP_BURST_NS 100000000ULL

struct aia_cap {
	__u32 refill;			/* ten-thousandths of a slot; 0: there is no ceiling */
	__u64 counted_ns;		/* when this was missing: */
	struct aia_vtime missing;
	__u64 booked;			/* estimates of running turns, slot-ns; always counted */
};

/*
 * @engine_time of an engine with so many slots. What is missing stays so unless it is all. Under a
 * ceiling that was not there, what is booked is missing.
 */
void aia_cap_set(struct aia_cap *cap, __u32 slots, __u32 engine_time, __u64 now_ns);

/*
 * Takes @paid slot-nanoseconds for good, and what is @booked until it is @returned. Most tenants
 * have no ceiling, and are charged without a call.
 */
void aia_cap_take(struct aia_cap *cap, __u64 taken, __u64 returned, __u64 now_ns);

static inline void aia_cap_charge(struct aia_cap *cap, __u64 paid, __u64 booked, __u64 returned,
				  __u64 now_ns)
{
	cap->booked += booked - returned;
	if (cap->refill)
		aia_cap_take(cap, paid + booked, returned, now_ns);
}

/* Whether anything is missing. */
bool aia_cap_owes(struct aia_cap *cap, __u64 now_ns);

/* When there will be something in it, or earlier where that is far away: ask again then. 0: now. */
__u64 aia_cap_clear_ns(struct aia_cap *cap, __u64 now_ns);

#endif
