/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Block devices: every kind of disk against a plain array.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kernel/block.h>
#include <kernel/impl.h>
#include <kernel/partition.h>

#include "ktest.h"

#define SIZE (256u << 10)
#define OPS  200u

struct ctx {
	struct kenv *e;
	struct quern *k;
	uint8_t model[SIZE], buf[SIZE];
	uint64_t rng;
	struct quern_sim_disk *sd;
	struct watched *w;
};

static uint64_t
draw(struct ctx *c, uint64_t below)
{
	c->rng = c->rng * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (c->rng >> 33) % below;
}

/* Random reads, writes, zeroes and flushes, each checked. */
static void
exercise(struct ctx *c, struct qdisk *d)
{
	uint64_t off, len, sector = d->qd_sector;
	struct qbio b;
	unsigned i, n;

	for (i = 0; i < OPS; i++) {
		off = draw(c, d->qd_size / sector) * sector;
		len = (1 + draw(c, 64)) * sector;
		if (len > d->qd_size - off)
			len = d->qd_size - off;
		switch (draw(c, 4)) {
		case 0:
			for (n = 0; n < len; n++)
				c->buf[n] = (uint8_t)draw(c, 256);
			memcpy(c->model + off, c->buf, len);
			KCHECK_EQ(c->e, qdisk_write(d, off, c->buf, len), 0);
			break;
		case 1:
			b = (struct qbio){ .b_cmd = QUERN_BLK_ZERO,
				.b_off = off,
				.b_len = len };
			memset(c->model + off, 0, len);
			KCHECK_EQ(c->e, qbio_wait(d, &b), 0);
			break;
		case 2:
			KCHECK_EQ(c->e, qdisk_flush(d), 0);
			break;
		default:
			KCHECK_EQ(c->e, qdisk_read(d, off, c->buf, len), 0);
			KCHECK(c->e, memcmp(c->buf, c->model + off, len) == 0);
			break;
		}
	}
	KCHECK_EQ(c->e, qdisk_read(d, 0, c->buf, d->qd_size), 0);
	KCHECK(c->e, memcmp(c->buf, c->model, d->qd_size) == 0);
}

static void
bad_requests(struct ctx *c, struct qdisk *d)
{
	struct quern_iov iov = { c->buf, 512 };
	struct qbio b = { .b_cmd = QUERN_BLK_READ, .b_iov = &iov, .b_niov = 1 };

	b.b_len = 512, b.b_off = d->qd_size;
	KCHECK_EQ(c->e, qbio_wait(d, &b), -Q_EINVAL);
	b.b_off = 1;
	KCHECK_EQ(c->e, qbio_wait(d, &b), -Q_EINVAL);
	b.b_off = 0, b.b_len = 1024;
	KCHECK_EQ(c->e, qbio_wait(d, &b), -Q_EINVAL);
	b.b_len = 0;
	KCHECK_EQ(c->e, qbio_wait(d, &b), -Q_EINVAL);
	b.b_len = 512, b.b_cmd = 99;
	KCHECK_EQ(c->e, qbio_wait(d, &b), -Q_EINVAL);
	b.b_cmd = QUERN_BLK_READ, b.b_off = UINT64_MAX & ~UINT64_C(511);
	KCHECK_EQ(c->e, qbio_wait(d, &b), -Q_EINVAL);
}

/* ---- the kinds ------------------------------------------------------------- */

static int64_t
in_ram(void *arg)
{
	struct ctx *c = arg;
	struct qdisk *d, *other;

	if (!KCHECK_EQ(c->e, qdisk_ram(c->k, "ram", SIZE, &d), 0))
		return 0;
	KCHECK_EQ(c->e, qdisk_ram(c->k, "ram", SIZE, &other), -Q_EEXIST);
	KCHECK_EQ(c->e, qdisk_ram(c->k, "odd", 1000, &other), -Q_EINVAL);
	other = qdisk_find(c->k, "ram");
	KCHECK(c->e, other == d);
	qdisk_put(other);
	KCHECK(c->e, qdisk_find(c->k, "none") == NULL);
	exercise(c, d);
	bad_requests(c, d);
	qdisk_put(d);
	KCHECK(c->e, qdisk_find(c->k, "ram") == NULL);
	return 0;
}

static int
cb_read(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (char *)arg + off, len);
	return 0;
}

static int
cb_write(void *arg, uint64_t off, const void *buf, size_t len)
{
	memcpy((char *)arg + off, buf, len);
	return 0;
}

static int
cb_fail(void *arg, uint64_t off, void *buf, size_t len)
{
	(void)arg, (void)off, (void)buf, (void)len;
	return -Q_EIO;
}

static const struct quern_disk_callbacks callbacks = {
	.dc_read = cb_read,
	.dc_write = cb_write,
};

