/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RAM pages: a buddy allocator and the life of a page.
 *
 * Definitions.  A block is 1 << order pages, aligned to its size.  Pages from
 * pp_virgin on have never been used: neither they nor their structures have
 * been touched, so a new kernel costs nothing for its RAM.
 *
 * P1  A free block below pp_virgin is on pp_free[order], its head has QPG_FREE
 *     and pg_order, and its buddy is not a free block of the same order.
 * P2  An allocated block's head has at least one reference.
 * P3  A block is freed with no mapping, no pin and not busy.
 * P4  A page with mappings has a mapper, unless they were counted without one.
 *     The mapper goes with the last mapping, and under the reverse-map mutex:
 *     so it is there as long as a callback of its runs.
 *
 * Locks: pp_lock is a leaf.  The mutexes of the reverse map are hashed by page
 * and held across the mappers' callbacks.
 */
#include "impl.h"

#include "page.h"

#define HASH 64u

struct qpages {
	struct hspin pp_lock;
	struct qlist pp_free[QPAGE_MAXORDER + 1]; /* [pp_lock] */
	uint64_t pp_virgin;                       /* [pp_lock] */
	uint64_t pp_nfree;     /* [pp_lock] virgin ones included */
	uint64_t pp_npage;     /* [I] */
	struct qpage *pp_page; /* [I] */
	char *pp_base;         /* [I] */
	struct qwaitq pp_wait[HASH];
	struct qmutex pp_rmap[HASH];
};

_Static_assert(sizeof(struct qpage) == 64, "a page structure a cache line");
_Static_assert(sizeof(struct qpages) <= 2 * QUERN_PAGE_SIZE, "fits its map");

static inline uint64_t
page_index(const struct qpages *pp, const struct qpage *pg)
{
	return (uint64_t)(pg - pp->pp_page);
}

static inline unsigned
page_hash(const struct qpages *pp, const struct qpage *pg)
{
	return (unsigned)(page_index(pp, pg) % HASH);
}

int
page_init(struct quern *k, size_t ram)
{
	const struct quern_hyper *hy = k->k_hyper;
	struct qpages *pp;
	void *mem;
	unsigned i;
	int error;

	error = hy->map(k->k_ctx, 2 * QUERN_PAGE_SIZE, QUERN_PAGE_SIZE, 0,
	    &mem);
	if (error != 0)
		return error;
	pp = k->k_pages = mem;
	for (i = 0; i <= QPAGE_MAXORDER; i++)
		qlist_init(&pp->pp_free[i]);
	for (i = 0; i < HASH; i++) {
		qwaitq_init(&pp->pp_wait[i]);
		qmutex_init(&pp->pp_rmap[i], "rmap");
	}
	error = hy->map(k->k_ctx,
	    QROUNDUP(ram / QUERN_PAGE_SIZE * sizeof(struct qpage),
		QUERN_PAGE_SIZE),
	    QUERN_PAGE_SIZE, 0, &mem);
	if (error != 0)
		return error;
	pp->pp_page = mem;
	pp->pp_npage = pp->pp_nfree = ram / QUERN_PAGE_SIZE;
	error = hy->ram_create(k->k_ctx, ram, &mem);
	if (error != 0)
		return error;
	pp->pp_base = mem;
	return 0;
}

void
page_fini(struct quern *k)
{
	struct qpages *pp = k->k_pages;

	if (pp == NULL)
		return;
	if (pp->pp_page != NULL)
		k->k_hyper->unmap(k->k_ctx, pp->pp_page,
		    QROUNDUP(pp->pp_npage * sizeof(struct qpage),
			QUERN_PAGE_SIZE));
	k->k_hyper->unmap(k->k_ctx, pp, 2 * QUERN_PAGE_SIZE);
	k->k_pages = NULL;
}

void
page_stats(struct quern *k, uint64_t *total, uint64_t *free)
{
	struct qpages *pp = k->k_pages;

	*total = pp->pp_npage;
	*free = __atomic_load_n(&pp->pp_nfree, __ATOMIC_RELAXED);
}

/* ---- buddies ----------------------------------------------------------- */

static void
block_add(struct qpages *pp, uint64_t i, unsigned order)
{
	struct qpage *pg = &pp->pp_page[i];

	pg->pg_flags = QPG_FREE;
	pg->pg_order = (uint8_t)order;
	qlist_prepend(&pp->pp_free[order], &pg->pg_link);
}

