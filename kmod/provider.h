/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For other kernel drivers: how to put an engine under aiaccel, stop work on it, say that it is
 * broken, and give its device the memory that users name. edu.c is a driver to begin from.
 *
 * The description is copied. After aia_engine_unregister() returns nothing of the
 * provider is referred to any more, and its module may go; queues to the engine stay
 * behind, with their jobs failed and their turns revoked, until their owners
 * destroy them. All calls may sleep, and none but aia_dma_unmap() may come after
 * aia_engine_unregister() began.
 */
#ifndef AIA_PROVIDER_H
#define AIA_PROVIDER_H

#include <linux/dma-direction.h>
#include <linux/types.h>
#include <uapi/aiaccel.h>

struct aia_engine;
struct device;
struct file;
struct sg_table;

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

/*
 * What was to be stopped and was not yet is the caller's to stop, before. What is still mapped is
 * unmapped: the device does nothing any more.
 */
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

/*
 * Whether the calling process, which has @file open, has a turn of that generation on the engine
 * now: 0; -EINVAL: it is not an open /dev/aiaccel; -EPERM: of another address space; -ESTALE.
 *
 * It may be revoked a moment later, and then @stop is called; or completed by another thread of its
 * holder, and then it is not. So a driver makes what it is about to run known to its @stop first,
 * asks this then, and begins nothing that @stop has taken back since; and asks again before each
 * piece of work that it can begin alone.
 */
int aia_engine_check_turn(struct aia_engine *engine, const struct file *file, u32 generation);

/* ---- memory (dma.c) ---- */

/**
 * struct aia_dma_desc - What a user asked the driver to do with its memory
 * @dev:	which device is to reach it
 * @file:	/dev/aiaccel as the calling process has it open, counted by the driver
 * @generation:	of the turn that it has on the engine
 * @buffer:	an id of its context
 * @offset:	in the buffer, in bytes; in what was pinned, from the address given to PIN
 * @length:	bytes, one at least
 * @direction:	what the device may do with them
 */
struct aia_dma_desc {
	struct device *dev;
	struct file *file;
	u32 generation;
	u32 buffer;
	u64 offset;
	u64 length;
	enum dma_data_direction direction;
};

/**
 * struct aia_dma - Bytes of a buffer that a device reaches
 * @table:	mapped by the DMA API; whole pages, or all of another driver's dma-buf
 * @skip:	bytes of it before the first that was asked for
 * @length:	bytes that were asked for; the driver lets its device reach no others
 */
struct aia_dma {
	struct sg_table *table;
	u64 skip;
	u64 length;
};

/*
 * Maps memory of the calling process for a device, while the process has a turn on the engine. It
 * is counted as an importer, and stays, and stays charged, until it is unmapped, whoever goes
 * meanwhile; the driver lets go of it when the work is done.
 *
 * That turn is looked at as by aia_engine_check_turn(), once.
 *
 * An ERR_PTR, each before those below it:
 *  -EINVAL	it is not an open /dev/aiaccel, or the length is 0
 *  -EPERM	it was opened by another address space than the caller's
 *  -EOVERFLOW	@offset plus @length wraps
 *  -ENOENT	the id names no buffer
 *  -EINVAL	the range is not in the buffer
 *  -EACCES	the device would write to what was pinned, or exported, for reading
 *  -ESTALE	the context has no turn of that generation on this engine now
 *  -ENODEV	the buffer was revoked
 *  -EBUSY	other drivers' work on a dma-buf of theirs is not over (poll it)
 *  -ENOMEM, -EIO, -EINVAL and what else the DMA API, or another driver's exporter, says
 */
struct aia_dma *aia_dma_map(struct aia_engine *engine, const struct aia_dma_desc *desc);

/* The device does not use it any more. Also after the engine was unregistered. */
void aia_dma_unmap(struct aia_dma *dma);

/*
 * Where the device finds byte @offset, which is below the length; how many lie there side by side,
 * up to the end. 0 where another driver has mapped less than it says to have.
 */
u64 aia_dma_at(const struct aia_dma *dma, u64 offset, dma_addr_t *at);

#endif
