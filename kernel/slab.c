/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heap.
 *
 * Definitions.  A *slab* is SLAB_SIZE bytes, aligned to that: a header, a tag a
 * slot, then slots of one size class.  A *magazine* is a vCPU's own stack of
 * free slots of a class; whoever runs the vCPU uses it without a lock.  A
 * *large* object has an area of the host's to itself, behind a header page that
 * is aligned like a slab, so that the address of any object, rounded down,
 * finds its header.
 *
 * A slot is: in use (tag set), in a magazine (no tag), on its slab's free list
 * (no tag, linked by index in sl_next), or virgin (at or above sl_virgin,
 * never touched).
 *
 * H1  A slot's tag is set iff it is in use: what has a tag at the end leaked.
 * H2  A slab is on hc_partial iff it has a free or virgin slot.
 *
 * The tag costs a store a slot rather than a word before the object, so that
 * objects of a power of two stay aligned to it and full pages stay full pages.
 *
 * Under ASan every request is REDZONE bytes longer, and what is free or beyond
 * the request is poisoned.
 */
#include "impl.h"

#include "slab.h"

#define SLAB_SHIFT 16u
#define SLAB_SIZE  ((size_t)1 << SLAB_SHIFT)
#define MAG_MAX    62u
#define NCLASS     16u
#define NONE       UINT16_MAX

#define MAGIC_SLAB  0x51534c42u /* "QSLB" */
#define MAGIC_LARGE 0x514c5247u /* "QLRG" */

#define REDZONE QSAN_REDZONE

static const uint16_t class_size[NCLASS] = { 16, 32, 48, 64, 96, 128, 192, 256,
	384, 512, 768, 1024, 1360, 2048, 2688, 4096 };

/* What starts every slab and every large object. */
struct slab {
	uint32_t sl_magic;
	uint16_t sl_class;
	uint16_t sl_nslot;
	uint32_t sl_inv;    /* 2^32 / slot size, rounded up */
	uint16_t sl_size;   /* of a slot */
	uint16_t sl_first;  /* offset of slot 0 / 16 */
	uint16_t sl_free;   /* [hc_lock] first free slot, or NONE */
	uint16_t sl_virgin; /* [hc_lock] */
	uint16_t sl_nfree;  /* [hc_lock] free, virgin ones included */
	uint16_t sl_pad;
	struct qheap *sl_heap;
	struct qlist sl_link; /* [hc_lock] hc_partial or hc_full */
	/* large objects */
	size_t sl_len;  /* of the whole area */
	size_t sl_want; /* asked for */
	const struct qtag *sl_tag;
	uint16_t *sl_next;            /* free list, by slot */
	const struct qtag *sl_tags[]; /* by slot */
};

struct magazine {
	uint32_t mg_n;
	uint32_t mg_max;
	void *mg_obj[MAG_MAX];
};

struct heap_class {
	struct hspin hc_lock;
	struct qlist hc_partial;
	struct qlist hc_full;
};

/* A vCPU's part. */
struct heap_cpu {
	void *hp_mag[NCLASS]; /* v_mag points here */
	struct magazine hp_magazine[NCLASS];
};

struct qheap {
	struct quern *he_k;
	struct heap_class he_class[NCLASS];
	struct hspin he_lock;
	struct qlist he_large; /* [he_lock] */
	uint64_t he_slabs;     /* [a] bytes in slabs and large areas */
	uint8_t
	    he_index[QALLOC_SLAB / 16 + 1]; /* [I] (size + 15) / 16 -> class */
	struct heap_cpu *he_cpu[QUERN_MAXCPU];
};

_Static_assert(NCLASS * sizeof(void *) <= 128, "v_mag is an array of NCLASS");

/* Has an area as long as what is mapped for it. */
static size_t
heap_cpu_size(void)
{
	return QROUNDUP(sizeof(struct heap_cpu), QUERN_PAGE_SIZE);
}

/* ---- life --------------------------------------------------------------- */

