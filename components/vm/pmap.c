/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which page is where: a table of 512-way levels, and the host's mappings, which
 * follow it.
 *
 * P1  The table is the truth.  What is mapped at the host is in the table, with
 *     at least the same access; the host may have less, and then a fault asks
 *     for it again (pmap_again).
 * P2  A page is counted (qpage_map) before it comes into a table, and counted
 *     off after it has left the table and the host has acknowledged that.
 * P3  A page takes another one's place only after the host has acknowledged that
 *     the other is gone: threads that run elsewhere must not see the old one
 *     when one of them has stored to the new one.
 *
 * pm_mutex is held while table and host change together, so that the host learns
 * of changes in the order in which they were made.  pm_lock is for those who
 * look at the table without it: a page that they found stays as long as they
 * hold that.  Tables come under both, and go with m_lock held for writing.
 *
 * When the host can't do more for want of memory - it has as many mappings as it
 * may have - all that it has is unmapped, in one operation, which needs none;
 * what is in use comes back by faults.  From then on it is asked to unmap rather
 * than to protect, since it can protect only what it has.
 */
#include "impl.h"

static const struct qtag tag_table = { "page table" };

#define PTE_VALID 1u
#define PTE_WRITE 2u
#define PTE_EXEC  4u
#define PTE_KIND  3u /* a shift */

#define LEVEL_BITS 9u
#define LEVEL_MASK 511u
#define LEAF_SHIFT (PAGE_SHIFT + LEVEL_BITS)
#define TOP_SHIFT  39u
#define LEAF_SPAN  ((uint64_t)1 << LEAF_SHIFT)

static inline uint64_t
pte_load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void
pte_store(uint64_t *p, uint64_t pte)
{
	__atomic_store_n(p, pte, __ATOMIC_RELAXED);
}

static inline uint64_t
pte_make(struct quern *k, struct qpage *pg, unsigned prot, enum pkind kind)
{
	return qpage_offset(k, pg) | PTE_VALID | (uint64_t)kind << PTE_KIND |
	    ((prot & QVM_WRITE) != 0 ? PTE_WRITE : 0) |
	    ((prot & QVM_EXEC) != 0 ? PTE_EXEC : 0);
}

static inline uint64_t
pte_ram(uint64_t pte)
{
	return pte & ~PAGE_MASK;
}

static inline unsigned
pte_prot(uint64_t pte)
{
	return QVM_READ | ((pte & PTE_WRITE) != 0 ? QVM_WRITE : 0) |
	    ((pte & PTE_EXEC) != 0 ? QVM_EXEC : 0);
}

static inline enum pkind
pte_kind(uint64_t pte)
{
	return (enum pkind)(pte >> PTE_KIND & 3u);
}

static inline unsigned
slot_at(uint64_t va, unsigned shift)
{
	return (unsigned)(va >> shift) & LEVEL_MASK;
}

static int
nothing_update(void *arg, const struct quern_vm_op *ops, unsigned n)
{
	(void)arg, (void)ops, (void)n;
	return 0;
}

const struct qpmap_ops pmap_nothing = { .pm_update = nothing_update };

/* ---- tables ----------------------------------------------------------------- */

static inline uint64_t *
table_of(uint64_t slot)
{
	return (uint64_t *)(uintptr_t)slot;
}

/* The leaf for `va`, or NULL.  [p] or [t] or [m] */
static uint64_t *
leaf_at(struct qvmmap *m, uint64_t va)
{
	uint64_t *t = m->pm_root;
	unsigned shift;

	for (shift = TOP_SHIFT; t != NULL && shift > PAGE_SHIFT;
	     shift -= LEVEL_BITS)
		t = table_of(pte_load(&t[slot_at(va, shift)]));
	return t;
}

