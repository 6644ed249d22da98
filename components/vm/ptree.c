/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages by index: a radix tree whose root covers no more than is in use.
 *
 * A node covers NODE_SLOTS << n_shift indices from n_base on, a multiple of
 * that.  Indices come from addresses, so a small tree may be anywhere; it grows
 * at the top when something is entered outside.  The leaf that was found last is
 * looked at first: faults come in runs.
 */
#include "impl.h"

struct pnode {
	uint64_t n_base;
	uint32_t n_shift;
	uint32_t n_used;
	struct pnode *n_parent;
	void *n_slot[NODE_SLOTS];
};

static const struct qtag tag_node = { "pages of an object" };

static inline bool
covers(const struct pnode *n, uint64_t i)
{
	return (i - n->n_base) >> n->n_shift < NODE_SLOTS;
}

static inline void **
slot_of(struct pnode *n, uint64_t i)
{
	return &n->n_slot[(i - n->n_base) >> n->n_shift];
}

static struct pnode *
make_node(uint64_t i, uint32_t shift)
{
	struct pnode *n = qzalloc(&tag_node, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->n_shift = shift;
	n->n_base = i >> (shift + NODE_BITS) << (shift + NODE_BITS);
	return n;
}

/* The leaf that would have `i`, or NULL. */
static struct pnode *
find_leaf(struct ptree *t, uint64_t i)
{
	struct pnode *n = t->pt_leaf;

	if (n != NULL && covers(n, i))
		return n;
	n = t->pt_root;
	if (n == NULL || !covers(n, i))
		return NULL;
	while (n != NULL && n->n_shift != 0)
		n = *slot_of(n, i);
	if (n != NULL)
		t->pt_leaf = n;
	return n;
}

void *
ptree_get(struct ptree *t, uint64_t i)
{
	struct pnode *n = find_leaf(t, i);

	return n != NULL ? *slot_of(n, i) : NULL;
}

/* Give empty nodes from `n` upwards back. */
static void
trim(struct ptree *t, struct pnode *n)
{
	struct pnode *up;

	while (n != NULL && n->n_used == 0) {
		up = n->n_parent;
		if (up != NULL) {
			*slot_of(up, n->n_base) = NULL;
			up->n_used--;
		} else {
			t->pt_root = NULL;
		}
		if (t->pt_leaf == n)
			t->pt_leaf = NULL;
		qfree(n);
		n = up;
	}
}

/* Have the root cover `i`. */
static int
grow(struct ptree *t, uint64_t i)
{
	struct pnode *n, *old = t->pt_root;

	if (old == NULL) {
		t->pt_root = make_node(i, 0);
		return t->pt_root != NULL ? 0 : -Q_ENOMEM;
	}
	while (!covers(t->pt_root, i)) {
		old = t->pt_root;
		n = make_node(old->n_base, old->n_shift + NODE_BITS);
		if (n == NULL)
			return -Q_ENOMEM;
		*slot_of(n, old->n_base) = old;
		n->n_used = 1;
		old->n_parent = n;
		t->pt_root = n;
	}
	return 0;
}

int
ptree_set(struct ptree *t, uint64_t i, void *p)
{
	struct pnode *n = find_leaf(t, i), *next;

	if (n == NULL) {
		if (grow(t, i) != 0)
			return -Q_ENOMEM;
		for (n = t->pt_root; n->n_shift != 0; n = next) {
			next = *slot_of(n, i);
			if (next != NULL)
				continue;
			next = make_node(i, n->n_shift - NODE_BITS);
			if (next == NULL) {
				trim(t, n);
				return -Q_ENOMEM;
			}
			next->n_parent = n;
			*slot_of(n, i) = next;
			n->n_used++;
		}
		t->pt_leaf = n;
	}
	if (*slot_of(n, i) == NULL) {
		n->n_used++;
		t->pt_n++;
	}
	*slot_of(n, i) = p;
	return 0;
}

void *
ptree_del(struct ptree *t, uint64_t i)
{
	struct pnode *n = find_leaf(t, i);
	void *p = n != NULL ? *slot_of(n, i) : NULL;

	if (p == NULL)
		return NULL;
	*slot_of(n, i) = NULL;
	n->n_used--;
	t->pt_n--;
	trim(t, n);
	return p;
}

/* The first slot of `n` in use that covers `i` or what is behind it; NULL. */
static void *
first_used(struct pnode *n, uint64_t i, uint64_t *ip)
{
	uint64_t s = i > n->n_base ? (i - n->n_base) >> n->n_shift : 0;

	for (; s < NODE_SLOTS; s++)
		if (n->n_slot[s] != NULL) {
			*ip = n->n_base + (s << n->n_shift);
			if (*ip < i)
				*ip = i;
			return n->n_slot[s];
		}
	return NULL;
}

void *
ptree_next(struct ptree *t, uint64_t *ip)
{
	struct pnode *n = t->pt_root, *up;
	uint64_t i = *ip, at;
	void *p;

	while (n != NULL) {
		p = first_used(n, i, &at);
		if (p != NULL && n->n_shift == 0) {
			t->pt_leaf = n;
			*ip = at;
			return p;
		}
		if (p != NULL) {
			i = at;
			n = p;
			continue;
		}
		/* On behind what this one covers. */
		i = n->n_base + ((uint64_t)NODE_SLOTS << n->n_shift);
		for (up = n->n_parent; up != NULL && !covers(up, i);
		     up = up->n_parent)
			continue;
		n = up;
	}
	return NULL;
}
