/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page cache.
 *
 * Files: pctree.c (pages by index), pcread.c (reading and reading ahead), this
 * one (writing, and taking pages away), writeback.c, pclru.c (which pages go
 * when memory is short).
 *
 * States of a page that is in a file's tree, and who moves it:
 *
 *	absent    -> empty      page_enter, busy
 *	empty     -> clean      page_fill, read_done: QPG_VALID is set
 *	clean     -> dirty      qpcache_dirty: QPG_DIRTY is set
 *	dirty     -> writing    write_batch: qpage_clean; busy until
 *	writing   -> clean      run_finish; dirty if there was no memory
 *	not dirty -> absent     take_out (reclaim), page_discard
 *	dirty     -> absent     page_discard
 *
 * I1  Who enters a page, fills it, writes to it for a client, writes it back or
 *     takes it out has it busy.  pg_obj and pg_index change only then, under
 *     pc_lock.  So a page that is busy stays in the tree.
 * I2  The tree has a reference of each page.  A new one is taken from the tree
 *     only while there is another (pctree_get, take_out).
 * I3  QPG_VALID is set when the contents are complete, and cleared when the
 *     page leaves.  Who reads needs a reference and QPG_VALID, nothing else.
 *     Beyond the file's end a valid page is zero, but for what was stored
 *     through a mapping; write-back and qpcache_write zero that.
 * I4  QPG_DIRTY is set without pc_lock, the tag PCT_DIRTY under it after that.
 *     A page that is not busy and has the bit has the tag, or will have as soon
 *     as whoever set the bit gets on.  The tag goes under pc_lock, if the bit is
 *     not set then; PCT_WRITE comes at the same time, and goes when the page is
 *     clean again.  So fsync misses nothing: what has neither tag is on the
 *     disk.
 * I5  A dirty page has the file system's promise of room for all of it up to
 *     the file's end (vo_reserve; qpcache_extend when that moves), and so has
 *     every page of a diskless file.  It is given back when the page goes.
 * I6  v_size grows while the last page that was written is still busy, after
 *     its contents.  So what write-back sees of a busy page is all within
 *     v_size, or is not the file's.
 * I7  While a file's blocks move (truncation, holes: v_lock is held for writing
 *     from before the pages go until after the driver is done) nobody reads the
 *     old blocks into new pages: page_enter refuses pages of the range that was
 *     *cut*, and who needs one waits for v_lock (cut_wait).  Nor does write-back
 *     go beyond pc_limit, the end to come, in the page that stays; whatever of
 *     it was on its way has been waited for.  Both end with the next operation
 *     that holds v_lock.
 * I8  Nobody allocates pages with one busy, but those that nobody has seen.  So
 *     whoever waits for a busy page waits for I/O or for the driver, never for
 *     memory.
 *
 * Lock order: v_lock, busy pages (several by index, the first waiting), the
 * driver's own, the reverse map, pc_lock, fs_vlock, wb_lock; wb_lrulock is a
 * leaf.
 */
#include "pcimpl.h"

static const struct qtag tag_copy = { "write from a guest" };

void
qpcache_init(struct qpcache *pc)
{
	qspin_init(&pc->pc_lock);
	qlist_init(&pc->pc_runs);
	qwaitq_init(&pc->pc_wait);
	pc->pc_root = NULL;
	pc->pc_npages = pc->pc_ndirty = 0;
	pc->pc_cut = pc->pc_cutend = 0;
	pc->pc_cutter = NULL;
	pc->pc_limit = UINT64_MAX;
	pc->pc_runseq = 0;
	pc->pc_error = 0;
	pc->pc_errseq = 0;
}

static inline void *
data_of(const struct qvnode *v, const struct qpage *pg)
{
	return qpage_data(v->v_fs->fs_k, pg);
}

/* ---- ranges that are cut (I7) ------------------------------------------- */

