/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A circular list with a head of its own type: head.next is the oldest element, head.prev
 * the youngest. For the core's own files.
 *
 * Invariant: an element on no list has both links NULL, so that asking is cheap and a
 * second removal is seen by the debugger at once.
 */
#ifndef AIA_CORE_LIST_H
#define AIA_CORE_LIST_H

#include "types.h"

static inline void aia_list_init(struct aia_link *head)
{
	head->prev = head;
	head->next = head;
}

static inline bool aia_list_empty(const struct aia_link *head)
{
	return head->next == head;
}

static inline void aia_list_add_last(struct aia_link *head, struct aia_link *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

static inline void aia_list_add_first(struct aia_link *head, struct aia_link *link)
{
	aia_list_add_last(head->next, link);
}

static inline void aia_list_remove(struct aia_link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->prev = NULL;
	link->next = NULL;
}

#endif
