// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tenants: who pays. A tree whose root stands for all, so that the root's ceilings are the
 * module's. Below it lie cgroups of the version 2 hierarchy, or users; see pick_source(). Below a
 * user lies what runs in user namespaces that the user owns.
 *
 * A tenant lives while a context, a buffer or a tenant below refers to it, and pins its
 * cgroup so that the cgroup's number cannot be given to another one.
 *
 * Ceilings: where no rule says otherwise (policy.c), a tenant below the root gets what the settings
 * tenant_* say, every further level
 * three quarters of its parent's. So one tenant leaves its siblings a quarter of what their
 * parent has; two may take it all. A charge counts against a tenant and all above it.
 *
 * Locking: a tenant is found, made and freed under aia_config_lock. It is counted without:
 * only the last user takes the lock, to let go of it. Ceilings and bytes are under
 * aia_limit_lock, what a struct says to be constant under none.
 */
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/nsproxy.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "aia.h"

/* ---- settings ---- */

static char *tenants = "cgroup";
module_param(tenants, charp, 0444);
MODULE_PARM_DESC(tenants, "who pays: cgroup (users in the root cgroup), or user");

static unsigned long memory_mib, tenant_memory_mib;
module_param(memory_mib, ulong, 0444);
MODULE_PARM_DESC(memory_mib, "MiB allocated and pinned by all (0: half of the memory)");
module_param(tenant_memory_mib, ulong, 0444);
MODULE_PARM_DESC(tenant_memory_mib, "MiB allocated and pinned by a tenant (0: a quarter)");

static unsigned int contexts = 16384, tenant_contexts = 4096;
module_param(contexts, uint, 0444);
MODULE_PARM_DESC(contexts, "open contexts of all");
module_param(tenant_contexts, uint, 0444);
MODULE_PARM_DESC(tenant_contexts, "open contexts of a tenant");

static unsigned int queues = 65536, tenant_queues = 16384;
module_param(queues, uint, 0444);
MODULE_PARM_DESC(queues, "queues of all");
module_param(tenant_queues, uint, 0444);
MODULE_PARM_DESC(tenant_queues, "queues of a tenant");

static unsigned int jobs = 262144, tenant_jobs = 65536;
module_param(jobs, uint, 0444);
MODULE_PARM_DESC(jobs, "jobs, waiting and granted, of all");
module_param(tenant_jobs, uint, 0444);
MODULE_PARM_DESC(tenant_jobs, "jobs, waiting and granted, of a tenant");

unsigned int aia_tenant_class = AIACCEL_CLASS_HIGH;
module_param_named(tenant_class, aia_tenant_class, uint, 0444);
MODULE_PARM_DESC(tenant_class, "highest class without CAP_SYS_NICE, 0 (idle) to 3 (high)");

static bool by_cgroup;
static u64 module_max[AIA_NR_CEILINGS], tenant_max[AIA_NR_CEILINGS];

/* ---- state ---- */

DEFINE_SPINLOCK(aia_limit_lock);
static DEFINE_HASHTABLE(by_source, 8);	  /* aia_config_lock */
static DEFINE_XARRAY_ALLOC1(by_id);	  /* aia_config_lock */
static u64 last_id;			  /* aia_config_lock */
static struct aia_tenant root;

/* Which tenant a context opened now belongs to. */
struct source {
	u32 kind;
	u32 uid;		/* USERNS, USER */
	struct cgroup *cgroup;	/* CGROUP, never the root one; referenced */
};

static struct cgroup *current_cgroup_get(void)
{
	struct cgroup *cgroup;

	rcu_read_lock();
	do {
		cgroup = task_dfl_cgroup(current);
	} while (!cgroup_tryget(cgroup));
	rcu_read_unlock();
	return cgroup;
}

static struct source pick_source(void)
{
	struct source source = {};
	struct user_namespace *ns;

