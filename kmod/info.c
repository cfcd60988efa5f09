// SPDX-License-Identifier: GPL-2.0-only
/*
 * BUFFER_INFO: what a buffer is made of, who pays for it, and who has it. The pages are looked at
 * when somebody asks: they stay what they are, and most buffers are never asked about.
 */
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "buffer.h"

/* Whole folios where they lie in the buffer whole. There may be many: a fatal signal ends it. */
static int count_folios(const struct aia_pages *pages, struct aiaccel_buffer_info *out,
			u64 *node_bytes)
{
	unsigned long run, i, nr;

	for (run = 0; run < pages->nr_runs; run++) {
		unsigned long length = aia_pages_run_length(pages, run);

		for (i = 0; i < length; i += nr) {
			struct page *page = aia_pages_nth(pages->runs[run].page, i);
			struct folio *folio = page_folio(page);
			unsigned int order =
				min_t(unsigned int, folio_order(folio), AIACCEL_FOLIO_ORDERS - 1);

			nr = folio_nr_pages(folio) - folio_page_idx(folio, page);
			nr = min(nr, length - i);
			out->folio_bytes[order] += (u64)nr << PAGE_SHIFT;
			node_bytes[page_to_nid(page)] += (u64)nr << PAGE_SHIFT;
			if (fatal_signal_pending(current))
				return -EINTR;
			cond_resched();
		}
	}
	return 0;
}

static u32 uid_of(const struct aia_buffer *buffer)
{
	/* An id that the caller's namespace has no number for is nobody's, too. */
	return buffer->user ? from_kuid(current_user_ns(), buffer->user->uid) : AIACCEL_UID_NONE;
}

static u32 state_of(struct aia_buffer *buffer, const struct aia_handle *handle)
{
	u32 state = handle->foreign ? AIACCEL_BUFFER_FOREIGN : 0;

	if (aia_buffer_is_revoked(buffer))
		state |= AIACCEL_BUFFER_REVOKED;
	if (READ_ONCE(buffer->stale))
		state |= AIACCEL_BUFFER_STALE;
	return state;
}

static void describe(struct aia_buffer *buffer, const struct aia_handle *handle,
		     struct aiaccel_buffer_info *out)
{
	*out = (struct aiaccel_buffer_info){
		.size = out->size,
		.id = out->id,
		.kind = buffer->kind,
		.flags = buffer->flags,
		.length = buffer->length,
		.charged_bytes = (u64)buffer->nr_pages << PAGE_SHIFT,
		.mmap_offset = (u64)handle->offset << PAGE_SHIFT,
		.numa_node = buffer->pages.node,
		.nr_runs = buffer->pages.nr_runs,
		.largest_run_bytes = (u64)buffer->pages.longest << PAGE_SHIFT,
		.tenant = buffer->nr_pages ? buffer->tenant->id : 0,
		.uid = uid_of(buffer),
		.state = state_of(buffer, handle),
		.handles = atomic_read(&buffer->nr_handles),
		.exports = atomic_read(&buffer->nr_exports),
		.importers = atomic_read(&buffer->nr_importers),
		.mappings = atomic_read(&buffer->nr_mappings),
		.node_bytes = out->node_bytes,
		.nr_nodes = nr_node_ids,
	};
}

/*
 * What is told of the pages, of @nr_nodes nodes; callers of the struct's first version ask for none
 * of it.
 */
static int tell_pages(struct aia_call *call, const struct aia_buffer *buffer, u32 nr_nodes)
{
	struct aiaccel_buffer_info *arg = call->arg;
	bool wants_folios = call->user_size > offsetof(struct aiaccel_buffer_info, folio_bytes);
	u64 *node_bytes;
	int err;

	if (!wants_folios && !arg->node_bytes)
		return 0;
	node_bytes = kcalloc(nr_node_ids, sizeof(*node_bytes), GFP_KERNEL_ACCOUNT);
	if (!node_bytes)
		return -ENOMEM;
	err = count_folios(&buffer->pages, arg, node_bytes);
	if (!err && arg->node_bytes &&
	    copy_to_user(u64_to_user_ptr(arg->node_bytes), node_bytes,
			 nr_nodes * sizeof(*node_bytes)))
		err = -EFAULT;
	kfree(node_bytes);
	return err;
}

int aia_buffer_info(struct aia_call *call)
{
	struct aiaccel_buffer_info *arg = call->arg;
	u32 room = min_t(u32, arg->nr_nodes, nr_node_ids);
	struct aia_buffer *buffer;
	struct aia_handle handle;
	int err;

	err = aia_check_buffer_info(arg);
	if (err)
		return err;
	buffer = aia_handle_find(call->ctx, arg->id, &handle);
	if (!buffer)
		return -ENOENT;
	describe(buffer, &handle, arg);
	err = tell_pages(call, buffer, room);
	aia_buffer_put(buffer);
	return err ?: aia_reply(call);
}
