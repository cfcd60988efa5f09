/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints of system aiaccel. What became of each job, as the core decided it, in the order of
 * the decisions, since all are made under aia_turn_lock:
 *
 *   queue		it is in line
 *   grant		its turn begins
 *   yield		its holder is asked to end it
 *   revoke		its turn was ended by others
 *   complete		it is over otherwise: its turn ended, or it never had one (state)
 *
 * wait_ns is from submitted to granted, or to now; run_ns from granted to now. pid is that of the
 * process that opened the context, in the initial namespace.
 *
 * What becomes of each buffer:
 *
 *   alloc, pin, import	it was made by that call
 *   export		it was exported
 *   take_back		it was revoked (BUFFER_REVOKE)
 *   dma_map, dma_unmap	an engine's driver mapped it for its device, and let go
 *   free		nobody has it any more, and its pages go
 *
 * context is the number of the one that made it. And
 *
 *   refuse		a call that a limit can refuse failed
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM aiaccel

#if !defined(AIA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define AIA_TRACE_H

#include <linux/tracepoint.h>

#include "buffer.h"

/* To perf and all who format records themselves, __print_symbolic() must show numbers, no names. */
TRACE_DEFINE_ENUM(AIACCEL_CLASS_IDLE);
TRACE_DEFINE_ENUM(AIACCEL_CLASS_LOW);
TRACE_DEFINE_ENUM(AIACCEL_CLASS_NORMAL);
TRACE_DEFINE_ENUM(AIACCEL_CLASS_HIGH);
TRACE_DEFINE_ENUM(AIACCEL_CLASS_REALTIME);
TRACE_DEFINE_ENUM(AIACCEL_TURN_WAITING);
TRACE_DEFINE_ENUM(AIACCEL_TURN_RUNNING);
TRACE_DEFINE_ENUM(AIACCEL_TURN_COMPLETED);
TRACE_DEFINE_ENUM(AIACCEL_TURN_WITHDRAWN);
TRACE_DEFINE_ENUM(AIACCEL_TURN_REVOKED);
TRACE_DEFINE_ENUM(AIACCEL_TURN_FAILED);
TRACE_DEFINE_ENUM(AIACCEL_BUFFER_ALLOCATED);
TRACE_DEFINE_ENUM(AIACCEL_BUFFER_PINNED);
TRACE_DEFINE_ENUM(AIACCEL_BUFFER_IMPORTED);
TRACE_DEFINE_ENUM(AIACCEL_REFUSED_NOT);
TRACE_DEFINE_ENUM(AIACCEL_REFUSED_RLIMIT);
TRACE_DEFINE_ENUM(AIACCEL_REFUSED_TENANT);
TRACE_DEFINE_ENUM(AIACCEL_REFUSED_MODULE);
TRACE_DEFINE_ENUM(AIACCEL_REFUSED_MEMCG);
TRACE_DEFINE_ENUM(AIACCEL_REFUSED_MEMORY);
TRACE_DEFINE_ENUM(AIACCEL_REFUSED_CONTEXT);
TRACE_DEFINE_ENUM(AIACCEL_REFUSED_CLASS);
TRACE_DEFINE_ENUM(AIACCEL_REFUSED_ENGINE);
TRACE_DEFINE_ENUM(AIACCEL_REFUSED_DEADLINES);

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

AIA_TURN_EVENT(queue);
AIA_TURN_EVENT(grant);
AIA_TURN_EVENT(yield);
AIA_TURN_EVENT(revoke);
AIA_TURN_EVENT(complete);

DECLARE_EVENT_CLASS(aiaccel_buffer,
		    TP_PROTO(const struct aia_buffer *buffer),
		    TP_ARGS(buffer),
		    TP_STRUCT__entry(__field(u64, context)
				     __field(u64, tenant)
				     __field(u64, bytes)
				     __field(u64, runs)
				     __field(u32, kind)
				     __field(u32, flags)
				     __field(s32, node)),
		    TP_fast_assign(__entry->context = buffer->maker;
				   __entry->tenant = buffer->tenant->id;
				   __entry->bytes = buffer->length;
				   __entry->runs = buffer->pages.nr_runs;
				   __entry->kind = buffer->kind;
				   __entry->flags = buffer->flags;
				   __entry->node = buffer->pages.node;),
		    TP_printk("context=%llu tenant=%llu kind=%s bytes=%llu runs=%llu node=%d flags=%#x",
			      __entry->context, __entry->tenant,
			      __print_symbolic(__entry->kind,
					       { AIACCEL_BUFFER_ALLOCATED, "allocated" },
					       { AIACCEL_BUFFER_PINNED, "pinned" },
					       { AIACCEL_BUFFER_IMPORTED, "imported" }),
			      __entry->bytes, __entry->runs, __entry->node, __entry->flags));

#define AIA_BUFFER_EVENT(name) \
	DEFINE_EVENT(aiaccel_buffer, name, \
		     TP_PROTO(const struct aia_buffer *buffer), TP_ARGS(buffer))

AIA_BUFFER_EVENT(alloc);
AIA_BUFFER_EVENT(pin);
AIA_BUFFER_EVENT(import);
AIA_BUFFER_EVENT(export);
AIA_BUFFER_EVENT(take_back);
AIA_BUFFER_EVENT(dma_map);
AIA_BUFFER_EVENT(dma_unmap);
AIA_BUFFER_EVENT(free);

TRACE_EVENT(refuse,
	    TP_PROTO(const struct aia_context *ctx, u32 call, u32 by, int err),
	    TP_ARGS(ctx, call, by, err),
	    TP_STRUCT__entry(__field(u64, context)
			     __field(u64, tenant)
			     __field(u32, call)
			     __field(u32, by)
			     __field(s32, err)),
	    TP_fast_assign(__entry->context = ctx->number;
			   __entry->tenant = ctx->tenant->id;
			   __entry->call = call;
			   __entry->by = by;
			   __entry->err = err;),
	    TP_printk("context=%llu tenant=%llu call=%#x by=%s error=%d",
		      __entry->context, __entry->tenant, __entry->call,
		      __print_symbolic(__entry->by,
				       { AIACCEL_REFUSED_NOT, "none" },
				       { AIACCEL_REFUSED_RLIMIT, "rlimit" },
				       { AIACCEL_REFUSED_TENANT, "tenant" },
				       { AIACCEL_REFUSED_MODULE, "module" },
				       { AIACCEL_REFUSED_MEMCG, "memcg" },
				       { AIACCEL_REFUSED_MEMORY, "memory" },
				       { AIACCEL_REFUSED_CONTEXT, "context" },
				       { AIACCEL_REFUSED_CLASS, "class" },
				       { AIACCEL_REFUSED_ENGINE, "engine" },
				       { AIACCEL_REFUSED_DEADLINES, "deadlines" }),
		      __entry->err));
/* clang-format on */

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