int
heap_init(struct quern *k)
{
	struct qheap *he;
	void *mem;
	unsigned i, c;
	int error;

	error = k->k_hyper->map(k->k_ctx,
	    QROUNDUP(sizeof(*he), QUERN_PAGE_SIZE), QUERN_PAGE_SIZE, 0, &mem);
	if (error != 0)
		return error;
	he = k->k_heap = mem;
	he->he_k = k;
	qlist_init(&he->he_large);
	for (c = 0; c < NCLASS; c++) {
		qlist_init(&he->he_class[c].hc_partial);
		qlist_init(&he->he_class[c].hc_full);
	}
	for (i = c = 0; i < QARRAYLEN(he->he_index); i++) {
		while (i * 16 > class_size[c])
			c++;
		he->he_index[i] = (uint8_t)c;
	}
	return 0;
}

int
heap_init_cpu(struct quern *k, struct qcpu *v)
{
	struct heap_cpu *hp;
	void *mem;
	unsigned c;
	int error;

	error = k->k_hyper->map(k->k_ctx, heap_cpu_size(), QUERN_PAGE_SIZE, 0,
	    &mem);
	if (error != 0)
		return error;
	hp = k->k_heap->he_cpu[v->v_id] = mem;
	for (c = 0; c < NCLASS; c++) {
		hp->hp_mag[c] = &hp->hp_magazine[c];
		/* No more than 32 KiB of a class wait in a magazine. */
		hp->hp_magazine[c].mg_max = 32768u / class_size[c];
		if (hp->hp_magazine[c].mg_max > MAG_MAX)
			hp->hp_magazine[c].mg_max = MAG_MAX;
	}
	v->v_mag = hp->hp_mag;
	return 0;
}

static void
area_unmap(struct quern *k, struct slab *s)
{
	size_t len = s->sl_magic == MAGIC_LARGE ? s->sl_len : SLAB_SIZE;

	__asan_unpoison_memory_region(s, len);
	k->k_hyper->unmap(k->k_ctx, s, len);
}

static void
list_unmap(struct quern *k, struct qlist *head)
{
	struct qlist *l, *n;

	QLIST_FOREACH_SAFE(l, n, head)
		area_unmap(k, QLIST_ELEM(l, struct slab, sl_link));
}

void
heap_fini(struct quern *k)
{
	struct qheap *he = k->k_heap;
	unsigned i;

	if (he == NULL)
		return;
	for (i = 0; i < NCLASS; i++) {
		list_unmap(k, &he->he_class[i].hc_partial);
		list_unmap(k, &he->he_class[i].hc_full);
	}
	list_unmap(k, &he->he_large);
	for (i = 0; i < k->k_ncpu; i++)
		if (he->he_cpu[i] != NULL)
			k->k_hyper->unmap(k->k_ctx, he->he_cpu[i],
			    heap_cpu_size());
	k->k_hyper->unmap(k->k_ctx, he, QROUNDUP(sizeof(*he), QUERN_PAGE_SIZE));
	k->k_heap = NULL;
}

/* ---- slabs -------------------------------------------------------------- */

static inline struct slab *
slab_of(const void *p)
{
	return (struct slab *)((uintptr_t)p & ~(SLAB_SIZE - 1));
}

static inline unsigned
slot_of(const struct slab *s, const void *p)
{
	uint64_t off = ((uintptr_t)p & (SLAB_SIZE - 1)) - s->sl_first * 16u;

	return (unsigned)(off * s->sl_inv >> 32);
}

static inline void *
slot_addr(struct slab *s, unsigned i)
{
	return (char *)s + s->sl_first * 16u + (size_t)i * s->sl_size;
}

