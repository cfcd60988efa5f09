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

void aia_rb_insert(struct aia_rb_root *root, struct aia_rb_node *node, aia_rb_less less);
void aia_rb_remove(struct aia_rb_root *root, struct aia_rb_node *node);
struct aia_rb_node *aia_rb_next(const struct aia_rb_node *node);

static inline struct aia_rb_node *aia_rb_first(const struct aia_rb_root *root)
{
	return root->first;
}

#endif
