/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which pages to give back when memory is short.
 *
 * Pages of files with a disk are on one of two lists, from when they are
 * entered into the tree until they are taken out.  New ones begin at the head
 * of the inactive list.  Those that come to its tail go, unless they have been
 * used (QPG_REFERENCED, page_touch) since the last look: these become active.
 * When there are more active than inactive ones, the tail of the active list
 * becomes inactive, but for what has been used again.
 *
 * Who allocates may hold a v_lock or be inside of a driver, so reclaim waits
 * for nothing: it takes spin locks and no page that is busy, dirty or in use.
 * Dirty ones are the thread's business, which it is told of.
 */
#include "pcimpl.h"

/* Pages looked at with wb_lrulock held, and freed at a time. */
#define BATCH 32u

void
lru_add(struct writeback *wb, struct qpage **pg, unsigned n)
{
	unsigned i;

	if (n == 0)
		return;
	qspin_lock(&wb->wb_lrulock);
	for (i = 0; i < n; i++)
		qlist_prepend(&wb->wb_inactive, &pg[i]->pg_link);
	wb->wb_ninactive += n;
	qspin_unlock(&wb->wb_lrulock);
}

/* [l] */
static void
unlink(struct writeback *wb, struct qpage *pg)
{
	if ((page_flags(pg) & QPG_ACTIVE) != 0)
		wb->wb_nactive--;
	else
		wb->wb_ninactive--;
	qlist_del(&pg->pg_link);
}

void
lru_del(struct writeback *wb, struct qpage *pg)
{
	qspin_lock(&wb->wb_lrulock);
	if (!qlist_empty(&pg->pg_link))
		unlink(wb, pg);
	qspin_unlock(&wb->wb_lrulock);
}

/* Make pages inactive until there are enough of these, or `n` were looked at.
 * [l] */
static void
balance(struct writeback *wb, unsigned n)
{
	struct qpage *pg;

	while (n-- > 0 && wb->wb_nactive > wb->wb_ninactive) {
		pg = QLIST_ELEM(wb->wb_active.l_prev, struct qpage, pg_link);
		qlist_del(&pg->pg_link);
		if ((page_flags(pg) & QPG_REFERENCED) != 0) {
			page_unset(pg, QPG_REFERENCED);
			qlist_prepend(&wb->wb_active, &pg->pg_link);
			continue;
		}
		page_unset(pg, QPG_ACTIVE);
		qlist_prepend(&wb->wb_inactive, &pg->pg_link);
		wb->wb_nactive--;
		wb->wb_ninactive++;
	}
}

/*
 * Look at the tail of the inactive list: busy pages that may go, off the lists.
 * How many; *seenp counts all that were looked at.  [l]
 */
static unsigned
pick(struct writeback *wb, struct qpage **out, uint64_t *seenp)
{
	unsigned i, n = 0;
	struct qpage *pg;
	uint32_t flags;

	for (i = 0; i < BATCH && !qlist_empty(&wb->wb_inactive); i++) {
		pg = QLIST_ELEM(wb->wb_inactive.l_prev, struct qpage, pg_link);
		flags = page_flags(pg);
		if ((flags & QPG_REFERENCED) != 0) {
			page_unset(pg, QPG_REFERENCED);
			page_set(pg, QPG_ACTIVE);
			qlist_del(&pg->pg_link);
			qlist_prepend(&wb->wb_active, &pg->pg_link);
			wb->wb_ninactive--;
			wb->wb_nactive++;
		} else if ((flags & (QPG_DIRTY | QPG_BUSY)) != 0 ||
		    __atomic_load_n(&pg->pg_refs, __ATOMIC_RELAXED) != 1 ||
		    qpage_mapped(pg) || !qpage_trybusy(pg)) {
			qlist_del(&pg->pg_link);
			qlist_prepend(&wb->wb_inactive, &pg->pg_link);
		} else {
			unlink(wb, pg);
			out[n++] = pg;
		}
	}
	*seenp += i;
	return n;
}

