// SPDX-License-Identifier: GPL-2.0-only
/* pin_user_pages() has lost its array of vmas (6.5). */
#include <linux/mm.h>

long probe(struct page **pages);
long probe(struct page **pages)
{
	return pin_user_pages(0, 1, FOLL_LONGTERM, pages);
}
