/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks made from other disks: a slice (which partitions are), a read-only
 * view, and a copy-on-write view whose writes live in memory.
 *
 * A slice or read-only view passes a request on under its own completion: the
 * request itself is in use by whoever submitted it, so what goes down is a copy
 * of it in memory of the view's.
 *
 * The copy-on-write view keeps blocks of 4 KiB, in a table of two levels.  A
 * write that does not cover a block first reads the rest from below.  It does
 * one request at a time on a thread of its own, since it may have to wait; a
 * read of which nothing was written is passed on.
 */
#include "impl.h"

#include "blockimpl.h"

#define BLOCK QUERN_PAGE_SIZE
#define BATCH 32u
#define TABLE 512u /* blocks of a second-level table: 2 MiB */

struct cow {
	char ***cw_table; /* [worker] */
	uint64_t cw_ntable;
	struct qspin cw_lock;
	struct qwaitq cw_wq;
	struct qlist cw_queue; /* [cw_lock] b_link */
	bool cw_stop;          /* [cw_lock] */
	struct qthread *cw_worker;
};

struct view {
	struct qdisk vw_disk;
	struct qdisk *vw_lower; /* a reference */
	uint64_t vw_off;
	struct cow vw_cow;
};

/* ---- slices and read-only views ------------------------------------------------ */

static void
pass_done(struct qbio *low)
{
	struct qbio *b = low->b_arg;
	int error = low->b_error;

	qfree(low);
	qbio_end(b, error);
}

static struct qbio *
pass_make(const struct view *vw, struct qbio *b)
{
	struct qbio *low = block_alloc(sizeof(*low));

	if (low == NULL)
		return NULL;
	low->b_cmd = b->b_cmd;
	low->b_flags = b->b_flags;
	low->b_iov = b->b_iov;
	low->b_niov = b->b_niov;
	low->b_off = b->b_off + vw->vw_off;
	low->b_len = b->b_len;
	low->b_done = pass_done;
	low->b_arg = b;
	return low;
}

static void
pass_submit(struct qdisk *d, struct qbio **bios, unsigned n)
{
	struct view *vw = d->qd_priv;
	struct qbio *low[BATCH];
	unsigned i, m = 0;

	for (i = 0; i < n; i++) {
		low[m] = pass_make(vw, bios[i]);
		if (low[m] == NULL) {
			qbio_end(bios[i], -Q_ENOMEM);
			continue;
		}
		if (++m == BATCH) {
			qbio_submit_many(vw->vw_lower, low, m);
			m = 0;
		}
	}
	if (m > 0)
		qbio_submit_many(vw->vw_lower, low, m);
}

static void
view_free(struct view *vw)
{
	qdisk_put(vw->vw_lower);
	qfree(vw);
}

static void
pass_release(struct qdisk *d)
{
	view_free(d->qd_priv);
}

static const struct qdisk_ops pass_ops = {
	.do_submit = pass_submit,
	.do_release = pass_release,
};

static struct view *
view_make(struct qdisk *lower)
{
	struct view *vw = block_alloc(sizeof(*vw));

	if (vw == NULL)
		return NULL;
	qdisk_get(lower);
	vw->vw_lower = lower;
	vw->vw_disk.qd_priv = vw;
	vw->vw_disk.qd_size = lower->qd_size;
	vw->vw_disk.qd_sector = lower->qd_sector;
	vw->vw_disk.qd_discard = lower->qd_discard;
	/* What is below merges. */
	vw->vw_disk.qd_flags = lower->qd_flags | QDISK_NOMERGE;
	return vw;
}

int
qdisk_slice(struct qdisk *lower, const char *name, uint64_t off, uint64_t len,
    struct qdisk **dp)
{
	struct view *vw;
	int error;

