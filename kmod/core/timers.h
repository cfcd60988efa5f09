/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What an engine is to look at later: timers in a tree by their time. The core has no clock: an
 * adapter calls aia_timers_run() at aia_timers_next_ns() or later, and before each choice.
 *
 * Users choose how many timers are due at once, so one run rings AIA_TIMERS_RUN of them at most;
 * with more, aia_timers_next_ns() stays in the past.
 *
 * Invariant: a timer is in the tree exactly while its at_ns is not 0. The caller serialises.
 */
#ifndef AIA_CORE_TIMERS_H
#define AIA_CORE_TIMERS_H

#include "rbtree.h"
#include "types.h"

#define AIA_TIMERS_RUN 64

struct aia_timer {
	struct aia_rb_node node;
	__u64 at_ns;			/* 0: it is not set */
	/* Called with the timer unset; may set it, and others, again. */
	void (*ring)(struct aia_timer *timer, __u64 now_ns);
};

struct aia_timers {
	struct aia_rb_root pending;	/* by at_ns */
};

/* Sets or moves a timer; 0 unsets it. */
void aia_timer_set(struct aia_timers *timers, struct aia_timer *timer, __u64 at_ns);

/* Rings those whose time has come, the earliest first. */
void aia_timers_run(struct aia_timers *timers, __u64 now_ns);

/* The one that rings first, or NULL. */
static inline struct aia_timer *aia_timers_first(const struct aia_timers *timers)
{
	struct aia_rb_node *first = aia_rb_first(&timers->pending);

	return first ? aia_container_of(first, struct aia_timer, node) : NULL;
}

/* The one of two that rings earlier; either may be NULL. */
static inline struct aia_timer *aia_timers_earlier(struct aia_timer *a, struct aia_timer *b)
{
	if (!a || !b)
		return a ? a : b;
	return b->at_ns < a->at_ns ? b : a;
}

/* When the next one rings; AIACCEL_NEVER: none is set. */
__u64 aia_timers_next_ns(const struct aia_timers *timers);

#endif
