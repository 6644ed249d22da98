/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading: from the cache, into the cache, and ahead.
 *
 * A page that is not there is read with as many behind it as the reader will
 * want: what it asks for, and when it goes through the file from front to back
 * a window that begins with 16 KiB and doubles up to 1 MiB.  When it comes to
 * the second half of a window the next one is asked for.  Such a read is a
 * *run*: busy pages in a row, one request; its completion makes them valid.
 *
 * All that is best effort.  Whoever wants a page waits until it is not busy any
 * more, and reads it by itself if it is still not valid: so an error or a lack
 * of memory ends nobody's read but that of the page in question.
 */
#include "pcimpl.h"

static const struct qtag tag_read = { "page cache read" };

static const char zeroes[QUERN_PAGE_SIZE];

/* Windows, in pages. */
#define WINDOW_MIN 4u
#define WINDOW_MAX RUN_PAGES /* wb_window, if that is less */

/* Pages in a row that are being read. */
struct read_run {
	struct qbio rr_bio;
	struct qvnode *rr_v;
	uint64_t rr_index;
	uint64_t rr_size; /* of the file when it was mapped */
	unsigned rr_n;
	struct quern_iov rr_iov[];
};

static inline void *
data_of(const struct qvnode *v, const struct qpage *pg)
{
	return qpage_data(v->v_fs->fs_k, pg);
}

/* Zero what is behind the file's end. */
static void
zero_behind(const struct qvnode *v, struct qpage *pg, uint64_t index,
    uint64_t size)
{
	uint64_t off = index << PAGE_SHIFT;

	if (size >= off + PAGE_SIZE)
		return;
	if (size < off)
		size = off;
	memset((char *)data_of(v, pg) + (size - off), 0,
	    (size_t)(off + PAGE_SIZE - size));
}

static inline void
page_ready(const struct qvnode *v, struct qpage *pg)
{
	page_set(pg, QPG_VALID);
	qpage_unbusy(v->v_fs->fs_k, pg);
}

/* ---- one page ----------------------------------------------------------- */

/* How far the disk has to be read for the file's contents up to `end`. */
static uint64_t
read_end(const struct qvnode *v, uint64_t end, uint64_t size)
{
	uint64_t bsize = v->v_fs->fs_bsize;

	if (bsize > PAGE_SIZE)
		bsize = PAGE_SIZE;
	size = QROUNDUP(size, bsize);
	return size < end ? size : end;
}

static int
fill_mapped(struct qvnode *v, struct qpage *pg, uint64_t size)
{
	uint64_t off = pg->pg_index << PAGE_SHIFT, to;
	uint64_t end = read_end(v, off + PAGE_SIZE, size);
	char *data = data_of(v, pg);
	struct qmapping m;
	int error;

	for (; off < end; off = to) {
		error = v->v_ops->vo_map(v, off, end - off, QMAP_READ, &m);
		if (error != 0)
			return error;
		qassert(m.m_off <= off && m.m_off + m.m_len > off);
		to = m.m_off + m.m_len < end ? m.m_off + m.m_len : end;
		if ((m.m_flags & (QMAP_HOLE | QMAP_UNWRITTEN)) != 0) {
			memset(data + off % PAGE_SIZE, 0, (size_t)(to - off));
			continue;
		}
		error = qdisk_read(v->v_fs->fs_disk, m.m_disk + (off - m.m_off),
		    data + off % PAGE_SIZE, (size_t)(to - off));
		if (error != 0)
			return error;
	}
	return 0;
}

int
page_fill(struct qvnode *v, struct qpage *pg)
{
	uint64_t size = qvnode_size(v);
	int error = -Q_ENOTBLK;

	if (!is_diskless(v) && pg->pg_index << PAGE_SHIFT < size) {
		if (v->v_ops->vo_fill != NULL)
			error = v->v_ops->vo_fill(v, pg);
		if (error == -Q_ENOTBLK)
			error = fill_mapped(v, pg, size);
		if (error != 0) {
			__atomic_fetch_add(&wb_of(v)->wb_rderror, 1,
			    __ATOMIC_RELAXED);
			return error;
		}
		zero_behind(v, pg, pg->pg_index, size);
	} else {
		memset(data_of(v, pg), 0, PAGE_SIZE);
	}
	page_set(pg, QPG_VALID);
	return 0;
}

