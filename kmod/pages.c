// SPDX-License-Identifier: GPL-2.0-only
/* Runs of pages; see pages.h. */
#include <linux/dma-mapping.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "pages.h"

#define FIRST_ROOM 16UL

struct page *aia_pages_nth(struct page *first, unsigned long n)
{
	return pfn_to_page(page_to_pfn(first) + n);
}

unsigned long aia_pages_run_length(const struct aia_pages *pages, unsigned long run)
{
	unsigned long end = run + 1 < pages->nr_runs ? pages->runs[run + 1].first : pages->nr;

	return end - pages->runs[run].first;
}

/*
 * kvmalloc() refuses more than 2 GiB, which is 512 GiB of memory of which no two pages lie side by
 * side: larger buffers of that kind are for the caller to divide.
 */
static bool set_room(struct aia_pages *pages, unsigned long room)
{
	struct aia_run *runs;

	runs = kvmalloc_array(room, sizeof(*runs),
			      GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
	if (!runs)
		return false;
	memcpy(runs, pages->runs, pages->nr_runs * sizeof(*runs));
	if (pages->runs != &pages->one)
		kvfree(pages->runs);
	pages->runs = runs;
	pages->room = room;
	return true;
}

static bool continues(const struct aia_pages *pages, struct page *page, int node)
{
	unsigned long last = pages->nr_runs - 1;

	return pages->nr_runs && node == pages->last_node &&
	       page_to_pfn(page) == page_to_pfn(pages->runs[last].page) +
					    aia_pages_run_length(pages, last);
}

static bool begin_run(struct aia_pages *pages, struct page *page, int node)
{
	if (!pages->runs) {
		pages->runs = &pages->one;
		pages->room = 1;
		pages->node = node;
	}
	if (pages->nr_runs == pages->room && !set_room(pages, max(FIRST_ROOM, 2 * pages->room)))
		return false;
	pages->runs[pages->nr_runs++] = (struct aia_run){ page, pages->nr };
	pages->last_node = node;
	if (node != pages->node)
		pages->node = NUMA_NO_NODE;
	return true;
}

bool aia_pages_add(struct aia_pages *pages, struct page *page, unsigned long nr)
{
	int node = page_to_nid(page);

	if (!continues(pages, page, node) && !begin_run(pages, page, node))
		return false;
	pages->nr += nr;
	pages->longest = max(pages->longest, aia_pages_run_length(pages, pages->nr_runs - 1));
	return true;
}

/* Without memory to copy to, it stays as it is. */
void aia_pages_trim(struct aia_pages *pages)
{
	if (pages->room > FIRST_ROOM && pages->room - pages->nr_runs > pages->nr_runs / 8)
		set_room(pages, pages->nr_runs);
}

void aia_pages_free(struct aia_pages *pages)
{
	if (pages->runs != &pages->one)
		kvfree(pages->runs);
}

unsigned long aia_pages_run_of(const struct aia_pages *pages, unsigned long index)
{
	unsigned long low = 0, end = pages->nr_runs;

	while (end - low > 1) {
		unsigned long middle = low + (end - low) / 2;

		if (pages->runs[middle].first <= index)
			low = middle;
		else
			end = middle;
	}
	return low;
}

struct page *aia_pages_at(const struct aia_pages *pages, unsigned long index)
{
	const struct aia_run *run = &pages->runs[aia_pages_run_of(pages, index)];

	return aia_pages_nth(run->page, index - run->first);
}

void aia_pages_copy(const struct aia_pages *pages, unsigned long index, struct page **to,
		    unsigned long nr)
{
	unsigned long run = aia_pages_run_of(pages, index), i;
	unsigned long skip = index - pages->runs[run].first;

	while (nr) {
		unsigned long here = min(nr, aia_pages_run_length(pages, run) - skip);

		for (i = 0; i < here; i++)
			*to++ = aia_pages_nth(pages->runs[run].page, skip + i);
		nr -= here;
		skip = 0;
		run++;
	}
}

/* ---- for devices ---- */

/* A length is 32 bits, and one bounce buffer (swiotlb) holds a segment. */
static unsigned long segment_pages(struct device *dev)
{
	size_t bytes = min_t(size_t, dma_get_max_seg_size(dev), dma_max_mapping_size(dev));

	return min_t(size_t, bytes, UINT_MAX) >> PAGE_SHIFT;
}

/* How much of a run that begins before @end lies in [first, end), and from where on. */
static unsigned long part_of_run(const struct aia_pages *pages, unsigned long run,
				 unsigned long first, unsigned long end, unsigned long *skip)
{
	unsigned long begin = pages->runs[run].first;

	*skip = first > begin ? first - begin : 0;
	return min(aia_pages_run_length(pages, run), end - begin) - *skip;
}

static unsigned long count_segments(const struct aia_pages *pages, unsigned long most,
				    unsigned long first, unsigned long end)
{
	unsigned long run = aia_pages_run_of(pages, first), nr = 0, skip;

	for (; run < pages->nr_runs && pages->runs[run].first < end; run++) {
		nr += DIV_ROUND_UP(part_of_run(pages, run, first, end, &skip), most);
		if (!(run % SZ_64K))
			cond_resched();
	}
	return nr;
}

static void fill_segments(const struct aia_pages *pages, unsigned long most, unsigned long first,
			  unsigned long end, struct scatterlist *segment)
{
	unsigned long run = aia_pages_run_of(pages, first), skip, i, nr;

	for (; run < pages->nr_runs && pages->runs[run].first < end; run++) {
		unsigned long length = part_of_run(pages, run, first, end, &skip);

		for (i = 0; i < length; i += nr) {
			nr = min(length - i, most);
			sg_set_page(segment, aia_pages_nth(pages->runs[run].page, skip + i),
				    nr << PAGE_SHIFT, 0);
			segment = sg_next(segment);
		}
		cond_resched();
	}
}

/* The IOMMU, or the bounce buffer, may make fewer of them or refuse: that is for it to say. */
static int fill_table(const struct aia_pages *pages, struct device *dev, unsigned long first,
		      unsigned long nr_pages, struct sg_table *table)
{
	unsigned long most = segment_pages(dev), end = first + nr_pages, nr;
	int err;

	if (!most)
		return -EINVAL;
	nr = count_segments(pages, most, first, end);
	if (nr > UINT_MAX)
		return -ENOMEM;
	err = sg_alloc_table(table, nr, GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
	if (err)
		return err;
	fill_segments(pages, most, first, end, table->sgl);
	return 0;
}

/*
 * Several devices may have the same pages at a time: the DMA API takes that for a mistake unless
 * whoever maps them says that it synchronises caches itself.
 */
#define BY_OURSELVES DMA_ATTR_SKIP_CPU_SYNC

int aia_pages_map(const struct aia_pages *pages, struct device *dev, unsigned long first,
		  unsigned long nr_pages, enum dma_data_direction direction, struct sg_table *table)
{
	int err;

	err = fill_table(pages, dev, first, nr_pages, table);
	if (err)
		return err;
	err = dma_map_sgtable(dev, table, direction, BY_OURSELVES);
	if (err) {
		sg_free_table(table);
		return err;
	}
	dma_sync_sgtable_for_device(dev, table, direction);
	return 0;
}

void aia_pages_unmap(struct device *dev, enum dma_data_direction direction, struct sg_table *table)
{
	dma_sync_sgtable_for_cpu(dev, table, direction);
	dma_unmap_sgtable(dev, table, direction, BY_OURSELVES);
	sg_free_table(table);
}
