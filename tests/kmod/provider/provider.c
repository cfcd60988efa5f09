// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module that registers engines as a vendor's driver would, for the tests: one of no device,
 * there from loading on and whenever its parameter `engine` is set, and one for each of QEMU's edu
 * devices that it is bound to. It refuses to load when a bad description is accepted. Where
 * test-engine is preemptible, what the tests run there runs nowhere: stopping it takes as long as
 * `stop_ms` says, and is counted.
 *
 * Locking: the parameters', which is one for all of them, and the device's around probe and
 * remove. stop() takes none: it writes what only it writes, for test-engine alone.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/numa.h>
#include <linux/pci.h>

#include "provider.h"

static const struct aia_engine_desc good = {
	.name = "test-engine",
	.provider = "aiaccel_provider",
	.kind = AIACCEL_ENGINE_OTHER,
	.enforcement = AIACCEL_GATED,
	.slots = 4,
	.numa_node = NUMA_NO_NODE,
	.device_bytes = 1 << 20,
};

/* ---- of no device ---- */

static struct aia_engine *engine; /* NULL: not registered */

static bool preemptible;
module_param(preemptible, bool, 0400);
MODULE_PARM_DESC(preemptible, "whether test-engine is preemptible");

static uint slots = 4;
module_param(slots, uint, 0400);
MODULE_PARM_DESC(slots, "of test-engine");

static uint stop_ms;
module_param(stop_ms, uint, 0600);
MODULE_PARM_DESC(stop_ms, "how long it takes to stop a turn");

static uint stops;
module_param(stops, uint, 0400);
MODULE_PARM_DESC(stops, "turns that were stopped");

static uint stopped_pid;
module_param(stopped_pid, uint, 0400);
MODULE_PARM_DESC(stopped_pid, "whose turn that was last");

static void stop(void *data, const struct aia_engine_turn *turn)
{
	uint ms = READ_ONCE(stop_ms);

	WARN_ON(data != &engine || !turn->context || !turn->generation);
	if (ms)
		msleep(ms);
	WRITE_ONCE(stopped_pid, turn->pid);
	WRITE_ONCE(stops, stops + 1);
}

static int add_engine(void)
{
	struct aia_engine_desc desc = good;
	struct aia_engine *added;

	if (engine)
		return 0;
	if (preemptible) {
		desc.enforcement = AIACCEL_PREEMPTIBLE;
		desc.stop = stop;
		desc.data = &engine;
	}
	desc.slots = slots;
	added = aia_engine_register(&desc);
	if (IS_ERR(added))
		return PTR_ERR(added);
	engine = added;
	return 0;
}

static void remove_engine(void)
{
	if (engine)
		aia_engine_unregister(engine);
	engine = NULL;
}

static int set_engine(const char *value, const struct kernel_param *param)
{
	bool wanted;
	int err = kstrtobool(value, &wanted);

	if (err)
		return err;
	if (wanted)
		return add_engine();
	remove_engine();
	return 0;
}

static const struct kernel_param_ops engine_ops = { .set = set_engine };
module_param_cb(engine, &engine_ops, NULL, 0200);
MODULE_PARM_DESC(engine, "whether test-engine is registered");

static int set_fault(const char *value, const struct kernel_param *param)
{
	bool wanted;
	int err = kstrtobool(value, &wanted);

	if (err || !engine)
		return err ?: -ENODEV;
	if (!wanted)
		return aia_engine_recover(engine);
	aia_engine_fault(engine);
	return 0;
}

static const struct kernel_param_ops fault_ops = { .set = set_fault };
module_param_cb(fault, &fault_ops, NULL, 0200);
MODULE_PARM_DESC(fault, "whether test-engine is broken");

/* ---- of a device ---- */

static int edu_probe(struct pci_dev *dev, const struct pci_device_id *id)
{
	struct aia_engine_desc desc = good;
	struct aia_engine *added;

	desc.name = pci_name(dev);
	desc.numa_node = dev_to_node(&dev->dev);
	added = aia_engine_register(&desc);
	if (IS_ERR(added))
		return PTR_ERR(added);
	pci_set_drvdata(dev, added);
	return 0;
}

static void edu_remove(struct pci_dev *dev)
{
	aia_engine_unregister(pci_get_drvdata(dev));
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};

static struct pci_driver edu_driver = {
	.name = "aiaccel_provider",
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
};

/* ---- loading ---- */

static bool refused(struct aia_engine_desc desc, int err)
{
	struct aia_engine *other = aia_engine_register(&desc);

	if (IS_ERR(other))
		return PTR_ERR(other) == err;
	aia_engine_unregister(other);
	return false;
}

static bool refuses_bad_ones(void)
{
	struct aia_engine_desc desc = good;
	bool ok = refused(desc, -EEXIST);

	desc.name = "with space";
	ok = refused(desc, -EINVAL) && ok;
	desc.name = "";
	ok = refused(desc, -EINVAL) && ok;
	desc.name = "other";
	desc.slots = 0;
	ok = refused(desc, -EINVAL) && ok;
	desc.slots = 1 << 20;
	ok = refused(desc, -EINVAL) && ok;
	desc.slots = 1;
	desc.kind = 99;
	ok = refused(desc, -EINVAL) && ok;
	desc.kind = AIACCEL_ENGINE_CPU;
	desc.enforcement = AIACCEL_PREEMPTIBLE;
	desc.stop = stop;
	ok = refused(desc, -EINVAL) && ok;
	desc.kind = AIACCEL_ENGINE_OTHER;
	desc.stop_ns = (AIA_STOP_MS + 1) * NSEC_PER_MSEC;
	ok = refused(desc, -EINVAL) && ok;
	desc.stop_ns = 1;
	desc.stop = NULL;
	ok = refused(desc, -EINVAL) && ok;
	desc.enforcement = AIACCEL_GATED;
	ok = refused(desc, -EINVAL) && ok;
	desc.stop_ns = 0;
	desc.stop = stop;
	return refused(desc, -EINVAL) && ok;
}

static int __init provider_init(void)
{
	int err = add_engine();

	if (err)
		return err;
	err = refuses_bad_ones() ? pci_register_driver(&edu_driver) : -EINVAL;
	if (err)
		remove_engine();
	return err;
}

static void __exit provider_exit(void)
{
	pci_unregister_driver(&edu_driver);
	remove_engine();
}

module_init(provider_init);
module_exit(provider_exit);
MODULE_DESCRIPTION("Engines of another module, for tests");
MODULE_LICENSE("GPL");
