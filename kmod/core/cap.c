// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A ceiling of engine time; see cap.h. The caller serialises.
 */
#include "cap.h"

/*
 * For an end of the wait that does not fit 64 bits: at the largest refill it is 2^64 / (65535 *
 * 9999) ns away, 28 s, so that asking again after 17 s is never late.
 */
#define LATER_NS (1ULL << 34)

static struct aia_vtime less(struct aia_vtime a, struct aia_vtime b)
{
	return aia_vtime_before(a, b) ? (struct aia_vtime){0, 0} : aia_vtime_sub(a, b);
}

static void count(struct aia_cap *cap, __u64 now_ns)
{
	__u64 past_ns = now_ns > cap->counted_ns ? now_ns - cap->counted_ns : 0;

	cap->missing = less(cap->missing, aia_vtime_times(past_ns, cap->refill));
	cap->counted_ns = now_ns;
}

void aia_cap_set(struct aia_cap *cap, __u32 slots, __u32 engine_time, __u64 now_ns)
{
	count(cap, now_ns);
	/* What is booked was not missing without a ceiling, and is returned under this one. */
	if (!cap->refill)
		cap->missing = aia_vtime_times(cap->booked, AIACCEL_ENGINE_TIME_ALL);
	cap->refill = engine_time < AIACCEL_ENGINE_TIME_ALL ? slots * engine_time : 0;
	if (!cap->refill)
		cap->missing = (struct aia_vtime){0, 0};
}

void aia_cap_take(struct aia_cap *cap, __u64 taken, __u64 returned, __u64 now_ns)
{
	count(cap, now_ns);
	cap->missing = aia_vtime_add(cap->missing,
				     aia_vtime_times(taken, AIACCEL_ENGINE_TIME_ALL));
	cap->missing = less(cap->missing, aia_vtime_times(returned, AIACCEL_ENGINE_TIME_ALL));
}

bool aia_cap_owes(struct aia_cap *cap, __u64 now_ns)
{
	count(cap, now_ns);
	return cap->missing.high || cap->missing.low;
}

__u64 aia_cap_clear_ns(struct aia_cap *cap, __u64 now_ns)
{
	struct aia_vtime all = aia_vtime_times(AIA_CAP_BURST_NS, cap->refill);
	struct aia_vtime over;

	count(cap, now_ns);
	if (!cap->refill || aia_vtime_before(cap->missing, all))
		return 0;
	over = aia_vtime_sub(cap->missing, all);
	return now_ns + (over.high ? LATER_NS : aia_div(over.low, cap->refill) + 1);
}
