// SPDX-License-Identifier: GPL-2.0-only
/* Importers are told by dma_buf_invalidate_mappings(), no more by dma_buf_move_notify() (7.1). */
#include <linux/dma-buf.h>

void probe(struct dma_buf *dma_buf);
void probe(struct dma_buf *dma_buf)
{
	dma_buf_invalidate_mappings(dma_buf);
}