	if (by_cgroup) {
		source.kind = AIACCEL_TENANT_CGROUP;
		source.cgroup = current_cgroup_get();
		if (source.cgroup->level)
			return source;
		/* The root cgroup bounds nothing, and its processes are nobody's group. */
		cgroup_put(source.cgroup);
		source.cgroup = NULL;
	}
	ns = current_user_ns();
	while (ns->parent && ns->parent != &init_user_ns)
		ns = ns->parent;
	/* Nested namespaces and the uids inside them are the outermost one's owner's. */
	source.kind = ns->parent ? AIACCEL_TENANT_USERNS : AIACCEL_TENANT_USER;
	source.uid = from_kuid_munged(&init_user_ns, ns->parent ? ns->owner : current_uid());
	return source;
}

/* ---- the tree ---- */

static struct aia_tenant *find_locked(u32 kind, u64 source_id)
{
	struct aia_tenant *tenant;

	lockdep_assert_held(&aia_config_lock);
	hash_for_each_possible(by_source, tenant, of_hash, source_id)
		if (tenant->kind == kind && tenant->source_id == source_id)
			return tenant;
	return NULL;
}

static u64 ceiling_below(const struct aia_tenant *parent, enum aia_ceiling ceiling)
{
	if (!parent)
		return module_max[ceiling];
	if (parent == &root)
		return tenant_max[ceiling];
	return parent->limits[ceiling].max - parent->limits[ceiling].max / 4;
}

static void init_tenant(struct aia_tenant *tenant, struct aia_tenant *parent, u32 kind)
{
	int i;

	refcount_set(&tenant->users, 1);
	tenant->parent = parent;
	tenant->id = last_id + 1;
	tenant->kind = kind;
	tenant->settings = aia_settings_none;
	INIT_LIST_HEAD(&tenant->nodes);
	INIT_LIST_HEAD(&tenant->open);
	for (i = 0; i < AIA_NR_CEILINGS; i++)
		aia_limit_init(&tenant->limits[i], parent ? &parent->limits[i] : NULL,
			       ceiling_below(parent, i));
}

/* Counted for the caller. */
static struct aia_tenant *create_locked(struct aia_tenant *parent, u32 kind, u64 source_id,
					struct cgroup *cgroup)
{
	struct aia_tenant *tenant = kzalloc(sizeof(*tenant), GFP_KERNEL);

	lockdep_assert_held(&aia_config_lock);
	if (!tenant)
		return NULL;
	init_tenant(tenant, parent, kind);
	tenant->source_id = source_id;
	if (xa_insert(&by_id, tenant->id, tenant, GFP_KERNEL)) {
		kfree(tenant);
		return NULL;
	}
	last_id++;
	if (cgroup) {
		cgroup_get(cgroup);
		tenant->cgroup = cgroup;
	}
	hash_add(by_source, &tenant->of_hash, source_id);
	refcount_inc(&parent->users);
	return tenant;
}

/* Frees one that nobody uses, and those above it that then nobody uses. */
static void free_locked(struct aia_tenant *tenant)
{
	struct aia_tenant *parent;

	lockdep_assert_held(&aia_config_lock);
	do {
		parent = tenant->parent; /* the root is never freed: it began with a user */
		xa_erase(&by_id, tenant->id);
		hash_del(&tenant->of_hash);
		if (tenant->cgroup)
			cgroup_put(tenant->cgroup);
		kfree(tenant);
		tenant = parent;
	} while (refcount_dec_and_test(&tenant->users));
}

void aia_tenant_put_locked(struct aia_tenant *tenant)
{
	if (refcount_dec_and_test(&tenant->users))
		free_locked(tenant);
}

/* Finds or makes the tenant below @parent; consumes the caller's hold on @parent. */
static struct aia_tenant *step_locked(struct aia_tenant *parent, u32 kind, u64 source_id,
				      struct cgroup *cgroup)
{
	struct aia_tenant *tenant = find_locked(kind, source_id);

	if (tenant)
		refcount_inc(&tenant->users);
	else
		tenant = create_locked(parent, kind, source_id, cgroup);
	aia_tenant_put_locked(parent);
	return tenant;
}

static struct aia_tenant *get_for_locked(const struct source *source)
{
	struct aia_tenant *tenant = &root;
	int level;

