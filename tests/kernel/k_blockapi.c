/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks as an embedder uses them, and side files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kernel/block.h>
#include <kernel/blockside.h>
#include <kernel/impl.h>

#include "ktest.h"

#define SIZE (192u << 10)

/* A kernel, a base and a side file in a directory that goes. */
struct ctx {
	struct kenv *e;
	struct quern *k;
	char dir[64], base[80], side[80];
	uint8_t buf[SIZE], want[SIZE];
};

static void
fill(uint8_t *p, size_t len, uint8_t seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(seed + i / 512 + i * 7);
}

/* The files are named "file:DIR/...": this is the path. */
static const char *
path(const char *name)
{
	return name + 5;
}

static void
poke(struct ctx *c, const char *name, off_t off, const void *buf, size_t len)
{
	int fd = open(path(name), O_RDWR | O_CREAT, 0600);

	KCHECK(c->e, fd >= 0 && pwrite(fd, buf, len, off) == (ssize_t)len);
	close(fd);
}

static void
make_file(struct ctx *c, const char *name, off_t size)
{
	int fd = open(path(name), O_RDWR | O_CREAT | O_TRUNC, 0600);

	KCHECK(c->e, fd >= 0 && ftruncate(fd, size) == 0);
	close(fd);
}

static struct ctx *
begin(struct kenv *e)
{
	const char *tmp = getenv("TMPDIR");
	struct ctx *c = calloc(1, sizeof(*c));

	c->e = e;
	e->quiet = true;
	snprintf(c->dir, sizeof(c->dir), "%s/quern-api-XXXXXX",
	    tmp != NULL && strlen(tmp) < 32 ? tmp : "/tmp");
	KCHECK(e, mkdtemp(c->dir) != NULL);
	snprintf(c->base, sizeof(c->base), "file:%s/base", c->dir);
	snprintf(c->side, sizeof(c->side), "file:%s/side", c->dir);
	fill(c->want, SIZE, 1);
	make_file(c, c->base, SIZE);
	poke(c, c->base, 0, c->want, SIZE);
	c->k = kenv_kernel(e);
	return c;
}

static void
end(struct ctx *c)
{
	kenv_destroy(c->e, c->k);
	unlink(path(c->base));
	unlink(path(c->side));
	rmdir(c->dir);
	free(c);
}

static void
must_hold(struct ctx *c, struct qdisk *d, uint64_t off, size_t len)
{
	memset(c->buf, 0xee, len);
	KCHECK_EQ(c->e, quern_disk_read(d, off, c->buf, len), 0);
	KCHECK(c->e, memcmp(c->buf, c->want + off, len) == 0);
}

/* Write something new there, and expect it. */
static void
change(struct ctx *c, struct qdisk *d, uint64_t off, size_t len, uint8_t seed)
{
	fill(c->want + off, len, seed);
	KCHECK_EQ(c->e, quern_disk_write(d, off, c->want + off, len), 0);
}

/* ---- the calls ----------------------------------------------------------------- */

static int64_t
hold(void *arg)
{
	struct ctx *c = arg;

	return qdisk_find(c->k, "disk") != NULL ? 0 : -Q_ENOENT;
}

static int64_t
let_go(void *arg)
{
	struct ctx *c = arg;
	struct qdisk *d = qdisk_find(c->k, "disk");

	qdisk_put(d); /* this one's, and that of hold() */
	qdisk_put(d);
	return 0;
}

