/* SPDX-License-Identifier: GPL-2.0-only */
/* What each probe begins with: it is a module, and may use what the kernel has for dma-bufs. */
#include <linux/module.h>

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("probe of aiaccel");
/* As MODULE_IMPORT_NS() writes it, whatever it takes. */
MODULE_INFO(import_ns, "DMA_BUF");
