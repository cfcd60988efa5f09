/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What became of the turns of one engine: a ring of records, the oldest pushed out by the newest.
 * Whose a turn was is copied into its record, so that it is known after its owner went.
 *
 * turn.c adds a record where a turn ends or a job is refused; adapters read. Adding happens under
 * the adapter's lock: it looks at 64 records at most, and at none where a turn ends. Memory is the
 * adapter's: sizeof(struct aia_history_record) for each record, 184 bytes, so 736 KiB for
 * AIA_HISTORY_RECORDS.
 *
 * What can be done without a turn, over and over, would soon push out what others did: jobs of a
 * context, label, class and width (and queues) that were refused, or withdrawn shortly after each
 * other, are one record, as long as nothing else became of their like and not many records of
 * others came in between. Such a record tells how long its jobs waited, but not when: so it spans
 * little more than the longest of its waits, ROW_NS at most.
 *
 * Invariant: record number n, counted from 0, is at n modulo the capacity while it is kept.
 * The caller serialises.
 */
#ifndef AIA_CORE_HISTORY_H
#define AIA_CORE_HISTORY_H

#include <uapi/aiaccel.h>
#include "types.h"

#define AIA_HISTORY_RECORDS 4096 /* of an engine; a few seconds of the busiest ones */
#define AIA_HISTORY_LEAST 256	 /* where there are many */

struct aia_sched_job;

/* Whose queue it is. */
struct aia_history_who {
	__u64 context;
	__u64 tenant;
	__u64 source_id;		/* as of struct aiaccel_stats_tenant */
	__u32 kind;			/* likewise */
	__u32 queue;
	__s32 pid;			/* as the adapter numbers processes */
	char comm[16];
	char label[AIACCEL_LABEL_LEN];
};

struct aia_history_record {
	struct aia_history_who who;
	__u64 submitted_ns, granted_ns, ended_ns;
	__u64 capped_ns, wait_ns;	/* sums over the jobs */
	__u64 max_wait_ns;
	__u32 state;			/* enum aiaccel_turn_state */
	__u32 class_;
	__u32 width;
	__u32 count;			/* of jobs */
};

struct aia_history {
	struct aia_history_record *records;
	__u32 capacity;			/* a power of two */
	__u64 added;			/* records so far */
};

/*
 * How many records an engine keeps where there are as many: AIA_HISTORY_RECORDS, but fewer where
 * that would be more than @sum together, or where others keep @kept of the sum already; though not
 * below AIA_HISTORY_LEAST. A power of two.
 */
__u32 aia_history_capacity(__u64 engines, __u64 sum, __u64 kept);

/* @records: @capacity of them, a power of two. */
void aia_history_init(struct aia_history *history, struct aia_history_record *records,
		      __u32 capacity);

/* What there is to say of a job now, which is when it ended if it did. */
void aia_history_describe(struct aia_history_record *record, const struct aia_sched_job *job,
			  enum aiaccel_turn_state state, __u64 now_ns);

/* A job ended. Nothing happens where its engine keeps no history; here and below. */
void aia_history_add(const struct aia_sched_job *job, enum aiaccel_turn_state state, __u64 now_ns);

/* A job of @width was refused; or a queue, and then @who has none and @width is 0. */
void aia_history_refused(struct aia_history *history, const struct aia_history_who *who,
			 __u32 class_, __u32 width, __u64 now_ns);

/*
 * The record number *@from, or the oldest that is kept, and moves *@from past it; NULL at the end.
 * For adapters that may read in place.
 */
const struct aia_history_record *aia_history_next(const struct aia_history *history, __u64 *from);

/* Copies out up to @max of them. Returns how many; 0 at the end. */
__u32 aia_history_read(const struct aia_history *history, __u64 *from,
		       struct aia_history_record *records, __u32 max);

/* As STATS tells it; @offset_ns is added to times. */
void aia_history_tell(const struct aia_history_record *record, __u32 engine, __u64 offset_ns,
		      struct aiaccel_stats_turn *out);

#endif
