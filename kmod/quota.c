// SPDX-License-Identifier: GPL-2.0-only
/*
 * QUOTA: what each limit leaves, and which would be the first to refuse. Takes nothing. Each
 * limit is read by itself, as ALLOC and PIN meet them one after the other.
 */
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/page_counter.h>

#include "buffer.h"

/* Of the caller's memory cgroup and those above it. */
static u64 memcg_room(void)
{
	u64 room = AIACCEL_UNLIMITED;
#ifdef CONFIG_MEMCG
	struct mem_cgroup *memcg;

	rcu_read_lock();
	for (memcg = mem_cgroup_from_task(current); memcg; memcg = parent_mem_cgroup(memcg)) {
		unsigned long max = READ_ONCE(memcg->memory.max);
		unsigned long used = page_counter_read(&memcg->memory);

		if (max < PAGE_COUNTER_MAX)
			room = min(room, used < max ? (u64)(max - used) << PAGE_SHIFT : 0);
	}
	rcu_read_unlock();
#endif
	return room;
}

static u32 refused_by(const struct aiaccel_quota *arg, const struct aia_context *ctx)
{
	u64 length = PAGE_ALIGN(arg->length);

	if (atomic_read(&ctx->nr_objects[AIA_OBJECT_BUFFER]) >= AIA_MAX_BUFFERS)
		return AIACCEL_REFUSED_CONTEXT;
	if (length > arg->tenant_bytes)
		return AIACCEL_REFUSED_TENANT;
	if (length > arg->module_bytes)
		return AIACCEL_REFUSED_MODULE;
	if (length > arg->rlimit_bytes)
		return AIACCEL_REFUSED_RLIMIT;
	if (length > arg->memory_bytes)
		return AIACCEL_REFUSED_MEMORY;
	return length > arg->memcg_bytes ? AIACCEL_REFUSED_MEMCG : AIACCEL_REFUSED_NOT;
}

int aia_quota(struct aia_call *call)
{
	struct aiaccel_quota *arg = call->arg;
	int err;

	err = aia_check_quota(arg) ?: aia_policy_settle(call->ctx->tenant);
	if (!err)
		err = aia_alloc_room(arg->placement, arg->node, arg->engine, &arg->memory_bytes);
	if (err)
		return err;
	aia_tenant_room(call->ctx->tenant, AIA_CEILING_MEMORY, &arg->tenant_bytes,
			&arg->module_bytes);
	arg->rlimit_bytes = arg->kind == AIACCEL_BUFFER_PINNED ? aia_pin_room() :
								 AIACCEL_UNLIMITED;
	arg->memcg_bytes = memcg_room();
	arg->refused_by = refused_by(arg, call->ctx);
	return aia_reply(call);
}
