/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names under contention: several processes make, move, remove and look up the
 * same few names at once.  Whatever the order, every answer is one that some
 * order of the calls gives, directories and the name cache agree at the end, and
 * nothing is left behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/abi/errno.h>
#include <quern/abi/fcntl.h>
#include <quern/abi/fs.h>
#include <quern/abi/handle.h>
#include <quern/abi/inotify.h>
#include <quern/abi/mount.h>
#include <quern/abi/stat.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include "tests/kernel/ktest.h"

#define THREADS 3u

static const struct quern_component *const components[] = { &qvfs, &qtmpfs,
	NULL };

struct shared {
	struct kenv *e;
	struct quern *k;
	unsigned rounds;
	uint32_t next; /* [a] numbers the threads */
};

static uint32_t
some(uint64_t *x, uint32_t below)
{
	*x = *x * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(*x >> 33) % below;
}

/* One of a few paths, some below others. */
static const char *
a_path(uint64_t *x)
{
	static const char *const paths[] = { "/a", "/b", "/c", "/a/x", "/b/x",
		"/c/x", "/a/y", "/b/y", "/a/x/z", "/b/x/z", "/a/../b", "/l/x",
		"/l", "/m", "/a/.", "/b/x/.." };

	return paths[some(x, sizeof(paths) / sizeof(paths[0]))];
}

/* Is the result one that the call may have, whatever others do? */
static bool
is_sane(int64_t r)
{
	switch (r) {
	case -Q_ENOENT:
	case -Q_EEXIST:
	case -Q_ENOTDIR:
	case -Q_EISDIR:
	case -Q_ENOTEMPTY:
	case -Q_EINVAL:
	case -Q_EBUSY:
	case -Q_EPERM:
	case -Q_ELOOP:
	case -Q_EXDEV:
		return true;
	default:
		return r >= 0;
	}
}

static int64_t
one_call(struct quern_proc *p, uint64_t *x)
{
	char buf[512];
	struct q_stat st;
	int64_t r, n;
	int fd;

	switch (some(x, 12)) {
	case 0:
	case 1:
		return quern_mkdir(p, a_path(x), 0755);
	case 2:
		fd = quern_open(p, a_path(x), Q_O_CREAT | Q_O_RDWR, 0644);
		return fd < 0 ? fd : quern_close(p, fd);
	case 3:
		return quern_unlink(p, a_path(x));
	case 4:
		return quern_rmdir(p, a_path(x));
	case 5:
	case 6:
		return quern_rename(p, a_path(x), a_path(x));
	case 7:
		return quern_renameat2(p, Q_AT_FDCWD, a_path(x), Q_AT_FDCWD,
		    a_path(x), Q_RENAME_EXCHANGE);
	case 8:
		return quern_link(p, a_path(x), a_path(x));
	case 9:
		return quern_symlink(p, "b", a_path(x));
	case 10:
		fd = quern_open(p, a_path(x), Q_O_RDONLY | Q_O_DIRECTORY, 0);
		if (fd < 0)
			return fd;
		while ((n = quern_getdents64(p, fd, buf, sizeof(buf))) > 0)
			continue;
		r = quern_close(p, fd);
		return n < 0 ? n : r;
	default:
		return quern_stat(p, a_path(x), &st);
	}
}

static void
client(void *arg)
{
	struct shared *s = arg;
	uint64_t x = __atomic_add_fetch(&s->next, 1, __ATOMIC_RELAXED) * 77777;
	struct quern_proc *p;
	unsigned i;
	int64_t r;

	if (!KCHECK_EQ(s->e, quern_proc_create(s->k, &p), 0))
		return;
	if (s->e->sim != NULL)
		x += quern_sim_random(s->e->sim, 0);
	for (i = 0; i < s->rounds; i++) {
		r = one_call(p, &x);
		if (!KCHECK(s->e, is_sane(r)))
			fprintf(stderr, "a call answered %lld\n", (long long)r);
	}
	KCHECK_EQ(s->e, quern_proc_destroy(p), 0);
}

/*
 * What a directory lists is what its names lead to, and links are counted
 * right.  Returns how many directories it has.
 */
