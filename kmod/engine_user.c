// SPDX-License-Identifier: GPL-2.0-only
/*
 * ENGINE_REGISTER and ENGINE_UNREGISTER: engines that no driver registers, made by a privileged
 * process, which need not stay. One that is bound to its maker is removed by a work item that the
 * end of the maker's address space queues.
 *
 * Locking: that of engine.c. Of two who unregister an engine at once, one is told that there is
 * none.
 */
#include <linux/capability.h>
#include <linux/err.h>

#include "aia.h"

int aia_engine_make(struct aia_call *call)
{
	struct aiaccel_engine_register *arg = call->arg;
	struct aia_engine_desc desc;
	struct aia_engine *engine;
	int err;

	err = aia_check_engine_register(arg);
	if (!err && !aia_engine_is_node(arg->numa_node))
		err = -EINVAL;
	if (err)
		return err;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (arg->flags & AIACCEL_REGISTER_BOUND) {
		err = aia_context_watch(call->ctx);
		if (err)
			return err;
	}
	desc = (struct aia_engine_desc){
		.name = arg->name,
		.alias = *arg->alias ? arg->alias : NULL,
		.provider = arg->provider,
		.kind = arg->kind,
		.enforcement = arg->enforcement,
		.slots = arg->slots,
		.numa_node = arg->numa_node,
		.device_bytes = arg->device_bytes,
	};
	engine = aia_engine_register_by_user(&desc);
	if (IS_ERR(engine))
		return PTR_ERR(engine);
	if (arg->flags & AIACCEL_REGISTER_BOUND)
		aia_engine_bind(engine, call->ctx);
	arg->id = engine->id;
	err = aia_reply(call);
	if (err)
		aia_engine_remove(engine);
	aia_engine_put(engine);
	return err;
}

int aia_engine_unmake(struct aia_call *call)
{
	struct aiaccel_engine_unregister *arg = call->arg;
	struct aia_engine *engine;
	int err;

	err = aia_check_engine_unregister(arg);
	if (err)
		return err;
	engine = aia_engine_get(arg->id);
	if (!engine)
		return -ENOENT;
	if (!engine->by_user)
		err = -ENOENT;
	else if (!capable(CAP_SYS_ADMIN))
		err = -EPERM;
	else if (!aia_engine_remove(engine))
		err = -ENOENT;
	aia_engine_put(engine);
	return err;
}
