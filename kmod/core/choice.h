/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The choice: which job is next at an engine, whether it can begin, and who is asked to make room
 * for it. sched.h has the rules.
 *
 * The caller serialises all calls on one engine and what hangs below it.
 */
#ifndef AIA_CORE_CHOICE_H
#define AIA_CORE_CHOICE_H

#include <uapi/aiaccel.h>
#include "types.h"

struct aia_sched_engine;
struct aia_sched_job;

/*
 * Grants one job, or all of its group, and returns it; NULL when nothing can be granted now. Call
 * until NULL, after aia_timers_run().
 */
struct aia_sched_job *aia_choice_grant_next(struct aia_sched_engine *engine, __u64 now_ns);

/*
 * After grant_next said NULL: a granted job that should be asked to yield because a
 * higher class waits for its slots, lowest class and youngest turn first; each is
 * returned once, and no more than would make room. NULL when there is none, and by age.
 */
struct aia_sched_job *aia_choice_yield_next(struct aia_sched_engine *engine);

/*
 * A granted job that is in the way of those of @class_: of the lowest class that has any, who was
 * asked to yield, if anybody was, else who has its turn longest.
 */
const struct aia_sched_job *aia_choice_in_way(const struct aia_sched_engine *engine, __u32 class_);

/* Whether a job in line is who would be granted next, if there is room. */
bool aia_choice_is_next(struct aia_sched_job *job);

#endif