static const struct quern_disk_callbacks failing = { .dc_read = cb_fail };

static int64_t
of_callbacks(void *arg)
{
	struct ctx *c = arg;
	struct qdisk *d;
	char *mem = calloc(1, SIZE);

	if (KCHECK_EQ(c->e,
		qdisk_callback(c->k, "cb", SIZE, 4096, &callbacks, mem, &d),
		0)) {
		exercise(c, d);
		KCHECK(c->e, memcmp(mem, c->model, SIZE) == 0);
		qdisk_put(d);
	}
	if (KCHECK_EQ(c->e,
		qdisk_callback(c->k, "bad", SIZE, 512, &failing, NULL, &d),
		0)) {
		KCHECK_EQ(c->e, qdisk_read(d, 0, c->buf, 512), -Q_EIO);
		KCHECK_EQ(c->e, qdisk_write(d, 0, c->buf, 512), -Q_EROFS);
		qdisk_put(d);
	}
	free(mem);
	return 0;
}

/* Random requests over a side file in memory, which is then opened again. */
static void
over_side(struct ctx *c, struct qdisk *lower)
{
	struct qdisk *side, *cow;

	KCHECK_EQ(c->e,
	    qdisk_ram(c->k, "side", quern_disk_side_size(SIZE, 512), &side), 0);
	if (KCHECK_EQ(c->e, qdisk_cow_side(lower, side, "over", &cow), 0)) {
		exercise(c, cow);
		bad_requests(c, cow);
		qdisk_put(cow);
	}
	if (KCHECK_EQ(c->e, qdisk_cow_side(lower, side, "over", &cow), 0)) {
		KCHECK_EQ(c->e, qdisk_read(cow, 0, c->buf, SIZE), 0);
		KCHECK(c->e, memcmp(c->buf, c->model, SIZE) == 0);
		exercise(c, cow);
		qdisk_put(cow);
	}
	qdisk_put(side);
}

static int64_t
views(void *arg)
{
	struct ctx *c = arg;
	struct qdisk *ram, *ro, *cow, *slice;
	uint8_t *before = malloc(SIZE);

	KCHECK_EQ(c->e, qdisk_ram(c->k, "ram", SIZE, &ram), 0);
	exercise(c, ram);
	memcpy(before, c->model, SIZE);
	KCHECK_EQ(c->e, qdisk_readonly(ram, "ro", &ro), 0);
	KCHECK_EQ(c->e, qdisk_write(ro, 0, c->buf, 512), -Q_EROFS);
	KCHECK_EQ(c->e, qdisk_read(ro, 512, c->buf, 4096), 0);
	KCHECK(c->e, memcmp(c->buf, c->model + 512, 4096) == 0);
	KCHECK_EQ(c->e, qdisk_cow(ro, "cow", &cow), 0);
	qdisk_put(ro);
	exercise(c, cow);
	qdisk_put(cow);
	memcpy(c->model, before, SIZE);
	over_side(c, ram);
	/* What was written over the views has not come down. */
	KCHECK_EQ(c->e, qdisk_read(ram, 0, c->buf, SIZE), 0);
	KCHECK(c->e, memcmp(c->buf, before, SIZE) == 0);
	KCHECK_EQ(c->e, qdisk_slice(ram, "x", SIZE, 512, &slice), -Q_EINVAL);
	KCHECK_EQ(c->e, qdisk_slice(ram, "s", 8192, 65536, &slice), 0);
	memcpy(c->model, before + 8192, 65536);
	exercise(c, slice);
	KCHECK_EQ(c->e, qdisk_read(ram, 8192, c->buf, 65536), 0);
	KCHECK(c->e, memcmp(c->buf, c->model, 65536) == 0);
	bad_requests(c, slice);
	qdisk_put(slice);
	qdisk_put(ram);
	free(before);
	return 0;
}

#define MANY 64u

struct many {
	struct qwaitq wq;
	unsigned left, failed;
};

static void
one_done(struct qbio *b)
{
	struct many *m = b->b_arg;

	qspin_lock(&m->wq.w_lock);
	m->failed += b->b_error != 0;
	if (--m->left == 0)
		(void)qwaitq_wake_locked(&m->wq);
	qspin_unlock(&m->wq.w_lock);
}

