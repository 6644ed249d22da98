/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When memory is short: pages of files are unmapped, so that their owner can
 * take them back, and anonymous ones are written to a swap disk.
 *
 * Whoever allocates asks (kernel/page.h), and may have locks of files and of its
 * space: so this takes only locks that nobody holds while allocating a page with
 * patience - vm_flock, those of families, and what these are held over.
 *
 * Nothing tells which pages a guest uses: the host's page tables do.  So it goes
 * round: families and files take turns, and what was wrongly taken comes back by
 * a fault, which for a page of a file costs no I/O as long as it is in memory.
 *
 * S1  Where an anonymous page was there is a mark in its object's tree then, with
 *     the number of a slot; nobody else has the slot.
 * S2  A page leaves memory when it is mapped nowhere, which its family's lock
 *     keeps so, and is on the disk.
 */
#include <quern/block.h>

#include "impl.h"

static const struct qtag tag_swap = { "swap" };

struct swaparea {
	struct qdisk *sa_disk; /* [I] with a reference; NULL: none */
	uint64_t *sa_used;     /* [s] a bit a slot */
	uint64_t sa_n;         /* [I] slots; the first is never used */
	uint64_t sa_nused;     /* [s] */
	uint64_t sa_next;      /* [s] where to look first */
	bool sa_closed;        /* [s] gives no slots any more */
};

/* Slots are numbered by area and place. */
#define AREA_SHIFT 40u

struct swap {
	struct qspin sw_lock; /* [s] */
	struct swaparea sw_area[QVM_NSWAP];
	struct qlog_rate sw_rate;
};

/* ---- slots ------------------------------------------------------------------ */

/* A free slot of an area from `from` on, or sa_n.  [s] */
static uint64_t
next_free(const struct swaparea *sa, uint64_t from)
{
	for (; from < sa->sa_n; from++) {
		if (from % 64 == 0 && sa->sa_used[from / 64] == UINT64_MAX) {
			from += 63;
			continue;
		}
		if ((sa->sa_used[from / 64] >> from % 64 & 1) == 0)
			break;
	}
	return from < sa->sa_n ? from : sa->sa_n;
}

/* A slot; 0: there is none. */
static uint64_t
slot_alloc(struct swap *sw)
{
	struct swaparea *sa;
	uint64_t i, slot = 0;
	unsigned a;

	qspin_lock(&sw->sw_lock);
	for (a = 0; a < QVM_NSWAP && slot == 0; a++) {
		sa = &sw->sw_area[a];
		if (sa->sa_disk == NULL || sa->sa_closed ||
		    sa->sa_nused == sa->sa_n)
			continue;
		i = next_free(sa, sa->sa_next);
		if (i == sa->sa_n)
			i = next_free(sa, 0);
		sa->sa_used[i / 64] |= UINT64_C(1) << i % 64;
		sa->sa_nused++;
		sa->sa_next = i + 1;
		slot = (uint64_t)a << AREA_SHIFT | i;
	}
	qspin_unlock(&sw->sw_lock);
	return slot;
}

void
swap_free(struct vm *vm, uint64_t slot)
{
	struct swap *sw = vm->vm_swapper;
	struct swaparea *sa = &sw->sw_area[slot >> AREA_SHIFT];
	uint64_t i = slot & ((UINT64_C(1) << AREA_SHIFT) - 1);

	qspin_lock(&sw->sw_lock);
	qassert((sa->sa_used[i / 64] >> i % 64 & 1) != 0);
	sa->sa_used[i / 64] &= ~(UINT64_C(1) << i % 64);
	sa->sa_nused--;
	qspin_unlock(&sw->sw_lock);
}

/* Where a slot is: its disk, and *offp. */
static struct qdisk *
slot_disk(struct swap *sw, uint64_t slot, uint64_t *offp)
{
	*offp = (slot & ((UINT64_C(1) << AREA_SHIFT) - 1)) << PAGE_SHIFT;
	return sw->sw_area[slot >> AREA_SHIFT].sa_disk;
}

/* ---- in and out ---------------------------------------------------------------- */

