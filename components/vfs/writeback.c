/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Write-back.
 *
 * Dirty pages in a row are made busy and clean together (a *batch*) and written
 * in as many requests (*runs*) as there are places on the disk.  A run goes
 * through these states:
 *
 *	RUN_MAPPING	between PCT_WRITE and the request: the driver is asked
 *	RUN_WRITING	the request has been submitted
 *	RUN_WRITTEN	it is over; the driver is being told (vo_wrote)
 *
 * and is on pc_runs all that time, so that fsync can wait for what it finds
 * there.  A driver's commit, which may be what RUN_MAPPING or RUN_WRITTEN waits
 * for, waits for RUN_WRITING only (qpcache_wait).
 *
 * W1  From vo_map to vo_mapped there is no waiting for I/O or memory: a run is
 *     allocated before.  Without memory it is a run on the stack, a page at a
 *     time, waited for after vo_mapped.
 * W2  Pages stay busy until vo_wrote is over: until then a page that went could
 *     not be read back.
 * W3  A vnode goes only when it has no runs (writeback_settle), and the last
 *     that a run does to it is to leave pc_runs, under pc_lock.
 *
 * One thread does what nobody waits for: files that have been dirty for long
 * (looked at by a timer, which is armed only while something is dirty), all of
 * them while more is dirty than wb_background or memory is short.  Writers wait
 * for it when more than wb_limit is dirty, and who needs a page when there is
 * none.  They wait for wb_done; and no more once the thread has gone through
 * everything since they asked and nothing is being written.
 */
#include "pcimpl.h"

static const struct qtag tag_run = { "write-back" };
static const struct qtag tag_state = { "write-back state" };

#define SECOND UINT64_C(1000000000)
/* A file is written when it has been dirty for AGE; one looks every LOOK. */
#define AGE  (30 * SECOND)
#define LOOK (5 * SECOND)

enum run_state { RUN_MAPPING, RUN_WRITING, RUN_WRITTEN };

struct run {
	struct qlist r_link; /* [p] */
	struct qvnode *r_v;
	uint64_t r_seq;   /* [p] */
	uint32_t r_state; /* [p] enum run_state */
	uint32_t r_phase; /* of the file system, as it began */
	bool r_stack;     /* somebody waits for RUN_WRITTEN and goes on */
	int r_error;
	uint64_t r_index;      /* first page */
	unsigned r_n;          /* pages; 0: of a batch */
	uint64_t r_off, r_len; /* what vo_wrote is told */
	uint64_t r_size;       /* of a batch: of the file */
	struct qwork r_work;
	struct qbio r_bio;
	struct quern_iov *r_iov;
	struct quern_iov r_one;
};

void
writeback_count(struct qvnode *v, int64_t n)
{
	struct qpcache *pc = &v->v_pages;
	struct writeback *wb = wb_of(v);
	uint64_t now;

	__atomic_store_n(&pc->pc_ndirty, pc->pc_ndirty + (uint64_t)n,
	    __ATOMIC_RELAXED);
	__atomic_fetch_add(&v->v_fs->fs_ndirty, (uint64_t)n, __ATOMIC_RELAXED);
	now = __atomic_add_fetch(&wb->wb_ndirty, (uint64_t)n, __ATOMIC_RELAXED);
	/* Once a while is enough: it is looked at again when a pass ends. */
	if (n > 0 && now > wb->wb_background && now % 64 == 0)
		writeback_kick(wb, WB_MANY);
}

/* ---- runs --------------------------------------------------------------- */

/*
 * A run of a batch is as old as that: who has found the batch on the list waits
 * for the run, too, though it came later.
 */
static void
run_enter(struct run *r, struct qvnode *v, struct run *batch)
{
	struct qpcache *pc = &v->v_pages;
	struct qfs *fs = v->v_fs;

	r->r_v = v;
	r->r_state = RUN_MAPPING;
	r->r_error = 0;
	r->r_n = 0;
	qspin_lock(&fs->fs_vlock);
	r->r_phase = batch != NULL ? batch->r_phase : fs->fs_phase;
	fs->fs_nrun[r->r_phase]++;
	qspin_unlock(&fs->fs_vlock);
	r->r_seq = batch != NULL ? batch->r_seq : ++pc->pc_runseq;
	qlist_append(batch != NULL ? &batch->r_link : &pc->pc_runs, &r->r_link);
}