static void
use(struct ctx *c, struct qdisk *d)
{
	struct quern_disk_info di;

	KCHECK_EQ(c->e, quern_disk_info(d, &di), 0);
	KCHECK_EQ(c->e, di.di_size, SIZE);
	KCHECK_EQ(c->e, di.di_sector, 512);
	KCHECK_EQ(c->e, di.di_flags, 0);
	must_hold(c, d, 0, SIZE);
	change(c, d, 4096 + 512, 9 * 512, 40);
	change(c, d, SIZE - 512, 512, 41);
	memset(c->want + 16384, 0, 8192);
	KCHECK_EQ(c->e, quern_disk_zero(d, 16384, 8192), 0);
	KCHECK_EQ(c->e, quern_disk_zero(d, 0, 0), 0);
	KCHECK_EQ(c->e, quern_disk_flush(d), 0);
	must_hold(c, d, 0, SIZE);
	if (di.di_discard != 0) {
		KCHECK_EQ(c->e, quern_disk_discard(d, 65536, 4096), 0);
		KCHECK_EQ(c->e,
		    quern_disk_read(d, 65536, c->want + 65536, 4096), 0);
	} else {
		KCHECK_EQ(c->e, quern_disk_discard(d, 65536, 4096),
		    -Q_EOPNOTSUPP);
	}
	KCHECK_EQ(c->e, quern_disk_read(d, 1, c->buf, 512), -Q_EINVAL);
	KCHECK_EQ(c->e, quern_disk_read(d, SIZE, c->buf, 512), -Q_EINVAL);
	KCHECK_EQ(c->e, quern_disk_write(d, 0, c->buf, 100), -Q_EINVAL);
	KCHECK_EQ(c->e, quern_disk_read(d, 0, NULL, 512), -Q_EFAULT);
	/* Somebody in the kernel has it. */
	KCHECK_EQ(c->e, kcall(c->k, hold, c), 0);
	KCHECK_EQ(c->e, quern_disk_close(d), -Q_EBUSY);
	KCHECK_EQ(c->e, kcall(c->k, let_go, c), 0);
}

static int
take(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (uint8_t *)arg + off, len);
	return 0;
}

static int
put(void *arg, uint64_t off, const void *buf, size_t len)
{
	memcpy((uint8_t *)arg + off, buf, len);
	return 0;
}

static void
released(void *arg)
{
	((uint8_t *)arg)[0] = 0xdd;
}

static const struct quern_disk_callbacks callbacks = {
	.dc_read = take,
	.dc_write = put,
	.dc_release = released,
};

static void
in_memory(struct kenv *e)
{
	struct ctx *c = begin(e);
	uint8_t *mem = malloc(SIZE);
	struct qdisk *d, *other;

	memcpy(mem, c->want, SIZE);
	KCHECK_EQ(e, quern_disk_memory(c->k, "disk", mem, SIZE, 0, &d), 0);
	KCHECK_EQ(e, quern_disk_memory(c->k, "disk", mem, SIZE, 0, &other),
	    -Q_EEXIST);
	use(c, d);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	KCHECK_EQ(e, quern_disk_memory(c->k, "x", mem, 700, 0, &d), -Q_EINVAL);
	KCHECK_EQ(e,
	    quern_disk_memory(c->k, "ro", mem, SIZE, QUERN_DISK_RDONLY, &d), 0);
	KCHECK_EQ(e, quern_disk_write(d, 0, mem, 512), -Q_EROFS);
	KCHECK_EQ(e, quern_disk_zero(d, 0, 512), -Q_EROFS);
	KCHECK_EQ(e, quern_disk_close(d), 0);

	KCHECK_EQ(e,
	    quern_disk_callback(c->k, "disk", SIZE, 512, &callbacks, mem, &d),
	    0);
	use(c, d);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	KCHECK_EQ(e, mem[0], 0xdd);

	KCHECK_EQ(e, quern_disk_ram(c->k, "disk", SIZE, &d), 0);
	memset(c->want, 0, SIZE);
	use(c, d);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	free(mem);
	end(c);
}

/* An MBR with partitions 1, at 8 sectors, and 2, at 64. */
static void
partition(struct ctx *c)
{
	uint8_t sector[512] = { 0 };

	memcpy(sector + 446, "\0\0\0\0\x83\0\0\0\x08\0\0\0\x10\0\0", 15);
	memcpy(sector + 462, "\0\0\0\0\x0c\0\0\0\x40\0\0\0\x20\0\0", 15);
	sector[510] = 0x55, sector[511] = 0xaa;
	poke(c, c->base, 0, sector, 512);
	memcpy(c->want, sector, 512);
}

