// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queues, and the seats of contexts at engines that go with them.
 *
 * Locking: seats and nodes under aia_config_lock; what the scheduler sees under
 * aia_turn_lock, inside it.
 */
#include <linux/capability.h>
#include <linux/nospec.h>
#include <linux/pid.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "aia.h"

DEFINE_XARRAY_ALLOC1(aia_queues);
static u32 next_number;

/* ---- seats ---- */

static struct aia_seat *seat_get_locked(struct aia_context *ctx, struct aia_engine *engine)
{
	struct aia_seat *seat;

	lockdep_assert_held(&aia_config_lock);
	list_for_each_entry(seat, &ctx->seats, of_context)
		if (seat->engine == engine)
			goto out;
	seat = kzalloc(sizeof(*seat), GFP_KERNEL);
	if (!seat)
		return NULL;
	seat->engine = engine;
	aia_sched_seat_init(&seat->sched, &engine->sched);
	list_add(&seat->of_context, &ctx->seats);
out:
	seat->queues++;
	return seat;
}

static void seat_put_locked(struct aia_context *ctx, struct aia_seat *seat)
{
	lockdep_assert_held(&aia_config_lock);
	if (--seat->queues)
		return;
	spin_lock(&aia_turn_lock);
	ctx->granted_before += seat->sched.granted;
	ctx->busy_ns_before += seat->sched.busy_ns;
	spin_unlock(&aia_turn_lock);
	list_del(&seat->of_context);
	kfree(seat);
}

/* ---- joining and leaving an engine ---- */

static u32 class_now_locked(const struct aia_queue *queue)
{
	u32 class_ = queue->class_;

	if (!queue->any_class)
		class_ = min(class_, aia_policy_class_locked(queue->ctx->tenant));
	return array_index_nospec(class_, AIACCEL_NR_CLASSES);
}

void aia_queue_settle_locked(struct aia_queue *queue)
{
	u32 class_ = class_now_locked(queue);

	if (class_ != queue->sched.class_)
		aia_sched_queue_set_class(&queue->sched, class_, ktime_get_ns());
}

struct aia_queue *aia_queue_next_locked(unsigned long *number)
{
	struct aia_queue *queue;

	lockdep_assert_held(&aia_turn_lock);
	queue = xa_find(&aia_queues, number, U32_MAX, XA_PRESENT);
	++*number;
	return queue;
}

/* The queue whose set a new one at the engine is to join, or NULL for a set of its own. */
static struct aia_sched_queue *find_set_locked(struct aia_context *ctx, u32 any_of,
					       const struct aia_engine *engine)
{
	struct aia_object *object;
	struct aia_queue *other;
	int err;

	lockdep_assert_held(&aia_turn_lock);
	if (!any_of)
		return NULL;
	object = aia_object_find(ctx, any_of, AIA_OBJECT_QUEUE);
	if (!object)
		return ERR_PTR(-ENOENT);
	other = container_of(object, struct aia_queue, object);
	err = aia_any_takes(&other->sched, &engine->sched);
	return err ? ERR_PTR(err) : &other->sched;
}

/* -EDQUOT: no promise can be given, or those given could not be kept. */
static int begin_locked(struct aia_queue *queue, u32 any_of)
{
	struct aia_engine *engine = queue->engine;
	u32 class_ = class_now_locked(queue);
	u64 now_ns = ktime_get_ns();
	struct aia_sched_queue *set;
	int err;

	lockdep_assert_held(&aia_turn_lock);
	set = find_set_locked(queue->ctx, any_of, engine);
	if (IS_ERR(set))
		return PTR_ERR(set);
	err = aia_sched_takes_work(&engine->sched);
	if (err) {
		queue->who.queue = 0;
		aia_history_refused(engine->sched.history, &queue->who, class_, 0, now_ns);
		return err;
	}
	aia_sched_queue_init(&queue->sched, &queue->seat->sched, &queue->node->sched, class_,
			     queue->weight);
	aia_terms_set_queue(&queue->sched, queue->flags, queue->budget_ns);
	err = aia_realtime_join(&queue->sched, aia_terms_longest_ns(&queue->sched),
				queue->period_ns, queue->width, now_ns);
	if (err) {
		aia_sched_queue_fini(&queue->sched);
		return err;
	}
	if (set)
		aia_any_join(&queue->sched, set);
	/* There is room: the number was reserved. */
	xa_store(&aia_queues, queue->number, queue, 0);
	queue->sched.who = &queue->who;
	list_add_tail(&queue->of_context, &queue->ctx->queues);
	list_add_tail(&queue->of_engine, &engine->queues);
	engine->nr_queues++;
	return 0;
}

static int join_engine(struct aia_queue *queue, u32 any_of)
{
	struct aia_engine *engine = queue->engine;
	int err = -ENOMEM;

	if (mutex_lock_killable(&aia_config_lock))
		return -EINTR;
	queue->node = aia_node_get_locked(queue->ctx->tenant, engine);
	if (!queue->node)
		goto err_unlock;
	queue->seat = seat_get_locked(queue->ctx, engine);
	if (!queue->seat)
		goto err_node;
	spin_lock(&aia_turn_lock);
	err = begin_locked(queue, any_of);
	spin_unlock(&aia_turn_lock);
	if (err)
		goto err_seat;
	queue->ctx->tenant->queues++;
	mutex_unlock(&aia_config_lock);
	return 0;

err_seat:
	seat_put_locked(queue->ctx, queue->seat);
err_node:
	aia_node_put_locked(queue->node);
err_unlock:
	mutex_unlock(&aia_config_lock);
	return err;
}

