// SPDX-License-Identifier: GPL-2.0-only
/*
 * Engines: those of other modules (provider.h), those made by privileged users (engine_user.c), and
 * one for each NUMA node with CPUs, whose slots are the CPUs that were online when the module was
 * loaded.
 *
 * Locking: registration under aia_config_lock; look-up under the xa_lock of `engines`. An
 * engine that was unregistered stays, faulted, as long as a queue or a reservation refers to it.
 */
#include <linux/cpumask.h>
#include <linux/ctype.h>
#include <linux/nodemask.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/topology.h>
#include <linux/uaccess.h>

#include "aia.h"

static DEFINE_XARRAY_ALLOC1(engines);
static u32 next_id = 1;		/* aia_config_lock; 0 once all were used */
static u32 nr_engines;		/* aia_config_lock for writing */
static u32 nr_by_users;		/* aia_config_lock */
/* aia_config_lock; what CONTROL told all */
static u32 all_states = AIACCEL_ENGINE_ACTIVE, all_orders = AIACCEL_ORDER_FAIR;
static u64 history_kept;	/* aia_turn_lock; records that engines have */

/* ---- references ---- */

static void engine_free(struct kref *ref)
{
	struct aia_engine *engine = container_of(ref, struct aia_engine, ref);

	spin_lock(&aia_turn_lock);
	history_kept -= engine->history.capacity;
	spin_unlock(&aia_turn_lock);
	kvfree(engine->history.records);
	kvfree(engine->stops);
	kfree(engine);
}

void aia_engine_put(struct aia_engine *engine)
{
	kref_put(&engine->ref, engine_free);
}

struct aia_engine *aia_engine_next(u32 *id)
{
	unsigned long index = *id;
	struct aia_engine *engine;

	xa_lock(&engines);
	engine = xa_find(&engines, &index, U32_MAX, XA_PRESENT);
	if (engine)
		kref_get(&engine->ref);
	xa_unlock(&engines);
	*id = index + 1;
	return engine;
}

struct aia_engine *aia_engine_get(u32 id)
{
	struct aia_engine *engine;

	xa_lock(&engines);
	engine = xa_load(&engines, id);
	if (engine)
		kref_get(&engine->ref);
	xa_unlock(&engines);
	return engine;
}

u32 aia_engine_count(void)
{
	return READ_ONCE(nr_engines);
}

u64 aia_engine_reserved_bytes(struct aia_engine *engine)
{
	u64 bytes;

	spin_lock(&aia_limit_lock);
	bytes = engine->bytes.used;
	spin_unlock(&aia_limit_lock);
	return bytes;
}

/* ---- registration ---- */

static bool good_name(const char *name)
{
	const char *at;

	for (at = name; *at; at++)
		if (!isascii(*at) || !isgraph(*at))
			return false;
	return at > name && at - name < AIACCEL_NAME_LEN && strcmp(name, ".") && strcmp(name, "..");
}

bool aia_engine_is_node(int node)
{
	if (node == NUMA_NO_NODE)
		return true;
	if (node < 0 || node >= MAX_NUMNODES)
		return false;
	return node_possible(array_index_nospec(node, MAX_NUMNODES));
}

/*
 * A driver stops work on what is preemptible, and on nothing else; a CPU has a scheduler that does.
 */
static bool has_right_stop(const struct aia_engine_desc *desc)
{
	if (desc->enforcement == AIACCEL_PREEMPTIBLE)
		return desc->stop && desc->kind != AIACCEL_ENGINE_CPU &&
		       desc->stop_ns <= AIA_STOP_MS * NSEC_PER_MSEC;
	return !desc->stop && !desc->stop_ns;
}

/* Drivers', too, which no aia_check_engine_register() has seen, and which may more. */
static bool is_possible(const struct aia_engine_desc *desc)
{
	return good_name(desc->name) && good_name(desc->provider) &&
	       (!desc->alias || good_name(desc->alias)) && desc->kind >= AIACCEL_ENGINE_CPU &&
	       desc->kind <= AIACCEL_ENGINE_OTHER && desc->enforcement >= AIACCEL_ADVISORY &&
	       desc->enforcement <= AIACCEL_PREEMPTIBLE && desc->slots >= 1 &&
	       desc->slots <= AIA_MAX_SLOTS && aia_engine_is_node(desc->numa_node) &&
	       has_right_stop(desc);
}

/* As sysfs has it, in which a / is a !. */
static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !(strchr("/!", *a) && strchr("/!", *b)))
			return false;
	return *a == *b;
}

