/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For other kernel drivers: how to put an engine under aiaccel, stop work on it, and say that it is
 * broken.
 *
 * The description is copied. After aia_engine_unregister() returns nothing of the
 * provider is referred to any more, and its module may go; queues to the engine stay
 * behind, with their jobs failed and their turns revoked, until their owners
 * destroy them. All calls may sleep, and none may come after aia_engine_unregister() began.
 */
#ifndef AIA_PROVIDER_H
#define AIA_PROVIDER_H

#include <linux/types.h>
#include <uapi/aiaccel.h>

struct aia_engine;

/**
 * struct aia_engine_turn - Whose work it is
 * @context:	 number of the context, as STATS has it, which no two ever have
 * @cookie:	 how its user named the job
 * @generation:	 of the turn in its context
 * @width:	 slots
 * @pid:	 the process that opened the context, in the initial namespace; it may have ended
 *
 * What a runtime hands to the driver along with its work is for them to agree on: @context and
 * @generation tell every turn from all others.
 */
struct aia_engine_turn {
	u64 context;
	u64 cookie;
	u32 generation;
	u32 width;
	s32 pid;
};

/**
 * struct aia_engine_desc - What an engine is
 * @name:	   survives reboots, unique on the host: a PCI address, a UUID; printable
 * @alias:	   another such name, unique among both, or NULL
 * @provider:	   the registering driver; printable
 * @kind:	   &enum aiaccel_engine_kind; a CPU is not preemptible
 * @enforcement:   &enum aiaccel_enforcement
 * @slots:	   1 to 1024
 * @numa_node:	   nearest node or NUMA_NO_NODE
 * @device_bytes:  memory of its own
 * @grace_ns:	   how long a holder that was asked to yield has, where it must; 0 for 10 ms on
 *		   a preemptible engine, 100 ms on others
 * @stop:	   for a preemptible engine, and for no other: ends what the turn runs, and returns
 *		   once nothing of it runs and nothing that it launched will; what it has on the
 *		   engine besides may stay. Called when a turn was revoked, and when its process
 *		   ended or closed the device with it, also where nothing runs (any more). The
 *		   turn's slots are free once this returns. It may sleep. For one engine it is
 *		   called for one turn at a time. If it takes longer than %AIA_STOP_MS the engine is
 *		   faulted. aia_engine_unregister() waits for it: never hold a lock there that it
 *		   takes
 * @stop_ns:	   what @stop takes at most, up to %AIA_STOP_MS; 0 for that. Promises of time (class
 *		   realtime) count it for every turn, so that few can be given where it is long
 * @data:	   for @stop
 */
struct aia_engine_desc {
	const char *name;
	const char *alias;
	const char *provider;
	u32 kind;
	u32 enforcement;
	u32 slots;
	int numa_node;
	u64 device_bytes;
	u64 grace_ns;
	void (*stop)(void *data, const struct aia_engine_turn *turn);
	u64 stop_ns;
	void *data;
};

#define AIA_STOP_MS 1000

/* An ERR_PTR: -EINVAL, -EEXIST for a name in use, -ENOMEM, -ENOSPC without ids. */
struct aia_engine *aia_engine_register(const struct aia_engine_desc *desc);

/* What was to be stopped and was not yet is the caller's to stop. */
void aia_engine_unregister(struct aia_engine *engine);

/*
 * Nothing is granted any more, running turns are revoked, jobs wait. The caller sees to it that
 * nothing of those turns runs when it says that the engine works again, which it does after this
 * has returned.
 */
void aia_engine_fault(struct aia_engine *engine);

/*
 * It works again, as the administrator wants it to (CONTROL). Takes back what aia_engine_fault()
 * did, and that a @stop took too long; -EBUSY while one that did has not returned.
 */
int aia_engine_recover(struct aia_engine *engine);

#endif