	refcount_inc(&root.users);
	if (!source->cgroup) {
		tenant = step_locked(tenant, AIACCEL_TENANT_USER, source->uid, NULL);
		/* Below its owner, who would have everything twice otherwise. */
		if (tenant && source->kind == AIACCEL_TENANT_USERNS)
			tenant = step_locked(tenant, source->kind, source->uid, NULL);
		return tenant;
	}
	/* Deeper cgroups pay at their ancestor. */
	for (level = 1; tenant && level <= min(source->cgroup->level, AIA_MAX_DEPTH); level++) {
		struct cgroup *cgroup = cgroup_ancestor(source->cgroup, level);

		tenant = step_locked(tenant, source->kind, cgroup_id(cgroup), cgroup);
	}
	return tenant;
}

struct aia_tenant *aia_tenant_open(void)
{
	struct source source = pick_source();
	struct aia_tenant *tenant;
	u32 refused_by;
	int err = -ENOMEM;

	mutex_lock(&aia_config_lock);
	tenant = get_for_locked(&source);
	if (tenant)
		err = aia_tenant_charge(tenant, AIA_CEILING_CONTEXTS, 1, &refused_by);
	if (!err)
		tenant->contexts++;
	else if (tenant)
		aia_tenant_put_locked(tenant);
	mutex_unlock(&aia_config_lock);
	if (source.cgroup)
		cgroup_put(source.cgroup);
	return err ? ERR_PTR(err) : tenant;
}

void aia_tenant_close(struct aia_tenant *tenant)
{
	aia_tenant_uncharge(tenant, AIA_CEILING_CONTEXTS, 1);
	mutex_lock(&aia_config_lock);
	tenant->contexts--;
	aia_tenant_put_locked(tenant);
	mutex_unlock(&aia_config_lock);
}

struct aia_tenant *aia_tenant_get(struct aia_tenant *tenant)
{
	refcount_inc(&tenant->users);
	return tenant;
}

void aia_tenant_put(struct aia_tenant *tenant)
{
	if (!refcount_dec_and_mutex_lock(&tenant->users, &aia_config_lock))
		return;
	free_locked(tenant);
	mutex_unlock(&aia_config_lock);
}

struct aia_tenant *aia_tenant_next_locked(u64 *id)
{
	unsigned long index = *id;
	struct aia_tenant *tenant;

	lockdep_assert_held(&aia_config_lock);
	tenant = xa_find(&by_id, &index, ULONG_MAX, XA_PRESENT);
	*id = index + 1;
	return tenant;
}

struct aia_tenant *aia_tenant_next(u64 *id)
{
	struct aia_tenant *tenant;

	mutex_lock(&aia_config_lock);
	tenant = aia_tenant_next_locked(id);
	if (tenant)
		refcount_inc(&tenant->users);
	mutex_unlock(&aia_config_lock);
	return tenant;
}

/* ---- ceilings ---- */

int aia_tenant_charge(struct aia_tenant *tenant, enum aia_ceiling ceiling, u64 amount,
		      u32 *refused_by)
{
	struct aia_limit *refused;

	spin_lock(&aia_limit_lock);
	refused = aia_limit_charge(&tenant->limits[ceiling], amount);
	spin_unlock(&aia_limit_lock);
	if (!refused)
		return 0;
	*refused_by = refused == &root.limits[ceiling] ? AIACCEL_REFUSED_MODULE :
							 AIACCEL_REFUSED_TENANT;
	return -EDQUOT;
}

void aia_tenant_uncharge(struct aia_tenant *tenant, enum aia_ceiling ceiling, u64 amount)
{
	spin_lock(&aia_limit_lock);
	aia_limit_uncharge(&tenant->limits[ceiling], amount);
	spin_unlock(&aia_limit_lock);
}

static void add_bytes(struct aia_tenant *tenant, u32 buffer_kind, u64 bytes)
{
	spin_lock(&aia_limit_lock);
	for (; tenant; tenant = tenant->parent)
		tenant->bytes[buffer_kind - 1] += bytes;
	spin_unlock(&aia_limit_lock);
}

