// SPDX-License-Identifier: GPL-2.0-only
/*
 * POLICY: the administrator's rules, and what tenants have of them. kmod/core/rule.h says what
 * comes of rules; here they are kept, and carried to tenants, their nodes and their queues.
 *
 * A tenant's settings are found at the first call that is about them, not when it is made: open()
 * makes it, and waits for nothing long. They are found again for all tenants when the rules are
 * replaced, parents first. Nothing is remembered when the module goes.
 *
 * Locking: the rules and the buffer for paths under settle_lock, outside aia_config_lock, for one
 * tenant at a time; open() does without. A set of rules is constant and counted, so that it is
 * read by users outside of the lock. What holds for the scheduler is changed under aia_turn_lock,
 * one node or one queue in a hold: others come between, and may get turns by the old rules until
 * their own is reached. When all are, REPLACE dispatches each engine; nobody is woken before.
 */
#include <linux/capability.h>
#include <linux/cgroup.h>
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

static DEFINE_MUTEX(settle_lock);
static struct policy *current_policy;	/* settle_lock; NULL: no rules */
static unsigned long generation;	/* settle_lock for writing: how often they were replaced */
/* Any tenant's path: no deeper cgroup is one. */
static char path_buffer[AIA_MAX_DEPTH * (NAME_MAX + 1) + 1]; /* settle_lock */

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

/* Empty where it cannot be told whole. */
static const char *path_locked(struct cgroup *cgroup)
{
	int length = cgroup_path(cgroup, path_buffer, sizeof(path_buffer));

	if (length < 0 || length >= sizeof(path_buffer))
		path_buffer[0] = '\0';
	return path_buffer;
}

static struct aia_settings find_settings_locked(const struct aia_tenant *tenant)
{
	struct aia_settings settings = aia_settings_none;
	const char *path = NULL;
	u32 i;

	lockdep_assert_held(&settle_lock);
	if (!tenant->parent)
		return settings;
	if (current_policy && tenant->cgroup)
		path = path_locked(tenant->cgroup);
	for (i = 0; current_policy && i < current_policy->count; i++) {
		aia_rule_apply(&current_policy->rules[i], path, tenant->source_id, &settings);
		cond_resched();
	}
	aia_settings_below(&settings, &tenant->parent->settings);
	return settings;
}

/* The rules are matched before aia_config_lock is taken. Those above are settled. */
static void settle_locked(struct aia_tenant *tenant)
{
	struct aia_settings settings;
	struct aia_node *node;

	lockdep_assert_held(&settle_lock);
	if (tenant->settled == generation)
		return;
	settings = find_settings_locked(tenant);
	mutex_lock(&aia_config_lock);
	spin_lock(&aia_turn_lock);
	tenant->settings = settings;
	spin_unlock(&aia_turn_lock);
	aia_tenant_set_memory_locked(tenant);
	aia_tenant_set_device_bytes_locked(tenant);
	list_for_each_entry(node, &tenant->nodes, of_tenant)
		aia_node_settle_locked(node);
	mutex_unlock(&aia_config_lock);
	WRITE_ONCE(tenant->settled, generation);
}

/* Then those above it are, too. */
static bool is_settled(const struct aia_tenant *tenant)
{
	return READ_ONCE(tenant->settled) == READ_ONCE(generation);
}

/*
 * Settles one, the uppermost that is not. Where the rules were replaced since the last hold that is
 * the root again: as often as the administrator does so.
 */
static void settle_step_locked(struct aia_tenant *tenant)
{
	struct aia_tenant *uppermost = tenant;

	lockdep_assert_held(&settle_lock);
	for (; tenant; tenant = tenant->parent)
		if (!is_settled(tenant))
			uppermost = tenant;
	settle_locked(uppermost);
}

int aia_policy_settle(struct aia_tenant *tenant)
{
	while (!is_settled(tenant)) {
		if (mutex_lock_killable(&settle_lock))
			return -EINTR;
		settle_step_locked(tenant);
		mutex_unlock(&settle_lock);
	}
	return 0;
}

u32 aia_policy_class_locked(const struct aia_tenant *tenant)
{
	lockdep_assert_held(&aia_turn_lock);
	return aia_settings_class(&tenant->settings, aia_tenant_class);
}

struct aia_settings aia_policy_settings(const struct aia_tenant *tenant)
{
	struct aia_settings settings;

	mutex_lock(&aia_config_lock);
	settings = tenant->settings;
	settings.max_class = aia_settings_class(&settings, aia_tenant_class);
	mutex_unlock(&aia_config_lock);
	return settings;
}

static void settle_tenants(void)
{
	struct aia_tenant *tenant;
	u64 id = 0;

	while ((tenant = aia_tenant_next(&id))) {
		while (!is_settled(tenant)) {
			mutex_lock(&settle_lock);
			settle_step_locked(tenant);
			mutex_unlock(&settle_lock);
		}
		aia_tenant_put(tenant);
	}
}

/* After all tenants: a queue that joins meanwhile has the class that it gets here. */
static void settle_queues(void)
{
	struct aia_queue *queue;
	unsigned long number = 0;

	do {
		spin_lock(&aia_turn_lock);
		queue = aia_queue_next_locked(&number);
		if (queue)
			aia_queue_settle_locked(queue);
		spin_unlock(&aia_turn_lock);
		cond_resched();
	} while (queue);
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
	mutex_lock(&settle_lock);
	old = current_policy;
	current_policy = policy;
	WRITE_ONCE(generation, generation + 1);
	mutex_unlock(&settle_lock);
	policy_put(old);
	settle_tenants();
	settle_queues();
	aia_engine_dispatch_all();
	aia_node_prune_owing();
	return 0;
}

static int show(struct aia_call *call)
{
	struct aiaccel_policy *arg = call->arg;
	struct policy *policy;
	u32 fit = arg->count;
	int err = 0;

	mutex_lock(&settle_lock);
	policy = current_policy;
	if (policy)
		refcount_inc(&policy->users);
	mutex_unlock(&settle_lock);
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
