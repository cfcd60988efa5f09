/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A buffer, and an id for it.
 *
 *   context ── handle ──┐
 *   context ── handle ──┤
 *   mapping (file) ─────┼── buffer ── pages, tenant, user
 *   export (dma-buf) ───┤
 *   engine's driver ────┘
 *
 * A handle is what an id of a context names. A buffer lives while any of these refers to it, and
 * its maker pays until then.
 *
 * Files: buffer.c life, handle.c ids, mapping.c mmap, info.c what is told of one; alloc.c and
 * pin.c make pages, pin_cache.c keeps them, export.c hands them on, import.c takes what was
 * handed on, revoke.c takes it back.
 *
 * Locking: aia_buffer.lock, inside mmap_lock and the reservation lock of a dma-buf. Whoever makes
 * new use of a buffer reads `revoked` under it, and does so until the use can be found by who
 * revokes. aia_buffer.export_lock, a mutex outside of that reservation lock, keeps exports from
 * going while those attached to them are told.
 */
#ifndef AIA_BUFFER_H
#define AIA_BUFFER_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>

#include "aia.h"
#include "pages.h"

struct dma_buf;

struct aia_buffer {
	struct kref ref;		/* whoever is in the picture above */
	struct rw_semaphore lock;

	/* constant once published */
	u32 kind;			/* enum aiaccel_buffer_kind */
	u32 flags;			/* of PIN */
	u32 skip;			/* bytes of the first page before the first one */
	u64 length;
	u64 maker;			/* the context's number */
	unsigned long nr_pages;		/* charged; 0: another driver's */
	struct aia_pages pages;		/* nr_pages of them once published */
	bool filled;			/* and they are */
	struct dma_buf *dma_buf;	/* another driver's, referenced; or NULL */
	struct aia_tenant *tenant;	/* counted, charged nr_pages */
	struct user_struct *user;	/* counted, charged nr_pages; NULL: nobody */
	struct mm_struct *mm;		/* grabbed, whose pinned_vm was raised; or NULL */

	/*
	 * Of PIN_CACHED: the pin in its maker's cache, as long as a handle there that is not
	 * foreign refers to this; whether it is stale is told until then.
	 */
	struct aia_cached *cached;
	bool stale;			/* by its notifier; aia_cache.lock */

	bool revoked;			/* lock */
	struct address_space *mapped;	/* lock; of all mappings; NULL before the first */
	struct list_head mapped_for;	/* lock; for devices, by exports */

	struct mutex export_lock;	/* outside of it */
	struct list_head exports;	/* export_lock */

	/* for BUFFER_INFO */
	atomic_t nr_handles;
	atomic_t nr_exports;
	atomic_t nr_importers;
	atomic_t nr_mappings;
};

struct aia_handle {
	struct aia_object object;
	struct aia_buffer *buffer;	/* counted */
	bool foreign;			/* by IMPORT */
	unsigned long offset;		/* its first page for mmap; 0: none */
};

/* ---- buffer.c ---- */

/* Charged, without pages. */
struct aia_buffer *aia_buffer_create(struct aia_context *ctx, u32 kind, u64 length, u64 nr_pages,
				     u32 *refused_by);
/* All its pages are there. */
void aia_buffer_filled(struct aia_buffer *buffer);
struct aia_buffer *aia_buffer_get(struct aia_buffer *buffer);
void aia_buffer_put(struct aia_buffer *buffer);
/* For uses that who revokes need not find, or can find already. */
bool aia_buffer_is_revoked(struct aia_buffer *buffer);
/* Counts a device among its importers; -ENODEV where it was revoked. */
int aia_buffer_join(struct aia_buffer *buffer);
void aia_buffer_leave(struct aia_buffer *buffer);
/* Devices may only read what was pinned so. Not for another driver's. */
bool aia_buffer_is_read_only(const struct aia_buffer *buffer);

/* Bytes that can be had where a placement says, without pushing others out. 0 or -errno. */
int aia_alloc_room(u32 placement, int node, u32 engine, u64 *bytes);
/* What RLIMIT_MEMLOCK leaves the caller, in bytes. */
u64 aia_pin_room(void);

/* Where they came from. */
void aia_alloc_release(struct aia_buffer *buffer);
void aia_pin_release(struct aia_buffer *buffer);
void aia_import_release(struct aia_buffer *buffer);

/* ---- held.c ---- */

/* Counts the pages among those that buffers of the kind hold on each node, or no more. */
void aia_held_add(u32 kind, const struct aia_pages *pages);
void aia_held_sub(u32 kind, const struct aia_pages *pages);

/* ---- pin_cache.c ---- */

/*
 * Watches the range that is to be pinned, before it is, and counts one who uses it: a handle by
 * PIN. -ERESTARTNOINTR: once more.
 */
int aia_cache_begin(struct aia_context *ctx, struct aia_buffer *buffer, u64 addr, u32 *refused_by);
/*
 * From here on changes count: whether there were any; and to be found unless there were, once the
 * caller of PIN was told. What was added before stays as it is.
 */
void aia_cache_watch(struct aia_buffer *buffer);
bool aia_cache_changed(struct aia_buffer *buffer);
void aia_cache_add(struct aia_buffer *buffer);
/* What is in the cache, or NULL. It is counted, and so is one who uses it. */
struct aia_buffer *aia_cache_find(struct aia_context *ctx, u64 addr, u64 length, u32 flags);
/* One uses it no more; the buffer's own reference stays the caller's. */
void aia_cache_put(struct aia_buffer *buffer);
/*
 * For who was refused: lets go of all that nobody uses. False when there was nothing to let go of.
 */
bool aia_cache_give_back(struct aia_context *ctx);

/* ---- handle.c ---- */

/* Takes over the caller's reference to the buffer, unless it fails. Nobody finds it yet. */
struct aia_handle *aia_handle_create(struct aia_context *ctx, struct aia_buffer *buffer,
				     bool foreign, u32 *refused_by);
/* Replies and publishes, or aborts. */
int aia_handle_publish(struct aia_call *call, struct aia_handle *handle);
/* For one that was not published. */
void aia_handle_abort(struct aia_context *ctx, struct aia_handle *handle);
/*
 * What an id names, or NULL: the buffer is counted for the caller, and the handle, which may go at
 * any moment, copied.
 */
struct aia_buffer *aia_handle_find(struct aia_context *ctx, u32 id, struct aia_handle *handle);
/* What an offset for mmap names, likewise. mmap_lock is held. */
struct aia_buffer *aia_handle_find_offset(struct aia_context *ctx, unsigned long offset,
					  unsigned long *index);

/* ---- mapping.c ---- */

/* Maps the pages from @index on; of an allocated buffer. mmap_lock is held. */
int aia_mapping_create(struct aia_buffer *buffer, struct vm_area_struct *vma, unsigned long index);
/* Takes all pages out of all mappings of a buffer that is revoked. */
void aia_mapping_zap(struct aia_buffer *buffer);
/* None is left. */
void aia_mapping_free(struct aia_buffer *buffer);

/* ---- export.c ---- */

struct aia_export {
	struct list_head of_buffer;	/* export_lock */
	struct aia_buffer *buffer;	/* counted */
	struct dma_buf *dma_buf;	/* whose it is: there while it is on the list */
};

/* What was exported as it, counted for the caller; NULL where it is another driver's. */
struct aia_buffer *aia_export_find(const struct dma_buf *dma_buf);

#endif
