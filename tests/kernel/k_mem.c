/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RAM pages and the heap, against models.
 */
#include <stdlib.h>
#include <string.h>

#include <kernel/impl.h>
#include <quern/page.h>
#include <quern/slab.h>

#include "ktest.h"

static const struct qtag tag = { "test" };

struct shared {
	struct kenv *e;
	struct quern *k;
	uint64_t seed; /* on posix */
	struct qspin s;
	struct qwaitq w;
	void *box[64]; /* [s] what one thread hands to another */
	unsigned head, tail;
	struct qpage *pg;
	unsigned inside;
	uint32_t count; /* [a] */
};

static uint64_t
some(struct shared *s, uint64_t below)
{
	if (s->e->sim != NULL)
		return quern_sim_random(s->e->sim, below);
	s->seed = s->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (s->seed >> 33) % below;
}

static struct quern *
kernel_with_ram(struct kenv *e, size_t ram)
{
	struct quern_config c = kenv_config(e);
	struct quern *k = NULL;

	c.ram = ram;
	KCHECK_EQ(e, quern_create(&c, &k), 0);
	return k;
}

static uint64_t
ram_free(struct shared *s)
{
	struct quern_stats st;

	kernel_stats(s->k, &st, true);
	return st.st_ram_free;
}

/* ---- the buddy allocator ---------------------------------------------------- */

/* Not a multiple of the largest block. */
#define PAGES 2085u
#define HELD  300u

struct block {
	struct qpage *pg;
	unsigned order;
};

struct buddy {
	struct shared s;
	uint8_t used[PAGES];
	struct block b[HELD];
	unsigned nfree;
};

/* Is there an aligned free block of this order? */
static bool
could_have(const struct buddy *m, unsigned order)
{
	unsigned size = 1u << order, i, j;

	for (i = 0; i + size <= PAGES; i += size) {
		for (j = 0; j < size && !m->used[i + j]; j++)
			continue;
		if (j == size)
			return true;
	}
	return false;
}

static void
block_take(struct buddy *m, struct block *b, unsigned order)
{
	struct shared *s = &m->s;
	unsigned size = 1u << order, first, i;
	uint64_t *data;

	b->order = order;
	b->pg = qpage_alloc(s->k, order);
	KCHECK_EQ(s->e, b->pg != NULL, could_have(m, order));
	if (b->pg == NULL)
		return;
	KCHECK_EQ(s->e, b->pg->pg_refs, 1);
	KCHECK_EQ(s->e, b->pg->pg_flags, 0);
	first = (unsigned)(qpage_offset(s->k, b->pg) / QUERN_PAGE_SIZE);
	KCHECK_EQ(s->e, first % size, 0);
	if (!KCHECK(s->e, first + size <= PAGES))
		return;
	KCHECK(s->e, qpage_at(s->k, qpage_offset(s->k, b->pg)) == b->pg);
	for (i = first; i < first + size; i++) {
		KCHECK_EQ(s->e, m->used[i], 0);
		m->used[i] = 1;
	}
	m->nfree -= size;
	/* Whose it is, at both ends. */
	data = qpage_data(s->k, b->pg);
	data[0] = data[size * QUERN_PAGE_SIZE / 8 - 1] = (uintptr_t)b;
}

static void
block_give(struct buddy *m, struct block *b)
{
	struct shared *s = &m->s;
	unsigned size = 1u << b->order, first, i;
	uint64_t *data = qpage_data(s->k, b->pg);

	KCHECK(s->e, data[0] == (uintptr_t)b);
	KCHECK(s->e, data[size * QUERN_PAGE_SIZE / 8 - 1] == (uintptr_t)b);
	first = (unsigned)(qpage_offset(s->k, b->pg) / QUERN_PAGE_SIZE);
	for (i = first; i < first + size; i++)
		m->used[i] = 0;
	m->nfree += size;
	qpage_put(s->k, b->pg);
	b->pg = NULL;
}

