/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page cache over a fake file system, against arrays of bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "k_pcache.h"

#define PG QUERN_PAGE_SIZE

struct test {
	struct fake ff;
	struct kenv *e;
	struct quern *k;
	int64_t (*body)(struct test *t);
	bool quick; /* in a world */

	/* the model */
	struct qrwlock mlock[FILES]; /* write: the size changes */
	uint8_t *model[FILES];
	uint32_t worker; /* [a] */
	uint32_t over;   /* [a] workers that are done */
	uint32_t bug;    /* BUG_*, planted */
};

#define BUG_DIRTY     1u /* nobody is told of stores through mappings */
#define BUG_REFERENCE 2u /* reading without a reference */

/* ---- helpers ------------------------------------------------------------ */

static int64_t
do_read(struct qvnode *v, uint64_t off, void *buf, size_t len,
    struct qreadahead *ra)
{
	struct quio u;

	if (quio_init(&u, &quspace_local, (uintptr_t)buf, len) != 0)
		return -Q_EFAULT;
	u.u_off = (int64_t)off;
	return qpcache_read(v, &u, ra);
}

static int64_t
write_from(struct qvnode *v, uint64_t off, const void *buf, size_t len,
    const struct quspace *us)
{
	struct quio u;
	int64_t n;

	if (quio_init(&u, us, (uintptr_t)buf, len) != 0)
		return -Q_EFAULT;
	u.u_off = (int64_t)off;
	qrw_wrlock(&v->v_lock);
	n = qpcache_write(v, &u);
	qrw_wrunlock(&v->v_lock);
	return n;
}

static int64_t
do_write(struct qvnode *v, uint64_t off, const void *buf, size_t len)
{
	return write_from(v, off, buf, len, &quspace_local);
}

static int
do_truncate(struct fake *ff, struct qvnode *v, uint64_t size)
{
	int error;

	qrw_wrlock(&v->v_lock);
	error = fake_truncate(ff, v, size);
	qrw_wrunlock(&v->v_lock);
	return error;
}

static int
do_drop(struct qvnode *v, uint64_t off, uint64_t end)
{
	int error;

	qrw_wrlock(&v->v_lock);
	error = qpcache_drop(v, off, end, false);
	qrw_wrunlock(&v->v_lock);
	return error;
}

static uint64_t
some(struct test *t, uint64_t below)
{
	return fake_some(&t->ff, below);
}

static int64_t
test_body(void *arg)
{
	struct test *t = arg;

	if (!fake_init(&t->ff))
		return 0;
	t->body(t);
	fake_fini(&t->ff);
	return 0;
}

/* Run a body with `pages` of RAM. */
static struct test *
test_make(struct kenv *e, uint64_t pages, uint64_t fail)
{
	struct test *t = calloc(1, sizeof(*t));

	t->e = t->ff.e = e;
	t->ff.bsize = PG;
	t->ff.rng = e->sim != NULL ? quern_sim_random(e->sim, 1u << 30) : 7;
	t->quick = e->sim != NULL;
	t->k = t->ff.k = fake_kernel(e, pages * PG, fail);
	return t;
}

static void
test_run(struct test *t, int64_t (*body)(struct test *t))
{
	t->body = body;
	if (t->k != NULL)
		KCHECK_EQ(t->e, kcall(t->k, test_body, t), 0);
}

static void
test_end(struct test *t)
{
	kenv_destroy(t->e, t->k);
	free(t);
}

static void
test_one(struct kenv *e, uint64_t pages, int64_t (*body)(struct test *t))
{
	struct test *t = test_make(e, pages, 0);

	test_run(t, body);
	test_end(t);
}

static void
fill(uint8_t *p, size_t n, uint64_t seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (uint8_t)((seed + i) * 167 + (seed + i) / 256 * 31 + 1);
}

static bool
is_filled(const uint8_t *p, size_t n, uint64_t seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] !=
		    (uint8_t)((seed + i) * 167 + (seed + i) / 256 * 31 + 1))
			return false;
	return true;
}