/* The first leaf that has addresses in [*vap, end), and the first of these. */
static uint64_t *
leaf_from(struct qvmmap *m, uint64_t *vap, uint64_t end)
{
	uint64_t va = *vap, *t, *next;
	unsigned shift;

	while (va < end && m->pm_root != NULL) {
		t = m->pm_root;
		for (shift = TOP_SHIFT; shift > PAGE_SHIFT;
		     shift -= LEVEL_BITS) {
			next = table_of(pte_load(&t[slot_at(va, shift)]));
			if (next == NULL)
				break;
			t = next;
		}
		if (shift == PAGE_SHIFT) {
			*vap = va;
			return t;
		}
		va = ((va >> shift) + 1) << shift;
	}
	*vap = end;
	return NULL;
}

/* Where the addresses of the leaf of `va` end, or `end`. */
static inline uint64_t
leaf_end(uint64_t va, uint64_t end)
{
	uint64_t e = (va | (LEAF_SPAN - 1)) + 1;

	return e < end ? e : end;
}

/* The leaf for `va`, made if need be; NULL: no memory.  [p] */
static uint64_t *
leaf_make(struct qvmmap *m, uint64_t va)
{
	uint64_t *slot = NULL, *t = m->pm_root;
	unsigned shift = TOP_SHIFT;

	for (;;) {
		if (t == NULL) {
			t = qzalloc(&tag_table, PAGE_SIZE);
			if (t == NULL)
				return NULL;
			qspin_lock(&m->pm_lock);
			if (slot != NULL)
				pte_store(slot, (uintptr_t)t);
			else
				m->pm_root = t;
			m->pm_tables++;
			qspin_unlock(&m->pm_lock);
		}
		if (shift == PAGE_SHIFT)
			return t;
		slot = &t[slot_at(va, shift)];
		t = table_of(pte_load(slot));
		shift -= LEVEL_BITS;
	}
}

/* Free a table, whose slots are of 1 << shift bytes, and all below it.  [t] */
static void
free_tables(struct qvmmap *m, uint64_t *t, unsigned shift)
{
	unsigned i;

	for (i = 0; shift > PAGE_SHIFT && i <= LEVEL_MASK; i++)
		if (pte_load(&t[i]) != 0)
			free_tables(m, table_of(pte_load(&t[i])),
			    shift - LEVEL_BITS);
	m->pm_tables--;
	qfree(t);
}

/* What trim_tables is about. */
struct trim {
	struct qvmmap *tr_map;
	uint64_t tr_start, tr_end; /* where something was removed */
	uint64_t tr_low, tr_high;  /* where nothing is mapped now */
};

/* Give back the tables below `t`, at `shift`, that nobody needs.  [t] */
static void
trim_tables(const struct trim *tr, uint64_t *t, unsigned shift, uint64_t base)
{
	uint64_t span = (uint64_t)1 << shift, at, *next;
	unsigned i = tr->tr_start > base ? slot_at(tr->tr_start, shift) : 0;

	for (; i <= LEVEL_MASK; i++) {
		at = base + i * span;
		if (at >= tr->tr_end)
			break;
		next = table_of(pte_load(&t[i]));
		if (next == NULL)
			continue;
		if (at >= tr->tr_low && at + span <= tr->tr_high) {
			pte_store(&t[i], 0);
			free_tables(tr->tr_map, next, shift - LEVEL_BITS);
		} else if (shift > LEAF_SHIFT) {
			trim_tables(tr, next, shift - LEVEL_BITS, at);
		}
	}
}

static void
trim(struct qvmmap *m, uint64_t start, uint64_t end, uint64_t low,
    uint64_t high)
{
	struct trim tr = { m, start, end, low, high };

	qspin_lock(&m->pm_lock);
	if (m->pm_root != NULL)
		trim_tables(&tr, m->pm_root, TOP_SHIFT, 0);
	m->pm_leaf = NULL;
	qspin_unlock(&m->pm_lock);
}

/* ---- telling the host ---------------------------------------------------------- */

#define BATCH 24u

