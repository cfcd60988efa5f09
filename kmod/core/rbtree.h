/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * An intrusive red-black tree that keeps its first element at hand. Of our own, since
 * the kernel's is not to be had in user space under our licence; the worst case of
 * each operation is logarithmic, because hostile users choose the keys.
 */
#ifndef AIA_CORE_RBTREE_H
#define AIA_CORE_RBTREE_H

#include "types.h"

struct aia_rb_node {
	struct aia_rb_node *parent, *left, *right;
	bool red;
};

struct aia_rb_root {
	struct aia_rb_node *top;
	struct aia_rb_node *first;
};

/* Equal elements keep the order in which they were inserted. */
typedef bool (*aia_rb_less)(const struct aia_rb_node *a, const struct aia_rb_node *b);

void aia_rb_remove(struct aia_rb_root *root, struct aia_rb_node *node);

struct aia_rb_node *aia_rb_next(const struct aia_rb_node *node);
struct aia_rb_node *aia_rb_prev(const struct aia_rb_node *node);

/* For aia_rb_insert(): @node, at *@link below @parent; @first: before all others. */
void aia_rb_attach(struct aia_rb_root *root, struct aia_rb_node *node, struct aia_rb_node *parent,
		   struct aia_rb_node **link, bool first);

static inline struct aia_rb_node *aia_rb_first(const struct aia_rb_root *root)
{
	return root->first;
}

/* In the header, so that comparing costs no call. */
static inline void aia_rb_insert(struct aia_rb_root *root, struct aia_rb_node *node,
				 aia_rb_less less)
{
	struct aia_rb_node **link = &root->top, *parent = NULL;
	bool first = true;

	if (!root->top) {
		node->parent = NULL;
		node->left = NULL;
		node->right = NULL;
		node->red = false;
		root->top = node;
		root->first = node;
		return;
	}
	while (*link) {
		parent = *link;
		/* One of them is looked at next, and which one cannot be predicted. */
		__builtin_prefetch(parent->left);
		__builtin_prefetch(parent->right);
		if (less(node, parent)) {
			link = &parent->left;
		} else {
			link = &parent->right;
			first = false;
		}
	}
	aia_rb_attach(root, node, parent, link, first);
}

/*
 * What an element is compared by has changed: as if it was removed before and is inserted now, but
 * cheap where it stays.
 */
static inline void aia_rb_move(struct aia_rb_root *root, struct aia_rb_node *node,
			       aia_rb_less less)
{
	const struct aia_rb_node *prev = root->first == node ? NULL : aia_rb_prev(node);
	const struct aia_rb_node *next;

	/* After its equals, as an insertion puts it. */
	if (!prev || !less(node, prev)) {
		next = aia_rb_next(node);
		if (!next || less(node, next))
			return;
	}
	aia_rb_remove(root, node);
	aia_rb_insert(root, node, less);
}

#endif
