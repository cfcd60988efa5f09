/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Groups: jobs of one tenant, of several contexts and at any engines, that have their turns
 * together or not at all.
 *
 * A group is named by its tenant and a number. Its jobs are held, outside every line, until all of
 * them are there and none waits for another job. They are of one class, and none was promised time
 * (realtime.h): nobody can say when the others are ready. Then each is put in line at its engine,
 * with the share of its queue. When one of them is next at its engine, the group begins, if at each
 * of its engines one of its jobs is next and there is room for those that it has there. Otherwise
 * slots are kept free there as for a wide job (wide.h): for a bounded time, and for no more than
 * half of all. They are held at its other engines as well, before those that come before it there,
 * since slots kept free at one and not at the other are lost; but where the class pauses, or where
 * its tenant is ahead of those that wait by more than AIA_GROUP_AHEAD_NS. A job that leaves takes
 * the others out of line, where they wait for another one.
 *
 * What was kept in vain is paid, as for a wide job (wide.h). So a tenant whose groups can never
 * begin costs an engine that goes by shares no more than its share there, AIA_GROUP_AHEAD_NS and
 * AIA_WIDE_MAX_NS twice; those beside it have the rest. Where another order is set, and for groups
 * that begin in the end, what bounds it is that half. A group that begins pays for its turns alone:
 * if waiting for each other cost it, those with slower neighbours would wait ever longer.
 *
 * Nobody waits in a circle. What waits holds nothing but slots that are free, and those for a time.
 * Where two groups of one class want the same engine, slots are held for the one that was complete
 * first. Where all that wait at an engine are passed in a pause, the group may begin there all the
 * same.
 *
 * How long it waits is bounded only from when slots are held for it at all of its engines: where
 * the turns of its class and below end within AIA_WIDE_FIRST_NS, and none of its engines paused
 * since, it begins within that. Where they are longer, the time in which slots are kept doubles at
 * each engine by itself. In what was played (tests/core/groups.cpp) these times met within 10
 * turns, up to turns of AIA_WIDE_MAX_NS / 4; that they must is not proved, and where turns last 10
 * s they were seen to alternate for ever.
 *
 * Once it begins a group is no more: its turns end one by one, and its number is free.
 *
 * Bounds: a tenant has at most as many groups as jobs; a group AIACCEL_GROUP_MAX jobs. A choice
 * looks at each of them once.
 *
 * Invariants
 *  - A group's jobs are all in line if all of them are there and ready, else all held.
 *  - Those at one engine follow each other on its list. No two are of one seat.
 *  - A group lies in the memory of one of its jobs.
 * The caller serialises.
 */
#ifndef AIA_CORE_GROUP_H
#define AIA_CORE_GROUP_H

#include "rbtree.h"
#include "types.h"

/* Times the slots of an engine, at the default weight. */
#define AIA_GROUP_AHEAD_NS AIA_WIDE_FIRST_NS

struct aia_sched_engine;
struct aia_sched_job;
struct aia_sched_queue;

/* Of one adapter. */
struct aia_groups {
	struct aia_rb_root by_name;
	__u64 completed;		/* so many were there wholly: numbers them by age */
};

struct aia_group {
	struct aia_rb_node of_names;
	const void *tenant;
	__u64 number;
	__u64 age;			/* as a number; while its jobs are in line */
	__u32 size;
	__u32 count;			/* jobs that are there */
	__u32 ready;			/* of them, those that wait for no other job */
	struct aia_link members;	/* aia_group_job() of each */
};

#define aia_group_job(link) aia_container_of(link, struct aia_sched_job, of_group)

struct aia_group *aia_group_find(const struct aia_groups *groups, const void *tenant,
				 __u64 number);

/*
 * Whether the group takes a job: 0; -EINVAL: its size or class is another, or it is wider together
 * than the engine; -EBUSY: all of its jobs are there; -EDEADLK: one is of the same seat.
 */
int aia_group_takes(const struct aia_group *group, const struct aia_sched_queue *queue,
		    __u32 width, __u32 size);

/* The slots that it needs at its engine, with the others of its group there, if it is of one. */
__u32 aia_group_width(const struct aia_sched_job *job);

/* A held job becomes one of the group, NULL for a new one. */
void aia_group_join(struct aia_groups *groups, struct aia_group *group, struct aia_sched_job *job,
		    const void *tenant, __u64 number, __u32 size);

/* One of its jobs is ready. True when all are now: put them in line. */
bool aia_group_ready(struct aia_groups *groups, struct aia_group *group);

/* A job is none of its group's any more. */
void aia_group_leave(struct aia_groups *groups, struct aia_sched_job *job);

/* Its jobs have begun: each stands for itself. */
void aia_group_dissolve(struct aia_groups *groups, struct aia_group *group);

/*
 * @wanting is next at its engine, and its group cannot begin. An engine to be looked at again
 * because of @member, another of the group: slots are held for it there now, or for an older group
 * at the engine of @wanting; or @member was passed there and might begin now. NULL: there is none.
 */
struct aia_sched_engine *aia_group_claim(struct aia_sched_job *wanting,
					 struct aia_sched_job *member);

#endif