static void
file(struct kenv *e)
{
	struct quern_disk_options opt = { .do_name = "disk" };
	struct ctx *c = begin(e);
	struct quern_disk_part part[4];
	struct quern_disk_info di;
	struct qdisk *d, *other;

	KCHECK_EQ(e, quern_disk_open(c->k, "floppy:0", NULL, &d),
	    -Q_EPROTONOSUPPORT);
	KCHECK_EQ(e, quern_disk_open(c->k, "file:/nonexistent", NULL, &d),
	    -Q_ENOENT);
	KCHECK_EQ(e, quern_disk_open(NULL, c->base, NULL, &d), -Q_EFAULT);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), 0);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, NULL, &other), -Q_EBUSY);
	use(c, d);
	KCHECK_EQ(e, quern_disk_parts(d, part, 4), 0);
	partition(c);
	KCHECK_EQ(e, quern_disk_parts(d, part, 1), 2);
	KCHECK_EQ(e, quern_disk_parts(d, part, 4), 2);
	KCHECK_EQ(e, part[1].pt_number, 2);
	KCHECK_EQ(e, part[1].pt_off, 64 * 512);
	KCHECK_EQ(e, part[1].pt_type, 0x0c);
	KCHECK_EQ(e, quern_disk_close(d), 0);

	opt.do_part = 3;
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), -Q_ENOENT);
	opt.do_part = 2;
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), 0);
	KCHECK_EQ(e, quern_disk_info(d, &di), 0);
	KCHECK_EQ(e, di.di_size, 32 * 512);
	KCHECK_EQ(e, quern_disk_read(d, 0, c->buf, 512), 0);
	KCHECK(e, memcmp(c->buf, c->want + 64 * 512, 512) == 0);
	KCHECK_EQ(e, quern_disk_close(d), 0);

	opt.do_flags = QUERN_DISK_RDONLY;
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), 0);
	KCHECK_EQ(e, quern_disk_write(d, 0, c->buf, 512), -Q_EROFS);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	opt.do_flags = QUERN_DISK_RDONLY | QUERN_DISK_COW;
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), -Q_EINVAL);

	opt = (struct quern_disk_options){ .do_flags = QUERN_DISK_COW };
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), 0);
	change(c, d, 512, 512, 99);
	must_hold(c, d, 0, SIZE);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, NULL, &d), 0);
	KCHECK_EQ(e, quern_disk_read(d, 512, c->buf, 512), 0);
	KCHECK(e, memcmp(c->buf, c->want + 512, 512) != 0);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	end(c);
}

/* Past the host's cache, from and to memory that is not aligned at all. */
static void
direct(struct kenv *e)
{
	struct quern_disk_options opt = { .do_flags = QUERN_DISK_DIRECT,
		.do_name = "disk" };
	struct ctx *c = begin(e);
	uint8_t *mem = malloc(SIZE + 3);
	struct qdisk *d;
	int error;

	error = quern_disk_open(c->k, c->base, &opt, &d);
	/* Some file systems have no such thing. */
	if (error != -Q_EINVAL && KCHECK_EQ(e, error, 0)) {
		use(c, d);
		fill(mem + 3, SIZE, 77);
		memcpy(c->want, mem + 3, SIZE);
		KCHECK_EQ(e, quern_disk_write(d, 0, mem + 3, SIZE), 0);
		memset(mem, 0, SIZE);
		KCHECK_EQ(e, quern_disk_read(d, 512, mem + 1, SIZE - 512), 0);
		KCHECK(e, memcmp(mem + 1, c->want + 512, SIZE - 512) == 0);
		must_hold(c, d, 0, SIZE);
		KCHECK_EQ(e, quern_disk_close(d), 0);
	}
	free(mem);
	end(c);
}

/* A file that becomes larger, then smaller, under an open disk. */
static void
resized(struct kenv *e, struct quern_host host)
{
	struct quern_disk_options opt = { .do_flags = QUERN_DISK_RDONLY };
	struct quern_disk_info di;
	struct ctx *c;
	struct qdisk *d;

	e->host = host;
	c = begin(e);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, NULL, &d), 0);
	KCHECK_EQ(e, truncate(path(c->base), SIZE + 4096), 0);
	KCHECK_EQ(e, quern_disk_read(d, SIZE, c->buf, 512), -Q_EINVAL);
	KCHECK_EQ(e, quern_disk_info(d, &di), 0);
	KCHECK_EQ(e, di.di_size, SIZE + 4096);
	KCHECK_EQ(e, quern_disk_read(d, SIZE, c->buf, 4096), 0);
	KCHECK_EQ(e, c->buf[0], 0);
	KCHECK_EQ(e, quern_disk_write(d, SIZE, c->want, 4096), 0);
	/* Smaller: an error, also where a part of it is there. */
	KCHECK_EQ(e, truncate(path(c->base), 8192 + 100), 0);
	KCHECK_EQ(e, quern_disk_read(d, 4096, c->buf, 8192), -Q_EIO);
	/* The failure has made it look. */
	KCHECK_EQ(e, quern_disk_write(d, 8192, c->want, 512), -Q_EINVAL);
	KCHECK_EQ(e, quern_disk_info(d, &di), 0);
	KCHECK_EQ(e, di.di_size, 8192);
	KCHECK_EQ(e, di.di_errors, 1);
	must_hold(c, d, 0, 8192);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	KCHECK_EQ(e, truncate(path(c->base), SIZE), 0);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), 0);
	KCHECK_EQ(e, quern_disk_info(d, &di), 0);
	KCHECK_EQ(e, di.di_size, SIZE);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	end(c);
}

