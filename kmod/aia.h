/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The module's private structs: who owns what, and which lock guards it.
 *
 *   file ── context ── objects: queues, reservations and handles of buffers (buffer.h), by id
 *              │          │          │
 *              │        queue    reservation ── node (a tenant's place at an engine)
 *              │          └── node, and seat (a context's place at an engine)
 *              └── tenant ── parent tenant ── … ── root (the module's own ceilings)
 *
 * Locks, outer before inner:
 *
 *   misc_mtx		the kernel's own, held around open(), which therefore waits for
 *			nothing that users can prolong.
 *   watch_lock		mutex of a context: registering its mmu notifier.
 *   mmap_lock		held by the caller in mmap and fault; pin.c takes it for each mapping,
 *			registering a notifier for a moment.
 *			Nothing below takes it again.
 *   export_lock		mutex of a buffer: its exports, while who is attached to them is
 *			told. The end of an export takes it, with no other lock held.
 *   dma_lock		mutex of an engine: what its driver has mapped, while it is unmapped.
 *   reservation lock	the kernel's own, of a dma-buf: held by who calls export.c, or not.
 *   aia_buffer.lock	rwsem of a buffer: whether it is revoked, and who uses it (buffer.h).
 *   aia_cache.freeing	mutex of a context: pins that are let go of because room is wanted, or
 *			because they are stale. Taken with no lock held.
 *   settle_lock		mutex of policy.c: the rules, while they are matched for a tenant.
 *   aia_config_lock	mutex: engines registered, tenants, nodes, seats. Nothing in it
 *			touches user memory or is charged to a memory cgroup. A holder
 *			may still wait, for memory or for a CPU: ENTER does without it,
 *			ALLOC, PIN and the end of a buffer but for a tenant's last user.
 *   aia_turn_lock	spinlock: all state of the core's scheduler, turns and rings, and
 *			the lists of queues. Work under it is bounded by AIA_TURNS_MAX,
 *			AIA_MAX_QUEUES and AIA_MAX_SLOTS. Memory is allocated before it is
 *			taken and freed after it is let go, and nobody is woken under it
 *			(aia_turn_unlock).
 *   aia_limit_lock	spinlock: all struct aia_limit, the tenants' byte counts, and the sizes of
 *			reservations.
 *   xa_lock of a context, wait queue locks: innermost.
 *   aia_cache.lock	spinlock of a context: the pins that it keeps. Innermost, as it is taken by
 *			mmu notifiers, inside locks of the kernel's that allocating takes.
 */
#ifndef AIA_H
#define AIA_H

#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <uapi/aiaccel.h>

#include "core/any.h"
#include "core/check.h"
#include "core/history.h"
#include "core/limit.h"
#include "core/rule.h"
#include "core/sched.h"
#include "core/turns.h"
#include "provider.h"

#define AIA_MAX_QUEUES	64	/* of a context */
#define AIA_MAX_BUFFERS 4096	/* of a context */
#define AIA_MAX_BY_USERS 1024	/* engines made by ENGINE_REGISTER */
#define AIA_MAX_DEPTH	32	/* levels of tenants below the root */

extern struct mutex aia_config_lock;
extern spinlock_t aia_turn_lock;
extern spinlock_t aia_limit_lock;

/* ---- tenants (tenant.c) ---- */

enum aia_ceiling {
	AIA_CEILING_MEMORY,	/* bytes, allocated and pinned */
	AIA_CEILING_CONTEXTS,
	AIA_CEILING_QUEUES,
	AIA_CEILING_JOBS,
	AIA_NR_CEILINGS,
};

struct aia_tenant {
	refcount_t users;		/* contexts, buffers, tenants below, nodes that owe */

	/* constant */
	struct aia_tenant *parent;	/* NULL: the root */
	struct cgroup *cgroup;		/* referenced; NULL where it is not a cgroup's */
	u64 id;
	u64 source_id;
	u32 kind;

	/* aia_config_lock */
	u32 contexts;
	u32 queues;
	struct list_head nodes;
	struct aia_settings settings;	/* policy.c; written under aia_turn_lock as well */
	unsigned long settled;		/* policy.c: by which rules */
	struct hlist_node of_hash;
	u64 granted_before, busy_ns_before; /* by nodes that are gone */
	struct aiaccel_histogram wait_before, run_before; /* likewise */

	struct list_head open;		/* aia_turn_lock: contexts */

	/* aia_limit_lock; includes the tenants below */
	struct aia_limit limits[AIA_NR_CEILINGS];
	u64 bytes[AIACCEL_BUFFER_IMPORTED]; /* by enum aiaccel_buffer_kind - 1; none are imported */
};

extern unsigned int aia_tenant_class;	/* the highest class without CAP_SYS_NICE */

int aia_tenant_init(void);
void aia_tenant_exit(void);
struct aia_tenant *aia_tenant_open(void);
void aia_tenant_close(struct aia_tenant *tenant);
struct aia_tenant *aia_tenant_get(struct aia_tenant *tenant);
void aia_tenant_put(struct aia_tenant *tenant);
void aia_tenant_put_locked(struct aia_tenant *tenant);
/* The first tenant whose id is at least *id, which is moved past it; counted. */
struct aia_tenant *aia_tenant_next(u64 *id);
/* Under aia_config_lock; not counted. */
struct aia_tenant *aia_tenant_next_locked(u64 *id);
/*
 * What STATS says of it: what it is (under aia_config_lock), to which what its queues did is added
 * (under aia_turn_lock as well; returns at how many engines it looked). Or both, each engine in a
 * hold of its own.
 */
void aia_tenant_describe_locked(struct aia_tenant *tenant, struct aiaccel_stats_tenant *out,
				char *path);
u32 aia_tenant_count_locked(struct aia_tenant *tenant, struct aiaccel_stats_tenant *out);
void aia_tenant_stats(struct aia_tenant *tenant, struct aiaccel_stats_tenant *out, char *path);
#define AIA_PATH_BYTES PATH_MAX

/* 0 or -EDQUOT, and then *refused_by says whose ceiling it was. */
int aia_tenant_charge(struct aia_tenant *tenant, enum aia_ceiling ceiling, u64 amount,
		      u32 *refused_by);
void aia_tenant_uncharge(struct aia_tenant *tenant, enum aia_ceiling ceiling, u64 amount);
int aia_tenant_charge_bytes(struct aia_tenant *tenant, u32 buffer_kind, u64 bytes, u32 *refused_by);
void aia_tenant_uncharge_bytes(struct aia_tenant *tenant, u32 buffer_kind, u64 bytes);
void aia_tenant_bytes(struct aia_tenant *tenant, u64 *max, u64 *used);
/* What could be charged now, by its ceilings and those above, and by the module's. */
void aia_tenant_room(struct aia_tenant *tenant, enum aia_ceiling ceiling, u64 *tenants,
		     u64 *module);
/* Of all. */
u64 aia_tenant_total(enum aia_ceiling ceiling);
/* By its settings. */
void aia_tenant_set_memory_locked(struct aia_tenant *tenant);
/* Of its reservations on each engine: likewise. */
void aia_tenant_set_device_bytes_locked(struct aia_tenant *tenant);

/* ---- what the administrator says (policy.c) ---- */

void aia_policy_exit(void);
/* Gives a tenant, and those above it, what the rules say now. -EINTR when the caller is killed. */
int aia_policy_settle(struct aia_tenant *tenant);
/* The highest class without CAP_SYS_NICE. */
u32 aia_policy_class_locked(const struct aia_tenant *tenant);
/* With max_class as it holds. */
struct aia_settings aia_policy_settings(const struct aia_tenant *tenant);

/* ---- a tenant's places (node.c) ---- */

/*
 * A tenant's place at an engine, while it or a tenant below has a queue or a reservation there, or
 * owes engine time.
 */
struct aia_node {
	struct aia_sched_node sched;	/* aia_turn_lock */
	struct aia_limit bytes;		/* aia_limit_lock: of reservations */
	struct aia_engine *engine;	/* kept by them; what owes goes before it */
	struct aia_tenant *tenant;
	struct aia_node *parent;
	struct list_head of_tenant;	/* aia_config_lock */
	struct list_head of_owing;	/* aia_config_lock; its tenant is counted meanwhile */
	unsigned int users;		/* aia_config_lock: they, and nodes below */
};

struct aia_node *aia_node_get_locked(struct aia_tenant *tenant, struct aia_engine *engine);
void aia_node_put_locked(struct aia_node *node);
/* Lets go of what stays only for what it owes, and owes nothing any more. */
void aia_node_prune_owing(void);
void aia_node_exit(void);	/* no engine is left */
/* By its tenant's settings. */
void aia_node_settle_locked(struct aia_node *node);

/* ---- engines (engine.c) ---- */

struct aia_context;

struct aia_engine {
	struct kref ref;
	/* constant */
	u32 id;
	u32 kind;
	u32 enforcement;
	int numa_node;
	bool by_user;			/* made by ENGINE_REGISTER */
	char name[AIACCEL_NAME_LEN];
	char alias[AIACCEL_NAME_LEN];	/* or empty */
	char provider[AIACCEL_NAME_LEN];
	void (*stop)(void *data, const struct aia_engine_turn *turn); /* NULL: not preemptible */
	void *data;
	struct aia_stop *stops;		/* as many as it has slots, or NULL */
	struct device *sysfs;		/* aia_config_lock; while it is registered */
	struct work_struct stop_work;	/* calls stop() */
	struct delayed_work watchdog;	/* while it does */
	struct work_struct farewell;	/* removes it: its maker has ended */
	struct mutex dma_lock;
	struct list_head dmas;		/* dma_lock; what its driver has mapped (dma.c) */
	/* aia_turn_lock */
	struct aia_sched_engine sched;
	struct aia_history history;	/* empty until it has memory: sched.history tells */
	struct list_head queues;
	u32 nr_queues;
	struct list_head of_maker;	/* a context's engines; counted while on the list */
	u64 armed_ns;			/* when the alarm rings at the latest */
	struct hrtimer alarm;		/* queues the work */
	struct work_struct work;	/* dispatches: something is due */
	u32 told;			/* enum aiaccel_engine_state: what CONTROL said */
	u32 faults;			/* enum aia_fault; stop.c */
	bool overdue;			/* a stop() has not returned in time */
	/* aia_limit_lock */
	struct aia_limit bytes;		/* of reservations by all; its max is constant */
	bool gone;			/* unregistered: nothing more is reserved */
};

int aia_engine_init(void);
void aia_engine_exit(void);
struct aia_engine *aia_engine_get(u32 id);
/* The first engine whose id is at least *id, which is moved past it. */
struct aia_engine *aia_engine_next(u32 *id);
void aia_engine_put(struct aia_engine *engine);
/* aia_turn_dispatch() of each. */
void aia_engine_dispatch_all(void);
/* A state, an order, or 0 for the one that it has. */
int aia_engine_control(struct aia_engine *engine, u32 state, u32 order);
/* Also for those registered later. */
void aia_engine_control_all(u32 state, u32 order);
u32 aia_engine_count(void);
u64 aia_engine_reserved_bytes(struct aia_engine *engine);
/* One that there may be, or NUMA_NO_NODE. */
bool aia_engine_is_node(int node);
/*
 * Before its first queue, so that engines which nobody uses take no memory for it. Without memory
 * nothing is recorded until the next queue finds some: a record is not worth a refusal.
 */
void aia_engine_keep_history(struct aia_engine *engine);
/* Why an engine is faulted: bits. */
enum aia_fault {
	AIA_FAULT_GONE = 1 << 0,
	AIA_FAULT_PROVIDER = 1 << 1,
	AIA_FAULT_STOP = 1 << 2,
};

/*
 * What it is to be; it is once it is not faulted. ACTIVE takes faults away unless it is stuck
 * (stop.c).
 */
void aia_engine_tell_locked(struct aia_engine *engine, u32 state);
bool aia_engine_is_stuck_locked(const struct aia_engine *engine);
/* Faulted for ever. */
void aia_engine_go_locked(struct aia_engine *engine);

/*
 * Stopping work: for an engine that was just made, where something may be due, for one that is
 * gone.
 */
void aia_stop_init(struct aia_engine *engine, u64 stop_ns);
void aia_stop_kick_locked(struct aia_engine *engine);
void aia_stop_finish(struct aia_engine *engine);
/* Counted for the caller. */
struct aia_engine *aia_engine_register_by_user(const struct aia_engine_desc *desc);
/* It goes with the context's address space, which is watched. */
void aia_engine_bind(struct aia_engine *engine, struct aia_context *ctx);
/* That begins to go. */
void aia_engine_end_bound(struct aia_context *ctx);
/* Unmaps what its driver still has: the engine goes. */
void aia_dma_end_all(struct aia_engine *engine);
/* As aia_engine_unregister(); false when it was done before. */
bool aia_engine_remove(struct aia_engine *engine);

/* ---- what sysfs shows (sysfs.c) ---- */

extern const struct attribute_group **aia_sysfs_groups; /* of the device; from aia_sysfs_init() */

int aia_sysfs_init(void);
void aia_sysfs_exit(void);
/*
 * The directory of an engine, which nobody finds yet, or nobody finds any more once this is let go.
 */
int aia_sysfs_add_locked(struct aia_engine *engine);
void aia_sysfs_remove_locked(struct aia_engine *engine);

/* ---- objects of a context (object.c) ---- */

enum aia_object_kind {
	AIA_OBJECT_QUEUE = 1,		/* none is 0: freed memory is no queue */
	AIA_OBJECT_RESERVATION,
	AIA_OBJECT_BUFFER,
	AIA_NR_OBJECT_KINDS,
};

struct aia_object {
	u32 id;				/* 0: none yet */
	enum aia_object_kind reserved_as;
	enum aia_object_kind kind;	/* xa_lock of objects; 0 until it is published */
};

/* What PIN_CACHED keeps (pin_cache.c). */
struct aia_cache {
	spinlock_t lock;		/* innermost; mmu notifiers take it */
	struct rb_root pins;		/* lock: those that are found */
	struct list_head unused;	/* lock: those of them without an id, the oldest first */
	unsigned int nr_unused;		/* lock */
	struct list_head doomed;	/* lock: for the work item */
	struct mutex freeing;		/* who frees, and who waits for that */
	struct work_struct work;
	atomic_t nr;			/* pins in all */
};

struct aia_context {
	struct kref ref;		/* its file, and whoever is about to wake its waiters */

	/* constant */
	u64 number;
	u32 index;			/* in aia_contexts */
	struct mm_struct *mm;		/* grabbed */
	struct aia_tenant *tenant;
	struct pid *pid;
	char comm[TASK_COMM_LEN];
	struct page *ring_pages;	/* the ring, then the page of the consumed word */

	struct mutex watch_lock;	/* outside mmap_lock; taken by QUEUE_CREATE, RESERVE */
	bool watched;			/* watch_lock: the notifier is registered */
	struct mmu_notifier notifier;
	struct wait_queue_head wait;

	/* their own xa_lock */
	struct xarray objects;		/* by id; also those that are being created, and vacant */
	u32 next_id;
	u32 vacant;			/* an id that keeps its place (object.c), or 0 */
	struct xarray offsets;		/* handles of allocated buffers by their last mmap page */
	atomic64_t offered;		/* pages of mmap offsets given out so far */
	atomic64_t bytes[AIACCEL_BUFFER_IMPORTED]; /* of buffers, by enum aiaccel_buffer_kind - 1 */
	atomic_t nr_objects[AIA_NR_OBJECT_KINDS];

	struct aia_cache cache;

	struct list_head seats;		/* aia_config_lock */

	/* xchg: to be used again, so that a loop allocates none */
	struct aia_turn *spare;
	struct aia_handle *spare_handle; /* with the id that it will have */

	/* aia_turn_lock */
	struct aia_turns turns;
	struct list_head queues;
	struct list_head engines;	/* made by ENGINE_REGISTER, to go with the address space */
	struct list_head of_tenant;
	u64 granted_before, busy_ns_before; /* at seats that are gone */

	u64 reserved_bytes;		/* aia_limit_lock */
};

int aia_object_reserve(struct aia_context *ctx, struct aia_object *object,
		       enum aia_object_kind kind, u32 *refused_by);
/* Only gives it an id, so that reserving it will find one: ahead of time. */
bool aia_object_number(struct aia_context *ctx, struct aia_object *object, gfp_t gfp);
void aia_object_unnumber(struct aia_context *ctx, struct aia_object *object);
void aia_object_publish(struct aia_context *ctx, struct aia_object *object);
void aia_object_abort(struct aia_context *ctx, struct aia_object *object);
/*
 * What an id names if it is of that kind, or NULL. Found under the lock that guards the end of its
 * kind (see aia_queues and aia_reservations), it is there until that is let go; of a buffer it says
 * nothing.
 */
struct aia_object *aia_object_find(struct aia_context *ctx, u32 id, enum aia_object_kind kind);
/* Takes the id away, so that the caller is the only one to destroy it. */
struct aia_object *aia_object_take(struct aia_context *ctx, u32 id);
void aia_object_destroy(struct aia_context *ctx, struct aia_object *object);

struct aia_handle;

void aia_handle_destroy(struct aia_context *ctx, struct aia_handle *handle);
/* When none is left. */
void aia_handle_free_spare(struct aia_context *ctx);

extern const struct file_operations aia_context_fops;
/* Sees to it that turns and reservations end with the address space; before there can be any. */
int aia_context_watch(struct aia_context *ctx);
void aia_context_put(struct aia_context *ctx);

int aia_cache_init(void);
void aia_cache_exit(void);
void aia_cache_open(struct aia_context *ctx);
void aia_cache_close(struct aia_context *ctx);

/*
 * All contexts, for STATS. As of queues: one found under aia_turn_lock is there until it is let go.
 */
extern struct xarray aia_contexts;
/* The first one from *index on, which is moved past it. */
struct aia_context *aia_context_next_locked(unsigned long *index);
u64 aia_ring_map_bytes(void);

/* What it has (usage.c). */
void aia_usage_locked(struct aia_context *ctx, struct aiaccel_stats_context *out,
		      struct pid_namespace *pids);
void aia_usage_show(struct seq_file *file, struct file *opened); /* fdinfo */

/* What the caller's time namespace adds to CLOCK_MONOTONIC. */
s64 aia_time_offset_ns(void);

/* ---- ioctls (ioctl.c) ---- */

struct aia_call {
	struct aia_context *ctx;
	void *arg;			/* the struct, padded with zeros */
	void __user *user;
	u32 user_size;
	u32 known_size;
	u32 refused_by;			/* written back on errors */
};

long aia_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
/* Writes the struct back. An object is published only after this succeeded. */
int aia_reply(struct aia_call *call);

int aia_engine_list(struct aia_call *call);
int aia_engine_info(struct aia_call *call);
int aia_engine_make(struct aia_call *call);
int aia_engine_unmake(struct aia_call *call);
int aia_reserve(struct aia_call *call);
int aia_policy(struct aia_call *call);
int aia_queue_create(struct aia_call *call);
int aia_buffer_alloc(struct aia_call *call);
int aia_buffer_pin(struct aia_call *call);
int aia_buffer_import(struct aia_call *call);
int aia_buffer_export(struct aia_call *call);
int aia_buffer_revoke(struct aia_call *call);
int aia_buffer_info(struct aia_call *call);
int aia_quota(struct aia_call *call);
/* What buffers of a kind hold on a node. */
u64 aia_held_bytes(int node, u32 buffer_kind);
/* Where the pages of one are, NUMA_NO_NODE where on several, or not known. 0, -ENOENT. */
int aia_buffer_node(struct aia_context *ctx, u32 id, int *node);
int aia_buffer_mmap(struct aia_context *ctx, struct vm_area_struct *vma);
int aia_enter(struct aia_call *call);
int aia_stats(struct aia_call *call);
int aia_control(struct aia_call *call);
int aia_revoke(struct aia_call *call);

/* ---- queues and turns (queue.c, enter.c) ---- */

/* A context's place at an engine, while it has a queue there. */
struct aia_seat {
	struct aia_sched_seat sched;	/* aia_turn_lock */
	struct aia_engine *engine;
	struct list_head of_context;	/* aia_config_lock */
	unsigned int queues;		/* aia_config_lock */
};

struct aia_queue {
	struct aia_object object;
	struct aia_context *ctx;
	struct aia_engine *engine;	/* counted */
	struct aia_seat *seat;
	struct aia_node *node;
	u32 number;			/* in aia_queues */
	u32 weight;
	u32 class_;			/* as asked for */
	u32 flags;
	u64 budget_ns;			/* likewise; 0: as its engine has it */
	u64 period_ns;			/* likewise, for REALTIME, and its width */
	u32 width;
	bool any_class;			/* CAP_SYS_NICE: it may be above the tenant's */
	struct aia_history_who who;	/* its pid: of the initial pid namespace */
	/* aia_turn_lock */
	struct aia_sched_queue sched;
	struct list_head of_context;
	struct list_head of_engine;
};

/*
 * All queues by number, for STATS. A queue is taken out before the last time that its
 * destruction takes aia_turn_lock: one found under that lock is there until it is let go.
 * The same holds of a queue in aia_context.objects.
 */
extern struct xarray aia_queues;

void aia_queue_destroy(struct aia_queue *queue);
/* The first queue from *number on, which is moved past it. */
struct aia_queue *aia_queue_next_locked(unsigned long *number);
/* Counts as of the class that it may have. */
void aia_queue_settle_locked(struct aia_queue *queue);

/* Of all contexts; aia_turn_lock. */
extern struct aia_groups aia_groups;

extern struct workqueue_struct *aia_workqueue;

int aia_turn_init(void);
void aia_turn_exit(void);
/* When no turn of the context is left. */
void aia_turn_free_spare(struct aia_context *ctx);
/* An engine's alarm: what is due later. Unset once its state says that it is gone. */
void aia_turn_init_alarm(struct aia_engine *engine);
void aia_turn_stop_alarm(struct aia_engine *engine);
/* Grants what can be granted, wakes who is told. */
void aia_turn_dispatch(struct aia_engine *engine);
/* Dispatches what was stirred, wakes, uncharges, lets go of aia_turn_lock, frees. */
void aia_turn_unlock(struct aia_news *news) __releases(&aia_turn_lock);
/* Ends all turns of a context without a word. */
void aia_turn_end_context(struct aia_context *ctx);
/* To tracepoints (trace.c). */
void aia_trace_decision(const struct aia_turn *turn, u32 state, u64 now_ns);
/* Unread events, after looking for room in the ring. */
u32 aia_turn_unread(struct aia_context *ctx);

/* ---- what STATS says (stats.c, snapshot.c) ---- */

void aia_stats_engine_locked(struct aiaccel_stats_engine *out, struct aia_engine *engine);
void aia_stats_queue_locked(struct aiaccel_stats_queue *out, const struct aia_queue *queue,
			    struct pid_namespace *pids);
/* A SNAPSHOT of one tenant, or of all (NULL). Sets what is to be told in @arg. */
int aia_snapshot(struct aiaccel_stats *arg, struct aia_tenant *only);

/* ---- reservations (reserve.c) ---- */

struct aia_reservation {
	struct aia_object object;
	struct aia_context *ctx;
	struct aia_engine *engine;	/* counted */
	struct aia_node *node;		/* likewise; its bytes are charged */
	u32 number;			/* in aia_reservations */
	u64 bytes;			/* aia_limit_lock */
};

/*
 * All reservations by number, for STATS. As of queues: one found under aia_limit_lock, here or in
 * aia_context.objects, is there until it is let go.
 */
extern struct xarray aia_reservations;

void aia_reservation_destroy(struct aia_reservation *reservation);
/* Sets the sizes to 0: when nothing of the context can change them any more. */
void aia_reservations_empty(struct aia_context *ctx);

#endif
