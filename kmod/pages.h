/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pages of a buffer, as runs of page frames that lie side by side: 16 bytes a run, so that
 * what is scattered costs 16 bytes a page, and 2 MiB in one piece no more. A run lies on one node,
 * and may reach over several folios.
 *
 * Filled by one thread, constant afterwards. Holds no reference to the pages: whoever took them
 * lets go of them.
 */
#ifndef AIA_PAGES_H
#define AIA_PAGES_H

#include <linux/dma-direction.h>
#include <linux/mm_types.h>
#include <linux/types.h>

struct device;
struct sg_table;

struct aia_run {
	struct page *page;
	unsigned long first;		/* index in the buffer */
};

struct aia_pages {
	unsigned long nr;
	unsigned long nr_runs;
	unsigned long longest;		/* run, in pages */
	unsigned long room;		/* for runs */
	struct aia_run *runs;
	struct aia_run one;		/* the first: most small buffers have no other */
	int node;			/* of all pages; NUMA_NO_NODE where on several */
	int last_node;			/* of the last run */
};

/* Zeroed memory is empty. False when there is no memory to note them. */
bool aia_pages_add(struct aia_pages *pages, struct page *page, unsigned long nr);
/* Gives back what was allocated ahead. */
void aia_pages_trim(struct aia_pages *pages);
void aia_pages_free(struct aia_pages *pages);

/* The run in which @index is. */
unsigned long aia_pages_run_of(const struct aia_pages *pages, unsigned long index);
unsigned long aia_pages_run_length(const struct aia_pages *pages, unsigned long run);

/* Of a run. Where struct page are not in one piece, neither are those of a run. */
struct page *aia_pages_nth(struct page *first, unsigned long n);

/* One page; and as many as fit from one on, each by itself. */
struct page *aia_pages_at(const struct aia_pages *pages, unsigned long index);
void aia_pages_copy(const struct aia_pages *pages, unsigned long index, struct page **to,
		    unsigned long nr);

/*
 * Maps nr_pages from @first on for a device, in segments that it takes, and makes them its own
 * until they are unmapped. 0, -ENOMEM, -EINVAL where it takes no whole page, or what the DMA API
 * says.
 */
int aia_pages_map(const struct aia_pages *pages, struct device *dev, unsigned long first,
		  unsigned long nr_pages, enum dma_data_direction direction,
		  struct sg_table *table);
void aia_pages_unmap(struct device *dev, enum dma_data_direction direction, struct sg_table *table);

#endif
