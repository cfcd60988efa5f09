// SPDX-License-Identifier: GPL-2.0-only
/*
 * sysfs: what each engine is and does now, one value a file, and totals of the module. What the
 * files mean is in docs/sysfs-class-aiaccel. Everybody may read them: they tell of nobody in
 * particular.
 *
 * An engine has a device of class aiaccel, of its name (in which sysfs puts ! for /), from before
 * it can be found until it can be found no more, and both under aia_config_lock: so that of engines
 * with one name, one after the other, no two are there at once. Removing it waits for whoever reads
 * a file of it: these take spinlocks alone. The engine is kept until that is done.
 */
#include <linux/device.h>
#include <linux/kdev_t.h>
#include <linux/nodemask.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "aia.h"

static struct aia_engine *engine_of(struct device *dev)
{
	return dev_get_drvdata(dev);
}

/* clang-format off */
#define FILE(name, format, value) \
	static ssize_t name##_show(struct device *dev, struct device_attribute *attr, char *buf) \
	{ \
		return sysfs_emit(buf, format "\n", value); \
	} \
	static DEVICE_ATTR_RO(name)
/* clang-format on */

/* ---- of an engine: what it is ---- */

static const char *const kinds[] = {
	[AIACCEL_ENGINE_CPU] = "cpu",
	[AIACCEL_ENGINE_GPU] = "gpu",
	[AIACCEL_ENGINE_FPGA] = "fpga",
	[AIACCEL_ENGINE_OTHER] = "other",
};

static const char *const enforcements[] = {
	[AIACCEL_ADVISORY] = "advisory",
	[AIACCEL_GATED] = "gated",
	[AIACCEL_PREEMPTIBLE] = "preemptible",
};

static const char *const states[] = {
	[AIACCEL_ENGINE_ACTIVE] = "active",
	[AIACCEL_ENGINE_DRAINING] = "draining",
	[AIACCEL_ENGINE_FAULTED] = "faulted",
	[AIACCEL_ENGINE_LEAVING] = "leaving",
};

static const char *const orders[] = {
	[AIACCEL_ORDER_FAIR] = "fair",
	[AIACCEL_ORDER_STRICT] = "strict",
	[AIACCEL_ORDER_EDF] = "edf",
	[AIACCEL_ORDER_FIFO] = "fifo",
};

FILE(id, "%u", engine_of(dev)->id);
FILE(kind, "%s", kinds[engine_of(dev)->kind]);
FILE(enforcement, "%s", enforcements[engine_of(dev)->enforcement]);
FILE(alias, "%s", engine_of(dev)->alias);
FILE(provider, "%s", engine_of(dev)->provider);
FILE(numa_node, "%d", engine_of(dev)->numa_node);
FILE(slots, "%u", engine_of(dev)->sched.slots);
FILE(device_bytes, "%llu", engine_of(dev)->bytes.max);

/* ---- of an engine: what it does ---- */

struct load {
	u32 slots_used, waiting, queues;
	u64 granted, busy_ns;
};

static struct load load_of(struct device *dev)
{
	struct aia_engine *engine = engine_of(dev);
	struct load load;

	spin_lock(&aia_turn_lock);
	load = (struct load){
		.slots_used = engine->sched.slots_used,
		.waiting = engine->sched.waiting,
		.queues = engine->nr_queues,
		.granted = engine->sched.granted,
		.busy_ns = engine->sched.busy_ns,
	};
	spin_unlock(&aia_turn_lock);
	return load;
}

static const char *fault_of(struct aia_engine *engine)
{
	u32 faults;

	spin_lock(&aia_turn_lock);
	faults = engine->faults;
	spin_unlock(&aia_turn_lock);
	return faults & AIA_FAULT_PROVIDER ? "provider" : faults & AIA_FAULT_STOP ? "stop" : "none";
}

FILE(fault, "%s", fault_of(engine_of(dev)));
FILE(state, "%s", states[READ_ONCE(engine_of(dev)->sched.state)]);
FILE(order, "%s", orders[READ_ONCE(engine_of(dev)->sched.order)]);
FILE(slots_used, "%u", load_of(dev).slots_used);
FILE(jobs_waiting, "%u", load_of(dev).waiting);
FILE(queues, "%u", load_of(dev).queues);
FILE(granted, "%llu", load_of(dev).granted);
FILE(busy_ns, "%llu", load_of(dev).busy_ns);
FILE(reserved_bytes, "%llu", aia_engine_reserved_bytes(engine_of(dev)));

