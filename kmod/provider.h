/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For other kernel drivers: how to put an engine under aiaccel.
 *
 * The description is copied. After aia_engine_unregister() returns nothing of the
 * provider is referred to any more, and its module may go; queues to the engine stay
 * behind, with their jobs failed and their turns revoked, until their owners
 * destroy them. Both calls may sleep.
 */
#ifndef AIA_PROVIDER_H
#define AIA_PROVIDER_H

#include <linux/types.h>
#include <uapi/aiaccel.h>

struct aia_engine;

/**
 * struct aia_engine_desc - What an engine is
 * @name:	   survives reboots, unique on the host: a PCI address, a UUID; printable
 * @alias:	   another such name, unique among both, or NULL
 * @provider:	   the registering driver; printable
 * @kind:	   &enum aiaccel_engine_kind
 * @enforcement:   &enum aiaccel_enforcement
 * @slots:	   1 to 1024
 * @numa_node:	   nearest node or NUMA_NO_NODE
 * @device_bytes:  memory of its own
 * @grace_ns:	   how long a holder that was asked to yield has, where it must; 0 for 10 ms on
 *		   a preemptible engine, 100 ms on others
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
};

/* An ERR_PTR: -EINVAL, -EEXIST for a name in use, -ENOMEM, -ENOSPC without ids. */
struct aia_engine *aia_engine_register(const struct aia_engine_desc *desc);

void aia_engine_unregister(struct aia_engine *engine);

#endif
