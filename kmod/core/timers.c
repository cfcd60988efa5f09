// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Timers of an engine; see timers.h. The caller serialises.
 */
#include <uapi/aiaccel.h>
#include "timers.h"

#define timer_of(rb) aia_container_of(rb, struct aia_timer, node)

static bool rings_before(const struct aia_rb_node *a, const struct aia_rb_node *b)
{
	return timer_of(a)->at_ns < timer_of(b)->at_ns;
}

void aia_timer_set(struct aia_timers *timers, struct aia_timer *timer, __u64 at_ns)
{
	if (timer->at_ns)
		aia_rb_remove(&timers->pending, &timer->node);
	timer->at_ns = at_ns;
	if (at_ns)
		aia_rb_insert(&timers->pending, &timer->node, rings_before);
}

void aia_timers_run(struct aia_timers *timers, __u64 now_ns)
{
	struct aia_timer *timer;
	__u32 left = AIA_TIMERS_RUN;

	while (left-- && (timer = aia_timers_first(timers)) && timer->at_ns <= now_ns) {
		aia_timer_set(timers, timer, 0);
		timer->ring(timer, now_ns);
	}
}

__u64 aia_timers_next_ns(const struct aia_timers *timers)
{
	struct aia_timer *first = aia_timers_first(timers);

	return first ? first->at_ns : AIACCEL_NEVER;
}