/* ---- many --------------------------------------------------------------- */

/* The request is over.  Not on a thread of its own: no sleeping. */
static void
read_done(struct qbio *b)
{
	struct read_run *r = b->b_arg;
	struct qvnode *v = r->rr_v;
	struct writeback *wb = wb_of(v);
	struct quern *k = wb->wb_k;
	struct qpage *pg = NULL;
	unsigned i;

	for (i = 0; i < r->rr_n; i++) {
		qepoch_enter();
		pg = pctree_lookup(&v->v_pages, r->rr_index + i);
		qepoch_exit();
		if (b->b_error == 0) {
			zero_behind(v, pg, r->rr_index + i, r->rr_size);
			page_set(pg, QPG_VALID);
		}
		if (i + 1 < r->rr_n)
			qpage_unbusy(k, pg);
	}
	qspin_lock(&wb->wb_lock);
	__atomic_fetch_sub(&wb->wb_nread, r->rr_n, __ATOMIC_RELAXED);
	wb->wb_done += r->rr_n;
	/* With the last page that is not busy any more the vnode may go. */
	qpage_unbusy(k, pg);
	(void)qwaitq_wake_all(&wb->wb_progress);
	qspin_unlock(&wb->wb_lock);
	qfree(r);
}

/* Start to read `n` busy pages, which are in a row at `disk`. */
static bool
read_run(struct qvnode *v, struct qpage **pg, unsigned n, uint64_t disk,
    uint64_t size)
{
	uint64_t off = pg[0]->pg_index << PAGE_SHIFT, len;
	struct read_run *r = qalloc(&tag_read,
	    sizeof(*r) + n * sizeof(r->rr_iov[0]));
	unsigned i;

	if (r == NULL)
		return false;
	len = read_end(v, off + n * PAGE_SIZE, size) - off;
	for (i = 0; i < n; i++) {
		r->rr_iov[i].iov_base = data_of(v, pg[i]);
		r->rr_iov[i].iov_len = PAGE_SIZE;
	}
	r->rr_iov[n - 1].iov_len = len - (n - 1) * PAGE_SIZE;
	r->rr_v = v;
	r->rr_index = pg[0]->pg_index;
	r->rr_size = size;
	r->rr_n = n;
	r->rr_bio = (struct qbio){ .b_cmd = QUERN_BLK_READ,
		.b_niov = n,
		.b_iov = r->rr_iov,
		.b_off = disk,
		.b_len = len,
		.b_done = read_done,
		.b_arg = r };
	__atomic_fetch_add(&wb_of(v)->wb_nread, n, __ATOMIC_RELAXED);
	qbio_submit(v->v_fs->fs_disk, &r->rr_bio);
	return true;
}

/*
 * Fill or begin to fill the first of `n` busy pages in a row and those behind
 * it that are in the same place; how many.  0: leave it.
 */
static unsigned
read_some(struct qvnode *v, struct qpage **pg, unsigned n, uint64_t size)
{
	uint64_t off = pg[0]->pg_index << PAGE_SHIFT, end;
	struct qmapping m;
	unsigned i, np;

	if (off >= size) {
		for (i = 0; i < n; i++) {
			memset(data_of(v, pg[i]), 0, PAGE_SIZE);
			page_ready(v, pg[i]);
		}
		return n;
	}
	if (v->v_ops->vo_map(v, off, n * PAGE_SIZE, QMAP_READ, &m) != 0)
		return 0;
	qassert(m.m_off <= off && m.m_off + m.m_len > off);
	end = m.m_off + m.m_len;
	if (end >= read_end(v, UINT64_MAX, size))
		end = QROUNDUP(end, PAGE_SIZE);
	np = n;
	if (end < off + n * PAGE_SIZE)
		np = (unsigned)((end - off) >> PAGE_SHIFT);
	while (np > 1 && pg[np - 1]->pg_index << PAGE_SHIFT >= size)
		np--;
	if (np == 0)
		return 0; /* in several places: page_fill's business */
	if ((m.m_flags & (QMAP_HOLE | QMAP_UNWRITTEN)) == 0)
		return read_run(v, pg, np, m.m_disk + (off - m.m_off), size) ?
		    np :
		    0;
	for (i = 0; i < np; i++) {
		memset(data_of(v, pg[i]), 0, PAGE_SIZE);
		page_ready(v, pg[i]);
	}
	return np;
}