/* Let nobody else read pages [first, end) in.  [v_lock] */
static void
cut_add(struct qvnode *v, uint64_t first, uint64_t end)
{
	struct qpcache *pc = &v->v_pages;

	qspin_lock(&pc->pc_lock);
	if (pc->pc_cutter != NULL) {
		first = first < pc->pc_cut ? first : pc->pc_cut;
		end = end > pc->pc_cutend ? end : pc->pc_cutend;
	}
	pc->pc_cut = first;
	pc->pc_cutend = end;
	pc->pc_cutter = qthread_current();
	qspin_unlock(&pc->pc_lock);
}

/*
 * An operation that holds v_lock begins: what another one has cut is long over.
 */
static void
cut_over(struct qvnode *v)
{
	struct qpcache *pc = &v->v_pages;

	if (qlikely(__atomic_load_n(&pc->pc_cutter, __ATOMIC_RELAXED) == NULL))
		return;
	qspin_lock(&pc->pc_lock);
	if (pc->pc_cutter != qthread_current()) {
		__atomic_store_n(&pc->pc_cutter, NULL, __ATOMIC_RELAXED);
		__atomic_store_n(&pc->pc_limit, UINT64_MAX, __ATOMIC_RELAXED);
	}
	qspin_unlock(&pc->pc_lock);
}

/* What is to be the file's end, for write-back; UINT64_MAX: v_size is. */
static void
set_limit(struct qvnode *v, uint64_t limit)
{
	struct qpcache *pc = &v->v_pages;

	if (__atomic_load_n(&pc->pc_limit, __ATOMIC_RELAXED) == limit)
		return;
	qspin_lock(&pc->pc_lock);
	__atomic_store_n(&pc->pc_limit, limit, __ATOMIC_RELAXED);
	qspin_unlock(&pc->pc_lock);
}

uint64_t
file_end(struct qvnode *v)
{
	struct qpcache *pc = &v->v_pages;
	uint64_t size;

	qspin_lock(&pc->pc_lock);
	size = qvnode_size(v);
	if (size > pc->pc_limit)
		size = pc->pc_limit;
	qspin_unlock(&pc->pc_lock);
	return size;
}

void
cut_wait(struct qvnode *v)
{
	struct qpcache *pc = &v->v_pages;

	qrw_rdlock(&v->v_lock);
	qspin_lock(&pc->pc_lock);
	__atomic_store_n(&pc->pc_cutter, NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&pc->pc_limit, UINT64_MAX, __ATOMIC_RELAXED);
	qspin_unlock(&pc->pc_lock);
	qrw_rdunlock(&v->v_lock);
}

/* ---- pages -------------------------------------------------------------- */

struct qpage *
page_alloc(struct writeback *wb)
{
	struct qpage *pg;
	unsigned tries = 0;

	while ((pg = qpage_alloc_wait(wb->wb_k, 0)) == NULL) {
		if (writeback_help(wb, WB_SHORT))
			continue;
		/* Others may be about to let go of pages, or have just taken
		 * them. */
		if (++tries == 16)
			break;
		qthread_yield();
	}
	return pg;
}

int
page_enter(struct qvnode *v, struct qpage *pg, uint64_t index)
{
	struct qpcache *pc = &v->v_pages;
	int error;

	if (qunlikely(pc->pc_cutter != NULL) &&
	    pc->pc_cutter != qthread_current() && index >= pc->pc_cut &&
	    index < pc->pc_cutend)
		return -Q_EAGAIN;
	pg->pg_obj = v;
	pg->pg_index = index;
	error = pctree_insert(pc, index, pg);
	if (error != 0)
		pg->pg_obj = NULL;
	return error;
}