/* Neighbours submitted at once, in no order: they are merged, all are done. */
static void
together(struct ctx *c, struct qdisk *d)
{
	struct many m = { .left = MANY };
	struct quern_iov *iov = calloc(MANY, sizeof(*iov));
	struct qbio *b = calloc(MANY, sizeof(*b)), *bp[MANY];
	unsigned i;

	qwaitq_init(&m.wq);
	for (i = 0; i < MANY; i++) {
		iov[i].iov_base = c->buf + i * 512;
		iov[i].iov_len = 512;
		b[i].b_cmd = QUERN_BLK_READ;
		b[i].b_iov = &iov[i];
		b[i].b_niov = 1;
		b[i].b_len = 512;
		b[i].b_off = i * 512;
		b[i].b_done = one_done;
		b[i].b_arg = &m;
		bp[i] = &b[i];
	}
	for (i = 0; i < MANY; i++) {
		unsigned j = (unsigned)draw(c, MANY);
		struct qbio *t = bp[i];

		bp[i] = bp[j];
		bp[j] = t;
	}
	memset(c->buf, 0xee, MANY * 512);
	qbio_submit_many(d, bp, MANY);
	qspin_lock(&m.wq.w_lock);
	while (m.left != 0) {
		(void)qwaitq_sleep(&m.wq, &m.wq.w_lock, 0, QUERN_NEVER);
		qspin_lock(&m.wq.w_lock);
	}
	qspin_unlock(&m.wq.w_lock);
	KCHECK_EQ(c->e, m.failed, 0);
	KCHECK(c->e, memcmp(c->buf, c->model, MANY * 512) == 0);
	free(iov);
	free(b);
}

/* A disk of the world, with latencies, so that completions are events. */
static int64_t
of_the_world(void *arg)
{
	struct ctx *c = arg;
	struct qdisk *d, *other;

	if (!KCHECK_EQ(c->e, qdisk_open(c->k, "sim:d", 0, &d), 0))
		return 0;
	KCHECK_EQ(c->e, qdisk_open(c->k, "sim:d", 0, &other), -Q_EBUSY);
	KCHECK_EQ(c->e, qdisk_open(c->k, "sim:no", 0, &other), -Q_ENOENT);
	KCHECK_EQ(c->e, qdisk_open(c->k, "no:no", 0, &other),
	    -Q_EPROTONOSUPPORT);
	exercise(c, d);
	bad_requests(c, d);
	together(c, d);
	qdisk_put(d);
	return 0;
}

/* A flush does nothing for a write that has not been answered. */
static int64_t
flushed_early(void *arg)
{
	struct ctx *c = arg;
	struct quern_sim_disk *sd = c->sd;
	struct quern_sim_disk_stats st;
	struct many m = { .left = 1 };
	struct quern_iov iov = { .iov_base = c->buf, .iov_len = 512 };
	struct qbio b = { .b_cmd = QUERN_BLK_WRITE,
		.b_iov = &iov,
		.b_niov = 1,
		.b_len = 512,
		.b_done = one_done,
		.b_arg = &m };
	struct qdisk *d;

	if (!KCHECK_EQ(c->e, qdisk_open(c->k, "sim:d", 0, &d), 0))
		return 0;
	qwaitq_init(&m.wq);
	qbio_submit(d, &b);
	KCHECK_EQ(c->e, qdisk_flush(d), 0);
	quern_sim_disk_stats(sd, &st);
	KCHECK_EQ(c->e, st.ds_pending, 1);
	qspin_lock(&m.wq.w_lock);
	while (m.left != 0) {
		(void)qwaitq_sleep(&m.wq, &m.wq.w_lock, 0, QUERN_NEVER);
		qspin_lock(&m.wq.w_lock);
	}
	qspin_unlock(&m.wq.w_lock);
	KCHECK_EQ(c->e, qdisk_flush(d), 0);
	quern_sim_disk_stats(sd, &st);
	KCHECK_EQ(c->e, st.ds_pending, 0);
	qdisk_put(d);
	return 0;
}

/* A file of the host. */
static int64_t
of_the_host(void *arg)
{
	struct ctx *c = arg;
	const char *name = c->e->arg;
	struct qdisk *d, *other;

	KCHECK_EQ(c->e, qdisk_open(c->k, "file:/nonexistent/x", 0, &d),
	    -Q_ENOENT);
	KCHECK_EQ(c->e, qdisk_open(c->k, "file:/", QUERN_BLK_RDONLY, &d),
	    -Q_EISDIR);
	KCHECK_EQ(c->e, qdisk_open(c->k, "file:/dev/null", 0, &d), -Q_ENOTBLK);
	if (!KCHECK_EQ(c->e, qdisk_open(c->k, name, 0, &d), 0))
		return 0;
	KCHECK_EQ(c->e, qdisk_open(c->k, name, 0, &other), -Q_EBUSY);
	KCHECK_EQ(c->e, qdisk_open(c->k, name, QUERN_BLK_RDONLY, &other),
	    -Q_EBUSY);
	exercise(c, d);
	bad_requests(c, d);
	together(c, d);
	qdisk_put(d);
	if (!KCHECK_EQ(c->e, qdisk_open(c->k, name, QUERN_BLK_RDONLY, &d), 0))
		return 0;
	KCHECK_EQ(c->e, qdisk_write(d, 0, c->buf, 512), -Q_EROFS);
	KCHECK_EQ(c->e, qdisk_read(d, 0, c->buf, SIZE), 0);
	KCHECK(c->e, memcmp(c->buf, c->model, SIZE) == 0);
	/* The file becomes shorter under it. */
	KCHECK_EQ(c->e, truncate(name + 5, 4096), 0);
	KCHECK_EQ(c->e, qdisk_read(d, 0, c->buf, 8192), -Q_EIO);
	qdisk_put(d);
	return 0;
}