/* A new slab of class `c` on hc_partial.  NULL: no memory.  [hc_lock] */
static struct slab *
slab_make(struct qheap *he, unsigned c)
{
	struct quern *k = he->he_k;
	size_t size = class_size[c], n, first;
	struct slab *s;
	void *mem;

	if (k->k_hyper->map(k->k_ctx, SLAB_SIZE, SLAB_SIZE, 0, &mem) != 0)
		return NULL;
	s = mem;
	n = SLAB_SIZE / size;
	do {
		n--;
		first = sizeof(*s) +
		    n * (sizeof(s->sl_tags[0]) + sizeof(s->sl_next[0]));
		/* Powers of two up to a page stay aligned to themselves. */
		first = QROUNDUP(first,
		    (size & -size) > 64 ? (size & -size) : 64);
	} while (first + n * size > SLAB_SIZE);
	s->sl_magic = MAGIC_SLAB;
	s->sl_class = (uint16_t)c;
	s->sl_nslot = s->sl_nfree = (uint16_t)n;
	s->sl_size = (uint16_t)size;
	s->sl_inv = (uint32_t)((UINT64_C(0x100000000) + size - 1) / size);
	s->sl_first = (uint16_t)(first / 16);
	s->sl_free = NONE;
	s->sl_heap = he;
	s->sl_next = (uint16_t *)&s->sl_tags[n];
	qlist_append(&he->he_class[c].hc_partial, &s->sl_link);
	__atomic_fetch_add(&he->he_slabs, SLAB_SIZE, __ATOMIC_RELAXED);
	return s;
}

static void *
slab_take(struct heap_class *hc, struct slab *s)
{
	unsigned i = s->sl_free;

	if (i != NONE)
		s->sl_free = s->sl_next[i];
	else
		i = s->sl_virgin++;
	if (--s->sl_nfree == 0) {
		qlist_del(&s->sl_link);
		qlist_append(&hc->hc_full, &s->sl_link);
	}
	return slot_addr(s, i);
}

static void
slab_give(struct heap_class *hc, void *p)
{
	struct slab *s = slab_of(p);
	unsigned i = slot_of(s, p);

	s->sl_next[i] = s->sl_free;
	s->sl_free = (uint16_t)i;
	if (s->sl_nfree++ == 0) {
		qlist_del(&s->sl_link);
		qlist_prepend(&hc->hc_partial, &s->sl_link);
	}
}

/* ---- magazines ---------------------------------------------------------- */

/* Half fill an empty magazine.  False: no memory. */
static QCOLD bool
mag_fill(struct qheap *he, unsigned c, struct magazine *m)
{
	struct heap_class *hc = &he->he_class[c];
	struct slab *s;

	vspin_lock(he->he_k, &hc->hc_lock);
	while (m->mg_n < (m->mg_max + 1) / 2) {
		if (!qlist_empty(&hc->hc_partial))
			s = QLIST_ELEM(hc->hc_partial.l_next, struct slab,
			    sl_link);
		else if (m->mg_n > 0 || (s = slab_make(he, c)) == NULL)
			break;
		m->mg_obj[m->mg_n++] = slab_take(hc, s);
	}
	vspin_unlock(he->he_k, &hc->hc_lock);
	return m->mg_n > 0;
}

/* Half empty a full magazine, the oldest half. */
static QCOLD void
mag_drain(struct qheap *he, unsigned c, struct magazine *m)
{
	struct heap_class *hc = &he->he_class[c];
	unsigned i, n = (m->mg_max + 1) / 2;

	vspin_lock(he->he_k, &hc->hc_lock);
	for (i = 0; i < n; i++)
		slab_give(hc, m->mg_obj[i]);
	vspin_unlock(he->he_k, &hc->hc_lock);
	m->mg_n -= n;
	memmove(&m->mg_obj[0], &m->mg_obj[n], m->mg_n * sizeof(m->mg_obj[0]));
}

/* ---- large objects ------------------------------------------------------ */

