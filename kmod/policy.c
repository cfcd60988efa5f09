// SPDX-License-Identifier: GPL-2.0-only
/*
 * POLICY: the administrator's rules, and what tenants have of them. kmod/core/rule.h says what
 * comes of rules; here they are kept, and carried to tenants, their nodes and their queues.
 *
 * A tenant's settings are found when it is made, and again for all tenants when the rules are
 * replaced, parents first. Nothing is remembered when the module goes.
 *
 * Locking: rules, settings and the buffer for paths under aia_config_lock. A set of rules is constant and
 * counted, so that it is read by users outside of the lock. What holds for the scheduler is
 * changed under aia_turn_lock, one node or one queue in a hold: others come between, and may
 * get turns by the old rules until their own is reached.
 */
#include <linux/capability.h>
#include <linux/cgroup.h>
#include <linux/ktime.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "aia.h"

struct policy {
	refcount_t users;
	u32 count;
	struct aiaccel_policy_rule rules[];
};

static struct policy *current_policy;	/* aia_config_lock; NULL: no rules */
/* Any tenant's path: no deeper cgroup is one. */
static char path_buffer[AIA_MAX_DEPTH * (NAME_MAX + 1) + 1]; /* aia_config_lock */

static void policy_put(struct policy *policy)
{
	if (policy && refcount_dec_and_test(&policy->users))
		kvfree(policy);
}

void aia_policy_exit(void)
{
	policy_put(current_policy);
}

/* ---- what a tenant gets ---- */

static struct aia_settings find_settings_locked(const struct aia_tenant *tenant)
{
	struct aia_settings settings = aia_settings_none;
	const char *path = NULL;
	u32 i;

	if (current_policy && tenant->cgroup) {
		cgroup_path(tenant->cgroup, path_buffer, sizeof(path_buffer));
		path = path_buffer;
	}
	for (i = 0; current_policy && i < current_policy->count; i++) {
		aia_rule_apply(&current_policy->rules[i], path, tenant->source_id, &settings);
		cond_resched();
	}
	aia_settings_below(&settings, &tenant->parent->settings);
	return settings;
}

void aia_policy_settle_locked(struct aia_tenant *tenant)
{
	struct aia_node *node;

	lockdep_assert_held(&aia_config_lock);
	tenant->settings = tenant->parent ? find_settings_locked(tenant) : aia_settings_none;
	aia_tenant_set_memory_locked(tenant);
	aia_tenant_set_device_bytes_locked(tenant, tenant->settings.device_bytes);
	list_for_each_entry(node, &tenant->nodes, of_tenant)
		aia_node_settle_locked(node);
}

u32 aia_policy_class_locked(const struct aia_tenant *tenant)
{
	lockdep_assert_held(&aia_config_lock);
	return aia_settings_class(&tenant->settings, aia_tenant_class);
}

struct aia_settings aia_policy_settings(const struct aia_tenant *tenant)
{
	struct aia_settings settings;

	mutex_lock(&aia_config_lock);
	settings = tenant->settings;
	settings.max_class = aia_policy_class_locked(tenant);
	mutex_unlock(&aia_config_lock);
	return settings;
}

/* The first queue from *number on, which is moved past it; false when there is none. */
static bool settle_next_queue_locked(unsigned long *number)
{
	struct aia_news news = {};
	struct aia_queue *queue;

	lockdep_assert_held(&aia_config_lock);
	spin_lock(&aia_turn_lock);
	queue = xa_find(&aia_queues, number, U32_MAX, XA_PRESENT);
	if (queue && aia_queue_settle_locked(queue))
		aia_turn_dispatch_locked(queue->engine, ktime_get_ns(), &news);
	aia_turn_unlock(&news);
	++*number;
	return queue;
}

static void settle_all_locked(void)
{
	struct aia_tenant *tenant;
	unsigned long number = 0;
	u64 id = 0;

	/* Ids ascend, so parents come first. */
	while ((tenant = aia_tenant_next_locked(&id)))
		aia_policy_settle_locked(tenant);
	while (settle_next_queue_locked(&number))
		cond_resched();
	aia_node_prune_owing_locked();
}

/* ---- the call ---- */

static int check_rules(const struct policy *policy)
{
	u32 i;
	int err;

	for (i = 0; i < policy->count; i++) {
		err = aia_check_policy_rule(&policy->rules[i]);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/* NULL for no rules. */
static struct policy *read_rules(const struct aiaccel_policy *arg)
{
	struct policy *policy;
	int err;

	if (!arg->count)
		return NULL;
	policy = kvmalloc(struct_size(policy, rules, arg->count), GFP_KERNEL_ACCOUNT);
	if (!policy)
		return ERR_PTR(-ENOMEM);
	refcount_set(&policy->users, 1);
	policy->count = arg->count;
	err = -EFAULT;
	if (!copy_from_user(policy->rules, u64_to_user_ptr(arg->rules),
			    array_size(arg->count, sizeof(*policy->rules))))
		err = check_rules(policy);
	if (!err)
		return policy;
	kvfree(policy);
	return ERR_PTR(err);
}

static int replace(struct aia_call *call)
{
	struct policy *policy, *old;
	int err;

	policy = read_rules(call->arg);
	if (IS_ERR(policy))
		return PTR_ERR(policy);
	err = aia_reply(call);
	if (err) {
		policy_put(policy);
		return err;
	}
	mutex_lock(&aia_config_lock);
	old = current_policy;
	current_policy = policy;
	settle_all_locked();
	mutex_unlock(&aia_config_lock);
	policy_put(old);
	return 0;
}

static int show(struct aia_call *call)
{
	struct aiaccel_policy *arg = call->arg;
	struct policy *policy;
	u32 fit = arg->count;
	int err = 0;

	mutex_lock(&aia_config_lock);
	policy = current_policy;
	if (policy)
		refcount_inc(&policy->users);
	mutex_unlock(&aia_config_lock);
	arg->count = policy ? policy->count : 0;
	fit = min(fit, arg->count);
	if (fit && copy_to_user(u64_to_user_ptr(arg->rules), policy->rules,
				array_size(fit, sizeof(*policy->rules))))
		err = -EFAULT;
	policy_put(policy);
	return err ?: aia_reply(call);
}

int aia_policy(struct aia_call *call)
{
	const struct aiaccel_policy *arg = call->arg;
	int err;

	err = aia_check_policy(arg);
	if (err)
		return err;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	return arg->flags & AIACCEL_POLICY_REPLACE ? replace(call) : show(call);
}