/* [p], the last that is done to the vnode */
static void
run_leave(struct run *r)
{
	struct qpcache *pc = &r->r_v->v_pages;
	struct qfs *fs = r->r_v->v_fs;

	qspin_lock(&fs->fs_vlock);
	if (--fs->fs_nrun[r->r_phase] == 0)
		(void)qwaitq_wake_all(&fs->fs_written);
	qspin_unlock(&fs->fs_vlock);
	qlist_del(&r->r_link);
	(void)qwaitq_wake_all(&pc->pc_wait);
}

/* A page could not be written for want of memory: once more.  [p] */
static void
page_again(struct qvnode *v, struct qpage *pg)
{
	struct qpcache *pc = &v->v_pages;

	(void)qpage_dirty(pg);
	if (!pctree_is(pc, pg->pg_index, PCT_DIRTY)) {
		pctree_set(pc, pg->pg_index, PCT_DIRTY, true);
		writeback_count(v, 1);
	}
	vnode_mark(v, QV_DIRTYPAGES);
}

/*
 * The pages [index, index + n) of a run or batch have been written, or not.
 * Ends with run_leave.
 */
static void
pages_done(struct run *r, uint64_t index, unsigned n, int error, bool leave)
{
	struct qvnode *v = r->r_v;
	struct qpcache *pc = &v->v_pages;
	struct writeback *wb = wb_of(v);
	struct qpage *pg;
	unsigned i;

	qspin_lock(&pc->pc_lock);
	if (error != 0) {
		if (pc->pc_error == 0)
			pc->pc_error = error;
		pc->pc_errseq++;
	}
	for (i = 0; i < n; i++) {
		pg = pctree_lookup(pc, index + i);
		pctree_set(pc, index + i, PCT_WRITE, false);
		if (error == -Q_ENOMEM)
			page_again(v, pg);
		qpage_unbusy(wb->wb_k, pg);
	}
	if (n != 0) {
		qspin_lock(&wb->wb_lock);
		__atomic_fetch_sub(&wb->wb_nwrite, n, __ATOMIC_RELAXED);
		if (error != -Q_ENOMEM)
			wb->wb_done += n;
		(void)qwaitq_wake_all(&wb->wb_progress);
		qspin_unlock(&wb->wb_lock);
	}
	/* After which neither the vnode nor, in the end, wb need be there. */
	if (leave)
		run_leave(r);
	qspin_unlock(&pc->pc_lock);
}

static void
run_free(struct run *r)
{
	if (r->r_iov != &r->r_one)
		qfree(r->r_iov);
	qfree(r);
}

/* A run of the heap has been written.  On a thread, if the driver is told. */
static void
run_finish(struct run *r)
{
	struct qvnode *v = r->r_v;
	int error = r->r_error;

	if (error == 0 && v->v_ops->vo_wrote != NULL)
		error = v->v_ops->vo_wrote(v, r->r_off, r->r_len);
	pages_done(r, r->r_index, r->r_n, error, true);
	run_free(r);
}

static void
run_work(struct qwork *wk)
{
	run_finish(QCONTAINER(wk, struct run, r_work));
}

/* The request is over. */
static void
run_done(struct qbio *b)
{
	struct run *r = b->b_arg;
	struct qpcache *pc = &r->r_v->v_pages;
	bool stack = r->r_stack;
	bool tell = b->b_error == 0 && r->r_v->v_ops->vo_wrote != NULL;

	r->r_error = b->b_error;
	qspin_lock(&pc->pc_lock);
	r->r_state = RUN_WRITTEN;
	(void)qwaitq_wake_all(&pc->pc_wait);
	/* What is on a stack may be gone as soon as this is given back. */
	qspin_unlock(&pc->pc_lock);
	if (stack)
		return;
	if (tell)
		(void)qwork_queue(wb_of(r->r_v)->wb_doneq, &r->r_work);
	else
		run_finish(r);
}

/* Submit what lies at `off` of the file for `len`. */
static void
run_submit(struct run *r, uint64_t off, uint64_t len, const struct qmapping *m)
{
	struct qvnode *v = r->r_v;
	struct qpcache *pc = &v->v_pages;

	r->r_bio = (struct qbio){ .b_cmd = QUERN_BLK_WRITE,
		.b_niov = r->r_bio.b_niov,
		.b_iov = r->r_iov,
		.b_off = m->m_disk + (off - m->m_off),
		.b_len = len,
		.b_done = run_done,
		.b_arg = r };
	qspin_lock(&pc->pc_lock);
	r->r_state = RUN_WRITING;
	qspin_unlock(&pc->pc_lock);
	qbio_submit(v->v_fs->fs_disk, &r->r_bio);
}

