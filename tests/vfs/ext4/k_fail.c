/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No memory, or an error of the disk, in the middle of a change.
 *
 * A change fails at one place and nothing else does.  Then it has happened or it
 * has not, memory and disk say the same, all is consistent, and nothing is left
 * over; or the file system has said that it is read-only from there on, and what
 * the next mount finds is one of both, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <components/vfs/impl.h>
#include <quern/tmpfs.h>

#include <quern/ext4.h>

#include "k_fail.h"
#include "tree.h"
#include "walk.h"

#define LONG \
	"a_name_with_very_much_behind_it_so_that_few_of_them_fill_a_block_and_a_directory_has_many_of_these_"

/* ---- what is done ------------------------------------------------------------------ */

static int64_t
make_file(const struct tree_sys *s, const char *path, uint32_t len)
{
	static char data[65536];
	int64_t fd = TCALL(s, SYS_open, path, O_CREAT | O_WRONLY, 0644), r, e;

	if (fd < 0)
		return fd;
	memset(data, path[1], sizeof(data));
	r = len == 0 ? 0 : TCALL(s, SYS_write, fd, data, len);
	e = TCALL(s, SYS_close, fd);
	return r < 0 ? r : r < (int64_t)len ? -ENOSPC : e;
}

/* Every other block of a file, so that its map is large. */
static int64_t
make_holes(const struct tree_sys *s, const char *path, unsigned n)
{
	int64_t fd = TCALL(s, SYS_open, path, O_CREAT | O_WRONLY, 0644), r = 0;
	unsigned i;

	for (i = 0; i < n && fd >= 0 && r >= 0; i++)
		r = TCALL(s, SYS_pwrite64, fd, "hole", 4, i * 8192);
	if (fd >= 0)
		(void)TCALL(s, SYS_close, fd);
	return fd < 0 ? fd : r;
}

/* What there is before. */
static int64_t
prepare(const struct tree_sys *s)
{
	char path[200];
	int64_t r = 0;
	unsigned i;

	r = TCALL(s, SYS_mkdir, "/d", 0755);
	if (r == 0)
		r = TCALL(s, SYS_mkdir, "/e", 0755);
	if (r == 0)
		r = TCALL(s, SYS_mkdir, "/d/sub", 0755);
	if (r == 0)
		r = make_file(s, "/d/file", 20000);
	if (r == 0)
		r = make_file(s, "/d/other", 300);
	if (r == 0)
		r = make_holes(s, "/e/holes", 40);
	/* A directory of one full block, and one that has an index. */
	for (i = 0; i < 9 && r >= 0; i++) {
		snprintf(path, sizeof(path), "/full_%u", i);
		if (i == 0)
			r = TCALL(s, SYS_mkdir, "/full", 0755);
		snprintf(path, sizeof(path), "/full/" LONG "%u", i);
		if (r >= 0 && i < 8)
			r = make_file(s, path, 0);
	}
	return r < 0 ? r : TCALL(s, SYS_sync, 0);
}

static int64_t
op_create(const struct tree_sys *s)
{
	int64_t fd = TCALL(s, SYS_open, "/d/new", O_CREAT | O_EXCL | O_WRONLY,
	    0600);

	return fd < 0 ? fd : TCALL(s, SYS_close, fd);
}

static int64_t
op_mkdir(const struct tree_sys *s)
{
	return TCALL(s, SYS_mkdir, "/d/newdir", 0700);
}

static int64_t
op_symlink(const struct tree_sys *s)
{
	return TCALL(s, SYS_symlink, LONG, "/d/link");
}

static int64_t
op_split(const struct tree_sys *s)
{
	return TCALL(s, SYS_symlink, "x", "/full/" LONG "more");
}

static int64_t
op_link(const struct tree_sys *s)
{
	return TCALL(s, SYS_link, "/d/file", "/e/link");
}

static int64_t
op_unlink(const struct tree_sys *s)
{
	return TCALL(s, SYS_unlink, "/e/holes");
}

static int64_t
op_rmdir(const struct tree_sys *s)
{
	return TCALL(s, SYS_rmdir, "/d/sub");
}