static bool has_name(const struct aia_engine *engine, const char *name)
{
	return *name && (same_name(engine->name, name) || same_name(engine->alias, name));
}

static int add_locked(struct aia_engine *engine)
{
	struct aia_engine *other;
	unsigned long index;
	int err;

	lockdep_assert_held(&aia_config_lock);
	xa_for_each(&engines, index, other)
		if (has_name(other, engine->name) || has_name(other, engine->alias))
			return -EEXIST;
	if (!next_id || (engine->by_user && nr_by_users == AIA_MAX_BY_USERS))
		return -ENOSPC;
	engine->id = next_id;
	engine->sched.number = engine->id;
	spin_lock(&aia_turn_lock);
	aia_engine_tell_locked(engine, all_states);
	spin_unlock(&aia_turn_lock);
	aia_sched_set_order(&engine->sched, all_orders, ktime_get_ns());
	err = aia_sysfs_add_locked(engine);
	if (err)
		return err;
	err = xa_insert(&engines, engine->id, engine, GFP_KERNEL);
	if (err) {
		aia_sysfs_remove_locked(engine);
		return err;
	}
	next_id++;
	nr_by_users += engine->by_user;
	WRITE_ONCE(nr_engines, nr_engines + 1);
	return 0;
}

static void farewell(struct work_struct *work)
{
	struct aia_engine *engine = container_of(work, struct aia_engine, farewell);

	aia_engine_remove(engine);
	aia_engine_put(engine);
}

static struct aia_engine *add(const struct aia_engine_desc *desc, bool by_user)
{
	struct aia_engine *engine;
	int err;

	if (!is_possible(desc))
		return ERR_PTR(-EINVAL);
	engine = kzalloc(sizeof(*engine), GFP_KERNEL);
	if (!engine)
		return ERR_PTR(-ENOMEM);
	if (desc->stop) {
		engine->stops = kvcalloc(desc->slots, sizeof(*engine->stops), GFP_KERNEL);
		if (!engine->stops) {
			kfree(engine);
			return ERR_PTR(-ENOMEM);
		}
	}
	kref_init(&engine->ref);
	if (by_user) /* the caller's: anybody could unregister it at once */
		kref_get(&engine->ref);
	engine->kind = desc->kind;
	engine->enforcement = desc->enforcement;
	engine->numa_node = desc->numa_node;
	engine->by_user = by_user;
	aia_limit_init(&engine->bytes, NULL, desc->device_bytes);
	strscpy(engine->name, desc->name, sizeof(engine->name));
	if (desc->alias)
		strscpy(engine->alias, desc->alias, sizeof(engine->alias));
	strscpy(engine->provider, desc->provider, sizeof(engine->provider));
	INIT_LIST_HEAD(&engine->queues);
	INIT_LIST_HEAD(&engine->of_maker);
	INIT_WORK(&engine->farewell, farewell);
	mutex_init(&engine->dma_lock);
	INIT_LIST_HEAD(&engine->dmas);
	aia_turn_init_alarm(engine);
	aia_sched_engine_init(&engine->sched, desc->slots);
	engine->sched.witness = aia_trace_decision;
	engine->sched.numa_node = desc->numa_node;
	engine->sched.gives_way = desc->kind == AIACCEL_ENGINE_CPU;
	aia_terms_set_engine(&engine->sched, desc->enforcement, desc->grace_ns);
	engine->stop = desc->stop;
	engine->data = desc->data;
	aia_stop_init(engine, desc->stop_ns ?: AIA_STOP_MS * NSEC_PER_MSEC);
	err = mutex_lock_killable(&aia_config_lock);
	if (!err) {
		err = add_locked(engine);
		mutex_unlock(&aia_config_lock);
	}
	if (err) {
		engine_free(&engine->ref);
		return ERR_PTR(err);
	}
	return engine;
}

struct aia_engine *aia_engine_register(const struct aia_engine_desc *desc)
{
	return add(desc, false);
}
EXPORT_SYMBOL_GPL(aia_engine_register);

struct aia_engine *aia_engine_register_by_user(const struct aia_engine_desc *desc)
{
	return add(desc, true);
}

/* Fails what is left of one queue; false when there is none. Those done are set aside. */
static bool fail_next_queue(struct aia_engine *engine, struct list_head *done)
{
	struct aia_news news = {};
	struct aia_queue *queue;

	spin_lock(&aia_turn_lock);
	aia_engine_go_locked(engine);
	queue = list_first_entry_or_null(&engine->queues, struct aia_queue, of_engine);
	if (queue) {
		list_move(&queue->of_engine, done);
		aia_turns_fail_queue(&queue->ctx->turns, &queue->sched, ktime_get_ns(),
				     &news);
	}
	aia_turn_unlock(&news);
	return queue;
}

