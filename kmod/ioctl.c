// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls: a table row each, one way in (aia_ioctl) and one way out (aia_reply).
 *
 * The way in does the upper part of the errno ladder of the UAPI header, from ENOTTY to
 * EFAULT; the caller's size is read once. Handlers see a whole struct, check it with
 * the core's aia_check_…(), and answer through aia_reply() before they publish anything.
 */
#include <linux/fs.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include "aia.h"
#include "trace.h"

struct row {
	int (*run)(struct aia_call *call);
	u32 first_size;		/* of the struct's first version */
	u32 size;
	u32 refused_at;		/* where refused_by lies; 0: nowhere */
};

static int query(struct aia_call *call)
{
	struct aia_context *ctx = call->ctx;
	struct aiaccel_query *out = call->arg;
	struct aia_settings settings;
	int err;

	err = aia_policy_settle(ctx->tenant);
	if (err)
		return err;
	settings = aia_policy_settings(ctx->tenant);
	*out = (struct aiaccel_query){
		.size = out->size,
		.abi = AIACCEL_ABI,
		.capabilities = AIACCEL_CAP_HOST | AIACCEL_CAP_CRASH | AIACCEL_CAP_ENFORCED |
				AIACCEL_CAP_STRICT | AIACCEL_CAP_FOLIOS | AIACCEL_CAP_REGISTER |
				(IS_ENABLED(CONFIG_DMA_SHARED_BUFFER) ? AIACCEL_CAP_IMPORT : 0),
		.tenant = ctx->tenant->id,
		.nr_engines = aia_engine_count(),
		.highest_class = settings.max_class,
		.max_queues = AIA_MAX_QUEUES,
		.max_buffers = AIA_MAX_BUFFERS,
		.max_jobs = AIA_TURNS_MAX,
		.ring_bytes = aia_ring_map_bytes(),
		.max_device_bytes = settings.device_bytes,
		.on_missing = settings.on_missing,
	};
	aia_tenant_bytes(ctx->tenant, &out->max_pinned_bytes, &out->pinned_bytes);
	return aia_reply(call);
}

static int destroy(struct aia_call *call)
{
	struct aiaccel_destroy *arg = call->arg;
	struct aia_object *object;
	int err;

	err = aia_check_destroy(arg);
	if (err)
		return err;
	object = aia_object_take(call->ctx, arg->id);
	if (!object)
		return -ENOENT;
	aia_object_destroy(call->ctx, object);
	return 0;
}

