// SPDX-License-Identifier: GPL-2.0-only
/* Who maps an attachment need not hold its dma_resv (6.2, and backported). */
#include <linux/dma-buf.h>

MODULE_INFO(import_ns, "DMA_BUF"); /* what every form of MODULE_IMPORT_NS() comes to */

struct sg_table *probe(struct dma_buf_attachment *attachment);
struct sg_table *probe(struct dma_buf_attachment *attachment)
{
	return dma_buf_map_attachment_unlocked(attachment, DMA_TO_DEVICE);
}
