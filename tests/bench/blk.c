/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks.  Ours: one vCPU and no runner, the requests submitted from a call of a
 * client's; fio's: one job with io_uring that submits and completes in batches
 * as we do.  Both on CPU 0, in turn, with as many requests in flight, on a file
 * that the host has cached.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <kernel/block.h>
#include <kernel/impl.h>
#include <quern/posix.h>
#include <quern/sim.h>

#include "tests/bench/blk.h"

#define RUNS     5u
#define DEPTH    32u
#define SMALL    4096u
#define LARGE    ((size_t)1 << 20)
#define FILESIZE ((uint64_t)1 << 30)
#define SPREAD   ((uint64_t)256 << 20) /* of random requests */
#define SECONDS  1.0

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *v)
{
	qsort(v, RUNS, sizeof(*v), compare);
	return v[RUNS / 2];
}

/* ---- ours ------------------------------------------------------------------- */

/* A run: `depth` requests of `len` bytes in flight until all are done. */
struct load {
	struct qdisk *l_disk;
	unsigned l_cmd, l_depth;
	size_t l_len;
	bool l_random;
	char *l_buf;

	struct qwaitq l_wq;
	struct qbio *l_ready[DEPTH]; /* [l_wq] done, to be used again */
	unsigned l_nready;
	int l_error;
	uint64_t l_next, l_rng;
	double l_end; /* random: when to stop */
	uint64_t l_done;
	double l_seconds;
};

static void
load_done(struct qbio *b)
{
	struct load *l = b->b_arg;

	qspin_lock(&l->l_wq.w_lock);
	if (b->b_error != 0)
		l->l_error = b->b_error;
	l->l_ready[l->l_nready++] = b;
	if (l->l_nready == 1)
		(void)qwaitq_wake_locked(&l->l_wq);
	qspin_unlock(&l->l_wq.w_lock);
}

static bool
more(const struct load *l)
{
	return l->l_random ? now_s() < l->l_end : l->l_next < FILESIZE;
}

static void
place(struct load *l, struct qbio *b)
{
	if (l->l_random) {
		l->l_rng ^= l->l_rng << 13;
		l->l_rng ^= l->l_rng >> 7;
		l->l_rng ^= l->l_rng << 17;
		b->b_off = l->l_rng % (SPREAD / l->l_len) * l->l_len;
	} else {
		b->b_off = l->l_next;
		l->l_next += l->l_len;
	}
}

/* Take those that are done; waits until there is one. */
static unsigned
collect(struct load *l, struct qbio **bios)
{
	unsigned n;

	qspin_lock(&l->l_wq.w_lock);
	while (l->l_nready == 0) {
		(void)qwaitq_sleep(&l->l_wq, &l->l_wq.w_lock, 0, QUERN_NEVER);
		qspin_lock(&l->l_wq.w_lock);
	}
	n = l->l_nready;
	memcpy(bios, l->l_ready, n * sizeof(*bios));
	l->l_nready = 0;
	qspin_unlock(&l->l_wq.w_lock);
	return n;
}

static int64_t
load_body(void *arg)
{
	static struct qbio b[DEPTH];
	static struct quern_iov iov[DEPTH];
	struct load *l = arg;
	struct qbio *bios[DEPTH];
	unsigned i, n, over = 0;
	double start;

	qwaitq_init(&l->l_wq);
	for (i = 0; i < l->l_depth; i++) {
		iov[i] = (struct quern_iov){ l->l_buf + i * l->l_len,
			l->l_len };
		b[i] = (struct qbio){ .b_cmd = (uint16_t)l->l_cmd,
			.b_iov = &iov[i],
			.b_niov = 1,
			.b_len = l->l_len,
			.b_done = load_done,
			.b_arg = l };
		l->l_ready[l->l_nready++] = &b[i];
	}
	start = now_s();
	l->l_end = start + SECONDS;
	while (over < l->l_depth) {
		n = collect(l, bios);
		for (i = 0; i < n && l->l_error == 0 && more(l); i++)
			place(l, bios[i]);
		if (i > 0)
			qbio_submit_many(l->l_disk, bios, i);
		l->l_done += i;
		over += n - i;
	}
	l->l_seconds = now_s() - start;
	return l->l_error;
}