/* clang-format off */
#define ROW(NUMBER, run, type, refused) \
	[_IOC_NR(AIACCEL_IOC_##NUMBER)] = { run, sizeof(struct type), sizeof(struct type), refused }
/* Its first version ended with @last. */
#define GROWN(NUMBER, run, type, last) \
	[_IOC_NR(AIACCEL_IOC_##NUMBER)] = \
		{ run, offsetofend(struct type, last), sizeof(struct type), 0 }
#define REFUSED_BY(type) offsetof(struct type, refused_by)

static const struct row rows[] = {
	ROW(QUERY,	  query,	    aiaccel_query,	  0),
	ROW(ENGINE_LIST,  aia_engine_list,  aiaccel_engine_list,  0),
	ROW(ENGINE_INFO,  aia_engine_info,  aiaccel_engine_info,  0),
	ROW(ENGINE_REGISTER,   aia_engine_make,	  aiaccel_engine_register,   0),
	ROW(ENGINE_UNREGISTER, aia_engine_unmake, aiaccel_engine_unregister, 0),
	ROW(STATS,	  aia_stats,	    aiaccel_stats,	  0),
	ROW(POLICY,	  aia_policy,	    aiaccel_policy,	  0),
	ROW(CONTROL,	  aia_control,	    aiaccel_control,	  0),
	ROW(DESTROY,	  destroy,	    aiaccel_destroy,	  0),
	ROW(REVOKE,	  aia_revoke,	    aiaccel_revoke,	  0),
	ROW(ALLOC,	  aia_buffer_alloc, aiaccel_alloc,	  REFUSED_BY(aiaccel_alloc)),
	ROW(PIN,	  aia_buffer_pin,   aiaccel_pin,	  REFUSED_BY(aiaccel_pin)),
	GROWN(BUFFER_INFO, aia_buffer_info, aiaccel_buffer_info,  largest_run_bytes),
	ROW(IMPORT,	  aia_buffer_import, aiaccel_import,	  REFUSED_BY(aiaccel_import)),
	ROW(EXPORT,	  aia_buffer_export, aiaccel_export,	  0),
	ROW(BUFFER_REVOKE, aia_buffer_revoke, aiaccel_buffer_revoke, 0),
	ROW(QUOTA,	  aia_quota,	    aiaccel_quota,	  0),
	ROW(RESERVE,	  aia_reserve,	    aiaccel_reserve,	  REFUSED_BY(aiaccel_reserve)),
	ROW(QUEUE_CREATE, aia_queue_create, aiaccel_queue_create, REFUSED_BY(aiaccel_queue_create)),
	ROW(ENTER,	  aia_enter,	    aiaccel_enter,	  0),
};

/* clang-format on */

union any {
	u32 size;
	struct aiaccel_query query;
	struct aiaccel_engine_list engine_list;
	struct aiaccel_engine_info engine_info;
	struct aiaccel_engine_register engine_register;
	struct aiaccel_engine_unregister engine_unregister;
	struct aiaccel_stats stats;
	struct aiaccel_policy policy;
	struct aiaccel_control control;
	struct aiaccel_destroy destroy;
	struct aiaccel_revoke revoke;
	struct aiaccel_alloc alloc;
	struct aiaccel_pin pin;
	struct aiaccel_buffer_info buffer_info;
	struct aiaccel_import import;
	struct aiaccel_export export;
	struct aiaccel_buffer_revoke buffer_revoke;
	struct aiaccel_quota quota;
	struct aiaccel_reserve reserve;
	struct aiaccel_queue_create queue_create;
	struct aiaccel_enter enter;
};

static const struct row *find_row(unsigned int cmd)
{
	unsigned int nr = _IOC_NR(cmd);

	if (cmd != _IO(AIACCEL_IOC_TYPE, nr) || nr >= ARRAY_SIZE(rows))
		return NULL;
	nr = array_index_nospec(nr, ARRAY_SIZE(rows));
	return rows[nr].run ? &rows[nr] : NULL;
}

int aia_reply(struct aia_call *call)
{
	u32 bytes = min(call->user_size, call->known_size);

	return copy_to_user(call->user, call->arg, bytes) ? -EFAULT : 0;
}

/* Where it cannot be written, the caller still learns the error. */
static void reply_refusal(struct aia_call *call, const struct row *row)
{
	u32 __user *to = call->user + row->refused_at;

	if (row->refused_at && call->user_size >= row->refused_at + sizeof(u32))
		put_user(call->refused_by, to);
}

long aia_ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	const struct row *row = find_row(cmd);
	/* What is set later is no zero before: a path that is walked for each turn. */
	union any arg __uninitialized;
	struct aia_call call;
	int err;

	if (!row)
		return -ENOTTY;
	call.ctx = file->private_data;
	call.user = (void __user *)user;
	call.refused_by = 0;
	if (current->mm != call.ctx->mm || (current->flags & PF_KTHREAD))
		return -EPERM;
	if (get_user(call.user_size, (u32 __user *)call.user))
		return -EFAULT;
	if (call.user_size < row->first_size)
		return -EINVAL;
	if (call.user_size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(&arg, row->size, call.user, call.user_size);
	if (err)
		return err;
	arg.size = call.user_size; /* read once */
	call.arg = &arg;
	call.known_size = row->size;
	/* What may be refused is refused by the newest rules. */
	if (row->refused_at)
		err = aia_policy_settle(call.ctx->tenant);
	if (!err)
		err = row->run(&call);
	/* After ERESTARTNOINTR the kernel makes the call once more. */
	if (err && err != -ERESTARTNOINTR) {
		if (row->refused_at)
			trace_refuse(call.ctx, _IOC_NR(cmd), call.refused_by, err);
		reply_refusal(&call, row);
	}
	return err;
}