static int64_t
op_rename(const struct tree_sys *s)
{
	return TCALL(s, SYS_rename, "/d/file", "/e/renamed");
}

static int64_t
op_rename_over(const struct tree_sys *s)
{
	return TCALL(s, SYS_rename, "/d/other", "/d/file");
}

static int64_t
op_rename_dir(const struct tree_sys *s)
{
	return TCALL(s, SYS_rename, "/d/sub", "/e/sub");
}

static int64_t
op_exchange(const struct tree_sys *s)
{
	return TCALL(s, SYS_renameat2, AT_FDCWD, "/d/sub", AT_FDCWD, "/e/holes",
	    2);
}

static int64_t
op_truncate(const struct tree_sys *s)
{
	return TCALL(s, SYS_truncate, "/e/holes", 20000);
}

static int64_t
op_extend(const struct tree_sys *s)
{
	return TCALL(s, SYS_truncate, "/d/file", 90000);
}

static int64_t
op_chmod(const struct tree_sys *s)
{
	return TCALL(s, SYS_chmod, "/d/file", 0600);
}

static int64_t
op_xattr(const struct tree_sys *s)
{
	return TCALL(s, SYS_setxattr, "/d/file", "user.small", "value", 5, 0);
}

static int64_t
op_xattr_block(const struct tree_sys *s)
{
	static const char value[600];

	return TCALL(s, SYS_setxattr, "/d/file", "user.large", value, 600, 0);
}

/* Write and wait: what is there then is not more, but may be less. */
static int64_t
write_sync(const struct tree_sys *s, const char *path, int64_t off, size_t len)
{
	static char data[40000];
	int64_t fd = TCALL(s, SYS_open, path, O_WRONLY), r, e;

	if (fd < 0)
		return fd;
	memset(data, 'w', sizeof(data));
	r = TCALL(s, SYS_pwrite64, fd, data, len, off);
	e = TCALL(s, SYS_fsync, fd);
	if (r >= 0)
		r = e < 0 ? e : r < (int64_t)len ? -ENOMEM : 0;
	e = TCALL(s, SYS_close, fd);
	return r < 0 ? r : e;
}

static int64_t
op_append(const struct tree_sys *s)
{
	return write_sync(s, "/d/file", 20000, 30000);
}

static int64_t
op_overwrite(const struct tree_sys *s)
{
	return write_sync(s, "/e/holes", 1000, 20000);
}

static int64_t
allocate(const struct tree_sys *s, int mode)
{
	int64_t fd = TCALL(s, SYS_open, "/e/holes", O_WRONLY), r;

	if (fd < 0)
		return fd;
	r = TCALL(s, SYS_fallocate, fd, mode, 5000, 200000);
	(void)TCALL(s, SYS_close, fd);
	return r == -EOPNOTSUPP ? 0 : r;
}

static int64_t
op_allocate(const struct tree_sys *s)
{
	return allocate(s, 0);
}

static int64_t
op_punch(const struct tree_sys *s)
{
	return allocate(s, 3);
}

static int64_t
op_tmpfile(const struct tree_sys *s)
{
	int64_t fd = TCALL(s, SYS_open, "/d", O_TMPFILE | O_RDWR, 0600), r;

	if (fd < 0)
		return fd;
	r = TCALL(s, SYS_linkat, fd, "", AT_FDCWD, "/d/tmp", AT_EMPTY_PATH);
	(void)TCALL(s, SYS_close, fd);
	return r;
}

static int64_t
op_orphan(const struct tree_sys *s)
{
	int64_t fd = TCALL(s, SYS_open, "/d/file", O_RDONLY), r;

	if (fd < 0)
		return fd;
	r = TCALL(s, SYS_unlink, "/d/file");
	(void)TCALL(s, SYS_close, fd);
	return r;
}

/* For what there is before. */
static int64_t
op_nothing(const struct tree_sys *s)
{
	(void)s;
	return 0;
}