/* A new page at `index`, busy, with a reference besides the tree's. */
static int
page_make(struct qvnode *v, uint64_t index, struct qpage **pgp)
{
	struct qpcache *pc = &v->v_pages;
	struct writeback *wb = wb_of(v);
	struct quern *k = wb->wb_k;
	struct qpage *pg = page_alloc(wb);
	int error = 0;

	if (pg == NULL)
		return -Q_ENOMEM;
	__atomic_store_n(&pg->pg_flags, QPG_BUSY, __ATOMIC_RELAXED);
	if (is_diskless(v) && v->v_ops->vo_reserve != NULL)
		error = v->v_ops->vo_reserve(v, index << PAGE_SHIFT, PAGE_SIZE);
	if (error != 0) {
		page_unset(pg, QPG_BUSY);
		qpage_put(k, pg);
		return error;
	}
	qpage_get(pg);
	qspin_lock(&pc->pc_lock);
	error = page_enter(v, pg, index);
	qspin_unlock(&pc->pc_lock);
	if (error != 0) {
		if (is_diskless(v))
			page_unpromise(v, index);
		page_unset(pg, QPG_BUSY);
		qpage_put(k, pg);
		qpage_put(k, pg);
		return error;
	}
	if (!is_diskless(v))
		lru_add(wb, &pg, 1);
	*pgp = pg;
	return 0;
}

/* Make a page busy; false: it is not the file's any more. */
static bool
page_hold(struct qvnode *v, struct qpage *pg, uint64_t index)
{
	qpage_busy(v->v_fs->fs_k, pg);
	if (qlikely(pg->pg_obj == v && pg->pg_index == index))
		return true;
	qpage_unbusy(v->v_fs->fs_k, pg);
	return false;
}

int
page_take(struct qvnode *v, uint64_t index, struct qpage **pgp)
{
	struct qpage *pg;
	int error;

	for (;;) {
		pg = pctree_get(&v->v_pages, index);
		if (pg != NULL) {
			if (page_hold(v, pg, index)) {
				*pgp = pg;
				return 0;
			}
			qpage_put(v->v_fs->fs_k, pg);
			continue;
		}
		error = page_make(v, index, pgp);
		if (error == -Q_EAGAIN)
			cut_wait(v);
		else if (error != -Q_EEXIST)
			return error;
	}
}

int
qpcache_page(struct qvnode *v, uint64_t index, bool fill, struct qpage **pgp)
{
	struct quern *k = v->v_fs->fs_k;
	struct qpage *pg;
	int error;

	if (index >= NO_PAGE)
		return -Q_EFBIG;
	pg = pctree_get(&v->v_pages, index);
	if (pg != NULL && fill && (page_flags(pg) & QPG_VALID) != 0) {
		page_touch(pg);
		*pgp = pg;
		return 0;
	}
	if (pg != NULL)
		qpage_put(k, pg);
	error = page_take(v, index, &pg);
	if (error != 0)
		return error;
	*pgp = pg;
	if (!fill)
		return 0;
	if ((page_flags(pg) & QPG_VALID) == 0)
		error = page_fill(v, pg);
	qpage_unbusy(k, pg);
	if (error != 0)
		qpage_put(k, pg);
	return error;
}

struct qpage *
qpcache_find(struct qvnode *v, uint64_t index)
{
	struct qpage *pg = pctree_get(&v->v_pages, index);

	if (pg != NULL && (page_flags(pg) & QPG_VALID) == 0) {
		qpage_put(v->v_fs->fs_k, pg);
		return NULL;
	}
	if (pg != NULL)
		page_touch(pg);
	return pg;
}

void
qpcache_dirty(struct qvnode *v, struct qpage *pg)
{
	struct qpcache *pc = &v->v_pages;
	bool new = false;

	if (is_diskless(v) || (page_flags(pg) & QPG_DIRTY) != 0 ||
	    !qpage_dirty(pg))
		return;
	qspin_lock(&pc->pc_lock);
	/* It may have been taken out, or be clean again. */
	if (pg->pg_obj == v && (page_flags(pg) & QPG_DIRTY) != 0 &&
	    !pctree_is(pc, pg->pg_index, PCT_DIRTY)) {
		pctree_set(pc, pg->pg_index, PCT_DIRTY, true);
		writeback_count(v, 1);
		new = true;
	}
	qspin_unlock(&pc->pc_lock);
	if (new)
		vnode_mark(v, QV_DIRTYPAGES);
}

/* ---- writing ------------------------------------------------------------ */