static void
block_remove(struct qpage *pg)
{
	pg->pg_flags = 0;
	qlist_del(&pg->pg_link);
}

/* Add a block, merging it with its buddy as long as that is free. */
static void
block_merge(struct qpages *pp, uint64_t i, unsigned order)
{
	struct qpage *buddy;
	uint64_t b;

	for (; order < QPAGE_MAXORDER; order++) {
		b = i ^ (UINT64_C(1) << order);
		if (b + (UINT64_C(1) << order) > pp->pp_virgin)
			break;
		buddy = &pp->pp_page[b];
		/* Who has it may change the other flags meanwhile. */
		if ((__atomic_load_n(&buddy->pg_flags, __ATOMIC_RELAXED) &
			QPG_FREE) == 0 ||
		    __atomic_load_n(&buddy->pg_order, __ATOMIC_RELAXED) !=
			order)
			break;
		block_remove(buddy);
		if (b < i)
			i = b;
	}
	block_add(pp, i, order);
}

/* Make the virgin pages below `end` free ones. */
static void
block_skip(struct qpages *pp, uint64_t end)
{
	uint64_t i;
	unsigned o;

	while ((i = pp->pp_virgin) < end) {
		o = QPAGE_MAXORDER;
		while (
		    i % (UINT64_C(1) << o) != 0 || i + (UINT64_C(1) << o) > end)
			o--;
		pp->pp_virgin = i + (UINT64_C(1) << o);
		block_merge(pp, i, o);
	}
}

/*
 * Take a block off the virgin pages; what alignment skips becomes free.  NULL:
 * there is none, and no virgin page is left: they may have completed a block.
 */
static struct qpage *
block_carve(struct qpages *pp, unsigned order)
{
	uint64_t size = UINT64_C(1) << order, i = QROUNDUP(pp->pp_virgin, size);

	if (i + size > pp->pp_npage) {
		block_skip(pp, pp->pp_npage);
		return NULL;
	}
	block_skip(pp, i);
	pp->pp_virgin = i + size;
	return &pp->pp_page[i];
}

static struct qpage *
block_find(struct qpages *pp, unsigned order)
{
	struct qpage *pg;
	unsigned o;

	for (o = order; o <= QPAGE_MAXORDER; o++) {
		if (qlist_empty(&pp->pp_free[o]))
			continue;
		pg = QLIST_ELEM(pp->pp_free[o].l_next, struct qpage, pg_link);
		block_remove(pg);
		while (o > order) {
			o--;
			block_add(pp, page_index(pp, pg) + (UINT64_C(1) << o),
			    o);
		}
		return pg;
	}
	return NULL;
}

static struct qpage *
block_take(struct qpages *pp, unsigned order)
{
	struct qpage *pg = block_find(pp, order);

	if (pg == NULL && pp->pp_virgin < pp->pp_npage) {
		pg = block_carve(pp, order);
		if (pg == NULL)
			pg = block_find(pp, order);
	}
	return pg;
}

/* What an allocated page is like. */
static inline void
page_begin(struct qpage *pg, unsigned order)
{
	/* Freeing its buddy looks at it, and so may who last saw it in use. */
	__atomic_store_n(&pg->pg_flags, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&pg->pg_refs, 1, __ATOMIC_RELAXED);
	pg->pg_pins = 0;
	__atomic_store_n(&pg->pg_order, (uint8_t)order, __ATOMIC_RELAXED);
	pg->pg_obj = NULL;
	pg->pg_index = 0;
	qlist_init(&pg->pg_link);
	pg->pg_mapper = NULL;
	__atomic_store_n(&pg->pg_maps, 0, __ATOMIC_RELAXED);
}

/* *freshp: nobody has ever used it, so it is as the host made it, zeroes. */
static struct qpage *
page_alloc(struct quern *k, unsigned order, bool *freshp)
{
	struct qpages *pp = k->k_pages;
	uint64_t virgin;
	struct qpage *pg;

	qassert(order <= QPAGE_MAXORDER);
	if (qalloc_fails(k))
		return NULL;
	vspin_lock(k, &pp->pp_lock);
	virgin = pp->pp_virgin;
	pg = block_take(pp, order);
	if (pg != NULL)
		__atomic_store_n(&pp->pp_nfree,
		    pp->pp_nfree - (UINT64_C(1) << order), __ATOMIC_RELAXED);
	vspin_unlock(k, &pp->pp_lock);
	if (pg == NULL)
		return NULL;
	*freshp = page_index(pp, pg) >= virgin;
	page_begin(pg, order);
	return pg;
}