static int64_t
open_body(void *arg)
{
	struct load *l = arg;

	return qdisk_open(quern_current(), l->l_buf, 0, &l->l_disk);
}

static int64_t
close_body(void *arg)
{
	qdisk_put(arg);
	return 0;
}

/* Requests a second, or milliseconds for the whole file.  < 0: -errno. */
static double
ours(const char *path, unsigned cmd, size_t len, unsigned depth, bool random)
{
	struct quern_config c = { .host = quern_posix() };
	struct load l = { .l_cmd = cmd,
		.l_len = len,
		.l_depth = depth,
		.l_random = random,
		.l_rng = 88172645463325252 };
	char name[256];
	uint32_t hint = 0;
	struct quern *k;
	int error;

	error = quern_create(&c, &k);
	if (error != 0)
		return error;
	snprintf(name, sizeof(name), "file:%s", path);
	l.l_buf = name;
	error = (int)host_call(k, NULL, &hint, open_body, &l);
	if (error == 0) {
		l.l_buf = aligned_alloc(4096, depth * len);
		if (l.l_buf == NULL)
			return -ENOMEM;
		memset(l.l_buf, 0x5a, depth * len);
		error = (int)host_call(k, NULL, &hint, load_body, &l);
		(void)host_call(k, NULL, &hint, close_body, l.l_disk);
		free(l.l_buf);
	}
	if (quern_destroy(k) != 0 && error == 0)
		error = -EBUSY;
	if (error != 0)
		return error;
	return random ? (double)l.l_done / l.l_seconds : l.l_seconds * 1e3;
}

/* ---- fio ------------------------------------------------------------------------ */

/* Field `n`, from 1, of fio's terse line.  < 0: there is none. */
static double
fio(const char *path, const char *args, unsigned field)
{
	char command[512], line[4096], *p = line;
	FILE *f;
	bool got;

	snprintf(command, sizeof(command),
	    "fio --minimal --terse-version=3 --name=q --filename=%s "
	    "--ioengine=io_uring --invalidate=0 --overwrite=1 --cpus_allowed=0 "
	    "%s 2>/dev/null",
	    path, args);
	f = popen(command, "r");
	if (f == NULL)
		return -1;
	got = fgets(line, sizeof(line), f) != NULL;
	if (pclose(f) != 0 || !got)
		return -1;
	while (p != NULL && --field > 0 && (p = strchr(p, ';')) != NULL)
		p++;
	return p != NULL ? strtod(p, NULL) : -1;
}

/* Fields of the terse line: I/O per second and milliseconds, by direction. */
enum { READ_IOPS = 8, READ_MS = 9, WRITE_IOPS = 49, WRITE_MS = 50 };

struct comparison {
	const char *name, *unit, *args;
	unsigned cmd, depth, field;
	size_t len;
	bool random;
};

#define RANDOM_ARGS                                                       \
	"--size=256m --bs=4k --iodepth=32 --iodepth_batch=32 "            \
	"--iodepth_batch_complete_min=1 --iodepth_batch_complete_max=32 " \
	"--norandommap --time_based --runtime=1 --rw="
#define SEQ_ARGS "--size=1g --bs=1m --iodepth=8 --rw="

static const struct comparison comparisons[] = {
	{ "blk_read4k_iops", "1/s", RANDOM_ARGS "randread", QUERN_BLK_READ,
	    DEPTH, READ_IOPS, SMALL, true },
	{ "blk_write4k_iops", "1/s", RANDOM_ARGS "randwrite", QUERN_BLK_WRITE,
	    DEPTH, WRITE_IOPS, SMALL, true },
	{ "blk_seq_read", "ms", SEQ_ARGS "read", QUERN_BLK_READ, 8, READ_MS,
	    LARGE, false },
	{ "blk_seq_write", "ms", SEQ_ARGS "write", QUERN_BLK_WRITE, 8, WRITE_MS,
	    LARGE, false },
};