static int64_t
buddy_body(void *arg)
{
	struct buddy *m = arg;
	struct shared *s = &m->s;
	unsigned op, i, ops = s->e->sim != NULL ? 400 : 4000;
	struct block *b;

	m->nfree = PAGES;
	for (op = 0; op < ops; op++) {
		b = &m->b[some(s, HELD)];
		if (b->pg != NULL)
			block_give(m, b);
		else
			/* Small ones mostly; then and now a large one. */
			block_take(m, b,
			    (unsigned)some(s, some(s, 4) == 0 ? 11 : 4));
		KCHECK_EQ(s->e, ram_free(s), m->nfree);
	}
	for (i = 0; i < HELD; i++)
		if (m->b[i].pg != NULL)
			block_give(m, &m->b[i]);
	KCHECK_EQ(s->e, ram_free(s), PAGES);
	/* All have merged again. */
	for (i = 0; i < PAGES >> QPAGE_MAXORDER; i++)
		block_take(m, &m->b[i], QPAGE_MAXORDER);
	block_take(m, &m->b[i], QPAGE_MAXORDER);
	KCHECK(s->e, m->b[i].pg == NULL);
	while (i-- > 0)
		if (m->b[i].pg != NULL)
			block_give(m, &m->b[i]);
	return 0;
}

/* Alignment, no overlap, never -ENOMEM while a block could be had. */
static void
buddy_model(struct kenv *e)
{
	struct buddy *m = calloc(1, sizeof(*m));

	m->s.e = e;
	m->s.k = kernel_with_ram(e, PAGES * QUERN_PAGE_SIZE);
	if (m->s.k != NULL)
		KCHECK_EQ(e, kcall(m->s.k, buddy_body, m), 0);
	kenv_destroy(e, m->s.k);
	free(m);
}

static int64_t
every_page_body(void *arg)
{
	struct shared *s = arg;
	struct qpage **pg = calloc(PAGES + 1, sizeof(*pg)), *tmp;
	unsigned n, i, j;

	for (n = 0; n <= PAGES && (pg[n] = qpage_alloc(s->k, 0)) != NULL; n++)
		continue;
	KCHECK_EQ(s->e, n, PAGES);
	KCHECK_EQ(s->e, ram_free(s), 0);
	for (i = n; i-- > 1;) {
		j = (unsigned)some(s, i + 1);
		tmp = pg[i];
		pg[i] = pg[j];
		pg[j] = tmp;
	}
	for (i = 0; i < n; i++) {
		if (i % 5 == 0) {
			qpage_get(pg[i]);
			qpage_put(s->k, pg[i]);
			KCHECK_EQ(s->e, ram_free(s), i);
		}
		qpage_put(s->k, pg[i]);
	}
	KCHECK_EQ(s->e, ram_free(s), PAGES);
	for (i = 0; i < PAGES >> QPAGE_MAXORDER; i++)
		KCHECK(s->e,
		    (pg[i] = qpage_alloc(s->k, QPAGE_MAXORDER)) != NULL);
	while (i-- > 0)
		qpage_put(s->k, pg[i]);
	KCHECK(s->e, qpage_at(s->k, PAGES * QUERN_PAGE_SIZE) == NULL);
	KCHECK(s->e, qpage_at(s->k, UINT64_MAX) == NULL);
	free(pg);
	return 0;
}

/* Every page can be had, once, and all come back and merge. */
static void
every_page(struct kenv *e)
{
	struct shared s = { .e = e };

	s.k = kernel_with_ram(e, PAGES * QUERN_PAGE_SIZE);
	if (s.k != NULL)
		KCHECK_EQ(e, kcall(s.k, every_page_body, &s), 0);
	kenv_destroy(e, s.k);
}

/* ---- busy pages, and a mapper --------------------------------------------------- */

static void
busy_main(void *arg)
{
	struct shared *s = arg;
	unsigned i;

	for (i = 0; i < (s->e->sim != NULL ? 4 : 300); i++) {
		qpage_busy(s->k, s->pg);
		KCHECK_EQ(s->e, s->inside++, 0);
		qthread_yield();
		KCHECK(s->e, !qpage_trybusy(s->pg));
		KCHECK_EQ(s->e, --s->inside, 0);
		s->count++;
		qpage_unbusy(s->k, s->pg);
	}
}