struct qpage *
qpage_alloc(struct quern *k, unsigned order)
{
	bool fresh;

	return page_alloc(k, order, &fresh);
}

struct qpage *
qpage_alloc_zeroed(struct quern *k, unsigned order)
{
	bool fresh;
	struct qpage *pg = page_alloc(k, order, &fresh);

	if (pg != NULL && !fresh)
		memset(qpage_data(k, pg), 0, (size_t)QUERN_PAGE_SIZE << order);
	return pg;
}

void
qpage_split(struct qpage *pg, unsigned order)
{
	uint64_t i;

	qassert(pg->pg_order == order && pg->pg_refs == 1);
	for (i = 0; i < UINT64_C(1) << order; i++)
		page_begin(pg + i, 0);
}

static void
page_free(struct quern *k, struct qpage *pg)
{
	struct qpages *pp = k->k_pages;

	qassert(!qpage_mapped(pg));
	qassert(pg->pg_pins == 0);
	qassert((pg->pg_flags & (QPG_BUSY | QPG_FREE)) == 0);
	qassert(qlist_empty(&pg->pg_link));
	vspin_lock(k, &pp->pp_lock);
	__atomic_store_n(&pp->pp_nfree,
	    pp->pp_nfree + (UINT64_C(1) << pg->pg_order), __ATOMIC_RELAXED);
	block_merge(pp, page_index(pp, pg), pg->pg_order);
	vspin_unlock(k, &pp->pp_lock);
}

/* ---- references, addresses ----------------------------------------------- */

/*
 * Add to a count or change flags; what was there before.  With one vCPU whoever
 * runs it is alone, as for locks (lock.h), and a locked instruction would wait
 * for all of a page that has just been copied.
 */
static inline uint32_t
count_add(uint32_t *p, uint32_t n)
{
	uint32_t old;

	if (qcpu_current()->v_smp)
		return __atomic_fetch_add(p, n, __ATOMIC_ACQ_REL);
	old = __atomic_load_n(p, __ATOMIC_RELAXED);
	__atomic_store_n(p, old + n, __ATOMIC_RELAXED);
	return old;
}

uint32_t
qpage_flags(struct qpage *pg, uint32_t set, uint32_t unset)
{
	uint32_t old = __atomic_load_n(&pg->pg_flags, __ATOMIC_RELAXED);

	if (!qcpu_current()->v_smp)
		__atomic_store_n(&pg->pg_flags, (old & ~unset) | set,
		    __ATOMIC_RELAXED);
	else if (unset == 0)
		old = __atomic_fetch_or(&pg->pg_flags, set, __ATOMIC_ACQ_REL);
	else if (set == 0)
		old = __atomic_fetch_and(&pg->pg_flags, ~unset,
		    __ATOMIC_ACQ_REL);
	else
		while (!__atomic_compare_exchange_n(&pg->pg_flags, &old,
		    (old & ~unset) | set, true, __ATOMIC_ACQ_REL,
		    __ATOMIC_RELAXED))
			continue;
	return old;
}

void
qpage_get(struct qpage *pg)
{
	uint32_t old = count_add(&pg->pg_refs, 1);

	qassert(old != 0);
}

void
qpage_put(struct quern *k, struct qpage *pg)
{
	uint32_t old = count_add(&pg->pg_refs, UINT32_MAX);

	qassert(old != 0);
	if (old == 1)
		page_free(k, pg);
}

void *
qpage_data(struct quern *k, const struct qpage *pg)
{
	return k->k_pages->pp_base + qpage_offset(k, pg);
}

uint64_t
qpage_offset(struct quern *k, const struct qpage *pg)
{
	return page_index(k->k_pages, pg) * QUERN_PAGE_SIZE;
}

struct qpage *
qpage_at(struct quern *k, uint64_t off)
{
	struct qpages *pp = k->k_pages;

	if (off / QUERN_PAGE_SIZE >= pp->pp_npage)
		return NULL;
	return &pp->pp_page[off / QUERN_PAGE_SIZE];
}

/* ---- busy, pins, dirty ----------------------------------------------------- */

static bool
is_busy(const struct qpage *pg)
{
	return (__atomic_load_n(&pg->pg_flags, __ATOMIC_RELAXED) & QPG_BUSY) !=
	    0;
}