static struct attribute *engine_attrs[] = {
	&dev_attr_id.attr,
	&dev_attr_kind.attr,
	&dev_attr_enforcement.attr,
	&dev_attr_alias.attr,
	&dev_attr_provider.attr,
	&dev_attr_numa_node.attr,
	&dev_attr_slots.attr,
	&dev_attr_device_bytes.attr,
	&dev_attr_state.attr,
	&dev_attr_fault.attr,
	&dev_attr_order.attr,
	&dev_attr_slots_used.attr,
	&dev_attr_jobs_waiting.attr,
	&dev_attr_queues.attr,
	&dev_attr_granted.attr,
	&dev_attr_busy_ns.attr,
	&dev_attr_reserved_bytes.attr,
	NULL,
};
ATTRIBUTE_GROUPS(engine);

static struct class class = {
	.name = "aiaccel",
	.dev_groups = engine_groups,
};

int aia_sysfs_add_locked(struct aia_engine *engine)
{
	struct device *dev;

	lockdep_assert_held(&aia_config_lock);
	dev = device_create(&class, NULL, MKDEV(0, 0), engine, "%s", engine->name);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	engine->sysfs = dev;
	return 0;
}

void aia_sysfs_remove_locked(struct aia_engine *engine)
{
	lockdep_assert_held(&aia_config_lock);
	device_unregister(engine->sysfs);
}

/* ---- of the module ---- */

FILE(abi, "%u", AIACCEL_ABI);
FILE(engines, "%u", aia_engine_count());
FILE(contexts, "%llu", aia_tenant_total(AIA_CEILING_CONTEXTS));
FILE(jobs, "%llu", aia_tenant_total(AIA_CEILING_JOBS));
FILE(memory_bytes, "%llu", aia_tenant_total(AIA_CEILING_MEMORY));

static struct attribute *module_attrs[] = {
	&dev_attr_abi.attr,
	&dev_attr_engines.attr,
	&dev_attr_contexts.attr,
	&dev_attr_jobs.attr,
	&dev_attr_memory_bytes.attr,
	NULL,
};

static const struct attribute_group module_group = { .attrs = module_attrs };

/* ---- of the module, on each node ---- */

/* The directory of a node that the host has or may have. */
struct place {
	int node;
	char name[16];
	struct device_attribute allocated, pinned;
	struct attribute *attrs[3];
	struct attribute_group group;
};

static ssize_t allocated_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct place *place = container_of(attr, struct place, allocated);

	return sysfs_emit(buf, "%llu\n", aia_held_bytes(place->node, AIACCEL_BUFFER_ALLOCATED));
}

static ssize_t pinned_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct place *place = container_of(attr, struct place, pinned);

	return sysfs_emit(buf, "%llu\n", aia_held_bytes(place->node, AIACCEL_BUFFER_PINNED));
}

static void init_place(struct place *place, int node)
{
	place->node = node;
	snprintf(place->name, sizeof(place->name), "node%d", node);
	place->allocated = (struct device_attribute)__ATTR(allocated_bytes, 0444, allocated_show,
							   NULL);
	place->pinned = (struct device_attribute)__ATTR(pinned_bytes, 0444, pinned_show, NULL);
	sysfs_attr_init(&place->allocated.attr);
	sysfs_attr_init(&place->pinned.attr);
	place->attrs[0] = &place->allocated.attr;
	place->attrs[1] = &place->pinned.attr;
	place->group.name = place->name;
	place->group.attrs = place->attrs;
}

/* ---- loading ---- */

const struct attribute_group **aia_sysfs_groups;
static struct place *places;

static int make_groups(void)
{
	unsigned int nr = num_possible_nodes(), i = 0;
	int node;

	aia_sysfs_groups = kcalloc(nr + 2, sizeof(*aia_sysfs_groups), GFP_KERNEL);
	places = kcalloc(nr, sizeof(*places), GFP_KERNEL);
	if (!aia_sysfs_groups || !places)
		return -ENOMEM;
	for_each_node(node) {
		init_place(&places[i], node);
		aia_sysfs_groups[i] = &places[i].group;
		i++;
	}
	aia_sysfs_groups[i] = &module_group;
	return 0;
}

static void free_groups(void)
{
	kfree(places);
	kfree(aia_sysfs_groups);
}

int aia_sysfs_init(void)
{
	int err = make_groups();

	if (!err)
		err = class_register(&class);
	if (err)
		free_groups();
	return err;
}

void aia_sysfs_exit(void)
{
	class_unregister(&class);
	free_groups();
}
