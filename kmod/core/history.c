// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What became of turns; see history.h. The caller serialises.
 */
#include "history.h"
#include "sched.h"

__u32 aia_history_capacity(__u64 engines, __u64 sum, __u64 kept)
{
	__u32 capacity = AIA_HISTORY_RECORDS;

	while (capacity > AIA_HISTORY_LEAST &&
	       (capacity * engines > sum || kept + capacity > sum))
		capacity /= 2;
	return capacity;
}

void aia_history_init(struct aia_history *history, struct aia_history_record *records,
		      __u32 capacity)
{
	history->records = records;
	history->capacity = capacity;
	history->added = 0;
}

static struct aia_history_record *record_at(const struct aia_history *history, __u64 number)
{
	return &history->records[number & (history->capacity - 1)];
}

static struct aia_history_record *next_record(struct aia_history *history)
{
	return record_at(history, history->added++);
}

static __u64 oldest(const struct aia_history *history)
{
	return history->added > history->capacity ? history->added - history->capacity : 0;
}

void aia_history_describe(struct aia_history_record *record, const struct aia_sched_job *job,
			  enum aiaccel_turn_state state, __u64 now_ns)
{
	bool live = state == AIACCEL_TURN_WAITING || state == AIACCEL_TURN_RUNNING;
	__u64 wait_ns = (job->granted_ns ? job->granted_ns : now_ns) - job->submitted_ns;

	/* Not as a whole, which would be built beside it and copied. */
	record->who = *job->queue->who;
	record->submitted_ns = job->submitted_ns;
	record->granted_ns = job->granted_ns;
	record->ended_ns = live ? 0 : now_ns;
	record->capped_ns = aia_sched_capped_ns(job, now_ns);
	record->wait_ns = wait_ns;
	record->max_wait_ns = wait_ns;
	record->state = state;
	record->class_ = job->queue->class_;
	record->width = job->width;
	record->count = 1;
}

/* ---- several jobs in one record ---- */

/*
 * How many records are looked through: where more contexts than these take turns at it, each of
 * their records stands for itself.
 */
#define LOOK_BACK 64

/* Between two jobs that were withdrawn. */
#define GAP_NS (10 * 1000 * 1000ULL)

/* How much longer than its longest wait a record of withdrawn jobs lasts. */
#define ROW_NS (1000 * 1000 * 1000ULL)

static bool same_owner(const struct aia_history_who *a, const struct aia_history_who *b)
{
	return a->context == b->context && !a->queue == !b->queue &&
	       __builtin_memcmp(a->label, b->label, sizeof(a->label)) == 0;
}

static __u64 least(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

static __u64 most(__u64 a, __u64 b)
{
	return a > b ? a : b;
}

/*
 * The last one of its like that is not long ago, unless something else became of the owner's since.
 */
static struct aia_history_record *last_like(const struct aia_history *history,
					    const struct aia_history_record *record)
{
	__u64 number = history->added;
	__u64 until = oldest(history);

	if (number - until > LOOK_BACK)
		until = number - LOOK_BACK;
	while (number > until) {
		struct aia_history_record *last = record_at(history, --number);

		if (!same_owner(&last->who, &record->who))
			continue;
		if (last->state != record->state)
			return NULL;
		if (last->class_ == record->class_ && last->width == record->width)
			return last;
	}
	return NULL;
}

static bool continues(const struct aia_history_record *last,
		      const struct aia_history_record *record)
{
	__u64 begin_ns = least(last->submitted_ns, record->submitted_ns);

	return record->state == AIACCEL_TURN_REFUSED ||
	       (record->submitted_ns <= last->ended_ns + GAP_NS &&
		record->ended_ns - begin_ns <=
			most(last->max_wait_ns, record->max_wait_ns) + ROW_NS);
}

static void extend(struct aia_history_record *last, const struct aia_history_record *record)
{
	last->submitted_ns = least(last->submitted_ns, record->submitted_ns);
	last->ended_ns = record->ended_ns;
	last->capped_ns += record->capped_ns;
	last->wait_ns += record->wait_ns;
	last->max_wait_ns = most(last->max_wait_ns, record->max_wait_ns);
	if (last->count < ~0U)
		last->count++;
}

/* A job was refused or withdrawn. */
static void keep(struct aia_history *history, const struct aia_history_record *record)
{
	struct aia_history_record *last = last_like(history, record);

	if (last && continues(last, record))
		extend(last, record);
	else
		*next_record(history) = *record;
}

void aia_history_add(const struct aia_sched_job *job, enum aiaccel_turn_state state, __u64 now_ns)
{
	struct aia_history *history = job->queue->seat->engine->history;

	if (!history)
		return;
	if (state == AIACCEL_TURN_WITHDRAWN) {
		struct aia_history_record record;

		aia_history_describe(&record, job, state, now_ns);
		keep(history, &record);
	} else {
		aia_history_describe(next_record(history), job, state, now_ns);
	}
}

void aia_history_refused(struct aia_history *history, const struct aia_history_who *who,
			 __u32 class_, __u32 width, __u64 now_ns)
{
	struct aia_history_record record;

	if (!history)
		return;
	record = (struct aia_history_record){
		.who = *who,
		.submitted_ns = now_ns,
		.ended_ns = now_ns,
		.state = AIACCEL_TURN_REFUSED,
		.class_ = class_,
		.width = width,
		.count = 1,
	};
	keep(history, &record);
}

const struct aia_history_record *aia_history_next(const struct aia_history *history, __u64 *from)
{
	if (*from < oldest(history))
		*from = oldest(history);
	return *from < history->added ? record_at(history, (*from)++) : NULL;
}

__u32 aia_history_read(const struct aia_history *history, __u64 *from,
		       struct aia_history_record *records, __u32 max)
{
	const struct aia_history_record *record;
	__u32 count = 0;

	while (count < max && (record = aia_history_next(history, from)))
		records[count++] = *record;
	return count;
}

static __u64 shown(__u64 ns, __u64 offset_ns)
{
	return ns ? ns + offset_ns : 0;
}

void aia_history_tell(const struct aia_history_record *record, __u32 engine, __u64 offset_ns,
		      struct aiaccel_stats_turn *out)
{
	*out = (struct aiaccel_stats_turn){
		.context = record->who.context,
		.tenant = record->who.tenant,
		.engine = engine,
		.queue = record->who.queue,
		.pid = record->who.pid,
		.state = record->state,
		.class_ = record->class_,
		.width = record->width,
		.submitted_ns = shown(record->submitted_ns, offset_ns),
		.granted_ns = shown(record->granted_ns, offset_ns),
		.ended_ns = shown(record->ended_ns, offset_ns),
		.capped_ns = record->capped_ns,
		.count = record->count,
		.tenant_kind = record->who.kind,
		.source_id = record->who.source_id,
		.wait_ns = record->wait_ns,
		.max_wait_ns = record->max_wait_ns,
	};
	__builtin_memcpy(out->comm, record->who.comm, sizeof(out->comm));
	__builtin_memcpy(out->label, record->who.label, sizeof(out->label));
}