/* Ask for room for what of the page's [off, end) is the file's. */
static int
promise(struct qvnode *v, struct qpage *pg, uint64_t end, bool *newp)
{
	uint64_t off = pg->pg_index << PAGE_SHIFT, size = qvnode_size(v);
	bool dirty = (page_flags(pg) & QPG_DIRTY) != 0;

	*newp = false;
	if (is_diskless(v) || v->v_ops->vo_reserve == NULL)
		return 0;
	/* One of whole blocks has it all since it became dirty. */
	if (dirty && v->v_fs->fs_bsize >= PAGE_SIZE)
		return 0;
	if (size < end)
		size = end;
	if (size > off + PAGE_SIZE)
		size = off + PAGE_SIZE;
	*newp = !dirty;
	return v->v_ops->vo_reserve(v, off, size - off);
}

/* Where a write is. */
struct writer {
	struct qvnode *w_v;
	struct quio *w_u;
	char *w_copy; /* NULL, or where clients' data go first */
};

/*
 * Copy `n` bytes to `off` within a busy page: how many came, into *donep.
 *
 * Reaching the memory of a guest may need pages, even this one: then it is done
 * by way of a copy, which has been made.
 */
static int
copy_in(struct writer *w, struct qpage *pg, size_t off, size_t n, size_t *donep)
{
	size_t before = w->w_u->u_resid;
	int error;

	if (w->w_copy != NULL) {
		memcpy((char *)data_of(w->w_v, pg) + off, w->w_copy, n);
		*donep = n;
		return 0;
	}
	error = quio_in(w->w_u, (char *)data_of(w->w_v, pg) + off, n);
	*donep = before - w->w_u->u_resid;
	return error;
}

/* Make the busy page ready for a write of [off, off + n) in it. */
static int
write_ready(struct qvnode *v, struct qpage *pg, size_t off, size_t n,
    bool *wholep)
{
	uint64_t at = pg->pg_index << PAGE_SHIFT;

	*wholep = false;
	if ((page_flags(pg) & QPG_VALID) != 0)
		return 0;
	if (at < qvnode_size(v) && off == 0 && n == PAGE_SIZE) {
		/* It need not be read, if all of it does come. */
		*wholep = true;
		return 0;
	}
	return page_fill(v, pg);
}

/*
 * A file without a disk, and a page with contents: it stays while v_lock is held,
 * nobody fills it, and that it is dirty need not be known.  So neither a reference
 * nor its being busy is needed, which would cost a third of a write's time.
 */
static inline struct qpage *
page_in_place(struct qvnode *v, uint64_t index)
{
	struct qpage *pg;

	if (!is_diskless(v))
		return NULL;
	pg = pctree_peek(&v->v_pages, index);
	return pg != NULL && (page_flags(pg) & QPG_VALID) != 0 ? pg : NULL;
}

/* The file reaches at least to `end`.  [v_lock] */
static inline void
reach(struct qvnode *v, uint64_t end)
{
	if (end > v->v_size)
		__atomic_store_n(&v->v_size, end, __ATOMIC_RELEASE);
}

/* Write up to `n` bytes at `off`, which lie within one page. */
static int
write_page(struct writer *w, uint64_t off, size_t n, size_t *donep)
{
	struct qvnode *v = w->w_v;
	struct quern *k = v->v_fs->fs_k;
	struct qpage *pg;
	bool whole, promised = false;
	int error, e;

	*donep = 0;
	if (w->w_copy != NULL) {
		size_t before = w->w_u->u_resid;

		e = quio_in(w->w_u, w->w_copy, n);
		n = before - w->w_u->u_resid;
		if (n == 0)
			return e;
	} else {
		e = 0;
	}
	pg = page_in_place(v, off >> PAGE_SHIFT);
	if (pg != NULL) {
		error = copy_in(w, pg, off % PAGE_SIZE, n, donep);
		if (*donep > 0)
			reach(v, off + *donep);
		page_touch(pg);
		return error != 0 ? error : e;
	}
	error = page_take(v, off >> PAGE_SHIFT, &pg);
	if (error != 0)
		return error;
	error = write_ready(v, pg, off % PAGE_SIZE, n, &whole);
	if (error == 0)
		error = promise(v, pg, off + n, &promised);
	if (error == 0)
		error = copy_in(w, pg, off % PAGE_SIZE, n, donep);
	if (whole && *donep < n)
		*donep = 0; /* there is nothing to go around it */
	if (*donep > 0) {
		if ((page_flags(pg) & QPG_VALID) == 0)
			page_set(pg, QPG_VALID);
		qpcache_dirty(v, pg);
		reach(v, off + *donep);
	} else if (promised && error != 0 &&
	    (page_flags(pg) & QPG_DIRTY) == 0) {
		page_unpromise(v, off >> PAGE_SHIFT);
	}
	page_touch(pg);
	qpage_unbusy(k, pg);
	qpage_put(k, pg);
	return error != 0 ? error : e;
}