static const struct {
	int64_t (*fn)(const struct tree_sys *s);
	bool partial; /* takes several steps, each of which is whole */
} ops[] = {
	{ op_create, false },
	{ op_mkdir, false },
	{ op_symlink, false },
	{ op_split, false },
	{ op_link, false },
	{ op_unlink, false },
	{ op_rmdir, false },
	{ op_rename, false },
	{ op_rename_over, false },
	{ op_rename_dir, false },
	{ op_exchange, false },
	{ op_truncate, true },
	{ op_extend, false },
	{ op_chmod, false },
	{ op_xattr, false },
	{ op_xattr_block, false },
	{ op_append, true },
	{ op_overwrite, true },
	{ op_allocate, true },
	{ op_punch, true },
	{ op_tmpfile, false },
	{ op_orphan, false },
	{ op_nothing, false },
};

#define OP_NOTHING (sizeof(ops) / sizeof(ops[0]) - 1)

const char *const kfail_ops[] = { "create", "mkdir", "symlink", "split", "link",
	"unlink", "rmdir", "rename", "rename_over", "rename_dir", "exchange",
	"truncate", "extend", "chmod", "xattr", "xattr_block", "append",
	"overwrite", "allocate", "punch", "tmpfile", "orphan", NULL };

/* ---- one run ------------------------------------------------------------------------- */

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	&qext4, NULL };

struct fail {
	struct kenv *f_e;
	struct quern_sim_disk *f_d;
	const struct kcrash_image *f_image;
	const uint8_t *f_data; /* of the disk as it is before */
	uint8_t *f_after;      /* where to copy it to in the end, or NULL */
	unsigned f_op;         /* UINT_MAX: prepare */
	bool f_disk, f_fsck;
	uint32_t f_debug;
	uint64_t f_n; /* which fails; 0: none */
	/* what has come of it */
	int64_t f_r, f_sync;
	uint64_t f_begun, f_ended; /* how many there were of what may fail */
	struct tree_text f_seen, f_found;
	bool f_rdonly, f_hit;
	char f_line[200];
	struct walk f_walk;
};

static void
note_line(void *arg, int level, const char *line)
{
	struct fail *f = arg;

	if (getenv("KLOG") != NULL)
		fprintf(stderr, "%s\n", line);
	if (strstr(line, "read-only") != NULL)
		f->f_rdonly = true;
	if (level <= QUERN_LOG_ERR && f->f_line[0] == '\0')
		snprintf(f->f_line, sizeof(f->f_line), "%s", line);
}

static struct quern *
make_kernel(struct fail *f, uint64_t n, struct tree_sys *s)
{
	struct quern_config cfg = { .host = f->f_e->host,
		.ncpu = 1,
		.ram = (size_t)8 << 20,
		.components = components,
		.log = note_line,
		.trace_calls = getenv("KLOG") != NULL,
		.fail_alloc = n,
		.arg = f };
	struct quern *k = NULL;
	int error = quern_create(&cfg, &k);

	memset(s, 0, sizeof(*s));
	s->ts_notimes = true;
	if (error == 0)
		error = quern_proc_create(k, &s->ts_proc);
	if (error == 0)
		error = quern_mount(s->ts_proc, "sim:d", "/", "ext4", 0, "");
	KCHECK_EQ(f->f_e, error, 0);
	return k;
}

/* How often it could have failed until now. */
static uint64_t
count(struct fail *f, struct quern *k)
{
	struct quern_sim_disk_stats ds;
	struct quern_stats st;

	if (f->f_disk) {
		quern_sim_disk_stats(f->f_d, &ds);
		return ds.ds_reads + ds.ds_writes + ds.ds_flushes +
		    quern_sim_failed(f->f_e->sim);
	}
	return quern_stats(k, &st) == 0 ? st.st_allocs : 0;
}

