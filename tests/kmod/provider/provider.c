// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module that registers one engine while it is loaded, as a vendor's driver would, for
 * tests/kmod/provider.cpp. It refuses to load when a bad description is accepted.
 */
#include <linux/err.h>
#include <linux/module.h>
#include <linux/numa.h>

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

static struct aia_engine *engine;

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
	engine = aia_engine_register(&good);
	if (IS_ERR(engine))
		return PTR_ERR(engine);
	if (refuses_bad_ones())
		return 0;
	aia_engine_unregister(engine);
	return -EINVAL;
}

static void __exit provider_exit(void)
{
	aia_engine_unregister(engine);
}

module_init(provider_init);
module_exit(provider_exit);
MODULE_DESCRIPTION("An engine of another module, for tests");
MODULE_LICENSE("GPL");