int
qpcache_mkwrite(struct qvnode *v, struct qpage *pg)
{
	bool promised;
	int error;

	/* Beyond the end, nothing is ever written back. */
	if (pg->pg_index << PAGE_SHIFT >= qvnode_size(v))
		return 0;
	error = promise(v, pg, 0, &promised);
	if (error == 0)
		qpcache_dirty(v, pg);
	return error;
}

int
qpcache_extend(struct qvnode *v, uint64_t size)
{
	uint64_t old = v->v_size, index = old >> PAGE_SHIFT;
	struct qpage *pg;
	bool promised;
	int error = 0;

	qassert(qrw_wrheld(&v->v_lock) && size >= old);
	set_limit(v, UINT64_MAX);
	if (old % PAGE_SIZE == 0)
		return 0;
	pg = pctree_get(&v->v_pages, index);
	if (pg == NULL)
		return 0;
	if (page_hold(v, pg, index)) {
		/* There may be what was stored through a mapping (I3). */
		if ((page_flags(pg) & QPG_VALID) != 0)
			memset((char *)data_of(v, pg) + old % PAGE_SIZE, 0,
			    (size_t)(PAGE_SIZE - old % PAGE_SIZE));
		if ((page_flags(pg) & QPG_DIRTY) != 0)
			error = promise(v, pg, size, &promised);
		qpage_unbusy(v->v_fs->fs_k, pg);
	}
	qpage_put(v->v_fs->fs_k, pg);
	return error;
}

int64_t
qpcache_write(struct qvnode *v, struct quio *u)
{
	uint64_t off = (uint64_t)u->u_off, start = off;
	struct writeback *wb = wb_of(v);
	struct writer w = { v, u, NULL };
	size_t n, done, left = u->u_resid;
	int error = 0;

	qassert(qrw_wrheld(&v->v_lock));
	if (left == 0)
		return 0;
	cut_over(v);
	set_limit(v, UINT64_MAX);
	if (u->u_us != &quspace_local) {
		w.w_copy = qalloc(&tag_copy, PAGE_SIZE);
		if (w.w_copy == NULL)
			return -Q_ENOMEM;
	}
	if (qunlikely(off > v->v_size))
		error = qpcache_extend(v, off);
	while (left > 0 && error == 0) {
		if (qunlikely(writeback_over(wb)) && !is_diskless(v))
			(void)writeback_help(wb, WB_MANY);
		n = PAGE_SIZE - off % PAGE_SIZE;
		if (n > left)
			n = left;
		error = write_page(&w, off, n, &done);
		off += done;
		left -= done;
	}
	qfree(w.w_copy);
	return off != start ? (int64_t)(off - start) : error;
}

/* ---- zeroing and taking away -------------------------------------------- */

/* Does [off, end) of the file read as zeroes because nothing is on the disk? */
static bool
is_hole(struct qvnode *v, uint64_t off, uint64_t end)
{
	struct qmapping m;

	for (; off < end; off = m.m_off + m.m_len)
		if (v->v_ops->vo_map(v, off, end - off, QMAP_READ, &m) != 0 ||
		    (m.m_flags & (QMAP_HOLE | QMAP_UNWRITTEN)) == 0)
			return false;
	return true;
}