int aia_tenant_charge_bytes(struct aia_tenant *tenant, u32 buffer_kind, u64 bytes, u32 *refused_by)
{
	int err = aia_tenant_charge(tenant, AIA_CEILING_MEMORY, bytes, refused_by);

	if (!err)
		add_bytes(tenant, buffer_kind, bytes);
	return err;
}

void aia_tenant_uncharge_bytes(struct aia_tenant *tenant, u32 buffer_kind, u64 bytes)
{
	add_bytes(tenant, buffer_kind, -bytes);
	aia_tenant_uncharge(tenant, AIA_CEILING_MEMORY, bytes);
}

void aia_tenant_room(struct aia_tenant *tenant, enum aia_ceiling ceiling, u64 *tenants, u64 *module)
{
	const struct aia_limit *limit, *module_limit = &root.limits[ceiling];

	*tenants = U64_MAX;
	spin_lock(&aia_limit_lock);
	for (limit = &tenant->limits[ceiling]; limit != module_limit; limit = limit->parent)
		*tenants = min(*tenants, aia_limit_left(limit));
	*module = aia_limit_left(module_limit);
	spin_unlock(&aia_limit_lock);
}

void aia_tenant_bytes(struct aia_tenant *tenant, u64 *max, u64 *used)
{
	spin_lock(&aia_limit_lock);
	*max = tenant->limits[AIA_CEILING_MEMORY].max;
	*used = tenant->limits[AIA_CEILING_MEMORY].used;
	spin_unlock(&aia_limit_lock);
}

u64 aia_tenant_total(enum aia_ceiling ceiling)
{
	u64 total;

	spin_lock(&aia_limit_lock);
	total = root.limits[ceiling].used;
	spin_unlock(&aia_limit_lock);
	return total;
}

void aia_tenant_set_memory_locked(struct aia_tenant *tenant)
{
	const struct aia_settings *settings = &tenant->settings;
	u64 max = settings->pinned_bytes;

	lockdep_assert_held(&aia_config_lock);
	if (!(settings->sets & AIACCEL_SETS_PINNED_BYTES))
		max = ceiling_below(tenant->parent, AIA_CEILING_MEMORY);
	spin_lock(&aia_limit_lock);
	tenant->limits[AIA_CEILING_MEMORY].max = max;
	spin_unlock(&aia_limit_lock);
}

void aia_tenant_set_device_bytes_locked(struct aia_tenant *tenant)
{
	struct aia_node *node;

	lockdep_assert_held(&aia_config_lock);
	list_for_each_entry(node, &tenant->nodes, of_tenant) {
		spin_lock(&aia_limit_lock);
		node->bytes.max = tenant->settings.device_bytes;
		spin_unlock(&aia_limit_lock);
	}
}

/* ---- what STATS tells ---- */

/* The path as the caller's cgroup namespace sees it, its end where it is too long. */
static void name_of(struct cgroup *cgroup, char *name, char *path)
{
	int length = cgroup_path_ns(cgroup, path, AIA_PATH_BYTES, current->nsproxy->cgroup_ns);

	if (length < 0)
		strscpy(path, "?", AIA_PATH_BYTES);
	length = strlen(path);
	strscpy(name, path + max(0, length - (AIACCEL_PATH_LEN - 1)), AIACCEL_PATH_LEN);
}

static void add_node_locked(struct aia_node *node, struct aiaccel_stats_tenant *out)
{
	u64 reserved;

	lockdep_assert_held(&aia_turn_lock);
	out->granted += node->sched.granted;
	out->busy_ns += node->sched.busy_ns;
	aia_histogram_sum(&out->wait, &node->sched.wait);
	aia_histogram_sum(&out->run, &node->sched.run);
	spin_lock(&aia_limit_lock);
	reserved = node->bytes.used;
	spin_unlock(&aia_limit_lock);
	if (check_add_overflow(out->reserved_bytes, reserved, &out->reserved_bytes))
		out->reserved_bytes = U64_MAX;
}