static int
compare_with_fio(const struct comparison *c, const char *path, blk_row row)
{
	double a[RUNS], b[RUNS];
	unsigned i;

	for (i = 0; i < RUNS; i++) {
		a[i] = ours(path, c->cmd, c->len, c->depth, c->random);
		if (a[i] < 0)
			return (int)a[i];
		b[i] = fio(path, c->args, c->field);
		if (b[i] <= 0) {
			printf("%s left out: fio with io_uring is not there\n",
			    c->name);
			return 0;
		}
	}
	row(c->name, median(a), c->unit, "fio", median(b));
	return 0;
}

/* A file of FILESIZE that the host has cached and written out. */
static int
make_file(char *path, size_t len)
{
	const char *tmp = getenv("TMPDIR");
	char *buf = malloc(LARGE);
	uint64_t off;
	int fd, error = 0;

	if (buf == NULL)
		return -ENOMEM;
	memset(buf, 0xa5, LARGE);
	snprintf(path, len, "%s/quern-blk-XXXXXX", tmp != NULL ? tmp : "/tmp");
	fd = mkstemp(path);
	if (fd < 0)
		error = -errno;
	for (off = 0; error == 0 && off < FILESIZE; off += LARGE)
		if (write(fd, buf, LARGE) != (ssize_t)LARGE)
			error = errno != 0 ? -errno : -EIO;
	if (error == 0 && fsync(fd) != 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	free(buf);
	return error;
}

/* ---- states of a simulated disk -------------------------------------------------- */

#define SIM_SIZE   (4u << 20)
#define SIM_STATES 2000u

#define SIM_READ (64u << 10)

/* Read all of it, as a checker would. */
static int
read_back(struct quern_sim_disk *s, char *buf)
{
	unsigned off;
	int error = 0;

	for (off = 0; off < SIM_SIZE && error == 0; off += SIM_READ)
		error = quern_sim_disk_read(s, off, buf, SIM_READ);
	return error;
}

/* Fork a state that a crash may leave, read it back, drop it. */
static double
crash_states(void)
{
	struct quern_sim_disk_config dc = { .size = SIM_SIZE,
		.cache = 1,
		.reorder = 1 };
	struct quern_sim_config sc = { .seed = 1 };
	struct quern_sim_disk *d, *s;
	struct quern_sim *w;
	char *buf = aligned_alloc(4096, SIM_SIZE);
	unsigned i;
	double start;

	if (buf == NULL || quern_sim_create(&sc, &w) != 0)
		return -ENOMEM;
	memset(buf, 1, SIM_SIZE);
	if (quern_sim_disk(w, "d", &dc, &d) != 0 ||
	    quern_sim_disk_write(d, 0, buf, SIM_SIZE, 1) != 0)
		return -ENOMEM;
	for (i = 0; i < 16; i++)
		if (quern_sim_disk_write(d, i * 245760u, buf + 4096 * i, 4096,
			0) != 0)
			return -ENOMEM;
	start = now_s();
	for (i = 0; i < SIM_STATES; i++) {
		if (quern_sim_disk_crash(d, 2 + i, "s", &s) != 0 ||
		    read_back(s, buf) != 0)
			return -ENOMEM;
		quern_sim_disk_destroy(s);
	}
	start = now_s() - start;
	quern_sim_destroy(w);
	free(buf);
	return SIM_STATES / start;
}

int
bench_blk(blk_row row)
{
	char path[200];
	cpu_set_t all, one;
	double states[RUNS];
	unsigned i;
	int error;

	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	error = make_file(path, sizeof(path));
	for (i = 0; error == 0 && i < QARRAYLEN(comparisons); i++)
		error = compare_with_fio(&comparisons[i], path, row);
	(void)unlink(path);
	for (i = 0; error == 0 && i < RUNS; i++) {
		states[i] = crash_states();
		if (states[i] < 0)
			error = (int)states[i];
	}
	if (error == 0)
		row("crash_states_per_s", median(states), "1/s", NULL, 0);
	sched_setaffinity(0, sizeof(all), &all);
	return error;
}