int
qpcache_zero(struct qvnode *v, uint64_t off, size_t len)
{
	uint64_t index = off >> PAGE_SHIFT;
	struct quern *k = v->v_fs->fs_k;
	struct qpage *pg;
	bool promised;
	int error;

	qassert(len <= PAGE_SIZE - off % PAGE_SIZE);
	if (len == 0)
		return 0;
	cut_over(v);
	if (is_diskless(v)) {
		pg = pctree_get(&v->v_pages, index);
		if (pg == NULL)
			return 0;
		qpage_busy(k, pg);
		error = 0;
	} else {
		error = page_take(v, index, &pg);
		if (error != 0)
			return error;
		if ((page_flags(pg) & QPG_VALID) == 0)
			error = page_fill(v, pg);
		/* What is clean and on no disk is zero already. */
		if (error == 0 && (page_flags(pg) & QPG_DIRTY) == 0 &&
		    is_hole(v, off, off + len))
			goto out;
		if (error == 0)
			error = promise(v, pg, off + len, &promised);
	}
	if (error == 0 && (page_flags(pg) & QPG_VALID) != 0) {
		memset((char *)data_of(v, pg) + off % PAGE_SIZE, 0, len);
		qpcache_dirty(v, pg);
	}
out:
	qpage_unbusy(k, pg);
	qpage_put(k, pg);
	return error;
}

void
page_discard(struct qvnode *v, struct qpage *pg)
{
	struct qpcache *pc = &v->v_pages;
	uint64_t off = pg->pg_index << PAGE_SHIFT;
	struct quern *k = v->v_fs->fs_k;
	bool promised = is_diskless(v);

	qpage_invalidate(k, pg);
	if (!is_diskless(v))
		lru_del(wb_of(v), pg);
	qspin_lock(&pc->pc_lock);
	if (pctree_is(pc, pg->pg_index, PCT_DIRTY)) {
		promised = true;
		pctree_set(pc, pg->pg_index, PCT_DIRTY, false);
		writeback_count(v, -1);
	}
	pctree_remove(pc, pg->pg_index);
	pg->pg_obj = NULL;
	page_unset(pg, ~(QPG_BUSY | QPG_WANTED));
	qspin_unlock(&pc->pc_lock);
	if (promised)
		page_unpromise(v, off >> PAGE_SHIFT);
	qpage_unbusy(k, pg);
	qpage_put(k, pg);
	qpage_put(k, pg);
}

/* The first page at or after *index, busy and with a reference, or NULL. */
static struct qpage *
next_page(struct qvnode *v, uint64_t *index, uint64_t end)
{
	struct qpcache *pc = &v->v_pages;
	struct qpage *pg;

	for (;;) {
		qspin_lock(&pc->pc_lock);
		pg = pctree_next(pc, index, PCT_PRESENT);
		if (pg != NULL && *index >= end)
			pg = NULL;
		if (pg != NULL)
			qpage_get(pg);
		qspin_unlock(&pc->pc_lock);
		if (pg == NULL || page_hold(v, pg, *index))
			return pg;
		qpage_put(v->v_fs->fs_k, pg);
	}
}

int
qpcache_truncate(struct qvnode *v, uint64_t size)
{
	uint64_t index = size >> PAGE_SHIFT, rest;
	struct qpage *pg;
	int error;

	qassert(qrw_wrheld(&v->v_lock) && size <= v->v_size);
	cut_over(v);
	if (size % PAGE_SIZE != 0) {
		rest = PAGE_SIZE - size % PAGE_SIZE;
		if (rest > v->v_size - size)
			rest = v->v_size - size;
		/*
		 * Waits for the page, if that is being written with what is
		 * behind the new end; from here on it is written without.
		 */
		set_limit(v, size);
		error = qpcache_zero(v, size, (size_t)rest);
		if (error != 0) {
			set_limit(v, UINT64_MAX);
			return error;
		}
	}
	/* With the last page: if it isn't there, its blocks move too. */
	cut_add(v, index, NO_PAGE);
	if (size % PAGE_SIZE != 0)
		index++;
	for (; (pg = next_page(v, &index, NO_PAGE)) != NULL; index++)
		page_discard(v, pg);
	return 0;
}

