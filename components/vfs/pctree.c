/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pages of a file by index: a radix tree, looked up without a lock.
 *
 * A node has 64 slots, pages at the bottom (n_shift 0) and nodes above, and for
 * each tag a bit a slot: whether the page, or anything below the node, has it.
 * The tree becomes higher as need be and lower only when it becomes empty.
 *
 * Who looks up without pc_lock may see a page go, or a node: nodes are freed
 * through an epoch, and a page is the file's if the slot still has it after a
 * reference was taken, which can't be had of a page that is free.  It may have
 * become somebody else's page meanwhile, who then has a reference too many for
 * a moment; nobody minds.
 */
#include "pcimpl.h"

static const struct qtag tag_node = { "page cache node" };

static inline unsigned
slot_of(const struct qpcache_node *n, uint64_t index)
{
	return (unsigned)(index >> n->n_shift) & (NODE_SLOTS - 1);
}

/* Is the index too large for a tree with this root? */
static inline bool
is_beyond(const struct qpcache_node *root, uint64_t index)
{
	return index >> root->n_shift >> NODE_BITS != 0;
}

/* The slot of a page, or NULL if there is no node for it. */
static inline void **
find_slot(struct qpcache *pc, uint64_t index)
{
	struct qpcache_node *n = __atomic_load_n(&pc->pc_root,
	    __ATOMIC_ACQUIRE);

	if (n == NULL || is_beyond(n, index))
		return NULL;
	while (n->n_shift != 0) {
		n = __atomic_load_n(&n->n_slot[slot_of(n, index)],
		    __ATOMIC_ACQUIRE);
		if (n == NULL)
			return NULL;
	}
	return &n->n_slot[slot_of(n, index)];
}

struct qpage *
pctree_lookup(struct qpcache *pc, uint64_t index)
{
	void **slot = find_slot(pc, index);

	return slot != NULL ? __atomic_load_n(slot, __ATOMIC_ACQUIRE) : NULL;
}