static void
resized_ring(struct kenv *e)
{
	resized(e, quern_posix());
}

static void
resized_noring(struct kenv *e)
{
	static const struct quern_posix_config pc = {
		.pc_flags = QUERN_POSIX_NORING
	};

	resized(e, quern_posix_with(&pc));
}

/* A partition of a disk that has become smaller: -EIO beyond its end. */
static void
resized_part(struct kenv *e)
{
	struct quern_disk_options opt = { .do_part = 2 };
	struct ctx *c = begin(e);
	struct qdisk *d;

	partition(c);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), 0);
	KCHECK_EQ(e, truncate(path(c->base), 65 * 512), 0);
	KCHECK_EQ(e, quern_disk_read(d, 1024, c->buf, 512), -Q_EIO);
	KCHECK_EQ(e, quern_disk_write(d, 1024, c->buf, 512), -Q_EIO);
	KCHECK_EQ(e, quern_disk_read(d, 0, c->buf, 512), 0);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	end(c);
}

/* ---- side files ---------------------------------------------------------------------- */

static void
side_file(struct kenv *e)
{
	struct ctx *c = begin(e);
	struct quern_disk_options opt = { .do_side = c->side,
		.do_name = "disk" };
	struct qdisk *d;
	struct stat st;
	off_t need = (off_t)quern_disk_side_size(SIZE, 512);

	make_file(c, c->side, need - 512);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), -Q_ENOSPC);
	make_file(c, c->side, need);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), 0);
	use(c, d);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	/* It has what was written and no more. */
	KCHECK_EQ(e, stat(path(c->side), &st), 0);
	KCHECK(e, st.st_blocks * 512 < 80 * 1024);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), 0);
	must_hold(c, d, 0, SIZE);
	change(c, d, 0, SIZE, 50);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), 0);
	must_hold(c, d, 0, SIZE);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	/* The disk below is as it was. */
	fill(c->want, SIZE, 1);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, NULL, &d), 0);
	must_hold(c, d, 0, SIZE);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	end(c);
}

/* Flip a byte of the side file, look what opening says, flip it back. */
static void
damage(struct ctx *c, off_t off, int error)
{
	struct quern_disk_options opt = { .do_side = c->side };
	struct qdisk *d;
	uint8_t byte;
	int fd = open(path(c->side), O_RDWR);

	KCHECK(c->e, pread(fd, &byte, 1, off) == 1);
	byte ^= 0x10;
	KCHECK(c->e, pwrite(fd, &byte, 1, off) == 1);
	KCHECK_EQ(c->e, quern_disk_open(c->k, c->base, &opt, &d), error);
	byte ^= 0x10;
	KCHECK(c->e, pwrite(fd, &byte, 1, off) == 1);
	close(fd);
}

static void
side_refused(struct kenv *e)
{
	struct ctx *c = begin(e);
	struct quern_disk_options opt = { .do_side = c->side };
	const uint8_t byte = 0x77;
	struct qdisk *d;
	unsigned i;

	make_file(c, c->side, (off_t)quern_disk_side_size(SIZE, 512));
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), 0);
	change(c, d, 8192, 4096, 7);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	for (i = 0; i < 512; i += 20)
		damage(c, i, -Q_EUCLEAN);
	for (i = 0; i < 512; i += 20)
		damage(c, SIDE_MAP + i, -Q_EUCLEAN);
	/* Another disk: its beginning, its end, its size. */
	poke(c, c->base, 100, &byte, 1);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), -Q_ESTALE);
	poke(c, c->base, 100, c->want + 100, 1);
	poke(c, c->base, SIZE - 1, &byte, 1);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), -Q_ESTALE);
	poke(c, c->base, SIZE - 1, c->want + SIZE - 1, 1);
	KCHECK_EQ(e, truncate(path(c->base), SIZE - 4096), 0);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), -Q_ESTALE);
	KCHECK_EQ(e, truncate(path(c->base), SIZE), 0);
	poke(c, c->base, SIZE - 4096, c->want + SIZE - 4096, 4096);
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), 0);
	must_hold(c, d, 0, SIZE);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	opt.do_side = c->base;
	KCHECK(e, quern_disk_open(c->k, c->base, &opt, &d) != 0);
	opt.do_side = "file:/nonexistent";
	KCHECK_EQ(e, quern_disk_open(c->k, c->base, &opt, &d), -Q_ENOENT);
	end(c);
}

