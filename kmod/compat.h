/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only place where kernels differ. What a kernel has is found out by building the
 * files in probe/ as modules (see Kbuild): each that compiles, and whose symbols the kernel
 * exports, defines AIA_HAVE_<its name> in probed.h. Versions are not looked at, because
 * distributions backport.
 */
#ifndef AIA_COMPAT_H
#define AIA_COMPAT_H

#include <linux/dma-buf.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/module.h>
#include "probed.h"

#ifdef AIA_HAVE_IMPORT_NS_TOKEN
#define AIA_IMPORT_NS(ns) MODULE_IMPORT_NS(ns)
#else
#define AIA_IMPORT_NS(ns) MODULE_IMPORT_NS(#ns)
#endif

/* The reservation lock of it is held. */
static inline void aia_dma_buf_invalidate(struct dma_buf *dma_buf)
{
#ifdef AIA_HAVE_DMA_BUF_INVALIDATE
	dma_buf_invalidate_mappings(dma_buf);
#else
	dma_buf_move_notify(dma_buf);
#endif
}

static inline void aia_vma_flags(struct vm_area_struct *vma, unsigned long set, unsigned long clear)
{
#ifdef AIA_HAVE_VM_FLAGS_MOD
	vm_flags_mod(vma, set, clear);
#else
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#endif
}

static inline void aia_hrtimer_setup(struct hrtimer *timer,
				     enum hrtimer_restart (*function)(struct hrtimer *),
				     clockid_t clock, enum hrtimer_mode mode)
{
#ifdef AIA_HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, function, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = function;
#endif
}

/* For an attachment that is told of no moves: its dma_resv is not held. */
static inline struct sg_table *aia_dma_buf_map(struct dma_buf_attachment *attachment,
					       enum dma_data_direction direction)
{
#ifdef AIA_HAVE_DMA_BUF_MAP_UNLOCKED
	return dma_buf_map_attachment_unlocked(attachment, direction);
#else
	return dma_buf_map_attachment(attachment, direction);
#endif
}

static inline void aia_dma_buf_unmap(struct dma_buf_attachment *attachment, struct sg_table *table,
				     enum dma_data_direction direction)
{
#ifdef AIA_HAVE_DMA_BUF_MAP_UNLOCKED
	dma_buf_unmap_attachment_unlocked(attachment, table, direction);
#else
	dma_buf_unmap_attachment(attachment, table, direction);
#endif
}

#endif