static void
run_in_kernel(struct kenv *e, int64_t (*fn)(void *))
{
	struct ctx *c = calloc(1, sizeof(*c));

	c->e = e;
	c->rng = e->sim != NULL ? quern_sim_seed(e->sim) : 1;
	c->k = kenv_kernel(e);
	if (c->k != NULL)
		KCHECK_EQ(e, kcall(c->k, fn, c), 0);
	kenv_destroy(e, c->k);
	free(c);
}

static void
ram_disk(struct kenv *e)
{
	run_in_kernel(e, in_ram);
}

static void
callback_disk(struct kenv *e)
{
	run_in_kernel(e, of_callbacks);
}

static void
view_disks(struct kenv *e)
{
	run_in_kernel(e, views);
}

static void
world_disk(struct kenv *e)
{
	struct quern_sim_disk_config dc = {
		.size = SIZE,
		.cache = 1,
		.reorder = 1,
		.discard = 1,
		.latency_ns = 100000,
	};
	struct quern_sim_disk *d;

	if (e->sim == NULL)
		return;
	KCHECK_EQ(e, quern_sim_disk(e->sim, "d", &dc, &d), 0);
	run_in_kernel(e, of_the_world);
}

static void
early_flush(struct kenv *e)
{
	struct quern_sim_disk_config dc = { .size = SIZE,
		.cache = 1,
		.latency_ns = 1000000000 };
	struct ctx *c = calloc(1, sizeof(*c));

	c->e = e;
	KCHECK_EQ(e, quern_sim_disk(e->sim, "d", &dc, &c->sd), 0);
	c->k = kenv_kernel(e);
	if (c->k != NULL)
		KCHECK_EQ(e, kcall(c->k, flushed_early, c), 0);
	kenv_destroy(e, c->k);
	free(c);
}

/* Each write is shown while it may be torn, whatever the disk is like. */
struct watched {
	struct kenv *e;
	unsigned writes;
	bool zero;
};

static void
watch(void *arg, struct quern_sim_disk *sd)
{
	struct watched *w = arg;
	struct quern_sim_disk *s;
	char buf[512];

	w->writes++;
	/* Two sectors are in flight, and nothing else may be lost. */
	KCHECK_EQ(w->e, quern_sim_disk_states(sd), 4);
	KCHECK_EQ(w->e, quern_sim_disk_state(sd, 2, "s", &s), 0);
	KCHECK_EQ(w->e, quern_sim_disk_read(s, 512, buf, 512), 0);
	KCHECK_EQ(w->e, buf[0], w->zero ? 0 : 'w');
	quern_sim_disk_destroy(s);
}

static int64_t
be_watched(void *arg)
{
	struct ctx *c = arg;
	struct qdisk *d;

	if (!KCHECK_EQ(c->e, qdisk_open(c->k, "sim:d", 0, &d), 0))
		return 0;
	memset(c->buf, 'w', 1024);
	KCHECK_EQ(c->e, qdisk_write(d, 0, c->buf, 1024), 0);
	c->w->zero = true;
	KCHECK_EQ(c->e, qdisk_discard(d, 0, 1024), 0);
	qdisk_put(d);
	return 0;
}

static void
watched(struct kenv *e)
{
	struct watched w = { .e = e };
	struct quern_sim_disk_config dc = { .size = SIZE,
		.discard = 1,
		.watch = watch,
		.arg = &w };
	struct ctx *c = calloc(1, sizeof(*c));

	c->e = e;
	c->w = &w;
	KCHECK_EQ(e, quern_sim_disk(e->sim, "d", &dc, &c->sd), 0);
	c->k = kenv_kernel(e);
	if (c->k != NULL)
		KCHECK_EQ(e, kcall(c->k, be_watched, c), 0);
	KCHECK_EQ(e, w.writes, 2);
	KCHECK_EQ(e, quern_sim_disk_states(c->sd), 1);
	kenv_destroy(e, c->k);
	free(c);
}

