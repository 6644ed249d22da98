/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffers: many threads that count in blocks, against what is on the disk then;
 * merging, reading ahead, limits, errors.
 */
#include <stdlib.h>
#include <string.h>

#include <kernel/impl.h>
#include <quern/buf.h>

#include "k_buf.h"

#define BSIZE   1024u
#define BLOCKS  256u
#define THREADS 4u

struct ctx {
	struct kenv *e;
	struct quern *k;
	struct qdisk *d;
	struct qbufcache *c;
	unsigned ops;
	uint64_t seed;
	uint64_t added[THREADS];
	bool fails;    /* errors are no failure of the test */
	uint32_t fail; /* of the disk of callbacks: reads 1, writes 2 */
	uint8_t mem[BSIZE * BLOCKS];
};

static uint64_t
draw(uint64_t *rng, uint64_t below)
{
	*rng = *rng * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (*rng >> 33) % below;
}

/* ---- many threads ------------------------------------------------------------- */

struct worker {
	struct ctx *x;
	unsigned me;
};

/* Count in a block; blocks from 200 on are only made. */
static int
count_in(struct ctx *x, uint64_t blk)
{
	struct qbuf *b;
	uint64_t n;
	int error = qbuf_read(x->c, blk, &b);

	if (error != 0)
		return error;
	KCHECK(x->e, b->bf_blk == blk && qbuf_is(b, QBUF_VALID));
	qbuf_lock(b);
	memcpy(&n, b->bf_data, sizeof(n));
	kchoice();
	n++;
	memcpy(b->bf_data, &n, sizeof(n));
	memcpy(b->bf_data + BSIZE - sizeof(n), &n, sizeof(n));
	qbuf_unlock(b);
	qbuf_dirty(b);
	qbuf_put(b);
	return 0;
}

static int
other(struct ctx *x, uint64_t *rng, unsigned me)
{
	uint64_t own = 200 + me;
	struct qbuf *b;
	int error;

	switch (draw(rng, 6)) {
	case 0:
		return qbufcache_sync(x->c);
	case 1:
		qbuf_ahead(x->c, draw(rng, 220), 1 + (uint32_t)draw(rng, 80));
		return 0;
	case 2:
		qbufcache_shrink(x->c);
		return 0;
	case 3:
		b = qbuf_find(x->c, draw(rng, 200));
		error = b != NULL ? qbuf_write(b) : 0;
		qbuf_put(b);
		return error;
	case 4:
		error = qbuf_get(x->c, own, &b);
		if (error != 0)
			return error;
		qbuf_lock(b);
		memset(b->bf_data, 0xee, BSIZE);
		qbuf_unlock(b);
		qbuf_dirty(b);
		qbuf_put(b);
		return 0;
	default:
		b = qbuf_find(x->c, own);
		if (b != NULL)
			qbuf_forget(b);
		qbuf_put(b);
		return 0;
	}
}

static int64_t
call_work(void *arg)
{
	struct worker *w = arg;
	struct ctx *x = w->x;
	uint64_t rng = x->seed * 31 + w->me;
	unsigned i;
	int error = 0;

	for (i = 0; i < x->ops; i++) {
		if (draw(&rng, 4) != 0) {
			error = count_in(x, draw(&rng, 200));
			x->added[w->me] += error == 0;
		} else {
			error = other(x, &rng, w->me);
		}
		if (!x->fails)
			KCHECK_EQ(x->e, error, 0);
	}
	return 0;
}

static void
worker(void *arg)
{
	struct worker *w = arg;

	(void)kcall(w->x->k, call_work, w);
}

static int64_t
call_open(void *arg)
{
	struct ctx *x = arg;
	int error;

	if (x->d == NULL) {
		error = x->e->sim != NULL ?
		    qdisk_open(x->k, "sim:d", 0, &x->d) :
		    qdisk_ram(x->k, "ram", BSIZE * BLOCKS, &x->d);
		if (error != 0)
			return error;
	}
	/* Far fewer buffers than blocks. */
	error = qbufcache_create(x->d, BSIZE, 1, &x->c);
	if (error != 0)
		qdisk_put(x->d);
	return error;
}

