/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Turns whose work a provider is told to stop.
 *
 * Where a provider can stop work, a turn that is revoked, or whose context ends, keeps its slots
 * until the provider has stopped it. Its tenant pays until then, whoever goes meanwhile: else who
 * closes its context time and again would have an engine for nothing. Its seat stays taken: no
 * later turn of the context is there to be stopped by mistake, unless it destroyed its queue
 * meanwhile.
 *
 * What is being stopped outlives the turn, the queue and the context that it was of. So it is an
 * entry of the engine's own, of which it has one for each slot from the beginning: a turn has a
 * slot at least.
 *
 * One is stopped after the other, and while that makes room for the job that is next nobody else is
 * asked or revoked. So a turn that is over may wait for the stops of all others at the engine three
 * times: until it is asked, until it is revoked, and until it is stopped itself. So much is counted
 * where time is promised (realtime.h). Not counted: that who was promised time dies with its turn
 * meanwhile, which is one stop more.
 *
 * Invariants
 *  - engine->stops.slots is the sum of the widths of entries in use; these slots count in
 *    slots_used and slots_yielding, too.
 *  - An entry is free, or due, or in the hands of the adapter, which took it by aia_stop_next().
 *    One in use has its job, in state STOPPING, until the job's queue goes.
 *  - A node has one turn for each entry whose queue went, and is kept (aia_sched_node_owes).
 * The caller serialises.
 */
#ifndef AIA_CORE_STOP_H
#define AIA_CORE_STOP_H

#include "types.h"

struct aia_sched_engine;
struct aia_sched_job;

struct aia_stop {
	struct aia_link of_stops;	/* free or due */
	struct aia_sched_engine *engine;
	struct aia_sched_job *job;	/* NULL: its queue went, */
	struct aia_sched_node *node;	/* and its tenant pays here from then on */
	__u64 left_ns;
	__u32 class_, width;
	/* whose it is, told by turn.c */
	__u64 context, cookie;
	__u32 generation;
	__s32 pid;
};

struct aia_stops {
	struct aia_link free, due;
	__u32 slots;
	__u64 longest_ns;		/* that one takes: for promises of time */
	bool possible;			/* the provider can */
};

/*
 * After the engine's init, for a provider that can, and takes @longest_ns for one: engine->slots
 * zeroed entries. It gives way to none.
 */
void aia_stops_init(struct aia_sched_engine *engine, struct aia_stop *entries, __u64 longest_ns);

/* How much longer than budget and grace a turn may have its slots. */
__u64 aia_stops_longest_ns(const struct aia_sched_engine *engine);

/* ---- for turn.c and turns_end.c ---- */

/* A granted job: its work is to be stopped. */
struct aia_stop *aia_stop_begin(struct aia_sched_job *job);

/* Such a job goes before its work was stopped; the slots stay as they are. */
void aia_stop_leave(struct aia_sched_job *job, __u64 now_ns);

/* It was; the slots are free. */
void aia_stop_end(struct aia_stop *stop, __u64 now_ns);

/* ---- for the adapter ---- */

bool aia_stop_is_due(const struct aia_sched_engine *engine);

/*
 * Takes the one that is due first; NULL when none is. Tell the provider, without the lock, then
 * call aia_turns_stopped().
 */
struct aia_stop *aia_stop_next(struct aia_sched_engine *engine);

#endif
