// SPDX-License-Identifier: GPL-2.0-only
/*
 * ALLOC: zeroed pages, on the nodes asked for, largest first.
 *
 * Each chunk is first tried without reclaim, from the largest order down, on the nodes from
 * the nearest on; when that gives nothing, single pages are tried with reclaim, which may
 * write others' pages to swap. Neither makes the kernel kill: __GFP_THISNODE and
 * __GFP_RETRY_MAYFAIL forbid it to the page allocator, the latter to the memory cgroup as
 * well. A request larger than what is available is refused before it begins.
 *
 * Chunks are split into single pages at once: whoever still refers to a page when the buffer
 * goes (a pipe, a transfer) keeps that page, and not the 2 MiB around it.
 *
 * mempolicy plays no part: the caller says the placement in the call. The nodes of the caller's
 * cpuset bound it, as they are when the call begins.
 */
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/topology.h>

#include "buffer.h"
#include "trace.h"

#define GFP_CHUNK (GFP_USER | __GFP_ZERO | __GFP_ACCOUNT | __GFP_THISNODE | __GFP_NOWARN)
#define GFP_EASY  ((GFP_CHUNK | __GFP_NORETRY) & ~__GFP_RECLAIM)
#define GFP_HARD  (GFP_CHUNK | __GFP_RETRY_MAYFAIL)

struct plan {
	nodemask_t nodes;	/* that may be used */
	int first;		/* where to begin */
	bool in_turn;
	unsigned int order;	/* the largest that is worth a try */
};

static nodemask_t allowed_nodes(void)
{
	nodemask_t nodes;

	task_lock(current);
	nodes_and(nodes, current->mems_allowed, node_states[N_MEMORY]);
	task_unlock(current);
	return nodes;
}

/*
 * The node of @left nearest to @from, which is taken out of it; or NUMA_NO_NODE. Some
 * firmware says that all are equally near: none is nearer than @from itself.
 */
static int take_nearest(nodemask_t *left, int from)
{
	int best = node_isset(from, *left) ? from : NUMA_NO_NODE, node;

	for_each_node_mask(node, *left)
		if (best == NUMA_NO_NODE || node_distance(from, node) < node_distance(from, best))
			best = node;
	if (best != NUMA_NO_NODE)
		node_clear(best, *left);
	return best;
}

static int plan_named_node(struct plan *plan, int node, bool strict)
{
	if (node >= MAX_NUMNODES)
		return -EINVAL;
	node = array_index_nospec(node, MAX_NUMNODES);
	if (!node_isset(node, plan->nodes))
		return -EINVAL;
	plan->first = node;
	if (strict)
		plan->nodes = nodemask_of_node(node);
	return 0;
}

static int plan_near_engine(struct plan *plan, u32 id)
{
	struct aia_engine *engine = aia_engine_get(id);

	if (!engine)
		return -ENOENT;
	if (engine->numa_node != NUMA_NO_NODE)
		plan->first = engine->numa_node;
	aia_engine_put(engine);
	return 0;
}

/* The nodes, and where to begin. */
static int plan_place(struct plan *plan, u32 placement, int node, u32 engine)
{
	plan->nodes = allowed_nodes();
	if (nodes_empty(plan->nodes)) /* the last one of the cpuset is just going offline */
		return -ENOMEM;
	plan->first = numa_node_id();
	plan->in_turn = placement == AIACCEL_PLACE_INTERLEAVE;
	switch (placement) {
	case AIACCEL_PLACE_INTERLEAVE:
		plan->first = first_node(plan->nodes);
		return 0;
	case AIACCEL_PLACE_PREFER:
		return plan_named_node(plan, node, false);
	case AIACCEL_PLACE_STRICT:
		return plan_named_node(plan, node, true);
	case AIACCEL_PLACE_NEAR:
		return plan_near_engine(plan, engine);
	default:
		return 0;
	}
}

/* The largest blocks that one of the nodes' shares has room for. */
static void plan_order(struct plan *plan, u64 nr_pages)
{
	u64 share = plan->in_turn ? max(1ULL, nr_pages / nodes_weight(plan->nodes)) : nr_pages;

	plan->order = min_t(unsigned int, ilog2(share), PMD_SHIFT - PAGE_SHIFT);
}

static int make_plan(struct plan *plan, const struct aiaccel_alloc *arg, u64 nr_pages,
		     u32 *refused_by)
{
	int err;

	err = plan_place(plan, arg->placement, arg->node, arg->engine);
	if (err == -ENOMEM)
		*refused_by = AIACCEL_REFUSED_MEMORY;
	if (err)
		return err;
	plan_order(plan, nr_pages);
	return 0;
}

/* Free pages, and those of files that nobody is writing to. */
static u64 available_pages(int node)
{
	struct zone *zones = NODE_DATA(node)->node_zones;
	u64 pages = 0;
	int i;

	for (i = 0; i < MAX_NR_ZONES; i++) {
		if (!managed_zone(&zones[i]))
			continue;
		pages += zone_page_state(&zones[i], NR_FREE_PAGES);
		pages += zone_page_state(&zones[i], NR_ZONE_INACTIVE_FILE);
		pages += zone_page_state(&zones[i], NR_ZONE_ACTIVE_FILE);
	}
	return pages;
}

