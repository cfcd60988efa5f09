// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What lower classes are owed; classes.h has the rules and the bounds. The caller serialises.
 */
#include "classes.h"
#include "sched.h"

/* The lowest class that competes with those above the boundary. */
static __u32 lowest_below(const struct aia_sched_engine *engine, __u32 boundary)
{
	return engine->gives_way && boundary > AIACCEL_CLASS_NORMAL ? AIACCEL_CLASS_NORMAL :
								      AIACCEL_CLASS_LOW;
}

static bool is_in_line(const struct aia_sched_engine *engine, __u32 class_)
{
	return aia_rb_first(&engine->root[class_].members);
}

static __s64 at_most(__s64 credit, __s64 most)
{
	return credit < most ? credit : most;
}

static __s64 no_less(__s64 credit, __s64 least)
{
	return credit > least ? credit : least;
}

static bool is_anybody_in_line(const struct aia_sched_engine *engine)
{
	__u32 c;

	if (!engine->waiting)
		return false;
	for (c = 0; c < AIACCEL_NR_CLASSES; c++)
		if (is_in_line(engine, c))
			return true;
	return false;
}

/* Whether the credit is where it began, and stays there. */
static bool count(struct aia_boundary *boundary, __u32 slots, __u32 parts, __u64 ns)
{
	__s64 rate = (__s64)slots * parts;
	__s64 lowest = -rate * (__s64)AIA_CLASSES_GAP_NS;
	__s64 most = rate * (__s64)AIA_CLASSES_SAVED_NS;
	__s64 debt = -(__s64)slots * AIA_CLASSES_PARTS * (__s64)AIA_CLASSES_DEBT_NS;
	__s64 cost = (__s64)boundary->kept * AIA_CLASSES_PARTS * (__s64)ns;
	__s64 credit = boundary->credit;

	if (boundary->behind)
		credit = at_most(credit + rate * (__s64)ns, most);
	else if (credit < lowest)
		credit = at_most(credit + rate * (__s64)ns, lowest);
	if (boundary->waited_for)
		credit = no_less(credit - cost, debt);
	else if (credit > lowest)
		credit = no_less(credit - cost, lowest);
	boundary->credit = credit;
	return credit == lowest && !boundary->behind && !boundary->waited_for;
}

void aia_classes_init(struct aia_sched_engine *engine)
{
	__u32 b;

	for (b = AIACCEL_CLASS_NORMAL; b < AIACCEL_NR_CLASSES; b++)
		engine->classes.boundary[b].credit =
			-(__s64)engine->slots * (b - AIACCEL_CLASS_LOW) *
			(__s64)AIA_CLASSES_GAP_NS;
}

void aia_classes_count(struct aia_sched_engine *engine, __u64 now_ns)
{
	struct aia_classes *classes = &engine->classes;
	__u64 ns = aia_since_ns(classes->counted_ns, now_ns);
	__u32 b;

	if (!ns)
		return;
	classes->counted_ns = now_ns;
	if (classes->settled)
		return;
	classes->settled = true;
	if (ns > AIA_CLASSES_DEBT_NS)
		ns = AIA_CLASSES_DEBT_NS;
	for (b = AIACCEL_CLASS_NORMAL; b < AIACCEL_NR_CLASSES; b++)
		classes->settled &= count(&classes->boundary[b], engine->slots,
					  b - lowest_below(engine, b), ns);
}

void aia_classes_note(struct aia_sched_engine *engine, __u32 crossed, __u32 kept)
{
	struct aia_classes *classes = &engine->classes;
	bool grants = engine->state == AIACCEL_ENGINE_ACTIVE ||
		      engine->state == AIACCEL_ENGINE_DRAINING;
	bool waits = false;
	__u32 above = 0, b, c;

	classes->pledged = crossed;
	if (classes->settled && !is_anybody_in_line(engine))
		return;
	classes->settled = false;
	for (b = AIACCEL_NR_CLASSES; b-- > AIACCEL_CLASS_NORMAL;) {
		struct aia_boundary *boundary = &classes->boundary[b];
		__u32 lowest = lowest_below(engine, b);
		bool waits_below = false;
		__u32 used = 0;

		waits |= is_in_line(engine, b);
		above += classes->held[b];
		for (c = lowest; c < b; c++) {
			used += classes->held[c];
			waits_below |= is_in_line(engine, c);
		}
		boundary->behind = grants && waits_below && (waits || above);
		/* What lower classes have by age is no debt: they were owed none of it. */
		boundary->waited_for = waits && engine->line != AIA_LINE_AGES;
		if (!boundary->waited_for)
			used = engine->slots > above ? engine->slots - above : 0;
		boundary->kept = used + (crossed >> b & 1 ? kept : 0);
	}
}

bool aia_classes_owed(const struct aia_sched_engine *engine, __u32 boundary, bool inside)
{
	const struct aia_classes *classes = &engine->classes;
	__u32 lowest = lowest_below(engine, boundary);
	bool waits_below = false;
	__u32 used = 0, c;

	if (boundary < AIACCEL_CLASS_NORMAL || engine->order == AIACCEL_ORDER_STRICT)
		return false;
	if (boundary == AIACCEL_CLASS_REALTIME && engine->realtime.nr)
		return false;
	if (classes->boundary[boundary].credit <= 0 && !(classes->pledged >> boundary & 1))
		return false;
	for (c = lowest; c < boundary; c++) {
		used += classes->held[c];
		waits_below |= is_in_line(engine, c);
	}
	return waits_below &&
	       (inside || used * AIA_CLASSES_PARTS < engine->slots * (boundary - lowest));
}
