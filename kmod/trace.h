/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints of system aiaccel: what became of each job, as the core decided it, in the order of
 * the decisions, since all are made under aia_turn_lock.
 *
 *   aiaccel_queue	it is in line
 *   aiaccel_grant	its turn begins
 *   aiaccel_yield	its holder is asked to end it
 *   aiaccel_revoke	its turn was ended by others
 *   aiaccel_complete	it is over otherwise: its turn ended, or it never had one (state)
 *
 * wait_ns is from submitted to granted, or to now; run_ns from granted to now. pid is that of the
 * process that opened the context, in the initial namespace.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM aiaccel

#if !defined(AIA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define AIA_TRACE_H

#include <linux/tracepoint.h>

#include "aia.h"

/* clang-format off */
DECLARE_EVENT_CLASS(aiaccel_turn,
		    TP_PROTO(const struct aia_turn *turn, u32 state, u64 now_ns),
		    TP_ARGS(turn, state, now_ns),
		    TP_STRUCT__entry(__field(u64, context)
				     __field(u64, cookie)
				     __field(u64, wait_ns)
				     __field(u64, run_ns)
				     __field(u32, engine)
				     __field(u32, queue)
				     __field(u32, class_)
				     __field(u32, width)
				     __field(u32, generation)
				     __field(u32, state)
				     __field(s32, pid)),
		    TP_fast_assign(__entry->context = turn->job.queue->who->context;
				   __entry->cookie = turn->note.cookie;
				   __entry->wait_ns = (turn->job.granted_ns ?: now_ns) -
						      turn->job.submitted_ns;
				   __entry->run_ns = now_ns - (turn->job.granted_ns ?: now_ns);
				   __entry->engine = container_of(turn->job.queue->seat->engine,
								  struct aia_engine, sched)->id;
				   __entry->queue = turn->job.queue->who->queue;
				   __entry->class_ = turn->job.queue->class_;
				   __entry->width = turn->job.width;
				   __entry->generation = turn->note.generation;
				   __entry->state = state;
				   __entry->pid = turn->job.queue->who->pid;),
		    TP_printk("engine=%u context=%llu queue=%u pid=%d cookie=%#llx class=%s width=%u generation=%u wait_ns=%llu run_ns=%llu state=%s",
			      __entry->engine, __entry->context, __entry->queue, __entry->pid,
			      __entry->cookie,
			      __print_symbolic(__entry->class_,
					       { AIACCEL_CLASS_IDLE, "idle" },
					       { AIACCEL_CLASS_LOW, "low" },
					       { AIACCEL_CLASS_NORMAL, "normal" },
					       { AIACCEL_CLASS_HIGH, "high" },
					       { AIACCEL_CLASS_REALTIME, "realtime" }),
			      __entry->width, __entry->generation, __entry->wait_ns,
			      __entry->run_ns,
			      __print_symbolic(__entry->state,
					       { AIACCEL_TURN_WAITING, "waiting" },
					       { AIACCEL_TURN_RUNNING, "running" },
					       { AIACCEL_TURN_COMPLETED, "completed" },
					       { AIACCEL_TURN_WITHDRAWN, "withdrawn" },
					       { AIACCEL_TURN_REVOKED, "revoked" },
					       { AIACCEL_TURN_FAILED, "failed" })));

#define AIA_TURN_EVENT(name) \
	DEFINE_EVENT(aiaccel_turn, name, \
		     TP_PROTO(const struct aia_turn *turn, u32 state, u64 now_ns), \
		     TP_ARGS(turn, state, now_ns))

AIA_TURN_EVENT(aiaccel_queue);
AIA_TURN_EVENT(aiaccel_grant);
AIA_TURN_EVENT(aiaccel_yield);
AIA_TURN_EVENT(aiaccel_revoke);
AIA_TURN_EVENT(aiaccel_complete);
/* clang-format on */

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