/*
 * Take a busy page out of its file if nobody uses it; its file can't go before
 * that.  False: it stays.
 */
static bool
take_out(struct qpage *pg)
{
	struct qvnode *v = pg->pg_obj;
	struct qpcache *pc = &v->v_pages;
	uint32_t one = 1;

	qspin_lock(&pc->pc_lock);
	/*
	 * From 0 nobody takes a reference: see pctree_get.  And nobody maps what
	 * is busy.
	 */
	if (__atomic_load_n(&pg->pg_pins, __ATOMIC_RELAXED) != 0 ||
	    qpage_mapped(pg) ||
	    !__atomic_compare_exchange_n(&pg->pg_refs, &one, 0, false,
		__ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		qspin_unlock(&pc->pc_lock);
		return false;
	}
	if ((page_flags(pg) & QPG_DIRTY) != 0) {
		__atomic_store_n(&pg->pg_refs, 1, __ATOMIC_RELEASE);
		qspin_unlock(&pc->pc_lock);
		return false;
	}
	pctree_remove(pc, pg->pg_index);
	pg->pg_obj = NULL;
	qspin_unlock(&pc->pc_lock);
	__atomic_store_n(&pg->pg_refs, 1, __ATOMIC_RELEASE);
	return true;
}

/* rc_reclaim */
static uint64_t
reclaim(struct qreclaimer *rc, uint64_t want)
{
	struct writeback *wb = QCONTAINER(rc, struct writeback, wb_reclaimer);
	struct qpage *pg[BATCH];
	uint64_t freed = 0, seen = 0, most;
	unsigned i, n;

	qspin_lock(&wb->wb_lrulock);
	/* Twice round: what was used becomes old by the second time. */
	most = 2 * (wb->wb_nactive + wb->wb_ninactive) + 1;
	while (freed < want && seen < most) {
		balance(wb, 4 * BATCH);
		n = pick(wb, pg, &seen);
		if (n == 0 && qlist_empty(&wb->wb_inactive))
			seen += BATCH;
		qspin_unlock(&wb->wb_lrulock);
		for (i = 0; i < n; i++) {
			if (take_out(pg[i])) {
				page_unset(pg[i], ~QPG_BUSY & ~QPG_WANTED);
				qpage_unbusy(wb->wb_k, pg[i]);
				qpage_put(wb->wb_k, pg[i]);
				freed++;
				continue;
			}
			page_unset(pg[i], QPG_ACTIVE);
			lru_add(wb, &pg[i], 1);
			qpage_unbusy(wb->wb_k, pg[i]);
		}
		qspin_lock(&wb->wb_lrulock);
	}
	qspin_unlock(&wb->wb_lrulock);
	if (freed < want &&
	    __atomic_load_n(&wb->wb_ndirty, __ATOMIC_RELAXED) != 0)
		writeback_kick(wb, WB_SHORT);
	return freed;
}

/* rc_wait */
static bool
wait_written(struct qreclaimer *rc)
{
	return writeback_help(QCONTAINER(rc, struct writeback, wb_reclaimer),
	    WB_SHORT);
}

void
lru_init(struct writeback *wb)
{
	qspin_init(&wb->wb_lrulock);
	qlist_init(&wb->wb_active);
	qlist_init(&wb->wb_inactive);
	qlist_init(&wb->wb_reclaimer.rc_link);
	wb->wb_reclaimer.rc_reclaim = reclaim;
	wb->wb_reclaimer.rc_wait = wait_written;
	qpage_reclaimer_add(wb->wb_k, &wb->wb_reclaimer);
}

void
lru_fini(struct writeback *wb)
{
	qpage_reclaimer_del(wb->wb_k, &wb->wb_reclaimer);
	qassert(wb->wb_nactive == 0 && wb->wb_ninactive == 0);
}