static void unbind(struct aia_engine *engine)
{
	bool bound;

	spin_lock(&aia_turn_lock);
	bound = !list_empty(&engine->of_maker);
	list_del_init(&engine->of_maker);
	spin_unlock(&aia_turn_lock);
	if (bound)
		aia_engine_put(engine);
}

/* From the index of engines; false when it was done before. */
static bool take_out(struct aia_engine *engine)
{
	bool taken;

	mutex_lock(&aia_config_lock);
	taken = xa_erase(&engines, engine->id);
	if (taken) {
		aia_sysfs_remove_locked(engine);
		WRITE_ONCE(nr_engines, nr_engines - 1);
		nr_by_users -= engine->by_user;
	}
	mutex_unlock(&aia_config_lock);
	return taken;
}

bool aia_engine_remove(struct aia_engine *engine)
{
	LIST_HEAD(done);

	if (!take_out(engine))
		return false;
	unbind(engine);
	while (fail_next_queue(engine, &done))
		cond_resched();
	aia_turn_stop_alarm(engine);
	aia_stop_finish(engine);
	aia_dma_end_all(engine);
	spin_lock(&aia_limit_lock);
	engine->gone = true;
	spin_unlock(&aia_limit_lock);
	spin_lock(&aia_turn_lock);
	list_splice(&done, &engine->queues);
	spin_unlock(&aia_turn_lock);
	aia_node_prune_owing(); /* nothing is owed to it any more */
	aia_engine_put(engine);
	return true;
}

/*
 * Nothing is lost where somebody has removed it by now: then that is found out when the context
 * ends.
 */
void aia_engine_bind(struct aia_engine *engine, struct aia_context *ctx)
{
	kref_get(&engine->ref);
	spin_lock(&aia_turn_lock);
	list_add(&engine->of_maker, &ctx->engines);
	spin_unlock(&aia_turn_lock);
}

/*
 * Removing one takes aia_config_lock, and may wait: not what the end of an address space is held up
 * by.
 */
void aia_engine_end_bound(struct aia_context *ctx)
{
	struct aia_engine *engine, *next;

	spin_lock(&aia_turn_lock);
	list_for_each_entry_safe(engine, next, &ctx->engines, of_maker) {
		list_del_init(&engine->of_maker);
		queue_work(aia_workqueue, &engine->farewell);
	}
	spin_unlock(&aia_turn_lock);
}

void aia_engine_unregister(struct aia_engine *engine)
{
	aia_engine_remove(engine);
}
EXPORT_SYMBOL_GPL(aia_engine_unregister);

/* ---- history ---- */

/*
 * Of all engines together, those that went and still have a user's queue included: 46 MiB. Where
 * they are used up, each further engine has AIA_HISTORY_LEAST, 46 KiB.
 */
#define HISTORY_SUM (64 * AIA_HISTORY_RECORDS)

/* Optional memory of the engine, not of the memory cgroup that happened to come first. */
void aia_engine_keep_history(struct aia_engine *engine)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	struct aia_history_record *records;
	u32 capacity;

	if (READ_ONCE(engine->sched.history))
		return;
	spin_lock(&aia_turn_lock);
	capacity = aia_history_capacity(aia_engine_count(), HISTORY_SUM, history_kept);
	history_kept += capacity;
	spin_unlock(&aia_turn_lock);
	records = kvcalloc(capacity, sizeof(*records), gfp);
	spin_lock(&aia_turn_lock);
	if (records && !engine->sched.history) {
		aia_history_init(&engine->history, records, capacity);
		WRITE_ONCE(engine->sched.history, &engine->history);
		records = NULL;
	} else {
		history_kept -= capacity;
	}
	spin_unlock(&aia_turn_lock);
	kvfree(records);
}

/* ---- draining and leaving ---- */

void aia_engine_dispatch_all(void)
{
	struct aia_engine *engine;
	u32 id = 0;

	while ((engine = aia_engine_next(&id))) {
		aia_turn_dispatch(engine);
		aia_engine_put(engine);
		cond_resched();
	}
}

/* Of a state and an order what is 0 stays. */
static void tell_locked(struct aia_engine *engine, u32 state, u32 order)
{
	if (state)
		aia_engine_tell_locked(engine, state);
	if (order)
		aia_sched_set_order(&engine->sched, order, ktime_get_ns());
}