static void
end_kernel(struct fail *f, struct quern *k, struct tree_sys *s)
{
	uint64_t leaks = 0;
	int error = quern_umount2(s->ts_proc, "/", 0);

	/* Its path may be what there is no memory for. */
	if (error == -Q_ENOMEM)
		error = quern_umount2(s->ts_proc, "/", 0);
	KCHECK_EQ(f->f_e, error, 0);
	if (f->f_ended == 0)
		f->f_ended = count(f, k);
	KCHECK_EQ(f->f_e, quern_proc_destroy(s->ts_proc), 0);
	error = quern_destroy_count(k, &leaks);
	KCHECK_EQ(f->f_e, error, 0);
	KCHECK_EQ(f->f_e, leaks, 0);
}

static int
read_disk(void *arg, uint64_t off, void *buf, size_t len)
{
	return quern_sim_disk_read(arg, off, buf, len);
}

/* What is free, which memory and disk must agree on, too. */
static void
list(struct tree_sys *s, struct tree_text *t)
{
	tree_list(s, "", t);
	if (t->tt_p == NULL)
		t->tt_p = strdup("");
}

static uint64_t
room(struct tree_sys *s)
{
	uint64_t st[15] = { 0 };

	(void)TCALL(s, SYS_statfs, "/", st);
	/* blocks free to root and to others, inodes; 0 if it fails */
	return st[3] << 40 ^ st[4] << 20 ^ st[6];
}

static void
body(struct kenv *e)
{
	struct fail *f = e->arg;
	struct quern_sim_disk_config dc = { .size = f->f_image->ki_len,
		.image = f->f_data,
		.imagelen = f->f_image->ki_len };
	struct quern_sim_disk *d;
	struct tree_sys s;
	struct quern *k;
	uint64_t free = 0, found;
	const char *wrong;

	f->f_e = e;
	if (!KCHECK_EQ(e, quern_sim_disk(e->sim, "d", &dc, &d), 0))
		return;
	f->f_d = d;
	k = make_kernel(f, f->f_disk ? 0 : f->f_n, &s);
	if (e->failed)
		return;
	if (f->f_debug != 0)
		kcrash_plant(k, f->f_debug, 0);
	f->f_begun = count(f, k);
	f->f_r = f->f_op == UINT32_MAX ? prepare(&s) : ops[f->f_op].fn(&s);
	if (f->f_op != UINT32_MAX)
		list(&s, &f->f_seen);
	f->f_sync = TCALL(&s, SYS_syncfs, TCALL(&s, SYS_open, "/", O_RDONLY));
	(void)TCALL(&s, SYS_close, 0);
	free = room(&s);
	end_kernel(f, k, &s);
	f->f_hit = f->f_disk ? quern_sim_failed(e->sim) != 0 :
			       f->f_n != 0 && f->f_ended >= f->f_n;
	if (f->f_after != NULL)
		(void)quern_sim_disk_read(d, 0, f->f_after, f->f_image->ki_len);
	if (f->f_op == UINT32_MAX || e->failed)
		return;
	k = make_kernel(f, 0, &s);
	if (e->failed)
		return;
	list(&s, &f->f_found);
	found = room(&s);
	end_kernel(f, k, &s);
	if (!f->f_rdonly && f->f_sync == 0 && free != 0)
		KCHECK_EQ(e, found, free);
	f->f_walk.w_read = read_disk;
	f->f_walk.w_arg = d;
	f->f_walk.w_errors = f->f_rdonly;
	wrong = walk_image(&f->f_walk);
	if (wrong == NULL && f->f_fsck && !kcrash_fsck(f->f_image, d))
		wrong = "e2fsck finds something";
	if (wrong != NULL && !e->failed) {
		e->failed = 1;
		snprintf(e->failure, sizeof(e->failure), "%s", wrong);
	}
}

static const char *
run(struct fail *f, uint64_t n)
{
	struct quern_sim_config sc = { .seed = 1,
		.fail_call = f->f_disk ? "blk_submit" : NULL,
		.fail_n = f->f_disk ? n : 0 };

	f->f_n = n;
	f->f_rdonly = false;
	f->f_ended = 0;
	f->f_line[0] = '\0';
	free(f->f_seen.tt_p);
	free(f->f_found.tt_p);
	f->f_seen = f->f_found = (struct tree_text){ 0 };
	return ktest_world(body, 1, 0, &sc, f, NULL);
}