int aia_alloc_room(u32 placement, int node, u32 engine, u64 *bytes)
{
	long all = si_mem_available();
	struct plan plan;
	u64 pages = 0;
	int err, i;

	err = plan_place(&plan, placement, node, engine);
	if (err)
		return err;
	for_each_node_mask(i, plan.nodes)
		pages += available_pages(i);
	*bytes = min_t(u64, pages, max(all, 0L)) << PAGE_SHIFT;
	return 0;
}

/* @order: the largest to try; then the one it got. */
static struct page *try_nodes(const struct plan *plan, unsigned int *order, gfp_t gfp)
{
	nodemask_t left = plan->nodes;
	struct page *page;
	int node;

	while ((node = take_nearest(&left, plan->first)) != NUMA_NO_NODE) {
		int o;

		for (o = *order; o >= 0; o--) {
			page = alloc_pages_node(node, gfp, o);
			if (page) {
				*order = o;
				return page;
			}
		}
	}
	return NULL;
}

/* The first of *nr single pages side by side. */
static struct page *alloc_chunk(struct plan *plan, unsigned long left, unsigned long *nr)
{
	unsigned int wanted = min_t(unsigned int, plan->order, ilog2(left)), order = wanted;
	struct page *page = try_nodes(plan, &order, GFP_EASY);

	if (!page) {
		order = 0;
		page = try_nodes(plan, &order, GFP_HARD);
	}
	if (!page)
		return NULL;
	split_page(page, order);
	*nr = 1UL << order;
	if (order < wanted)
		plan->order = order;
	if (plan->in_turn)
		plan->first = next_node_in(page_to_nid(page), plan->nodes);
	return page;
}

/* When a page can be had that is not charged to the memory cgroup, that one refused. */
static u32 who_refused(const struct plan *plan)
{
	unsigned int order = 0;
	struct page *page = try_nodes(plan, &order, GFP_HARD & ~__GFP_ACCOUNT);

	if (!page)
		return AIACCEL_REFUSED_MEMORY;
	__free_page(page);
	return AIACCEL_REFUSED_MEMCG;
}

static int fill(struct aia_buffer *buffer, struct plan *plan, u32 *refused_by)
{
	while (buffer->pages.nr < buffer->nr_pages) {
		struct page *page;
		unsigned long nr, i;

		if (fatal_signal_pending(current))
			return -EINTR;
		page = alloc_chunk(plan, buffer->nr_pages - buffer->pages.nr, &nr);
		if (!page) {
			*refused_by = who_refused(plan);
			return -ENOMEM;
		}
		if (!aia_pages_add(&buffer->pages, page, nr)) {
			for (i = 0; i < nr; i++)
				__free_page(page + i);
			*refused_by = who_refused(plan); /* it is charged too */
			return -ENOMEM;
		}
		cond_resched();
	}
	return 0;
}

static int fill_rest(struct aia_buffer *buffer, struct plan *plan, u32 *refused_by)
{
	if (buffer->nr_pages - buffer->pages.nr > si_mem_available()) {
		*refused_by = AIACCEL_REFUSED_MEMORY;
		return -ENOMEM;
	}
	return fill(buffer, plan, refused_by);
}

/*
 * What the context keeps pinned, the kernel cannot reclaim to make room: what nobody maps any more
 * is free when it is given back, the rest can be swapped out then.
 */
static int fill_or_give_back(struct aia_call *call, struct aia_buffer *buffer, struct plan *plan)
{
	int err = fill_rest(buffer, plan, &call->refused_by);

	if (err == -ENOMEM && aia_cache_give_back(call->ctx)) {
		call->refused_by = AIACCEL_REFUSED_NOT;
		plan_order(plan, buffer->nr_pages - buffer->pages.nr);
		err = fill_rest(buffer, plan, &call->refused_by);
	}
	return err;
}

/* Page by page: others may still have some. */
void aia_alloc_release(struct aia_buffer *buffer)
{
	const struct aia_pages *pages = &buffer->pages;
	unsigned long run, i;

	for (run = 0; run < pages->nr_runs; run++) {
		for (i = 0; i < aia_pages_run_length(pages, run); i++) {
			put_page(aia_pages_nth(pages->runs[run].page, i));
			if (!(i % 512))
				cond_resched();
		}
	}
}

int aia_buffer_alloc(struct aia_call *call)
{
	struct aiaccel_alloc *arg = call->arg;
	struct aia_handle *handle;
	struct aia_buffer *buffer;
	struct plan plan;
	u64 nr_pages;
	int err;

	arg->refused_by = AIACCEL_REFUSED_NOT;
	err = aia_check_alloc(arg);
	if (err)
		return err;
	nr_pages = (arg->length - 1) / PAGE_SIZE + 1;
	err = make_plan(&plan, arg, nr_pages, &call->refused_by);
	if (err)
		return err;
	buffer = aia_buffer_create(call->ctx, AIACCEL_BUFFER_ALLOCATED, arg->length, nr_pages,
				   &call->refused_by);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	handle = aia_handle_create(call->ctx, buffer, false, &call->refused_by);
	if (IS_ERR(handle)) {
		aia_buffer_put(buffer);
		return PTR_ERR(handle);
	}
	err = fill_or_give_back(call, buffer, &plan);
	if (err) {
		aia_handle_abort(call->ctx, handle);
		return err;
	}
	aia_buffer_filled(buffer);
	trace_alloc(buffer);
	arg->id = handle->object.id;
	arg->mmap_offset = (u64)handle->offset << PAGE_SHIFT;
	return aia_handle_publish(call, handle);
}