/* ---- too little memory ---------------------------------------------------------------- */

/* Each allocation in turn fails; false: there was none left to fail. */
static bool
with_failure(struct kenv *e, struct ctx *c, uint64_t nth)
{
	struct quern_disk_options opt = { .do_side = c->side, .do_part = 2 };
	struct quern_config qc = kenv_config(e);
	struct quern_stats st;
	struct qdisk *d;
	struct quern *k;
	uint64_t leaks = 0;
	int error;

	qc.fail_alloc = nth;
	make_file(c, c->side, (off_t)quern_disk_side_size(32 * 512, 512));
	error = quern_create(&qc, &k);
	if (error != 0) {
		KCHECK_EQ(e, error, -Q_ENOMEM);
		return true;
	}
	error = quern_disk_open(k, c->base, &opt, &d);
	if (error == 0) {
		error = quern_disk_write(d, 512, c->want, 512);
		KCHECK(e, error == 0 || error == -Q_ENOMEM);
		error = quern_disk_zero(d, 0, 512);
		KCHECK(e, error == 0 || error == -Q_ENOMEM);
		error = quern_disk_read(d, 0, c->buf, 32 * 512);
		KCHECK(e, error == 0 || error == -Q_ENOMEM);
		KCHECK_EQ(e, quern_disk_close(d), 0);
	} else {
		KCHECK_EQ(e, error, -Q_ENOMEM);
	}
	KCHECK_EQ(e, quern_stats(k, &st), 0);
	KCHECK_EQ(e, quern_destroy_count(k, &leaks), 0);
	KCHECK_EQ(e, leaks, 0);
	return st.st_allocs >= nth;
}

static void
no_memory(struct kenv *e)
{
	struct ctx *c = begin(e);
	uint64_t nth = 1;

	partition(c);
	while (with_failure(e, c, nth))
		nth++;
	KCHECK(e, nth > 20);
	end(c);
}

/* ---- side files and power cuts ------------------------------------------------------- */

#define BLOCKS (SIZE / 4096)

/* What is in block `b`: the base's, or what was written as version `v`. */
static void
version(uint8_t *p, unsigned b, unsigned v)
{
	unsigned i;

	for (i = 0; i < 4096; i++)
		p[i] = (uint8_t)(b + 31 * v + i / 512);
}

/*
 * Version 1 of some blocks is written and flushed, version 2 of some is not;
 * the power fails at the cut-th write.  Whatever survives, each block must be
 * the base's (0), 1 or 2, and at least what a flush that succeeded covered; in
 * sectors, since a block is not written at once.
 */
static void
power_cut(struct kenv *e)
{
	struct quern_sim_disk_config dc = { .size = SIZE,
		.cache = 1,
		.reorder = 1 };
	struct quern_disk_options opt = { .do_side = "sim:side" };
	struct quern_sim_disk *base, *side, *after;
	uint8_t blk[4096], want[4096];
	unsigned b, v, s, flushed[BLOCKS] = { 0 }, last[BLOCKS] = { 0 };
	struct quern *k = kenv_kernel(e);
	struct qdisk *d = NULL;
	bool dead = false;

	KCHECK_EQ(e, quern_sim_disk(e->sim, "base", &dc, &base), 0);
	dc.size = quern_disk_side_size(SIZE, 512);
	KCHECK_EQ(e, quern_sim_disk(e->sim, "side", &dc, &side), 0);
	for (b = 0; b < BLOCKS; b++) {
		version(blk, b, 0);
		KCHECK_EQ(e, quern_sim_disk_write(base, b * 4096, blk, 4096, 1),
		    0);
	}
	quern_sim_disk_cut(side, 1 + quern_sim_random(e->sim, 40));
	dead = quern_disk_open(k, "sim:base", &opt, &d) != 0;
	for (v = 1; v <= 4 && !dead; v++) {
		for (b = 0; b < BLOCKS && !dead; b++) {
			if (quern_sim_random(e->sim, 4) != 0)
				continue;
			version(blk, b, v);
			last[b] = v;
			dead = quern_disk_write(d, b * 4096, blk, 4096) != 0;
		}
		dead = dead || quern_disk_flush(d) != 0;
		for (b = 0; b < BLOCKS && !dead; b++)
			flushed[b] = last[b];
	}
	if (d != NULL)
		KCHECK_EQ(e, quern_disk_close(d), 0);
	quern_sim_disk_cut(side, 0);
	KCHECK_EQ(e,
	    quern_sim_disk_crash(side, 2 + quern_sim_random(e->sim, 1000),
		"after", &after),
	    0);
	opt.do_side = "sim:after";
	if (KCHECK_EQ(e, quern_disk_open(k, "sim:base", &opt, &d), 0)) {
		for (b = 0; b < BLOCKS; b++)
			for (s = 0; s < 4096; s += 512) {
				KCHECK_EQ(e,
				    quern_disk_read(d, b * 4096 + s, blk, 512),
				    0);
				for (v = flushed[b]; v <= last[b]; v++) {
					version(want, b, v);
					if (memcmp(blk, want + s, 512) == 0)
						break;
				}
				KCHECK(e, v <= last[b]);
			}
		KCHECK_EQ(e, quern_disk_close(d), 0);
	}
	kenv_destroy(e, k);
}