/* All of it has been submitted: from here on the driver may commit. */
static void
map_over(struct qvnode *v, struct qmapping *m)
{
	if (v->v_ops->vo_mapped != NULL)
		v->v_ops->vo_mapped(v, m);
}

/*
 * A page that is not dirty any more though it could not be written: it needs no
 * room, unless it has become dirty again.
 */
static void
page_give_up(struct qvnode *v, struct qpage *pg, int error)
{
	if (error != -Q_ENOMEM && (page_flags(pg) & QPG_DIRTY) == 0)
		page_unpromise(v, pg->pg_index);
}

/* ---- a batch ------------------------------------------------------------ */

static struct run *
run_alloc(unsigned n)
{
	struct run *r = qalloc(&tag_run, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->r_iov = n == 1 ? &r->r_one :
			    qalloc(&tag_run, n * sizeof(r->r_iov[0]));
	if (r->r_iov == NULL) {
		qfree(r);
		return NULL;
	}
	r->r_stack = false;
	qlist_init(&r->r_link);
	qwork_init(&r->r_work, run_work);
	return r;
}

static uint64_t
map_end(const struct qmapping *m, uint64_t end)
{
	return m->m_off + m->m_len < end ? m->m_off + m->m_len : end;
}

static int
map_write(struct qvnode *v, uint64_t off, uint64_t end, struct qmapping *m)
{
	int error;

	*m = (struct qmapping){ 0 };
	error = v->v_ops->vo_map(v, off, end - off, QMAP_WRITE, m);
	if (error != 0)
		return error;
	qassert(m->m_off <= off && m->m_off + m->m_len > off &&
	    (m->m_flags & QMAP_HOLE) == 0);
	return 0;
}

/* Of what is written up to `end`, what of the file that is. */
static uint64_t
within(const struct run *batch, uint64_t end)
{
	return end < batch->r_size ? end : batch->r_size;
}

/*
 * Write one page that is in several places, or for which there is no memory,
 * and wait for each; *m is where it begins.
 */
static void
write_pieces(struct run *batch, struct qpage *pg, uint64_t end,
    struct qmapping *m)
{
	uint64_t first = pg->pg_index << PAGE_SHIFT, off = first, to;
	struct qvnode *v = batch->r_v;
	struct qpcache *pc = &v->v_pages;
	struct run r = { .r_stack = true, .r_iov = &r.r_one };
	int error;

	qspin_lock(&pc->pc_lock);
	run_enter(&r, v, batch);
	qspin_unlock(&pc->pc_lock);
	for (;;) {
		to = map_end(m, end);
		r.r_one.iov_base = (char *)qpage_data(v->v_fs->fs_k, pg) +
		    (off - first);
		r.r_one.iov_len = to - off;
		r.r_bio.b_niov = 1;
		run_submit(&r, off, to - off, m);
		map_over(v, m);
		qspin_lock(&pc->pc_lock);
		while (r.r_state != RUN_WRITTEN) {
			(void)qwaitq_sleep(&pc->pc_wait, &pc->pc_lock, 0,
			    QUERN_NEVER);
			qspin_lock(&pc->pc_lock);
		}
		r.r_state = RUN_MAPPING;
		qspin_unlock(&pc->pc_lock);
		error = r.r_error;
		off = to;
		if (error != 0 || off >= end)
			break;
		error = map_write(v, off, end, m);
		if (error != 0)
			break;
	}
	if (error == 0 && v->v_ops->vo_wrote != NULL)
		error = v->v_ops->vo_wrote(v, first,
		    within(batch, end) - first);
	if (error != 0)
		page_give_up(v, pg, error);
	pages_done(&r, pg->pg_index, 1, error, true);
}

/* Write the first of `n` pages and those behind it in the same place. */
static unsigned
write_some(struct run *batch, struct qpage **pg, unsigned n, uint64_t end)
{
	struct qvnode *v = batch->r_v;
	struct qpcache *pc = &v->v_pages;
	uint64_t index = pg[0]->pg_index, off = index << PAGE_SHIFT, to;
	struct run *r = run_alloc(n);
	struct qmapping m;
	unsigned i, np;
	bool rest;
	int error;

	/* What is mapped is written before anything else (W1). */
	if (r == NULL && end > off + PAGE_SIZE)
		end = off + PAGE_SIZE;
	error = map_write(v, off, end, &m);
	if (error != 0) {
		if (r != NULL)
			run_free(r);
		page_give_up(v, pg[0], error);
		pages_done(batch, index, 1, error, false);
		return 1;
	}
	to = map_end(&m, end);
	np = to == end ? n : (unsigned)((to - off) >> PAGE_SHIFT);
	if (r == NULL || np == 0) {
		if (r != NULL)
			run_free(r);
		write_pieces(batch, pg[0],
		    end < off + PAGE_SIZE ? end : off + PAGE_SIZE, &m);
		return 1;
	}
	rest = to > off + np * PAGE_SIZE;
	if (rest)
		to = off + np * PAGE_SIZE;
	for (i = 0; i < np; i++) {
		r->r_iov[i].iov_base = qpage_data(v->v_fs->fs_k, pg[i]);
		r->r_iov[i].iov_len = PAGE_SIZE;
	}
	r->r_iov[np - 1].iov_len = to - off - (np - 1) * PAGE_SIZE;
	r->r_bio.b_niov = np;
	qspin_lock(&pc->pc_lock);
	run_enter(r, v, batch);
	r->r_index = index;
	r->r_n = np;
	qspin_unlock(&pc->pc_lock);
	r->r_off = off;
	r->r_len = within(batch, to) - off;
	run_submit(r, off, to - off, &m);
	if (!rest) {
		map_over(v, &m);
		return np;
	}
	/* All that was mapped is written before that, a page's half too. */
	write_pieces(batch, pg[np], end < to + PAGE_SIZE ? end : to + PAGE_SIZE,
	    &m);
	return np + 1;
}

/* Tags of a batch that has been cleaned.  [p] */
static void
batch_tags(struct run *batch, struct qpage **pg, unsigned n)
{
	struct qvnode *v = batch->r_v;
	struct qpcache *pc = &v->v_pages;
	unsigned i;

	for (i = 0; i < n; i++) {
		pctree_set(pc, pg[i]->pg_index, PCT_WRITE, true);
		/* Unless it is dirty again already (I4). */
		if ((page_flags(pg[i]) & QPG_DIRTY) != 0 ||
		    !pctree_is(pc, pg[i]->pg_index, PCT_DIRTY))
			continue;
		pctree_set(pc, pg[i]->pg_index, PCT_DIRTY, false);
		writeback_count(v, -1);
	}
	__atomic_fetch_add(&wb_of(v)->wb_nwrite, n, __ATOMIC_RELAXED);
}

/* Write `n` dirty pages in a row, which are busy until that is done. */
static void
write_batch(struct qvnode *v, struct qpage **pg, unsigned n)
{
	struct quern *k = v->v_fs->fs_k;
	struct qpcache *pc = &v->v_pages;
	uint64_t off = pg[0]->pg_index << PAGE_SHIFT, size, end;
	uint64_t bsize = v->v_fs->fs_bsize < PAGE_SIZE ? v->v_fs->fs_bsize :
							 PAGE_SIZE;
	struct run batch = { .r_stack = true, .r_iov = &batch.r_one };
	unsigned i, in;

	for (i = 0; i < n; i++)
		(void)qpage_clean(k, pg[i]);
	qspin_lock(&pc->pc_lock);
	run_enter(&batch, v, NULL);
	batch_tags(&batch, pg, n);
	qspin_unlock(&pc->pc_lock);
	/* It does not become less while they are busy (I6), but by whole pages
	 * that are waited for. */
	size = batch.r_size = file_end(v);
	end = off + n * PAGE_SIZE;
	if (size < end) {
		/* Nor does the disk get what is not the file's. */
		i = size > off ? (unsigned)((size - off) >> PAGE_SHIFT) : 0;
		memset((char *)qpage_data(k, pg[i]) + size % PAGE_SIZE, 0,
		    (size_t)(PAGE_SIZE - size % PAGE_SIZE));
		end = QROUNDUP(size, bsize);
	}
	in = end <= off ? 0 :
			  (unsigned)((end - off + PAGE_SIZE - 1) >> PAGE_SHIFT);
	for (i = 0; i < in;)
		i += write_some(&batch, pg + i, in - i, end);
	for (i = in; i < n; i++)
		page_give_up(v, pg[i], 0);
	pages_done(&batch, (off >> PAGE_SHIFT) + in, n - in, 0, true);
}

/* ---- what is dirty of a file -------------------------------------------- */

/* Is the page, in the tree, one to be written?  Then it is busy.  [p] */
static bool
batch_take(struct qvnode *v, struct qpage *pg)
{
	if (pg == NULL || !qpage_trybusy(pg))
		return false;
	if ((page_flags(pg) & QPG_DIRTY) != 0)
		return true;
	qpage_unbusy(v->v_fs->fs_k, pg);
	return false;
}

/*
 * The first dirty page from *index on, busy; `wait` for it, or leave those out
 * that are busy.  NULL: none up to `last`.
 */
static struct qpage *
next_dirty(struct qvnode *v, uint64_t *index, uint64_t last, bool wait)
{
	struct quern *k = v->v_fs->fs_k;
	struct qpcache *pc = &v->v_pages;
	struct qpage *pg;
	bool ours;

	for (;; ++*index) {
		qspin_lock(&pc->pc_lock);
		pg = pctree_next(pc, index, PCT_DIRTY);
		if (pg == NULL || *index > last) {
			qspin_unlock(&pc->pc_lock);
			return NULL;
		}
		if (batch_take(v, pg)) {
			qspin_unlock(&pc->pc_lock);
			return pg;
		}
		if (!wait) {
			qspin_unlock(&pc->pc_lock);
			continue;
		}
		qpage_get(pg);
		qspin_unlock(&pc->pc_lock);
		qpage_busy(k, pg);
		ours = pg->pg_obj == v && pg->pg_index == *index &&
		    (page_flags(pg) & QPG_DIRTY) != 0;
		if (!ours)
			qpage_unbusy(k, pg);
		/* The tree has one, and it stays there while it is busy. */
		qpage_put(k, pg);
		if (ours)
			return pg;
	}
}

static void
write_dirty(struct qvnode *v, uint64_t index, uint64_t last, bool wait)
{
	struct qpcache *pc = &v->v_pages;
	struct qpage *pg[RUN_PAGES];
	unsigned n;

	while ((pg[0] = next_dirty(v, &index, last, wait)) != NULL) {
		qspin_lock(&pc->pc_lock);
		for (n = 1; n < RUN_PAGES && index + n <= last; n++) {
			pg[n] = pctree_lookup(pc, index + n);
			if (!batch_take(v, pg[n]))
				break;
		}
		qspin_unlock(&pc->pc_lock);
		write_batch(v, pg, n);
		index += n;
	}
}

/* Wait for runs entered before now, all of them or those in the state. */
static void
wait_runs(struct qvnode *v, bool all, enum run_state state)
{
	struct qpcache *pc = &v->v_pages;
	struct qlist *l;
	uint64_t seq;
	struct run *r;

	qspin_lock(&pc->pc_lock);
	seq = pc->pc_runseq;
again:
	QLIST_FOREACH(l, &pc->pc_runs) {
		r = QLIST_ELEM(l, struct run, r_link);
		if (r->r_seq > seq)
			break;
		if (!all && r->r_state != state)
			continue;
		(void)qwaitq_sleep(&pc->pc_wait, &pc->pc_lock, 0, QUERN_NEVER);
		qspin_lock(&pc->pc_lock);
		goto again;
	}
	qspin_unlock(&pc->pc_lock);
}

int
qpcache_sync(struct qvnode *v, uint64_t off, uint64_t end, bool wait)
{
	struct qpcache *pc = &v->v_pages;
	int error;

	if (is_diskless(v))
		return 0;
	if (off < end)
		write_dirty(v, off >> PAGE_SHIFT, (end - 1) >> PAGE_SHIFT,
		    wait);
	if (!wait)
		return 0;
	wait_runs(v, true, RUN_MAPPING);
	qspin_lock(&pc->pc_lock);
	error = pc->pc_error;
	pc->pc_error = 0;
	qspin_unlock(&pc->pc_lock);
	return error;
}

void
qpcache_wait(struct qvnode *v)
{
	wait_runs(v, false, RUN_WRITING);
}

void
writeback_settle(struct qvnode *v)
{
	wait_runs(v, true, RUN_MAPPING);
}

void
writeback_wait(struct qfs *fs)
{
	uint32_t phase;

	qspin_lock(&fs->fs_vlock);
	phase = fs->fs_phase;
	fs->fs_phase ^= 1;
	while (fs->fs_nrun[phase] != 0) {
		(void)qwaitq_sleep(&fs->fs_written, &fs->fs_vlock, 0,
		    QUERN_NEVER);
		qspin_lock(&fs->fs_vlock);
	}
	qspin_unlock(&fs->fs_vlock);
}

/* ---- asking the thread -------------------------------------------------- */

void
writeback_kick(struct writeback *wb, uint32_t why)
{
	bool new;

	qspin_lock(&wb->wb_lock);
	new = (wb->wb_why & why) != why;
	wb->wb_why |= why;
	qspin_unlock(&wb->wb_lock);
	if (new)
		(void)qwaitq_wake_all(&wb->wb_work);
}

bool
writeback_help(struct writeback *wb, uint32_t why)
{
	uint64_t done, pass;
	bool got;

	qspin_lock(&wb->wb_lock);
	done = wb->wb_done;
	/* The one that is under way may be past what we need. */
	pass = wb->wb_passes + (wb->wb_busy ? 2 : 1);
	wb->wb_why |= why;
	qspin_unlock(&wb->wb_lock);
	(void)qwaitq_wake_all(&wb->wb_work);
	qspin_lock(&wb->wb_lock);
	while (wb->wb_done == done &&
	    (wb->wb_passes < pass ||
		__atomic_load_n(&wb->wb_nwrite, __ATOMIC_RELAXED) != 0 ||
		__atomic_load_n(&wb->wb_nread, __ATOMIC_RELAXED) != 0)) {
		(void)qwaitq_sleep(&wb->wb_progress, &wb->wb_lock, 0,
		    QUERN_NEVER);
		qspin_lock(&wb->wb_lock);
	}
	got = wb->wb_done != done;
	qspin_unlock(&wb->wb_lock);
	return got;
}

static void
look(struct qtimer *tm)
{
	struct writeback *wb = tm->tm_arg;

	qspin_lock(&wb->wb_lock);
	wb->wb_armed = false;
	qspin_unlock(&wb->wb_lock);
	writeback_kick(wb, WB_LATER);
}

static void
look_later(struct writeback *wb)
{
	bool arm;

	qspin_lock(&wb->wb_lock);
	arm = !wb->wb_armed && (wb->wb_why & WB_STOP) == 0;
	wb->wb_armed |= arm;
	qspin_unlock(&wb->wb_lock);
	if (arm)
		qtimer_arm(&wb->wb_timer, qclock_mono(wb->wb_k) + LOOK);
}

void
writeback_later(struct qfs *fs)
{
	look_later(fs->fs_wb);
}

void
writeback_leave(struct qfs *fs)
{
	struct writeback *wb = fs->fs_wb;

	__atomic_store_n(&fs->fs_freeing, 1, __ATOMIC_SEQ_CST);
	qspin_lock(&wb->wb_lock);
	while (wb->wb_fs == fs) {
		(void)qwaitq_sleep(&wb->wb_progress, &wb->wb_lock, 0,
		    QUERN_NEVER);
		qspin_lock(&wb->wb_lock);
	}
	qspin_unlock(&wb->wb_lock);
}

/* ---- the thread --------------------------------------------------------- */

/* The first file system numbered above `dev`, as the one that it is at. */
static struct qfs *
next_fs(struct writeback *wb, uint64_t dev)
{
	struct vfs *vf = wb->wb_vf;
	struct qfs *fs, *found = NULL;
	struct qlist *l;

	qmutex_lock(&vf->vf_fslock);
	QLIST_FOREACH(l, &vf->vf_fs) {
		fs = QLIST_ELEM(l, struct qfs, fs_link);
		if (fs->fs_dev > dev && found == NULL &&
		    __atomic_load_n(&fs->fs_freeing, __ATOMIC_SEQ_CST) == 0)
			found = fs;
	}
	qspin_lock(&wb->wb_lock);
	wb->wb_fs = found;
	qspin_unlock(&wb->wb_lock);
	qmutex_unlock(&vf->vf_fslock);
	(void)qwaitq_wake_all(&wb->wb_progress);
	return found;
}

/* Write what is dirty since `before`, until no more than `goal` pages are. */
static bool
write_fs(struct writeback *wb, struct qfs *fs, uint64_t before, uint64_t goal)
{
	struct qvnode *v;
	uint64_t n;
	bool more;

	qspin_lock(&fs->fs_vlock);
	n = fs->fs_nvnode;
	qspin_unlock(&fs->fs_vlock);
	for (; n > 0; n--) {
		if (goal != UINT64_MAX &&
		    __atomic_load_n(&wb->wb_ndirty, __ATOMIC_RELAXED) <= goal)
			break;
		if (__atomic_load_n(&fs->fs_freeing, __ATOMIC_RELAXED) != 0)
			break;
		v = vnode_next_dirty(fs, before);
		if (v == NULL)
			break;
		(void)vnode_write(v, false);
		qvnode_put(v);
	}
	qspin_lock(&fs->fs_vlock);
	more = !qlist_empty(&fs->fs_dirty);
	qspin_unlock(&fs->fs_vlock);
	return more;
}

/* Go through all file systems once.  Is something still dirty? */
static bool
pass(struct writeback *wb, uint32_t why)
{
	uint64_t now = qclock_mono(wb->wb_k), dev = 0;
	bool more = false;
	struct qfs *fs;

	while ((fs = next_fs(wb, dev)) != NULL) {
		dev = fs->fs_dev;
		/* What is old first, however much there is. */
		if ((why & (WB_SHORT | WB_MANY)) != 0)
			more |= write_fs(wb, fs, now,
			    (why & WB_SHORT) != 0 ? 0 : wb->wb_background / 2);
		else
			more |= write_fs(wb, fs, now > AGE ? now - AGE : 0,
			    UINT64_MAX);
	}
	return more;
}

static void
writeback_main(void *arg)
{
	struct writeback *wb = arg;
	uint32_t why;
	bool more;

	for (;;) {
		qspin_lock(&wb->wb_lock);
		wb->wb_busy = false;
		while (wb->wb_why == 0) {
			(void)qwaitq_sleep(&wb->wb_work, &wb->wb_lock, 0,
			    QUERN_NEVER);
			qspin_lock(&wb->wb_lock);
		}
		why = wb->wb_why;
		wb->wb_why &= WB_STOP;
		wb->wb_busy = true;
		qspin_unlock(&wb->wb_lock);
		if ((why & WB_STOP) != 0)
			break;
		more = pass(wb, why);
		qspin_lock(&wb->wb_lock);
		wb->wb_passes++;
		qspin_unlock(&wb->wb_lock);
		(void)qwaitq_wake_all(&wb->wb_progress);
		if (more)
			look_later(wb);
	}
}

/* With little RAM, what is read ahead would be gone before it is used. */
static uint32_t
window_of(uint64_t pages)
{
	pages /= 32;
	return pages >= RUN_PAGES ? RUN_PAGES : pages < 4 ? 4 : (uint32_t)pages;
}

int
writeback_init(struct vfs *vf)
{
	struct writeback *wb = qzalloc(&tag_state, sizeof(*wb));
	int error;

	if (wb == NULL)
		return -Q_ENOMEM;
	wb->wb_k = vf->vf_k;
	wb->wb_vf = vf;
	wb->wb_limit = qpage_total(vf->vf_k) / 4;
	wb->wb_background = qpage_total(vf->vf_k) / 10;
	wb->wb_window = window_of(qpage_total(vf->vf_k));
	qspin_init(&wb->wb_lock);
	qwaitq_init(&wb->wb_work);
	qwaitq_init(&wb->wb_progress);
	qtimer_init(&wb->wb_timer, look, wb);
	error = qworkq_create(vf->vf_k, "written", QPRIO_NORMAL, &wb->wb_doneq);
	if (error == 0) {
		error = qthread_create(vf->vf_k, "write-back", writeback_main,
		    wb, QPRIO_NORMAL, QCPU_ANY, &wb->wb_thread);
		if (error != 0)
			qworkq_destroy(wb->wb_doneq);
	}
	if (error != 0) {
		qfree(wb);
		return error;
	}
	lru_init(wb);
	vf->vf_wb = wb;
	return 0;
}

void
writeback_fini(struct vfs *vf)
{
	struct writeback *wb = vf->vf_wb;

	writeback_kick(wb, WB_STOP);
	qthread_join(wb->wb_thread);
	(void)qtimer_stop(&wb->wb_timer);
	qworkq_destroy(wb->wb_doneq);
	lru_fini(wb);
	qfree(wb);
}