static int64_t
busy_body(void *arg)
{
	struct shared *s = arg;
	struct qthread *t[4];
	unsigned i;

	s->pg = qpage_alloc(s->k, 0);
	for (i = 0; i < 4; i++)
		KCHECK_EQ(s->e,
		    qthread_create(s->k, "busy", busy_main, s, QPRIO_NORMAL,
			QCPU_ANY, &t[i]),
		    0);
	for (i = 0; i < 4; i++)
		qthread_join(t[i]);
	KCHECK_EQ(s->e, s->count, 4 * (s->e->sim != NULL ? 4 : 300));
	KCHECK_EQ(s->e, s->pg->pg_flags, 0);
	qpage_put(s->k, s->pg);
	return 0;
}

/* One at a time has a page busy, and nobody waits for ever. */
static void
busy_pages(struct kenv *e)
{
	struct shared s = { .e = e };

	s.k = kernel_with_ram(e, 64 * QUERN_PAGE_SIZE);
	if (s.k != NULL)
		KCHECK_EQ(e, kcall(s.k, busy_body, &s), 0);
	kenv_destroy(e, s.k);
}

/*
 * An address space that maps one page, as guests will: it may write while
 * am_write is set, which a fault sets and po_protect takes away.
 */
struct aspace {
	struct shared *s;
	struct qmutex am_lock; /* a guest's store against its page table */
	bool am_mapped, am_write;
	uint32_t am_faults;
};

struct pager {
	struct shared s;
	struct qpage_mapper mapper;
	struct aspace as[2];
	uint64_t disk;   /* what was written back last */
	uint32_t stores; /* [a] */
	uint32_t over;   /* [a] address spaces that are done */
	uint32_t clean, dirty;
};

static struct pager *
pager_of(struct qpage_mapper *m)
{
	return QCONTAINER(m, struct pager, mapper);
}

static uint32_t
as_invalidate(struct qpage_mapper *m, struct qpage *pg)
{
	struct pager *p = pager_of(m);
	uint32_t i, n = 0;

	(void)pg;
	for (i = 0; i < 2; i++) {
		qmutex_lock(&p->as[i].am_lock);
		n += p->as[i].am_mapped;
		p->as[i].am_mapped = p->as[i].am_write = false;
		qmutex_unlock(&p->as[i].am_lock);
	}
	return n;
}

static void
as_protect(struct qpage_mapper *m, struct qpage *pg)
{
	struct pager *p = pager_of(m);
	unsigned i;

	(void)pg;
	for (i = 0; i < 2; i++) {
		qmutex_lock(&p->as[i].am_lock);
		p->as[i].am_write = false;
		qmutex_unlock(&p->as[i].am_lock);
		qthread_yield();
	}
}

static const struct qpage_mapper_ops as_ops = { as_invalidate, as_protect };

/* A write fault: map the page, make it dirty, allow stores. */
static void
as_fault(struct aspace *as)
{
	struct shared *s = as->s;

	as->am_faults++;
	qpage_busy(s->k, s->pg);
	if (!as->am_mapped) {
		qpage_map(s->k, s->pg, &QCONTAINER(s, struct pager, s)->mapper);
		as->am_mapped = true;
	}
	(void)qpage_dirty(s->pg);
	qmutex_lock(&as->am_lock);
	as->am_write = true;
	qmutex_unlock(&as->am_lock);
	qpage_unbusy(s->k, s->pg);
}

static void
as_main(void *arg)
{
	struct aspace *as = arg;
	struct shared *s = as->s;
	struct pager *p = QCONTAINER(s, struct pager, s);
	uint64_t *word = qpage_data(s->k, s->pg);
	unsigned i;
	bool may;

	for (i = 0; i < (s->e->sim != NULL ? 10 : 500);) {
		qmutex_lock(&as->am_lock);
		may = as->am_write;
		if (may) {
			/* The guest's store: nobody is asked. */
			__atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
			__atomic_fetch_add(&p->stores, 1, __ATOMIC_RELAXED);
			i++;
		}
		qmutex_unlock(&as->am_lock);
		if (i % 3 == 0 || !may)
			as_fault(as);
		qthread_yield();
	}
	__atomic_fetch_add(&p->over, 1, __ATOMIC_RELEASE);
}

