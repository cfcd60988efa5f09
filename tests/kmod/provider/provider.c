// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module that registers engines as a vendor's driver would, for the tests: one of no device, there
 * from loading on and whenever its parameter `engine` is set, and one for each of QEMU's edu devices
 * that it is bound to. It refuses to load when a bad description is accepted.
 *
 * Locking: the parameter's, and the device's around probe and remove.
 */
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
MODULE_PARM_DESC(preemptible, "whether test-engine is preemptible, with one slot");

static int add_engine(void)
{
	struct aia_engine_desc desc = good;
	struct aia_engine *added;

	if (engine)
		return 0;
	if (preemptible) {
		desc.enforcement = AIACCEL_PREEMPTIBLE;
		desc.slots = 1;
	}
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