static unsigned
check_dir(struct kenv *e, struct quern_proc *p, const char *path)
{
	char buf[4096], sub[256];
	struct q_dirent64 *d;
	unsigned dirs = 0;
	struct q_stat st;
	int64_t n, off;
	int fd;

	fd = quern_open(p, path, Q_O_RDONLY | Q_O_DIRECTORY, 0);
	if (!KCHECK(e, fd >= 0))
		return 0;
	n = quern_getdents64(p, fd, buf, sizeof(buf));
	KCHECK_EQ(e, quern_close(p, fd), 0);
	for (off = 0; off < n; off += d->d_reclen) {
		d = (struct q_dirent64 *)(void *)(buf + off);
		if (d->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, d->d_name);
		if (!KCHECK_EQ(e, quern_lstat(p, sub, &st), 0))
			continue;
		KCHECK_EQ(e, st.st_ino, d->d_ino);
		KCHECK_EQ(e, st.st_mode >> 12, d->d_type);
		KCHECK(e, st.st_nlink >= 1);
		if (d->d_type == Q_DT_DIR) {
			dirs++;
			check_dir(e, p, sub);
		}
	}
	KCHECK_EQ(e, quern_lstat(p, path[0] != '\0' ? path : "/", &st), 0);
	KCHECK_EQ(e, st.st_nlink, 2 + dirs);
	return dirs;
}

static struct quern *
make_kernel(struct kenv *e)
{
	struct quern_config c = kenv_config(e);
	struct quern *k = NULL;

	c.components = components;
	c.ram = (size_t)8 << 20;
	KCHECK_EQ(e, quern_create(&c, &k), 0);
	return k;
}

static void
contend(struct kenv *e)
{
	struct shared s = { .e = e, .rounds = e->sim != NULL ? 40 : 600 };
	struct quern_proc *p;
	unsigned i;

	s.k = make_kernel(e);
	if (s.k == NULL)
		return;
	for (i = 1; i < THREADS; i++)
		kspawn(e, client, &s);
	client(&s);
	kjoin(e);
	if (KCHECK_EQ(e, quern_proc_create(s.k, &p), 0)) {
		check_dir(e, p, "/");
		KCHECK_EQ(e, quern_proc_destroy(p), 0);
	}
	kenv_destroy(e, s.k);
}

/* ---- what watches them, and holds them by handle ---------------------------------- */

/* Everything that a watcher is told is something that there is. */
static void
read_events(struct kenv *e, struct quern_proc *p, int in)
{
	char buf[512] __attribute__((aligned(8)));
	struct q_inotify_event ev;
	int64_t n, at;

	n = quern_read(p, in, buf, sizeof(buf));
	KCHECK(e, n > 0 || n == -Q_EAGAIN);
	for (at = 0; at < n; at += (int64_t)(sizeof(ev) + ev.len)) {
		memcpy(&ev, buf + at, sizeof(ev));
		KCHECK(e, ev.wd > 0);
		KCHECK(e, ev.mask != 0 && ev.len % 16 == 0);
		KCHECK(e, at + (int64_t)sizeof(ev) + ev.len <= n);
	}
}

static int64_t
by_handle(struct quern_proc *p, uint64_t *x)
{
	struct q_file_handle h = { .handle_bytes = sizeof(h.f_handle) };
	struct q_stat st;
	int mount, fd;
	int64_t r;

	r = quern_name_to_handle_at(p, Q_AT_FDCWD, a_path(x), &h, &mount, 0);
	if (r != 0)
		return r;
	fd = quern_open_by_handle_at(p, Q_AT_FDCWD, &h, Q_O_PATH);
	if (fd < 0)
		return fd == -Q_ESTALE ? 0 : fd;
	/* Its way up is a way. */
	r = quern_fstatat(p, fd, "../../../..", &st, 0);
	if (r == 0 && st.st_ino != 1)
		return -Q_ESTALE;
	r = quern_close(p, fd);
	return r;
}