static void
write_back(struct pager *p)
{
	struct shared *s = &p->s;
	uint64_t *word = qpage_data(s->k, s->pg);

	qpage_busy(s->k, s->pg);
	if (qpage_clean(s->k, s->pg)) {
		p->dirty++;
		/* From here a store needs a fault, which needs the page. */
		p->disk = __atomic_load_n(word, __ATOMIC_RELAXED);
		qthread_yield();
		KCHECK_EQ(s->e, __atomic_load_n(word, __ATOMIC_RELAXED),
		    p->disk);
	} else {
		p->clean++;
		/* Clean: the disk has it. */
		KCHECK_EQ(s->e, __atomic_load_n(word, __ATOMIC_RELAXED),
		    p->disk);
	}
	qpage_unbusy(s->k, s->pg);
}

static int64_t
mapper_body(void *arg)
{
	struct pager *p = arg;
	struct shared *s = &p->s;
	struct qthread *t[2];
	uint64_t *word;
	unsigned i;

	s->pg = qpage_alloc(s->k, 0);
	word = qpage_data(s->k, s->pg);
	*word = p->disk = 0;
	KCHECK(s->e, !qpage_mapped(s->pg));
	p->mapper.pm_ops = &as_ops;
	for (i = 0; i < 2; i++) {
		p->as[i].s = s;
		qmutex_init(&p->as[i].am_lock, "aspace");
		KCHECK_EQ(s->e,
		    qthread_create(s->k, "aspace", as_main, &p->as[i],
			QPRIO_NORMAL, QCPU_ANY, &t[i]),
		    0);
	}
	for (i = 0; __atomic_load_n(&p->over, __ATOMIC_ACQUIRE) < 2; i++) {
		write_back(p);
		if (i % 4 == 3) {
			qpage_busy(s->k, s->pg);
			qpage_invalidate(s->k, s->pg);
			KCHECK(s->e, !qpage_mapped(s->pg));
			qpage_unbusy(s->k, s->pg);
		}
		(void)qthread_sleep_until(qclock_mono(s->k) + 2000, false);
	}
	qthread_join(t[0]);
	qthread_join(t[1]);
	write_back(p);
	write_back(p);
	KCHECK_EQ(s->e, p->disk, p->stores);
	KCHECK(s->e, p->clean > 0 && p->dirty > 0);
	/* Out of the reverse map, both ways. */
	for (i = 0; i < 2; i++)
		if (p->as[i].am_mapped)
			qpage_unmap(s->k, s->pg, 1);
	KCHECK(s->e, !qpage_mapped(s->pg));
	qpage_pin(s->pg);
	qpage_pin(s->pg);
	qpage_unpin(s->pg);
	KCHECK_EQ(s->e, s->pg->pg_pins, 1);
	qpage_unpin(s->pg);
	qpage_put(s->k, s->pg);
	return 0;
}

/* No store is lost between write-backs: what is clean is on the disk. */
static void
page_mapper(struct kenv *e)
{
	struct pager *p = calloc(1, sizeof(*p));

	p->s.e = e;
	p->s.k = kernel_with_ram(e, 64 * QUERN_PAGE_SIZE);
	if (p->s.k != NULL)
		KCHECK_EQ(e, kcall(p->s.k, mapper_body, p), 0);
	kenv_destroy(e, p->s.k);
	free(p);
}

/* ---- the heap ---------------------------------------------------------------------- */

static uint64_t
inuse(struct shared *s)
{
	struct quern_stats st;

	kernel_stats(s->k, &st, true);
	return st.st_inuse;
}

static int64_t
sizes_body(void *arg)
{
	struct shared *s = arg;
	uint64_t before = inuse(s);
	size_t size;
	uint8_t *p, *q;

	for (size = 0; size <= QALLOC_SLAB + 100; size++) {
		p = qalloc(&tag, size);
		q = qzalloc(&tag, size);
		if (!KCHECK(s->e, p != NULL && q != NULL))
			break;
		KCHECK_EQ(s->e, (uintptr_t)p % 16, 0);
#ifndef QSAN_ADDRESS
		/* Powers of two are aligned to themselves. */
		if (size >= 16 && (size & (size - 1)) == 0)
			KCHECK_EQ(s->e, (uintptr_t)p % size, 0);
#endif
		KCHECK(s->e, qalloc_size(p) >= size);
		KCHECK(s->e, size == 0 || (q[0] == 0 && q[size - 1] == 0));
		memset(p, 0xa5, size);
		KCHECK(s->e, size == 0 || q[size - 1] == 0);
		memset(q, 0x5a, size);
		KCHECK(s->e,
		    size == 0 || (p[0] == 0xa5 && p[size - 1] == 0xa5));
		KCHECK(s->e, inuse(s) >= before + 2 * size);
		qfree(p);
		qfree(q);
	}
	qfree(NULL);
	KCHECK_EQ(s->e, inuse(s), before);
	return 0;
}

