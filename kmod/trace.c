// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the core's decisions to tracepoints; trace.h says what they tell. Under aia_turn_lock.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"

void aia_trace_decision(const struct aia_turn *turn, u32 state, u64 now_ns)
{
	lockdep_assert_held(&aia_turn_lock);
	switch (state) {
	case AIACCEL_TURN_WAITING:
		trace_queue(turn, state, now_ns);
		break;
	case AIACCEL_TURN_RUNNING:
		trace_grant(turn, state, now_ns);
		break;
	case AIA_TURN_ASKED:
		trace_yield(turn, AIACCEL_TURN_RUNNING, now_ns);
		break;
	case AIACCEL_TURN_REVOKED:
		trace_revoke(turn, state, now_ns);
		break;
	default:
		trace_complete(turn, state, now_ns);
	}
}