/* Does the disk have what was counted? */
static int64_t
call_count(void *arg)
{
	struct ctx *x = arg;
	uint8_t block[BSIZE];
	uint64_t sum = 0, n, m;
	unsigned i;
	int error = qbufcache_sync(x->c);

	if (x->fails && error != 0)
		error = qbufcache_sync(x->c);
	KCHECK_EQ(x->e, error, 0);
	for (i = 0; i < 200; i++) {
		error = qdisk_read(x->d, (uint64_t)i * BSIZE, block, BSIZE);
		if (x->fails && error != 0)
			error = qdisk_read(x->d, (uint64_t)i * BSIZE, block,
			    BSIZE);
		if (!KCHECK_EQ(x->e, error, 0))
			return 0;
		memcpy(&n, block, sizeof(n));
		memcpy(&m, block + BSIZE - sizeof(m), sizeof(m));
		KCHECK_EQ(x->e, n, m);
		sum += n;
	}
	for (i = 0; i < THREADS; i++)
		sum -= x->added[i];
	KCHECK_EQ(x->e, sum, 0);
	return 0;
}

static int64_t
call_close(void *arg)
{
	struct ctx *x = arg;

	qbufcache_destroy(x->c);
	qdisk_put(x->d);
	return 0;
}

static struct ctx *
new_ctx(struct kenv *e, uint64_t latency)
{
	struct quern_sim_disk_config dc = { .size = BSIZE * BLOCKS,
		.latency_ns = latency };
	struct ctx *x = calloc(1, sizeof(*x));
	struct quern_sim_disk *d;

	x->e = e;
	e->quiet = true;
	if (e->sim != NULL) {
		x->seed = quern_sim_seed(e->sim);
		KCHECK_EQ(e, quern_sim_disk(e->sim, "d", &dc, &d), 0);
	}
	return x;
}

static void
many_threads(struct kenv *e)
{
	struct ctx *x = new_ctx(e, 3000);
	struct worker w[THREADS];
	unsigned i;

	x->ops = e->sim != NULL ? 80 : 2000;
	x->k = kenv_kernel(e);
	if (x->k != NULL && KCHECK_EQ(e, kcall(x->k, call_open, x), 0)) {
		for (i = 0; i < THREADS; i++) {
			w[i] = (struct worker){ x, i };
			kspawn(e, worker, &w[i]);
		}
		kjoin(e);
		kcall(x->k, call_count, x);
		kcall(x->k, call_close, x);
	}
	kenv_destroy(e, x->k);
	free(x);
}

void
kbuf_error(struct kenv *e)
{
	struct quern_config qc = kenv_config(e);
	struct ctx *x = new_ctx(e, 0);
	struct worker w = { x, 0 };
	uint64_t *failed = e->arg;

	x->fails = true;
	x->ops = 120;
	if (quern_create(&qc, &x->k) == 0) {
		if (kcall(x->k, call_open, x) == 0) {
			(void)kcall(x->k, call_work, &w);
			kcall(x->k, call_count, x);
			kcall(x->k, call_close, x);
		}
		kenv_destroy(e, x->k);
	}
	*failed = quern_sim_failed(e->sim);
	free(x);
}

/* ---- one by one ------------------------------------------------------------------ */

static int
cb_read(void *arg, uint64_t off, void *buf, size_t len)
{
	struct ctx *x = arg;

	if ((x->fail & 1) != 0)
		return -Q_EIO;
	memcpy(buf, x->mem + off, len);
	return 0;
}

static int
cb_write(void *arg, uint64_t off, const void *buf, size_t len)
{
	struct ctx *x = arg;

	if ((x->fail & 2) != 0)
		return -Q_EIO;
	memcpy(x->mem + off, buf, len);
	return 0;
}

static const struct quern_disk_callbacks callbacks = { .dc_read = cb_read,
	.dc_write = cb_write };

