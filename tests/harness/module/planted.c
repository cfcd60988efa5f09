// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults in the kernel for the test runner to catch: writing the name of one to the module's
 * parameter `fault` makes it happen, in the context of the writer. Nothing here is ever put right.
 */
#include <linux/bug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>

static int planted_warn(void)
{
	WARN(1, "planted");
	return 0;
}

/* A page of the writer's stack stays pinned. */
static int planted_pin(void)
{
	struct page *page;
	int got = pin_user_pages_fast(current->mm->start_stack & PAGE_MASK, 1, 0, &page);

	return got == 1 ? 0 : -EFAULT;
}

/* For kmemleak: nobody knows where it is. */
static int planted_leak(void)
{
	return kmalloc(64, GFP_KERNEL) ? 0 : -ENOMEM;
}

/* No processor that comes here does anything else again. */
static int planted_stuck(void)
{
	static bool enough;

	preempt_disable();
	while (!READ_ONCE(enough))
		cpu_relax();
	preempt_enable();
	return 0;
}

static const struct {
	const char *name;
	int (*happen)(void);
} faults[] = {
	{ "warn", planted_warn },
	{ "pin", planted_pin },
	{ "leak", planted_leak },
	{ "stuck", planted_stuck },
};

static int fault_set(const char *name, const struct kernel_param *param)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(faults); i++)
		if (sysfs_streq(name, faults[i].name))
			return faults[i].happen();
	return -EINVAL;
}

static const struct kernel_param_ops fault_ops = { .set = fault_set };
module_param_cb(fault, &fault_ops, NULL, 0200);
MODULE_PARM_DESC(fault, "the fault that is to happen now");

MODULE_DESCRIPTION("Planted faults for the test runner of aiaccel");
MODULE_LICENSE("GPL");
