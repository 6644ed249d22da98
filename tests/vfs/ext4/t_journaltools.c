/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal and e2fsprogs: logs that debugfs writes are replayed to what e2fsck
 * replays them to, and so are those that are written here.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <components/vfs/ext4/jimpl.h>
#include <kernel/impl.h>
#include <tests/kernel/kmain.h>

#define MAXJ 8192u

struct image {
	const char *mkfs; /* options */
	const char *jo;   /* of debugfs's journal_open */
	unsigned bsize;
	bool wide, csum; /* 64bit, metadata_csum */
};

static const struct image images[] = {
	{ "-b 1024", "-c -v 3", 1024, true, true },
	{ "-b 1024", "-c -v 2", 1024, true, true },
	{ "-b 1024", "", 1024, true, true },
	{ "-b 4096", "-c -v 3", 4096, true, true },
	{ "-b 4096 -O ^64bit", "-c -v 3", 4096, false, true },
	/* checksums v1 */
	{ "-b 4096 -O ^64bit,^metadata_csum", "-c", 4096, false, false },
	{ "-b 1024 -O ^64bit,^metadata_csum", "-c -v 2", 1024, false, false },
	{ "-b 2048 -O ^extents,^64bit,^metadata_csum", "", 2048, false, false },
};

struct job {
	struct kenv *e;
	struct quern *k;
	const struct image *im;
	char dir[400];
	uint64_t blk[MAXJ]; /* of the journal */
	uint32_t n;
	const char *name; /* of the image to work on */
};

static int sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int
sh(const char *fmt, ...)
{
	char cmd[4000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd);
}

/* ---- images ---------------------------------------------------------------------- */

/* Which blocks does the journal have? */
static void
find_journal(struct job *b)
{
	uint32_t len = 4194304 / b->im->bsize;
	char cmd[800];
	unsigned long blk;
	FILE *f;

	snprintf(cmd, sizeof(cmd),
	    "cd %s && seq 0 %u | sed 's/^/bmap <8> /' >cmds && "
	    "debugfs -f cmds image 2>/dev/null | grep -v bmap",
	    b->dir, len - 1);
	f = popen(cmd, "r");
	b->n = 0;
	while (f != NULL && b->n < MAXJ && fscanf(f, "%lu", &blk) == 1)
		b->blk[b->n++] = blk;
	if (f != NULL)
		pclose(f);
	KCHECK_EQ(b->e, b->n, len);
}

static void
make_image(struct job *b)
{
	char *dir = getenv("TMPDIR");

	snprintf(b->dir, sizeof(b->dir), "%s", dir != NULL ? dir : "/tmp");
	KCHECK_EQ(b->e,
	    sh("rm -f %s/image && mke2fs -q -F -t ext4 %s -J size=4 "
	       "%s/image 24M 2>/dev/null >&2",
		b->dir, b->im->mkfs, b->dir),
	    0);
	/* Contents that look like a journal's block, and others. */
	KCHECK_EQ(b->e,
	    sh("(printf '\\300\\073\\071\\230'; seq 100000) | head -c %u "
	       ">%s/f1; seq 5 20000 | head -c %u >%s/f2",
		6 * b->im->bsize, b->dir, 6 * b->im->bsize, b->dir),
	    0);
	find_journal(b);
}

/* Write transactions with debugfs. */
static void
write_log(struct job *b)
{
	unsigned at = 24u * 1048576 / b->im->bsize - 100;

	KCHECK_EQ(b->e,
	    sh("cd %s && (echo jo %s; echo jw -b %u-%u f1; "
	       "echo jw -b %u-%u -r %u,%u f2; "
	       "echo jw -b %u-%u,%u -r %u f1; echo jc) >cmds && "
	       "debugfs -w -f cmds image 2>/dev/null >&2",
		b->dir, b->im->jo, at, at + 5, at + 4, at + 8, at + 1, at + 5,
		at + 20, at + 21, at + 1, at + 7),
	    0);
}

/* ---- in the kernel ----------------------------------------------------------------- */

static int
map(void *arg, uint32_t lblk, uint64_t *blkp, uint32_t *np)
{
	const struct job *b = arg;

	*blkp = b->blk[lblk];
	*np = 1;
	return 0;
}

static int
open_journal(struct job *b, struct qdisk **dp, struct qbufcache **cp,
    struct journal **jp)
{
	char name[600];
	struct journal_config jc = { .jc_name = "image",
		.jc_len = 4194304 / b->im->bsize,
		.jc_map = map,
		.jc_blocks = 24u * 1048576 / b->im->bsize,
		.jc_arg = b,
		.jc_64bit = b->im->wide,
		.jc_csum = b->im->csum };
	int error;

	snprintf(name, sizeof(name), "file:%s/%s", b->dir, b->name);
	error = qdisk_open(b->k, name, 0, dp);
	if (error != 0)
		return error;
	error = qbufcache_create(*dp, b->im->bsize, 0, cp);
	if (error == 0) {
		jc.jc_cache = *cp;
		error = journal_open(&jc, jp);
	}
	return error;
}

static int64_t
replay(void *arg)
{
	struct job *b = arg;
	struct qbufcache *c;
	struct journal *j;
	struct qdisk *d;
	int error = open_journal(b, &d, &c, &j);

	if (error != 0)
		return error;
	KCHECK(b->e, journal_unclean(j));
	error = journal_replay(j);
	KCHECK(b->e, !journal_unclean(j));
	KCHECK_EQ(b->e, journal_errno(j), 0);
	KCHECK_EQ(b->e, journal_destroy(j), 0);
	qbufcache_destroy(c);
	qdisk_put(d);
	return error;
}