/* Fill busy pages in a row, or begin to, as far as that is easy. */
static void
read_pages(struct qvnode *v, struct qpage **pg, unsigned n)
{
	uint64_t size = qvnode_size(v);
	unsigned i = 0, np;
	int error;

	if (n > 0 && v->v_ops->vo_fill != NULL) {
		/* Such files have few pages: leave all but the first. */
		error = v->v_ops->vo_fill(v, pg[0]);
		if (error == 0)
			page_set(pg[0], QPG_VALID);
		if (error != -Q_ENOTBLK) {
			for (i = 0; i < n; i++)
				qpage_unbusy(v->v_fs->fs_k, pg[i]);
			return;
		}
	}
	for (; i < n; i += np) {
		np = read_some(v, pg + i, n - i, size);
		if (np == 0) {
			qpage_unbusy(v->v_fs->fs_k, pg[i]);
			np = 1;
		}
	}
}

/* Enter new busy pages from `index` on; how many. */
static unsigned
enter_pages(struct qvnode *v, uint64_t index, struct qpage **pg, unsigned n)
{
	struct qpcache *pc = &v->v_pages;
	unsigned i;

	qspin_lock(&pc->pc_lock);
	for (i = 0; i < n; i++) {
		__atomic_store_n(&pg[i]->pg_flags, QPG_BUSY | QPG_FRESH,
		    __ATOMIC_RELAXED);
		if (page_enter(v, pg[i], index + i) != 0)
			break;
	}
	qspin_unlock(&pc->pc_lock);
	lru_add(wb_of(v), pg, i);
	return i;
}

/*
 * Begin to read up to `n` pages from `index` on, as far as none is there.  Up
 * to where it came: at least `index` + 1, unless there is no memory.
 */
static uint64_t
read_ahead(struct qvnode *v, uint64_t index, uint64_t n)
{
	struct qpage *pg[RUN_PAGES];
	struct qpcache *pc = &v->v_pages;
	uint64_t last = (qvnode_size(v) + PAGE_SIZE - 1) >> PAGE_SHIFT;
	uint64_t most = 4 * wb_of(v)->wb_window;
	unsigned i, got;

	if (most > RUN_PAGES)
		most = RUN_PAGES;
	if (n > most)
		n = most;
	if (index >= last)
		return index;
	if (n > last - index)
		n = last - index;
	qepoch_enter();
	for (i = 0; i < n && pctree_lookup(pc, index + i) == NULL; i++)
		continue;
	qepoch_exit();
	n = i;
	for (i = 0; i < n; i++) {
		/* Only the first is worth waiting for. */
		pg[i] = i == 0 ? page_alloc(wb_of(v)) :
				 qpage_alloc_wait(v->v_fs->fs_k, 0);
		if (pg[i] == NULL)
			break;
	}
	got = enter_pages(v, index, pg, i);
	while (i > got) {
		i--;
		page_unset(pg[i], QPG_BUSY);
		qpage_put(v->v_fs->fs_k, pg[i]);
	}
	read_pages(v, pg, got);
	return index + got;
}

void
qpcache_willneed(struct qvnode *v, uint64_t off, uint64_t len)
{
	uint64_t size = qvnode_size(v), index, next, last;

	if (is_diskless(v) || off >= size)
		return;
	if (len == 0 || len > size - off)
		len = size - off;
	last = (off + len - 1) >> PAGE_SHIFT;
	for (index = off >> PAGE_SHIFT; index <= last; index = next) {
		next = read_ahead(v, index, last - index + 1);
		if (next == index) /* it is there, or there is no memory */
			next++;
	}
}

/* ---- how far ahead ------------------------------------------------------ */

/* Several threads may read one open file: relaxed loads and stores. */
#define RA_GET(f)    __atomic_load_n(&(f), __ATOMIC_RELAXED)
#define RA_SET(f, x) __atomic_store_n(&(f), (x), __ATOMIC_RELAXED)

static uint32_t
window_next(const struct qvnode *v, uint32_t pages)
{
	uint32_t max = wb_of(v)->wb_window;

	if (pages == 0)
		return WINDOW_MIN;
	return pages >= max / 2 ? max : pages * 2;
}