static bool
same(const struct tree_text *a, const struct tree_text *b)
{
	return strcmp(a->tt_p, b->tt_p) == 0;
}

/* Is what has come of it allowed?  `was` and `is`: before and after. */
static const char *
judge(struct fail *f, const struct tree_text *was, const struct tree_text *is)
{
	bool partial = ops[f->f_op].partial;
	bool whole = same(&f->f_found, was) || same(&f->f_found, is);

	if (f->f_r < 0 && f->f_r != -ENOMEM && f->f_r != -EIO &&
	    f->f_r != -EROFS)
		return "the call's error is another";
	if (!partial && !whole)
		return "neither done nor not done on disk";
	/* A write that was not waited for may fail later: sync says so. */
	if (f->f_rdonly || (f->f_disk && f->f_sync < 0))
		return NULL;
	if (f->f_r == 0 && !same(&f->f_found, is) && f->f_sync == 0)
		return "done, and not there later";
	if (f->f_r < 0 && !partial && !same(&f->f_found, was))
		return "not done, and there later";
	if (f->f_seen.tt_errors == 0 && !same(&f->f_found, &f->f_seen) &&
	    !(f->f_disk && f->f_r < 0))
		return "memory and disk differ";
	return NULL;
}

static const char *
each(struct fail *f, const struct tree_text *was, const struct tree_text *is,
    unsigned step, struct kfail_sums *ks)
{
	static char text[3000];
	uint64_t n, from = f->f_begun, to = f->f_ended;
	const char *wrong;

	for (n = from + 1; n <= to; n += step) {
		f->f_fsck = ++ks->ks_runs % 50 == 0;
		ks->ks_fscks += f->f_fsck;
		wrong = run(f, n);
		if (wrong == NULL)
			wrong = judge(f, was, is);
		ks->ks_rdonly += f->f_rdonly;
		ks->ks_done += !f->f_rdonly && f->f_r == 0;
		ks->ks_undone += !f->f_rdonly && f->f_r < 0;
		if (wrong == NULL)
			continue;
		snprintf(text, sizeof(text),
		    "%s, %s, %s %llu of %llu to %llu: %s; it answered %lld, "
		    "sync %lld, the log \"%s\"%s",
		    f->f_image->ki_name, kfail_ops[f->f_op],
		    f->f_disk ? "request" : "allocation", (unsigned long long)n,
		    (unsigned long long)from + 1, (unsigned long long)to, wrong,
		    (long long)f->f_r, (long long)f->f_sync, f->f_line,
		    f->f_found.tt_p != NULL ? tree_differ(is, &f->f_found) :
					      "");
		return text;
	}
	return NULL;
}

const char *
kfail_each(const struct kcrash_image *ki, unsigned op, bool disk, unsigned step,
    uint32_t debug, struct kfail_sums *ks)
{
	struct fail f = { .f_image = ki, .f_op = UINT32_MAX };
	struct tree_text was = { 0 }, is = { 0 };
	uint8_t *before = malloc(ki->ki_len);
	const char *wrong;

	f.f_data = ki->ki_data;
	f.f_after = before;
	wrong = run(&f, 0);
	f.f_data = before;
	f.f_after = NULL;
	f.f_op = OP_NOTHING;
	if (wrong == NULL)
		wrong = run(&f, 0);
	was = f.f_found;
	f.f_found.tt_p = NULL;
	f.f_op = op;
	f.f_disk = disk;
	f.f_debug = debug;
	/* Counts allocations, of which none fails. */
	if (wrong == NULL)
		wrong = run(&f, disk ? 0 : UINT64_MAX);
	if (wrong == NULL && f.f_r != 0)
		wrong = "it fails always";
	if (wrong == NULL) {
		is = f.f_found;
		f.f_found.tt_p = NULL;
		wrong = each(&f, &was, &is, step, ks);
	}
	free(before);
	free(was.tt_p);
	free(is.tt_p);
	free(f.f_seen.tt_p);
	free(f.f_found.tt_p);
	walk_end(&f.f_walk);
	return wrong;
}