struct batch {
	struct qvmmap *b_map;
	unsigned b_n;
	int b_error;
	struct quern_vm_op b_op[BATCH];
};

static void
batch_init(struct batch *b, struct qvmmap *m)
{
	b->b_map = m;
	b->b_n = 0;
	b->b_error = 0;
}

static int
host_update(struct qvmmap *m, const struct quern_vm_op *op, unsigned n)
{
	return m->pm_ops->pm_update(m->pm_arg, op, n);
}

/* Have the host forget all; that it can always do.  [p] */
static void
host_forget(struct qvmmap *m)
{
	struct quern_vm_op op = { .v_cmd = QUERN_VM_UNMAP,
		.v_addr = QVM_LOW,
		.v_len = QVM_TOP - QVM_LOW };
	int error = host_update(m, &op, 1);

	qassert(error == 0);
	m->pm_lost = true;
}

/* Tell the host. */
static void
batch_flush(struct batch *b)
{
	unsigned i, n = 0;

	if (b->b_n == 0)
		return;
	if (host_update(b->b_map, b->b_op, b->b_n) != 0) {
		host_forget(b->b_map);
		for (i = 0; i < b->b_n; i++)
			if (b->b_op[i].v_cmd == QUERN_VM_MAP)
				b->b_op[n++] = b->b_op[i];
		if (n != 0 && host_update(b->b_map, b->b_op, n) != 0) {
			/* Maybe some of them were mapped; that is no harm. */
			b->b_error = -Q_ENOMEM;
		}
	}
	b->b_n = 0;
}

/* One change more, joined with the last one if that is possible. */
static void
batch_add(struct batch *b, enum quern_vm_cmd cmd, uint64_t va, uint64_t len,
    uint64_t ram, unsigned prot)
{
	struct quern_vm_op *op = &b->b_op[b->b_n];

	if (cmd == QUERN_VM_PROTECT && b->b_map->pm_lost) {
		cmd = QUERN_VM_UNMAP;
		prot = 0;
	}
	if (b->b_n > 0) {
		op--;
		if (op->v_cmd == (uint32_t)cmd && op->v_prot == prot &&
		    op->v_addr + op->v_len == va &&
		    (cmd != QUERN_VM_MAP || op->v_ram + op->v_len == ram)) {
			op->v_len += len;
			return;
		}
		op++;
	}
	if (b->b_n == BATCH) {
		batch_flush(b);
		op = b->b_op;
	}
	op->v_cmd = cmd;
	op->v_prot = prot;
	op->v_addr = va;
	op->v_len = len;
	op->v_ram = ram;
	b->b_n++;
}

/* ---- mapping --------------------------------------------------------------------- */

static struct qpage *
page_of(struct qvmmap *m, uint64_t pte)
{
	return qpage_at(m->m_k, pte_ram(pte));
}

/* [t] */
static inline void
count_kind(struct qvmmap *m, uint64_t pte, uint64_t n)
{
	uint64_t rss;

	m->pm_n[pte_kind(pte)] += n;
	rss = m->pm_n[PK_ANON] + m->pm_n[PK_FILE] + m->pm_n[PK_SHMEM];
	if (rss > m->pm_peak)
		__atomic_store_n(&m->pm_peak, rss, __ATOMIC_RELAXED);
}

/*
 * Enter one.  The page that lost a mapping by it, `pg` itself if it is none more,
 * or NULL.
 */