void aia_tenant_describe_locked(struct aia_tenant *tenant, struct aiaccel_stats_tenant *out,
				char *path)
{
	const struct aia_settings *settings = &tenant->settings;

	lockdep_assert_held(&aia_config_lock);
	*out = (struct aiaccel_stats_tenant){
		.tenant = tenant->id,
		.parent = tenant->parent ? tenant->parent->id : 0,
		.source_id = tenant->source_id,
		.kind = tenant->kind,
		.weight = settings->weight,
		.contexts = tenant->contexts,
		.queues = tenant->queues,
		.granted = tenant->granted_before,
		.busy_ns = tenant->busy_ns_before,
		.max_device_bytes = settings->device_bytes,
		.max_class = aia_settings_class(settings, aia_tenant_class),
		.on_missing = settings->on_missing,
		.engine_time = settings->engine_time,
		.grants = settings->grants,
		.wait = tenant->wait_before,
		.run = tenant->run_before,
	};
	if (tenant->cgroup)
		name_of(tenant->cgroup, out->name, path);
	else if (tenant == &root)
		strscpy(out->name, "/", sizeof(out->name));
	else
		snprintf(out->name, sizeof(out->name), "uid:%llu", tenant->source_id);
	spin_lock(&aia_limit_lock);
	out->allocated_bytes = tenant->bytes[AIACCEL_BUFFER_ALLOCATED - 1];
	out->pinned_bytes = tenant->bytes[AIACCEL_BUFFER_PINNED - 1];
	out->max_bytes = tenant->limits[AIA_CEILING_MEMORY].max;
	spin_unlock(&aia_limit_lock);
}

u32 aia_tenant_count_locked(struct aia_tenant *tenant, struct aiaccel_stats_tenant *out)
{
	struct aia_node *node;
	u32 places = 0;

	lockdep_assert_held(&aia_turn_lock);
	list_for_each_entry(node, &tenant->nodes, of_tenant) {
		add_node_locked(node, out);
		places++;
	}
	return places;
}

/* A hold for each place, as there may be a thousand. */
void aia_tenant_stats(struct aia_tenant *tenant, struct aiaccel_stats_tenant *out, char *path)
{
	struct aia_node *node;

	mutex_lock(&aia_config_lock);
	aia_tenant_describe_locked(tenant, out, path);
	list_for_each_entry(node, &tenant->nodes, of_tenant) {
		spin_lock(&aia_turn_lock);
		add_node_locked(node, out);
		spin_unlock(&aia_turn_lock);
	}
	mutex_unlock(&aia_config_lock);
}

/* ---- loading ---- */

static u64 memory_max(unsigned long mib, unsigned int part)
{
	return mib ? (u64)mib << 20 : ((u64)totalram_pages() << PAGE_SHIFT) / part;
}

int aia_tenant_init(void)
{
	by_cgroup = !strcmp(tenants, "cgroup");
	if (!by_cgroup && strcmp(tenants, "user"))
		return -EINVAL;
	if (aia_tenant_class > AIACCEL_CLASS_HIGH)
		return -EINVAL;
	module_max[AIA_CEILING_MEMORY] = memory_max(memory_mib, 2);
	module_max[AIA_CEILING_CONTEXTS] = contexts;
	module_max[AIA_CEILING_QUEUES] = queues;
	module_max[AIA_CEILING_JOBS] = jobs;
	tenant_max[AIA_CEILING_MEMORY] = memory_max(tenant_memory_mib, 4);
	tenant_max[AIA_CEILING_CONTEXTS] = tenant_contexts;
	tenant_max[AIA_CEILING_QUEUES] = tenant_queues;
	tenant_max[AIA_CEILING_JOBS] = tenant_jobs;
	init_tenant(&root, NULL, AIACCEL_TENANT_ROOT);
	last_id = root.id;
	return xa_insert(&by_id, root.id, &root, GFP_KERNEL);
}

void aia_tenant_exit(void)
{
	xa_destroy(&by_id);
}