/* A file of SIZE zeroes; `name` is the host's name of it. */
static bool
make_image(struct kenv *e, char name[64])
{
	int fd;

	strcpy(name, "file:/tmp/quern-block-XXXXXX");
	if (getenv("TMPDIR") != NULL && strlen(getenv("TMPDIR")) < 40)
		snprintf(name, 64, "file:%s/XXXXXX", getenv("TMPDIR"));
	fd = mkstemp(name + 5);
	if (!KCHECK(e, fd >= 0 && ftruncate(fd, SIZE) == 0))
		return false;
	close(fd);
	return true;
}

static void
host_file(struct kenv *e, struct quern_host host)
{
	char name[64];

	if (!make_image(e, name))
		return;
	e->quiet = true;
	e->arg = name;
	e->host = host;
	run_in_kernel(e, of_the_host);
	unlink(name + 5);
}

static void
file_disk(struct kenv *e)
{
	host_file(e, quern_posix());
}

static void
file_disk_noring(struct kenv *e)
{
	static const struct quern_posix_config pc = {
		.pc_flags = QUERN_POSIX_NORING
	};

	host_file(e, quern_posix_with(&pc));
}

/* ---- what hosts do with requests ------------------------------------------------ */

/*
 * A host around a host: counts the requests whose submission had completed them
 * when it came back, and those that ended with -ECANCELED; of the first, the
 * first `hh_cancel` are not begun but end so at once.
 */
static struct {
	const struct quern_hyper *hh_inner;
	const struct quern_upcalls *hh_up;
	struct quern_hyper hh_table;
	struct quern_upcalls hh_upcalls;
	void *hh_core;
	uint32_t hh_cancel, hh_canceled, hh_inline; /* [a] */
	unsigned hh_depth;
} hh;

static void
hh_event(void *core, struct quern_event *ev, int64_t result)
{
	if (result == -Q_ECANCELED)
		__atomic_fetch_add(&hh.hh_canceled, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&hh.hh_inline, hh.hh_depth, __ATOMIC_RELAXED);
	hh.hh_up->event(core, ev, result);
}

static int
hh_begin(void *arg, const struct quern_machine *m,
    const struct quern_upcalls *up, void **ctxp, void **corep)
{
	int error;

	hh.hh_up = up;
	hh.hh_upcalls = *up;
	hh.hh_upcalls.event = hh_event;
	error = hh.hh_inner->begin(arg, m, &hh.hh_upcalls, ctxp, corep);
	hh.hh_core = *corep;
	return error;
}

static int
hh_submit(void *ctx, unsigned cpu, struct quern_blk_op *ops, unsigned n)
{
	int taken;

	if (n > 0 && hh.hh_cancel > 0) {
		hh.hh_cancel--;
		ops[0].b_ev->e_cpu = cpu;
		ops[0].b_result = -Q_EINPROGRESS;
		hh_event(hh.hh_core, ops[0].b_ev, -Q_ECANCELED);
		return 1;
	}
	/* With one vCPU what comes now comes from this submission. */
	hh.hh_depth = 1;
	taken = hh.hh_inner->blk_submit(ctx, cpu, ops, n);
	hh.hh_depth = 0;
	return taken;
}

static void
hh_wrap(struct kenv *e, uint32_t cancel)
{
	hh.hh_inner = e->host.h_ops;
	hh.hh_table = *hh.hh_inner;
	hh.hh_table.begin = hh_begin;
	hh.hh_table.blk_submit = hh_submit;
	hh.hh_cancel = cancel;
	hh.hh_canceled = hh.hh_inline = 0;
	e->host.h_ops = &hh.hh_table;
}

static int64_t
of_a_canceler(void *arg)
{
	struct ctx *c = arg;
	struct qdisk *d;

	if (!KCHECK_EQ(c->e, qdisk_open(c->k, c->e->arg, 0, &d), 0))
		return 0;
	exercise(c, d);
	hh.hh_cancel = 20;
	together(c, d);
	qdisk_put(d);
	KCHECK_EQ(c->e, hh.hh_cancel, 0);
	KCHECK_EQ(c->e, hh.hh_canceled, 60);
	return 0;
}

/* The host's thread that began requests ends: they are begun again. */
static void
canceled(struct kenv *e)
{
	struct quern_sim_disk_config dc = { .size = SIZE, .latency_ns = 1000 };
	struct quern_sim_disk *d;

	hh_wrap(e, 40);
	e->arg = (void *)(uintptr_t) "sim:d";
	KCHECK_EQ(e, quern_sim_disk(e->sim, "d", &dc, &d), 0);
	run_in_kernel(e, of_a_canceler);
}

/* ---- requests in flight while threads move about ------------------------------ */

struct movers {
	struct kenv *e;
	struct quern *k;
	struct qdisk *d;
};