static struct qpage *
enter_one(struct qvmmap *m, struct batch *b, uint64_t *slot, uint64_t va,
    uint64_t pte, struct qpage *pg, bool replace)
{
	uint64_t old = pte_load(slot);
	struct qpage *lost = NULL;

	if ((old & PTE_VALID) != 0) {
		lost = pg;
		if (pte_ram(old) == pte_ram(pte)) {
			pte |= old & (PTE_WRITE | PTE_EXEC);
			if (pte == old && !replace)
				return lost;
		} else if (replace) {
			lost = page_of(m, old);
			batch_add(b, QUERN_VM_UNMAP, va, PAGE_SIZE, 0, 0);
		} else {
			return lost;
		}
	}
	qspin_lock(&m->pm_lock);
	if ((old & PTE_VALID) != 0)
		count_kind(m, old, UINT64_MAX);
	count_kind(m, pte, 1);
	pte_store(slot, pte);
	qspin_unlock(&m->pm_lock);
	batch_add(b, QUERN_VM_MAP, va, PAGE_SIZE, pte_ram(pte),
	    pte_prot(pte) | QUERN_VM_POPULATE);
	return lost;
}

int
pmap_enter(struct qvmmap *m, uint64_t va, struct qpage **pages, unsigned n,
    unsigned prot, enum pkind kind, uint64_t must)
{
	uint64_t *leaf = NULL, at, pte;
	unsigned i, nlost = 0;
	struct qpage *lost;
	struct batch b;
	int error = 0;

	batch_init(&b, m);
	qmutex_lock(&m->pm_mutex);
	for (i = 0; i < n; i++) {
		at = va + ((uint64_t)i << PAGE_SHIFT);
		if (pages[i] == NULL)
			continue;
		if (leaf == NULL || slot_at(at, PAGE_SHIFT) == 0)
			leaf = leaf_make(m, at);
		lost = pages[i];
		if (leaf != NULL) {
			pte = pte_make(m->m_k, pages[i], prot, kind);
			lost = enter_one(m, &b, &leaf[slot_at(at, PAGE_SHIFT)],
			    at, pte, pages[i], at == must);
		} else if (at == must) {
			error = -Q_ENOMEM;
		}
		if (lost != NULL)
			pages[nlost++] = lost;
	}
	batch_flush(&b);
	qmutex_unlock(&m->pm_mutex);
	for (i = 0; i < nlost; i++)
		qpage_unmap(m->m_k, pages[i], 1);
	return error != 0 ? error : b.b_error;
}

unsigned
pmap_prot(struct qvmmap *m, uint64_t va)
{
	uint64_t *leaf, pte = 0;

	qspin_lock(&m->pm_lock);
	leaf = leaf_at(m, va);
	if (leaf != NULL)
		pte = pte_load(&leaf[slot_at(va, PAGE_SHIFT)]);
	qspin_unlock(&m->pm_lock);
	return (pte & PTE_VALID) != 0 ? pte_prot(pte) : 0;
}

/* So many pages around one that the host has lost are mapped again with it. */
#define AGAIN_PAGES 64u

int
pmap_again(struct qvmmap *m, uint64_t va)
{
	uint64_t at = va & ~(AGAIN_PAGES * PAGE_SIZE - 1), *leaf, pte;
	struct batch b;
	unsigned i;

	batch_init(&b, m);
	qmutex_lock(&m->pm_mutex);
	leaf = leaf_at(m, at);
	for (i = 0; leaf != NULL && i < AGAIN_PAGES; i++, at += PAGE_SIZE) {
		pte = pte_load(&leaf[slot_at(at, PAGE_SHIFT)]);
		if ((pte & PTE_VALID) != 0)
			batch_add(&b, QUERN_VM_MAP, at, PAGE_SIZE, pte_ram(pte),
			    pte_prot(pte) | QUERN_VM_POPULATE);
	}
	batch_flush(&b);
	qmutex_unlock(&m->pm_mutex);
	return b.b_error;
}

void
qvm_refresh(struct qvmmap *m)
{
	qmutex_lock(&m->pm_mutex);
	host_forget(m);
	qmutex_unlock(&m->pm_mutex);
}

/* ---- unmapping ---------------------------------------------------------------------- */