bool
qpage_trybusy(struct qpage *pg)
{
	/* One locked instruction, as the bit is all that is asked for. */
	if (qcpu_current()->v_smp)
		return (__atomic_fetch_or(&pg->pg_flags, QPG_BUSY,
			    __ATOMIC_ACQ_REL) &
			   QPG_BUSY) == 0;
	return (qpage_flags(pg, QPG_BUSY, 0) & QPG_BUSY) == 0;
}

void
qpage_busy(struct quern *k, struct qpage *pg)
{
	struct qwaitq *w;

	while (!qpage_trybusy(pg)) {
		w = &k->k_pages->pp_wait[page_hash(k->k_pages, pg)];
		qspin_lock(&w->w_lock);
		(void)qpage_flags(pg, QPG_WANTED, 0);
		if (qpage_trybusy(pg)) {
			qspin_unlock(&w->w_lock);
			return;
		}
		(void)qwaitq_sleep(w, &w->w_lock, 0, QUERN_NEVER);
	}
}

void
qpage_unbusy(struct quern *k, struct qpage *pg)
{
	uint32_t old = qpage_flags(pg, 0, QPG_BUSY | QPG_WANTED);

	qassert(old & QPG_BUSY);
	if (old & QPG_WANTED)
		(void)qwaitq_wake_all(
		    &k->k_pages->pp_wait[page_hash(k->k_pages, pg)]);
}

void
qpage_pin(struct qpage *pg)
{
	__atomic_fetch_add(&pg->pg_pins, 1, __ATOMIC_ACQUIRE);
}

void
qpage_unpin(struct qpage *pg)
{
	uint32_t old = __atomic_fetch_sub(&pg->pg_pins, 1, __ATOMIC_RELEASE);

	qassert(old != 0);
}

bool
qpage_dirty(struct qpage *pg)
{
	return (qpage_flags(pg, QPG_DIRTY | QPG_REFERENCED, 0) & QPG_DIRTY) ==
	    0;
}

/* ---- the reverse map --------------------------------------------------------- */

static struct qmutex *
rmap_lock(struct quern *k, const struct qpage *pg)
{
	struct qmutex *m = &k->k_pages->pp_rmap[page_hash(k->k_pages, pg)];

	qmutex_lock(m);
	return m;
}

bool
qpage_clean(struct quern *k, struct qpage *pg)
{
	struct qmutex *lock;
	uint32_t old;

	qassert(is_busy(pg));
	if (!qpage_mapped(pg))
		return (qpage_flags(pg, 0, QPG_DIRTY) & QPG_DIRTY) != 0;
	lock = rmap_lock(k, pg);
	if (pg->pg_mapper != NULL)
		pg->pg_mapper->pm_ops->po_protect(pg->pg_mapper, pg);
	old = qpage_flags(pg, 0, QPG_DIRTY);
	qmutex_unlock(lock);
	return (old & QPG_DIRTY) != 0;
}

void
qpage_map(struct quern *k, struct qpage *pg, struct qpage_mapper *m)
{
	struct qmutex *lock;

	qassert(__atomic_load_n(&pg->pg_refs, __ATOMIC_RELAXED) != 0);
	if (m == NULL) {
		(void)count_add(&pg->pg_maps, 1);
		return;
	}
	qassert(is_busy(pg));
	lock = rmap_lock(k, pg);
	qassert(pg->pg_mapper == NULL || pg->pg_mapper == m);
	__atomic_store_n(&pg->pg_mapper, m, __ATOMIC_RELAXED);
	(void)count_add(&pg->pg_maps, 1);
	qmutex_unlock(lock);
}

void
qpage_unmap(struct quern *k, struct qpage *pg, uint32_t n)
{
	uint32_t old = __atomic_load_n(&pg->pg_maps, __ATOMIC_RELAXED);
	struct qmutex *lock;

	/*
	 * The last one ends the mapper's interest in the page.  One without a
	 * mapper has nobody to wait for it either.
	 */
	if (__atomic_load_n(&pg->pg_mapper, __ATOMIC_RELAXED) == NULL) {
		old = count_add(&pg->pg_maps, 0 - n);
		qassert(old >= n);
		return;
	}
	lock = rmap_lock(k, pg);
	old = count_add(&pg->pg_maps, 0 - n);
	qassert(old >= n);
	if (old == n) {
		__atomic_store_n(&pg->pg_mapper, NULL, __ATOMIC_RELAXED);
		if ((__atomic_load_n(&pg->pg_flags, __ATOMIC_RELAXED) &
			QPG_WANTED) != 0)
			(void)qwaitq_wake_all(
			    &k->k_pages->pp_wait[page_hash(k->k_pages, pg)]);
	}
	qmutex_unlock(lock);
}