/* A transaction of `n` blocks from `blk` on, of which every third is new. */
static int
transaction(struct qbufcache *c, struct journal *j, uint64_t blk, unsigned n,
    unsigned what)
{
	struct jhandle *h;
	struct qbuf *q;
	uint32_t magic = jbe32(JMAGIC);
	unsigned i;
	int error = journal_begin(j, n + 1, &h);

	for (i = 0; i < n && error == 0; i++) {
		error = qbuf_read(c, blk + i, &q);
		if (error != 0)
			break;
		error = journal_get_write(h, q);
		if (error == 0) {
			qbuf_lock(q);
			memset(q->bf_data, (int)(what + i), qbufcache_bsize(c));
			if (i % 3 == 0)
				memcpy(q->bf_data, &magic, 4);
			qbuf_unlock(q);
			journal_dirty(h, q);
		}
		qbuf_put(q);
	}
	if (error == 0 && what % 2 == 0)
		error = journal_forget(h, NULL, blk + what % n);
	return error != 0 ? error : journal_end(h);
}

/* Write a log, and leave it as a crash would: in a copy. */
static int64_t
write_ours(void *arg)
{
	struct job *b = arg;
	uint64_t at = 24u * 1048576 / b->im->bsize - 600;
	struct qbufcache *c;
	struct journal *j;
	struct qdisk *d;
	unsigned i;
	int error = open_journal(b, &d, &c, &j);

	if (error != 0)
		return error;
	error = journal_start(j);
	for (i = 0; i < 12 && error == 0; i++) {
		error = transaction(c, j, at + 37 * (i % 5), 5 + 19 * i, 7 + i);
		if (error == 0)
			error = journal_commit(j, true);
	}
	KCHECK_EQ(b->e, sh("cp %s/image %s/crashed", b->dir, b->dir), 0);
	KCHECK_EQ(b->e, journal_destroy(j), 0);
	qbufcache_destroy(c);
	qdisk_put(d);
	return error;
}

/* ---- comparing ------------------------------------------------------------------------ */

static bool
is_journal(const struct job *b, uint64_t blk)
{
	uint32_t i;

	for (i = 0; i < b->n; i++)
		if (b->blk[i] == blk)
			return true;
	return false;
}

/* Is every block the same, but the journal's and the superblock? */
static void
compare(struct job *b, const char *one, const char *other)
{
	static unsigned char x[4096], y[4096];
	uint64_t blk, differ = 0, sb = b->im->bsize == 1024;
	char path[600];
	FILE *f, *g;

	snprintf(path, sizeof(path), "%s/%s", b->dir, one);
	f = fopen(path, "r");
	snprintf(path, sizeof(path), "%s/%s", b->dir, other);
	g = fopen(path, "r");
	if (!KCHECK(b->e, f != NULL && g != NULL))
		return;
	for (blk = 0; fread(x, b->im->bsize, 1, f) == 1; blk++) {
		KCHECK_EQ(b->e, fread(y, b->im->bsize, 1, g), 1);
		if (memcmp(x, y, b->im->bsize) != 0 && blk != sb &&
		    !is_journal(b, blk)) {
			if (differ++ < 5)
				fprintf(stderr, "block %llu differs\n",
				    (unsigned long long)blk);
		}
	}
	KCHECK_EQ(b->e, differ, 0);
	fclose(f);
	fclose(g);
}

/* Have e2fsck replay one copy, and us another. */
static void
replay_both(struct job *b, const char *from)
{
	KCHECK_EQ(b->e,
	    sh("cd %s && cp %s theirs && cp %s ours && "
	       "debugfs -w -R 'feature needs_recovery' theirs 2>/dev/null >&2 "
	       "&& e2fsck -y -E journal_only theirs >log 2>&1 && "
	       "grep -q 'recovering journal' log || { cat log; false; }",
		b->dir, from, from),
	    0);
	b->name = "ours";
	KCHECK_EQ(b->e, kcall(b->k, replay, b), 0);
	compare(b, "theirs", "ours");
	/* It was not for nothing. */
	KCHECK(b->e, sh("cd %s && cmp -s %s ours", b->dir, from) != 0);
	/* And e2fsck finds a journal that is empty. */
	KCHECK_EQ(b->e,
	    sh("cd %s && dumpe2fs -h ours 2>/dev/null | "
	       "grep -Eq 'Journal start: +0'",
		b->dir),
	    0);
}

static void
with_tools(struct kenv *e)
{
	struct job *b = calloc(1, sizeof(*b));

	b->e = e;
	b->im = e->arg;
	e->quiet = true;
	b->k = kenv_kernel(e);
	make_image(b);
	write_log(b);
	replay_both(b, "image");
	make_image(b);
	b->name = "image";
	KCHECK_EQ(e, kcall(b->k, write_ours, b), 0);
	replay_both(b, "crashed");
	/* What the unmount wrote in place is what the replay does. */
	compare(b, "ours", "image");
	kenv_destroy(e, b->k);
	free(b);
}

START_TEST(tools)
{
	kmust(images[_i].mkfs,
	    ktest_posix(with_tools, 1, 0, (void *)(uintptr_t)&images[_i]));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("journal and tools");
	TCase *tc = tcase_create("images");

	if (system("mke2fs -V >/dev/null 2>&1 && debugfs -V >/dev/null 2>&1 && "
		   "e2fsck -V >/dev/null 2>&1") != 0) {
		printf("SKIP: no e2fsprogs\n");
		return EXIT_SUCCESS;
	}
	tcase_set_timeout(tc, 50);
	tcase_add_loop_test(tc, tools, 0,
	    (int)(sizeof(images) / sizeof(images[0])));
	suite_add_tcase(s, tc);
	return kmain(s);
}