/* The first and the end of the last page in [start, end); false: none. */
static bool
find_used(struct qvmmap *m, uint64_t start, uint64_t end, uint64_t *firstp,
    uint64_t *lastp)
{
	uint64_t va = start, *leaf, stop;
	bool found = false;

	while ((leaf = leaf_from(m, &va, end)) != NULL)
		for (stop = leaf_end(va, end); va < stop; va += PAGE_SIZE) {
			if ((pte_load(&leaf[slot_at(va, PAGE_SHIFT)]) &
				PTE_VALID) == 0)
				continue;
			if (!found)
				*firstp = va;
			found = true;
			*lastp = va + PAGE_SIZE;
		}
	return found;
}

/* Pages that leave the table at a time. */
#define CHUNK 128u

/* Take pages from *vap on out of the table; how many. */
static unsigned
take_chunk(struct qvmmap *m, uint64_t *vap, uint64_t end, struct qpage **out)
{
	uint64_t *leaf, stop, pte, *slot;
	unsigned n = 0;

	qspin_lock(&m->pm_lock);
	while (n < CHUNK && (leaf = leaf_from(m, vap, end)) != NULL)
		for (stop = leaf_end(*vap, end); *vap < stop && n < CHUNK;
		     *vap += PAGE_SIZE) {
			slot = &leaf[slot_at(*vap, PAGE_SHIFT)];
			pte = pte_load(slot);
			if ((pte & PTE_VALID) == 0)
				continue;
			pte_store(slot, 0);
			count_kind(m, pte, UINT64_MAX);
			out[n++] = page_of(m, pte);
		}
	qspin_unlock(&m->pm_lock);
	return n;
}

/* All of [start, end) leaves the table, and the host knows. */
static void
take_all(struct qvmmap *m, uint64_t start, uint64_t end)
{
	struct qpage *out[CHUNK];
	unsigned i, n;

	while (start < end) {
		n = take_chunk(m, &start, end, out);
		for (i = 0; i < n; i++)
			qpage_unmap(m->m_k, out[i], 1);
	}
}

void
pmap_remove(struct qvmmap *m, uint64_t start, uint64_t end, uint64_t low,
    uint64_t high)
{
	struct batch b;
	bool used;

	qassert(qrw_wrheld(&m->m_lock));
	batch_init(&b, m);
	qmutex_lock(&m->pm_mutex);
	used = find_used(m, start, end, &start, &end);
	if (used) {
		batch_add(&b, QUERN_VM_UNMAP, start, end - start, 0, 0);
		batch_flush(&b);
	}
	qmutex_unlock(&m->pm_mutex);
	if (!used)
		return;
	take_all(m, start, end);
	if (high - low >= LEAF_SPAN)
		trim(m, start, end, low, high);
}

bool
pmap_page(struct qvmmap *m, uint64_t va, struct qpage *pg, bool remove)
{
	uint64_t *leaf, *slot = NULL, pte = 0;
	struct batch b;
	bool mapped;

	batch_init(&b, m);
	qmutex_lock(&m->pm_mutex);
	qspin_lock(&m->pm_lock);
	leaf = leaf_at(m, va);
	if (leaf != NULL) {
		slot = &leaf[slot_at(va, PAGE_SHIFT)];
		pte = pte_load(slot);
	}
	mapped = (pte & PTE_VALID) != 0 &&
	    pte_ram(pte) == qpage_offset(m->m_k, pg);
	if (mapped && remove) {
		pte_store(slot, 0);
		count_kind(m, pte, UINT64_MAX);
		batch_add(&b, QUERN_VM_UNMAP, va, PAGE_SIZE, 0, 0);
	} else if (mapped && (pte & PTE_WRITE) != 0) {
		pte &= ~(uint64_t)PTE_WRITE;
		pte_store(slot, pte);
		batch_add(&b, QUERN_VM_PROTECT, va, PAGE_SIZE, 0,
		    pte_prot(pte));
	}
	qspin_unlock(&m->pm_lock);
	batch_flush(&b);
	qmutex_unlock(&m->pm_mutex);
	return mapped;
}