static QCOLD void *
large_alloc(struct quern *k, const struct qtag *tag, size_t size)
{
	struct qheap *he = k->k_heap;
	struct slab *s;
	void *mem;
	size_t len;

	if (size > SIZE_MAX / 2)
		return NULL;
	len = QROUNDUP(size + REDZONE, QUERN_PAGE_SIZE) + QUERN_PAGE_SIZE;
	if (k->k_hyper->map(k->k_ctx, len, SLAB_SIZE, 0, &mem) != 0)
		return NULL;
	s = mem;
	s->sl_magic = MAGIC_LARGE;
	s->sl_heap = he;
	s->sl_len = len;
	s->sl_want = size;
	s->sl_tag = tag;
	vspin_lock(k, &he->he_lock);
	qlist_append(&he->he_large, &s->sl_link);
	vspin_unlock(k, &he->he_lock);
	__atomic_fetch_add(&he->he_slabs, len, __ATOMIC_RELAXED);
	__asan_poison_memory_region((char *)s + QUERN_PAGE_SIZE + size,
	    len - QUERN_PAGE_SIZE - size);
	return (char *)s + QUERN_PAGE_SIZE;
}

static QCOLD void
large_free(struct slab *s)
{
	struct qheap *he = s->sl_heap;
	struct quern *k = he->he_k;

	vspin_lock(k, &he->he_lock);
	qlist_del(&s->sl_link);
	vspin_unlock(k, &he->he_lock);
	__atomic_fetch_sub(&he->he_slabs, s->sl_len, __ATOMIC_RELAXED);
	area_unmap(k, s);
}

/* ---- the interface ------------------------------------------------------ */

void *
qalloc(const struct qtag *tag, size_t size)
{
	struct qthread *t = qthread_current();
	struct quern *k = t->t_k;
	struct qheap *he = k->k_heap;
	struct magazine *m;
	struct slab *s;
	unsigned c;
	void *p;

	if (qunlikely(k->k_fail_alloc != 0) && qalloc_fails(k))
		return NULL;
	if (qunlikely(size > QALLOC_SLAB - REDZONE))
		return large_alloc(k, tag, size);
	c = he->he_index[(size + REDZONE + 15) / 16];
	m = t->t_cpu->v_mag[c];
	if (qunlikely(m->mg_n == 0) && !mag_fill(he, c, m))
		return NULL;
	p = m->mg_obj[--m->mg_n];
	s = slab_of(p);
	/* Relaxed: statistics look at it. */
	__atomic_store_n(&s->sl_tags[slot_of(s, p)], tag, __ATOMIC_RELAXED);
	__asan_poison_memory_region(p, s->sl_size);
	__asan_unpoison_memory_region(p, size);
	return p;
}

void *
qzalloc(const struct qtag *tag, size_t size)
{
	void *p = qalloc(tag, size);

	if (p != NULL)
		memset(p, 0, size);
	return p;
}

void
qfree(void *p)
{
	struct slab *s = slab_of(p);
	struct magazine *m;
	unsigned i;

	if (p == NULL)
		return;
	if (qunlikely(s->sl_magic != MAGIC_SLAB)) {
		qassert(s->sl_magic == MAGIC_LARGE);
		large_free(s);
		return;
	}
	i = slot_of(s, p);
	qassert(s->sl_tags[i] != NULL && slot_addr(s, i) == p);
	__atomic_store_n(&s->sl_tags[i], NULL, __ATOMIC_RELAXED);
	__asan_poison_memory_region(p, s->sl_size);
	m = qthread_current()->t_cpu->v_mag[s->sl_class];
	if (qunlikely(m->mg_n == m->mg_max))
		mag_drain(s->sl_heap, s->sl_class, m);
	m->mg_obj[m->mg_n++] = p;
}

size_t
qalloc_size(const void *p)
{
	const struct slab *s = slab_of(p);

	return s->sl_magic == MAGIC_LARGE ? s->sl_want :
					    s->sl_size - (size_t)REDZONE;
}

/* ---- leaks -------------------------------------------------------------- */

#define REPORT_TAGS 32u

struct report {
	unsigned rp_n;
	struct {
		const struct qtag *tag;
		uint64_t objects, bytes;
	} rp_tag[REPORT_TAGS + 1]; /* one more, to sort by */
};