static void
reader_thread(void *arg)
{
	struct movers *m = arg;
	char buf[512];

	KCHECK_EQ(m->e, qdisk_read(m->d, 0, buf, sizeof(buf)), 0);
}

static int64_t
movers_body(void *arg)
{
	struct movers *m = arg;
	struct qthread *t[2];
	char buf[512];
	unsigned i, j;

	for (i = 0; i < 6; i++) {
		for (j = 0; j < 2; j++)
			KCHECK_EQ(m->e,
			    qthread_create(m->k, "reader", reader_thread, m,
				QPRIO_NORMAL, QCPU_ANY, &t[j]),
			    0);
		KCHECK_EQ(m->e, qdisk_read(m->d, 512, buf, sizeof(buf)), 0);
		for (j = 0; j < 2; j++)
			qthread_join(t[j]);
	}
	return 0;
}

static void
mover(void *arg)
{
	struct movers *m = arg;

	KCHECK_EQ(m->e, kcall(m->k, movers_body, m), 0);
}

static int64_t
open_mover_disk(void *arg)
{
	struct movers *m = arg;

	return qdisk_open(m->k, "sim:d", 0, &m->d);
}

static int64_t
close_mover_disk(void *arg)
{
	struct movers *m = arg;

	return qdisk_close(m->d);
}

/*
 * A vCPU is given away with a request in flight and a thread ready, which
 * another steals: somebody still waits for the request.
 */
static void
moving_threads(struct kenv *e)
{
	struct quern_sim_disk_config dc = { .size = SIZE, .latency_ns = 3000 };
	struct quern_sim_disk *d;
	struct movers m = { .e = e };

	KCHECK_EQ(e, quern_sim_disk(e->sim, "d", &dc, &d), 0);
	m.k = kenv_kernel(e);
	if (m.k == NULL)
		return;
	if (KCHECK_EQ(e, kcall(m.k, open_mover_disk, &m), 0)) {
		kspawn(e, mover, &m);
		mover(&m);
		kjoin(e);
		KCHECK_EQ(e, kcall(m.k, close_mover_disk, &m), 0);
	}
	kenv_destroy(e, m.k);
}

/* Has this process an io_uring?  The host may refuse it, or do without. */
static bool
have_ring(void)
{
	char path[32], to[64];
	ssize_t n;
	int fd;

	for (fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, to, sizeof(to) - 1);
		to[n > 0 ? n : 0] = '\0';
		if (strstr(to, "io_uring") != NULL)
			return true;
	}
	return false;
}

static int64_t
of_a_cache(void *arg)
{
	struct ctx *c = arg;
	struct qdisk *d;

	if (!KCHECK_EQ(c->e, qdisk_open(c->k, c->e->arg, 0, &d), 0))
		return 0;
	KCHECK_EQ(c->e, qdisk_write(d, 0, c->buf, SIZE), 0);
	hh.hh_inline = 0;
	KCHECK_EQ(c->e, qdisk_read(d, 4096, c->buf, 8192), 0);
	/* Without io_uring another thread reads. */
	if (have_ring())
		KCHECK_EQ(c->e, hh.hh_inline, 1);
	qdisk_put(d);
	return 0;
}

/* What the host has cached is there when submitting it returns. */
static void
cached(struct kenv *e)
{
	char name[64];

	if (e->ncpu != 1 || e->runners != 0 || !make_image(e, name))
		return;
	hh_wrap(e, 0);
	e->arg = name;
	run_in_kernel(e, of_a_cache);
	unlink(name + 5);
}

/* ---- the end of a thread that has begun requests ---- */

#define BEGUN 48u

struct begun {
	struct ctx *c;
	struct qdisk *d;
	struct many m;
	struct qbio b[BEGUN];
	struct quern_iov iov[BEGUN];
};

/* Begin synchronous writes, which io_uring's own threads do, and go. */
static int64_t
begin_and_go(void *arg)
{
	struct begun *bg = arg;
	unsigned i;

	bg->m.left = BEGUN;
	for (i = 0; i < BEGUN; i++) {
		bg->iov[i] = (struct quern_iov){ bg->c->model + 4096 * i,
			4096 };
		bg->b[i] = (struct qbio){ .b_cmd = QUERN_BLK_WRITE,
			.b_flags = QUERN_BLK_FUA,
			.b_iov = &bg->iov[i],
			.b_niov = 1,
			.b_off = 4096 * i,
			.b_len = 4096,
			.b_done = one_done,
			.b_arg = &bg->m };
		qbio_submit(bg->d, &bg->b[i]);
	}
	return 0;
}

static void
beginner(void *arg)
{
	struct begun *bg = arg;

	KCHECK_EQ(bg->c->e, kcall(bg->c->k, begin_and_go, bg), 0);
}

