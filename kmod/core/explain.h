/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What is in a waiting job's way now. Asked after all engines were dispatched: then whoever is next
 * has no room.
 *
 * Each cause is one case of aia_explain(), in the order in which they count: what keeps a job out
 * of line comes before who stands before it. Bounded: a walk up the tenants above it. Nothing is
 * kept for it while nobody asks. The caller serialises.
 */
#ifndef AIA_CORE_EXPLAIN_H
#define AIA_CORE_EXPLAIN_H

#include "sched.h"
#include "types.h"

struct aia_explanation {
	__u32 why;			/* enum aiaccel_wait */
	const struct aia_sched_job *waits_for;	/* one of the context in its way, or NULL */
};

struct aia_explanation aia_explain(const struct aia_sched_job *job);

#endif
