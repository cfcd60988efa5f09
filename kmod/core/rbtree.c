// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The red-black tree of rbtree.h.
 *
 * Invariants: the top is black; a red node has black children; every way from a node down
 * to where a child is missing passes equally many black nodes. Missing children are NULL
 * and count as black.
 *
 * The caller serialises.
 */
#include "rbtree.h"

static bool is_red(const struct aia_rb_node *node)
{
	return node && node->red;
}

/* Makes @to the child of @parent that @from was. */
static void replace_child(struct aia_rb_root *root, struct aia_rb_node *parent,
			  struct aia_rb_node *from, struct aia_rb_node *to)
{
	if (!parent)
		root->top = to;
	else if (parent->left == from)
		parent->left = to;
	else
		parent->right = to;
}

/* Turns @down and its child @up round: @up takes its place, order is kept. */
static void rotate(struct aia_rb_root *root, struct aia_rb_node *down, struct aia_rb_node *up)
{
	struct aia_rb_node *moved;

	if (down->left == up) {
		moved = up->right;
		up->right = down;
		down->left = moved;
	} else {
		moved = up->left;
		up->left = down;
		down->right = moved;
	}
	if (moved)
		moved->parent = down;
	up->parent = down->parent;
	replace_child(root, down->parent, down, up);
	down->parent = up;
}

/* @node is red; mends a red parent above it. */
static void mend_red(struct aia_rb_root *root, struct aia_rb_node *node)
{
	while (is_red(node->parent)) {
		struct aia_rb_node *parent = node->parent;
		struct aia_rb_node *grand =
			parent->parent; /* is there: a red parent is not the top */
		struct aia_rb_node *uncle = grand->left == parent ? grand->right : grand->left;

		if (is_red(uncle)) {
			parent->red = false;
			uncle->red = false;
			grand->red = true;
			node = grand;
			continue;
		}
		/* Bring an inner grandchild to the outside first. */
		if ((grand->left == parent) != (parent->left == node)) {
			rotate(root, parent, node);
			parent = node;
		}
		rotate(root, grand, parent);
		parent->red = false;
		grand->red = true;
		break;
	}
	root->top->red = false;
}

void aia_rb_attach(struct aia_rb_root *root, struct aia_rb_node *node, struct aia_rb_node *parent,
		   struct aia_rb_node **link, bool first)
{
	node->parent = parent;
	node->left = NULL;
	node->right = NULL;
	node->red = true;
	*link = node;
	if (first)
		root->first = node;
	mend_red(root, node);
}

/* The ways through @node (maybe NULL), a child of @parent, are one black node short. */
static void mend_black(struct aia_rb_root *root, struct aia_rb_node *parent,
		       struct aia_rb_node *node)
{
	while (parent && !is_red(node)) {
		bool left = parent->left == node;
		struct aia_rb_node *sibling = left ? parent->right : parent->left;
		struct aia_rb_node *outer, *inner;

		if (sibling->red) {
			rotate(root, parent, sibling);
			sibling->red = false;
			parent->red = true;
			sibling = left ? parent->right : parent->left;
		}
		outer = left ? sibling->right : sibling->left;
		inner = left ? sibling->left : sibling->right;
		if (!is_red(outer) && !is_red(inner)) {
			sibling->red = true;
			node = parent;
			parent = node->parent;
			continue;
		}
		if (!is_red(outer)) {
			rotate(root, sibling, inner);
			outer = sibling;
			sibling = inner;
		}
		rotate(root, parent, sibling);
		sibling->red = parent->red;
		parent->red = false;
		outer->red = false;
		return;
	}
	if (node)
		node->red = false;
}

void aia_rb_remove(struct aia_rb_root *root, struct aia_rb_node *node)
{
	struct aia_rb_node *child, *parent;
	bool was_red;

	/* The only one, as often where nobody else waits. */
	if (root->top == node && !node->left && !node->right) {
		root->top = NULL;
		root->first = NULL;
		return;
	}
	if (root->first == node)
		root->first = aia_rb_next(node);

	if (node->left && node->right) {
		/* The next one, which has no left child, takes its place and colour. */
		struct aia_rb_node *next = aia_rb_next(node);

		child = next->right;
		was_red = next->red;
		parent = next->parent == node ? next : next->parent;
		if (parent != next) {
			parent->left = child;
			if (child)
				child->parent = parent;
			next->right = node->right;
			next->right->parent = next;
		}
		next->left = node->left;
		next->left->parent = next;
		next->red = node->red;
		next->parent = node->parent;
		replace_child(root, node->parent, node, next);
	} else {
		child = node->left ? node->left : node->right;
		was_red = node->red;
		parent = node->parent;
		if (child)
			child->parent = parent;
		replace_child(root, parent, node, child);
	}
	if (!was_red)
		mend_black(root, parent, child);
}

struct aia_rb_node *aia_rb_next(const struct aia_rb_node *node)
{
	if (node->right) {
		node = node->right;
		while (node->left)
			node = node->left;
		return (struct aia_rb_node *)node;
	}
	while (node->parent && node->parent->right == node)
		node = node->parent;
	return node->parent;
}

struct aia_rb_node *aia_rb_prev(const struct aia_rb_node *node)
{
	if (node->left) {
		node = node->left;
		while (node->right)
			node = node->right;
		return (struct aia_rb_node *)node;
	}
	while (node->parent && node->parent->left == node)
		node = node->parent;
	return node->parent;
}