static void leave_engine(struct aia_queue *queue)
{
	struct aia_news news = {};

	spin_lock(&aia_turn_lock);
	aia_turns_end_queue(&queue->ctx->turns, &queue->sched, ktime_get_ns(), &news);
	aia_sched_queue_fini(&queue->sched);
	list_del(&queue->of_context);
	list_del(&queue->of_engine);
	queue->engine->nr_queues--;
	aia_turn_unlock(&news);

	mutex_lock(&aia_config_lock);
	queue->ctx->tenant->queues--;
	seat_put_locked(queue->ctx, queue->seat);
	aia_node_put_locked(queue->node);
	mutex_unlock(&aia_config_lock);
}

/* ---- life ---- */

/* The queue is in no xarray of ids any more, or never was. */
void aia_queue_destroy(struct aia_queue *queue)
{
	xa_erase(&aia_queues, queue->number);
	leave_engine(queue);
	aia_tenant_uncharge(queue->ctx->tenant, AIA_CEILING_QUEUES, 1);
	aia_engine_put(queue->engine);
	kfree(queue);
}

static int check_class(struct aia_context *ctx, u32 class_, u32 *refused_by)
{
	if (class_ <= aia_policy_settings(ctx->tenant).max_class || capable(CAP_SYS_NICE))
		return 0;
	*refused_by = AIACCEL_REFUSED_CLASS;
	return -EPERM;
}

static void describe_owner(struct aia_queue *queue, const char *label)
{
	struct aia_history_who *who = &queue->who;

	BUILD_BUG_ON(sizeof(who->comm) != TASK_COMM_LEN);
	who->context = queue->ctx->number;
	who->tenant = queue->ctx->tenant->id;
	who->kind = queue->ctx->tenant->kind;
	who->source_id = queue->ctx->tenant->source_id;
	who->queue = queue->object.id;
	who->pid = pid_nr(queue->ctx->pid);
	memcpy(who->comm, queue->ctx->comm, sizeof(who->comm));
	memcpy(who->label, label, sizeof(who->label));
}

static int create(struct aia_call *call, struct aia_engine *engine)
{
	struct aiaccel_queue_create *arg = call->arg;
	struct aia_context *ctx = call->ctx;
	struct aia_queue *queue;
	int err;

	err = check_class(ctx, arg->class_, &call->refused_by) ?: aia_context_watch(ctx);
	if (err)
		return err;
	queue = kzalloc(sizeof(*queue), GFP_KERNEL_ACCOUNT);
	if (!queue) {
		call->refused_by = AIACCEL_REFUSED_MEMCG;
		return -ENOMEM;
	}
	queue->ctx = ctx;
	queue->engine = engine;
	queue->weight = arg->weight ?: AIACCEL_WEIGHT_DEFAULT;
	queue->class_ = arg->class_;
	queue->flags = arg->flags;
	queue->budget_ns = arg->budget_ns;
	queue->period_ns = arg->period_ns;
	queue->width = arg->width;
	queue->any_class = ns_capable_noaudit(&init_user_ns, CAP_SYS_NICE);
	err = aia_object_reserve(ctx, &queue->object, AIA_OBJECT_QUEUE, &call->refused_by);
	if (err)
		goto err_free;
	describe_owner(queue, arg->label);
	err = aia_tenant_charge(ctx->tenant, AIA_CEILING_QUEUES, 1, &call->refused_by);
	if (err)
		goto err_abort;
	err = xa_alloc_cyclic(&aia_queues, &queue->number, NULL, xa_limit_32b, &next_number,
			      GFP_KERNEL_ACCOUNT);
	if (err < 0) {
		call->refused_by = AIACCEL_REFUSED_MEMCG;
		goto err_uncharge;
	}
	aia_engine_keep_history(engine);
	err = join_engine(queue, arg->any_of);
	if (err == -EDQUOT)
		call->refused_by = AIACCEL_REFUSED_DEADLINES;
	if (err)
		goto err_number;
	arg->id = queue->object.id;
	err = aia_reply(call);
	if (err)
		goto err_leave;
	aia_object_publish(ctx, &queue->object);
	return 0;

err_leave:
	xa_erase(&aia_queues, queue->number);
	leave_engine(queue);
	goto err_uncharge;
err_number:
	xa_erase(&aia_queues, queue->number);
err_uncharge:
	aia_tenant_uncharge(ctx->tenant, AIA_CEILING_QUEUES, 1);
err_abort:
	aia_object_abort(ctx, &queue->object);
err_free:
	kfree(queue);
	return err;
}

int aia_queue_create(struct aia_call *call)
{
	struct aiaccel_queue_create *arg = call->arg;
	struct aia_engine *engine;
	int err;

	arg->refused_by = AIACCEL_REFUSED_NOT;
	err = aia_check_queue_create(arg);
	if (err)
		return err;
	engine = aia_engine_get(arg->engine);
	if (!engine)
		return -ENOENT;
	err = create(call, engine);
	if (err)
		aia_engine_put(engine); /* else the queue keeps it */
	/* The notifier, the seat and the nodes are not charged to a memory cgroup. */
	if (err == -ENOMEM && call->refused_by == AIACCEL_REFUSED_NOT)
		call->refused_by = AIACCEL_REFUSED_MEMORY;
	return err;
}