int aia_engine_control(struct aia_engine *engine, u32 state, u32 order)
{
	struct aia_news news = {};
	int err = 0;

	spin_lock(&aia_turn_lock);
	if (engine->faults & AIA_FAULT_GONE)
		err = -ENOENT; /* just now, and its id names nothing */
	else if (state == AIACCEL_ENGINE_ACTIVE && aia_engine_is_stuck_locked(engine))
		err = -EBUSY;
	else
		tell_locked(engine, state, order);
	aia_turns_stir(&engine->sched, &news);
	aia_turn_unlock(&news);
	return err;
}

/* Users choose how many are woken by what is granted then: nobody waits for that. */
void aia_engine_control_all(u32 state, u32 order)
{
	struct aia_engine *engine;
	unsigned long index;

	mutex_lock(&aia_config_lock);
	all_states = state ?: all_states;
	all_orders = order ?: all_orders;
	xa_for_each(&engines, index, engine) {
		spin_lock(&aia_turn_lock);
		tell_locked(engine, state, order);
		spin_unlock(&aia_turn_lock);
	}
	mutex_unlock(&aia_config_lock);
	aia_engine_dispatch_all();
}

/* ---- the CPUs ---- */

static u32 online_cpus(int node)
{
	u32 cpus = 0;
	int cpu;

	for_each_cpu(cpu, cpumask_of_node(node))
		cpus += cpu_online(cpu);
	return cpus;
}

int aia_engine_init(void)
{
	struct aia_engine *engine;
	char name[AIACCEL_NAME_LEN];
	int node;

	for_each_online_node(node) {
		struct aia_engine_desc desc = {
			.name = name,
			.provider = "aiaccel",
			.kind = AIACCEL_ENGINE_CPU,
			.enforcement = AIACCEL_ADVISORY,
			.slots = min_t(u32, online_cpus(node), AIA_MAX_SLOTS),
			.numa_node = node,
		};

		if (!desc.slots)
			continue;
		snprintf(name, sizeof(name), "cpu-node%d", node);
		engine = aia_engine_register(&desc);
		if (IS_ERR(engine)) {
			aia_engine_exit();
			return PTR_ERR(engine);
		}
	}
	return 0;
}

/* Drivers hold the module until they unregistered: the CPUs are left, and those made by users. */
void aia_engine_exit(void)
{
	struct aia_engine *engine;
	unsigned long index;

	flush_workqueue(aia_workqueue); /* those whose makers ended just now */
	xa_for_each(&engines, index, engine)
		aia_engine_unregister(engine);
	xa_destroy(&engines);
}

/* ---- ioctls ---- */

int aia_engine_list(struct aia_call *call)
{
	struct aiaccel_engine_list *arg = call->arg;
	u32 __user *ids = u64_to_user_ptr(arg->ids);
	struct aia_engine *engine;
	u32 count = 0, id = 0;
	int err;

	err = aia_check_engine_list(arg);
	if (err)
		return err;
	while ((engine = aia_engine_next(&id))) {
		if (count < arg->count)
			err = put_user(engine->id, ids + count);
		aia_engine_put(engine);
		if (err)
			return err;
		count++;
	}
	arg->count = count;
	return aia_reply(call);
}

int aia_engine_info(struct aia_call *call)
{
	struct aiaccel_engine_info *arg = call->arg;
	struct aia_engine *engine;
	int err;

	err = aia_check_engine_info(arg);
	if (err)
		return err;
	engine = aia_engine_get(arg->id);
	if (!engine)
		return -ENOENT;
	*arg = (struct aiaccel_engine_info){
		.size = arg->size,
		.id = engine->id,
		.kind = engine->kind,
		.enforcement = engine->enforcement,
		.state = READ_ONCE(engine->sched.state),
		.slots = engine->sched.slots,
		.numa_node = engine->numa_node,
		.order = READ_ONCE(engine->sched.order),
		.device_bytes = engine->bytes.max,
		.reserved_bytes = aia_engine_reserved_bytes(engine),
		.grace_ns = engine->sched.grace_ns,
		.contended = READ_ONCE(engine->sched.contended),
	};
	memcpy(arg->name, engine->name, sizeof(arg->name));
	memcpy(arg->alias, engine->alias, sizeof(arg->alias));
	memcpy(arg->provider, engine->provider, sizeof(arg->provider));
	aia_engine_put(engine);
	return aia_reply(call);
}