static void
sizes(struct ctx *x)
{
	struct qbufcache *c;
	struct qbuf *b;

	KCHECK_EQ(x->e, qbufcache_create(x->d, 256, 0, &c), -Q_EINVAL);
	KCHECK_EQ(x->e, qbufcache_create(x->d, 1000, 0, &c), -Q_EINVAL);
	KCHECK_EQ(x->e, qbufcache_create(x->d, 131072, 0, &c), -Q_EINVAL);
	KCHECK_EQ(x->e, qbuf_read(x->c, BLOCKS, &b), -Q_EUCLEAN);
	KCHECK_EQ(x->e, qbuf_get(x->c, UINT64_MAX, &b), -Q_EUCLEAN);
	KCHECK(x->e, qbuf_find(x->c, 3) == NULL);
	qbuf_ahead(x->c, BLOCKS - 1, 100);
	qbuf_ahead(x->c, UINT64_MAX, 100);
	if (KCHECK_EQ(x->e, qbufcache_create(x->d, 65536, 0, &c), 0)) {
		KCHECK_EQ(x->e, qbufcache_blocks(c), BSIZE * BLOCKS / 65536);
		KCHECK_EQ(x->e, qbuf_read(c, 3, &b), 0);
		KCHECK(x->e,
		    memcmp(b->bf_data, x->mem + 3 * 65536, 65536) == 0);
		qbuf_put(b);
		qbufcache_destroy(c);
	}
}

static void
make_dirty(struct ctx *x, uint64_t blk, int with)
{
	struct qbuf *b;

	if (!KCHECK_EQ(x->e, qbuf_get(x->c, blk, &b), 0))
		return;
	qbuf_lock(b);
	memset(b->bf_data, with, BSIZE);
	qbuf_unlock(b);
	qbuf_dirty(b);
	qbuf_put(b);
}

static void
merging(struct ctx *x)
{
	struct qbuf_stats was, st;
	unsigned i;

	qbufcache_stats(x->c, &was);
	for (i = 0; i < 20; i++)
		make_dirty(x, 20 + i * 7 % 20, 1);
	make_dirty(x, 50, 2);
	KCHECK_EQ(x->e, qbufcache_sync(x->c), 0);
	qbufcache_stats(x->c, &st);
	KCHECK_EQ(x->e, st.bs_writes - was.bs_writes, 21);
	KCHECK_EQ(x->e, st.bs_bios - was.bs_bios, 2);
	KCHECK_EQ(x->e, st.bs_dirty, 0);
	KCHECK(x->e, x->mem[20 * BSIZE] == 1 && x->mem[50 * BSIZE + 9] == 2);
	KCHECK_EQ(x->e, qbufcache_sync(x->c), 0);
	qbufcache_stats(x->c, &was);
	KCHECK_EQ(x->e, was.bs_bios, st.bs_bios);
}

static void
ahead(struct ctx *x)
{
	struct qbuf_stats st, was;
	struct qbuf *b;
	unsigned i;

	qbufcache_shrink(x->c);
	qbufcache_stats(x->c, &was);
	KCHECK_EQ(x->e, was.bs_bufs, 0);
	for (i = 0; i < 24; i++)
		x->mem[(100 + i) * BSIZE] = (uint8_t)i;
	qbuf_ahead(x->c, 100, 24);
	qbuf_ahead(x->c, 100, 24);
	for (i = 0; i < 24; i++)
		if (KCHECK_EQ(x->e, qbuf_read(x->c, 100 + i, &b), 0)) {
			KCHECK_EQ(x->e, b->bf_data[0], i);
			qbuf_put(b);
		}
	qbufcache_stats(x->c, &st);
	KCHECK_EQ(x->e, st.bs_reads - was.bs_reads, 24);
}