static void
watcher(void *arg)
{
	struct shared *s = arg;
	uint64_t x = __atomic_add_fetch(&s->next, 1, __ATOMIC_RELAXED) * 77777;
	struct quern_proc *p;
	unsigned i;
	int64_t r;
	int in;

	if (!KCHECK_EQ(s->e, quern_proc_create(s->k, &p), 0))
		return;
	if (s->e->sim != NULL)
		x += quern_sim_random(s->e->sim, 0);
	in = quern_inotify_init1(p, Q_IN_NONBLOCK);
	for (i = 0; i < s->rounds; i++) {
		switch (some(&x, 5)) {
		case 0:
		case 1:
			r = quern_inotify_add_watch(p, in, a_path(&x),
			    Q_IN_ALL_EVENTS |
				(some(&x, 3) == 0 ? Q_IN_ONESHOT : 0u));
			break;
		case 2:
			r = quern_inotify_rm_watch(p, in, (int)some(&x, i + 1));
			break;
		case 3:
			r = by_handle(p, &x);
			break;
		default:
			read_events(s->e, p, in);
			r = 0;
			break;
		}
		if (!KCHECK(s->e, is_sane(r)))
			fprintf(stderr, "a call answered %lld\n", (long long)r);
	}
	KCHECK_EQ(s->e, quern_proc_destroy(p), 0);
}

static void
watching(struct kenv *e)
{
	struct shared s = { .e = e, .rounds = e->sim != NULL ? 40 : 600 };
	struct quern_proc *p;

	s.k = make_kernel(e);
	if (s.k == NULL)
		return;
	kspawn(e, client, &s);
	kspawn(e, watcher, &s);
	watcher(&s);
	kjoin(e);
	if (KCHECK_EQ(e, quern_proc_create(s.k, &p), 0)) {
		check_dir(e, p, "/");
		KCHECK_EQ(e, quern_proc_destroy(p), 0);
	}
	kenv_destroy(e, s.k);
}

/* ---- mounts that come and go ----------------------------------------------------- */

static void
mounter(void *arg)
{
	struct shared *s = arg;
	struct quern_proc *p;
	unsigned i;
	int r;

	if (!KCHECK_EQ(s->e, quern_proc_create(s->k, &p), 0))
		return;
	for (i = 0; i < s->rounds; i++) {
		r = quern_mount(p, "x", "/mnt", "tmpfs", 0, "");
		KCHECK_EQ(s->e, r, 0);
		(void)quern_mkdir(p, "/mnt/in", 0755);
		while ((r = quern_umount2(p, "/mnt",
			    i % 3 == 0 ? Q_MNT_DETACH : 0)) == -Q_EBUSY)
			kpause(s->e);
		KCHECK_EQ(s->e, r, 0);
	}
	KCHECK_EQ(s->e, quern_proc_destroy(p), 0);
}

static void
visitor(void *arg)
{
	struct shared *s = arg;
	struct quern_proc *p;
	struct q_stat st;
	unsigned i;
	int fd, r;

	if (!KCHECK_EQ(s->e, quern_proc_create(s->k, &p), 0))
		return;
	for (i = 0; i < s->rounds * 3; i++) {
		fd = quern_open(p, "/mnt/f", Q_O_CREAT | Q_O_RDWR, 0644);
		KCHECK(s->e, fd >= 0);
		r = quern_stat(p, "/mnt/in/../f", &st);
		KCHECK(s->e, r == 0 || r == -Q_ENOENT);
		r = quern_chdir(p, "/mnt/in");
		KCHECK(s->e, r == 0 || r == -Q_ENOENT);
		KCHECK_EQ(s->e, quern_chdir(p, "/"), 0);
		if (fd >= 0)
			KCHECK_EQ(s->e, quern_close(p, fd), 0);
	}
	KCHECK_EQ(s->e, quern_proc_destroy(p), 0);
}

static void
mounting(struct kenv *e)
{
	struct shared s = { .e = e, .rounds = e->sim != NULL ? 4 : 60 };
	struct quern_proc *p;

	s.k = make_kernel(e);
	if (s.k == NULL)
		return;
	if (KCHECK_EQ(e, quern_proc_create(s.k, &p), 0)) {
		KCHECK_EQ(e, quern_mkdir(p, "/mnt", 0755), 0);
		KCHECK_EQ(e, quern_proc_destroy(p), 0);
	}
	kspawn(e, mounter, &s);
	kspawn(e, visitor, &s);
	visitor(&s);
	kjoin(e);
	kenv_destroy(e, s.k);
}