int
swap_in(struct vm *vm, struct anon *a, uint64_t i, void *mark)
{
	struct quern *k = vm->vm_k;
	uint64_t slot = swap_slot(mark), off;
	struct qdisk *d = slot_disk(vm->vm_swapper, slot, &off);
	struct qpage *pg = qpage_alloc(k, 0);
	int error;

	if (pg == NULL)
		return -Q_ENOMEM;
	error = qdisk_read(d, off, qpage_data(k, pg), PAGE_SIZE);
	if (error != 0) {
		qlog_limited(k, &vm->vm_swapper->sw_rate, QUERN_LOG_ERR,
		    "swap: %s: read at page %lu: error %d", d->qd_name,
		    (unsigned long)(off >> PAGE_SHIFT), -error);
		qpage_put(k, pg);
		return error == -Q_ENOMEM ? -Q_EIO : error;
	}
	/* There is room: the mark was there. */
	error = anon_enter(a, i, pg);
	qassert(error == 0);
	swap_free(vm, slot);
	return 0;
}

/* Have the page at `i` of `a` leave memory.  False: it stays.  [f] */
static bool
swap_out(struct vm *vm, struct anon *a, uint64_t i, struct qpage *pg)
{
	struct swap *sw = vm->vm_swapper;
	struct quern *k = vm->vm_k;
	struct qdisk *d;
	uint64_t slot, off;
	int error;

	if (__atomic_load_n(&pg->pg_pins, __ATOMIC_ACQUIRE) != 0 ||
	    __atomic_load_n(&pg->pg_refs, __ATOMIC_ACQUIRE) != 1)
		return false;
	slot = slot_alloc(sw);
	if (slot == 0)
		return false;
	anon_unmap(a->a_fam, pg);
	d = slot_disk(sw, slot, &off);
	error = -Q_EBUSY;
	/* Somebody else who has just removed it may not have said so yet. */
	if (!qpage_mapped(pg))
		error = qdisk_write(d, off, qpage_data(k, pg), PAGE_SIZE);
	if (error != 0) {
		swap_free(vm, slot);
		if (error != -Q_EBUSY)
			qlog_limited(k, &sw->sw_rate, QUERN_LOG_ERR,
			    "swap: %s: write at page %lu: error %d", d->qd_name,
			    (unsigned long)(off >> PAGE_SHIFT), -error);
		return false;
	}
	error = ptree_set(&a->a_pages, i, swap_mark(slot));
	qassert(error == 0);
	pg->pg_obj = NULL;
	qpage_put(k, pg);
	return true;
}

/* Up to `want` pages that a mapping shows leave memory; how many.  [f] */
static uint64_t
swap_entry(struct vm *vm, struct entry *e, uint64_t want)
{
	uint64_t n = 0, end = e->e_index + entry_pages(e), i;
	struct anon *a;
	void *p;

	for (a = e->e_anon; a != NULL && n < want; a = a->a_back)
		for (i = e->e_index; n < want; i++) {
			p = ptree_next(&a->a_pages, &i);
			if (p == NULL || i >= end)
				break;
			if (is_page(p) && swap_out(vm, a, i, p))
				n++;
		}
	return n;
}

static uint64_t
swap_family(struct vm *vm, struct family *fa, uint64_t want)
{
	struct entry *e;
	struct qlist *l;
	uint64_t n = 0;

	qmutex_lock(&fa->fa_lock);
	QLIST_FOREACH(l, &fa->fa_entries) {
		e = QLIST_ELEM(l, struct entry, e_alink);
		if (!entry_locked(e))
			n += swap_entry(vm, e, want - n);
		if (n >= want)
			break;
	}
	qmutex_unlock(&fa->fa_lock);
	return n;
}

/* ---- reclaiming ------------------------------------------------------------------- */

static uint64_t
swap_some(struct vm *vm, uint64_t want)
{
	uint64_t n = 0, left;
	struct family *fa;

	qmutex_lock(&vm->vm_falock);
	left = vm->vm_nfamily;
	qmutex_unlock(&vm->vm_falock);
	for (; left > 0 && n < want; left--) {
		fa = family_turn(vm);
		if (fa == NULL)
			break;
		n += swap_family(vm, fa, want - n);
		family_put(fa);
	}
	return n;
}

/* Ranges of a file that are looked at in one turn. */
#define RANGES 8u