/* Take a busy page out that must not be dirty.  -EAGAIN: it is. */
static int
drop_clean(struct qvnode *v, struct qpage *pg)
{
	/* Nobody can make it dirty from here on. */
	qpage_invalidate(v->v_fs->fs_k, pg);
	if ((page_flags(pg) & QPG_DIRTY) != 0) {
		qpage_unbusy(v->v_fs->fs_k, pg);
		qpage_put(v->v_fs->fs_k, pg);
		return -Q_EAGAIN;
	}
	page_discard(v, pg);
	return 0;
}

int
qpcache_drop(struct qvnode *v, uint64_t off, uint64_t end, bool dirty)
{
	uint64_t index, last = end >> PAGE_SHIFT;
	struct qpage *pg;
	int error = 0;

	qassert(off % PAGE_SIZE == 0);
	cut_over(v);
	cut_add(v, off >> PAGE_SHIFT, last);
	if (is_diskless(v) && !dirty)
		return 0;
	index = off >> PAGE_SHIFT;
	for (; (pg = next_page(v, &index, last)) != NULL; index++) {
		if (dirty) {
			page_discard(v, pg);
			continue;
		}
		while ((error = drop_clean(v, pg)) == -Q_EAGAIN) {
			error = qpcache_sync(v, off, end, true);
			if (error != 0)
				return error;
			pg = next_page(v, &index, last);
			if (pg == NULL)
				return 0;
		}
	}
	return error;
}

void
qpcache_evict(struct qvnode *v)
{
	uint64_t index = 0;
	struct qpage *pg;

	writeback_settle(v);
	for (; (pg = next_page(v, &index, UINT64_MAX)) != NULL; index++)
		page_discard(v, pg);
	qassert(v->v_pages.pc_npages == 0 && v->v_pages.pc_ndirty == 0);
}

/* ---- holes -------------------------------------------------------------- */

/* First page from `index` on whose data are newer than the disk, or NO_PAGE. */
static uint64_t
next_new(struct qvnode *v, uint64_t index)
{
	struct qpcache *pc = &v->v_pages;
	uint64_t d = index, w = index;

	qspin_lock(&pc->pc_lock);
	if (pctree_next(pc, &d, is_diskless(v) ? PCT_PRESENT : PCT_DIRTY) ==
	    NULL)
		d = NO_PAGE;
	if (pctree_next(pc, &w, PCT_WRITE) == NULL)
		w = NO_PAGE;
	qspin_unlock(&pc->pc_lock);
	return d < w ? d : w;
}

int64_t
qpcache_seek(struct qvnode *v, uint64_t off, bool hole)
{
	uint64_t size = qvnode_size(v), new, end;
	struct qmapping m;
	int error;

	if (off >= size)
		return -Q_ENXIO;
	for (; off < size; off = end) {
		/* In this order: what is written meanwhile is on the disk. */
		new = next_new(v, off >> PAGE_SHIFT);
		if (new == off >> PAGE_SHIFT) {
			if (!hole)
				return (int64_t)off;
			end = (new + 1) << PAGE_SHIFT;
			continue;
		}
		m = (struct qmapping){ .m_len = size, .m_flags = QMAP_HOLE };
		if (!is_diskless(v)) {
			error = v->v_ops->vo_map(v, off, size - off, QMAP_READ,
			    &m);
			if (error != 0)
				return error;
		}
		if (((m.m_flags & (QMAP_HOLE | QMAP_UNWRITTEN)) != 0) == hole)
			return (int64_t)off;
		end = m.m_off + m.m_len;
		if (!hole && end > new << PAGE_SHIFT)
			end = new << PAGE_SHIFT;
		if (end < off + 1)
			end = off + 1;
	}
	return hole ? (int64_t)size : -Q_ENXIO;
}