/* Mounts on names that others move and remove, on and below each other. */
static void
mounts_anywhere(void *arg)
{
	struct shared *s = arg;
	uint64_t x = __atomic_add_fetch(&s->next, 1, __ATOMIC_RELAXED) * 77777;
	struct quern_proc *p;
	const char *to;
	unsigned i;
	int64_t r;

	if (!KCHECK_EQ(s->e, quern_proc_create(s->k, &p), 0))
		return;
	if (s->e->sim != NULL)
		x += quern_sim_random(s->e->sim, 0);
	for (i = 0; i < s->rounds; i++) {
		to = a_path(&x);
		switch (some(&x, 6)) {
		case 0:
			r = quern_mount(p, "x", to, "tmpfs", 0, "");
			break;
		case 1:
			r = quern_mount(p, a_path(&x), to, "",
			    Q_MS_BIND | (some(&x, 2) != 0 ? Q_MS_REC : 0u), "");
			break;
		case 2:
			r = quern_mount(p, a_path(&x), to, "", Q_MS_MOVE, "");
			break;
		case 3:
			r = quern_umount2(p, to, 0);
			break;
		case 4:
			r = quern_umount2(p, to, Q_MNT_DETACH);
			break;
		default:
			r = quern_mkdir(p, to, 0755);
			break;
		}
		if (!KCHECK(s->e, is_sane(r)))
			fprintf(stderr, "a call answered %lld\n", (long long)r);
	}
	KCHECK_EQ(s->e, quern_proc_destroy(p), 0);
}

static void
mounting_anywhere(struct kenv *e)
{
	struct shared s = { .e = e, .rounds = e->sim != NULL ? 30 : 200 };

	s.k = make_kernel(e);
	if (s.k == NULL)
		return;
	kspawn(e, client, &s);
	kspawn(e, mounts_anywhere, &s);
	mounts_anywhere(&s);
	kjoin(e);
	kenv_destroy(e, s.k);
}

/* ---- without memory ---------------------------------------------------------------- */

/* A little of everything; the first error, -ENOMEM or 0. */
static int64_t
use(struct quern *k)
{
	static const char *const longname = "/a-name-that-does-not-fit-into-a-"
					    "dentry-and-lies-behind-it";
	struct quern_proc *p, *child;
	struct q_stat st;
	int64_t r;
	int fd = -1;

	r = quern_proc_create(k, &p);
	if (r != 0)
		return r;
	r = quern_mkdir(p, "/d", 0755);
	if (r == 0)
		r = fd = quern_open(p, longname, Q_O_CREAT | Q_O_RDWR, 0644);
	if (r >= 0)
		r = quern_write(p, fd, "hello", 5);
	if (r >= 0)
		r = quern_rename(p, longname, "/d/f");
	if (r == 0)
		r = quern_symlink(p, "d/f", "/l");
	if (r == 0)
		r = quern_stat(p, "/l", &st);
	if (r == 0)
		r = quern_setxattr(p, "/l", "user.x", "y", 1, 0);
	if (r == 0)
		r = quern_chdir(p, "/d");
	if (r == 0)
		r = quern_mount(p, "x", "/d", "tmpfs", 0, "");
	if (r == 0)
		r = quern_umount2(p, "/d", 0);
	if (r == 0)
		r = quern_proc_fork(p, &child);
	if (r == 0)
		r = quern_proc_destroy(child);
	if (r == 0)
		r = quern_unlink(p, "f");
	return r;
}

static void
no_memory(struct kenv *e)
{
	struct quern_config c = kenv_config(e);
	uint64_t leaks;
	struct quern *k;
	int64_t r = -1;

	c.components = components;
	c.log_level = -1;
	for (c.fail_alloc = 1; r != 0 && c.fail_alloc < 5000; c.fail_alloc++) {
		r = quern_create(&c, &k);
		if (r == 0) {
			r = use(k);
			leaks = 0;
			KCHECK_EQ(e, quern_destroy_count(k, &leaks), 0);
			KCHECK_EQ(e, leaks, 0);
		}
		if (!KCHECK(e, r == 0 || r == -Q_ENOMEM)) {
			fprintf(stderr, "allocation %llu: %lld\n",
			    (unsigned long long)c.fail_alloc, (long long)r);
			break;
		}
	}
	KCHECK_EQ(e, r, 0);
}

const struct kcase knames_cases[] = {
	{ .name = "contend", .body = contend, .seeds = 4000 },
	{ .name = "watching", .body = watching, .seeds = 3000 },
	{ .name = "mounting", .body = mounting, .seeds = 2000 },
	{ .name = "mounting anywhere",
	    .body = mounting_anywhere,
	    .seeds = 2000 },
	{ .name = "no memory", .body = no_memory, .seeds = 1 },
	{ .name = NULL },
};
