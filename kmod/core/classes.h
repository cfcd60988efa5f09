/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What lower classes are owed: LOW, NORMAL and HIGH each one part in AIA_CLASSES_PARTS of an
 * engine, beside any amount of higher work. IDLE is owed nothing.
 *
 * NORMAL, HIGH and REALTIME are boundaries: what lies below one is owed the sum G of its classes'
 * parts. A boundary has a credit in slots times time. It grows by G of all slots while a job below
 * waits and a class above, the boundary's own included, has work: a job in line, or a turn. It
 * falls by the slots that are held below, and by those kept free for a wide job from below. With a
 * credit above 0 the next job is one from below; where that is owed by no higher boundary already,
 * only while less than G of the slots are held below. Such a turn is not asked to yield to those
 * above.
 *
 * While nobody above waits, the slots that are not held above count, used or not, down to what
 * AIA_CLASSES_GAP_NS brings, where the credit begins: what lower classes could have had in gaps
 * counts for what they are owed, so that a class above which leaves G of each such window free
 * never meets a turn that it would not have met in strict order. Likewise while all go by age
 * (FIFO), where nobody is owed what it has. Else what is held below while somebody above waits
 * counts in full; a debt beyond that window's comes in by time alone, whoever waits. Savings are
 * what AIA_CLASSES_SAVED_NS brings at most: the longest wait for a turn that has an end.
 *
 * Bounds, with S slots, where turns end within AIA_CLASSES_SAVED_NS
 *  - Over any time T in which a job below a boundary is in line at all times, the classes below
 *    have at least G S (T - AIA_CLASSES_GAP_NS - L), less what they held at its beginning. Below
 *    the highest class that has work L is the longest turn from above. Below a lower one it is, if
 *    that is longer, the time in which an owed turn of a class between is paid back: its part of S
 *    over G.
 *  - Turns that were owed hold less than G S slots of the highest boundary, and the width of one
 *    more.
 *  - A class whose use leaves G free waits no longer than in strict order.
 *
 * Nothing passes REALTIME where it was promised anything: that leaves the others their parts
 * (realtime.h).
 *
 * An engine that gives way (sched.h) lets nobody wait for background turns. There what lies below
 * HIGH and REALTIME is the rest alone, and a LOW job that is owed a turn has it beside what runs,
 * if it fits beside what runs of LOW and IDLE: no slots are kept free for a wider one, which waits
 * for turns of theirs to end. The order STRICT has no guarantees.
 *
 * Time is counted before each choice by what was so after the last one, so that dispatching after
 * each change (sched.h) makes it exact. The caller serialises.
 */
#ifndef AIA_CORE_CLASSES_H
#define AIA_CORE_CLASSES_H

#include <uapi/aiaccel.h>
#include "types.h"

#define AIA_CLASSES_PARTS 20
#define AIA_CLASSES_GAP_NS 1000000000ULL
#define AIA_CLASSES_SAVED_NS AIACCEL_BUDGET_MAX_NS

/* A debt is this long on all slots at most: keeps it in 64 bits. 18 minutes. */
#define AIA_CLASSES_DEBT_NS (1ULL << 40)

struct aia_sched_engine;

struct aia_boundary {
	__s64 credit;			/* slot-ns times AIA_CLASSES_PARTS */
	/* Since it was counted: */
	__u32 kept;			/* slots held below, or free for below */
	bool behind;			/* a job below waits behind those above */
	bool waited_for;		/* a job above waits */
};

struct aia_classes {
	__u64 counted_ns;
	bool settled;			/* credits are where they begin, and nobody is in line */
	__u32 held[AIACCEL_NR_CLASSES];	/* slots */
	struct aia_boundary boundary[AIACCEL_NR_CLASSES]; /* above IDLE and LOW there is none */
	__u32 pledged;			/* crossed by a wide job while slots are kept for it */
};

/* The engine's slots are set. */
void aia_classes_init(struct aia_sched_engine *engine);

/* Counts the time up to now. */
void aia_classes_count(struct aia_sched_engine *engine, __u64 now_ns);

/*
 * After the choice: what is so from now on. @kept slots are kept free for a job from below the
 * boundaries that are set in @crossed.
 */
void aia_classes_note(struct aia_sched_engine *engine, __u32 crossed, __u32 kept);

/*
 * Whether a class below the boundary is in line and goes before it. @inside: the job is owed its
 * turn by a higher boundary already.
 */
bool aia_classes_owed(const struct aia_sched_engine *engine, __u32 boundary, bool inside);

#endif
