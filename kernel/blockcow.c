/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copy-on-write views: what is written goes to a store, by blocks of 4 KiB; what
 * was not is read from the disk below, which is never written.
 *
 * A write that covers a part of a block that the store does not have first reads
 * the rest from below.  The view does one request at a time on a thread of its
 * own, since it may have to wait.
 *
 * Stores: memory, here; a side file, blockside.c.
 */
#include "impl.h"

#include "blockimpl.h"

#define TABLE 512u /* blocks of a second-level table: 2 MiB */

struct cow {
	struct qdisk cw_disk;
	struct qdisk *cw_lower; /* a reference */
	struct cow_store *cw_store;
	char *cw_bounce; /* [worker] a block */
	struct qspin cw_lock;
	struct qwaitq cw_wq;
	struct qlist cw_queue; /* [cw_lock] b_link */
	bool cw_stop;          /* [cw_lock] */
	struct qthread *cw_worker;
};

/* ---- memory as a store ------------------------------------------------------ */

/* Blocks of memory in a table of two levels. */
struct memstore {
	struct cow_store ms_store;
	uint64_t ms_n;
	char **ms_table[];
};

static char *
mem_block(struct cow_store *so, uint64_t blk)
{
	char **t = ((struct memstore *)so)->ms_table[blk / TABLE];

	return t != NULL ? t[blk % TABLE] : NULL;
}

static bool
mem_has(struct cow_store *so, uint64_t blk)
{
	return mem_block(so, blk) != NULL;
}

/* How much of a transfer lies within the block of its first byte. */
static size_t
within(uint64_t off, size_t len)
{
	size_t n = COW_BLOCK - off % COW_BLOCK;

	return n < len ? n : len;
}

static int
mem_read(struct cow_store *so, uint64_t off, void *buf, size_t len)
{
	char *to = buf;
	size_t n;

	for (; len > 0; off += n, to += n, len -= n) {
		n = within(off, len);
		memcpy(to, mem_block(so, off / COW_BLOCK) + off % COW_BLOCK, n);
	}
	return 0;
}

/* The block, made if need be. */
static char *
mem_own(struct memstore *ms, uint64_t blk)
{
	char ***slot = &ms->ms_table[blk / TABLE];

	if (*slot == NULL)
		*slot = block_alloc(TABLE * sizeof(char *));
	if (*slot == NULL)
		return NULL;
	if ((*slot)[blk % TABLE] == NULL)
		(*slot)[blk % TABLE] = block_alloc(COW_BLOCK);
	return (*slot)[blk % TABLE];
}

static int
mem_write(struct cow_store *so, uint64_t off, const void *buf, size_t len)
{
	struct memstore *ms = (struct memstore *)so;
	const char *from = buf;
	size_t n;
	char *p;

	for (; len > 0; off += n, len -= n) {
		n = within(off, len);
		p = mem_own(ms, off / COW_BLOCK);
		if (p == NULL)
			return -Q_ENOMEM;
		if (from != NULL) {
			memcpy(p + off % COW_BLOCK, from, n);
			from += n;
		} else {
			memset(p + off % COW_BLOCK, 0, n);
		}
	}
	return 0;
}

static int
mem_flush(struct cow_store *so)
{
	(void)so; /* nothing here outlives the kernel */
	return 0;
}

static void
mem_free(struct cow_store *so)
{
	struct memstore *ms = (struct memstore *)so;
	uint64_t i, j;

	for (i = 0; i < ms->ms_n; i++) {
		if (ms->ms_table[i] == NULL)
			continue;
		for (j = 0; j < TABLE; j++)
			qfree(ms->ms_table[i][j]);
		qfree(ms->ms_table[i]);
	}
	qfree(ms);
}

static const struct cow_store mem_store = {
	.so_has = mem_has,
	.so_read = mem_read,
	.so_write = mem_write,
	.so_flush = mem_flush,
	.so_free = mem_free,
};

/* ---- requests ------------------------------------------------------------------ */

static int
cow_read(struct cow *cw, uint64_t off, char *buf, size_t len)
{
	struct cow_store *so = cw->cw_store;
	size_t n;
	bool has;
	int error = 0;

	for (; len > 0 && error == 0; off += n, buf += n, len -= n) {
		has = so->so_has(so, off / COW_BLOCK);
		n = within(off, len);
		while (n < len && so->so_has(so, (off + n) / COW_BLOCK) == has)
			n += within(off + n, len - n);
		error = has ? so->so_read(so, off, buf, n) :
			      qdisk_read(cw->cw_lower, off, buf, n);
	}
	return error;
}

/* Can the store take this piece of a block as it is? */
static bool
writable(const struct cow *cw, uint64_t off, size_t n)
{
	struct cow_store *so = cw->cw_store;

	return n == COW_BLOCK ||
	    (off % COW_BLOCK == 0 && off + n == cw->cw_disk.qd_size) ||
	    so->so_has(so, off / COW_BLOCK);
}

/* Write a piece of a block that is still below. */
static int
cow_patch(struct cow *cw, uint64_t off, const char *buf, size_t n)
{
	uint64_t base = off - off % COW_BLOCK;
	uint64_t len = cw->cw_disk.qd_size - base;
	int error;

	if (len > COW_BLOCK)
		len = COW_BLOCK;
	error = qdisk_read(cw->cw_lower, base, cw->cw_bounce, len);
	if (error != 0)
		return error;
	if (buf != NULL)
		memcpy(cw->cw_bounce + (off - base), buf, n);
	else
		memset(cw->cw_bounce + (off - base), 0, n);
	return cw->cw_store->so_write(cw->cw_store, base, cw->cw_bounce, len);
}