/* Unmap up to `want` pages of a file.  [vm_flock] */
static uint64_t
unmap_file(struct vm *vm, struct fobj *fo, uint64_t want)
{
	struct {
		uint64_t first, n;
	} r[RANGES];
	unsigned nr = 0, j;
	uint64_t i, n = 0;
	struct qpage *pg;
	struct entry *e;
	struct qlist *l;

	qmutex_lock(&fo->fo_lock);
	QLIST_FOREACH(l, &fo->fo_entries) {
		e = QLIST_ELEM(l, struct entry, e_flink);
		if (entry_locked(e) || nr == RANGES)
			continue;
		r[nr].first = e->e_findex;
		r[nr++].n = entry_pages(e);
	}
	qmutex_unlock(&fo->fo_lock);
	for (j = 0; j < nr; j++)
		for (i = r[j].first; i < r[j].first + r[j].n && n < want; i++) {
			if (i << PAGE_SHIFT >= fo->fo_ops->pr_size(fo->fo_obj))
				break;
			pg = fo->fo_ops->pr_find(fo->fo_obj, i);
			if (pg == NULL)
				continue;
			if (qpage_mapped(pg) && qpage_trybusy(pg)) {
				qpage_invalidate(vm->vm_k, pg);
				(void)qpage_flags(pg, 0, QPG_REFERENCED);
				qpage_unbusy(vm->vm_k, pg);
				n++;
			}
			qpage_put(vm->vm_k, pg);
		}
	return n;
}

static uint64_t
unmap_some(struct vm *vm, uint64_t want)
{
	struct qlist *chain, *l;
	uint64_t n = 0;
	unsigned i;

	qmutex_lock(&vm->vm_flock);
	for (i = 0; i < QARRAYLEN(vm->vm_fobj) && n < want; i++) {
		chain = &vm->vm_fobj[vm->vm_hand++ % QARRAYLEN(vm->vm_fobj)];
		QLIST_FOREACH(l, chain) {
			n += unmap_file(vm, QLIST_ELEM(l, struct fobj, fo_link),
			    want - n);
			if (n >= want)
				break;
		}
	}
	qmutex_unlock(&vm->vm_flock);
	return n;
}

uint64_t
swap_pages(struct vm *vm, uint64_t want)
{
	uint64_t n = unmap_some(vm, want);

	if (n < want && __atomic_load_n(&vm->vm_swap, __ATOMIC_RELAXED) != 0)
		n += swap_some(vm, want - n);
	return n;
}

/* rc_reclaim */
static uint64_t
reclaim(struct qreclaimer *rc, uint64_t want)
{
	struct vm *vm = QCONTAINER(rc, struct vm, vm_reclaimer);

	/* Others may have found enough. */
	return qpage_nfree(vm->vm_k) < want ? swap_pages(vm, want) : 0;
}

/* ---- swap disks ----------------------------------------------------------------------- */

int
swap_init(struct vm *vm)
{
	vm->vm_swapper = qzalloc(&tag_swap, sizeof(*vm->vm_swapper));
	if (vm->vm_swapper == NULL)
		return -Q_ENOMEM;
	qspin_init(&vm->vm_swapper->sw_lock);
	qlist_init(&vm->vm_reclaimer.rc_link);
	vm->vm_reclaimer.rc_reclaim = reclaim;
	qpage_reclaimer_add(vm->vm_k, &vm->vm_reclaimer);
	return 0;
}

static void
area_end(struct swaparea *sa)
{
	qassert(sa->sa_nused == 0);
	qdisk_put(sa->sa_disk);
	qfree(sa->sa_used);
	memset(sa, 0, sizeof(*sa));
}

void
swap_fini(struct vm *vm)
{
	unsigned a;

	qpage_reclaimer_del(vm->vm_k, &vm->vm_reclaimer);
	for (a = 0; a < QVM_NSWAP; a++) {
		struct swaparea *sa = &vm->vm_swapper->sw_area[a];

		if (sa->sa_disk == NULL)
			continue;
		/* The slot that is never used. */
		sa->sa_nused--;
		area_end(sa);
	}
	qfree(vm->vm_swapper);
}

