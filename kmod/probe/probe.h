/* SPDX-License-Identifier: GPL-2.0-only */
/* What each probe begins with: it is a module. */
#include <linux/module.h>

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("probe of aiaccel");