static void
report_add(struct report *rp, const struct qtag *tag, size_t bytes)
{
	unsigned i;

	for (i = 0; i < rp->rp_n && rp->rp_tag[i].tag != tag; i++)
		continue;
	if (i == rp->rp_n) {
		if (rp->rp_n == REPORT_TAGS)
			i--; /* the last stands for the rest */
		else
			rp->rp_tag[rp->rp_n++].tag = tag;
	}
	rp->rp_tag[i].objects++;
	rp->rp_tag[i].bytes += bytes;
}

static void
report_slabs(struct report *rp, const struct qlist *head)
{
	const struct qtag *tag;
	const struct qlist *l;
	unsigned i;

	QLIST_FOREACH(l, head) {
		const struct slab *s = QLIST_ELEM(l, struct slab, sl_link);

		for (i = 0; i < s->sl_virgin; i++) {
			tag = __atomic_load_n(&s->sl_tags[i], __ATOMIC_RELAXED);
			if (tag != NULL)
				report_add(rp, tag, s->sl_size);
		}
	}
}

/* Running a vCPU, or alone. */
static void
report_heap(struct qheap *he, struct report *rp)
{
	struct quern *k = he->he_k;
	struct heap_class *hc;
	struct qlist *l;
	unsigned c;

	for (c = 0; c < NCLASS; c++) {
		hc = &he->he_class[c];
		vspin_lock(k, &hc->hc_lock);
		report_slabs(rp, &hc->hc_partial);
		report_slabs(rp, &hc->hc_full);
		vspin_unlock(k, &hc->hc_lock);
	}
	vspin_lock(k, &he->he_lock);
	QLIST_FOREACH(l, &he->he_large) {
		const struct slab *s = QLIST_ELEM(l, struct slab, sl_link);

		report_add(rp, s->sl_tag, s->sl_len);
	}
	vspin_unlock(k, &he->he_lock);
}

uint64_t
heap_leaks(struct quern *k)
{
	struct report rp = { 0 };
	uint64_t n = 0;
	unsigned i;

	report_heap(k->k_heap, &rp);
	for (i = 0; i < rp.rp_n; i++) {
		qlog(k, QUERN_LOG_WARN, "leak: %s: %lu objects, %lu bytes",
		    rp.rp_tag[i].tag->tg_name, rp.rp_tag[i].objects,
		    rp.rp_tag[i].bytes);
		n += rp.rp_tag[i].objects;
	}
	return n;
}

/* The most bytes first; by name where they are the same. */
static void
report_sort(struct report *rp)
{
	unsigned i, j;

	for (i = 1; i < rp->rp_n; i++)
		for (j = i; j > 0 &&
		     (rp->rp_tag[j].bytes > rp->rp_tag[j - 1].bytes ||
			 (rp->rp_tag[j].bytes == rp->rp_tag[j - 1].bytes &&
			     qstrcmp(rp->rp_tag[j].tag->tg_name,
				 rp->rp_tag[j - 1].tag->tg_name) < 0));
		     j--) {
			rp->rp_tag[REPORT_TAGS] = rp->rp_tag[j];
			rp->rp_tag[j] = rp->rp_tag[j - 1];
			rp->rp_tag[j - 1] = rp->rp_tag[REPORT_TAGS];
		}
}

uint64_t
heap_by_tag(struct quern *k,
    void (*fn)(void *, const struct quern_alloc_stat *), void *arg)
{
	struct report rp = { 0 };
	struct quern_alloc_stat st;
	unsigned i;

	report_heap(k->k_heap, &rp);
	report_sort(&rp);
	for (i = 0; i < rp.rp_n; i++) {
		st.as_name = rp.rp_tag[i].tag->tg_name;
		st.as_objects = rp.rp_tag[i].objects;
		st.as_bytes = rp.rp_tag[i].bytes;
		fn(arg, &st);
	}
	return rp.rp_n;
}

uint64_t
heap_inuse(struct quern *k)
{
	struct report rp = { 0 };
	uint64_t bytes = 0;
	unsigned i;

	report_heap(k->k_heap, &rp);
	for (i = 0; i < rp.rp_n; i++)
		bytes += rp.rp_tag[i].bytes;
	return bytes;
}