static void
disk_errors(struct ctx *x)
{
	struct qbuf *b;

	x->fail = 1;
	KCHECK_EQ(x->e, qbuf_read(x->c, 150, &b), -Q_EIO);
	qbuf_ahead(x->c, 150, 3);
	KCHECK_EQ(x->e, qbuf_read(x->c, 151, &b), -Q_EIO);
	x->fail = 2;
	make_dirty(x, 160, 5);
	KCHECK_EQ(x->e, qbufcache_sync(x->c), -Q_EIO);
	KCHECK_EQ(x->e, qbuf_read(x->c, 160, &b), 0);
	KCHECK(x->e, qbuf_is(b, QBUF_DIRTY) && qbuf_is(b, QBUF_ERROR));
	KCHECK_EQ(x->e, qbuf_write(b), -Q_EIO);
	x->fail = 0;
	KCHECK_EQ(x->e, qbufcache_sync(x->c), 0);
	KCHECK(x->e, !qbuf_is(b, QBUF_DIRTY | QBUF_ERROR));
	qbuf_put(b);
	KCHECK_EQ(x->e, x->mem[160 * BSIZE], 5);
	KCHECK_EQ(x->e, qbuf_read(x->c, 150, &b), 0);
	qbuf_put(b);
}

/* What is held or forgotten is not written; neither is what is held evicted. */
static void
held(struct ctx *x)
{
	struct qbuf *b, *other;
	unsigned i;

	make_dirty(x, 170, 7);
	make_dirty(x, 171, 8);
	KCHECK_EQ(x->e, qbuf_read(x->c, 170, &b), 0);
	qbuf_set(b, QBUF_HELD);
	for (i = 0; i < 100; i++)
		if (qbuf_read(x->c, i, &other) == 0)
			qbuf_put(other);
	KCHECK_EQ(x->e, qbufcache_sync(x->c), 0);
	KCHECK_EQ(x->e, qbuf_write(b), 0);
	KCHECK_EQ(x->e, x->mem[170 * BSIZE], 0);
	KCHECK_EQ(x->e, x->mem[171 * BSIZE], 8);
	qbuf_clear(b, QBUF_HELD);
	qbuf_forget(b);
	KCHECK_EQ(x->e, qbufcache_sync(x->c), 0);
	KCHECK_EQ(x->e, x->mem[170 * BSIZE], 0);
	qbuf_put(b);
	KCHECK_EQ(x->e, qbuf_get(x->c, 170, &b), 0);
	KCHECK_EQ(x->e, b->bf_data[5], 0);
	qbuf_put(b);
}

static void
limits(struct ctx *x)
{
	struct qbuf_stats st;
	struct qbuf *b;
	unsigned i;

	for (i = 0; i < BLOCKS; i++)
		if (KCHECK_EQ(x->e, qbuf_read(x->c, i, &b), 0))
			qbuf_put(b);
	qbufcache_stats(x->c, &st);
	KCHECK(x->e, st.bs_bufs <= 64);
	/* Dirty ones are written to make room. */
	for (i = 0; i < BLOCKS; i++)
		make_dirty(x, i, 9);
	qbufcache_stats(x->c, &st);
	KCHECK(x->e, st.bs_bufs <= 64 && st.bs_dirty <= 64);
	KCHECK_EQ(x->e, qbufcache_sync(x->c), 0);
	for (i = 0; i < BLOCKS; i++)
		KCHECK_EQ(x->e, x->mem[i * BSIZE + 77], 9);
}

static int64_t
call_single(void *arg)
{
	struct ctx *x = arg;

	if (!KCHECK_EQ(x->e,
		qdisk_callback(x->k, "cb", sizeof(x->mem), 512, &callbacks, x,
		    &x->d),
		0) ||
	    !KCHECK_EQ(x->e, call_open(x), 0))
		return 0;
	sizes(x);
	merging(x);
	ahead(x);
	disk_errors(x);
	held(x);
	limits(x);
	return call_close(x);
}

static void
single(struct kenv *e)
{
	struct ctx *x = new_ctx(e, 0);

	x->k = kenv_kernel(e);
	if (x->k != NULL)
		kcall(x->k, call_single, x);
	kenv_destroy(e, x->k);
	free(x);
}

const struct kcase kbuf_cases[] = {
	{ .name = "many_threads", .body = many_threads, .seeds = 100 },
	{ .name = "single", .body = single, .seeds = 5 },
	{ .name = NULL },
};