static void
side_cut(struct kenv *e)
{
	e->quiet = true;
	power_cut(e);
}

/* ---- what a simulated disk may do to its kernel ---------------------------------- */

#define FAULTY 65536u

/* A disk of the world with 0x11 everywhere, open. */
static struct qdisk *
faulty(struct kenv *e, struct quern *k, const char *name,
    const struct quern_sim_disk_config *faults, struct quern_sim_disk **sdp)
{
	struct quern_sim_disk_config dc = *faults;
	static uint8_t image[FAULTY];
	char hostname[32];
	struct qdisk *d = NULL;

	memset(image, 0x11, sizeof(image));
	dc.size = dc.imagelen = FAULTY;
	dc.image = image;
	snprintf(hostname, sizeof(hostname), "sim:%s", name);
	KCHECK_EQ(e, quern_sim_disk(e->sim, name, &dc, sdp), 0);
	KCHECK_EQ(e, quern_disk_open(k, hostname, NULL, &d), 0);
	return d;
}

/* How many bits differ from 0x11 everywhere. */
static unsigned
changed_bits(struct quern_sim_disk *sd)
{
	static uint8_t now[FAULTY];
	unsigned i, n = 0;

	(void)quern_sim_disk_read(sd, 0, now, FAULTY);
	for (i = 0; i < FAULTY; i++)
		n += (unsigned)__builtin_popcount(now[i] ^ 0x11u);
	return n;
}

/* One of a kind of fault, at every operation: what becomes of a write. */
static void
strike(struct kenv *e, struct quern *k, const char *name,
    const struct quern_sim_disk_config *faults, int write_error, int read_error,
    int flush_error, unsigned bits)
{
	struct quern_sim_disk_stats st;
	struct quern_sim_disk *sd;
	struct qdisk *d = faulty(e, k, name, faults, &sd);
	uint8_t buf[512];
	unsigned n;

	memset(buf, 0x77, sizeof(buf));
	KCHECK_EQ(e, quern_disk_write(d, 4096, buf, 512), write_error);
	KCHECK_EQ(e, quern_disk_flush(d), flush_error);
	KCHECK_EQ(e, quern_disk_read(d, 4096, buf, 512), read_error);
	n = changed_bits(sd);
	/* The bit that rots may be one that the write has changed. */
	if (faults->bit_rot != 0)
		KCHECK(e, n + 1 == bits || n - 1 == bits);
	else
		KCHECK_EQ(e, n, bits);
	quern_sim_disk_stats(sd, &st);
	KCHECK(e, st.ds_faults > 0);
	KCHECK_EQ(e, quern_disk_close(d), 0);
}