/* `buf` NULL: zeroes. */
static int
cow_write(struct cow *cw, uint64_t off, const char *buf, uint64_t len)
{
	size_t n, more;
	int error = 0;

	for (; len > 0 && error == 0; off += n, len -= n) {
		n = within(off, len);
		if (!writable(cw, off, n)) {
			error = cow_patch(cw, off, buf, n);
		} else {
			while (n < len && n < QBIO_MAXLEN) {
				more = within(off + n, len - n);
				if (!writable(cw, off + n, more))
					break;
				n += more;
			}
			error = cw->cw_store->so_write(cw->cw_store, off, buf,
			    n);
		}
		if (buf != NULL)
			buf += n;
	}
	return error;
}

static int
cow_do(struct cow *cw, const struct qbio *b)
{
	struct quern_iov *iov = b->b_iov;
	uint64_t off = b->b_off;
	uint32_t i;
	int error = 0;

	if (b->b_cmd == QUERN_BLK_FLUSH)
		return cw->cw_store->so_flush(cw->cw_store);
	if (b->b_cmd == QUERN_BLK_ZERO)
		error = cow_write(cw, off, NULL, b->b_len);
	else
		for (i = 0; i < b->b_niov && error == 0; i++, iov++) {
			error = b->b_cmd == QUERN_BLK_READ ?
			    cow_read(cw, off, iov->iov_base, iov->iov_len) :
			    cow_write(cw, off, iov->iov_base, iov->iov_len);
			off += iov->iov_len;
		}
	if (error == 0 && (b->b_flags & QUERN_BLK_FUA) != 0)
		error = cw->cw_store->so_flush(cw->cw_store);
	return error;
}

static void
cow_worker(void *arg)
{
	struct cow *cw = arg;
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
		qbio_end(b, cow_do(cw, b));
	}
	qspin_unlock(&cw->cw_lock);
}

static void
cow_submit(struct qdisk *d, struct qbio **bios, unsigned n)
{
	struct cow *cw = d->qd_priv;
	unsigned i;

	qspin_lock(&cw->cw_lock);
	for (i = 0; i < n; i++) {
		qlist_init(&bios[i]->b_link);
		qlist_append(&cw->cw_queue, &bios[i]->b_link);
	}
	qspin_unlock(&cw->cw_lock);
	(void)qwaitq_wake_one(&cw->cw_wq);
}

/* ---- making and unmaking ---------------------------------------------------------- */

/* Free all but the store. */
static void
cow_free(struct cow *cw)
{
	qdisk_put(cw->cw_lower);
	qfree(cw->cw_bounce);
	qfree(cw);
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
	struct cow *cw = d->qd_priv;

	cow_stop(cw);
	cw->cw_store->so_free(cw->cw_store);
	cow_free(cw);
}

static const struct qdisk_ops cow_ops = {
	.do_submit = cow_submit,
	.do_release = cow_release,
};

int
cow_make(struct qdisk *lower, const char *name, struct cow_store *so,
    struct qdisk **dp)
{
	struct cow *cw = block_alloc(sizeof(*cw));
	int error;

	if (cw == NULL)
		return -Q_ENOMEM;
	cw->cw_bounce = block_alloc(COW_BLOCK);
	if (cw->cw_bounce == NULL) {
		qfree(cw);
		return -Q_ENOMEM;
	}
	qdisk_get(lower);
	cw->cw_lower = lower;
	cw->cw_store = so;
	cw->cw_disk.qd_ops = &cow_ops;
	cw->cw_disk.qd_priv = cw;
	cw->cw_disk.qd_size = qdisk_size(lower);
	cw->cw_disk.qd_sector = lower->qd_sector;
	cw->cw_disk.qd_flags = QDISK_NOMERGE;
	qspin_init(&cw->cw_lock);
	qwaitq_init(&cw->cw_wq);
	qlist_init(&cw->cw_queue);
	error = qthread_create(lower->qd_k, "cow", cow_worker, cw, QPRIO_CLIENT,
	    QCPU_ANY, &cw->cw_worker);
	if (error == 0) {
		error = qdisk_attach(lower->qd_k, &cw->cw_disk, name);
		if (error != 0)
			cow_stop(cw);
	}
	if (error != 0) {
		cow_free(cw);
		return error;
	}
	*dp = &cw->cw_disk;
	return 0;
}

int
qdisk_cow(struct qdisk *lower, const char *name, struct qdisk **dp)
{
	const uint64_t span = COW_BLOCK * TABLE;
	uint64_t n = (qdisk_size(lower) + span - 1) / span;
	struct memstore *ms;
	int error;

	ms = block_alloc(sizeof(*ms) + n * sizeof(ms->ms_table[0]));
	if (ms == NULL)
		return -Q_ENOMEM;
	ms->ms_store = mem_store;
	ms->ms_n = n;
	error = cow_make(lower, name, &ms->ms_store, dp);
	if (error != 0)
		qfree(ms);
	return error;
}