	if (len == 0 || off > lower->qd_size || len > lower->qd_size - off ||
	    off % lower->qd_sector != 0)
		return -Q_EINVAL;
	vw = view_make(lower);
	if (vw == NULL)
		return -Q_ENOMEM;
	vw->vw_off = off;
	vw->vw_disk.qd_size = len;
	vw->vw_disk.qd_ops = &pass_ops;
	error = qdisk_attach(lower->qd_k, &vw->vw_disk, name);
	if (error != 0) {
		view_free(vw);
		return error;
	}
	*dp = &vw->vw_disk;
	return 0;
}

int
qdisk_readonly(struct qdisk *lower, const char *name, struct qdisk **dp)
{
	struct view *vw = view_make(lower);
	int error;

	if (vw == NULL)
		return -Q_ENOMEM;
	vw->vw_disk.qd_flags |= QDISK_RDONLY;
	vw->vw_disk.qd_ops = &pass_ops;
	error = qdisk_attach(lower->qd_k, &vw->vw_disk, name);
	if (error != 0) {
		view_free(vw);
		return error;
	}
	*dp = &vw->vw_disk;
	return 0;
}

/* ---- copy on write: the blocks ------------------------------------------------------ */

static char *
block_get(const struct cow *cw, uint64_t blk)
{
	char **t = cw->cw_table[blk / TABLE];

	return t != NULL ? t[blk % TABLE] : NULL;
}

/* The block as one that can be written, filled from below unless `fresh`. */
static int
block_own(struct view *vw, uint64_t blk, bool fresh, char **pp)
{
	struct cow *cw = &vw->vw_cow;
	char ***slot = &cw->cw_table[blk / TABLE], *p;
	uint64_t off = blk * BLOCK, len = vw->vw_disk.qd_size - off;
	int error = 0;

	if (*slot == NULL) {
		*slot = block_alloc(TABLE * sizeof(char *));
		if (*slot == NULL)
			return -Q_ENOMEM;
	}
	p = (*slot)[blk % TABLE];
	if (p == NULL) {
		p = block_alloc(BLOCK);
		if (p == NULL)
			return -Q_ENOMEM;
		if (!fresh)
			error = qdisk_read(vw->vw_lower, off, p,
			    len < BLOCK ? len : BLOCK);
		if (error != 0) {
			qfree(p);
			return error;
		}
		(*slot)[blk % TABLE] = p;
	}
	*pp = p;
	return 0;
}

/* Read or write `len` bytes within one block. */
static int
block_move(struct view *vw, unsigned cmd, uint64_t off, char *buf, size_t len)
{
	uint64_t blk = off / BLOCK;
	char *p;
	int error;

	if (cmd == QUERN_BLK_READ) {
		p = block_get(&vw->vw_cow, blk);
		if (p == NULL)
			return qdisk_read(vw->vw_lower, off, buf, len);
		memcpy(buf, p + off % BLOCK, len);
		return 0;
	}
	error = block_own(vw, blk, len == BLOCK, &p);
	if (error != 0)
		return error;
	if (cmd == QUERN_BLK_WRITE)
		memcpy(p + off % BLOCK, buf, len);
	else
		memset(p + off % BLOCK, 0, len);
	return 0;
}

/* ---- copy on write: the worker -------------------------------------------------------- */

/* A piece of a request, cut at the ends of blocks. */
static int
cow_range(struct view *vw, unsigned cmd, uint64_t off, char *buf, uint64_t len)
{
	size_t n;
	int error = 0;

	for (; len > 0 && error == 0; len -= n, off += n) {
		n = BLOCK - off % BLOCK;
		if (n > len)
			n = len;
		error = block_move(vw, cmd, off, buf, n);
		if (buf != NULL)
			buf += n;
	}
	return error;
}

static int
cow_do(struct view *vw, const struct qbio *b)
{
	uint64_t off = b->b_off;
	uint32_t i;
	int error = 0;

	if (b->b_cmd == QUERN_BLK_FLUSH)
		return 0; /* nothing here outlives the kernel */
	if (b->b_cmd == QUERN_BLK_DISCARD || b->b_cmd == QUERN_BLK_ZERO)
		return cow_range(vw, b->b_cmd, off, NULL, b->b_len);
	for (i = 0; i < b->b_niov && error == 0; i++) {
		error = cow_range(vw, b->b_cmd, off, b->b_iov[i].iov_base,
		    b->b_iov[i].iov_len);
		off += b->b_iov[i].iov_len;
	}
	return error;
}