static void
faults(struct kenv *e)
{
	static const struct quern_sim_disk_config
	    eio_read = { .eio_read = 1 },
	    eio_write = { .eio_write = 1 }, eio_flush = { .eio_flush = 1 },
	    lost = { .lost_write = 1 }, astray = { .misdirected = 1 },
	    rot = { .bit_rot = 1 };
	const unsigned all = 512 * (unsigned)__builtin_popcount(0x11 ^ 0x77);
	struct quern *k;

	e->quiet = true;
	k = kenv_kernel(e);
	strike(e, k, "eio_read", &eio_read, 0, -Q_EIO, 0, all);
	strike(e, k, "eio_write", &eio_write, -Q_EIO, 0, 0, 0);
	strike(e, k, "eio_flush", &eio_flush, 0, 0, -Q_EIO, all);
	strike(e, k, "lost", &lost, 0, 0, 0, 0);
	strike(e, k, "astray", &astray, 0, 0, 0, all);
	strike(e, k, "rot", &rot, 0, 0, 0, all);
	kenv_destroy(e, k);
}

/* A flush that fails has made nothing safe. */
static void
failed_flush(struct kenv *e)
{
	static const struct quern_sim_disk_config dc = { .cache = 1,
		.eio_flush = 1 };
	struct quern_sim_disk *sd, *after;
	struct quern *k;
	struct qdisk *d;
	uint8_t buf[512] = { 0 };

	e->quiet = true;
	k = kenv_kernel(e);
	d = faulty(e, k, "d", &dc, &sd);
	KCHECK_EQ(e, quern_disk_write(d, 0, buf, 512), 0);
	KCHECK_EQ(e, quern_disk_flush(d), -Q_EIO);
	KCHECK_EQ(e, quern_sim_disk_crash(sd, 0, "after", &after), 0);
	KCHECK_EQ(e, changed_bits(after), 0);
	KCHECK_EQ(e, quern_disk_close(d), 0);
	kenv_destroy(e, k);
}

/*
 * The power fails at each of some writes in turn: all before are there, it may
 * be or not, nothing behind is; and each state can be opened again.
 */
static void
cut_anywhere(struct kenv *e)
{
	static const struct quern_sim_disk_config dc = { .atomic = 512 };
	struct quern_sim_disk *sd, *after;
	struct quern *k;
	struct qdisk *d;
	uint8_t buf[1024];
	uint64_t n, state;
	unsigned i, there;

	e->quiet = true;
	k = kenv_kernel(e);
	for (n = 1; n <= 6; n++) {
		d = faulty(e, k, "d", &dc, &sd);
		quern_sim_disk_cut(sd, n);
		memset(buf, 0x22, sizeof(buf));
		for (i = 0; i < 6; i++)
			KCHECK_EQ(e, quern_disk_write(d, i * 1024, buf, 1024),
			    i < n - 1 ? 0 : -Q_EIO);
		KCHECK_EQ(e, quern_disk_close(d), 0);
		/* Two sectors: neither, one, the other, both. */
		KCHECK_EQ(e, quern_sim_disk_states(sd), 4);
		for (state = 0; state < 4; state++) {
			KCHECK_EQ(e,
			    quern_sim_disk_state(sd, state, "after", &after),
			    0);
			KCHECK_EQ(e, quern_disk_open(k, "sim:after", NULL, &d),
			    0);
			for (i = there = 0; i < FAULTY; i += 512) {
				KCHECK_EQ(e, quern_disk_read(d, i, buf, 512),
				    0);
				there += buf[0] == 0x22;
			}
			KCHECK_EQ(e, there,
			    2 * (n - 1) +
				(unsigned)__builtin_popcountll(state));
			KCHECK_EQ(e, quern_disk_close(d), 0);
			quern_sim_disk_destroy(after);
		}
		quern_sim_disk_destroy(sd);
	}
	kenv_destroy(e, k);
}

const struct kcase kblockapi_cases[] = {
	{ .name = "in_memory", .body = in_memory },
	{ .name = "file", .body = file },
	{ .name = "direct", .body = direct },
	{ .name = "resized_ring", .body = resized_ring },
	{ .name = "resized_noring", .body = resized_noring },
	{ .name = "resized_part", .body = resized_part },
	{ .name = "side_file", .body = side_file },
	{ .name = "side_refused", .body = side_refused },
	{ .name = "no_memory", .body = no_memory },
	{ .name = "faults", .body = faults, .seeds = 20, .nohost = true },
	{ .name = "failed_flush",
	    .body = failed_flush,
	    .seeds = 5,
	    .nohost = true },
	{ .name = "cut_anywhere",
	    .body = cut_anywhere,
	    .seeds = 10,
	    .nohost = true },
	{ .name = "side_cut", .body = side_cut, .seeds = 600, .nohost = true },
	{ .name = NULL },
};
