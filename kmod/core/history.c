// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What became of turns; see history.h. The caller serialises.
 */
#include "history.h"
#include "sched.h"

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

static __u64 oldest(const struct aia_history *history)
{
	return history->added > history->capacity ? history->added - history->capacity : 0;
}

void aia_history_describe(struct aia_history_record *record, const struct aia_sched_job *job,
			  enum aiaccel_turn_state state, __u64 now_ns)
{
	bool live = state == AIACCEL_TURN_WAITING || state == AIACCEL_TURN_RUNNING;

	*record = (struct aia_history_record){
		.who = *job->queue->who,
		.submitted_ns = job->submitted_ns,
		.granted_ns = job->granted_ns,
		.ended_ns = live ? 0 : now_ns,
		.capped_ns = aia_sched_capped_ns(job, now_ns),
		.state = (__u16)state,
		.class_ = (__u16)job->queue->class_,
		.width = job->width,
	};
}

void aia_history_add(const struct aia_sched_job *job, enum aiaccel_turn_state state, __u64 now_ns)
{
	struct aia_history *history = job->queue->seat->engine->history;

	if (history)
		aia_history_describe(record_at(history, history->added++), job, state, now_ns);
}

/* Of the jobs that were refused last, if no other one was taken since. */
static struct aia_history_record *last_refused(const struct aia_history *history,
					       const struct aia_sched_queue *queue)
{
	if (!queue->refused || queue->refused_at != queue->submitted ||
	    queue->refused - 1 < oldest(history))
		return NULL;
	return record_at(history, queue->refused - 1);
}

void aia_history_refused(struct aia_sched_queue *queue, __u32 width, __u64 now_ns)
{
	struct aia_history *history = queue->seat->engine->history;
	struct aia_history_record *record;

	if (!history)
		return;
	record = last_refused(history, queue);
	if (!record) {
		record = record_at(history, history->added++);
		*record = (struct aia_history_record){
			.who = *queue->who,
			.submitted_ns = now_ns,
			.state = AIACCEL_TURN_REFUSED,
			.class_ = (__u16)queue->class_,
			.width = width,
		};
		queue->refused = history->added;
		queue->refused_at = queue->submitted;
	}
	record->ended_ns = now_ns;
	record->capped_ns++;
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
	};
	__builtin_memcpy(out->comm, record->who.comm, sizeof(out->comm));
	__builtin_memcpy(out->label, record->who.label, sizeof(out->label));
}