/* What is mapped in [start, end) keeps these bits of its entries. */
static void
protect_range(struct batch *b, uint64_t start, uint64_t end, unsigned prot)
{
	struct qvmmap *m = b->b_map;
	uint64_t gone = PTE_WRITE | PTE_EXEC, va = start, stop;
	uint64_t *leaf, *slot, pte;

	if ((prot & QVM_WRITE) != 0)
		gone &= ~(uint64_t)PTE_WRITE;
	if ((prot & QVM_EXEC) != 0)
		gone &= ~(uint64_t)PTE_EXEC;
	while ((leaf = leaf_from(m, &va, end)) != NULL)
		for (stop = leaf_end(va, end); va < stop; va += PAGE_SIZE) {
			slot = &leaf[slot_at(va, PAGE_SHIFT)];
			pte = pte_load(slot);
			if ((pte & PTE_VALID) == 0 || (pte & gone) == 0)
				continue;
			qspin_lock(&m->pm_lock);
			pte &= ~gone;
			pte_store(slot, pte);
			qspin_unlock(&m->pm_lock);
			batch_add(b, QUERN_VM_PROTECT, va, PAGE_SIZE, 0,
			    pte_prot(pte));
		}
}

void
pmap_protect(struct qvmmap *m, uint64_t start, uint64_t end, unsigned prot)
{
	struct batch b;

	qassert(qrw_wrheld(&m->m_lock));
	batch_init(&b, m);
	qmutex_lock(&m->pm_mutex);
	protect_range(&b, start, end, prot);
	batch_flush(&b);
	qmutex_unlock(&m->pm_mutex);
}

void
pmap_fork(struct qvmmap *m)
{
	struct batch b;
	struct entry *e;
	struct qlist *l;

	qassert(qrw_wrheld(&m->m_lock));
	batch_init(&b, m);
	qmutex_lock(&m->pm_mutex);
	QLIST_FOREACH(l, &m->m_entries) {
		e = QLIST_ELEM(l, struct entry, e_link);
		if ((e->e_flags & E_COPY) != 0)
			protect_range(&b, e->e_start, e->e_end,
			    access_of(e->e_prot) & ~QVM_WRITE);
	}
	batch_flush(&b);
	qmutex_unlock(&m->pm_mutex);
}

void
pmap_fini(struct qvmmap *m)
{
	take_all(m, 0, QVM_TOP);
	if (m->pm_root == NULL)
		return;
	qspin_lock(&m->pm_lock);
	free_tables(m, m->pm_root, TOP_SHIFT);
	m->pm_root = m->pm_leaf = NULL;
	qspin_unlock(&m->pm_lock);
}

/* ---- looking ------------------------------------------------------------------------- */

uint64_t
pmap_count(struct qvmmap *m, uint64_t start, uint64_t end)
{
	uint64_t va = start, *leaf, stop, n = 0;

	while ((leaf = leaf_from(m, &va, end)) != NULL)
		for (stop = leaf_end(va, end); va < stop; va += PAGE_SIZE)
			n += pte_load(&leaf[slot_at(va, PAGE_SHIFT)]) &
			    PTE_VALID;
	return n;
}

void *
pmap_data(struct qvmmap *m, uint64_t va, unsigned prot)
{
	uint64_t *leaf = m->pm_leaf, pte;

	if (leaf == NULL || (va ^ m->pm_leafva) >> LEAF_SHIFT != 0) {
		leaf = leaf_at(m, va);
		if (leaf == NULL)
			return NULL;
		m->pm_leaf = leaf;
		m->pm_leafva = va;
	}
	pte = pte_load(&leaf[slot_at(va, PAGE_SHIFT)]);
	if ((pte & PTE_VALID) == 0 ||
	    ((prot & QVM_WRITE) != 0 && (pte & PTE_WRITE) == 0))
		return NULL;
	return (char *)qpage_data(m->m_k, page_of(m, pte)) + (va & PAGE_MASK);
}
