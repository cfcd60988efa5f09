// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nodes: a tenant's place in the share tree of an engine. A queue or a reservation needs the node
 * of its tenant and those of all tenants above; they are made for the first and go with the last.
 * Their limits on bytes are a chain from the tenant up to the engine.
 *
 * A node whose tenant owes engine time (kmod/core/cap.h) stays until it is paid off: else who opens
 * and closes for each turn would owe nothing. It keeps its tenant, and goes with its engine. So
 * does one whose turn is being stopped, and has no queue any more (kmod/core/stop.h), and one that
 * had more than those served beside it, until they have caught up (kmod/core/node.h). Who makes a
 * cgroup for each turn leaves one for each behind, but the time that they owe was had: under a
 * ceiling of 1/N of the engine, turn after turn of one length leaves N tenants that owe, on each
 * level.
 *
 * Locking: which nodes there are under aia_config_lock; what the scheduler sees of them
 * under aia_turn_lock, what is charged to them under aia_limit_lock, both inside it.
 */
#include <linux/ktime.h>
#include <linux/slab.h>

#include "aia.h"

static struct aia_node *find_node_locked(struct aia_tenant *tenant, struct aia_engine *engine)
{
	struct aia_node *node;

	list_for_each_entry(node, &tenant->nodes, of_tenant)
		if (node->engine == engine)
			return node;
	return NULL;
}

static struct aia_node *create_node_locked(struct aia_tenant *tenant, struct aia_engine *engine,
					   struct aia_node *parent)
{
	struct aia_node *node = kzalloc(sizeof(*node), GFP_KERNEL);

	if (!node)
		return NULL;
	node->engine = engine;
	node->tenant = tenant;
	node->parent = parent;
	aia_limit_init(&node->bytes, parent ? &parent->bytes : &engine->bytes,
		       tenant->settings.device_bytes);
	if (parent)
		parent->users++;
	INIT_LIST_HEAD(&node->of_owing);
	list_add(&node->of_tenant, &tenant->nodes);
	spin_lock(&aia_turn_lock);
	aia_sched_node_init(&node->sched, &engine->sched, parent ? &parent->sched : NULL,
			    tenant->settings.weight);
	aia_sched_node_set_caps(&node->sched, tenant->settings.engine_time,
				tenant->settings.grants, ktime_get_ns());
	spin_unlock(&aia_turn_lock);
	return node;
}

/* So many are looked at in one hold of aia_config_lock. */
#define OWING_LOOKS 256

static LIST_HEAD(owing);		/* aia_config_lock: unused nodes, and some used again */
static unsigned int nr_owing;		/* aia_config_lock */
static void prune_owing(struct work_struct *work);
static DECLARE_DELAYED_WORK(owing_work, prune_owing);

static bool owes(struct aia_node *node)
{
	bool owes;

	spin_lock(&aia_turn_lock);
	/* Of an engine that is gone, only until its provider has stopped what it was told to. */
	owes = node->engine->faults & AIA_FAULT_GONE ?
		       node->sched.stops : aia_sched_node_owes(&node->sched, ktime_get_ns());
	spin_unlock(&aia_turn_lock);
	return owes;
}

/* Looked at again each second while there is any. */
static void keep_locked(struct aia_node *node)
{
	list_add_tail(&node->of_owing, &owing);
	nr_owing++;
	aia_tenant_get(node->tenant);
	schedule_delayed_work(&owing_work, HZ);
}

/* Gives up a node that nothing uses, and those above it that then have no use. */
static void prune_locked(struct aia_node *node)
{
	while (node && !node->users) {
		struct aia_node *parent = node->parent;

		if (!list_empty(&node->of_owing))
			return; /* its turn comes */
		if (owes(node)) {
			keep_locked(node);
			return;
		}

		spin_lock(&aia_turn_lock);
		aia_sched_node_fini(&node->sched);
		spin_unlock(&aia_turn_lock);
		node->tenant->granted_before += node->sched.granted;
		node->tenant->busy_ns_before += node->sched.busy_ns;
		aia_histogram_sum(&node->tenant->wait_before, &node->sched.wait);
		aia_histogram_sum(&node->tenant->run_before, &node->sched.run);
		list_del(&node->of_tenant);
		kfree(node);
		if (parent)
			parent->users--;
		node = parent;
	}
}

struct aia_node *aia_node_get_locked(struct aia_tenant *tenant, struct aia_engine *engine)
{
	struct aia_tenant *path[AIA_MAX_DEPTH + 1];
	struct aia_node *node = NULL, *parent;
	int depth = 0;

	lockdep_assert_held(&aia_config_lock);
	for (; tenant; tenant = tenant->parent)
		path[depth++] = tenant;
	while (depth--) {
		parent = node;
		node = find_node_locked(path[depth], engine);
		if (!node)
			node = create_node_locked(path[depth], engine, parent);
		if (!node) {
			prune_locked(parent);
			return NULL;
		}
	}
	node->users++;
	return node;
}

void aia_node_put_locked(struct aia_node *node)
{
	lockdep_assert_held(&aia_config_lock);
	node->users--;
	prune_locked(node);
}

/* False when none owes. A tenant whose node this was may go with it. */
static bool look_at_first_locked(void)
{
	struct aia_node *node = list_first_entry_or_null(&owing, struct aia_node, of_owing);
	struct aia_tenant *tenant;

	if (!node)
		return false;
	tenant = node->tenant;
	list_del_init(&node->of_owing);
	nr_owing--;
	prune_locked(node); /* to the end of the list where it owes still */
	aia_tenant_put_locked(tenant);
	return true;
}

/* Whoever else looks at them meanwhile takes the first, too: none is left out. */
void aia_node_prune_owing(void)
{
	unsigned int left;

	mutex_lock(&aia_config_lock);
	left = nr_owing;
	while (left && look_at_first_locked()) {
		if (--left % OWING_LOOKS)
			continue;
		mutex_unlock(&aia_config_lock);
		cond_resched();
		mutex_lock(&aia_config_lock);
	}
	mutex_unlock(&aia_config_lock);
}

static void prune_owing(struct work_struct *work)
{
	aia_node_prune_owing();
}

void aia_node_exit(void)
{
	cancel_delayed_work_sync(&owing_work);
}

void aia_node_settle_locked(struct aia_node *node)
{
	const struct aia_settings *settings = &node->tenant->settings;

	lockdep_assert_held(&aia_config_lock);
	spin_lock(&aia_turn_lock);
	aia_sched_node_set_weight(&node->sched, settings->weight);
	aia_sched_node_set_caps(&node->sched, settings->engine_time, settings->grants,
				ktime_get_ns());
	spin_unlock(&aia_turn_lock);
}