static int64_t
open_begun(void *arg)
{
	struct begun *bg = arg;

	qwaitq_init(&bg->m.wq);
	return qdisk_open(bg->c->k, bg->c->e->arg, 0, &bg->d);
}

static int64_t
await_begun(void *arg)
{
	struct begun *bg = arg;
	struct ctx *c = bg->c;

	qspin_lock(&bg->m.wq.w_lock);
	while (bg->m.left != 0) {
		(void)qwaitq_sleep(&bg->m.wq, &bg->m.wq.w_lock, 0, QUERN_NEVER);
		qspin_lock(&bg->m.wq.w_lock);
	}
	qspin_unlock(&bg->m.wq.w_lock);
	KCHECK_EQ(c->e, bg->m.failed, 0);
	KCHECK_EQ(c->e, qdisk_read(bg->d, 0, c->buf, 4096 * BEGUN), 0);
	KCHECK(c->e, memcmp(c->buf, c->model, 4096 * BEGUN) == 0);
	qdisk_put(bg->d);
	return 0;
}

static void
beginner_ends(struct kenv *e)
{
	char name[64];
	struct begun *bg = calloc(1, sizeof(*bg));
	struct ctx *c = calloc(1, sizeof(*c));
	unsigned i;

	bg->c = c;
	c->e = e;
	e->quiet = true;
	e->arg = name;
	if (make_image(e, name) && (c->k = kenv_kernel(e)) != NULL) {
		for (i = 0; i < SIZE; i++)
			c->model[i] = (uint8_t)draw(c, 256);
		if (KCHECK_EQ(e, kcall(c->k, open_begun, bg), 0)) {
			kspawn(e, beginner, bg);
			kjoin(e);
			KCHECK_EQ(e, kcall(c->k, await_begun, bg), 0);
		}
		kenv_destroy(e, c->k);
		unlink(name + 5);
	}
	free(c);
	free(bg);
}

/* ---- partition tables -------------------------------------------------------- */

static void
put32(uint8_t *p, uint64_t x)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		p[i] = (uint8_t)(x >> 8 * i);
}

static void
put64(uint8_t *p, uint64_t x)
{
	put32(p, x);
	put32(p + 4, x >> 32);
}

static void
mbr_entry(uint8_t *sector, unsigned i, uint8_t type, uint32_t lba,
    uint32_t count)
{
	uint8_t *e = sector + 446 + 16 * i;

	e[4] = type;
	put32(e + 8, lba);
	put32(e + 12, count);
	sector[510] = 0x55;
	sector[511] = 0xaa;
}

static uint32_t
crc(const uint8_t *p, size_t len)
{
	uint32_t c = UINT32_MAX;
	unsigned i;

	while (len-- > 0)
		for (c ^= *p++, i = 0; i < 8; i++)
			c = c >> 1 ^ (c & 1 ? UINT32_C(0xedb88320) : 0);
	return ~c;
}

static void
gpt_header(uint8_t *disk, uint64_t lba, uint64_t entries)
{
	uint8_t *h = disk + lba * 512;

	memset(h, 0, 512);
	memcpy(h, "EFI PART", 8);
	put32(h + 8, 0x10000);
	put32(h + 12, 92);
	put64(h + 24, lba);
	put64(h + 32, SIZE / 512 - lba);
	put64(h + 72, entries);
	put32(h + 80, 4);
	put32(h + 84, 128);
	put32(h + 88, crc(disk + entries * 512, 512));
	put32(h + 16, crc(h, 92));
}