static void
heap_sizes(struct kenv *e)
{
	struct shared s = { .e = e };

	if (e->ncpu != 1)
		return;
	s.k = kenv_kernel(e);
	if (s.k != NULL)
		KCHECK_EQ(e, kcall(s.k, sizes_body, &s), 0);
	kenv_destroy(e, s.k);
}

struct object {
	uint8_t *p;
	size_t size;
	uint8_t fill;
};

static void
object_make(struct shared *s, struct object *o)
{
	/* Of all orders of magnitude, now and then a large one. */
	o->size = some(s, UINT64_C(1) << some(s, some(s, 40) == 0 ? 18 : 12));
	o->fill = (uint8_t)some(s, 256);
	o->p = qalloc(&tag, o->size);
	if (KCHECK(s->e, o->p != NULL))
		memset(o->p, o->fill, o->size);
}

static void
object_free(struct shared *s, struct object *o)
{
	size_t i;

	for (i = 0; i < o->size; i++)
		if (!KCHECK(s->e, o->p[i] == o->fill))
			break;
	qfree(o->p);
	o->p = NULL;
}

#define OBJECTS 200u

static void
churn(struct shared *s, unsigned ops)
{
	struct object *o = calloc(OBJECTS, sizeof(*o));
	unsigned i;

	while (ops-- > 0) {
		i = (unsigned)some(s, OBJECTS);
		if (o[i].p != NULL)
			object_free(s, &o[i]);
		else
			object_make(s, &o[i]);
		if (ops % 16 == 0)
			kchoice();
	}
	for (i = 0; i < OBJECTS; i++)
		if (o[i].p != NULL)
			object_free(s, &o[i]);
	free(o);
}

static int64_t
churn_body(void *arg)
{
	struct shared *s = arg;
	/* A generator of its own for each, on posix. */
	struct shared mine = { .e = s->e,
		.k = s->k,
		.seed = __atomic_add_fetch(&s->count, 1, __ATOMIC_RELAXED) };

	churn(&mine, s->e->sim != NULL ? 300 : 4000);
	return 0;
}

static void
churner(void *arg)
{
	struct shared *s = arg;

	KCHECK_EQ(s->e, kcall(s->k, churn_body, s), 0);
}

/* Objects keep their contents, whoever else allocates and frees. */
static void
heap_churn(struct kenv *e)
{
	struct shared s = { .e = e };
	uint64_t before;
	unsigned i;

	s.k = kenv_kernel(e);
	if (s.k == NULL)
		return;
	before = inuse(&s);
	for (i = 0; i < 4; i++)
		kspawn(e, churner, &s);
	kjoin(e);
	KCHECK_EQ(e, inuse(&s), before);
	kenv_destroy(e, s.k);
}

/* Bound to different vCPUs: one allocates, the other frees. */
static void
giver_main(void *arg)
{
	struct shared *s = arg;
	unsigned i, n = s->e->sim != NULL ? 200 : 5000;
	uint64_t *p;

	for (i = 0; i <= n; i++) {
		p = i < n ? qalloc(&tag, 8 + i % 600) : NULL;
		if (p != NULL)
			*p = i;
		qspin_lock(&s->s);
		while (s->head - s->tail == QARRAYLEN(s->box)) {
			(void)qwaitq_sleep(&s->w, &s->s, 0, QUERN_NEVER);
			qspin_lock(&s->s);
		}
		s->box[s->head++ % QARRAYLEN(s->box)] = p;
		qspin_unlock(&s->s);
		(void)qwaitq_wake_all(&s->w);
	}
}

static void
taker_main(void *arg)
{
	struct shared *s = arg;
	uint64_t *p;
	unsigned i;

	for (i = 0;; i++) {
		qspin_lock(&s->s);
		while (s->head == s->tail) {
			(void)qwaitq_sleep(&s->w, &s->s, 0, QUERN_NEVER);
			qspin_lock(&s->s);
		}
		p = s->box[s->tail++ % QARRAYLEN(s->box)];
		qspin_unlock(&s->s);
		(void)qwaitq_wake_all(&s->w);
		if (p == NULL)
			break;
		KCHECK_EQ(s->e, *p, i);
		qfree(p);
	}
}