void
qpage_invalidate(struct quern *k, struct qpage *pg)
{
	struct qwaitq *w = &k->k_pages->pp_wait[page_hash(k->k_pages, pg)];
	struct qmutex *lock;
	uint32_t n = 0;

	qassert(is_busy(pg));
	while (qpage_mapped(pg)) {
		lock = rmap_lock(k, pg);
		if (pg->pg_mapper != NULL) {
			n = pg->pg_mapper->pm_ops->po_invalidate(pg->pg_mapper,
			    pg);
			n = count_add(&pg->pg_maps, 0 - n) - n;
			if (n == 0)
				__atomic_store_n(&pg->pg_mapper, NULL,
				    __ATOMIC_RELAXED);
		}
		qmutex_unlock(lock);
		/* What is left has been taken away; who did is about to say. */
		qspin_lock(&w->w_lock);
		(void)qpage_flags(pg, QPG_WANTED, 0);
		if (qpage_mapped(pg))
			(void)qwaitq_sleep(w, &w->w_lock, 0, QUERN_NEVER);
		else
			qspin_unlock(&w->w_lock);
	}
}

/* ---- when there are few ------------------------------------------------- */

void
qpage_reclaimer_add(struct quern *k, struct qreclaimer *r)
{
	qmutex_lock(&k->k_reclaim_lock);
	qlist_append(&k->k_reclaimers, &r->rc_link);
	qmutex_unlock(&k->k_reclaim_lock);
}

void
qpage_reclaimer_del(struct quern *k, struct qreclaimer *r)
{
	qmutex_lock(&k->k_reclaim_lock);
	qlist_del(&r->rc_link);
	qmutex_unlock(&k->k_reclaim_lock);
}

/* Ask each; how many pages came of it.  One thread at a time. */
static uint64_t
reclaim(struct quern *k, uint64_t want)
{
	uint64_t n = 0;
	struct qlist *l;

	qmutex_lock(&k->k_reclaim_lock);
	/* Another may have seen to it while we waited. */
	if (qpage_nfree(k) >= 2 * want) {
		n = want;
	} else {
		QLIST_FOREACH(l, &k->k_reclaimers) {
			struct qreclaimer *r = QLIST_ELEM(l, struct qreclaimer,
			    rc_link);

			n += r->rc_reclaim(r, want);
		}
	}
	qmutex_unlock(&k->k_reclaim_lock);
	return n;
}

/* Pages that are freed at a time. */
#define RECLAIM_BATCH 64u

struct qpage *
qpage_alloc_wait(struct quern *k, unsigned order)
{
	uint64_t want = RECLAIM_BATCH;
	struct qpage *pg;

	if (want < (uint64_t)2 << order)
		want = (uint64_t)2 << order;
	while ((pg = qpage_alloc(k, order)) == NULL)
		if (reclaim(k, want) == 0)
			return qpage_alloc(k, order);
	return pg;
}

/* Reclaimers that can wait; there are not so many. */
#define WAITERS 8u

bool
qpage_wait(struct quern *k)
{
	struct qreclaimer *r[WAITERS], *one;
	unsigned n = 0, i;
	struct qlist *l;
	bool hope = false;

	qmutex_lock(&k->k_reclaim_lock);
	QLIST_FOREACH(l, &k->k_reclaimers) {
		one = QLIST_ELEM(l, struct qreclaimer, rc_link);
		if (one->rc_wait != NULL && n < WAITERS)
			r[n++] = one;
	}
	qmutex_unlock(&k->k_reclaim_lock);
	/* Without the lock: who writes may have to allocate. */
	for (i = 0; i < n; i++)
		if (r[i]->rc_wait(r[i]))
			hope = true;
	return hope;
}

uint64_t
qpage_total(struct quern *k)
{
	return k->k_pages->pp_npage;
}

uint64_t
qpage_nfree(struct quern *k)
{
	return __atomic_load_n(&k->k_pages->pp_nfree, __ATOMIC_RELAXED);
}