/* Take a reference to what may be free by now. */
static inline bool
page_tryget(struct qpage *pg)
{
	uint32_t n = __atomic_load_n(&pg->pg_refs, __ATOMIC_RELAXED);

	if (!qcpu_current()->v_smp) {
		/* Nobody else is in the kernel (lock.h). */
		if (n != 0)
			__atomic_store_n(&pg->pg_refs, n + 1, __ATOMIC_RELAXED);
		return n != 0;
	}
	do {
		if (n == 0)
			return false;
	} while (!__atomic_compare_exchange_n(&pg->pg_refs, &n, n + 1, true,
	    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return true;
}

struct qpage *
pctree_get(struct qpcache *pc, uint64_t index)
{
	struct qpage *pg;
	void **slot;

	qepoch_enter();
	for (;;) {
		slot = find_slot(pc, index);
		pg = slot != NULL ? __atomic_load_n(slot, __ATOMIC_ACQUIRE) :
				    NULL;
		if (pg == NULL)
			break;
		if (!page_tryget(pg)) {
			/* It goes; the slot follows at once. */
			qspin_hint();
			continue;
		}
		if (qlikely(__atomic_load_n(slot, __ATOMIC_ACQUIRE) == pg))
			break;
		qpage_put(quern_current(), pg);
	}
	qepoch_exit();
	return pg;
}

struct qpage *
pctree_peek(struct qpcache *pc, uint64_t index)
{
	struct qpage *pg;

	qepoch_enter();
	pg = pctree_lookup(pc, index);
	qepoch_exit();
	return pg;
}

void
pctree_warm(struct quern *k, struct qpcache *pc, uint64_t index)
{
	struct qpage *pg;
	const char *data;

	qepoch_enter();
	pg = pctree_lookup(pc, index);
	if (pg != NULL) {
		__builtin_prefetch(pg, 1);
		data = qpage_data(k, pg);
		__builtin_prefetch(data);
		__builtin_prefetch(data + 64);
	}
	qepoch_exit();
}

/* ---- changes, under pc_lock --------------------------------------------- */

static void
node_free(struct qepoch_entry *e)
{
	qfree(QCONTAINER(e, struct qpcache_node, n_epoch));
}

static struct qpcache_node *
node_make(uint32_t shift, struct qpcache_node *parent)
{
	struct qpcache_node *n = qzalloc(&tag_node, sizeof(*n));

	if (n != NULL) {
		n->n_shift = shift;
		n->n_parent = parent;
	}
	return n;
}

/* Take nodes out that have become empty, from `n` up. */
static void
prune(struct qpcache *pc, struct qpcache_node *n, uint64_t index)
{
	struct qpcache_node *up;

	for (; n != NULL && n->n_tag[PCT_PRESENT] == 0; n = up) {
		up = n->n_parent;
		if (up == NULL) {
			__atomic_store_n(&pc->pc_root, NULL, __ATOMIC_RELEASE);
		} else {
			__atomic_store_n(&up->n_slot[slot_of(up, index)], NULL,
			    __ATOMIC_RELEASE);
			up->n_tag[PCT_PRESENT] &= ~(
			    UINT64_C(1) << slot_of(up, index));
		}
		qepoch_defer(&n->n_epoch, node_free);
	}
}

/* Make the tree high enough for the index.  False: no memory. */
static bool
grow(struct qpcache *pc, uint64_t index)
{
	struct qpcache_node *root = pc->pc_root, *n;
	unsigned t;

	if (root == NULL) {
		root = node_make(0, NULL);
		if (root == NULL)
			return false;
		/* Nobody looks into it before something is in it. */
		while (is_beyond(root, index))
			root->n_shift += NODE_BITS;
		__atomic_store_n(&pc->pc_root, root, __ATOMIC_RELEASE);
	}
	while (is_beyond(root, index)) {
		n = node_make(root->n_shift + NODE_BITS, NULL);
		if (n == NULL)
			return false;
		n->n_slot[0] = root;
		for (t = 0; t < PCT_N; t++)
			n->n_tag[t] = root->n_tag[t] != 0;
		root->n_parent = n;
		__atomic_store_n(&pc->pc_root, n, __ATOMIC_RELEASE);
		root = n;
	}
	return true;
}

/* The bottom node for an index; NULL: there is none. */
static struct qpcache_node *
leaf_of(struct qpcache *pc, uint64_t index)
{
	struct qpcache_node *n = pc->pc_root;

	if (n == NULL || is_beyond(n, index))
		return NULL;
	while (n != NULL && n->n_shift != 0)
		n = n->n_slot[slot_of(n, index)];
	return n;
}

/* The bottom node for an index, made if need be; NULL: no memory. */
static struct qpcache_node *
leaf_make(struct qpcache *pc, uint64_t index)
{
	struct qpcache_node *n, *below;

	if (!grow(pc, index)) {
		n = pc->pc_root;
		if (n != NULL)
			prune(pc, n, index);
		return NULL;
	}
	for (n = pc->pc_root; n->n_shift != 0; n = below) {
		below = n->n_slot[slot_of(n, index)];
		if (below != NULL)
			continue;
		below = node_make(n->n_shift - NODE_BITS, n);
		if (below == NULL) {
			prune(pc, n, index);
			return NULL;
		}
		n->n_tag[PCT_PRESENT] |= UINT64_C(1) << slot_of(n, index);
		__atomic_store_n(&n->n_slot[slot_of(n, index)], below,
		    __ATOMIC_RELEASE);
	}
	return n;
}

int
pctree_insert(struct qpcache *pc, uint64_t index, struct qpage *pg)
{
	struct qpcache_node *n = leaf_make(pc, index);
	unsigned i;

	if (n == NULL)
		return -Q_ENOMEM;
	i = slot_of(n, index);
	if (n->n_slot[i] != NULL)
		return -Q_EEXIST;
	__atomic_store_n(&n->n_slot[i], pg, __ATOMIC_RELEASE);
	pctree_set(pc, index, PCT_PRESENT, true);
	__atomic_store_n(&pc->pc_npages, pc->pc_npages + 1, __ATOMIC_RELAXED);
	return 0;
}

void
pctree_remove(struct qpcache *pc, uint64_t index)
{
	struct qpcache_node *n = leaf_of(pc, index);
	unsigned i = slot_of(n, index), t;

	qassert(n->n_slot[i] != NULL);
	for (t = PCT_PRESENT + 1; t < PCT_N; t++)
		pctree_set(pc, index, t, false);
	__atomic_store_n(&n->n_slot[i], NULL, __ATOMIC_RELEASE);
	n->n_tag[PCT_PRESENT] &= ~(UINT64_C(1) << i);
	__atomic_store_n(&pc->pc_npages, pc->pc_npages - 1, __ATOMIC_RELAXED);
	prune(pc, n, index);
}

bool
pctree_is(struct qpcache *pc, uint64_t index, enum pctag tag)
{
	struct qpcache_node *n = leaf_of(pc, index);

	return n != NULL && (n->n_tag[tag] >> slot_of(n, index) & 1) != 0;
}

void
pctree_set(struct qpcache *pc, uint64_t index, enum pctag tag, bool on)
{
	struct qpcache_node *n = leaf_of(pc, index);
	uint64_t bit, old;

	for (; n != NULL; n = n->n_parent) {
		bit = UINT64_C(1) << slot_of(n, index);
		old = n->n_tag[tag];
		n->n_tag[tag] = on ? old | bit : old & ~bit;
		/* Above, nothing changes then. */
		if (n->n_tag[tag] == old || (on ? old : n->n_tag[tag]) != 0)
			break;
	}
}

struct qpage *
pctree_next(struct qpcache *pc, uint64_t *indexp, enum pctag tag)
{
	struct qpcache_node *n = pc->pc_root;
	uint64_t index = *indexp, bits;
	unsigned i, span;

	while (n != NULL && (n != pc->pc_root || !is_beyond(n, index))) {
		i = slot_of(n, index);
		bits = n->n_tag[tag] >> i;
		if (bits == 0) {
			/* Go on behind what is below this node. */
			span = n->n_shift + NODE_BITS;
			index = ((index >> span) + 1) << span;
			n = pc->pc_root;
			continue;
		}
		if ((bits & 1) == 0) {
			i += (unsigned)__builtin_ctzll(bits);
			index = ((index >> n->n_shift >> NODE_BITS
					 << NODE_BITS) |
				    i)
			    << n->n_shift;
		}
		if (n->n_shift == 0) {
			*indexp = index;
			return n->n_slot[i];
		}
		n = n->n_slot[i];
	}
	return NULL;
}