/* The page is not there, and pages up to `last` are wanted. */
static void
read_miss(struct qvnode *v, struct qreadahead *ra, uint64_t index,
    uint64_t last)
{
	uint64_t n = last - index + 1;
	uint32_t pages;

	if (ra == NULL || RA_GET(ra->ra_off) != 0) {
		(void)read_ahead(v, index, n);
		return;
	}
	pages = RA_GET(ra->ra_pages);
	if (pages != 0 || index == 0) {
		pages = window_next(v, pages);
		RA_SET(ra->ra_pages, pages);
	}
	if (n < pages)
		n = pages;
	RA_SET(ra->ra_end, read_ahead(v, index, n));
}

/* A call begins that reads [index, last]: is it sequential? */
static void
read_begin(struct qreadahead *ra, uint64_t index, uint64_t last)
{
	uint64_t next = RA_GET(ra->ra_next);

	if (index == next || index + 1 == next) {
		/* The second in a row is enough. */
		if (next != 0 && RA_GET(ra->ra_pages) == 0)
			RA_SET(ra->ra_pages, WINDOW_MIN / 2);
	} else if (RA_GET(ra->ra_pages) != 0) {
		RA_SET(ra->ra_pages, 0);
		RA_SET(ra->ra_end, 0);
	}
	if (next != last + 1)
		RA_SET(ra->ra_next, last + 1);
}

/* The reader is at `index`: ask for the next window if it is time. */
static inline void
read_on(struct qvnode *v, struct qreadahead *ra, uint64_t index)
{
	uint64_t end = RA_GET(ra->ra_end);
	uint32_t pages;

	if (qlikely(end == 0 || end - index > WINDOW_MAX / 2))
		return;
	pages = RA_GET(ra->ra_pages);
	if (index >= end || end - index > pages / 2 || RA_GET(ra->ra_off) != 0)
		return;
	pages = window_next(v, pages);
	RA_SET(ra->ra_pages, pages);
	/* Nothing came of it: the end, or it is there already. */
	end = read_ahead(v, end, pages);
	RA_SET(ra->ra_end, RA_GET(ra->ra_end) == end ? 0 : end);
}

/* ---- reading ------------------------------------------------------------ */

/* Zeroes for a page of a diskless file that is not there. */
static int
read_hole(struct quio *u, size_t n)
{
	return quio_out(u, zeroes, n);
}

/* The page, valid, with a reference.  NULL in *pgp: a diskless file's hole. */
static int
read_page(struct qvnode *v, struct qreadahead *ra, uint64_t index,
    uint64_t last, struct qpage **pgp)
{
	if (is_diskless(v)) {
		*pgp = qpcache_find(v, index);
		return 0;
	}
	read_miss(v, ra, index, last);
	return qpcache_page(v, index, true, pgp);
}

int64_t
qpcache_read(struct qvnode *v, struct quio *u, struct qreadahead *ra)
{
	uint64_t off = (uint64_t)u->u_off, size = qvnode_size(v), index, last;
	struct quern *k = v->v_fs->fs_k;
	struct qpage *pg;
	size_t n, left = u->u_resid, start = left;
	int error = 0;

	if (off >= size || left == 0)
		return 0;
	if (left > size - off)
		left = size - off;
	last = (off + left - 1) >> PAGE_SHIFT;
	if (ra != NULL)
		read_begin(ra, off >> PAGE_SHIFT, last);
	for (; left > 0; left -= n, off += n) {
		index = off >> PAGE_SHIFT;
		n = PAGE_SIZE - off % PAGE_SIZE;
		if (n > left)
			n = left;
		if (ra != NULL)
			read_on(v, ra, index);
		pg = pctree_get(&v->v_pages, index);
		if (qunlikely(pg == NULL || !(page_flags(pg) & QPG_VALID))) {
			if (pg != NULL)
				qpage_put(k, pg);
			error = read_page(v, ra, index, last, &pg);
			if (error != 0)
				break;
			if (pg == NULL) {
				error = read_hole(u, n);
				if (error != 0)
					break;
				continue;
			}
		}
		page_touch(pg);
		if (left > n)
			pctree_warm(k, &v->v_pages, index + 1);
		error = quio_out(u, (char *)qpage_data(k, pg) + off % PAGE_SIZE,
		    n);
		qpage_put(k, pg);
		if (error != 0)
			break;
	}
	return start != u->u_resid ? (int64_t)(start - u->u_resid) : error;
}