static int64_t
across_body(void *arg)
{
	struct shared *s = arg;
	struct qthread *t[2];

	KCHECK_EQ(s->e,
	    qthread_create(s->k, "giver", giver_main, s, QPRIO_NORMAL, 0,
		&t[0]),
	    0);
	KCHECK_EQ(s->e,
	    qthread_create(s->k, "taker", taker_main, s, QPRIO_NORMAL,
		(int)s->k->k_ncpu - 1, &t[1]),
	    0);
	qthread_join(t[0]);
	qthread_join(t[1]);
	return 0;
}

/* Magazines fill on one vCPU and run empty on another; memory stays bounded. */
static void
heap_across(struct kenv *e)
{
	struct shared s = { .e = e };
	uint64_t before;

	qwaitq_init(&s.w);
	qspin_init(&s.s);
	s.k = kenv_kernel(e);
	if (s.k == NULL)
		return;
	before = inuse(&s);
	KCHECK_EQ(e, kcall(s.k, across_body, &s), 0);
	KCHECK_EQ(e, inuse(&s), before);
	kenv_destroy(e, s.k);
}

/* ---- the n-th allocation ------------------------------------------------------------- */

static int64_t
count_body(void *arg)
{
	struct shared *s = arg;
	void *p[10];
	unsigned i;

	for (i = 0; i < 10; i++) {
		p[i] = qalloc(&tag, i == 7 ? 9000 : 100);
		if (p[i] == NULL)
			s->count += 1 + i;
	}
	for (i = 0; i < 10; i++)
		qfree(p[i]);
	return 0;
}

/* fail_alloc fails one allocation, the one that it names. */
static void
nth_allocation(struct kenv *e)
{
	struct quern_config c = kenv_config(e);
	struct shared s = { .e = e };
	struct quern_stats st;
	uint64_t first, n;

	e->runners = c.runners = 0; /* they need stacks when it suits them */
	c.fail_alloc = UINT64_MAX;
	KCHECK_EQ(e, quern_create(&c, &s.k), 0);
	if (s.k == NULL)
		return;
	/* A first call may need a stack of its own. */
	KCHECK_EQ(e, kcall(s.k, count_body, &s), 0);
	KCHECK_EQ(e, quern_stats(s.k, &st), 0);
	first = st.st_allocs;
	KCHECK_EQ(e, kcall(s.k, count_body, &s), 0);
	KCHECK_EQ(e, quern_stats(s.k, &st), 0);
	KCHECK_EQ(e, st.st_allocs - first, 10);
	kenv_destroy(e, s.k);
	for (n = 0; n < 10; n++) {
		s.count = 0;
		c.fail_alloc = UINT64_MAX;
		KCHECK_EQ(e, quern_create(&c, &s.k), 0);
		(void)kcall(s.k, count_body, &s);
		KCHECK_EQ(e, quern_stats(s.k, &st), 0);
		kenv_destroy(e, s.k);
		c.fail_alloc = st.st_allocs + 1 + n;
		KCHECK_EQ(e, quern_create(&c, &s.k), 0);
		(void)kcall(s.k, count_body, &s);
		KCHECK_EQ(e, s.count, 0);
		KCHECK_EQ(e, kcall(s.k, count_body, &s), 0);
		KCHECK_EQ(e, s.count, 1 + n);
		kenv_destroy(e, s.k);
	}
}

const struct kcase kmem_cases[] = {
	{ "buddy_model", buddy_model, 60, false, NULL },
	{ "every_page", every_page, 20, false, NULL },
	{ "busy_pages", busy_pages, 1000, false, NULL },
	{ "page_mapper", page_mapper, 1000, false, NULL },
	{ "heap_sizes", heap_sizes, 0, false, NULL },
	{ "heap_churn", heap_churn, 100, false, NULL },
	{ "heap_across", heap_across, 200, false, NULL },
	{ "nth_allocation", nth_allocation, 10, false, NULL },
	{ 0 },
};