static void
cow_worker(void *arg)
{
	struct view *vw = arg;
	struct cow *cw = &vw->vw_cow;
	struct qbio *b;

	for (;;) {
		qspin_lock(&cw->cw_lock);
		if (qlist_empty(&cw->cw_queue)) {
			if (cw->cw_stop)
				break;
			(void)qwaitq_sleep(&cw->cw_wq, &cw->cw_lock, 0,
			    QUERN_NEVER);
			continue;
		}
		b = QLIST_ELEM(cw->cw_queue.l_next, struct qbio, b_link);
		qlist_del(&b->b_link);
		qspin_unlock(&cw->cw_lock);
		qbio_end(b, cow_do(vw, b));
	}
	qspin_unlock(&cw->cw_lock);
}

static void
cow_submit(struct qdisk *d, struct qbio **bios, unsigned n)
{
	struct view *vw = d->qd_priv;
	struct cow *cw = &vw->vw_cow;
	unsigned i;

	qspin_lock(&cw->cw_lock);
	for (i = 0; i < n; i++) {
		qlist_init(&bios[i]->b_link);
		qlist_append(&cw->cw_queue, &bios[i]->b_link);
	}
	qspin_unlock(&cw->cw_lock);
	(void)qwaitq_wake_one(&cw->cw_wq);
}

static void
cow_free(struct view *vw)
{
	struct cow *cw = &vw->vw_cow;
	uint64_t i, j;

	for (i = 0; i < cw->cw_ntable; i++) {
		if (cw->cw_table[i] == NULL)
			continue;
		for (j = 0; j < TABLE; j++)
			qfree(cw->cw_table[i][j]);
		qfree(cw->cw_table[i]);
	}
	qfree(cw->cw_table);
	view_free(vw);
}

static void
cow_stop(struct cow *cw)
{
	qspin_lock(&cw->cw_lock);
	cw->cw_stop = true;
	qspin_unlock(&cw->cw_lock);
	(void)qwaitq_wake_one(&cw->cw_wq);
	qthread_join(cw->cw_worker);
}

static void
cow_release(struct qdisk *d)
{
	struct view *vw = d->qd_priv;

	cow_stop(&vw->vw_cow);
	cow_free(vw);
}

static const struct qdisk_ops cow_ops = {
	.do_submit = cow_submit,
	.do_release = cow_release,
};

int
qdisk_cow(struct qdisk *lower, const char *name, struct qdisk **dp)
{
	struct view *vw = view_make(lower);
	struct cow *cw;
	int error;

	if (vw == NULL)
		return -Q_ENOMEM;
	cw = &vw->vw_cow;
	vw->vw_disk.qd_flags &= ~QDISK_RDONLY;
	vw->vw_disk.qd_discard = vw->vw_disk.qd_sector;
	vw->vw_disk.qd_ops = &cow_ops;
	qspin_init(&cw->cw_lock);
	qwaitq_init(&cw->cw_wq);
	qlist_init(&cw->cw_queue);
	cw->cw_ntable = (lower->qd_size + BLOCK * TABLE - 1) / (BLOCK * TABLE);
	cw->cw_table = block_alloc(cw->cw_ntable * sizeof(char **));
	if (cw->cw_table == NULL) {
		view_free(vw);
		return -Q_ENOMEM;
	}
	error = qthread_create(lower->qd_k, "cow", cow_worker, vw, QPRIO_CLIENT,
	    QCPU_ANY, &cw->cw_worker);
	if (error != 0) {
		cow_free(vw);
		return error;
	}
	error = qdisk_attach(lower->qd_k, &vw->vw_disk, name);
	if (error != 0) {
		cow_stop(cw);
		cow_free(vw);
		return error;
	}
	*dp = &vw->vw_disk;
	return 0;
}