int
qvm_swapon(struct quern *k, struct qdisk *d)
{
	struct vm *vm = vm_of(k);
	struct swap *sw = vm->vm_swapper;
	struct swaparea sa = { .sa_disk = d,
		.sa_n = qdisk_size(d) >> PAGE_SHIFT,
		.sa_next = 1 };
	unsigned a, at = QVM_NSWAP;

	if (sa.sa_n < 2 || sa.sa_n >> AREA_SHIFT != 0)
		return -Q_EINVAL;
	sa.sa_used = qzalloc(&tag_swap, QROUNDUP(sa.sa_n, 64) / 8);
	if (sa.sa_used == NULL)
		return -Q_ENOMEM;
	/* The first page is left alone, and its number means nothing. */
	sa.sa_used[0] = sa.sa_nused = 1;
	qspin_lock(&sw->sw_lock);
	for (a = 0; a < QVM_NSWAP; a++) {
		if (sw->sw_area[a].sa_disk == d)
			break;
		if (sw->sw_area[a].sa_disk == NULL && at == QVM_NSWAP)
			at = a;
	}
	if (a == QVM_NSWAP && at != QVM_NSWAP) {
		qdisk_get(d);
		sw->sw_area[at] = sa;
		__atomic_fetch_add(&vm->vm_swap, sa.sa_n - 1, __ATOMIC_RELAXED);
	}
	qspin_unlock(&sw->sw_lock);
	if (a == QVM_NSWAP && at != QVM_NSWAP)
		return 0;
	qfree(sa.sa_used);
	return a != QVM_NSWAP ? -Q_EBUSY : -Q_EPERM;
}

/* Bring what a family has in an area back.  -ENOMEM: not all. */
static int
bring_back(struct vm *vm, struct family *fa, unsigned area)
{
	struct entry *e;
	struct anon *a;
	struct qlist *l;
	uint64_t i;
	void *p;
	int error = 0;

	qmutex_lock(&fa->fa_lock);
	QLIST_FOREACH(l, &fa->fa_entries) {
		e = QLIST_ELEM(l, struct entry, e_alink);
		for (a = e->e_anon; a != NULL && error == 0; a = a->a_back)
			for (i = 0; error == 0; i++) {
				p = ptree_next(&a->a_pages, &i);
				if (p == NULL)
					break;
				if (is_swapped(p) &&
				    swap_slot(p) >> AREA_SHIFT == area)
					error = swap_in(vm, a, i, p);
			}
		if (error != 0)
			break;
	}
	qmutex_unlock(&fa->fa_lock);
	return error;
}

int
qvm_swapoff(struct quern *k, struct qdisk *d)
{
	struct vm *vm = vm_of(k);
	struct swap *sw = vm->vm_swapper;
	struct swaparea *sa;
	struct family *fa;
	struct qpage *pg;
	uint64_t left;
	unsigned a;
	int error = 0;

	qspin_lock(&sw->sw_lock);
	for (a = 0; a < QVM_NSWAP && sw->sw_area[a].sa_disk != d; a++)
		continue;
	if (a < QVM_NSWAP)
		sw->sw_area[a].sa_closed = true;
	qspin_unlock(&sw->sw_lock);
	if (a == QVM_NSWAP)
		return -Q_EINVAL;
	sa = &sw->sw_area[a];
	__atomic_fetch_sub(&vm->vm_swap, sa->sa_n - 1, __ATOMIC_RELAXED);
	qmutex_lock(&vm->vm_falock);
	left = vm->vm_nfamily;
	qmutex_unlock(&vm->vm_falock);
	while (error == 0 && left > 0 && (fa = family_turn(vm)) != NULL) {
		while ((error = bring_back(vm, fa, a)) == -Q_ENOMEM) {
			pg = qpage_alloc_wait(k, 0);
			if (pg == NULL)
				break;
			qpage_put(k, pg);
		}
		family_put(fa);
		left--;
	}
	qspin_lock(&sw->sw_lock);
	if (error == 0 && sa->sa_nused != 1)
		error = -Q_EBUSY;
	sa->sa_closed = error == 0;
	qspin_unlock(&sw->sw_lock);
	if (error != 0) {
		__atomic_fetch_add(&vm->vm_swap, sa->sa_n - 1,
		    __ATOMIC_RELAXED);
		return error;
	}
	sa->sa_nused = 0;
	area_end(sa);
	return 0;
}

void
qvm_swapinfo(struct quern *k, uint64_t *totalp, uint64_t *freep)
{
	struct swap *sw = vm_of(k)->vm_swapper;
	unsigned a;

	*totalp = *freep = 0;
	qspin_lock(&sw->sw_lock);
	for (a = 0; a < QVM_NSWAP; a++) {
		if (sw->sw_area[a].sa_disk == NULL)
			continue;
		*totalp += sw->sw_area[a].sa_n - 1;
		*freep += sw->sw_area[a].sa_n - sw->sw_area[a].sa_nused;
	}
	qspin_unlock(&sw->sw_lock);
}
