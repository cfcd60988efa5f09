// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much memory buffers hold on each node, for sysfs: what is allocated and what is pinned,
 * whoever has it. Each buffer is counted from when it is filled until it is freed.
 *
 * Locking: atomic counts.
 */
#include <linux/atomic.h>
#include <linux/mm.h>
#include <linux/numa.h>

#include "buffer.h"

/* Pages, by enum aiaccel_buffer_kind - 1; none are imported. */
static atomic64_t held[MAX_NUMNODES][AIACCEL_BUFFER_PINNED];

/* A run at a time, and one node at once while there is one. */
static void add(u32 kind, const struct aia_pages *pages, int sign)
{
	unsigned long run;
	int node;

	if (pages->node != NUMA_NO_NODE) {
		atomic64_add(sign * (s64)pages->nr, &held[pages->node][kind - 1]);
		return;
	}
	for (run = 0; run < pages->nr_runs; run++) {
		node = page_to_nid(pages->runs[run].page);
		atomic64_add(sign * (s64)aia_pages_run_length(pages, run), &held[node][kind - 1]);
		cond_resched();
	}
}

void aia_held_add(u32 kind, const struct aia_pages *pages)
{
	add(kind, pages, 1);
}

void aia_held_sub(u32 kind, const struct aia_pages *pages)
{
	add(kind, pages, -1);
}

u64 aia_held_bytes(int node, u32 kind)
{
	return (u64)atomic64_read(&held[node][kind - 1]) << PAGE_SHIFT;
}