static bool
is_zero(const uint8_t *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static void
make_file(struct test *t, struct qvnode *v, size_t len)
{
	uint8_t *buf = malloc(len);

	fill(buf, len, 0);
	KCHECK_EQ(t->e, do_write(v, 0, buf, len), len);
	KCHECK_EQ(t->e, qpcache_sync(v, 0, UINT64_MAX, true), 0);
	KCHECK_EQ(t->e, do_drop(v, 0, QROUNDUP(len, PG)), 0);
	KCHECK_EQ(t->e, v->v_pages.pc_npages, 0);
	free(buf);
}

/* ---- a model, and several threads --------------------------------------- */

#define MPAGES  40u
#define MSIZE   (MPAGES * PG + 1234u)
#define WORKERS 3u

/*
 * A range of bytes that is this worker's: it has every WORKERS-th stripe, so
 * that pages are shared and bytes are not.
 */
static uint64_t
stripe(struct test *t, unsigned w, uint64_t *len)
{
	uint64_t size = 1700, n = MSIZE / size / WORKERS;
	uint64_t i = some(t, n) * WORKERS + w;

	*len = 1 + some(t, size);
	return i * size;
}

static void
check_range(struct test *t, unsigned f, struct qvnode *v, uint64_t off,
    uint64_t len, struct qreadahead *ra)
{
	uint8_t *buf = malloc(len);

	KCHECK_EQ(t->e, do_read(v, off, buf, len, ra), len);
	KCHECK(t->e, memcmp(buf, t->model[f] + off, len) == 0);
	free(buf);
}

/* What a reader must not do. */
static void
read_unsafely(struct test *t, unsigned f, struct qvnode *v, uint64_t off)
{
	struct qpage *pg = qpcache_find(v, off / PG);

	if (pg == NULL)
		return;
	qpage_put(t->k, pg);
	qthread_yield();
	(void)qthread_sleep_until(qclock_mono(t->k) + 3000, false);
	KCHECK_EQ(t->e, *((uint8_t *)qpage_data(t->k, pg) + off % PG),
	    t->model[f][off]);
}

static void
op_size(struct test *t, unsigned f, struct qvnode *v)
{
	uint64_t size, end;

	qrw_wrlock(&t->mlock[f]);
	switch (some(t, 4)) {
	case 0:
		size = some(t, 3) != 0 ? some(t, MSIZE) : some(t, MPAGES) * PG;
		KCHECK_EQ(t->e, do_truncate(&t->ff, v, size), 0);
		memset(t->model[f] + size, 0, MSIZE - size);
		/* Longer again: by truncation, or by a write behind the end. */
		if (some(t, 2) == 0) {
			KCHECK_EQ(t->e, do_truncate(&t->ff, v, MSIZE), 0);
		} else {
			KCHECK_EQ(t->e, do_write(v, MSIZE - 1, "x", 1), 1);
			t->model[f][MSIZE - 1] = 'x';
		}
		break;
	case 1:
		size = some(t, MPAGES) * PG;
		end = size + some(t, MPAGES - size / PG) * PG;
		qrw_wrlock(&v->v_lock);
		KCHECK_EQ(t->e, fake_punch(&t->ff, v, size, end), 0);
		qrw_wrunlock(&v->v_lock);
		memset(t->model[f] + size, 0, end - size);
		break;
	case 2:
		KCHECK_EQ(t->e, do_drop(v, 0, QROUNDUP(MSIZE, PG)), 0);
		break;
	default:
		check_range(t, f, v, 0, MSIZE, NULL);
		break;
	}
	qrw_wrunlock(&t->mlock[f]);
}

static void
op_data(struct test *t, unsigned f, struct qvnode *v, unsigned w,
    struct qreadahead *ra)
{
	uint64_t off, len;

	qrw_rdlock(&t->mlock[f]);
	off = stripe(t, w, &len);
	switch (some(t, 8)) {
	case 0:
	case 1:
	case 2:
	case 3:
		fill(t->model[f] + off, len, some(t, 1000));
		KCHECK_EQ(t->e, do_write(v, off, t->model[f] + off, len), len);
		break;
	case 4:
		KCHECK_EQ(t->e,
		    qpcache_sync(v, off, off + len, some(t, 2) == 0), 0);
		break;
	case 5:
		if (some(t, 3) == 0)
			fake_commit(&t->ff);
		break;
	default:
		check_range(t, f, v, off, len, ra);
		if (t->bug == BUG_REFERENCE)
			read_unsafely(t, f, v, off);
		break;
	}
	qrw_rdunlock(&t->mlock[f]);
}

static int64_t
worker_body(void *arg)
{
	struct test *t = arg;
	unsigned w = __atomic_fetch_add(&t->worker, 1, __ATOMIC_RELAXED), i, f;
	struct qreadahead ra[2] = { 0 };
	struct qvnode *v;

	for (i = 0; i < (t->quick ? 30 : 400); i++) {
		f = (unsigned)some(t, 2);
		v = fake_file(&t->ff, 2 + f);
		if (some(t, 10) == 0)
			op_size(t, f, v);
		else
			op_data(t, f, v, w, &ra[f]);
		qvnode_put(v);
	}
	return 0;
}

static void
worker(void *arg)
{
	struct test *t = arg;

	KCHECK_EQ(t->e, kcall(t->k, worker_body, t), 0);
	__atomic_fetch_add(&t->over, 1, __ATOMIC_RELEASE);
}

static int64_t
model_begin(void *arg)
{
	struct test *t = arg;
	unsigned f;

	if (!fake_init(&t->ff))
		return -1;
	for (f = 0; f < 2; f++) {
		struct qvnode *v = fake_file(&t->ff, 2 + f);

		KCHECK_EQ(t->e, do_truncate(&t->ff, v, MSIZE), 0);
		qvnode_put(v);
		qrw_init(&t->mlock[f], "model");
		t->model[f] = calloc(1, MSIZE);
	}
	return 0;
}

static int64_t
model_end(void *arg)
{
	struct test *t = arg;
	unsigned f, round;

	for (f = 0; f < 2; f++) {
		struct qvnode *v = fake_file(&t->ff, 2 + f);

		for (round = 0; round < 2; round++) {
			check_range(t, f, v, 0, MSIZE, NULL);
			/* And from the disk. */
			KCHECK_EQ(t->e, do_drop(v, 0, QROUNDUP(MSIZE, PG)), 0);
		}
		qvnode_put(v);
		free(t->model[f]);
	}
	fake_fini(&t->ff);
	return 0;
}

static void
model(struct kenv *e, uint64_t pages, uint32_t bsize, unsigned how,
    uint32_t bug)
{
	struct test *t = test_make(e, pages, 0);
	unsigned i;

	t->bug = bug;
	if (t->k == NULL)
		return;
	t->ff.bsize = bsize;
	t->ff.unwritten = (how & 1) != 0;
	t->ff.pieces = (how & 2) != 0;
	t->ff.sync_disk = (how & 4) != 0;
	t->ff.commit_bug = (how & 8) != 0;
	if (kcall(t->k, model_begin, t) == 0) {
		for (i = 0; i < WORKERS; i++)
			kspawn(e, worker, t);
		kjoin(e);
		KCHECK_EQ(e, kcall(t->k, model_end, t), 0);
	}
	test_end(t);
}

static void
model_random(struct kenv *e)
{
	unsigned how = e->sim != NULL ? (unsigned)quern_sim_random(e->sim, 16) :
					e->ncpu + e->runners;

	/* With RAM for all of it, or for less than half. */
	model(e, (how & 8) != 0 ? 512 : 48, PG, how & 7, 0);
}

static void
model_small_blocks(struct kenv *e)
{
	unsigned how = e->sim != NULL ? (unsigned)quern_sim_random(e->sim, 8) :
					e->ncpu + e->runners;

	model(e, 64, 1024, how & 7, 0);
}

/* A commit that does not wait for data: the checker must say so. */
static void
bug_commit(struct kenv *e)
{
	model(e, 512, PG, 8, 0);
}

/* A reader that takes no reference, where pages are reclaimed. */
static void
bug_reference(struct kenv *e)
{
	model(e, 48, PG, 0, BUG_REFERENCE);
}

/* ---- reading ahead ------------------------------------------------------ */

#define RSIZE (2048u * PG)

static int64_t
ahead_body(struct test *t)
{
	struct qvnode *v = fake_file(&t->ff, 2);
	uint64_t off, n, bytes, size = t->quick ? RSIZE / 8 : RSIZE, most;
	struct qreadahead ra = { 0 };
	uint8_t buf[PG];
	unsigned i;

	make_file(t, v, size);
	n = fake_reads(&t->ff, NULL);
	KCHECK_EQ(t->e, n, 0);
	for (off = 0; off < size; off += PG) {
		KCHECK_EQ(t->e, do_read(v, off, buf, PG, &ra), PG);
		KCHECK(t->e, is_filled(buf, PG, off));
	}
	KCHECK_EQ(t->e, do_read(v, size, buf, PG, &ra), 0);
	n = fake_reads(&t->ff, &bytes);
	/* Each page once; 16 KiB, 32 KiB ... 1 MiB, and so on. */
	KCHECK_EQ(t->e, bytes, size);
	most = 7 + size / QBIO_MAXLEN + 1;
	/* Fewer pages ahead while a runner is still making some free. */
	KCHECK(t->e, n <= (t->e->runners != 0 ? 2 * most : most));
	KCHECK(t->e, n >= size / QBIO_MAXLEN);

	/* At random: what is asked for and no more. */
	KCHECK_EQ(t->e, do_drop(v, 0, size), 0);
	ra = (struct qreadahead){ 0 };
	for (i = 1; i < 20; i++) {
		off = i * 37 % (size / PG) * PG;
		KCHECK_EQ(t->e, do_read(v, off + 5, buf, 100, &ra), 100);
		KCHECK(t->e, is_filled(buf, 100, off + 5));
	}
	i = (unsigned)(fake_reads(&t->ff, &off) - n);
	KCHECK_EQ(t->e, i, 19);
	KCHECK_EQ(t->e, off - bytes, 19 * PG);

	/* One large read is one request. */
	KCHECK_EQ(t->e, do_drop(v, 0, size), 0);
	n = fake_reads(&t->ff, NULL);
	{
		uint8_t *big = malloc(100 * PG);

		KCHECK_EQ(t->e, do_read(v, PG, big, 100 * PG, NULL), 100 * PG);
		KCHECK(t->e, is_filled(big, 100 * PG, PG));
		free(big);
	}
	KCHECK_EQ(t->e, fake_reads(&t->ff, NULL) - n, 1);
	qvnode_put(v);
	return 0;
}

static void
read_ahead(struct kenv *e)
{
	test_one(e, 8192, ahead_body);
}

/* ---- holes -------------------------------------------------------------- */

static int64_t
holes_body(struct test *t)
{
	struct qvnode *v = fake_file(&t->ff, 2);
	uint8_t buf[3 * PG];

	t->ff.unwritten = true;
	KCHECK_EQ(t->e, do_truncate(&t->ff, v, 100 * PG + 7), 0);
	memset(buf, 1, sizeof(buf));
	KCHECK_EQ(t->e, do_read(v, 10 * PG + 1, buf, sizeof(buf), NULL),
	    sizeof(buf));
	KCHECK(t->e, is_zero(buf, sizeof(buf)));
	KCHECK_EQ(t->e, fake_reads(&t->ff, NULL), 0);
	KCHECK_EQ(t->e, qpcache_seek(v, 0, false), -Q_ENXIO);
	KCHECK_EQ(t->e, qpcache_seek(v, 5, true), 5);
	KCHECK_EQ(t->e, qpcache_seek(v, 100 * PG + 7, true), -Q_ENXIO);
	/* Data: dirty, being written, on the disk. */
	KCHECK_EQ(t->e, do_write(v, 50 * PG + 100, "abc", 3), 3);
	KCHECK_EQ(t->e, qpcache_seek(v, 0, false), 50 * PG);
	KCHECK_EQ(t->e, qpcache_seek(v, 50 * PG + 9, false), 50 * PG + 9);
	KCHECK_EQ(t->e, qpcache_seek(v, 50 * PG + 9, true), 51 * PG);
	KCHECK_EQ(t->e, qpcache_seek(v, 51 * PG, false), -Q_ENXIO);
	fake_gate(&t->ff, true);
	KCHECK_EQ(t->e, qpcache_sync(v, 0, UINT64_MAX, false), 0);
	KCHECK_EQ(t->e, v->v_pages.pc_ndirty, 0);
	KCHECK_EQ(t->e, qpcache_seek(v, 0, false), 50 * PG);
	/* It can be read meanwhile. */
	KCHECK_EQ(t->e, do_read(v, 50 * PG + 99, buf, 5, NULL), 5);
	KCHECK(t->e, memcmp(buf, "\0abc", 5) == 0);
	fake_gate(&t->ff, false);
	KCHECK_EQ(t->e, qpcache_sync(v, 0, UINT64_MAX, true), 0);
	KCHECK_EQ(t->e, qpcache_seek(v, 0, false), 50 * PG);
	KCHECK_EQ(t->e, qpcache_seek(v, 50 * PG, true), 51 * PG);
	KCHECK_EQ(t->e, do_drop(v, 0, 101 * PG), 0);
	KCHECK_EQ(t->e, do_read(v, 50 * PG + 99, buf, 5, NULL), 5);
	KCHECK(t->e, memcmp(buf, "\0abc", 5) == 0);
	KCHECK_EQ(t->e, fake_reads(&t->ff, NULL), 1);
	/* Zeroing what is in a hole allocates nothing. */
	qrw_wrlock(&v->v_lock);
	KCHECK_EQ(t->e, qpcache_zero(v, 60 * PG + 9, 100), 0);
	KCHECK_EQ(t->e, v->v_pages.pc_ndirty, 0);
	KCHECK_EQ(t->e, qpcache_zero(v, 50 * PG + 101, 1), 0);
	KCHECK_EQ(t->e, v->v_pages.pc_ndirty, 1);
	qrw_wrunlock(&v->v_lock);
	KCHECK_EQ(t->e, do_read(v, 50 * PG + 99, buf, 5, NULL), 5);
	KCHECK(t->e, memcmp(buf, "\0a\0c", 5) == 0);
	qvnode_put(v);
	return 0;
}

static void
holes(struct kenv *e)
{
	test_one(e, 1024, holes_body);
}

/* ---- errors of the disk ------------------------------------------------- */

static int64_t
eio_body(struct test *t)
{
	struct qvnode *v = fake_file(&t->ff, 2);
	struct file *f = (struct file *)v;
	uint8_t buf[4 * PG];

	make_file(t, v, 16 * PG);
	/* Page 5 can't be read, though it is read ahead with the others. */
	__atomic_store_n(&t->ff.bad_read, f->f_block[5].b_disk + 1,
	    __ATOMIC_RELAXED);
	KCHECK_EQ(t->e, do_read(v, 0, buf, sizeof(buf), NULL), sizeof(buf));
	KCHECK_EQ(t->e, do_read(v, 4 * PG, buf, sizeof(buf), NULL), PG);
	KCHECK_EQ(t->e, do_read(v, 5 * PG, buf, sizeof(buf), NULL), -Q_EIO);
	KCHECK_EQ(t->e, do_read(v, 6 * PG, buf, sizeof(buf), NULL),
	    sizeof(buf));
	KCHECK(t->e, is_filled(buf, sizeof(buf), 6 * PG));
	/* Nor changed in part; but replaced. */
	KCHECK_EQ(t->e, do_write(v, 5 * PG + 1, "a", 1), -Q_EIO);
	KCHECK(t->e, t->ff.fs->fs_wb->wb_rderror >= 2);
	__atomic_store_n(&t->ff.bad_read, 0, __ATOMIC_RELAXED);
	KCHECK_EQ(t->e, do_read(v, 5 * PG, buf, PG, NULL), PG);
	KCHECK(t->e, is_filled(buf, PG, 5 * PG));

	/* A page that can't be written: told of once. */
	__atomic_store_n(&t->ff.bad_write, f->f_block[7].b_disk + 1,
	    __ATOMIC_RELAXED);
	KCHECK_EQ(t->e, do_write(v, 7 * PG + 9, "b", 1), 1);
	KCHECK_EQ(t->e, qpcache_sync(v, 0, UINT64_MAX, true), -Q_EIO);
	KCHECK_EQ(t->e, qpcache_sync(v, 0, UINT64_MAX, true), 0);
	KCHECK_EQ(t->e, v->v_pages.pc_errseq, 1);
	/* Also if nobody waited at the time. */
	KCHECK_EQ(t->e, do_write(v, 7 * PG + 9, "c", 1), 1);
	KCHECK_EQ(t->e, qpcache_sync(v, 0, UINT64_MAX, false), 0);
	qpcache_wait(v);
	__atomic_store_n(&t->ff.bad_write, 0, __ATOMIC_RELAXED);
	KCHECK_EQ(t->e, qpcache_sync(v, 0, UINT64_MAX, true), -Q_EIO);
	KCHECK_EQ(t->e, do_write(v, 7 * PG + 9, "d", 1), 1);
	KCHECK_EQ(t->e, qpcache_sync(v, 0, UINT64_MAX, true), 0);
	KCHECK_EQ(t->e, do_drop(v, 0, 16 * PG), 0);
	KCHECK_EQ(t->e, do_read(v, 7 * PG + 9, buf, 1, NULL), 1);
	KCHECK_EQ(t->e, buf[0], 'd');
	qvnode_put(v);
	return 0;
}

static void
disk_errors(struct kenv *e)
{
	test_one(e, 1024, eio_body);
}

/* ---- clients whose memory faults ---------------------------------------- */

struct faulty {
	struct quspace us;
	uint64_t good; /* addresses below are there */
};

static int
faulty_in(const struct quspace *us, void *dst, quaddr_t src, size_t len)
{
	const struct faulty *fy = QCONTAINER(us, struct faulty, us);

	if (src + len > fy->good)
		return -Q_EFAULT;
	memcpy(dst, (void *)(uintptr_t)src, len);
	return 0;
}

static const struct quspace_ops faulty_ops = { .uo_in = faulty_in };

static int64_t
fault_body(struct test *t)
{
	struct qvnode *v = fake_file(&t->ff, 2);
	struct faulty fy = { .us = { &faulty_ops } };
	uint8_t *buf = malloc(4 * PG), *got = malloc(4 * PG);

	make_file(t, v, 4 * PG);
	memset(buf, 'x', 4 * PG);
	/* Of four whole pages one and a bit: the first. */
	fy.good = (uintptr_t)buf + PG + 100;
	KCHECK_EQ(t->e, write_from(v, 0, buf, 4 * PG, &fy.us), PG);
	KCHECK_EQ(t->e, do_read(v, 0, got, 4 * PG, NULL), 4 * PG);
	KCHECK(t->e, memcmp(got, buf, PG) == 0);
	KCHECK(t->e, is_filled(got + PG, 3 * PG, PG));
	/* Nothing at all, in the file and behind its end. */
	fy.good = 0;
	KCHECK_EQ(t->e, write_from(v, 100, buf, 50, &fy.us), -Q_EFAULT);
	KCHECK_EQ(t->e, write_from(v, 9 * PG, buf, 50, &fy.us), -Q_EFAULT);
	KCHECK_EQ(t->e, v->v_size, 4 * PG);
	/* NULL, of a local client. */
	KCHECK_EQ(t->e, do_write(v, 4 * PG, NULL, 50), -Q_EFAULT);
	KCHECK_EQ(t->e, do_write(v, 3 * PG, NULL, PG), -Q_EFAULT);
	KCHECK_EQ(t->e, v->v_size, 4 * PG);
	KCHECK_EQ(t->e, do_read(v, 3 * PG, got, PG, NULL), PG);
	KCHECK(t->e, is_filled(got, PG, 3 * PG));
	/* Nothing stale behind the end either. */
	KCHECK_EQ(t->e, do_truncate(&t->ff, v, 10 * PG), 0);
	KCHECK_EQ(t->e, do_read(v, 9 * PG, got, PG, NULL), PG);
	KCHECK(t->e, is_zero(got, PG));
	KCHECK_EQ(t->e, do_read(v, 4 * PG, got, PG, NULL), PG);
	KCHECK(t->e, is_zero(got, PG));
	free(buf);
	free(got);
	qvnode_put(v);
	return 0;
}

static void
faults(struct kenv *e)
{
	test_one(e, 1024, fault_body);
}

/* ---- room --------------------------------------------------------------- */

static int64_t
room_body(struct test *t)
{
	struct qvnode *v = fake_file(&t->ff, 2);
	uint8_t *buf = calloc(1, 20 * PG);

	t->ff.room = 10;
	KCHECK_EQ(t->e, do_write(v, 0, buf, 20 * PG), 10 * PG);
	KCHECK_EQ(t->e, v->v_size, 10 * PG);
	KCHECK_EQ(t->e, do_write(v, 10 * PG, buf, 1), -Q_ENOSPC);
	/* What has a promise costs nothing. */
	KCHECK_EQ(t->e, do_write(v, 9 * PG, buf, PG), PG);
	KCHECK_EQ(t->e, do_truncate(&t->ff, v, 9 * PG + 1), 0);
	KCHECK_EQ(t->e, t->ff.nused, 10);
	KCHECK_EQ(t->e, do_truncate(&t->ff, v, 9 * PG), 0);
	KCHECK_EQ(t->e, t->ff.nused, 9);
	KCHECK_EQ(t->e, qpcache_sync(v, 0, UINT64_MAX, true), 0);
	KCHECK_EQ(t->e, t->ff.nused, 9);
	KCHECK_EQ(t->e, do_write(v, 9 * PG, buf, 2 * PG), PG);
	/* Shorter with nothing to spare. */
	KCHECK_EQ(t->e, do_truncate(&t->ff, v, 3 * PG + 5), 0);
	KCHECK_EQ(t->e, t->ff.nused, 4);
	KCHECK_EQ(t->e, do_truncate(&t->ff, v, 0), 0);
	KCHECK_EQ(t->e, t->ff.nused, 0);
	free(buf);
	qvnode_put(v);
	return 0;
}

static void
room(struct kenv *e)
{
	test_one(e, 1024, room_body);
}

static int64_t
diskless_body(struct test *t)
{
	struct qvnode *v = fake_file(&t->ff, 2);
	uint8_t *buf = calloc(1, 400 * PG), *got = calloc(1, 400 * PG);

	fill(buf, 400 * PG, 5);
	t->ff.room = 200;
	KCHECK_EQ(t->e, do_write(v, 100 * PG, buf, 400 * PG), 200 * PG);
	KCHECK_EQ(t->e, do_write(v, 0, buf, PG), -Q_ENOSPC);
	KCHECK_EQ(t->e, do_write(v, 100 * PG + 9, buf + 9, PG), PG);
	/* There is RAM for 300: reading the hole takes none of it. */
	t->ff.room = 400;
	KCHECK_EQ(t->e, do_read(v, 0, got, 300 * PG, NULL), 300 * PG);
	KCHECK(t->e, is_zero(got, 100 * PG));
	KCHECK(t->e, memcmp(got + 100 * PG, buf, 200 * PG) == 0);
	KCHECK_EQ(t->e, v->v_pages.pc_npages, 200);
	/* More than there is: what is there stays. */
	KCHECK(t->e,
	    do_write(v, 300 * PG, buf, 200 * PG) >= (int64_t)(50 * PG));
	KCHECK_EQ(t->e, do_write(v, 900 * PG, buf, PG), -Q_ENOMEM);
	KCHECK_EQ(t->e, t->ff.nused, v->v_pages.pc_npages);
	KCHECK_EQ(t->e, do_read(v, 100 * PG, got, 200 * PG, NULL), 200 * PG);
	KCHECK(t->e, memcmp(got, buf, 200 * PG) == 0);
	KCHECK_EQ(t->e, qpcache_seek(v, 0, false), 100 * PG);
	KCHECK_EQ(t->e, qpcache_sync(v, 0, UINT64_MAX, true), 0);
	KCHECK_EQ(t->e, do_truncate(&t->ff, v, 110 * PG + 3), 0);
	KCHECK_EQ(t->e, v->v_pages.pc_npages, 11);
	KCHECK_EQ(t->e, t->ff.nused, 11);
	KCHECK_EQ(t->e, do_truncate(&t->ff, v, 111 * PG), 0);
	KCHECK_EQ(t->e, do_read(v, 110 * PG, got, PG, NULL), PG);
	KCHECK(t->e, memcmp(got, buf + 10 * PG, 3) == 0);
	KCHECK(t->e, is_zero(got + 3, PG - 3));
	free(buf);
	free(got);
	qvnode_put(v);
	return 0;
}

static void
diskless(struct kenv *e)
{
	struct test *t = test_make(e, 300, 0);

	t->ff.diskless = true;
	test_run(t, diskless_body);
	test_end(t);
}

/* ---- files larger than RAM ---------------------------------------------- */

static int64_t
large_body(struct test *t)
{
	struct qvnode *a = fake_file(&t->ff, 2), *b = fake_file(&t->ff, 3);
	uint64_t off, size = (t->quick ? 300 : 3000) * PG;
	struct qreadahead ra = { 0 };
	uint8_t buf[5000];
	int64_t n;

	for (off = 0; off < size; off += PG) {
		fill(buf, PG, off);
		KCHECK_EQ(t->e, do_write(a, off, buf, PG), PG);
	}
	for (off = 0; off < size; off += (uint64_t)n) {
		n = do_read(a, off, buf, sizeof(buf), &ra);
		if (!KCHECK(t->e, n > 0) ||
		    !KCHECK(t->e, is_filled(buf, (size_t)n, off)) ||
		    !KCHECK_EQ(t->e, do_write(b, off, buf, (size_t)n), n))
			break;
	}
	KCHECK_EQ(t->e, qpcache_sync(b, 0, UINT64_MAX, true), 0);
	ra = (struct qreadahead){ 0 };
	for (off = 0; off < size; off += PG) {
		KCHECK_EQ(t->e, do_read(b, off, buf, PG, &ra), PG);
		if (!KCHECK(t->e, is_filled(buf, PG, off)))
			break;
	}
	/* Most of what reading ahead brought has been used. */
	(void)fake_reads(&t->ff, &off);
	KCHECK(t->e, off <= 3 * size);
	qvnode_put(a);
	qvnode_put(b);
	return 0;
}

static void
large(struct kenv *e)
{
	test_one(e, e->sim != NULL ? 64 : 512, large_body);
}

/* ---- the thread --------------------------------------------------------- */

#define SECOND UINT64_C(1000000000)

static int64_t
age_body(struct test *t)
{
	struct qvnode *v = fake_file(&t->ff, 2);
	struct writeback *wb = t->ff.fs->fs_wb;
	uint64_t now = qclock_mono(t->k);

	KCHECK(t->e, !wb->wb_armed);
	KCHECK_EQ(t->e, do_write(v, 0, "a", 1), 1);
	KCHECK(t->e, wb->wb_armed);
	(void)qthread_sleep_until(now + 29 * SECOND, false);
	KCHECK_EQ(t->e, v->v_pages.pc_ndirty, 1);
	KCHECK_EQ(t->e, t->ff.nwrite, 0);
	(void)qthread_sleep_until(now + 37 * SECOND, false);
	KCHECK_EQ(t->e, v->v_pages.pc_ndirty, 0);
	KCHECK_EQ(t->e, t->ff.nwrite, 1);
	/* And then it is quiet. */
	(void)qthread_sleep_until(now + 50 * SECOND, false);
	KCHECK(t->e, !wb->wb_armed);
	qvnode_put(v);
	return 0;
}

static void
age(struct kenv *e)
{
	test_one(e, 1024, age_body);
}

/* ---- mappers ------------------------------------------------------------ */

/* Somebody who maps one page of a file, as an address space does. */
struct mapped {
	struct test *t;
	struct qvnode *v;
	struct qpage_mapper m;
	struct qmutex lock; /* a store against the page table */
	struct qpage *pg;   /* [lock] with a reference while mapped */
	bool write;         /* [lock] */
	uint64_t index;
	uint32_t stores, gone;
};

static uint32_t
mapped_invalidate(struct qpage_mapper *m, struct qpage *pg)
{
	struct mapped *mp = QCONTAINER(m, struct mapped, m);

	qmutex_lock(&mp->lock);
	KCHECK(mp->t->e, mp->pg == pg);
	mp->pg = NULL;
	mp->write = false;
	mp->gone++;
	qmutex_unlock(&mp->lock);
	qpage_put(mp->t->k, pg);
	return 1;
}

static void
mapped_protect(struct qpage_mapper *m, struct qpage *pg)
{
	struct mapped *mp = QCONTAINER(m, struct mapped, m);

	(void)pg;
	qmutex_lock(&mp->lock);
	mp->write = false;
	qmutex_unlock(&mp->lock);
	kchoice();
}

static const struct qpage_mapper_ops mapped_ops = { mapped_invalidate,
	mapped_protect };

/* A write fault. */
static void
mapped_fault(struct mapped *mp)
{
	struct qvnode *v = mp->v;
	struct qpage *pg;
	bool there;

	qmutex_lock(&mp->lock);
	there = mp->pg != NULL;
	qmutex_unlock(&mp->lock);
	if (!KCHECK_EQ(mp->t->e, qpcache_page(v, mp->index, true, &pg), 0))
		return;
	qpage_busy(mp->t->k, pg);
	if (pg->pg_obj == v && pg->pg_index == mp->index) {
		KCHECK_EQ(mp->t->e, v->v_ops->vo_reserve(v, mp->index * PG, PG),
		    0);
		qmutex_lock(&mp->lock);
		there = mp->pg != NULL;
		if (!there)
			mp->pg = pg;
		qmutex_unlock(&mp->lock);
		if (!there) {
			qpage_get(pg);
			qpage_map(mp->t->k, pg, &mp->m);
		}
		if (mp->t->bug != BUG_DIRTY)
			qpcache_dirty(v, pg);
		qmutex_lock(&mp->lock);
		mp->write = true;
		qmutex_unlock(&mp->lock);
	}
	qpage_unbusy(mp->t->k, pg);
	qpage_put(mp->t->k, pg);
}

static void
mapped_main(void *arg)
{
	struct mapped *mp = arg;
	struct test *t = mp->t;
	uint32_t *word;
	bool may;

	while (mp->stores < (t->quick ? 15 : 300)) {
		qmutex_lock(&mp->lock);
		may = mp->write;
		if (may) {
			word = qpage_data(t->k, mp->pg);
			__atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
			mp->stores++;
		}
		qmutex_unlock(&mp->lock);
		if (!may || mp->stores % 5 == 0)
			mapped_fault(mp);
		qthread_yield();
	}
	__atomic_fetch_add(&t->over, 1, __ATOMIC_RELEASE);
}

static int64_t
mapped_body(struct test *t)
{
	struct qvnode *v = fake_file(&t->ff, 2);
	struct mapped *mp = calloc(2, sizeof(*mp));
	struct qthread *th[2];
	uint32_t word;
	unsigned i;

	KCHECK_EQ(t->e, do_truncate(&t->ff, v, 8 * PG), 0);
	for (i = 0; i < 2; i++) {
		mp[i].t = t;
		mp[i].v = v;
		mp[i].index = 3 + i;
		mp[i].m.pm_ops = &mapped_ops;
		qmutex_init(&mp[i].lock, "mapped");
		KCHECK_EQ(t->e,
		    qthread_create(t->k, "mapped", mapped_main, &mp[i],
			QPRIO_NORMAL, QCPU_ANY, &th[i]),
		    0);
	}
	for (i = 0; __atomic_load_n(&t->over, __ATOMIC_ACQUIRE) < 2; i++) {
		KCHECK_EQ(t->e, qpcache_sync(v, 0, UINT64_MAX, i % 2 == 0), 0);
		if (i % 3 == 2)
			KCHECK_EQ(t->e, do_drop(v, 0, 8 * PG), 0);
		(void)qthread_sleep_until(qclock_mono(t->k) + 2000, false);
	}
	for (i = 0; i < 2; i++)
		qthread_join(th[i]);
	/* No store was lost, and the disk has them all. */
	KCHECK_EQ(t->e, do_drop(v, 0, 8 * PG), 0);
	for (i = 0; i < 2; i++) {
		KCHECK(t->e, mp[i].pg == NULL && mp[i].gone > 0);
		KCHECK_EQ(t->e,
		    do_read(v, mp[i].index * PG, &word, sizeof(word), NULL),
		    sizeof(word));
		KCHECK_EQ(t->e, word, mp[i].stores);
		mapped_fault(&mp[i]);
	}
	/* Truncation takes mappings away too. */
	KCHECK_EQ(t->e, do_truncate(&t->ff, v, 4 * PG), 0);
	KCHECK(t->e, mp[0].pg != NULL && mp[1].pg == NULL);
	KCHECK_EQ(t->e, do_truncate(&t->ff, v, 0), 0);
	KCHECK(t->e, mp[0].pg == NULL);
	free(mp);
	qvnode_put(v);
	return 0;
}

static void
mappers(struct kenv *e)
{
	test_one(e, 1024, mapped_body);
}

/* Stores through a mapping of which nobody is told. */
static void
bug_dirty(struct kenv *e)
{
	struct test *t = test_make(e, 1024, 0);

	t->bug = BUG_DIRTY;
	test_run(t, mapped_body);
	test_end(t);
}

/* ---- no memory ---------------------------------------------------------- */

/* An operation that may fail once for want of memory, and not twice. */
#define AGAIN(t, expr)                                                         \
	do {                                                                   \
		int64_t r_ = (expr);                                           \
		if (r_ == -Q_ENOMEM) {                                         \
			__atomic_fetch_add(&(t)->worker, 1, __ATOMIC_RELAXED); \
			r_ = (expr);                                           \
		}                                                              \
		KCHECK(t->e, r_ >= 0);                                         \
	} while (0)

static int64_t
nomem_body(struct test *t)
{
	struct qvnode *v = fake_file(&t->ff, 3);
	uint8_t *buf = calloc(1, 90 * PG), *got = calloc(1, 90 * PG);
	unsigned round;

	if (v == NULL)
		return 0;
	t->ff.unwritten = true;
	for (round = 0; round < 2; round++) {
		fill(buf, 90 * PG, round);
		AGAIN(t,
		    do_write(v, 0, buf, 90 * PG) == 90 * PG ?
			1 :
			do_write(v, 0, buf, 90 * PG));
		AGAIN(t, do_write(v, 70 * PG + 5, buf + 70 * PG + 5, PG));
		AGAIN(t, qpcache_sync(v, 0, UINT64_MAX, true));
		AGAIN(t, do_drop(v, 0, 90 * PG));
		memset(got, 0, 90 * PG);
		AGAIN(t,
		    do_read(v, 0, got, 90 * PG, NULL) == 90 * PG ?
			1 :
			do_read(v, 0, got, 90 * PG, NULL));
		KCHECK(t->e, memcmp(got, buf, 90 * PG) == 0);
		AGAIN(t, do_truncate(&t->ff, v, 55 * PG + 100));
	}
	free(buf);
	free(got);
	qvnode_put(v);
	return 0;
}

static uint64_t
allocs_of(struct test *t)
{
	struct quern_stats st;

	KCHECK_EQ(t->e, quern_stats(t->k, &st), 0);
	return st.st_allocs;
}

static int64_t
nomem_begin(void *arg)
{
	struct test *t = arg;

	return fake_init(&t->ff) ? 0 : -1;
}

static int64_t
nomem_middle(void *arg)
{
	return nomem_body(arg);
}

static int64_t
nomem_end(void *arg)
{
	struct test *t = arg;

	fake_fini(&t->ff);
	return 0;
}

/* One run; where the interesting allocations begin and end. */
static void
nomem_once(struct kenv *e, uint64_t fail, uint64_t *from, uint64_t *to)
{
	struct test *t = test_make(e, 64, fail);

	if (t->k != NULL && kcall(t->k, nomem_begin, t) == 0) {
		*from = allocs_of(t);
		KCHECK_EQ(e, kcall(t->k, nomem_middle, t), 0);
		*to = allocs_of(t);
		KCHECK_EQ(e, kcall(t->k, nomem_end, t), 0);
	}
	test_end(t);
}

static void
no_memory(struct kenv *e)
{
	uint64_t from, to, n, unused;

	if (e->ncpu != 1)
		return;
	nomem_once(e, UINT64_MAX, &from, &to);
	KCHECK(e, to > from + 50);
	if (e->sim != NULL) {
		n = from + 1 + quern_sim_random(e->sim, to - from);
		nomem_once(e, n, &unused, &unused);
		return;
	}
	for (n = from + 1; n <= to && !e->failed; n++)
		nomem_once(e, n, &unused, &unused);
}

const struct kcase kpcache_cases[] = {
	{ "model_random", model_random, 60, false, NULL },
	{ "model_small_blocks", model_small_blocks, 40, false, NULL },
	{ "read_ahead", read_ahead, 4, false, NULL },
	{ "holes", holes, 20, false, NULL },
	{ "disk_errors", disk_errors, 20, false, NULL },
	{ "faults", faults, 10, false, NULL },
	{ "room", room, 10, false, NULL },
	{ "diskless", diskless, 3, false, NULL },
	{ "large", large, 6, false, NULL },
	{ "age", age, 5, true, NULL },
	{ "mappers", mappers, 40, false, NULL },
	{ "no_memory", no_memory, 20, false, NULL },
	{ NULL, NULL, 0, false, NULL },
};

const struct kcase kpcache_bugs[] = {
	{ "bug_commit", bug_commit, 300, true, NULL },
	{ "bug_dirty", bug_dirty, 50, true, NULL },
	{ "bug_reference", bug_reference, 100, true, NULL },
	{ NULL, NULL, 0, false, NULL },
};