static int64_t
mbr(void *arg)
{
	struct ctx *c = arg;
	struct qpart_table *t = calloc(1, sizeof(*t));
	struct qdisk *d, *part;
	uint8_t *m = c->model;

	KCHECK_EQ(c->e, qdisk_memory(c->k, "m", m, SIZE, 0, &d), 0);
	KCHECK_EQ(c->e, qpart_read(d, t), 0);
	KCHECK_EQ(c->e, t->pt_scheme, QPART_NONE);
	mbr_entry(m, 0, 0x83, 8, 100);
	mbr_entry(m, 2, 0x0c, 108, 20);
	mbr_entry(m, 3, 0x05, 200, 200);
	mbr_entry(m + 200 * 512, 0, 0x82, 2, 10);
	mbr_entry(m + 200 * 512, 1, 0x05, 50, 60);
	mbr_entry(m + 250 * 512, 0, 0x83, 2, 58);
	KCHECK_EQ(c->e, qpart_read(d, t), 0);
	KCHECK_EQ(c->e, t->pt_scheme, QPART_MBR);
	if (KCHECK_EQ(c->e, t->pt_n, 4)) {
		KCHECK_EQ(c->e, t->pt_part[1].pt_number, 3);
		KCHECK_EQ(c->e, t->pt_part[2].pt_number, 5);
		KCHECK_EQ(c->e, t->pt_part[2].pt_off, 202 * 512);
		KCHECK_EQ(c->e, t->pt_part[3].pt_number, 6);
		KCHECK_EQ(c->e, t->pt_part[3].pt_off, 252 * 512);
		KCHECK_EQ(c->e, t->pt_part[3].pt_len, 58 * 512);
	}
	KCHECK_EQ(c->e, qpart_open(d, 6, NULL, &part), 0);
	m[252 * 512] = 77;
	KCHECK_EQ(c->e, qdisk_read(part, 0, c->buf, 512), 0);
	KCHECK_EQ(c->e, c->buf[0], 77);
	qdisk_put(part);
	KCHECK_EQ(c->e, qpart_open(d, 7, NULL, &part), -Q_ENOENT);
	/* A circle, a partition beyond the end, a chain out of the disk. */
	mbr_entry(m + 250 * 512, 1, 0x05, 0, 60);
	KCHECK_EQ(c->e, qpart_read(d, t), -Q_EUCLEAN);
	mbr_entry(m + 250 * 512, 1, 0x05, 1u << 30, 60);
	KCHECK_EQ(c->e, qpart_read(d, t), -Q_EUCLEAN);
	mbr_entry(m + 250 * 512, 1, 0, 0, 0);
	mbr_entry(m, 0, 0x83, 500, 100);
	KCHECK_EQ(c->e, qpart_read(d, t), -Q_EUCLEAN);
	qdisk_put(d);
	free(t);
	return 0;
}

static int64_t
gpt(void *arg)
{
	struct ctx *c = arg;
	struct qpart_table *t = calloc(1, sizeof(*t));
	struct qdisk *d;
	uint8_t *m = c->model, *e = m + 2 * 512;
	uint64_t last = SIZE / 512 - 1;

	mbr_entry(m, 0, 0xee, 1, UINT32_MAX);
	memset(e, 0xab, 16);
	put64(e + 32, 40);
	put64(e + 40, 99);
	e[56] = 'r', e[58] = 'o', e[60] = 't';
	memcpy(m + (last - 1) * 512, e, 512);
	gpt_header(m, 1, 2);
	gpt_header(m, last, last - 1);
	KCHECK_EQ(c->e, qdisk_memory(c->k, "m", m, SIZE, 0, &d), 0);
	KCHECK_EQ(c->e, qpart_read(d, t), 0);
	KCHECK_EQ(c->e, t->pt_scheme, QPART_GPT);
	KCHECK(c->e, !t->pt_backup);
	if (KCHECK_EQ(c->e, t->pt_n, 1)) {
		KCHECK_EQ(c->e, t->pt_part[0].pt_off, 40 * 512);
		KCHECK_EQ(c->e, t->pt_part[0].pt_len, 60 * 512);
		KCHECK(c->e, strcmp(t->pt_part[0].pt_label, "rot") == 0);
	}
	m[512 + 40] ^= 1; /* the primary header, then the backup's entries */
	KCHECK_EQ(c->e, qpart_read(d, t), 0);
	KCHECK(c->e, t->pt_backup && t->pt_n == 1);
	m[(last - 1) * 512 + 300] ^= 1;
	KCHECK_EQ(c->e, qpart_read(d, t), -Q_EUCLEAN);
	qdisk_put(d);
	free(t);
	return 0;
}

static void
partitions(struct kenv *e)
{
	e->quiet = true;
	run_in_kernel(e, mbr);
	run_in_kernel(e, gpt);
}

const struct kcase kblock_cases[] = {
	{ .name = "ram_disk", .body = ram_disk, .seeds = 20 },
	{ .name = "callback_disk", .body = callback_disk, .seeds = 10 },
	{ .name = "view_disks", .body = view_disks, .seeds = 60 },
	{ .name = "world_disk", .body = world_disk, .seeds = 100 },
	{ .name = "early_flush",
	    .body = early_flush,
	    .seeds = 20,
	    .nohost = true },
	{ .name = "watched", .body = watched, .seeds = 5, .nohost = true },
	{ .name = "file_disk", .body = file_disk },
	{ .name = "file_disk_noring", .body = file_disk_noring },
	{ .name = "moving_threads",
	    .body = moving_threads,
	    .seeds = 2000,
	    .nohost = true },
	{ .name = "canceled", .body = canceled, .seeds = 40, .nohost = true },
	{ .name = "cached", .body = cached },
	{ .name = "beginner_ends", .body = beginner_ends },
	{ .name = "partitions", .body = partitions, .seeds = 10 },
	{ .name = NULL },
};
