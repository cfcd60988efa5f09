// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading. The module is held by open files and mapped buffers (their
 * file_operations' owner), so that unloading finds no context, queue or buffer left, and
 * tenants only where they owe engine time: those go with the engines. Else it undoes what loading
 * did, in the reverse order.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "aia.h"

/* What they guard: aia.h and docs/locking.md. */
DEFINE_MUTEX(aia_config_lock);
DEFINE_SPINLOCK(aia_turn_lock);

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "aiaccel",
	.mode = 0660,
	.fops = &aia_context_fops,
};

static int __init aia_init(void)
{
	int err;

	err = aia_turn_init();
	if (err)
		return err;
	err = aia_tenant_init();
	if (err)
		goto err_turn;
	err = aia_sysfs_init();
	if (err)
		goto err_tenant;
	err = aia_engine_init();
	if (err)
		goto err_sysfs;
	err = aia_cache_init();
	if (err)
		goto err_engine;
	device.groups = aia_sysfs_groups;
	err = misc_register(&device);
	if (err)
		goto err_cache;
	return 0;

err_cache:
	aia_cache_exit();
err_engine:
	aia_engine_exit();
err_sysfs:
	aia_sysfs_exit();
err_tenant:
	aia_tenant_exit();
err_turn:
	aia_turn_exit();
	return err;
}

static void __exit aia_exit(void)
{
	misc_deregister(&device);
	aia_cache_exit();
	aia_engine_exit();
	aia_sysfs_exit();
	aia_node_exit();
	aia_tenant_exit();
	aia_policy_exit();
	aia_turn_exit();
}

module_init(aia_init);
module_exit(aia_exit);
MODULE_DESCRIPTION("One arbiter of accelerators, their memory and their turns");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
